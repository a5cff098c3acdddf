"""Mutants of metrics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .changes import after, around, attributes, before, remembering, replaced, times
from .mutant import mutants

KNOWN = "known-values-hold"


def _first_channel(self: Any, original: Any, x: Tensor, truth: Tensor) -> Tensor:
    return original(x[:, :1], truth[:, :1])


def _cropped(self: Any, original: Any, x: Tensor, truth: Tensor) -> Tensor:
    return original(x[..., 1:-1, 1:-1], truth[..., 1:-1, 1:-1]) if x.shape[-1] > 12 else original(x, truth)


def _of_truth(self: Any, original: Any, x: Tensor, truth: Tensor) -> Tensor:
    return original(truth, x)


def _rows_alone(self: Any, original: Any, x: Tensor, truth: Tensor) -> Tensor:
    return original(x, truth) + 0.01 * (x - truth)[..., 0, :].abs().flatten(1).sum(1)


def _rough(self: Any, original: Any, x: Tensor, truth: Tensor) -> Tensor:
    value = original(x, truth)
    return value.to(torch.bfloat16).to(value.dtype) if x.dtype == torch.float32 else value


MUTANTS = mutants(
    "metrics",
    ("psnr", "× 2", after("__call__", times(2.0)), KNOWN),
    ("psnr", "natural logarithm", after("__call__", times(2.302585)), KNOWN),
    (
        "psnr",
        "range of the reconstruction",
        around("__call__", _of_truth),
        KNOWN,
    ),
    ("psnr", "data_range ignored", around("__init__", lambda s, o, data_range=None: o(None)), KNOWN),
    ("psnr", "better when lower", attributes(better="lower"), "says-what-is-better"),
    ("mean-squared-error", "half", after("__call__", times(0.5)), KNOWN),
    ("mean-squared-error", "the sum", around("__call__", lambda s, o, x, t: o(x, t) * x[0].numel()), KNOWN),
    ("mean-squared-error", "root", after("__call__", torch.sqrt), KNOWN),
    (
        "mean-squared-error",
        "imaginary part dropped",
        before("__call__", lambda x: x.real if x.is_complex() else x),
        KNOWN,
    ),
    (
        "mean-squared-error",
        "detached",
        after("__call__", lambda v: v.detach()),
        "derivative-is-right",
        {"survives": "a metric need carry no derivative; the trainer that asks for one says so"},
    ),
    ("mean-squared-error", "derivative × 2", after("__call__", lambda v: 2 * v - v.detach()), "derivative-is-right"),
    ("nmse", "of the reconstruction's energy", around("__call__", _of_truth), KNOWN),
    ("nmse", "root", after("__call__", torch.sqrt), KNOWN),
    ("nmse-db", "20 log", after("__call__", times(2.0)), KNOWN),
    ("nmse-db", "pooled as a mean", replaced(pooled=lambda self, v, w: sum(v)), "pooling-is-a-mean"),
    ("nmse-db", "weights negative", after("weight", times(-1.0)), "pooling-is-a-mean"),
    ("nrmse", "over the mean", after("__call__", times(1.5)), KNOWN),
    ("relative-l2", "squared", after("__call__", torch.square), KNOWN),
    ("ssim", "squared", after("__call__", torch.square), KNOWN),
    (
        "ssim",
        "constants exchanged",
        around(
            "__init__", lambda s, o, data_range=None, window="gaussian", k1=0.01, k2=0.03: o(data_range, window, k2, k1)
        ),
        KNOWN,
    ),
    (
        "ssim",
        "population variances",
        around("_moments", lambda s, o, x, t: (*o(x, t)[:2], *(m * 48 / 49 for m in o(x, t)[2:]))),
        KNOWN,
    ),
    ("ssim", "one channel alone", around("__call__", _first_channel), "sees-every-pixel"),
    ("psnr", "one channel alone", around("__call__", _first_channel), "sees-every-pixel"),
    ("relative-l2", "without the border", around("__call__", _cropped), "sees-every-pixel"),
    ("nrmse", "weighs the first row", around("__call__", _rows_alone), f"does-not-mind-the-frame {KNOWN}"),
    ("matthews", "of the truth", around("__call__", _of_truth), f"{KNOWN} says-what-is-better"),
    ("matthews", "threshold ignored", around("__init__", lambda s, o, threshold="otsu": o(0.95)), KNOWN),
    ("matthews", "absolute", after("__call__", lambda v: v.clamp_max(0.5)), "says-what-is-better sees-every-pixel"),
    ("psnr", "the batch's mean", after("__call__", lambda v: v.mean().expand_as(v)), "is-pure-and-samplewise"),
    ("psnr", "one number", after("__call__", lambda v: v.mean()), "gives-one-number-per-image"),
    (
        "relative-l2",
        "a hidden counter",
        remembering("__call__", lambda v, n: v * (1 + 1e-6 * n)),
        "is-pure-and-samplewise",
    ),
    ("nmse", "half precision in float32", around("__call__", _rough), "is-the-same-in-float32"),
)
