"""What every regularizer promises: its declared capabilities work, purely, sample by sample, with right gradients.

A regularizer whose value or proximal map is computed by an inner iteration states the relative duality
gap at which that stops as its attribute `tolerance`; comparisons of values then allow for it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import CapabilityMissing, WellposedError
from ..regularizer import Capability, Regularizer
from ..space import Space, norm
from .adjointness import assert_adjoint, like
from .measure import (
    at_most,
    dot,
    each_sample_alone,
    normal,
    relative,
    size_of,
    taylor_slope,
    that,
    twice_the_same,
    unchanged,
)
from .promise import NotPromised, check
from .spaces import image_space
from .subject import Subject

#: What is computed in closed form is exact to this, relative to the terms.
INEXACT = 1e-7
STEP = 0.3


def may(capability: Capability) -> Callable[[type], bool]:
    """Whether a class declares the capability, or leaves it to its instances."""

    def declared(cls: type) -> bool:
        capabilities = getattr(cls, "capabilities", frozenset())
        return not isinstance(capabilities, frozenset) or not capabilities or capability in capabilities

    return declared


def needs(regularizer: Regularizer, capability: Capability) -> None:
    if capability not in regularizer.capabilities:
        raise NotPromised(f"it declares no {capability}")


def gap_of(functional: object) -> float:
    """The relative duality gap that inner iterations of a functional or its parts leave; 0 without such."""
    parts = functional.modules() if isinstance(functional, nn.Module) else [functional]
    return max((float(t) for p in parts if isinstance(t := getattr(p, "tolerance", None), float | int)), default=0.0)


def images_for(regularizer: Regularizer, batch: int = 3, seed: int = 0) -> Tensor:
    """Random images on which the value is finite: normal ones, or such mapped into the domain by `prox`."""
    x = normal(image_space(regularizer), batch, seed)
    if "value" not in regularizer.capabilities or bool(torch.isfinite(regularizer(x)).all()):
        return x
    return regularizer.prox(x, 1.0) if "prox" in regularizer.capabilities else x.abs().to(x.dtype)


def maps_of(regularizer: Regularizer) -> dict[str, Callable[[Tensor], Tensor]]:
    """The declared capabilities that are maps of one image, by name."""
    maps: dict[str, Callable[[Tensor], Tensor]] = {
        "value": regularizer,
        "grad": regularizer.grad,
        "prox": lambda x: regularizer.prox(x, STEP),
    }
    return {name: call for name, call in maps.items() if name in regularizer.capabilities}


@check()
def declares_what_it_has(subject: Subject) -> None:
    """Something is declared, and what is not raises `CapabilityMissing`."""
    regularizer = subject.build()
    x = normal(image_space(regularizer))
    that(bool(regularizer.capabilities), f"{subject.label} declares no capability, so nothing can use it")
    calls: dict[Capability, Callable[[], object]] = {
        "value": lambda: regularizer(x),
        "grad": lambda: regularizer.grad(x),
        "prox": lambda: regularizer.prox(x, STEP),
        "split": regularizer.split,
    }
    absent = set(calls) - set(regularizer.capabilities)
    if "prox" in regularizer.capabilities:
        absent -= {"split"}
    for capability in sorted(absent):
        try:
            calls[capability]()
        except CapabilityMissing:
            continue
        raise AssertionError(f"{subject.label} does not declare {capability!r} but has it; declare it")


@check(applies=may("value"))
def value_is_one_number_per_image(subject: Subject) -> None:
    """`R(x)` has shape `(B,)`, is real, keeps the precision and is never not-a-number."""
    regularizer = subject.build()
    needs(regularizer, "value")
    for batch in (1, 3):
        value = regularizer(normal(image_space(regularizer), batch))
        that(tuple(value.shape) == (batch,), f"{subject.label}(x) must be ({batch},); it is {tuple(value.shape)}")
        that(value.dtype == torch.float64, f"{subject.label}(x) of float64 images must be so too; it is {value.dtype}")
        that(not bool(torch.isnan(value).any()), f"{subject.label}(x) is not a number for finite images")
    single = subject.build(torch.float32)
    value = single(normal(image_space(single), dtype=torch.float32))
    that(value.dtype == torch.float32, f"{subject.label}(x) must be float32 for float32 images; it is {value.dtype}")


@check()
def maps_keep_shape_and_precision(subject: Subject) -> None:
    """Gradient and proximal map return finite tensors like their argument, in float32 what they do in float64."""
    double, single = subject.build(), subject.build(torch.float32)
    maps = {name: call for name, call in maps_of(double).items() if name != "value"}
    if not maps:
        raise NotPromised("it declares neither grad nor prox")
    x = images_for(double)
    for name, call in maps.items():
        result = call(x)
        that(
            result.shape == x.shape and result.dtype == x.dtype,
            f"{subject.label}.{name} must return {tuple(x.shape)} {x.dtype}; it returns {tuple(result.shape)} "
            f"{result.dtype}",
        )
        that(bool(torch.isfinite(result).all()), f"{subject.label}.{name} gives values that are not finite")
        rough = maps_of(single)[name](x.to(torch.complex64 if x.is_complex() else torch.float32))
        that(rough.dtype != x.dtype, f"{subject.label}.{name} turns float32 images into {rough.dtype}")
        # An iteration that ends at a gap g is within √(2g) of the exact point in each precision.
        limit = 4e-4 + 3 * gap_of(double) ** 0.5
        at_most(relative(rough, result), limit, f"{subject.label}.{name} must give the same in float32 as in float64")


@check()
def leaves_inputs_unchanged(subject: Subject) -> None:
    """No capability writes into the image or the step."""
    regularizer = subject.build()
    x, step = images_for(regularizer), torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    with unchanged(subject.label, x=x, step=step):
        for call in maps_of(regularizer).values():
            call(x)
        if "prox" in regularizer.capabilities:
            regularizer.prox(x, step)


@check()
def is_pure(subject: Subject) -> None:
    """The same image gives bitwise the same result, whatever was computed between."""
    regularizer = subject.build()
    x, other = images_for(regularizer), images_for(regularizer, seed=1)
    for name, call in maps_of(regularizer).items():
        twice_the_same(f"{subject.label}.{name}", lambda call=call: call(x), between=lambda call=call: call(other))


@check()
def treats_samples_independently(subject: Subject) -> None:
    """Value, gradient and proximal map of an image do not depend on the others in its batch."""
    regularizer = subject.build()
    x = images_for(regularizer)
    x = x * torch.tensor([1.0, 0.1, 10.0], dtype=torch.float64).reshape(-1, *([1] * (x.ndim - 1)))
    x = x if _finite(regularizer, x) else images_for(regularizer)
    for name, call in maps_of(regularizer).items():
        tolerance = 1e-8 if name == "prox" else 1e-11
        each_sample_alone(f"{subject.label}.{name}", call, x, tolerance)


@check(applies=may("grad"))
def gradient_is_right(subject: Subject) -> None:
    """`R(x + th) − R(x) − t <∇R(x), h>` falls with t²."""
    regularizer = subject.build()
    needs(regularizer, "grad")
    needs(regularizer, "value")
    for seed in (0, 1):
        x, h = images_for(regularizer, 1, seed), normal(image_space(regularizer), 1, 10 + seed)
        value, slope = float(regularizer(x).detach()), dot(regularizer.grad(x).detach(), h)
        order = taylor_slope(
            lambda t, x=x, h=h, value=value, slope=slope: abs(float(regularizer(x + t * h)) - value - t * slope),
            abs(value) + abs(slope),
        )
        that(
            order >= 1.8,
            f"the remainder of {subject.label}'s linearisation must fall with the square of the step; its order is "
            f"{order:.2f}, which tells of a wrong gradient",
        )


@check(applies=may("split"))
def split_adds_up(subject: Subject) -> None:
    """`split()` gives terms with `Σ g_i(K_i x) = R(x)`, each `g_i` with a proximal map."""
    regularizer = subject.build()
    needs(regularizer, "split")
    terms = regularizer.split()
    for term in terms:
        that(
            "prox" in term.functional.capabilities,
            f"the term {type(term.functional).__name__} of {subject.label} must have a proximal map",
        )
    if "value" not in regularizer.capabilities or any("value" not in t.functional.capabilities for t in terms):
        raise NotPromised("it, or a term of it, has no value")
    x = images_for(regularizer)
    total = sum((t.functional(x if t.analysis is None else t.analysis(x)) for t in terms), torch.zeros(len(x)).double())
    at_most(relative(total, regularizer(x)), 1e-10, f"the terms of {subject.label}.split() must add up to its value")


@check(applies=may("split"))
def split_analysis_is_linear_with_adjoint(subject: Subject) -> None:
    """Each `K_i` has an exact adjoint and `norm(x) ≥ ‖K_i‖`."""
    regularizer = subject.build()
    needs(regularizer, "split")
    x = normal(image_space(regularizer))
    for analysis in (t.analysis for t in regularizer.split() if t.analysis is not None):
        who = f"the analysis {type(analysis).__name__} of {subject.label}"
        p = like(analysis(x), seed=1)
        assert_adjoint(analysis, analysis.adjoint, x, p, 1e-12, who)
        z = x[:1]
        for _ in range(60):
            z = analysis.adjoint(analysis(z / size_of(z)))
        at_most(size_of(z) ** 0.5, analysis.norm(x) * (1 + 1e-6), f"‖K‖ of {who} against its norm()")


@check()
def claimed_invariances_hold(subject: Subject) -> None:
    """`R(g x) = R(x)`, `∇R(g x) = g ∇R(x)` and `prox(g x) = g prox(x)` for the claimed groups.

    "translation": an object inside a constant background, moved by whole pixels; its proximal map sees the border.
    "c4": quarter turns. "d4": quarter turns and reflections.
    """
    regularizer = subject.build()
    unknown = regularizer.invariances - set(_MOVES)
    if not regularizer.invariances or "value" not in regularizer.capabilities:
        raise NotPromised("it claims no invariance")
    x = _object(image_space(regularizer))
    if not _finite(regularizer, x) and "prox" in regularizer.capabilities:
        x = regularizer.prox(x, 1.0)
    for group in sorted(regularizer.invariances - unknown):
        for what, move in _MOVES[group].items():
            moved = move(x)
            who = f"{subject.label} claims invariance under {group}"
            limit = 1e-9 + 2 * gap_of(regularizer)
            at_most(apart(regularizer(moved), regularizer(x)), limit, f"{who}; its value after {what}")
            if "grad" in regularizer.capabilities:
                at_most(
                    relative(_inside(regularizer.grad(moved)), _inside(move(regularizer.grad(x)))),
                    1e-9,
                    f"{who}; its gradient after {what}",
                )
            if "prox" in regularizer.capabilities and group != "translation":
                _same_proximal_map(regularizer, x, move, f"{who}; its proximal map after {what}")
    if unknown:
        raise NotPromised(f"the kit cannot check the groups {', '.join(sorted(unknown))}")


def _same_proximal_map(regularizer: Regularizer, x: Tensor, move: Callable[[Tensor], Tensor], who: str) -> None:
    """`prox(g x) = g prox(x)`, up to the errors that the map itself states."""
    (moved, one), (image, other) = (regularizer.prox_with_error(z, STEP) for z in (move(x), x))
    for error, bound in zip(norm(moved - move(image)), one + other + 1e-9 * norm(image), strict=True):
        at_most(float(error), float(bound), who)


@check()
def complex_images_work_or_are_refused(subject: Subject) -> None:
    """Complex images give finite results and right gradients, or a sentence that refuses them."""
    regularizer = subject.build()
    if image_space(regularizer).is_complex:
        raise NotPromised("its images are complex anyway")
    space = Space(image_space(regularizer).shape, torch.complex64)
    x, h = normal(space, 1), normal(space, 1, seed=1)
    try:
        results = {name: call(x) for name, call in maps_of(regularizer).items()}
    except WellposedError as refusal:
        raise NotPromised(f"it refuses complex images: {refusal}") from refusal
    except Exception as error:
        raise AssertionError(
            f"{subject.label} must take complex images or refuse them with an InputError; it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    for name, result in results.items():
        that(
            result.is_complex() == (name != "value"),
            f"{subject.label}.{name} of a complex image is {result.dtype}",
        )
    if {"value", "grad"} <= set(results):
        slope = dot(results["grad"], h)
        order = taylor_slope(
            lambda t: abs(float(regularizer(x + t * h)) - float(results["value"]) - t * slope), float(results["value"])
        )
        that(order >= 1.8, f"{subject.label}'s gradient of a complex image must be its steepest ascent: {order:.2f}")


@check(applies=lambda cls: torch.cuda.is_available())
def runs_on_cuda(subject: Subject) -> None:
    """Moved to CUDA it computes there what it computes on the CPU."""
    here, there = subject.build(), subject.build().to("cuda")
    x = images_for(here)
    for name, call in maps_of(here).items():
        result = maps_of(there)[name](x.cuda())
        that(result.is_cuda, f"{subject.label}.{name} of a CUDA tensor is on {result.device}")
        at_most(relative(result.cpu(), call(x)), 1e-6, f"{subject.label}.{name} must compute the same on CUDA")


# Measuring ----------------------------------------------------------------------------------------

_MOVES: dict[str, dict[str, Callable[[Tensor], Tensor]]] = {
    "translation": {
        "a shift by (1, 1)": lambda x: torch.roll(x, (1, 1), (-2, -1)),
        "a shift by (-2, 1)": lambda x: torch.roll(x, (-2, 1), (-2, -1)),
    },
    "c4": {
        "a quarter turn": lambda x: torch.rot90(x, 1, (-2, -1)),
        "three quarter turns": lambda x: torch.rot90(x, 3, (-2, -1)),
    },
    "d4": {
        "a quarter turn": lambda x: torch.rot90(x, 1, (-2, -1)),
        "a reflection": lambda x: x.flip(-1),
        "a transposition": lambda x: x.transpose(-2, -1),
    },
}


def _object(space: Space) -> Tensor:
    """Random images that are zero on the outer quarter of each side."""
    if len(space.shape) < 3 or space.shape[-1] != space.shape[-2] or space.shape[-1] < 8:
        raise NotPromised(f"its images {space.shape} are too small or not square")
    x, margin = normal(space), space.shape[-1] // 4
    inner = torch.zeros_like(x)
    inner[..., margin:-margin, margin:-margin] = x[..., margin:-margin, margin:-margin]
    return inner


def apart(first: Tensor, second: Tensor) -> float:
    """Relative distance of two values; infinite ones are no distance apart from each other."""
    same = first == second
    return relative(first.where(~same, 1.0), second.where(~same, 1.0))


def _inside(image: Tensor) -> Tensor:
    """Without the border pixels, where a shifted gradient sees another boundary."""
    return image[..., 3:-3, 3:-3]


def _finite(regularizer: Regularizer, x: Tensor) -> bool:
    return "value" not in regularizer.capabilities or bool(torch.isfinite(regularizer(x)).all())


CHECKS = (
    declares_what_it_has,
    value_is_one_number_per_image,
    maps_keep_shape_and_precision,
    leaves_inputs_unchanged,
    is_pure,
    treats_samples_independently,
    gradient_is_right,
    split_adds_up,
    split_analysis_is_linear_with_adjoint,
    claimed_invariances_hold,
    complex_images_work_or_are_refused,
    runs_on_cuda,
)
