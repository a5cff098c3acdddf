"""Batches of samples, grouped by the operator that measured them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..dataset import Dataset, Sample
from ..errors import InputError
from ..operator import Operator


@dataclass(frozen=True)
class Batch:
    """Images and measurements `(B, …)` of one operator."""

    truth: Tensor
    measurement: Tensor
    operator: Operator


class Part(Dataset):
    """The samples `indices` of `data`."""

    source = "a part of another dataset"

    def __init__(self, data: Dataset, indices: Sequence[int]) -> None:
        self.data, self.indices = data, indices

    def __len__(self) -> int:
        return len(self.indices)

    def origin(self, index: int) -> int:
        return self.data.origin(self.indices[self.check_index(index)])

    def __getitem__(self, index: int) -> Sample:
        return self.data[self.indices[self.check_index(index)]]


def load_batches(data: Dataset, indices: Sequence[int], device: torch.device) -> list[Batch]:
    """The samples `indices`, those of one operator together, on `device`.

    Raises `InputError` for samples that a supervised training cannot use.
    """
    groups: dict[int, list[tuple[Sample, Operator]]] = {}
    for index in indices:
        sample = data[index]
        groups.setdefault(id(sample.operator), []).append((sample, _operator_of(sample)))
    return [_stack(group, device) for group in groups.values()]


def _operator_of(sample: Sample) -> Operator:
    if sample.truth is None:
        raise InputError(f"sample {sample.name} has no image; supervised training needs pairs of image and measurement")
    if sample.measurement is None or sample.operator is None:
        raise InputError(
            f"sample {sample.name} has no measurement with its operator; give the recipe an 'operator' (and 'noise') "
            f"or use the dataset 'simulated'"
        )
    return sample.operator


def _stack(group: list[tuple[Sample, Operator]], device: torch.device) -> Batch:
    truth = torch.stack([s.truth for s, _ in group if s.truth is not None])
    measurement = torch.stack([s.measurement for s, _ in group if s.measurement is not None])
    return Batch(truth.to(device), measurement.to(device), group[0][1].to(device))
