"""Broyden's method on the residual of a fixed-point map, sample by sample, with bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from wellposed import Acceleration, InputError, State, bookkeeping

S = TypeVar("S", bound=State)


class Broyden(Acceleration):
    """Good Broyden in inverse form for `F(x) = T(x) − x = 0`, at most `memory` rank-one updates.

    `x_{k+1} = x_k − H_k F_k`, `H_0 = −I`, and with `s = x_{k+1} − x_k`, `t = F_{k+1} − F_k`:
    `H_{k+1} = H_k + (s − H_k t)(sᵀH_k) / (sᵀH_k t)`. A sample forgets its updates when they fill the
    memory, when an update would divide by nearly zero, or when its residual grows beyond `safeguard`
    times its best one; it then starts again from `−I`, a plain step.

    Raises `InputError` for settings out of range. Source: Broyden 1965; Kelley 1995, chapter 7.
    """

    source = "Broyden 1965; Kelley 1995, Iterative Methods for Linear and Nonlinear Equations, section 7.3"

    def __init__(self, memory: int = 20, safeguard: float = 10.0) -> None:
        super().__init__()
        if memory < 1:
            raise InputError(f"Broyden needs a memory of at least 1 update; got {memory}")
        if safeguard < 1:
            raise InputError(f"Broyden's safeguard must be at least 1; got {safeguard}")
        self.memory, self.safeguard = memory, safeguard

    def init(self, state: State) -> BroydenMemory:
        x = state.flatten()
        empty = x.new_zeros(len(x), 0, x.shape[1])
        never = torch.full((len(x),), float("inf"), dtype=x.dtype, device=x.device)
        first = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        return BroydenMemory(empty, empty, x, torch.zeros_like(x), first, never)

    def advance(self, apply: Callable[[S], S], state: S, memory: BroydenMemory) -> tuple[S, BroydenMemory]:
        value = apply(state)
        x = state.flatten()
        f = value.flatten() - x
        residual = torch.linalg.vector_norm(f.detach(), dim=1)
        u, v, fill = self._update(memory, x, f, residual)
        step = f - torch.einsum("bm,bmn->bn", torch.einsum("bmn,bn->bm", v, f), u)
        best = torch.where(fill == 0, residual, torch.minimum(memory.best, residual))
        return value.unflatten(x + step), BroydenMemory(u, v, x, f, fill, best)

    def _update(self, memory: BroydenMemory, x: Tensor, f: Tensor, residual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The rank-one updates after the new residual, and how many of them each sample uses."""
        s, t = x - memory.x, f - memory.f
        u, v = memory.u, memory.v
        sh = -s + torch.einsum("bm,bmn->bn", torch.einsum("bmn,bn->bm", u, s), v)
        ht = -t + torch.einsum("bm,bmn->bn", torch.einsum("bmn,bn->bm", v, t), u)
        denominator = torch.einsum("bn,bn->b", sh, t)
        scale = torch.linalg.vector_norm(sh, dim=1) * torch.linalg.vector_norm(t, dim=1)
        usable = denominator.abs() > 1e-8 * scale
        grown = ~(residual <= self.safeguard * memory.best)
        forget = grown | (memory.fill >= self.memory) | (memory.fill < 0) | ~usable
        safe = torch.where(usable, denominator, 1.0)
        keep = (~forget).to(x.dtype)[:, None, None]
        u = torch.cat([u, ((s - ht) / safe[:, None])[:, None]], dim=1) * keep
        v = torch.cat([v, sh[:, None]], dim=1) * keep
        fill = torch.where(forget, 0, memory.fill + 1)
        # Updates that all samples forgot need no room; a GPU is not waited for to tell.
        width = int(fill.max()) if fill.device.type == "cpu" else min(u.shape[1], self.memory)
        return u[:, u.shape[1] - width :], v[:, v.shape[1] - width :], fill


@dataclass(frozen=True)
class BroydenMemory(State):
    """Updates `H = −I + Σ u_i v_iᵀ` as `(B, k, n)`, newest last, zero where forgotten."""

    u: Tensor
    v: Tensor
    x: Tensor
    f: Tensor
    fill: Tensor = bookkeeping()
    best: Tensor = bookkeeping()
