"""A network behind a direct inversion."""

from __future__ import annotations

from torch import Tensor

from wellposed.dataset import Dataset
from wellposed.errors import ShapeError
from wellposed.network import Network
from wellposed.operator import Operator
from wellposed.problem import Problem
from wellposed.pseudo_inverse import PseudoInverse
from wellposed.solver import DirectSolver, Solver


class PostProcessing(DirectSolver):
    """`y ↦ N(B(y))`: a first reconstruction B, and a network N that removes its artefacts.

    Args:
        network: image to image, `(B, C, *spatial)` of the operator's domain; `residual` with `unet` is usual.
        initial: the first reconstruction; by default the operator's own direct inversion (filtered
            backprojection, zero filling, or least squares).

    The image agrees with the measurement only as far as the network learned that it should. Raises
    `CompositionError` where there is no `initial` and the operator is not linear, and `ShapeError` where the
    network gives images of another shape.
    """

    source = "Jin, McCann, Froustey & Unser 2017, IEEE TIP 26:4509"

    def __init__(self, network: Network, initial: Solver | None = None) -> None:
        super().__init__()
        self.network, self.initial = network, initial or PseudoInverse()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"use": "unet", "width": 8, "scales": 1, "groups": 2}
        return ({"network": {"use": "residual", "network": small}},)

    def check(self, problem: Problem) -> None:
        # It solves a problem of its own, with its fidelity and regularizer.
        self.initial.check(self.initial.pose(problem.measurement, problem.operator))

    def prepare(self, data: Dataset) -> None:
        self.initial.prepare(data)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        x = self.network(self.initial(y, operator))
        if tuple(x.shape[1:]) != operator.domain.shape:
            raise ShapeError(
                f"the network of post-processing gives images {tuple(x.shape[1:])}; those of "
                f"{type(operator).__name__} are {operator.domain.shape}"
            )
        return x
