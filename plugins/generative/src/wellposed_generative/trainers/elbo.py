"""Training of a variational autoencoder: its mean first, then its covariance."""

from __future__ import annotations

import math
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
from ..networks.vae_covariance import VaeCovariance
from .cosine import Cosine


class Elbo(Trainer):
    """Maximise the evidence lower bound `E_q log p(u|z) − β KL(q(z|u) ‖ N(0, I))` over images `u`.

    In two phases. For `mean_steps` steps the encoder and the mean, with one variance for all pixels at its best
    value, `n/2 log mean ‖u − μ(z)‖² + β KL`. Then for `covariance_steps` steps the covariance, with the encoder and
    the mean frozen, or learning `mean_rate` times as fast. Each with Adam and half a cosine.

    Only the images of the data are used. What a step does depends on the seed, its number and the weights alone, so
    that a training goes on from its checkpoint with the same numbers, bit for bit on a CPU. It writes
    `checkpoint.safetensors` and `metrics.jsonl` into its folder, and runs under `accelerate launch`.

    Args:
        mean_steps: steps of the first phase; 0 where the mean is trained already.
        covariance_steps: steps of the second phase.
        batch: images per step, over all processes.
        learning_rate: Adam's, at the beginning of each phase.
        mean_rate: learning rate of encoder and mean in the second phase, as a part of the covariance's.
        beta: weight of the divergence.
        betas: Adam's.
        clip: largest Euclidean norm of the whole gradient (of the loss per pixel).
        validation: how many images at the end of the data are kept out of the training, and measured instead.
        validate_every: steps between two validations.
        checkpoint_every: steps between two checkpoints.
        log_every: steps between two lines of `metrics.jsonl`.
        seed: of the order of the images and of the latent draws.

    Raises `InputError` for numbers that make no training, a target other than a `vae-covariance`, images of
    another shape, and a checkpoint that is damaged or of other settings; `SolveFailed` where it diverges.
    Source: Kingma and Welling 2014; in two phases: Dorta et al. 2018; variance at its best: Rybkin et al. 2021.
    """

    source = (
        "Kingma & Welling 2014, arXiv:1312.6114, eq. (3); Rybkin, Daniilidis & Levine 2021, arXiv:2006.13202, eq. (3)"
    )

    def __init__(
        self,
        mean_steps: int,
        covariance_steps: int,
        batch: int = 16,
        learning_rate: float = 2e-3,
        mean_rate: float = 0.0,
        beta: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.99),
        clip: float | None = 1.0,
        validation: int = 0,
        validate_every: int = 500,
        checkpoint_every: int = 500,
        log_every: int = 10,
        seed: int = 0,
    ) -> None:
        if mean_rate < 0 or beta < 0:
            raise InputError(f"elbo needs mean_rate and beta ≥ 0; {mean_rate} and {beta} were given")
        self.mean_rate, self.beta = mean_rate, beta
        self.cosine = Cosine((mean_steps, covariance_steps), learning_rate, betas)
        self.pace = Pace(
            self.cosine.steps,
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
        return (
            {"mean_steps": 4, "covariance_steps": 4, "batch": 2, "checkpoint_every": 3, "log_every": 2},
            {"mean_steps": 0, "covariance_steps": 3, "batch": 2, "mean_rate": 0.1, "validation": 1},
        )

    @classmethod
    def example_task(cls) -> tuple[nn.Module, Dataset]:
        """What the conformance kit trains: a small model, on its own example images."""
        from wellposed.testing.doubles import Bumps

        return VaeCovariance((8, 8), latent=2, width=4), Bumps()

    def fit(self, target: nn.Module, data: Dataset, folder: Path, observer: TrainingObserver | None = None) -> Fitted:
        """Train `target`, a `vae-covariance`, on the images of `data`; goes on from the checkpoint in `folder`."""
        if not isinstance(target, VaeCovariance):
            raise InputError(
                f"the trainer 'elbo' trains a vae-covariance; {type(target).__name__} is none. In a recipe name the "
                f"place of the model below the solver: target: my-solver.regularizer.model"
            )
        course = Bound(target, self.cosine, self.mean_rate, self.beta)
        with Session(self.pace, course, data, folder, observer) as session:
            session.run()
        return Fitted(target, self.pace.steps, dict(session.latest))


class Bound(Course[Tensor]):
    """The negative bound per pixel; phase 0 is the mean's, phase 1 the covariance's."""

    measures = ("loss",)

    def __init__(self, model: VaeCovariance, cosine: Cosine, mean_rate: float, beta: float) -> None:
        self.target = self.model = model
        self.cosine, self.mean_rate, self.beta, self.betas = cosine, mean_rate, beta, cosine.betas
        self.settings = {**cosine.document(), "mean_rate": mean_rate, "beta": beta}

    def groups(self) -> list[list[nn.Parameter]]:
        mean = [*self.model.encoder.parameters(), *self.model.mean_decoder.parameters()]
        known = {id(p) for p in mean}
        rest = [p for p in self.model.parameters() if id(p) not in known]
        return [[p for p in group if p.requires_grad] for group in (mean, rest)]

    def rates(self, step: int) -> list[float]:
        rate = self.cosine.of_step(step)
        return [rate, 0.0] if self.cosine.phase_of(step) == 0 else [rate * self.mean_rate, rate]

    def load(self, data: Dataset, indices: Sequence[int], device: torch.device) -> Tensor:
        return load_images(data, indices, next(self.model.parameters()))

    def loss(self, loaded: Tensor, step: int) -> dict[str, Tensor]:
        mean, log_std = self.model.encode(loaded)
        z = mean + log_std.exp() * torch.randn_like(mean)
        divergence = (0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).sum(1).mean()
        residual = loaded - self.model.mean(z)
        pixels, error = residual[0].numel(), residual.square().mean()
        if self.cosine.phase_of(step) == 0:
            fit = 0.5 * (error.log() + 1)
        else:
            fit = self.model.factor(z).energy(residual).mean() / pixels
        bound = fit + 0.5 * math.log(2 * math.pi) + self.beta * divergence / pixels
        return {"loss": bound, "divergence": divergence, "error": error.sqrt()}

    def measure(self, loaded: Tensor, step: int) -> Tensor:
        return self.loss(loaded, step)["loss"][None] * len(loaded)
