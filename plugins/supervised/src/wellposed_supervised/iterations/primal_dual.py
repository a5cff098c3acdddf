"""The learned primal-dual iteration: one pair of networks per step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wellposed.errors import CompositionError, InputError
from wellposed.iteration import Iteration
from wellposed.operator import LinearOperator
from wellposed.problem import Problem
from wellposed.state import State, bookkeeping


@dataclass(frozen=True)
class PrimalDual(State):
    """`primal` `(B, memory·C, *image)` and `dual` `(B, memory·C', *measurement)`; `count`: steps done, on the CPU."""

    primal: Tensor
    dual: Tensor
    count: Tensor = bookkeeping()


@dataclass(frozen=True)
class Channels:
    """Channels of an image and of a measurement, and how many copies of each the state remembers."""

    image: int
    measurement: int
    memory: int


class PrimalDualSteps(Iteration[PrimalDual]):
    """Learned updates of an image memory `f` and a measurement memory `h`, with `A` scaled to norm 1.

    Step k: `h ← h + Γ_k(h, A f[1], y)`, then `f ← f + Λ_k(f, A* h[0])`; the estimate is `f[0]`. `Γ_k` and
    `Λ_k` are three 3×3 convolutions each, with PReLU between them, and other weights for every k: the state
    counts the steps. Both memories start at zero, or `f` with the start image in each of its places.

    Needs a real linear operator whose images and measurements both are `(channels, rows, columns)`.
    """

    source = "Adler & Öktem 2018, Learned primal-dual reconstruction, IEEE TMI 37:1322, algorithm 3"
    stationary = False
    solves = "data"

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
        for what, space, channels in (
            ("images", operator.domain, self.channels.image),
            ("measurements", operator.range, self.channels.measurement),
        ):
            if space.is_complex:
                raise CompositionError(
                    f"{name} works on real tensors; the {what} of {type(operator).__name__} are complex. Take "
                    f"real and imaginary part as two channels with the operator 'complexify'"
                )
            if len(space.shape) != 3 or space.shape[0] != channels:
                raise CompositionError(
                    f"this {name} is made for {what} of shape ({channels}, rows, columns); those of "
                    f"{type(operator).__name__} are {space.shape}"
                )

    def init(self, problem: Problem, x: Tensor | None = None) -> PrimalDual:
        start = problem.zeros() if x is None else x
        y = problem.measurement
        primal = start.repeat(1, self.channels.memory, 1, 1)
        dual = torch.zeros_like(y).repeat(1, self.channels.memory, 1, 1)
        return PrimalDual(primal, dual, torch.zeros(problem.batch, dtype=torch.int64))

    def step(self, problem: Problem, state: PrimalDual) -> PrimalDual:
        k = int(state.count[0])  # all samples of a batch are at the same step
        if k >= len(self.primal):
            raise InputError(f"this learned primal-dual was made with {len(self.primal)} steps; it has no step {k + 1}")
        operator = problem.operator
        assert isinstance(operator, LinearOperator)  # checked before the first step
        c, m = self.channels.image, self.channels.measurement
        y = problem.measurement * (1.0 / operator.norm())
        predicted = _unit(operator, operator, state.primal[:, c : 2 * c])
        dual = state.dual + self.dual[k](torch.cat([state.dual, predicted, y], 1))
        back = _unit(operator, operator.adjoint, dual[:, :m])
        primal = state.primal + self.primal[k](torch.cat([state.primal, back], 1))
        return PrimalDual(primal, dual, state.count + 1)

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


def _unit(operator: LinearOperator, apply: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """The operator or its adjoint over `‖A‖` (which it computes once and keeps), in full precision under autocast."""
    with torch.autocast(value.device.type, enabled=False):
        return apply(value) * (1.0 / operator.norm())
