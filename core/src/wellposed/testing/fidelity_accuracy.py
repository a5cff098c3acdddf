"""What the numbers of a data fidelity promise, measured: derivatives to rounding, constants from whole Hessians,
proximal maps from their equation, at every scale of data and step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import CapabilityMissing, InputError
from ..fidelity import Fidelity
from ..space import inner, norm, per_sample
from .adjointness import like
from .fidelities import data_for, has_prox
from .measure import at_most, central_difference_error, dot, relative, size_of, that
from .promise import NotPromised, check
from .subject import Subject
from .tapes import assert_differentiable

#: Largest number of bins whose Hessian is written out.
_DENSE_LIMIT = 256


@check(since="0.2")
def gradient_agrees_with_central_differences(subject: Subject) -> None:
    """`∇D` is the derivative of `D` to 1e-6, for small and large predictions, along random and single directions."""
    fidelity = subject.build()
    for scale, v, y in _scaled(fidelity):
        gradient = fidelity.gradient(v, y)
        directions = [like(v, 5), gradient / (size_of(gradient) or 1.0), torch.zeros_like(v)]
        directions[2][0].reshape(-1)[1] = 1.0
        for h in directions:
            h = 0.3 * scale * h
            error = central_difference_error(
                lambda t, v=v, y=y, h=h: float(fidelity(v + t * h, y).sum()),
                dot(gradient, h),
                size_of(gradient) * size_of(h),
            )
            at_most(error, 1e-6, f"the gradient of {subject.label} at predictions of size {scale:g}, relative")


@check(since="0.2")
def maps_carry_their_derivatives(subject: Subject) -> None:
    """Value, gradient and proximal map can be differentiated in the prediction, as training needs it."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    maps: dict[str, Callable[[Tensor], Tensor]] = {
        "value": lambda v: fidelity(v, y),
        "gradient": lambda v: fidelity.gradient(v, y),
    }
    if has_prox(fidelity):
        maps["prox"] = lambda v: fidelity.prox(v, y, 0.7)
    for name, call in maps.items():
        if name == "gradient" and not call(v.clone().requires_grad_()).requires_grad:
            slope = call(v)
            if relative(call(v * (1 + 1e-6)), slope) == 0:  # piecewise constant, as a sign is
                continue
        assert_differentiable(call, v, f"{subject.label}.{name}")


@check(since="0.2")
def constants_hold_by_the_hessian(subject: Subject) -> None:
    """`m ≤ ∇²D ≤ L` as `strong_convexity` and `smoothness` say, and where `smooth_everywhere`, for `v < 0` too."""
    fidelity = subject.build()
    v, y = data_for(fidelity, 1)
    if v.numel() * (2 if v.is_complex() else 1) > _DENSE_LIMIT:
        raise NotPromised("its measurement is too large for a Hessian")
    smoothness, m = fidelity.smoothness(y), float(torch.as_tensor(fidelity.strong_convexity(y)).min())
    points = [v.abs().to(v.dtype), 1e-2 * v.abs().to(v.dtype), 3 * v.abs().to(v.dtype)]
    if smoothness is not None and fidelity.smooth_everywhere:
        points += [-v.abs().to(v.dtype), -4 * v.abs().to(v.dtype), torch.zeros_like(v)]
    for point in points:
        hessian = _hessian(fidelity, point, y)
        where = "some v < 0" if float(point.real.min()) < 0 else "some v ≥ 0"
        that(bool(torch.isfinite(hessian).all()), f"∇D of {subject.label} is not finite at {where}")
        eigenvalues = torch.linalg.eigvalsh(0.5 * (hessian + hessian.T))
        least, largest = float(eigenvalues[0]), float(eigenvalues[-1])
        slack = 1e-5 * max(abs(least), abs(largest)) + 1e-12
        if smoothness is not None:
            bound = float(torch.as_tensor(smoothness).max())
            claim = "smooth everywhere" if fidelity.smooth_everywhere else "smooth on v ≥ 0"
            at_most(largest, bound + slack, f"‖∇²D‖ of {subject.label}, which claims to be {claim}, at {where}")
        if fidelity.convex:
            at_most(m - least, slack, f"strong_convexity {m:g} of {subject.label} less its curvature at {where}")


@check(since="0.2")
def prox_solves_its_equation(subject: Subject) -> None:
    """`v − prox(v, y, s) ∈ s ∂D`, for steps from 1e-3 to 1e3, small and large predictions, complex ones too."""
    fidelity = subject.build()
    if not has_prox(fidelity):
        raise NotPromised("it has no proximal map")
    for scale, v, y in [*_scaled(fidelity), *_complex(fidelity)]:
        for step in (1e-3, 0.5, 20.0, 1e3, torch.tensor([1e-3, 1.0, 1e3], dtype=torch.float64)):
            s = per_sample(step, v)
            w = fidelity.prox(v, y, step)
            who = f"{subject.label}.prox at predictions of size {scale:g}, step {step}"
            that(bool(torch.isfinite(w).all()), f"{who} gives values that are not finite")
            p = (v - w) / s
            slope = fidelity.gradient(w, y)
            if relative(fidelity.gradient(w * (1 + 1e-10), y), slope) < 1e-4:
                # Relative to the terms that cancel in it, and to the rounding of v.
                size = norm(w - v) + norm(s * slope) + 1e-7 * norm(v)
                at_most(float((norm(w - v + s * slope) / size).max()), 1e-6, f"{who}: ‖w − v + s∇D(w)‖ relative")
            else:
                _assert_subgradient(lambda z, y=y: fidelity(z, y), w, p, who)
            moreau = w + s * fidelity.prox_conjugate(v / s, y, 1 / step)
            at_most(relative(moreau, v), 1e-7, f"{who}: Moreau's identity")


@check(since="0.2")
def conjugate_knows_its_domain(subject: Subject) -> None:
    """`D(v, y) + D*(p, y) ≥ <v, p>` also for large `v` along `p`: infinite where the supremum is."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    for size in (0.3, 1.0, 3.0, 10.0):
        gradient = fidelity.gradient(v * size, y)
        for p in (size * like(v, 7), gradient):
            conjugate = fidelity.conjugate(p, y)
            if conjugate is None:
                raise NotPromised("it states no conjugate")
            that(not bool(torch.isnan(conjugate).any()), f"the conjugate of {subject.label} is not a number")
            for far in (1e-1, 1.0, 1e2, 1e4):
                z = far * p if bool(torch.isfinite(fidelity(far * p, y)).all()) else far * v
                lack = inner(z, p) - fidelity(z, y) - conjugate
                worst = float((lack / (inner(z, p).abs() + norm(z) * norm(p) + 1e-12)).max())
                at_most(worst, 1e-9, f"<v, p> − D(v) − D*(p) of {subject.label} for large v along p")
        value = fidelity(v * size, y)
        conjugate = fidelity.conjugate(gradient, y)
        if conjugate is not None:
            error = (value + conjugate - inner(v * size, gradient)).abs() / (value.abs() + conjugate.abs() + 1e-12)
            at_most(float(error.max()), 1e-7, f"D(v) + D*(p) − <v, p> of {subject.label} at p = ∇D(v)")


@check(since="0.2")
def selects_samples(subject: Subject) -> None:
    """`take(index)` is the fidelity of those samples: value, gradient, proximal map and constants."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    for rows in ([1], [2, 0]):
        index = torch.tensor(rows)
        part = fidelity.take(index)
        that(type(part) is type(fidelity), f"{subject.label}.take gives a {type(part).__name__}")
        pairs = {"value": (part(v[index], y[index]), fidelity(v, y)[index])}
        pairs["gradient"] = part.gradient(v[index], y[index]), fidelity.gradient(v, y)[index]
        if has_prox(fidelity):
            pairs["prox"] = part.prox(v[index], y[index], 0.4), fidelity.prox(v, y, 0.4)[index]
        for name in ("smoothness", "strong_convexity"):
            whole, own = getattr(fidelity, name)(y), getattr(part, name)(y[index])
            that((whole is None) == (own is None), f"{name} of {subject.label}.take is {own}, of the whole {whole}")
            if whole is not None:
                whole = torch.as_tensor(whole, dtype=torch.float64).expand(len(v))[index]
                pairs[name] = torch.as_tensor(own, dtype=torch.float64).expand(len(rows)), whole
        for name, (found, expected) in pairs.items():
            at_most(relative(found, expected), 1e-9, f"{name} of {subject.label}.take({rows}) against the whole's")


@check(since="0.2")
def accepted_measurements_have_values(subject: Subject) -> None:
    """What `check` accepts as a measurement (negative numbers, zeros, large ones) has finite values and gradients."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    v = 0.5 + v.abs().to(v.dtype)
    odd = {"negative": -y.abs().to(y.dtype) - 0.5, "zero": torch.zeros_like(y), "large": 50 * y.abs().to(y.dtype)}
    for what, measurement in odd.items():
        try:
            fidelity.check(measurement)
        except InputError:
            continue
        value, gradient = fidelity(v, measurement), fidelity.gradient(v, measurement)
        finite = bool(torch.isfinite(value).all()) and bool(torch.isfinite(gradient).all())
        that(
            finite and float(value.min()) >= -1e-9 * float(value.abs().max()),
            f"{subject.label}.check accepts {what} measurements, whose values are {value.tolist()}; refuse them",
        )


# Measuring ----------------------------------------------------------------------------------------


def _scaled(fidelity: Fidelity) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Data of several sizes at which the fidelity is finite."""
    v, y = data_for(fidelity)
    for scale in (1.0, 1e-2, 300.0):
        try:
            fidelity.check(scale * y)
        except InputError:
            continue
        value = fidelity(scale * v, scale * y)
        # Exponentials of large numbers swamp every difference.
        if bool(torch.isfinite(value).all()) and float(value.max()) < 1e12:
            yield scale, scale * v, scale * y


def _complex(fidelity: Fidelity) -> Iterator[tuple[float, Tensor, Tensor]]:
    v, y = data_for(fidelity)
    if v.is_complex():
        return
    v, y = torch.complex(v, like(v, 1)), torch.complex(y, like(y, 2))
    try:
        fidelity.check(y)
        fidelity(v, y)
        fidelity.prox(v, y, 1.0)
    except (InputError, CapabilityMissing):
        return
    yield 1.0, v, y


def _hessian(fidelity: Fidelity, v: Tensor, y: Tensor) -> Tensor:
    """Central differences of the gradient along every real unit vector."""
    count = v.numel() * (2 if v.is_complex() else 1)
    unit = torch.eye(count, dtype=torch.float64)
    if v.is_complex():
        unit = torch.view_as_complex(unit.reshape(count, -1, 2))
    unit = unit.reshape(count, *v.shape[1:])
    h = 1e-5
    repeated = y.expand(count, *y.shape[1:]).contiguous()
    change = fidelity.gradient(v + h * unit, repeated) - fidelity.gradient(v - h * unit, repeated)
    rows = torch.view_as_real(change) if change.is_complex() else change
    return rows.reshape(count, count) / (2 * h)


def _assert_subgradient(value: Callable[[Tensor], Tensor], w: Tensor, p: Tensor, who: str) -> None:
    """`D(z) ≥ D(w) + <p, z − w>` for `z` around `w`: `p` is a subgradient of a convex `D` there."""
    here = value(w)
    for seed, size in enumerate((1e-4, 1e-2, 1.0, 1e2)):
        coordinate = torch.zeros_like(w)
        coordinate[..., seed % w.shape[-1]] = size
        for move in (size * like(w, 20 + seed), coordinate):
            for z in (w + move, w - move):
                there = value(z)
                lack = torch.where(torch.isfinite(there), here + inner(p, z - w) - there, 0.0)
                scale = here.abs() + there.abs().nan_to_num(posinf=0.0) + norm(p) * norm(z - w) + 1e-12
                at_most(float((lack / scale).max()), 1e-9, f"{who}: D(w) + <p, z − w> − D(z), p = (v − w)/s")


CHECKS = (
    gradient_agrees_with_central_differences,
    maps_carry_their_derivatives,
    constants_hold_by_the_hessian,
    prox_solves_its_equation,
    conjugate_knows_its_domain,
    selects_samples,
    accepted_measurements_have_values,
)
