"""ISTA-Net+."""

from __future__ import annotations

from wellposed.errors import InputError
from wellposed.fidelity import Unstated
from wellposed.gradient import Unrolled
from wellposed.pseudo_inverse import PseudoInverse
from wellposed.seeding import seeded
from wellposed.solver import Iterative, Solver
from wellposed.stopping import Stop

from ..iterations.proximal_phases import ProximalPhases
from ..phases import ResidualPhase


class ISTANetPlus(Iterative):
    """ISTA whose sparsifying transform, step sizes and thresholds are learned, others in each phase.

    `r = x − λ_k A*(A x − y)`, `x ← r + G F̃(S_θ(F(D r)))` for k = 1 … `phases`, with `A` scaled to norm 1.
    With 9 phases and 32 features it has 336,978 parameters. Training adds `symmetry_weight` times the mean of
    `(F̃(F(D r)) − D r)²`, summed over the phases, to the loss: the transforms shall be inverse to each other.

    Args:
        phases: number of iterations, each with weights of its own.
        features: channels of the transforms.
        channels: channels of the images, `(channels, rows, columns)`.
        initial: the solver whose image it starts from; by default the operator's direct inversion (zero filling,
            backprojection of random measurements). For compressed sensing take `blockwise-linear`.
        symmetry_weight: of the wish that the transforms are inverse to each other; 0.01 in the paper.
        tile: side of square tiles that the convolutions see alone, as if each was an image: the paper's block by
            block reconstruction. By default they see across the borders of blocks, which removes their artefacts.
        checkpoint: train with the memory of one phase, at the cost of one more forward pass.
        residual_gain: factor on the initial weights of `G`. 1 is the paper's; with a small one the untrained
            network leaves its initial image nearly as it is, and a short training wins from the first step.
        seed: of the initial weights (Xavier-normal; λ 0.5, θ 0.01).

    Raises `CompositionError` for operators that are not linear, complex, or of images of another form.
    """

    source = "Zhang & Ghanem 2018, ISTA-Net: interpretable optimization-inspired deep network, CVPR, section 3.3"

    def __init__(
        self,
        phases: int = 9,
        features: int = 32,
        channels: int = 1,
        initial: Solver | None = None,
        symmetry_weight: float = 0.01,
        tile: int | None = None,
        checkpoint: bool = False,
        residual_gain: float = 1.0,
        seed: int = 0,
    ) -> None:
        for name, value in (
            ("phases", phases),
            ("features", features),
            ("channels", channels),
            ("tile", 1 if tile is None else tile),
        ):
            if value < 1:
                raise InputError(f"ista-net-plus needs {name} ≥ 1; {value} was given")
        if symmetry_weight < 0:
            raise InputError(f"ista-net-plus needs symmetry_weight ≥ 0; {symmetry_weight} was given")
        with seeded(seed):
            proximal = [ResidualPhase(channels, features, residual_gain) for _ in range(phases)]
        iteration = ProximalPhases(proximal, channels, 0.5, symmetry_weight, tile)
        start = initial or PseudoInverse()
        super().__init__(iteration, Unstated(), stop=Stop(phases), gradient=Unrolled(checkpoint), init=start)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"phases": 2, "features": 4},
            {"phases": 2, "features": 4, "tile": 5, "checkpoint": True},
        )
