"""A small training of an autoencoder, also run as a program: `toy.py FOLDER [STEP]` kills itself at that step."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from wellposed.hooks import TrainingObserver
from wellposed.testing.doubles import Bumps
from wellposed_generative.networks.vae_covariance import VaeCovariance
from wellposed_generative.trainers.elbo import Elbo


class Killing(TrainingObserver):
    """Kills its own process when step `step` is logged: nothing is cleaned up, as by a power cut."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def model() -> VaeCovariance:
    return VaeCovariance((8, 8), latent=2, width=4)


def trainer(**changes: object) -> Elbo:
    settings: dict = {"mean_steps": 6, "covariance_steps": 6, "batch": 4, "checkpoint_every": 4, "log_every": 1}
    return Elbo(**{**settings, **changes})


def data(count: int = 10) -> Bumps:
    return Bumps(count=count)


if __name__ == "__main__":
    kill = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    trainer(validation=2, validate_every=5).fit(model(), data(), Path(sys.argv[1]), Killing(kill))
