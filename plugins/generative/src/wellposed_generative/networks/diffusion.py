"""A diffusion model with the network and the noise schedule of the package diffusers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wellposed.errors import InputError
from wellposed.seeding import seeded
from wellposed.weights import load_weights

from .checkpoint_schedule import PREDICTIONS, CheckpointSchedule, read_schedule, unet_folder
from .diffusion_prior import DiffusionPrior

#: What stands for steps and schedule that were not given.
_DEFAULT_SCHEDULE = (1000, "linear")


class Diffusion(DiffusionPrior):
    """`ε_θ(u_t, t)` by the `UNet2DModel` of diffusers, with the noise schedule of its `DDPMScheduler`.

    Trained by `denoising-score`, or read from a folder; nothing is downloaded. diffusers is imported when a model is
    built, not before. A folder that holds a scheduler's `scheduler_config.json` (a pipeline's, in `scheduler`) says
    by it how the noise grows and what the network predicts: ε, the velocity or the clean image
    (`prediction_type`), from which the two others follow exactly. Without one the network predicts ε and `steps`
    and `schedule` are those of its training, which a warning says.

    Args:
        shape: rows and columns of the images, divisible by 2 for each width after the first.
        channels: of the images; 2 for the real and imaginary part of complex ones.
        widths: channels at each resolution.
        layers: residual blocks at each resolution.
        steps: length of the noise schedule, at least 20. The linear ones rise by `1000/steps` as fast as the usual
            one of 1000 steps, so that nothing but noise is left at the end of each.
        schedule: of β: `linear`, `scaled_linear` or `squaredcos_cap_v2`, the names of diffusers.
        center: images are `center + scale·u`, with `u` between −1 and 1 for the defaults and images in [0, 1].
        scale: see `center`.
        noise_level: σ of the denoiser that this model is as a network.
        pretrained: a folder with a `UNet2DModel`, or with a pipeline of it (`unet`, `scheduler`); `widths` and
            `layers` are then those of its configuration, `steps` and `schedule` those of its scheduler.
        seed: of the initial weights.

    Raises `InputError` where diffusers is not installed, for a folder without a model, for a scheduler that is not
    understood or contradicts `steps` and `schedule`, and for sizes that do not fit.
    Source: Ho, Jain and Abbeel 2020; Salimans and Ho 2022 (velocity).
    """

    source = "Ho, Jain & Abbeel 2020, Denoising diffusion probabilistic models, arXiv:2006.11239, eqs. (4), (11)"

    def __init__(
        self,
        shape: tuple[int, int],
        channels: int = 1,
        widths: tuple[int, ...] = (32, 64, 64),
        layers: int = 1,
        steps: int = 1000,
        schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "linear",
        center: float = 0.5,
        scale: float = 0.5,
        noise_level: float = 0.1,
        pretrained: str | None = None,
        seed: int = 0,
    ) -> None:
        diffusers = _diffusers()
        read = None if pretrained is None else _checkpoint_schedule(diffusers, Path(pretrained), steps, schedule)
        alphas = _alphas(diffusers, steps, schedule) if read is None else read.alphas
        super().__init__(shape, channels, alphas, center, scale, noise_level)
        self.prediction = PREDICTIONS["epsilon"] if read is None else read.prediction
        if pretrained is None:
            _check_widths(widths, shape)
            with seeded(seed):
                self.unet = _network(diffusers, shape, channels, widths, layers)
        else:
            self.unet = _read(diffusers, pretrained, channels)

    @classmethod
    def lacking(cls) -> str | None:
        try:
            _diffusers()
        except InputError as error:
            return str(error)
        return None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        if cls.lacking():
            return ()
        return ({"shape": [16, 16], "widths": [8, 8], "steps": 50},)

    def noise(self, u: Tensor, t: int | Tensor) -> Tensor:
        return self.prediction.noise(self._output(u, t), u, self._alpha(u, t))

    def clean(self, u: Tensor, t: int) -> Tensor:
        return self.prediction.clean(self._output(u, t), u, self._alpha(u, t))

    def _output(self, u: Tensor, t: int | Tensor) -> Tensor:
        time = torch.as_tensor(t, device=u.device)
        return self.unet(u, time.expand(len(u)) if time.ndim == 0 else time).sample

    def _alpha(self, u: Tensor, t: int | Tensor) -> Tensor:
        """ᾱ_t, of images or of each `(B, 1, 1, 1)`; a number stays in double precision."""
        alpha = self.alphas[t]
        return alpha.to(u).reshape(-1, 1, 1, 1) if alpha.ndim else alpha.to(u.device)


def _diffusers() -> Any:
    try:
        import diffusers
    except Exception as error:  # made for another torch it raises exceptions of any class
        raise InputError(
            f"the network 'diffusion' needs the package diffusers ({error}); install it by "
            f"pip install 'wellposed-generative[diffusion]'"
        ) from None
    return diffusers


def _checkpoint_schedule(diffusers: Any, folder: Path, steps: int, schedule: str) -> CheckpointSchedule | None:
    """What the folder's scheduler says; `None`, with a warning, where there is none."""
    read = read_schedule(diffusers, folder)
    if read is None:
        warnings.warn(
            f"{folder} holds no scheduler_config.json: it is taken to predict noise that grows as steps: {steps} and "
            f"schedule: {schedule} say",
            UserWarning,
            stacklevel=3,
        )
        return None
    own = (len(read.alphas), read.beta_schedule)
    if (steps, schedule) not in (_DEFAULT_SCHEDULE, own):
        raise InputError(
            f"the model in {folder} has a schedule of its own, steps: {own[0]} and schedule: {own[1]}; steps: {steps} "
            f"and schedule: {schedule} were given. Leave them out"
        )
    return read


def _alphas(diffusers: Any, steps: int, schedule: str) -> Tensor:
    """ᾱ of diffusers' schedule of that name, begun and ended with the same amount of noise whatever its length."""
    if steps < 20:
        raise InputError(f"a diffusion model needs at least 20 steps; {steps} was given")
    pace = 1000 / steps
    scheduler = diffusers.DDPMScheduler(
        num_train_timesteps=steps, beta_schedule=schedule, beta_start=1e-4 * pace, beta_end=min(0.02 * pace, 0.999)
    )
    return scheduler.alphas_cumprod.double()


def _network(diffusers: Any, shape: tuple[int, int], channels: int, widths: tuple[int, ...], layers: int) -> nn.Module:
    groups = next(n for n in (8, 4, 2, 1) if all(width % n == 0 for width in widths))
    return diffusers.UNet2DModel(
        sample_size=tuple(shape),
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(widths),
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
        norm_num_groups=groups,
        add_attention=False,
    )


def _read(diffusers: Any, folder: str, channels: int) -> nn.Module:
    place = unet_folder(Path(folder))
    try:
        network = diffusers.UNet2DModel.from_pretrained(str(place), local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder} holds no UNet2DModel that can be read: {reason}") from None
    file = Path(folder) / "diffusion_pytorch_model.safetensors"
    if file.is_file():  # read again, for diffusers casts whatever numbers it finds
        load_weights(network, str(file))
    if network.config.in_channels != channels:
        raise InputError(
            f"the model in {folder} is of {network.config.in_channels} channels; channels={channels} was given"
        )
    if network.config.out_channels != channels:
        raise InputError(
            f"the model in {folder} gives {network.config.out_channels} channels for {channels}: one that learns the "
            f"variance beside the noise does not fit"
        )
    return network


def _check_widths(widths: tuple[int, ...], shape: tuple[int, int]) -> None:
    if not widths or min(widths) < 1:
        raise InputError(f"diffusion needs widths ≥ 1, at least one; {list(widths)} was given")
    factor = 2 ** (len(widths) - 1)
    if any(n % factor for n in shape):
        raise InputError(
            f"diffusion with {len(widths)} widths needs rows and columns divisible by {factor}; {list(shape)} was given"
        )
