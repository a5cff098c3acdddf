"""Samples on the device of a training, wherever their dataset keeps them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import chain
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..dataset import Dataset, Sample
from ..operator import Operator


class Placed(Dataset):
    """The samples of `data` on `device`.

    An operator that lives elsewhere is copied there, once: with its own the dataset measures its next sample.
    """

    source = "another dataset"

    def __init__(self, data: Dataset, device: torch.device) -> None:
        self.data, self.device = data, device
        self._copies: WeakKeyDictionary[Operator, Operator] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self.data)

    def origin(self, index: int) -> int:
        return self.data.origin(index)

    def __getitem__(self, index: int) -> Sample:
        sample = self.data[self.check_index(index)]
        return replace(
            sample,
            truth=None if sample.truth is None else sample.truth.to(self.device),
            measurement=None if sample.measurement is None else sample.measurement.to(self.device),
            operator=None if sample.operator is None else self._placed(sample.operator),
        )

    def _placed(self, operator: Operator) -> Operator:
        if all(map(self._is_here, chain(operator.parameters(), operator.buffers()))):
            return operator
        if any(p.requires_grad for p in operator.parameters()):  # a copy would not learn what this one learns
            return operator.to(self.device)
        if operator not in self._copies:
            self._copies[operator] = deepcopy(operator).to(self.device)
        return self._copies[operator]

    def _is_here(self, tensor: Tensor) -> bool:
        return tensor.device.type == self.device.type and self.device.index in (None, tensor.device.index)
