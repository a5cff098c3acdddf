"""The proximal gradient method with a learned proximal map, at its fixed point."""

from __future__ import annotations

from wellposed import Acceleration, Fidelity, FixedPointResidual, Gradient, InputError, Iterative, Network, Stop
from wellposed import component as registered
from wellposed.errors import ComponentNotFound
from wellposed.registry import registry

from ..accelerations.anderson import Anderson
from ..gradients.implicit import Implicit
from ..networks.contractive_residual import ContractiveResidual
from ..regularizers.learned_proximal import LearnedProximal

#: What it is put together from that this plugin does not have: kind, name, the distribution that provides it.
_PARTS = (("iterations", "proximal-gradient", "wellposed-classical"), ("fidelities", "l2", "wellposed-physics"))


class EquilibriumProximal(Iterative):
    """The fixed point `x* = N(x* − s A*∇D(A x*, y))` of the proximal gradient method with a learned map N.

    A composition and nothing more: the registered iteration `proximal-gradient`, the regularizer
    `learned-proximal` around `network`, an acceleration and a gradient. Each sample runs until
    `‖T(x) − x‖ ≤ tolerance·‖T(x)‖`, in at most `iterations` steps.

    Args:
        network: the map N, images to images; by default `contractive-residual`, with which the fixed point
            exists, is the only one, and has a certified distance (see there).
        fidelity: D; by default the registered `l2`.
        iterations: limit of the forward pass.
        tolerance: relative fixed-point residual at which a sample is done.
        step_size: s; by default `1/(L‖A‖²)`, L the Lipschitz constant of `∇D`, so that N suits every scale of
            the operator.
        acceleration: of the forward pass, by default `anderson`.
        gradient: how it is differentiated, by default `implicit` to a relative residual of 1e-3 in the backward
            pass; `jacobian-free` and `phantom` cost less and are not exact.

    With the operator `identity` the fixed point is `N(y)` after one step: trained there, it is a denoiser,
    and its weights are a start for other operators. Raises `InputError` for limits out of range and where
    `proximal-gradient` (of wellposed-classical) or the default `l2` (of wellposed-physics) is not installed, and
    `CompositionError` where the operator or fidelity does not fit the iteration.
    """

    source = "Gilton, Ongie & Willett 2021, Deep equilibrium architectures for inverse problems, eq. (9) (DE-Prox)"

    def __init__(
        self,
        network: Network | None = None,
        fidelity: Fidelity | None = None,
        iterations: int = 100,
        tolerance: float = 1e-4,
        step_size: float | None = None,
        acceleration: Acceleration | None = None,
        gradient: Gradient | None = None,
    ) -> None:
        if iterations < 1:
            raise InputError(f"equilibrium-proximal needs iterations ≥ 1; {iterations} was given")
        lacking = _lacking(_PARTS[:1] if fidelity is not None else _PARTS)
        if lacking:
            raise InputError(lacking)
        super().__init__(
            registered("iterations", "proximal-gradient")(step_size),
            fidelity or registered("fidelities", "l2")(),
            LearnedProximal(network or ContractiveResidual()),
            Stop(iterations, [FixedPointResidual(tolerance)]),
            acceleration or Anderson(),
            gradient or Implicit(tolerance=1e-3),
        )

    @classmethod
    def lacking(cls) -> str | None:
        return _lacking(_PARTS)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"layers": 2, "width": 4, "kernel": 3, "threshold": 0.3, "contraction": 0.95}
        network = {"use": "contractive-residual", **small}
        return (
            {"network": network},
            {"network": network, "gradient": "jacobian-free", "acceleration": "broyden", "tolerance": 1e-3},
        )


def _lacking(parts: tuple[tuple[str, str, str], ...]) -> str | None:
    """A sentence with the command that installs those of `parts` that no installed distribution provides."""
    missing = []
    for kind, name, distribution in parts:
        try:
            registry().find(kind, name)
        except ComponentNotFound:
            missing.append((name, distribution))
    if not missing:
        return None
    names = " and ".join(f"{name} (of {distribution})" for name, distribution in missing)
    return (
        f"equilibrium-proximal is put together from other components, and {names} is not installed; run: pip install "
        f"{' '.join(distribution for _, distribution in missing)}"
    )
