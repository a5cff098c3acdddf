"""Proximal gradient steps whose proximal maps are learned, one network per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from wellposed.errors import CompositionError, InputError
from wellposed.fidelity import Unstated
from wellposed.iteration import Iteration
from wellposed.operator import LinearOperator
from wellposed.problem import Problem
from wellposed.state import State, bookkeeping

from ..networks.proximal import ProximalNetwork


@dataclass(frozen=True)
class Remembering(State):
    """`image` `(B, C, H, W)`, `memory` `(B, channels, H, W)`, real; `count`: steps done, on the CPU."""

    image: Tensor
    memory: Tensor
    count: Tensor = bookkeeping()


class LearnedProximalGradientSteps(Iteration[Remembering]):
    """`(x, s) ← P_k(x, ∇E(x)/‖A‖², s)` for k = 1, 2, …: another network `P_k` at every step.

    `E(x) = D(A x, y)`, or `½‖A x − y‖²` where the problem states no fidelity. The memory `s` are images
    that networks leave for the next step; they start at zero. The gradient is divided by `‖A‖²`, so
    that weights do not depend on the unit of length. A complex channel of `x` is two channels of `P_k`.

    Needs a linear operator whose images are `(channels, rows, columns)`.
    """

    source = "Celledoni et al. 2021, Equivariant neural networks for inverse problems, Inverse Problems 37:085006"
    stationary = False
    solves = "data"

    def __init__(self, networks: Sequence[ProximalNetwork], image_channels: int, memory: int) -> None:
        super().__init__()
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

    def init(self, problem: Problem, x: Tensor | None = None) -> Remembering:
        image = problem.zeros() if x is None else x
        size = image.shape[-2:]
        memory = torch.zeros((len(image), self.memory, *size), dtype=image.dtype.to_real(), device=image.device)
        return Remembering(image, memory, torch.zeros(problem.batch, dtype=torch.int64))

    def step(self, problem: Problem, state: Remembering) -> Remembering:
        k = int(state.count[0])  # all samples of a batch are at the same step
        if k >= len(self.networks):
            raise InputError(f"this learned proximal gradient has {len(self.networks)} steps; it has no step {k + 1}")
        known = [_as_channels(state.image), _as_channels(_data_gradient(problem, state.image)), state.memory]
        new = self.networks[k](torch.cat(known, 1)).to(state.memory.dtype)  # mixed precision ends with the network
        image, memory = new.split([self.image_channels, self.memory], 1)
        return Remembering(_like(image, state.image), memory, state.count + 1)


def _data_gradient(problem: Problem, x: Tensor) -> Tensor:
    """`∇E(x)/‖A‖²`, in full precision under autocast."""
    operator = problem.operator
    assert isinstance(operator, LinearOperator)  # checked before the first step
    with torch.autocast(x.device.type, enabled=False):
        if isinstance(problem.fidelity, Unstated):
            gradient = operator.adjoint(operator(x) - problem.measurement)
        else:
            gradient = problem.data_gradient(x)
        return gradient * (operator.norm() ** -2)


def _as_channels(image: Tensor) -> Tensor:
    """Real images as they are; of complex ones all real parts and then all imaginary parts."""
    return torch.cat([image.real, image.imag], 1) if image.is_complex() else image


def _like(channels: Tensor, image: Tensor) -> Tensor:
    """The inverse of `_as_channels` for images like `image`."""
    if not image.is_complex():
        return channels
    real, imaginary = channels.chunk(2, 1)
    return torch.complex(real.contiguous(), imaginary.contiguous())
