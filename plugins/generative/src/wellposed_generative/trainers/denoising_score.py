"""Training of a diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from wellposed.dataset import Dataset
from wellposed.errors import InputError
from wellposed.hooks import TrainingObserver
from wellposed.trainer import Fitted, Trainer
from wellposed.training import Course, Pace
from wellposed.training.session import Session

from ..images import load_images
from ..networks.diffusion_prior import DiffusionPrior
from .cosine import Cosine


class DenoisingScore(Trainer):
    """Minimise `E ‖ε − ε_θ(√ᾱ_t u + √(1−ᾱ_t) ε, t)‖²` over images, times `t` and noise `ε`, with Adam and a cosine.

    Only the images of the data are used. It goes on from its checkpoint with the same numbers, bit for bit on a
    CPU, writes `checkpoint.safetensors` and `metrics.jsonl` into its folder, and runs under `accelerate launch`.

    Args:
        steps: number of optimisation steps.
        batch: images per step, over all processes.
        learning_rate: Adam's, at the first step.
        betas: Adam's.
        clip: largest Euclidean norm of the whole gradient.
        validation: how many images at the end of the data are kept out of the training, and measured instead.
        validate_every: steps between two validations.
        checkpoint_every: steps between two checkpoints.
        log_every: steps between two lines of `metrics.jsonl`.
        seed: of the order of the images, of the times and of the noise.

    Raises `InputError` for numbers that make no training, for a target that is no diffusion model with weights, and
    for a checkpoint that is damaged or of other settings; `SolveFailed` where it diverges.
    """

    source = "Ho, Jain & Abbeel 2020, Denoising diffusion probabilistic models, arXiv:2006.11239, eq. (14)"

    def __init__(
        self,
        steps: int,
        batch: int = 16,
        learning_rate: float = 2e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float | None = 1.0,
        validation: int = 0,
        validate_every: int = 500,
        checkpoint_every: int = 500,
        log_every: int = 10,
        seed: int = 0,
    ) -> None:
        self.cosine = Cosine((steps,), learning_rate, betas)
        self.pace = Pace(
            steps,
            batch,
            clip=clip,
            validation=validation,
            validate_every=validate_every,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            seed=seed,
        )

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"steps": 4, "batch": 2, "checkpoint_every": 3, "log_every": 2},)

    @classmethod
    def example_task(cls) -> tuple[nn.Module, Dataset]:
        """What the conformance kit trains: a diffusion model of one convolution."""
        from wellposed.testing.doubles import Bumps

        from .doubles import OneLayer

        return OneLayer((8, 8)), Bumps()

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: TrainingObserver | None = None) -> Fitted:
        """Train `target`, a diffusion model, on the images of `data`; goes on from the checkpoint in `folder`."""
        if not isinstance(target, DiffusionPrior) or not any(True for _ in target.parameters()):
            raise InputError(
                f"the trainer 'denoising-score' trains a diffusion model; {type(target).__name__} is none with "
                f"weights. In a recipe name its place below the solver: target: my-solver.prior"
            )
        with Session(self.pace, Score(target, self.cosine), data, folder, observer) as session:
            session.run()
        return Fitted(target, self.pace.steps, dict(session.latest))


class Score(Course[Tensor]):
    """The mean square error of the noise estimate, at random times."""

    measures = ("loss",)

    def __init__(self, prior: DiffusionPrior, cosine: Cosine) -> None:
        self.target = self.prior = prior
        self.cosine, self.betas, self.settings = cosine, cosine.betas, cosine.document()

    def rates(self, step: int) -> list[float]:
        return [self.cosine.of_step(step)]

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> Tensor:
        images = load_images(data, indices, next(self.prior.parameters()))
        self.prior.domain.check(images, "the diffusion model", "images")
        return images

    def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
        u = self.prior.scaled(loaded)
        t = torch.randint(len(self.prior.alphas), (len(u),), device=u.device)
        alpha = self.prior.alphas[t].to(u).reshape(-1, 1, 1, 1)
        noise = torch.randn_like(u)
        estimate = self.prior.noise(alpha.sqrt() * u + (1 - alpha).sqrt() * noise, t)
        return {"loss": (estimate - noise).square().mean()}

    def measure(self, loaded: Tensor, step: int) -> Tensor:
        return self.loss(loaded, step)["loss"][None] * len(loaded)
