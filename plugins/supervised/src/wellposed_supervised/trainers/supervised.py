"""Training on pairs of image and measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from wellposed.dataset import Dataset
from wellposed.errors import InputError
from wellposed.hooks import TrainingObserver
from wellposed.metric import Metric
from wellposed.solver import Solver
from wellposed.trainer import Fitted, Trainer
from wellposed.training import Pace, Precision
from wellposed.training.session import Session

from ..metrics.mean_squared_error import MeanSquaredError
from .course import Pairs, Rate


class Supervised(Trainer):
    """Minimise `E loss(f_θ(y), x)` over pairs of image `x` and measurement `y` with Adam.

    The learning rate follows half a cosine from `learning_rate` to `final_learning_rate`. What a step does
    depends on the seed, the number of the step and the weights alone, so that a training goes on from its
    checkpoint with the same numbers as one that was never interrupted, bit for bit on a CPU.

    It runs on the device of the target, to which samples are brought. Started by `accelerate launch` with several
    processes, each takes its share of every batch, and the result is that of one process up to rounding.
    It writes `checkpoint.safetensors` and `metrics.jsonl` into its folder.

    Args:
        steps: number of optimisation steps.
        batch: samples per step, over all processes.
        reuse: use the samples of a step for this many steps in a row (simulation dearer than learning).
        loss: any metric that is better when lower and can be differentiated; by default `mean-squared-error`.
        learning_rate: Adam's, at the first step.
        final_learning_rate: Adam's, after the last step; the same as `learning_rate` to keep it constant.
        betas: Adam's.
        clip: largest Euclidean norm of the whole gradient; longer ones are scaled to it.
        precision: of the networks' arithmetic: full, or bfloat16 or float16 with float32 weights. float16 is
            for GPUs.
        validation: how many samples at the end of the data are kept out of the training, and measured instead.
        metrics: what is measured of them.
        validate_every: steps between two validations.
        checkpoint_every: steps between two checkpoints.
        log_every: steps between two lines of `metrics.jsonl`, and two messages to the observer.
        seed: of the order of the samples and the random numbers of the steps (dropout).

    Raises `InputError` for settings that make no training, samples without image or measurement, and a checkpoint
    that is damaged or of other settings; `SolveFailed` where it diverges.
    """

    source = "Kingma & Ba 2015, arXiv:1412.6980 (Adam); Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5 (cosine)"

    def __init__(
        self,
        steps: int,
        batch: int = 1,
        reuse: int = 1,
        loss: Metric | None = None,
        learning_rate: float = 1e-3,
        final_learning_rate: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float | None = None,
        precision: Precision = "full",
        validation: int = 0,
        metrics: Sequence[Metric] = (),
        validate_every: int = 500,
        checkpoint_every: int = 500,
        log_every: int = 10,
        seed: int = 0,
    ) -> None:
        self.pace = Pace(
            steps, batch, reuse, clip, precision, validation, validate_every, checkpoint_every, log_every, seed
        )
        self.rate = Rate(learning_rate, final_learning_rate, betas)
        self.loss = loss or MeanSquaredError()
        self.metrics = tuple(metrics)
        if self.loss.better != "lower":
            raise InputError(f"a loss must be better when lower; {type(self.loss).__name__} is better when higher")
        if validation and not self.metrics:
            raise InputError("validation samples are kept out, but 'metrics' names nothing to measure of them")

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"steps": 6, "batch": 2, "checkpoint_every": 3, "log_every": 2},
            {"steps": 4, "reuse": 2, "clip": 1.0, "validation": 1, "metrics": ["mean-squared-error"]},
        )

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: TrainingObserver | None = None) -> Fitted:
        """Train `target`, a solver, on `data` and return it; goes on from the checkpoint in `folder`."""
        if not isinstance(target, Solver):
            raise InputError(f"the trainer 'supervised' trains solvers; {type(target).__name__} is none")
        if not any(p.requires_grad for p in target.parameters()):
            raise InputError(f"{type(target).__name__} has nothing to learn: none of its parameters is trainable")
        course = Pairs(target, self.loss, self.metrics, self.rate, self.pace.steps)
        with Session(self.pace, course, data, folder, observer) as session:
            session.run()
        return Fitted(target, self.pace.steps, dict(session.latest))
