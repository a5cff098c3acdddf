"""What a training minimises, from what, and how fast: the part in which trainers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..dataset import Dataset

L = TypeVar("L")


class Course(Generic[L]):
    """The loss of some samples, and the learning rate of each group of parameters, at each step.

    `loss` and `measure` may draw from torch's global generators: the session seeds them for each step. What they
    give depends on the samples, the step and the weights alone.
    """

    #: What is trained.
    target: nn.Module
    #: What decides the numbers beside the pace, as JSON gives it back; Adam's `betas` are among it.
    settings: Mapping[str, Any]
    betas: tuple[float, float] = (0.9, 0.999)
    #: The names of what `measure` gives.
    measures: Sequence[str] = ()

    def groups(self) -> list[list[nn.Parameter]]:
        """The trained parameters, in groups that have a learning rate each."""
        return [[p for p in self.target.parameters() if p.requires_grad]]

    def rates(self, step: int) -> list[float]:
        """Adam's learning rate for each group at `step`, counted from 0; a group of rate 0 stays as it is."""
        raise NotImplementedError

    def prepare(self, data: Dataset) -> None:
        """Fit what has a closed form to the training samples; called once, before the first step of all."""

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> L:
        """The samples `indices` on `device`."""
        raise NotImplementedError

    def loss(self, loaded: L, step: int) -> dict[str, Tensor]:
        """Means over the samples of what is logged; `loss` is what is minimised."""
        raise NotImplementedError

    def measure(self, loaded: L, step: int) -> Tensor:
        """Sums over the samples of each of the `measures` after step `step`, `(len(measures),)`."""
        raise NotImplementedError
