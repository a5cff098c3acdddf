"""The learned proximal gradient method with equivariant networks."""

from __future__ import annotations

from wellposed.errors import CompositionError

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

    Images `(B, channels, rows, columns)`, real or complex. Raises `CompositionError` for a network without
    equivariance, and for operators that are not linear or have images of another form; `InputError` for fewer
    than 1 step or 0 memories.
    """

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
