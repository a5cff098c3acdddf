"""What a noise model and its fidelity promise to each other: `exp(−D(v, y))` is the density of `y = noise(v)`.

Up to what does not depend on the prediction. Three identities of a density hold then, whatever it is: the score
has mean zero, its variance is the mean curvature (Fisher), and `E exp(D(v, y) − D(v + h, y)) = 1` for every `h`,
which sees all moments. A noise whose fidelity is its likelihood in shape but not in unit, because the unit is
known only with the data, says so by `known_scale = False`; then the unit alone is left open.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import WellposedError
from ..fidelity import Fidelity
from ..noise import Noise
from .measure import at_most, generator, that
from .promise import NotPromised, check
from .spaces import measurement_space
from .subject import Subject

_DRAWS = 4000
#: Standard errors that count as chance, and what discretisation may add.
_CHANCE, _DISCRETE = 6.0, 0.03


def has_likelihood(cls: type) -> bool:
    return getattr(cls, "fidelity", Noise.fidelity) is not Noise.fidelity


@check(applies=has_likelihood, since="0.2")
def score_has_mean_zero_overall(subject: Subject) -> None:
    """Pooled over all bins the mean of `∇_v D(v, noise(v))` is zero: no bias, however small, that bins share."""
    drawn = _Drawn(subject)
    score = drawn.fidelity.gradient(drawn.v, drawn.y).flatten(1)
    each = score / score.std(0).clamp_min(1e-300)
    # The mean over bins of each draw, so that the pooled error is right for noise of any correlation.
    pooled = each.mean(1)
    worst = abs(float(pooled.mean())) / max(float(pooled.std()) / len(pooled) ** 0.5, 1e-300)
    at_most(worst, _CHANCE, f"the mean over draws and bins of the score of {subject.label}, in standard errors")


@check(applies=has_likelihood, since="0.2")
def score_varies_as_the_likelihood_curves(subject: Subject) -> None:
    """Fisher's identity `Var ∇D = E ∇²D`, bin by bin and pooled: the noise is as strong as its fidelity says."""
    _assert_fisher(_Drawn(subject), 1.0, subject.label)


@check(applies=has_likelihood, since="0.2")
def complex_noise_is_its_likelihood(subject: Subject) -> None:
    """Where complex measurements are taken, Fisher's identity holds in the real and in the imaginary part."""
    try:
        drawn = _Drawn(subject, complex_data=True)
    except WellposedError as refusal:
        raise NotPromised(f"it refuses complex measurements: {refusal}") from refusal
    for part in (1.0, 1.0j):
        _assert_fisher(drawn, part, f"{subject.label} of complex data along {part}")
    noise = torch.view_as_real(drawn.y - drawn.v).reshape(-1, 2)
    correlation = torch.corrcoef(noise.T)[0, 1]
    at_most(abs(float(correlation)), _CHANCE / len(noise) ** 0.5, f"correlation of the two parts of {subject.label}")


@check(applies=has_likelihood, since="0.2")
def density_integrates_to_one(subject: Subject) -> None:
    """`E exp(D(v, y) − D(v + h, y)) = 1` for shifts of about a standard deviation: the shape of the noise is right."""
    drawn = _Drawn(subject)
    if not drawn.known:
        raise NotPromised("its fidelity leaves the unit open (known_scale = False)")
    fidelity, v, y = drawn.fidelity, drawn.v, drawn.y
    spread = (y - v).std(0, keepdim=True)
    if not _is_separable(fidelity, v, y, spread):
        raise NotPromised("its fidelity couples the bins")
    for size in (0.7, -0.7, 1.5):
        # The difference of D in each bin alone, as the integral of its derivative.
        difference = sum(weight * fidelity.gradient(v + node * size * spread, y) for node, weight in _quadrature()) * (
            size * spread
        )
        assert isinstance(difference, Tensor)
        ratio = torch.exp(-difference).flatten(1) - 1
        _assert_zero(ratio.mean(1, keepdim=True), 0.3, f"E exp(D(v) − D(v + {size:g}σ)) − 1 of {subject.label}")


@check(applies=has_likelihood, since="0.2")
def bins_and_samples_are_uncorrelated(subject: Subject) -> None:
    """The noise of a bin tells nothing of another bin's, and that of a sample nothing of the next sample's."""
    drawn = _Drawn(subject)
    noise = (drawn.y - drawn.v).flatten(1)
    noise = (noise - noise.mean(0)) / noise.std(0).clamp_min(1e-300)
    count = len(noise)
    for what, part in (("values", noise), ("sizes", noise.abs() - noise.abs().mean(0))):
        part = part / part.std(0).clamp_min(1e-300)
        correlation = part.T @ part / count
        off = correlation - torch.diag(torch.diagonal(correlation))
        at_most(
            float(off.abs().max()), _CHANCE / count**0.5, f"correlation of the {what} of two bins of {subject.label}"
        )
        # Neighbours in the image, together: a weak correlation that all of them share.
        image = part.reshape(count, *drawn.v.shape[1:])
        for axis in range(2, image.ndim):
            shared = float((image * image.roll(1, axis)).mean())
            at_most(abs(shared), _CHANCE / part.numel() ** 0.5, f"correlation of neighbours along axis {axis}")
        serial = float((part[1:] * part[:-1]).mean())
        at_most(abs(serial), _CHANCE / part.numel() ** 0.5, f"correlation of the {what} of samples of {subject.label}")


def _assert_fisher(drawn: _Drawn, direction: complex, who: str) -> None:
    """`Var <∇D, u> = E <∇²D u, u>` in every bin, `u` the real or imaginary unit."""
    fidelity, v, y = drawn.fidelity, drawn.v, drawn.y

    def along(gradient: Tensor) -> Tensor:
        return (gradient.imag if isinstance(direction, complex) else gradient.real).flatten(1)

    step = 0.05 * (y - v).std(0, keepdim=True)
    ahead, behind = (along(fidelity.gradient(v + s * direction * step, y)) for s in (1, -1))
    curvature = (ahead - behind) / (2 * step.flatten(1))
    score = along(fidelity.gradient(v, y))
    square = (score - score.mean(0)).square()
    if not drawn.known:
        square = square * (curvature.mean() / square.mean())
    pooled = (square - curvature).mean(1, keepdim=True) / curvature.mean()
    _assert_zero(pooled, 1.0, f"Var(score)/E[curvature] − 1 of {who}, over all bins")
    _assert_zero(square - curvature, curvature.mean(0), f"Var(score) − E[curvature] of {who}, bin by bin")


class _Drawn:
    """Many draws of the noise of one ideal measurement, and the fidelity that is their likelihood."""

    def __init__(self, subject: Subject, complex_data: bool = False) -> None:
        noise: Noise = subject.build()
        self.fidelity: Fidelity = noise.fidelity()
        self.known = noise.known_scale
        space = measurement_space(noise)
        ideal = 0.5 + 2 * torch.rand((1, *space.shape), generator=generator(), dtype=torch.float64)
        ideal = ideal * (1 - 0.5j) if complex_data else ideal
        self.v = ideal.expand(_DRAWS, *ideal.shape[1:]).contiguous()
        self.y = noise(self.v, generator(4))
        if not bool((self.y != self.v).any()):
            raise NotPromised("it adds no noise")
        self.fidelity.check(self.y)


def _assert_zero(samples: Tensor, scale: float | Tensor, sentence: str) -> None:
    """The mean of independent rows is zero up to chance and a share of `scale`."""
    error = samples.std(0) / len(samples) ** 0.5
    slack = _CHANCE * error + _DISCRETE * torch.as_tensor(scale).abs()
    excess = samples.mean(0).abs() / slack
    worst = int(excess.argmax())
    that(
        bool(excess[worst] <= 1),
        f"{sentence}: {float(samples.mean(0)[worst]):.3g}, with a standard error of {float(error[worst]):.2g}; its "
        f"fidelity is not the likelihood of this noise",
    )


def _is_separable(fidelity: Fidelity, v: Tensor, y: Tensor, spread: Tensor) -> bool:
    """Whether a change of every other bin leaves the derivative in the rest alone."""
    v, y = v[:4], y[:4]
    odd = (torch.arange(v[0].numel()) % 2).reshape(v.shape[1:]).to(v.dtype)
    change = fidelity.gradient(v + 0.5 * spread * odd, y) - fidelity.gradient(v, y)
    return bool((change * (1 - odd)).abs().max() <= 1e-9 * change.abs().max().clamp_min(1e-300))


def _quadrature() -> list[tuple[float, float]]:
    """Midpoints in sixty parts: likelihoods of kinks have jumps in their derivatives."""
    parts = 60
    return [((i + 0.5) / parts, 1 / parts) for i in range(parts)]


CHECKS = (
    score_has_mean_zero_overall,
    score_varies_as_the_likelihood_curves,
    complex_noise_is_its_likelihood,
    density_integrates_to_one,
    bins_and_samples_are_uncorrelated,
)
