"""The learned proximal gradient method with equivariant networks."""

from __future__ import annotations

from typing import Literal

from wellposed.errors import CompositionError, InputError
from wellposed.fidelity import Fidelity
from wellposed.solver import Solver

from ..networks.cyclic import CyclicProximal
from ..networks.proximal import ProximalNetwork
from .learned_proximal_gradient import LearnedProximalGradient


class EquivariantProximalGradient(LearnedProximalGradient):
    """Proximal gradient steps whose learned proximal maps commute with rotations, unrolled and trained as one.

    `(x, s) ← P_k(x, ∇E(x)/‖A‖², s)` for k = 1 … `steps`, from `x = 0`, `s = 0`; the image is `x`. The proximal
    map of a functional that likes an image and the turned image equally commutes with the turn, and so do the
    networks `P_k`, whatever their weights. Where the operator takes the turned image to a measurement turned
    likewise, the whole reconstruction does, too. With the paper's settings (the defaults) and one channel it
    has 126,000 parameters.

    Args:
        steps: number of iterations, each with weights of its own.
        memory: images `s` that are handed from step to step.
        image_channels: real channels of an image; a complex channel counts twice.
        network: of what make the `P_k` are; `cyclic-proximal-network`, the default, needs torch alone,
            `escnn-proximal-network` has the same weights and runs on escnn.
        fidelity: `E(x) = D(A x, y)`; by default `½‖A x − y‖²`.
        init: a solver whose image is the first `x`; it should turn with the image, too.
        checkpoint: train with the memory of one step, at the cost of one more forward pass.
        seed: of the initial weights.
        operators: which are taken. `turning`: those that measure a turned image as they measure the image, in
            another order; found out by `A*A` at one random image, once for each operator. `any`: all; for those
            that prefer a direction (an odd number of views, a limited arc, a mask of lines) the networks turn,
            the reconstruction does not, and the attribute `equivariances` is empty.

    Images `(B, channels, rows, columns)`, real or complex. Raises `CompositionError` for a network without
    equivariance, and for operators that are not linear, do not turn or have images of another form; `InputError`
    for fewer than 1 step or 0 memories.
    """

    def __init__(
        self,
        steps: int = 8,
        memory: int = 5,
        image_channels: int = 1,
        network: ProximalNetwork | None = None,
        fidelity: Fidelity | None = None,
        init: Solver | None = None,
        checkpoint: bool = False,
        seed: int = 0,
        operators: Literal["turning", "any"] = "turning",
    ) -> None:
        if operators not in ("turning", "any"):
            raise InputError(f"equivariant-proximal-gradient takes operators: turning, or any; not {operators!r}")
        self._turning = operators == "turning"
        super().__init__(steps, memory, image_channels, network, fidelity, init, checkpoint, seed)
        if not self._turning:
            self.equivariances = frozenset()

    def turning(self, pattern: ProximalNetwork) -> frozenset[str]:
        return pattern.equivariances if self._turning else frozenset()

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"use": "cyclic-proximal-network", "fields": 2}
        return (
            {"steps": 3, "network": small},
            {"steps": 2, "memory": 1, "network": {**small, "order": 8, "padding_mode": "zeros"}, "checkpoint": True},
        )

    @classmethod
    def pattern(cls, network: ProximalNetwork | None) -> ProximalNetwork:
        if network is None:
            return CyclicProximal()
        if not network.family.symmetric:
            raise CompositionError(
                "equivariant-proximal-gradient takes networks that commute with a group, such as "
                "cyclic-proximal-network; with ordinary ones it is 'learned-proximal-gradient'"
            )
        return network
