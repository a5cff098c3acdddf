"""Training layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from wellposed.dataset import Dataset
from wellposed.errors import InputError
from wellposed.hooks import TrainingObserver
from wellposed.metric import Metric
from wellposed.solver import Iterative
from wellposed.trainer import Fitted, Trainer
from wellposed.training import Pace
from wellposed.training.session import Session

from ..iterations.layered import Layered
from .course import LayerByLayer
from .stages import Stages


class LayerWise(Trainer):
    """Grow an unrolled network one layer at a time, minimising the loss after the newest layer with Adam.

    Each layer has some stages. The first one trains the new layer alone, the others all layers so far, at lower
    rates. What a step does depends on the seed, its number and the weights alone, so that a training goes on from
    its checkpoint with the same numbers, bit for bit on a CPU. It runs on the device of the target and under
    `accelerate launch`, and writes `checkpoint.safetensors` and `metrics.jsonl` into its folder. Samples are kept in
    memory once they were read.

    The target is a solver whose iteration has `layer_parameters()`, such as `alista`. What it learns beside these, as
    in a learned start, learns with the first layer.

    Args:
        stage_steps: steps of each stage of each layer.
        learning_rates: Adam's, in each stage.
        decay: a layer's rate is multiplied by it for each layer that came after it; 0.3 in the paper.
        batch: samples per step, over all processes.
        loss: any metric that is better when lower and can be differentiated; by default half the squared error.
        clip: largest Euclidean norm of the whole gradient; longer ones are scaled to it.
        validation: how many samples at the end of the data are kept out of the training, and measured instead.
        metrics: what is measured of them.
        validate_every: steps between two validations.
        checkpoint_every: steps between two checkpoints.
        log_every: steps between two lines of `metrics.jsonl`, and two messages to the observer.
        seed: of the order of the samples.

    Raises `InputError` for settings that make no training, targets without layers, samples without image or
    measurement, and a checkpoint that is damaged or of other settings; `SolveFailed` where it diverges.
    """

    source = "Chen, Liu, Wang & Yin 2018, arXiv:1808.10038, appendix on training; Kingma & Ba 2015 (Adam)"

    def __init__(
        self,
        stage_steps: tuple[int, ...] = (50, 150, 50),
        learning_rates: tuple[float, ...] = (1e-2, 2e-2, 2e-3),
        decay: float = 1.0,
        batch: int = 64,
        loss: Metric | None = None,
        clip: float | None = None,
        validation: int = 0,
        metrics: Sequence[Metric] = (),
        validate_every: int = 400,
        checkpoint_every: int = 400,
        log_every: int = 50,
        seed: int = 0,
    ) -> None:
        self.stages = Stages(tuple(stage_steps), tuple(learning_rates), decay)
        self.loss, self.metrics = loss or HalfSquaredError(), tuple(metrics)
        if self.loss.better != "lower":
            raise InputError(f"a loss must be better when lower; {type(self.loss).__name__} is better when higher")
        if validation and not self.metrics:
            raise InputError("validation samples are kept out, but 'metrics' names nothing to measure of them")
        self._numbers = {
            "batch": batch,
            "clip": clip,
            "validation": validation,
            "validate_every": validate_every,
            "checkpoint_every": checkpoint_every,
            "log_every": log_every,
            "seed": seed,
        }
        self._pace(1)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"stage_steps": [2, 2], "learning_rates": [1e-2, 1e-3], "batch": 2, "checkpoint_every": 3},
            {"stage_steps": [3], "learning_rates": [1e-2], "batch": 2, "clip": 1.0, "log_every": 2},
        )

    @classmethod
    def example_task(cls) -> tuple[nn.Module, Dataset]:
        """What the conformance kit trains: a small network, on codes measured by a random matrix."""
        from wellposed.dataset import Simulated
        from wellposed.testing.doubles import DenseOperator

        from ..datasets.sparse_codes import SparseCodes
        from ..patterns.gaussian_columns import GaussianColumns
        from ..solvers.alista import ALISTA

        operator = DenseOperator.from_tensor(GaussianColumns()((10, 20)), (1, 20)).to(torch.float32)
        return ALISTA(layers=2), Simulated(SparseCodes(20, length=6), operator)

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: TrainingObserver | None = None) -> Fitted:
        """Train `target` on `data` and return it; goes on from the checkpoint in `folder`."""
        if not isinstance(target, Iterative) or not isinstance(target.iteration, Layered):
            raise InputError(
                f"the trainer 'layer-wise' trains solvers with layers, such as alista; {type(target).__name__} has none"
            )
        layers = target.iteration.layer_parameters()
        if not any(p.requires_grad for p in target.parameters()):
            raise InputError(f"{type(target).__name__} has nothing to learn: none of its parameters is trainable")
        pace = self._pace(self.stages.steps_per_layer * len(layers))
        course = LayerByLayer(target, self.loss, self.metrics, self.stages)
        with Session(pace, course, data, folder, observer) as session:
            session.run()
        return Fitted(target, pace.steps, dict(session.latest))

    def _pace(self, steps: int) -> Pace:
        return Pace(steps, **self._numbers)


class HalfSquaredError(Metric):
    """`½‖x − truth‖²` of each code."""

    source = "Chen, Liu, Wang & Yin 2018, arXiv:1808.10038 (the training loss)"
    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        return 0.5 * (x - truth).square().flatten(1).sum(1)
