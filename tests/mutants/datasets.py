"""Mutants of datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from wellposed.dataset import Sample

from .changes import after, around, replaced
from .mutant import Change, mutants

_SIMULATED = {
    "images": {"use": "ellipses", "size": 16, "length": 6},
    "operator": {"use": "parallel-beam", "shape": [16, 16], "angles": 12},
    "noise": {"use": "gaussian", "sigma": 0.01},
}
_DATA = ("ellipses", "textures", "skimage-images", "indicator-signals", "sparse-codes")


def truth(what: Any) -> Change:
    """The image of every sample, changed."""
    return after("__getitem__", lambda sample: replace(sample, truth=what(sample.truth)))


def _first(self: Any, original: Any, index: int) -> Sample:
    self.check_index(index)
    return replace(original(0), name=original(index).name)


def _nan_at_seven(self: Any, original: Any, index: int) -> Sample:
    sample = original(index)
    assert sample.truth is not None
    return replace(sample, truth=sample.truth * float("nan")) if index % len(self) == 7 else sample


def _of_the_next(self: Any, original: Any, index: int) -> Sample:
    """The measurement of another sample."""
    return replace(original(index), measurement=original((index + 1) % len(self)).measurement)


def _flipped(sample: Sample) -> Sample:
    assert sample.measurement is not None
    return replace(sample, measurement=sample.measurement.flip(-1))


def _doubled(sample: Sample) -> Sample:
    assert sample.measurement is not None
    return replace(sample, measurement=2 * sample.measurement)


def _double_at_two(self: Any, original: Any, index: int) -> Sample:
    sample = original(index)
    assert sample.truth is not None
    return replace(sample, truth=sample.truth.double()) if index % len(self) == 1 else sample


def _global(self: Any, original: Any, index: int) -> Sample:
    sample = original(index)
    assert sample.truth is not None
    return replace(sample, truth=sample.truth + 1e-3 * torch.randn(sample.truth.shape))


def _counting(self: Any, original: Any, index: int) -> Sample:
    sample = original(index)
    self.__dict__["_reads"] = self.__dict__.get("_reads", 0) + 1
    assert sample.truth is not None
    return replace(sample, truth=sample.truth * (1 + 1e-6 * self.__dict__["_reads"]))


def _without_seed(self: Any, original: Any, *args: Any, **options: Any) -> None:
    options.pop("seed", None)
    original(*args, **options)


def _wrapping(self: Any, original: Any, index: int) -> Sample:
    return original(index % len(self))


def _cached(self: Any, original: Any, index: int) -> Sample:
    kept = self.__dict__.setdefault("_kept", {})
    return kept.setdefault(index, original(index))


MUTANTS = mutants(
    "datasets",
    *((base, "all samples alike", around("__getitem__", _first), "samples-differ") for base in _DATA),
    *(
        (base, "names alike", after("__getitem__", lambda s: replace(s, name="sample")), "samples-differ")
        for base in _DATA[:3]
    ),
    (
        "ellipses",
        "not a number at index 7",
        around("__getitem__", _nan_at_seven),
        "holds-samples",
        {"example": {"size": 16, "length": 12}},
    ),
    (
        "textures",
        "not a number at index 7",
        around("__getitem__", _nan_at_seven),
        "holds-samples",
        {"example": {"size": 16, "length": 12}},
    ),
    ("ellipses", "float64 at index 1", around("__getitem__", _double_at_two), "samples-are-of-one-kind"),
    (
        "ellipses",
        "noise of the global generator",
        around("__getitem__", _global),
        "samples-depend-on-their-index-alone",
    ),
    (
        "textures",
        "other samples when read again",
        around("__getitem__", _counting),
        "samples-depend-on-their-index-alone",
    ),
    ("ellipses", "seed ignored", around("__init__", _without_seed), "seed-changes-the-samples"),
    ("sparse-codes", "seed ignored", around("__init__", _without_seed), "seed-changes-the-samples"),
    ("textures", "indices go round", around("__getitem__", _wrapping), "counts-like-a-sequence"),
    ("skimage-images", "hands out what it keeps", around("__getitem__", _cached), "samples-are-their-own"),
    ("shepp-logan", "without a channel", truth(lambda t: t[0, 0]), "holds-samples"),
    ("ellipses", "integers", truth(lambda t: t.long()), "holds-samples"),
    ("ellipses", "empty", replaced(__len__=lambda self: 0), "holds-samples"),
    (
        "simulated",
        "measurement flipped",
        after("__getitem__", _flipped),
        "measurements-are-of-their-images",
        {"example": _SIMULATED},
    ),
    (
        "simulated",
        "measurement doubled",
        after("__getitem__", _doubled),
        "measurements-are-of-their-images",
        {"example": _SIMULATED},
    ),
    (
        "simulated",
        "the next sample's measurement",
        around("__getitem__", _of_the_next),
        "measurements-are-of-their-images",
        {"example": _SIMULATED},
    ),
    ("Bumps", "all samples alike", around("__getitem__", _first), "samples-differ"),
    (
        "Bumps",
        "negative indices not counted",
        around("__getitem__", lambda s, o, i: o(abs(i))),
        "counts-like-a-sequence",
    ),
)
