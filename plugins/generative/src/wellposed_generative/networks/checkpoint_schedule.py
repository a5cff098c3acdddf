"""What a diffusers checkpoint says of its noise schedule, and of what its network predicts."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wellposed.errors import InputError

_FILE = "scheduler_config.json"
#: Schedulers of `u_t = √ᾱ_t u_0 + √(1−ᾱ_t) ε` whose networks take `u_t` and the time as they are. Others scale the
#: input, count noise otherwise (variance exploding, EDM, flows), or belong to distilled networks.
_UNDERSTOOD = (
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDIMInverseScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LMSDiscreteScheduler",
)


class Prediction(ABC):
    """What a network's output `o` at `u_t` stands for; `alpha` is ᾱ_t, shaped to multiply images."""

    @abstractmethod
    def noise(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        """ε."""

    @abstractmethod
    def clean(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        """`u_0 = (u_t − √(1−ᾱ) ε)/√ᾱ`."""


class Noise(Prediction):
    """`o = ε`, the name `epsilon`."""

    def noise(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        return o

    def clean(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        return (u - (1 - alpha).sqrt() * o) / alpha.sqrt()


class Velocity(Prediction):
    """`o = √ᾱ ε − √(1−ᾱ) u_0`, the name `v_prediction` (Salimans and Ho 2022, section 4); also where ᾱ is 0."""

    def noise(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        return (1 - alpha).sqrt() * u + alpha.sqrt() * o

    def clean(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        return alpha.sqrt() * u - (1 - alpha).sqrt() * o


class Clean(Prediction):
    """`o = u_0`, the name `sample`; also where ᾱ is 0."""

    def noise(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        return (u - alpha.sqrt() * o) / (1 - alpha).sqrt()

    def clean(self, o: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
        return o


#: By diffusers' `prediction_type`.
PREDICTIONS: dict[str, Prediction] = {"epsilon": Noise(), "v_prediction": Velocity(), "sample": Clean()}


@dataclass(frozen=True)
class CheckpointSchedule:
    """ᾱ `(T,)` in double precision, the prediction, and diffusers' name of the schedule of β."""

    alphas: Tensor
    prediction: Prediction
    beta_schedule: str


def unet_folder(folder: Path) -> Path:
    """Where the network lies: the folder itself, or `unet` in that of a pipeline; raises `InputError` for neither."""
    for place in (folder, folder / "unet"):
        if (place / "config.json").is_file():
            return place
    raise InputError(f"{folder} holds no config.json of a UNet2DModel; save_pretrained writes one")


def read_schedule(diffusers: Any, folder: Path) -> CheckpointSchedule | None:
    """The schedule beside a network: in its folder, or in `scheduler` of the pipeline; `None` where there is none.

    Raises `InputError` for a scheduler, a prediction or a schedule that is not understood.
    """
    network = unet_folder(folder)
    places = [network, folder / "scheduler"]
    if network.name == "unet" or network.parent.joinpath("model_index.json").is_file():
        places.append(network.parent / "scheduler")
    file = next((place / _FILE for place in places if (place / _FILE).is_file()), None)
    if file is None:
        return None
    config = _document(file)
    name = config.get("_class_name")
    if name not in _UNDERSTOOD:
        raise InputError(
            f"{file} is of the scheduler {name!r}; understood are {', '.join(_UNDERSTOOD)}: those of "
            f"u_t = √ᾱ u_0 + √(1−ᾱ) ε"
        )
    try:
        scheduler = getattr(diffusers, name).from_config(config)
    except Exception as error:  # whatever its constructor makes of what the file holds
        reason = " ".join(str(error).split())
        raise InputError(f"{file} describes no {name} that can be built: {reason}") from None
    kind = scheduler.config.get("prediction_type", "epsilon")
    if kind not in PREDICTIONS or scheduler.config.get("use_flow_sigmas", False):
        raise InputError(
            f"{file}: a network of prediction_type {kind!r} is not understood; {', '.join(PREDICTIONS)} are"
        )
    alphas = scheduler.alphas_cumprod.double()
    _check(alphas, kind, file)
    return CheckpointSchedule(alphas, PREDICTIONS[kind], str(scheduler.config.get("beta_schedule")))


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is no JSON that can be read: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise InputError(f"{file} holds no mapping; a scheduler's save_pretrained writes one")
    return document


def _check(alphas: Tensor, kind: str, file: Path) -> None:
    falling = bool(torch.isfinite(alphas).all()) and bool((alphas.diff() < 0).all())
    if len(alphas) < 20 or not falling or not 0 <= float(alphas[-1]) < float(alphas[0]) <= 1:
        raise InputError(f"{file}: ᾱ of its schedule must fall, within [0, 1] and over at least 20 steps; it does not")
    if kind == "epsilon" and float(alphas[-1]) == 0:
        raise InputError(
            f"{file}: the schedule ends in noise alone (rescale_betas_zero_snr), of which a network of "
            f"prediction_type 'epsilon' cannot tell the image; such models are of v_prediction or sample"
        )
