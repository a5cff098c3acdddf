"""What every trainer promises: it trains, repeatably, and a finished run is found again.

A trainer that fits a learned solver to images needs nothing more. One that trains something else has a
classmethod `example_task() -> (target, dataset)`, called afresh for each run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from ..dataset import Dataset, Sample
from ..errors import InputError
from ..trainer import Fitted
from .doubles import Bumps, DenseOperator, LearnedFilter
from .measure import same_tensor, that
from .promise import NotPromised, check
from .subject import Subject


@check()
def trains_repeatably(subject: Subject) -> None:
    """`fit` changes the target's weights, and does the same again from the same start."""
    with tempfile.TemporaryDirectory() as folder:
        first = _fitted(subject, Path(folder) / "first")
        second = _fitted(subject, Path(folder) / "second")
    that(first.steps > 0, f"{subject.label} says that it did {first.steps} steps")
    start = dict(_task(subject)[0].named_parameters())
    trained = dict(first.target.named_parameters())
    that(
        any(not same_tensor(trained[name].detach(), p.detach()) for name, p in start.items()),
        f"{subject.label} leaves the weights as they were",
    )
    for name, p in second.target.named_parameters():
        that(bool(torch.isfinite(p).all()), f"{subject.label} trains {name} to values that are not finite")
        same = same_tensor(trained[name].detach(), p.detach())
        that(same, f"{subject.label} trains {name} to other values each time")


@check()
def goes_on_from_its_checkpoint(subject: Subject) -> None:
    """Called again on the folder of a finished run, it ends with the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        first = _fitted(subject, Path(folder) / "run")
        again = _fitted(subject, Path(folder) / "run")
    expected = dict(first.target.named_parameters())
    for name, p in again.target.named_parameters():
        that(
            same_tensor(expected[name].detach(), p.detach()),
            f"{subject.label}, called again on a finished run, ends with other values of {name}",
        )


class _Measured(Dataset):
    """Bumps with their measurements by the identity."""

    source = "none: a placeholder"

    def __init__(self) -> None:
        self.images = Bumps()
        self.operator = DenseOperator.from_tensor(torch.eye(64), (1, 8, 8)).to(torch.float32)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        image = self.images[index]
        assert image.truth is not None
        return Sample(image.name, image.truth, self.operator(image.truth[None])[0], self.operator)


def _fitted(subject: Subject, folder: Path) -> Fitted:
    folder.mkdir(exist_ok=True)
    target, data = _task(subject)
    try:
        return subject.build(torch.float32).fit(target, data, folder)
    except InputError as refusal:
        if hasattr(subject.cls, "example_task"):
            raise
        raise NotPromised(f"it trains no learned solver, and has no example_task(): {refusal}") from refusal


def _task(subject: Subject) -> tuple[nn.Module, Dataset]:
    own = getattr(subject.cls, "example_task", None)
    return own() if own else (Subject("solvers", LearnedFilter).build(torch.float32), _Measured())


CHECKS = (trains_repeatably, goes_on_from_its_checkpoint)
