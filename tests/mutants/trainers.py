"""Mutants of trainers."""

from __future__ import annotations

import copy
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wellposed.dataset import Dataset, Sample

from .changes import after, around
from .mutant import mutants


def _doubling(self: Any, original: Any, target: Any, data: Any, folder: Path, observer: Any = None) -> Any:
    fitted = original(target, data, folder, observer)
    with torch.no_grad():
        for p in fitted.target.parameters():
            p.mul_(2)
    return fitted


def _afresh(self: Any, original: Any, target: Any, data: Any, folder: Path, observer: Any = None) -> Any:
    """Begins again where a checkpoint lies."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return original(target, data, folder, observer)


def _of_a_copy(self: Any, original: Any, target: Any, data: Any, folder: Path, observer: Any = None) -> Any:
    return original(copy.deepcopy(target), data, folder, observer)


def _nothing(self: Any, original: Any, target: Any, data: Any, folder: Path, observer: Any = None) -> Any:
    kept = {k: v.clone() for k, v in target.state_dict().items()}
    fitted = original(target, data, folder, observer)
    target.load_state_dict(kept)
    return fitted


def _ascending(self: Any, original: Any, target: Any, data: Any, folder: Path, observer: Any = None) -> Any:
    """Goes the other way by as much."""
    before = {k: v.clone() for k, v in target.state_dict().items()}
    fitted = original(target, data, folder, observer)
    target.load_state_dict(
        {k: 2 * before[k] - v if v.is_floating_point() else v for k, v in target.state_dict().items()}
    )
    return fitted


def _in_training_mode(self: Any, original: Any, *args: Any) -> Any:
    fitted = original(*args)
    fitted.target.train()
    return fitted


def _unfreezing(self: Any, original: Any, target: Any, *args: Any) -> Any:
    learning = [p.requires_grad for p in target.parameters()]
    target.requires_grad_(True)
    fitted = original(target, *args)
    for p, learns in zip(target.parameters(), learning, strict=True):
        p.requires_grad_(learns)
    return fitted


def _thawed(self: Any, original: Any, target: Any, *args: Any) -> Any:
    fitted = original(target, *args)
    target.requires_grad_(False)
    return fitted


def _seeding(self: Any, original: Any, *args: Any) -> Any:
    torch.manual_seed(1)
    return original(*args)


def _randomly(self: Any, original: Any, *args: Any) -> Any:
    fitted = original(*args)
    with torch.no_grad():
        for p in fitted.target.parameters():
            p.add_(1e-4 * torch.randn(p.shape, generator=torch.Generator().manual_seed(torch.seed() % 1000)))
    return fitted


class _Shuffled(Dataset):
    """The measurements of other images."""

    source = "test"

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        sample = self.data[index]
        assert sample.truth is not None
        return replace(sample, truth=-5 * sample.truth)


def _on_other_images(self: Any, original: Any, target: Any, data: Any, *rest: Any) -> Any:
    return original(target, _Shuffled(data), *rest)


def _argument_astray(self: Any, original: Any, *args: Any) -> Any:
    """Returns another learned argument each time."""
    fitted = original(*args)
    return replace(fitted, arguments={name: value + 1e-6 * random.random() for name, value in fitted.arguments.items()})


def _nothing_learned(self: Any, original: Any, *args: Any) -> Any:
    return replace(original(*args), arguments={})


def _silent(self: Any, original: Any, target: Any, data: Any, folder: Path, observer: Any = None) -> Any:
    return original(target, data, folder, None)


_CHECKPOINTED = {"example": {"steps": 6, "batch": 2, "checkpoint_every": 3, "log_every": 1}}

MUTANTS = mutants(
    "trainers",
    *(
        (base, "weights doubled in the end", around("fit", _doubling), "loss-falls goes-on-from-its-checkpoint")
        for base in ("supervised", "layer-wise")
    ),
    ("supervised", "begins again from scratch", around("fit", _afresh), "goes-on-after-an-interruption", _CHECKPOINTED),
    ("denoising-score", "begins again from scratch", around("fit", _afresh), "goes-on-after-an-interruption"),
    ("elbo", "begins again from scratch", around("fit", _afresh), "goes-on-after-an-interruption"),
    ("layer-wise", "begins again from scratch", around("fit", _afresh), "goes-on-after-an-interruption"),
    *(
        mutant
        for base in ("bilevel-dfo", "bilevel-implicit")
        for mutant in (
            (base, "begins again from scratch", around("fit", _afresh), "goes-on-after-an-interruption"),
            (base, "other arguments each time", around("fit", _argument_astray), "trains-repeatably"),
            (base, "returns no argument", around("fit", _nothing_learned), "trains-repeatably"),
            (base, "trains a copy", around("fit", _of_a_copy), "returns-what-it-trained"),
            (base, "trains on other images", around("fit", _on_other_images), "loss-falls"),
            (base, "seeds the global generator", around("fit", _seeding), "draws-no-global-random-numbers"),
        )
    ),
    ("supervised", "trains a copy", around("fit", _of_a_copy), "returns-what-it-trained"),
    ("elbo", "trains a copy", around("fit", _of_a_copy), "returns-what-it-trained"),
    *(
        (base, "puts the weights back", around("fit", _nothing), "trains-repeatably loss-falls")
        for base in ("supervised", "denoising-score")
    ),
    ("supervised", "goes up", around("fit", _ascending), "loss-falls"),
    ("supervised", "trains on other images", around("fit", _on_other_images), "loss-falls"),
    ("supervised", "leaves training mode on", around("fit", _in_training_mode), "returns-what-it-trained"),
    ("supervised", "trains what is frozen", around("fit", _unfreezing), "leaves-frozen-parameters-alone"),
    ("supervised", "freezes what it trained", around("fit", _thawed), "returns-what-it-trained"),
    ("supervised", "seeds the global generator", around("fit", _seeding), "draws-no-global-random-numbers"),
    ("layer-wise", "seeds the global generator", around("fit", _seeding), "draws-no-global-random-numbers"),
    ("supervised", "other weights each time", around("fit", _randomly), "trains-repeatably"),
    (
        "supervised",
        "one step more than it says",
        after("fit", lambda f: replace(f, steps=f.steps + 1)),
        "returns-what-it-trained",
    ),
    (
        "supervised",
        "metrics that are not numbers",
        after("fit", lambda f: replace(f, metrics={"loss": float("nan")})),
        "returns-what-it-trained",
    ),
    ("supervised", "no steps", after("fit", lambda f: replace(f, steps=0)), "trains-repeatably"),
    (
        "supervised",
        "tells nobody",
        around("fit", _silent),
        "loss-falls goes-on-after-an-interruption",
        {"survives": "a trainer need not tell of its steps; it then cannot be interrupted by the kit"},
    ),
)
