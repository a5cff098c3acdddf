"""Learned primal-dual reconstruction."""

from __future__ import annotations

from wellposed.errors import InputError
from wellposed.fidelity import Unstated
from wellposed.gradient import Unrolled
from wellposed.seeding import seeded
from wellposed.solver import Iterative
from wellposed.stopping import Stop

from ..iterations.primal_dual import Channels, PrimalDualSteps


class LearnedPrimalDual(Iterative):
    """A primal-dual scheme whose proximal maps are small networks, unrolled and trained as one.

    `h ← h + Γ_k(h, A f[1], y)`, `f ← f + Λ_k(f, A* h[0])` for k = 1 … `steps`; the image is `f[0]`.
    `A` is scaled to norm 1 inside, so that weights suit every scale of the operator. With the paper's
    settings (the defaults) it has 253,220 parameters.

    Args:
        steps: number of iterations, each with weights of its own.
        memory: images, and measurements, that are handed from step to step; at least 2.
        width: channels of the hidden layers.
        image_channels: channels of the images, `(image_channels, rows, columns)`.
        measurement_channels: channels of the measurements, of the same form.
        checkpoint: train with the memory of one step, at the cost of one more forward pass.
        seed: of the initial weights.

    Raises `InputError` for fewer than 1 step or 2 memories, `CompositionError` for operators that are
    complex, not linear, or of another form.
    """

    source = "Adler & Öktem 2018, Learned primal-dual reconstruction, IEEE TMI 37:1322, algorithm 3"

    def __init__(
        self,
        steps: int = 10,
        memory: int = 5,
        width: int = 32,
        image_channels: int = 1,
        measurement_channels: int = 1,
        checkpoint: bool = False,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ("steps", steps, 1),
            ("memory", memory, 2),
            ("width", width, 1),
            ("image_channels", image_channels, 1),
            ("measurement_channels", measurement_channels, 1),
        ):
            if value < least:
                raise InputError(f"learned-primal-dual needs {name} ≥ {least}; {value} was given")
        channels = Channels(image_channels, measurement_channels, memory)
        with seeded(seed):
            iteration = PrimalDualSteps(steps, channels, width)
        super().__init__(iteration, Unstated(), stop=Stop(steps), gradient=Unrolled(checkpoint))

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"steps": 3, "width": 8}, {"steps": 2, "memory": 2, "width": 6, "checkpoint": True})
