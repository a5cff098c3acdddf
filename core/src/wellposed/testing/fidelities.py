"""What every data fidelity promises: a divergence, its gradient, proximal maps, conjugate and constants."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import CapabilityMissing, InputError
from ..fidelity import Fidelity
from ..space import inner, norm, per_sample
from .adjointness import like
from .measure import (
    at_most,
    dot,
    each_sample_alone,
    generator,
    normal,
    relative,
    size_of,
    taylor_slope,
    that,
    twice_the_same,
    unchanged,
)
from .promise import NotPromised, check
from .proximal_maps import assert_fenchel, assert_prox
from .spaces import measurement_space
from .subject import Subject

_STEPS = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)


def data_for(fidelity: Fidelity, batch: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A prediction and a measurement where the fidelity is finite: normal numbers, or positive ones and counts."""
    space = measurement_space(fidelity)
    v, y = normal(space, batch, seed), normal(space, batch, seed + 100)
    if _accepts(fidelity, v, y):
        return v, y
    positive = 0.5 + v.abs().to(v.dtype)
    counts = torch.poisson(4 * positive.real, generator=generator(seed)).to(v.dtype)
    for measured in (counts, counts + 1.0):
        if _accepts(fidelity, positive, measured):
            return positive, measured
    raise AssertionError(
        f"{type(fidelity).__name__} accepts neither normal numbers nor positive predictions with counts; the kit "
        f"cannot find measurements that it is made for"
    )


@check()
def value_is_nonnegative(subject: Subject) -> None:
    """`D(v, y) ≥ 0`, one finite number per sample in the data's precision."""
    fidelity = subject.build()
    for batch in (1, 3):
        v, y = data_for(fidelity, batch)
        value = fidelity(v, y)
        that(tuple(value.shape) == (batch,), f"{subject.label}(v, y) must be ({batch},); it is {tuple(value.shape)}")
        that(value.dtype == torch.float64, f"{subject.label}(v, y) must be float64; it is {value.dtype}")
        that(bool(torch.isfinite(value).all()), f"{subject.label}(v, y) is not finite where it should be")
        at_most(-float(value.min()), 1e-12, f"{subject.label} must be nonnegative; minus its value")


@check()
def gradient_is_right(subject: Subject) -> None:
    """`D(v + th, y) − D(v, y) − t <∇D(v, y), h>` falls with t²."""
    fidelity = subject.build()
    v, y = data_for(fidelity, 1)
    h = 0.3 * like(v, 5)
    value, gradient = float(fidelity(v, y)), fidelity.gradient(v, y)
    that(gradient.shape == v.shape and gradient.dtype == v.dtype, f"the gradient of {subject.label} must be like v")
    slope = dot(gradient, h)
    order = taylor_slope(lambda t: abs(float(fidelity(v + t * h, y)) - value - t * slope), abs(value) + abs(slope))
    that(
        order >= 1.8,
        f"the remainder of {subject.label}'s linearisation must fall with the square of the step; its order is "
        f"{order:.2f}, which tells of a wrong gradient",
    )


@check()
def leaves_inputs_unchanged(subject: Subject) -> None:
    """No map writes into the prediction, the measurement or the step."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    with unchanged(subject.label, v=v, y=y, step=_STEPS):
        for call in _maps(fidelity).values():
            call(v, y)
        fidelity.smoothness(y)
        fidelity.check(y)


@check()
def is_pure_and_samplewise(subject: Subject) -> None:
    """The same data give the same result, and a sample's result does not depend on the others."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    other = data_for(fidelity, seed=1)
    for name, call in _maps(fidelity).items():
        who = f"{subject.label}.{name}"
        twice_the_same(who, lambda call=call: call(v, y), between=lambda call=call: call(*other))
        if "steps" not in name:
            # The measurement travels with its prediction, as one tensor.
            pair = torch.stack([v, y], dim=1)
            each_sample_alone(who, lambda both, call=call: call(both[:, 0], both[:, 1]), pair, 1e-10)


@check()
def keeps_precision(subject: Subject) -> None:
    """float32 in, float32 out, and the same values as in float64 up to rounding."""
    double, single = subject.build(), subject.build(torch.float32)
    v, y = data_for(double)
    field = torch.complex64 if v.is_complex() else torch.float32
    for name, call in _maps(double).items():
        if "steps" in name:
            continue
        rough, exact = _maps(single)[name](v.to(field), y.to(field)), call(v, y)
        that(rough.dtype.to_real() == torch.float32, f"{subject.label}.{name} turns float32 into {rough.dtype}")
        at_most(relative(rough, exact), 1e-4, f"{subject.label}.{name} must give the same in float32 as in float64")


@check()
def prox_minimises_its_objective(subject: Subject) -> None:
    """`s D(w, y) + ½‖w − v‖²` is nowhere smaller than at `w = prox(v, y, s)`."""
    fidelity = _with_prox(subject.build())
    v, y = data_for(fidelity)
    for step in (0.1, 1.0, 5.0):
        who = f"{subject.label}.prox with step {step:g}"
        assert_prox(lambda w: fidelity(w, _repeated(y, w)), lambda w, s: fidelity.prox(w, y, s), v, step, who)


@check()
def proxes_satisfy_moreau(subject: Subject) -> None:
    """`v = prox_sD(v) + s prox_{D*/s}(v/s)`, with one step and with a step per sample."""
    fidelity = _with_prox(subject.build())
    v, y = data_for(fidelity)
    for step in (0.4, _STEPS):
        s = per_sample(step, v)
        total = fidelity.prox(v, y, step) + s * fidelity.prox_conjugate(v / s, y, 1 / step)
        at_most(relative(total, v), 1e-8, f"Moreau's identity of {subject.label}")
    together = fidelity.prox(v, y, _STEPS)
    for i, step in enumerate(_STEPS.tolist()):
        part = slice(i, i + 1)
        at_most(
            relative(together[part], fidelity.take(torch.tensor([i])).prox(v[part], y[part], step)),
            1e-10,
            f"{subject.label}.prox with a step per sample against step {step:g} alone",
        )


@check(applies=lambda cls: getattr(cls, "conjugate", None) is not Fidelity.conjugate)
def conjugate_satisfies_fenchel(subject: Subject) -> None:
    """`D(v, y) + D*(p, y) ≥ <v, p>`, with equality at `p = ∇D(v, y)`."""
    fidelity = subject.build()
    v, y = data_for(fidelity)
    p = fidelity.gradient(v, y)
    value = fidelity.conjugate(p, y)
    if value is None:
        raise NotPromised("it states no conjugate")
    assert_fenchel(fidelity(v, y), value, v, p, subject.label)
    q = p + 0.1 * like(p, 7)
    other = fidelity.conjugate(q, y)
    if other is not None:
        gap = fidelity(v, y) + other - inner(v, q)
        at_most(-float(gap.min()), 1e-9, f"{subject.label} must satisfy D(v) + D*(q) ≥ <v, q>; the lack of it")


@check()
def claimed_constants_hold(subject: Subject) -> None:
    """`‖∇D(v) − ∇D(w)‖ ≤ L‖v − w‖` and, where convex, `<∇D(v) − ∇D(w), v − w> ≥ m‖v − w‖²`.

    On nonnegative predictions: the likelihoods of counts are smooth there alone.
    """
    fidelity = subject.build()
    v, y = data_for(fidelity)
    v = v.abs().to(v.dtype)
    smoothness, m = fidelity.smoothness(y), fidelity.strong_convexity(y)
    that(bool((torch.as_tensor(m) >= 0).all()), f"strong_convexity of {subject.label} is {m}; it must be ≥ 0")
    if smoothness is None and not fidelity.convex:
        raise NotPromised("it states no constants")
    for w in (data_for(fidelity, seed=1)[0].abs().to(v.dtype), v + 1e-3 * like(v, 3).abs(), 0.1 * v, 5 * v):
        change, apart = fidelity.gradient(v, y) - fidelity.gradient(w, y), v - w
        if smoothness is not None:
            ratio = norm(change) / norm(apart) / torch.as_tensor(smoothness).clamp_min(1e-300)
            at_most(float(ratio.max()), 1 + 1e-6, f"‖∇D(v) − ∇D(w)‖ / L‖v − w‖ of {subject.label}")
        if fidelity.convex:
            lack = torch.as_tensor(m) * norm(apart).square() - inner(change, apart)
            at_most(
                float((lack / (norm(change) * norm(apart) + 1e-12)).max()),
                1e-9,
                f"∇D of {subject.label} must be monotone with modulus {m}; its relative lack",
            )


@check()
def complex_data_work_or_are_refused(subject: Subject) -> None:
    """Complex data give the value of a norm of complex numbers and its gradient, or a sentence that refuses them."""
    fidelity = subject.build()
    v, y = data_for(fidelity, 1)
    if v.is_complex():
        raise NotPromised("its data are complex anyway")
    v, y, h = (torch.complex(t, 0.5 * like(t, seed)) for seed, t in enumerate((v, y, like(v, 9))))
    try:
        fidelity.check(y)
        value, gradient = fidelity(v, y), fidelity.gradient(v, y)
    except InputError as refusal:
        raise NotPromised(f"it refuses complex data: {refusal}") from refusal
    except Exception as error:
        raise AssertionError(
            f"{subject.label} must take complex data or refuse them with an InputError (in check or forward); it "
            f"raised {type(error).__name__}: {error}"
        ) from error
    that(not value.is_complex(), f"{subject.label} of complex data must be real; it is {value.dtype}")
    slope = dot(gradient, h)
    order = taylor_slope(
        lambda t: abs(float(fidelity(v + t * h, y)) - float(value) - t * slope), float(value) + abs(slope)
    )
    that(order >= 1.8, f"{subject.label}'s gradient of complex data must be its steepest ascent; order {order:.2f}")


@check(applies=lambda cls: torch.cuda.is_available())
def runs_on_cuda(subject: Subject) -> None:
    """Moved to CUDA it computes there what it computes on the CPU."""
    here, there = subject.build(), subject.build().to("cuda")
    v, y = data_for(here)
    for name, call in _maps(here).items():
        if "steps" not in name:
            result = _maps(there)[name](v.cuda(), y.cuda())
            that(result.is_cuda, f"{subject.label}.{name} of CUDA tensors is on {result.device}")
            at_most(relative(result.cpu(), call(v, y)), 1e-8, f"{subject.label}.{name} must compute the same on CUDA")


# Measuring ----------------------------------------------------------------------------------------


def _maps(fidelity: Fidelity) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    maps: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"value": fidelity, "gradient": fidelity.gradient}
    if has_prox(fidelity):
        maps["prox"] = lambda v, y: fidelity.prox(v, y, 0.7)
        maps["prox_conjugate"] = lambda v, y: fidelity.prox_conjugate(v, y, 0.7)
        maps["prox with steps per sample"] = lambda v, y: fidelity.prox(v, y, _STEPS[: len(v)])
    return maps


def has_prox(fidelity: Fidelity) -> bool:
    """Whether it has a proximal map, as it is configured."""
    cls = type(fidelity)
    if cls.prox is Fidelity.prox and cls.prox_conjugate is Fidelity.prox_conjugate:
        return False
    try:
        fidelity.prox(*data_for(fidelity, 1), 1.0)
    except CapabilityMissing:
        return False
    return True


def _repeated(y: Tensor, like: Tensor) -> Tensor:
    """The measurements `y` in turn, as many as `like`."""
    return torch.cat([y] * (len(like) // len(y)))


def _with_prox(fidelity: Fidelity) -> Fidelity:
    if not has_prox(fidelity):
        raise NotPromised("it has no proximal map")
    return fidelity


def _accepts(fidelity: Fidelity, v: Tensor, y: Tensor) -> bool:
    try:
        fidelity.check(y)
    except InputError:
        return False
    return bool(torch.isfinite(fidelity(v, y)).all()) and size_of(y) > 0


CHECKS = (
    value_is_nonnegative,
    gradient_is_right,
    leaves_inputs_unchanged,
    is_pure_and_samplewise,
    keeps_precision,
    prox_minimises_its_objective,
    proxes_satisfy_moreau,
    conjugate_satisfies_fenchel,
    claimed_constants_hold,
    complex_data_work_or_are_refused,
    runs_on_cuda,
)
