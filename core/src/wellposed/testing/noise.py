"""What every noise model promises: randomness from the given generator alone, and its own likelihood."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import WellposedError
from ..noise import Noise
from ..space import Space
from .global_state import watched
from .measure import generator, same_tensor, that, unchanged
from .promise import NotPromised, check
from .spaces import measurement_space
from .subject import Subject


def ideal_for(noise: Noise, batch: int = 3) -> Tensor:
    """Ideal measurements between 0.5 and 2.5, which every noise model accepts."""
    space = measurement_space(noise)
    uniform = torch.rand((batch, *space.shape), generator=generator(), dtype=torch.float64)
    return 0.5 + 2 * uniform


@check()
def draws_from_its_generator_alone(subject: Subject) -> None:
    """The same seed gives bitwise the same noise, another seed other noise; global random numbers stay."""
    noise = subject.build()
    v = ideal_for(noise)
    with watched(f"{subject.label} does not draw from the generator given; it"):
        first, second, third = (noise(v, generator(seed)) for seed in (1, 1, 2))
    that(same_tensor(first, second), f"{subject.label} gives other noise for the same seed")
    noiseless = same_tensor(first, v)
    that(noiseless or not same_tensor(first, third), f"{subject.label} gives the same noise for every seed")


@check()
def keeps_shape_and_precision(subject: Subject) -> None:
    """The noisy measurement is finite and has shape and dtype of the ideal one, which stays as it is."""
    for dtype in (torch.float32, torch.float64):
        noise = subject.build(dtype)
        v = ideal_for(noise).to(dtype)
        with unchanged(subject.label, v=v):
            y = noise(v, generator())
        that(
            y.shape == v.shape and y.dtype == v.dtype,
            f"{subject.label} must give {tuple(v.shape)} {v.dtype}; it gives {tuple(y.shape)} {y.dtype}",
        )
        that(bool(torch.isfinite(y).all()), f"{subject.label} gives values that are not finite")


@check()
def samples_are_independent(subject: Subject) -> None:
    """Two samples with the same ideal measurement get different noise."""
    noise = subject.build()
    v = ideal_for(noise, 1).expand(2, *measurement_space(noise).shape).contiguous()
    y = noise(v, generator())
    if same_tensor(y, v):
        raise NotPromised("it adds no noise")
    that(not same_tensor(y[0], y[1]), f"{subject.label} repeats its noise over the batch")


@check(applies=lambda cls: cls.fidelity is not Noise.fidelity)
def fidelity_is_its_likelihood(subject: Subject) -> None:
    """The score of its fidelity has mean zero at the ideal measurement: `E ∇_v D(v, noise(v)) = 0`."""
    noise = subject.build()
    fidelity = noise.fidelity()
    ideal = 0.5 + 2 * torch.rand((1, *measurement_space(noise).shape), generator=generator(), dtype=torch.float64)
    draws = 2000
    v = ideal.expand(draws, *ideal.shape[1:]).contiguous()
    y = noise(v, generator(4))
    fidelity.check(y)
    score = fidelity.gradient(v, y)
    deviation = score.std(0).clamp_min(1e-300) / draws**0.5
    worst = float((score.mean(0).abs() / deviation).max())
    that(
        worst <= 6.0,
        f"{type(fidelity).__name__} is not the likelihood of {subject.label}: the mean of its gradient at the ideal "
        f"measurement is {worst:.1f} standard errors from zero over {draws} draws (tolerance 6)",
    )


@check()
def complex_data_work_or_are_refused(subject: Subject) -> None:
    """Complex measurements get complex noise, or a sentence that refuses them."""
    noise = subject.build()
    space = Space(measurement_space(noise).shape, torch.complex64)
    v = space.randn(2, generator(), torch.float64)
    try:
        y = noise(v, generator())
    except WellposedError as refusal:
        raise NotPromised(f"it refuses complex measurements: {refusal}") from refusal
    except Exception as error:
        raise AssertionError(
            f"{subject.label} must take complex measurements or refuse them with an InputError; it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    that(y.dtype == v.dtype, f"{subject.label} turns {v.dtype} measurements into {y.dtype}")
    added = y - v
    that(
        same_tensor(y, v) or bool((added.imag != 0).any()),
        f"{subject.label} adds noise to the real part alone of complex measurements",
    )


CHECKS = (
    draws_from_its_generator_alone,
    keeps_shape_and_precision,
    samples_are_independent,
    fidelity_is_its_likelihood,
    complex_data_work_or_are_refused,
)
