"""The learned proximal gradient method."""

from __future__ import annotations

import copy

from wellposed.errors import InputError
from wellposed.fidelity import Fidelity, Unstated
from wellposed.gradient import Unrolled
from wellposed.solver import Iterative, Solver
from wellposed.stopping import Stop

from ..iterations.learned_proximal_gradient import LearnedProximalGradientSteps
from ..networks.proximal import OrdinaryProximal, ProximalNetwork


class LearnedProximalGradient(Iterative):
    """Proximal gradient steps whose proximal maps are networks, unrolled and trained as one.

    `(x, s) ← P_k(x, ∇E(x)/‖A‖², s)` for k = 1 … `steps`, from `x = 0`, `s = 0`; the image is `x`. With the
    paper's settings (the defaults) and one channel it has 754,992 parameters.

    Args:
        steps: number of iterations, each with weights of its own.
        memory: images `s` that are handed from step to step.
        image_channels: real channels of an image; a complex channel counts twice.
        network: of what make the `P_k` are; each is one like it with the channels that are needed, and with
            initial weights of its own. By default `proximal-network`.
        fidelity: `E(x) = D(A x, y)`; by default `½‖A x − y‖²`.
        init: a solver whose image is the first `x`.
        checkpoint: train with the memory of one step, at the cost of one more forward pass.
        seed: of the initial weights.

    Images `(B, channels, rows, columns)`, real or complex. Raises `InputError` for fewer than 1 step or 0 memories,
    `CompositionError` for operators that are not linear or have images of another form.
    """

    source = "Celledoni et al. 2021, Equivariant neural networks for inverse problems, Inverse Problems 37:085006"

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
    ) -> None:
        for name, value, least in (("steps", steps, 1), ("memory", memory, 0), ("image_channels", image_channels, 1)):
            if value < least:
                raise InputError(f"{type(self).__name__} needs {name} ≥ {least}; {value} was given")
        pattern = self.pattern(network)
        inputs, outputs = 2 * image_channels + memory, image_channels + memory
        networks = [pattern.like(inputs, outputs, seed * steps + k) for k in range(steps)]
        super().__init__(
            LearnedProximalGradientSteps(networks, image_channels, memory, self.turning(pattern)),
            fidelity or Unstated(),
            stop=Stop(steps),
            gradient=Unrolled(checkpoint),
            init=init,
        )
        #: The groups under which the image turns with the measurement, if the operator and `init` let it.
        self.equivariances = pattern.equivariances

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        small = {"use": "proximal-network", "width": 6}
        return ({"steps": 3, "network": small}, {"steps": 2, "memory": 0, "network": small, "checkpoint": True})

    @classmethod
    def pattern(cls, network: ProximalNetwork | None) -> ProximalNetwork:
        """The network that the `P_k` are like: the given one, or this solver's default."""
        return OrdinaryProximal() if network is None else network

    def turning(self, pattern: ProximalNetwork) -> frozenset[str]:
        """The groups as which an operator must turn; here every operator will do."""
        return frozenset()

    def export(self) -> LearnedProximalGradient:
        """The same solver with ordinary convolutions: as fast as its twin, and loaded as `learned-proximal-gradient`.

        Its networks are `proximal-network`s with as many channels as these have.
        """
        steps = self.iteration
        assert isinstance(steps, LearnedProximalGradientSteps)
        networks = [network.export() for network in steps.proximal]
        plain = LearnedProximalGradient(
            steps=len(networks),
            memory=steps.memory,
            image_channels=steps.image_channels,
            network=networks[0],
            fidelity=None if isinstance(self.fidelity, Unstated) else copy.deepcopy(self.fidelity),
            init=copy.deepcopy(self.start),
            checkpoint=isinstance(self.gradient, Unrolled) and self.gradient.checkpoint,
        )
        plain.iteration = LearnedProximalGradientSteps(networks, steps.image_channels, steps.memory)
        return plain.train(self.training)
