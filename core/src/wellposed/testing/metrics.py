"""What every metric promises: one number per image, best for the truth itself, worse for more noise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import InputError
from ..metric import Metric
from ..space import Space
from .measure import bump, normal, that, twice_the_same, unchanged
from .promise import check
from .subject import Subject

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


CHECKS = (gives_one_number_per_image, says_what_is_better, is_pure_and_samplewise)
