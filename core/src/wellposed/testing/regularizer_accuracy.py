"""What the numbers of a regularizer promise, measured: derivatives to rounding, proximal maps from their inequality,
Lipschitz constants along the worst directions found; on small and large images, of several channels, not square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import WellposedError
from ..regularizer import Regularizer
from ..space import Space, inner, norm, per_sample
from .adjointness import like
from .convexity import power
from .measure import TAYLOR_STEPS, at_most, central_difference_error, dot, normal, same_tensor, size_of, that
from .promise import NotPromised, check
from .proximal_maps import assert_prox
from .regularizers import STEP, apart, gap_of, images_for, maps_of, may, needs
from .spaces import image_space
from .subject import Subject
from .tapes import assert_differentiable


@check(applies=may("grad"), since="0.2")
def gradient_agrees_with_central_differences(subject: Subject) -> None:
    """`∇R` is the derivative of `R` to 1e-6, on small and large images, along random and single directions."""
    regularizer = subject.build()
    needs(regularizer, "grad")
    needs(regularizer, "value")
    for scale, x in _scaled(regularizer):
        _assert_gradient(regularizer, x, scale, subject.label)


@check(since="0.2")
def maps_carry_their_derivatives(subject: Subject) -> None:
    """Value, gradient and proximal map can be differentiated in the image, as unrolling and training need it."""
    regularizer = subject.build()
    if gap_of(regularizer) > 0:
        raise NotPromised("its maps are computed by inner iterations; their derivatives are for its own tests")
    for name, call in maps_of(regularizer).items():
        # Proximal maps of constraints have their kinks where images lie that satisfy them.
        x = normal(image_space(regularizer), 2) if name == "prox" else images_for(regularizer, 2)
        value = call(x.clone().requires_grad_())
        if not value.requires_grad and (not bool(value.any()) or same_tensor(call(0.5 * x), value)):
            continue  # an indicator, a constant
        assert_differentiable(call, x, f"{subject.label}.{name}")


@check(since="0.2")
def learned_parts_get_gradients(subject: Subject) -> None:
    """Finite gradients reach learned parameters through what is declared."""
    regularizer = subject.build()
    learned = {name: p for name, p in regularizer.named_parameters() if p.requires_grad}
    if not learned:
        raise NotPromised("it has no learned parameters")
    x = images_for(regularizer)
    reached: set[str] = set()
    for name, call in maps_of(regularizer).items():
        result = call(x)
        if not result.requires_grad:
            continue
        gradients = torch.autograd.grad(result.square().sum(), list(learned.values()), allow_unused=True)
        for parameter, gradient in zip(learned, gradients, strict=True):
            if gradient is not None:
                finite = bool(torch.isfinite(gradient).all())
                that(finite, f"the gradient of {subject.label}.{name} in {parameter} is not finite")
                reached.add(parameter)
    that(bool(reached), f"no gradient reaches the learned parameters of {subject.label}, {', '.join(learned)}")


@check(applies=may("prox"), since="0.2")
def prox_holds_at_every_scale(subject: Subject) -> None:
    """`(x − u)/s` is a subgradient of `R` at `u = prox(x, s)`, on small and large images, for steps 1e-3 to 1e3."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    needs(regularizer, "value")
    gap = gap_of(regularizer)
    if gap > 0 or not regularizer.convex:
        # The inequality is that of exact maps of convex functionals; rivals are compared with the others.
        for scale, x in _scaled(regularizer):
            who = f"{subject.label}.prox of images of size {scale:g}"
            assert_prox(regularizer, regularizer.prox, x[:1], STEP * scale, who, gap)
        return
    for scale, x in _scaled(regularizer):
        for step in (1e-3, STEP, 20.0, 1e3):
            who = f"{subject.label}.prox of images of size {scale:g}, step {step:g}"
            u = regularizer.prox(x, step)
            assert_subgradient(regularizer, u, (x - u) / step, norm(x) / step, who)


@check(applies=may("prox"), since="0.2")
def prox_lipschitz_holds(subject: Subject) -> None:
    """`‖Px − Pz‖ ≤ prox_lipschitz(s)·‖x − z‖`, also along the directions in which `P` is found to contract least."""
    regularizer = subject.build()
    needs(regularizer, "prox")
    x = images_for(regularizer)
    gap = gap_of(regularizer)
    if regularizer.prox_lipschitz(STEP) is None:
        raise NotPromised("it states no Lipschitz constant of its proximal map")
    reach = 1e-1 if gap else 1e-5
    for step in (STEP,) if gap else (0.02, STEP, 5.0):
        bound = torch.as_tensor(regularizer.prox_lipschitz(step), dtype=torch.float64)
        for point in (x,) if gap else (x, 0.01 * x, 100 * x):
            here = regularizer.prox(point, step)

            def slope(direction: Tensor, point: Tensor = point, here: Tensor = here, step: float = step) -> Tensor:
                return (regularizer.prox(point + reach * direction, step) - here) / reach

            # An inner iteration makes no power method: two directions have to do.
            tried = [like(x, 3), torch.ones_like(x)] if gap else [like(x, 3), power(slope, like(x, 3))]
            for direction in tried:
                unit = direction / per_sample(norm(direction), direction)
                ratio = float((norm(slope(unit)) / bound).max())
                limit = 1 + 1e-5 + 10 * gap**0.5
                at_most(ratio, limit, f"‖Px − Pz‖/‖x − z‖ of {subject.label}.prox, step {step:g}, by its constant")
        for factor in (-1.0, 0.5, 3.0):
            moved = regularizer.prox(x, step) - regularizer.prox(factor * x, step)
            ratio = float((norm(moved) / norm((1 - factor) * x) / bound).max())
            at_most(ratio, 1 + 1e-9 + 10 * gap**0.5, f"‖Px − Pz‖/‖x − z‖ of {subject.label}.prox for images far apart")


@check(applies=may("prox"), since="0.2")
def conjugate_knows_its_domain(subject: Subject) -> None:
    """`R(u) + R*(p) ≥ <u, p>` also for large `u` along `p`: infinite where the supremum is."""
    regularizer = subject.build()
    needs(regularizer, "value")
    x = images_for(regularizer)
    for size in (0.3, 1.0, 3.0, 10.0):
        p = size * like(x, 21)
        conjugate = regularizer.conjugate(p)
        if conjugate is None:
            raise NotPromised("it states no conjugate")
        that(not bool(torch.isnan(conjugate).any()), f"the conjugate of {subject.label} is not a number")
        for far in (1e-1, 1.0, 1e2, 1e4):
            value = regularizer(far * p)
            lack = torch.where(torch.isfinite(value), far * inner(p, p) - value - conjugate, 0.0)
            worst = float((lack / (far * inner(p, p))).max())
            at_most(worst, 1e-9 + gap_of(regularizer), f"<u, p> − R(u) − R*(p) of {subject.label} for large u along p")


@check(since="0.2")
def takes_images_of_other_shapes(subject: Subject) -> None:
    """Images of three channels and unequal sides get right maps, or a sentence that refuses them."""
    regularizer = subject.build()
    space = image_space(regularizer)
    if any(isinstance(getattr(part, "domain", None), Space) for part in regularizer.modules()):
        raise NotPromised("it belongs to one image size")
    channels = space.shape[0] if any(True for _ in regularizer.parameters()) else 3
    x = normal(Space((channels, 12, 20)), 2)
    try:
        results = {name: call(x) for name, call in maps_of(regularizer).items()}
    except WellposedError as refusal:
        raise NotPromised(f"it refuses such images: {refusal}") from refusal
    who = f"{subject.label} on images {tuple(x.shape[1:])}"
    for name, result in results.items():
        expected = (2,) if name == "value" else tuple(x.shape)
        that(tuple(result.shape) == expected, f"{name} of {who} must be {expected}; it is {tuple(result.shape)}")
    for name, call in maps_of(regularizer).items():
        alone = call(x[1:])
        at_most(apart(results[name][1:], alone), 1e-8, f"{name} of {who} for a sample alone")
    if {"value", "grad"} <= set(results):
        _assert_gradient(regularizer, x, 1.0, who)
    if {"value", "prox"} <= set(results):
        assert_prox(regularizer, regularizer.prox, x, STEP, who, gap_of(regularizer))
    if "split" in regularizer.capabilities and "value" in results:
        terms = regularizer.split()
        if all("value" in t.functional.capabilities for t in terms):
            each = [t.functional(x if t.analysis is None else t.analysis(x)) for t in terms]
            at_most(apart(sum(each, torch.zeros(2).double()), results["value"]), 1e-10, f"the split terms of {who}")


@check(since="0.2")
def complex_maps_are_right(subject: Subject) -> None:
    """Where complex images are taken, proximal map and gradient are those of the value of complex images."""
    regularizer = subject.build()
    if image_space(regularizer).is_complex:
        raise NotPromised("its images are complex anyway")
    x = normal(Space(image_space(regularizer).shape, torch.complex64), 2)
    try:
        for call in maps_of(regularizer).values():
            call(x)
    except WellposedError as refusal:
        raise NotPromised(f"it refuses complex images: {refusal}") from refusal
    needs(regularizer, "value")
    if "grad" in regularizer.capabilities:
        _assert_gradient(regularizer, x, 1.0, f"{subject.label} of complex images")
    if "prox" in regularizer.capabilities:
        assert_prox(
            regularizer, regularizer.prox, x, STEP, f"{subject.label}.prox of complex images", gap_of(regularizer)
        )


@check(applies=may("split"), since="0.2")
def split_analysis_solves_its_normal_equations(subject: Subject) -> None:
    """Where an analysis `K` has a fast solver, it gives `(K*K + s)⁻¹ b` for shifts of every size."""
    regularizer = subject.build()
    needs(regularizer, "split")
    x = normal(image_space(regularizer))
    found = False
    for analysis in (t.analysis for t in regularizer.split() if t.analysis is not None):
        for shift in (1e-3, 1.0, 1e3):
            z = analysis.solve_normal(x, shift)
            if z is None:
                continue
            found = True
            left = analysis.adjoint(analysis(z)) + shift * z - x
            at_most(size_of(left) / size_of(x), 1e-8, f"the residual of {type(analysis).__name__}.solve_normal")
    if not found:
        raise NotPromised("no analysis of it has a fast solver")


# Measuring ----------------------------------------------------------------------------------------


def assert_subgradient(value: Callable[[Tensor], Tensor], u: Tensor, p: Tensor, rounding: Tensor, who: str) -> None:
    """`R(z) ≥ R(u) + <p, z − u>` for `z` around `u`: `p` is a subgradient of a convex `R` there.

    `rounding`, the size of the terms that cancel in `p`.
    """
    here, size = value(u), norm(u) / u[0].numel() ** 0.5 + 1e-3
    that(bool(torch.isfinite(here).all()), f"{who} must lie where the functional is finite; it is {here.tolist()}")
    moves = [1.01 * u - u, 0.9 * u - u, -0.5 * u, u, -u]
    for seed, part in enumerate((1e-3, 1e-1, 1.0, 10.0)):
        single = torch.zeros_like(u)
        single.reshape(len(u), -1)[:, (7 * seed + 3) % u[0].numel()] = 1.0
        moves += [per_sample(part * size, u) * m for m in (like(u, 30 + seed), single)]
    moves += [-move for move in moves]
    # All at once: a value that is itself an iteration costs as much for one image as for many.
    there = value(torch.cat([u + move for move in moves])).reshape(len(moves), len(u))
    for move, other in zip(moves, there, strict=True):
        lack = torch.where(torch.isfinite(other), here + inner(p, move) - other, 0.0)
        scale = here.abs() + other.abs().nan_to_num(posinf=0.0) + norm(p) * norm(move) + 1e-300
        allowed = 1e-9 * scale + 1e-13 * rounding * norm(move)
        at_most(float((lack / allowed).max()), 1.0, f"{who}: R(u) + <p, z − u> − R(z), p = (x − u)/s, by its rounding")


def _scaled(regularizer: Regularizer) -> Iterator[tuple[float, Tensor]]:
    """Images of several sizes on which the value is finite."""
    learned = any(True for _ in regularizer.parameters())  # made for images of one size
    for scale in (1.0,) if learned else (1.0, 1e-2, 300.0):
        x = scale * images_for(regularizer, 2, seed=4)
        if "value" in regularizer.capabilities and not bool(torch.isfinite(regularizer(x)).all()):
            if "prox" not in regularizer.capabilities:
                continue
            if "grad" in regularizer.capabilities:
                x = regularizer.prox(x, 1.0)
        yield scale, x


def _assert_gradient(regularizer: Regularizer, x: Tensor, scale: float, who: str) -> None:
    gradient = regularizer.grad(x)
    coordinate = torch.zeros_like(x)
    coordinate.reshape(len(x), -1)[:, 5 % x[0].numel()] = 1.0
    directions = [0.3 * scale * h for h in (like(x, 5), gradient / (size_of(gradient) or 1.0), coordinate)]
    steps = sorted({sign * t for t in TAYLOR_STEPS for sign in (1, -1, 2, -2)})
    points = torch.cat([x + t * h for h in directions for t in steps])
    # All at once: a value that is itself an iteration costs as much for one image as for many.
    values = regularizer(points).detach().reshape(len(directions), len(steps), len(x)).sum(2)
    for h, along in zip(directions, values.tolist(), strict=True):
        found = dict(zip(steps, along, strict=True))
        slope, size = dot(gradient, h), size_of(gradient) * size_of(h)
        error = central_difference_error(found.__getitem__, slope, size, TAYLOR_STEPS)
        at_most(error, 1e-6, f"the gradient of {who} of images of size {scale:g}, relative")


CHECKS = (
    gradient_agrees_with_central_differences,
    maps_carry_their_derivatives,
    learned_parts_get_gradients,
    prox_holds_at_every_scale,
    prox_lipschitz_holds,
    conjugate_knows_its_domain,
    takes_images_of_other_shapes,
    complex_maps_are_right,
    split_analysis_solves_its_normal_equations,
)
