"""The layer-wise course: the loss after the newest layer, for samples that stay in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wellposed.dataset import Dataset, Sample
from wellposed.metric import Metric
from wellposed.solver import Iterative, Solver
from wellposed.training import Batch, Course, load_batches, losses, metric_name, metric_sums

from ..iterations.layered import Layered
from .stages import Stages


class LayerByLayer(Course[list[Batch]]):
    """`mean loss(f_θ(y), x)` of the network that ends with the newest layer."""

    def __init__(self, target: Iterative, loss: Metric, metrics: Sequence[Metric], stages: Stages) -> None:
        assert isinstance(target.iteration, Layered)
        self.target, self.metrics = target, metrics
        self.settings = {**stages.document(), "loss": metric_name(loss)}
        self.measures = [metric_name(m) for m in metrics]
        self._loss, self._stages, self._solver = loss, stages, target
        self._layers = target.iteration.layer_parameters()
        known = {id(p) for layer in self._layers for p in layer}
        # What no layer brings (a learned start) works before the first one, and learns with it.
        self._layers[0] = [*self._layers[0], *(p for p in target.parameters() if id(p) not in known)]
        self._held: _Held | None = None
        self._newest: tuple[int, Solver] = (-1, target)

    def groups(self) -> list[list[nn.Parameter]]:
        return [[p for p in layer if p.requires_grad] for layer in self._layers]

    def rates(self, step: int) -> list[float]:
        return self._stages.rates(step, len(self._layers))

    def prepare(self, data: Dataset) -> None:
        self._solver.prepare(data)

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> list[Batch]:
        if self._held is None or self._held.data is not data:
            self._held = _Held(data)
        return load_batches(self._held, indices, device)

    def loss(self, loaded: list[Batch], step: int) -> dict[str, Tensor]:
        return losses(self._network(step), self._loss, loaded)

    def measure(self, loaded: list[Batch], step: int) -> Tensor:
        return metric_sums(self._network(step), self.metrics, loaded)

    def _network(self, step: int) -> Solver:
        """The target up to its newest layer."""
        count = self._stages.layer_of(step) + 1
        if self._newest[0] != count:
            self._newest = count, self._solver.unrolled(count)
        return self._newest[1]


class _Held(Dataset):
    """Samples of `data`, kept in memory once they were read: drawing codes is dearer than learning from them."""

    source = "another dataset"

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.data)

    def origin(self, index: int) -> int:
        return self.data.origin(index)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._samples:
            self._samples[index] = self.data[index]
        return self._samples[index]
