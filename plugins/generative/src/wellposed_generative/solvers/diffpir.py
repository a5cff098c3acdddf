"""Sampling of images that agree with a measurement, with a diffusion model as prior."""

from __future__ import annotations

from typing import Literal

from wellposed.errors import InputError
from wellposed.fidelity import Fidelity
from wellposed.solver import Iterative
from wellposed.stopping import Stop

from ..iterations.diffpir_steps import DiffPirSteps
from ..networks.diffusion_prior import DiffusionPrior


class DiffPir(Iterative):
    """At each noise level: the prior's clean image, its fit to the measurement, and less noise than before.

    `x̂_0 = E[x_0|x_t]`; `x_0 = argmin_x w/2 ‖Ax − y‖² + λ/(2 r_t²) ‖x − x̂_0‖²` by the operator's `solve_normal`;
    `ε̂ = (x_t − √ᾱ_t x_0)/√(1−ᾱ_t)`, `x_{t'} = √ᾱ_{t'} x_0 + √(1−ᾱ_{t'}) (√(1−ζ) ε̂ + √ζ n)` with fresh noise `n`.
    `r_t² = (1−ᾱ_t)/ᾱ_t`, as published, takes the prior to be flat. With `prior_std` s it is `r_t² s²/(r_t² + s²)`,
    the variance of what is left unknown: for a Gaussian prior `N(m, s² I)`, any operator and ζ = 0, the samples then
    tend to those of the posterior as the steps become many. For other priors it is an approximation.

    Args:
        prior: `diffusion`, trained, or another diffusion model.
        fidelity: a squared distance, `l2` with weight `w = 1/σ²`.
        steps: number of noise levels, from the highest to the lowest.
        spacing: of the levels in time: `quad` (denser at low noise) or `uniform`.
        strength: λ, the trust in the prior.
        renewal: ζ, the part of the noise that is drawn anew.
        prior_std: standard deviation of the images under the prior, in their own unit; by default infinite.
        seed: of all noise. Every sample of a batch gets the same, so that its image does not depend on the others;
            another seed gives another draw.

    Needs a linear operator. Raises `InputError` for numbers out of range, `CompositionError` for another fidelity.
    Source: Zhu et al. 2023; `prior_std`: Song et al. 2023 (pseudoinverse-guided diffusion models).
    """

    follows_prior = True
    source = "Zhu et al. 2023, arXiv:2305.08995, algorithm 1; Song, Vahdat, Mardani & Kautz 2023, section 3.2 (r_t)"

    def __init__(
        self,
        prior: DiffusionPrior,
        fidelity: Fidelity,
        steps: int = 100,
        spacing: Literal["quad", "uniform"] = "quad",
        strength: float = 1.0,
        renewal: float = 0.1,
        prior_std: float | None = None,
        seed: int = 0,
    ) -> None:
        levels = int((prior.alphas > 0).sum())  # a level of noise alone says nothing of the image
        if not 1 <= steps <= levels:
            raise InputError(f"diffpir needs 1 to {levels} steps with this prior; {steps} was given")
        if not (strength > 0 and 0 <= renewal <= 1):
            raise InputError(f"diffpir needs strength > 0 and renewal in [0, 1]; {strength} and {renewal} were given")
        if prior_std is not None and not prior_std > 0:
            raise InputError(f"diffpir needs prior_std > 0; {prior_std} was given")
        times = noise_levels(levels, steps, spacing)
        iteration = DiffPirSteps(prior, times, strength, renewal, prior_std, seed)
        super().__init__(iteration, fidelity, stop=Stop(len(times)))

    @property
    def prior(self) -> DiffusionPrior:
        """The diffusion model: what `training.target: my-solver.prior` names in a recipe."""
        assert isinstance(self.iteration, DiffPirSteps)
        return self.iteration.prior

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        prior = {"use": "gaussian-diffusion", "shape": [16, 16], "steps": 100}
        return (
            {"prior": prior, "fidelity": {"use": "l2", "weight": 100.0}, "steps": 10},
            {"prior": prior, "fidelity": "l2", "steps": 5, "spacing": "uniform", "renewal": 0.0, "prior_std": 0.25},
        )


def noise_levels(length: int, steps: int, spacing: str) -> tuple[int, ...]:
    """`steps` different times from `length − 1` down to 0, evenly spread or evenly in their square root."""
    if steps == 1:
        return (length - 1,)
    power = 2.0 if spacing == "quad" else 1.0
    wanted = [round((length - 1) * ((steps - 1 - i) / (steps - 1)) ** power) for i in range(steps)]
    times: list[int] = []
    for i in range(steps - 1, -1, -1):  # from low noise up: no time is taken twice
        times.append(max(wanted[i], times[-1] + 1 if times else 0))
    return tuple(reversed(times))
