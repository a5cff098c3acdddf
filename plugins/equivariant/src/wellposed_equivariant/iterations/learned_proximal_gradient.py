"""Proximal gradient steps whose proximal maps are learned, one network per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from wellposed.errors import CompositionError
from wellposed.fidelity import Unstated
from wellposed.layers import LayeredIteration, LayerState, no_layers
from wellposed.linear_algebra import inverse_norm
from wellposed.memo import OperatorMemo, placement
from wellposed.operator import LinearOperator
from wellposed.problem import Problem

from ..networks.proximal import ProximalNetwork
from .turning import check_that_it_turns


@dataclass(frozen=True)
class Remembering(LayerState):
    """`image` `(B, C, H, W)`, `memory` `(B, channels, H, W)`, real."""

    image: Tensor
    memory: Tensor


class LearnedProximalGradientSteps(LayeredIteration[Remembering]):
    """`(x, s) ← P_k(x, ∇E(x)/‖A‖², s)` for k = 1, 2, …: another network `P_k` at every step.

    `E(x) = D(A x, y)`, or `½‖A x − y‖²` where the problem states no fidelity. The memory `s` are images
    that networks leave for the next step; they start at zero. The gradient is divided by `‖A‖²`, so
    that weights do not depend on the unit of length. A complex channel of `x` is two channels of `P_k`.

    Needs a linear operator whose images are `(channels, rows, columns)`, and that turns as the groups `turning` do.
    """

    source = "Celledoni et al. 2021, Equivariant neural networks for inverse problems, Inverse Problems 37:085006"

    def __init__(
        self,
        networks: Sequence[ProximalNetwork],
        image_channels: int,
        memory: int,
        turning: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.turning, self._turns = turning, OperatorMemo()
        self.networks = nn.ModuleList(networks)
        self.image_channels, self.memory = image_channels, memory

    @property
    def proximal(self) -> list[ProximalNetwork]:
        """The networks `P_k`."""
        return cast("list[ProximalNetwork]", list(self.networks))

    def check(self, problem: Problem) -> None:
        super().check(problem)
        domain = problem.operator.domain
        form = "two real channels (real and imaginary part)" if domain.is_complex else "one real channel"
        if len(domain.shape) != 3 or domain.shape[0] * (1 + domain.is_complex) != self.image_channels:
            raise CompositionError(
                f"this learned proximal gradient is made for images of {self.image_channels} real channels, rows and "
                f"columns; those of {type(problem.operator).__name__} are {domain.shape}, where a channel is {form}"
            )
        if self.turning:
            y = problem.measurement
            self._turns.get(
                problem.operator, placement(y), lambda: check_that_it_turns(problem.operator, self.turning, y)
            )

    def init(self, problem: Problem, x: Tensor | None = None) -> Remembering:
        image = problem.zeros() if x is None else x
        size = image.shape[-2:]
        memory = torch.zeros((len(image), self.memory, *size), dtype=image.dtype.to_real(), device=image.device)
        return Remembering(image, memory, count=no_layers(problem))

    @property
    def depth(self) -> int:
        return len(self.networks)

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """For each step, the parameters of its network."""
        return [list(network.parameters()) for network in self.networks]

    def layer(self, problem: Problem, state: Remembering, k: int) -> Remembering:
        known = [_as_channels(state.image), _as_channels(_data_gradient(problem, state.image)), state.memory]
        new = self.networks[k](torch.cat(known, 1)).to(state.memory.dtype)  # mixed precision ends with the network
        image, memory = new.split([self.image_channels, self.memory], 1)
        return replace(state, image=_like(image, state.image), memory=memory)


def _data_gradient(problem: Problem, x: Tensor) -> Tensor:
    """`∇E(x)/‖A‖²`."""
    operator = problem.operator
    assert isinstance(operator, LinearOperator)  # checked before the first step
    if isinstance(problem.fidelity, Unstated):
        gradient = operator.adjoint(operator(x) - problem.measurement)
    else:
        gradient = problem.data_gradient(x)
    return gradient * inverse_norm(operator) ** 2


def _as_channels(image: Tensor) -> Tensor:
    """Real images as they are; of complex ones all real parts and then all imaginary parts."""
    return torch.cat([image.real, image.imag], 1) if image.is_complex() else image


def _like(channels: Tensor, image: Tensor) -> Tensor:
    """The inverse of `_as_channels` for images like `image`."""
    if not image.is_complex():
        return channels
    real, imaginary = channels.chunk(2, 1)
    return torch.complex(real.contiguous(), imaginary.contiguous())
