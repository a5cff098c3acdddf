"""What every metric promises: one number per image, best for the truth itself, worse for more noise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import InputError, WellposedError
from ..metric import Metric
from ..space import Space
from .measure import at_most, bump, normal, relative, that, twice_the_same, unchanged
from .promise import NotPromised, check
from .subject import Subject
from .tapes import assert_differentiable

_SPACE = Space((1, 32, 32))


def _images(metric: Metric) -> Callable[..., tuple[Tensor, Tensor]]:
    """Grey images, or segmentations of them for a metric that refuses grey truths."""
    try:
        metric(*_grey(0.1))
    except InputError:
        return _segmented
    return _grey


def _segmented(noise: float, batch: int = 3) -> tuple[Tensor, Tensor]:
    x, truth = _grey(noise, batch)
    segments = (truth > 0.5).to(truth.dtype)
    return segments + (x - truth), segments


def _grey(noise: float, batch: int = 3) -> tuple[Tensor, Tensor]:
    """Noisy and true images between 0 and about 1, on a structured background."""
    truth = bump(_SPACE, batch) / torch.arange(1, batch + 1, dtype=torch.float64).reshape(-1, 1, 1, 1)
    stripes = (torch.arange(32) % 8 < 4).double()
    truth = 0.8 * truth + 0.2 * stripes
    return truth + noise * normal(_SPACE, batch), truth


@check()
def gives_one_number_per_image(subject: Subject) -> None:
    """`metric(x, truth)` is `(B,)`, real and not not-a-number, in float32 and float64."""
    metric: Metric = subject.build()
    for dtype in (torch.float32, torch.float64):
        for batch in (1, 3):
            x, truth = (t.to(dtype) for t in _images(metric)(0.1, batch))
            with unchanged(subject.label, x=x, truth=truth):
                value = metric(x, truth)
            that(tuple(value.shape) == (batch,), f"{subject.label} must give ({batch},); it gives {tuple(value.shape)}")
            that(value.is_floating_point(), f"{subject.label} must give real numbers; it gives {value.dtype}")
            that(bool(torch.isfinite(value).all()), f"{subject.label} of noisy images is {value.tolist()}")


@check()
def says_what_is_better(subject: Subject) -> None:
    """`better` is "higher" or "lower", the truth itself is best, and more noise is worse."""
    metric: Metric = subject.build()
    that(metric.better in ("higher", "lower"), f"{subject.label}.better must be higher or lower, not {metric.better!r}")
    sign = 1.0 if metric.better == "higher" else -1.0
    images = _images(metric)
    values = [sign * metric(*images(noise)) for noise in (0.0, 0.2, 0.5, 2.0)]
    that(not bool(torch.isnan(values[0]).any()), f"{subject.label} of the truth itself is not a number")
    for better, worse in pairwise(values):
        that(
            bool((better > worse).all()),
            f"{subject.label} says {metric.better} is better; it must get worse with more noise, but goes "
            f"{[(sign * v).tolist() for v in values]}",
        )


@check()
def is_pure_and_samplewise(subject: Subject) -> None:
    """The same images give the same number, whatever else is in the batch."""
    metric: Metric = subject.build()
    x, truth = _images(metric)(0.1)
    twice_the_same(subject.label, lambda: metric(x, truth), between=lambda: metric(2 * x, truth))
    together = metric(x, truth)
    for i in range(len(x)):
        alone = metric(x[i : i + 1], truth[i : i + 1])
        close = torch.allclose(together[i : i + 1], alone, rtol=1e-10, atol=1e-12)
        that(close, f"{subject.label} of image {i} depends on the others in its batch")


@check(since="0.2")
def is_the_same_in_float32(subject: Subject) -> None:
    """In float32 the number is what it is in float64, to 1e-3."""
    metric: Metric = subject.build()
    x, truth = _images(metric)(0.1)
    exact, rough = metric(x, truth), metric(x.float(), truth.float())
    at_most(relative(rough.double(), exact.double()), 1e-3, f"{subject.label} in float32 against float64")


@check(since="0.2")
def sees_every_pixel(subject: Subject) -> None:
    """An error in any channel, at any border, of images that are not square, changes the number."""
    metric: Metric = subject.build()
    truth = (normal(Space((3, 20, 33)), 2, seed=2) > 0.3).double()
    x = truth + 0.05 * normal(Space((3, 20, 33)), 2, seed=3)
    try:
        value = metric(x, truth)
    except WellposedError as refusal:
        raise NotPromised(f"it refuses three channels: {refusal}") from refusal
    that(tuple(value.shape) == (2,), f"{subject.label} of {tuple(x.shape)} must be (2,); it is {tuple(value.shape)}")
    places = {"the first channel": (0, 5, 5), "the last channel": (2, 5, 5), "the last row": (1, 19, 8)}
    places |= {"the last column": (1, 8, 32), "the first corner": (0, 0, 0), "the last corner": (2, 19, 32)}
    for what, place in places.items():
        worse = x.clone()
        worse[(slice(None), *place)] = 1 - truth[(slice(None), *place)]
        changed = metric(worse, truth)
        better = changed >= value if metric.better == "higher" else changed <= value
        that(not bool(better.any()), f"{subject.label} does not get worse by an error in {what}")


@check(since="0.2")
def does_not_mind_the_frame(subject: Subject) -> None:
    """Both images turned or mirrored alike have the same number."""
    metric: Metric = subject.build()
    x, truth = _images(metric)(0.2)
    value = metric(x, truth)
    for what, move in {"mirrored": lambda t: t.flip(-1), "transposed": lambda t: t.mT}.items():
        at_most(relative(metric(move(x), move(truth)), value), 1e-9, f"{subject.label} of both images {what}")


@check(since="0.2")
def pooling_is_a_mean(subject: Subject) -> None:
    """`pooled` of one image is its value, of equal values that value, and lies between the extremes."""
    metric: Metric = subject.build()
    x, truth = _images(metric)(0.3)
    values, weights = metric(x, truth).tolist(), metric.weight(truth)
    that(
        tuple(weights.shape) == (len(x),) and bool((weights > 0).all()),
        f"{subject.label}.weight must be one positive number per image; it is {weights.tolist()}",
    )
    each = weights.tolist()
    single = metric.pooled(values[:1], each[:1])
    at_most(abs(single - values[0]), 1e-9 * abs(values[0]), f"{subject.label}.pooled of one image less its value")
    equal = metric.pooled([values[0]] * 3, each)
    at_most(abs(equal - values[0]), 1e-9 * abs(values[0]), f"{subject.label}.pooled of equal values less the value")
    whole = metric.pooled(values, each)
    slack = 1e-9 * max(map(abs, values))
    that(
        min(values) - slack <= whole <= max(values) + slack,
        f"{subject.label}.pooled is {whole:.6g} for values {values}, outside of them",
    )


@check(since="0.2")
def derivative_is_right(subject: Subject) -> None:
    """Where the number carries a derivative, so that it can be a loss, it is the right one."""
    metric: Metric = subject.build()
    x, truth = _images(metric)(0.2)
    if not metric(x.clone().requires_grad_(), truth).requires_grad:
        raise NotPromised("it carries no derivative")
    assert_differentiable(lambda image: metric(image, truth), x, subject.label, 1e-4)


CHECKS = (
    gives_one_number_per_image,
    says_what_is_better,
    is_pure_and_samplewise,
    is_the_same_in_float32,
    sees_every_pixel,
    does_not_mind_the_frame,
    pooling_is_a_mean,
    derivative_is_right,
)
