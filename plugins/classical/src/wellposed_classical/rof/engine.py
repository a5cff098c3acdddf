"""What carries out the iteration of total-variation denoising: the interface, and the step sizes.

Both engines run the accelerated primal–dual method of Chambolle and Pock (2011, algorithm 2) on

    min_x max_{|p| ≤ 1}  ½‖x − y‖² + <∇x, p>,

with `z = y − ∇*p` after each dual step:

    p ← Π(p + σ∇x̄),   x̄ ← x + (1 + θ)τ/(1 + τ)·(z − x),   x ← x + τ/(1 + τ)·(z − x),
    θ = (1 + 2γτ)^{−½},   τ ← θτ,   σ ← σ/θ,   starting with στ‖∇‖² = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Coupling = Literal["isotropic", "anisotropic"]

#: Half of the allowed γ ≤ 1 and less: the distance to the solution falls earlier, the gap no later.
#: Iterations to a gap of 1e-4 (a distance of 1e-4) on the benchmark image: γ = 0.7 in 125 (400),
#: γ = 0.35 in 125 (200), γ = 0.15 in 150 (240).
_GAMMA = 0.35
_FIRST_TAU = 1.0


@dataclass(frozen=True)
class Step:
    """The step sizes of one iteration; `relax` and `extrapolate` are the factors of x and x̄ above."""

    sigma: float
    relax: float
    extrapolate: float


def steps(axes: int) -> Iterator[Step]:
    """The step sizes for images with `axes` spatial axes, `‖∇‖² ≤ 4·axes`."""
    tau, sigma = _FIRST_TAU, 1 / (4 * axes * _FIRST_TAU)
    while True:
        theta = (1 + 2 * _GAMMA * tau) ** -0.5
        relax = tau / (1 + tau)
        yield Step(sigma, relax, (1 + theta) * relax)
        tau, sigma = theta * tau, sigma / theta


class Engine(Protocol):
    """The state of a batch of images `(N, J, *spatial)`; `image` is the current estimate."""

    image: Tensor

    def iterate(self, steps: list[Step]) -> None:
        """Do one iteration for each of `steps`."""
        ...

    def relative_gap(self) -> Tensor:
        """Primal minus dual objective over the primal one, `(N,)`."""
        ...

    def keep(self, index: Tensor) -> None:
        """Go on with the images `index` alone."""
        ...
