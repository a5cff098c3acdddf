"""The learned primal-dual iteration: one pair of networks per step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wellposed.layers import LayeredIteration, LayerState, check_planes, no_layers
from wellposed.linear_algebra import inverse_norm
from wellposed.operator import LinearOperator
from wellposed.problem import Problem


@dataclass(frozen=True)
class PrimalDual(LayerState):
    """`primal` `(B, memory·C, *image)` and `dual` `(B, memory·C', *measurement)`."""

    primal: Tensor
    dual: Tensor


@dataclass(frozen=True)
class Channels:
    """Channels of an image and of a measurement, and how many copies of each the state remembers."""

    image: int
    measurement: int
    memory: int


class PrimalDualSteps(LayeredIteration[PrimalDual]):
    """Learned updates of an image memory `f` and a measurement memory `h`, with `A` scaled to norm 1.

    Step k: `h ← h + Γ_k(h, A f[1], y)`, then `f ← f + Λ_k(f, A* h[0])`; the estimate is `f[0]`. `Γ_k` and
    `Λ_k` are three 3×3 convolutions each, with PReLU between them, and other weights for every k. Both memories
    start at zero, or `f` with the start image in each of its places.

    Needs a real linear operator whose images and measurements both are `(channels, rows, columns)`.
    """

    source = "Adler & Öktem 2018, Learned primal-dual reconstruction, IEEE TMI 37:1322, algorithm 3"

    def __init__(self, steps: int, channels: Channels, width: int) -> None:
        super().__init__()
        self.channels = channels
        image, measurement = channels.image, channels.measurement
        f, h = channels.memory * image, channels.memory * measurement
        self.dual = nn.ModuleList(_update(h + 2 * measurement, width, h) for _ in range(steps))
        self.primal = nn.ModuleList(_update(f + image, width, f) for _ in range(steps))

    def check(self, problem: Problem) -> None:
        super().check(problem)
        operator, name = problem.operator, "learned-primal-dual"
        check_planes(name, operator, "images", operator.domain, self.channels.image)
        check_planes(name, operator, "measurements", operator.range, self.channels.measurement)

    def init(self, problem: Problem, x: Tensor | None = None) -> PrimalDual:
        start = problem.zeros() if x is None else x
        y = problem.measurement
        primal = start.repeat(1, self.channels.memory, 1, 1)
        dual = torch.zeros_like(y).repeat(1, self.channels.memory, 1, 1)
        return PrimalDual(primal, dual, count=no_layers(problem))

    @property
    def depth(self) -> int:
        return len(self.primal)

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """For each step, the parameters of both its networks."""
        return [[*d.parameters(), *p.parameters()] for d, p in zip(self.dual, self.primal, strict=True)]

    def layer(self, problem: Problem, state: PrimalDual, k: int) -> PrimalDual:
        operator = problem.operator
        assert isinstance(operator, LinearOperator)  # checked before the first step
        c, m = self.channels.image, self.channels.measurement
        scale = inverse_norm(operator)
        y, predicted = scale * problem.measurement, scale * operator(state.primal[:, c : 2 * c])
        dual = state.dual + self.dual[k](torch.cat([state.dual, predicted, y], 1))
        back = scale * operator.adjoint(dual[:, :m])
        primal = state.primal + self.primal[k](torch.cat([state.primal, back], 1))
        return replace(state, primal=primal, dual=dual)

    def estimate(self, state: PrimalDual) -> Tensor:
        return state.primal[:, : self.channels.image]


def _update(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """conv3×3, PReLU, conv3×3, PReLU, conv3×3; Xavier-uniform weights, PReLU slopes and biases 0."""
    net = nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.PReLU(width, init=0.0),
        nn.Conv2d(width, width, 3, padding=1),
        nn.PReLU(width, init=0.0),
        nn.Conv2d(width, outputs, 3, padding=1),
    )
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return net
