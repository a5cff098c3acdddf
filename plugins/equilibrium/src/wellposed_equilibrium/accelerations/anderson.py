"""Anderson acceleration of fixed-point iterations, sample by sample, with scale-free regularization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from wellposed import Acceleration, InputError, State, bookkeeping

S = TypeVar("S", bound=State)


class Anderson(Acceleration):
    """Type-II Anderson mixing with a window of `memory` differences.

    With `f_k = T(x_k) − x_k`, `γ = argmin ‖f_k − ΔF γ‖² + λ‖γ‖²` and
    `x_{k+1} = x_k + β f_k − (ΔX + β ΔF) γ` (β `mixing`), each sample its own least-squares problem. λ is
    `regularization` times the mean squared norm of the columns of ΔF: an absolute λ switches the
    acceleration off near convergence, where the columns are small. A sample whose residual grows beyond
    `safeguard` times its best one forgets its window and takes a plain step.

    Raises `InputError` for settings out of range. Sources: Walker and Ni 2011, SIAM J. Numer. Anal. 49(4),
    eq. (2.1)-(2.2); safeguard in the manner of Zhang, O'Donoghue and Boyd 2020.
    """

    source = "Walker and Ni 2011, Anderson acceleration for fixed-point iterations, eq. (2.1)-(2.2)"

    def __init__(
        self, memory: int = 5, mixing: float = 1.0, regularization: float = 1e-8, safeguard: float = 2.0
    ) -> None:
        super().__init__()
        if memory < 1:
            raise InputError(f"Anderson needs a memory of at least 1 difference; got {memory}")
        if not 0 < mixing <= 1:
            raise InputError(f"Anderson's mixing lies in (0, 1]; got {mixing}")
        if regularization < 0 or safeguard < 1:
            raise InputError("Anderson needs regularization ≥ 0 and safeguard ≥ 1")
        self.memory, self.mixing = memory, mixing
        self.regularization, self.safeguard = regularization, safeguard

    def init(self, state: State) -> AndersonMemory:
        x = state.flatten()
        window = x.new_zeros(len(x), self.memory, x.shape[1])
        never = torch.full((len(x),), float("inf"), dtype=x.dtype, device=x.device)
        fill = torch.full((len(x),), -1, dtype=torch.long, device=x.device)
        return AndersonMemory(window, window, x, torch.zeros_like(x), fill, never)

    def advance(self, apply: Callable[[S], S], state: S, memory: AndersonMemory) -> tuple[S, AndersonMemory]:
        value = apply(state)
        x, g = state.flatten(), value.flatten()
        f = g - x
        residual = torch.linalg.vector_norm(f.detach(), dim=1)
        restart = ~((residual <= self.safeguard * memory.best) & torch.isfinite(residual))
        fill = torch.where(restart, 0, (memory.fill + 1).clamp_max(self.memory))
        dx = torch.cat([(x - memory.x)[:, None], memory.dx[:, :-1]], dim=1)
        df = torch.cat([(f - memory.f)[:, None], memory.df[:, :-1]], dim=1)
        gamma = self._coefficients(df, f, fill)
        step = self.mixing * f - torch.einsum("bm,bmn->bn", gamma, dx + self.mixing * df)
        best = torch.where(restart, residual, torch.minimum(memory.best, residual))
        return value.unflatten(x + step), AndersonMemory(dx, df, x, f, fill, best)

    def _coefficients(self, df: Tensor, f: Tensor, fill: Tensor) -> Tensor:
        """γ of each sample; slots of the window that hold nothing yet get zero.

        Products of differences are sums of squares, which single precision has no room for. A sample that is no
        longer finite has forgotten its window, so it spoils no product and takes no other sample with it.
        """
        used = torch.arange(self.memory, device=f.device)[None] < fill[:, None]
        df = torch.where(used[..., None], df, 0.0).double()
        # In the unit of the largest difference: squares of what rounding leaves of a solution underflow.
        unit = df.abs().amax((1, 2), keepdim=True)
        unit = torch.where(unit > 0, unit, 1.0)
        df = df / unit
        gram = torch.einsum("bmn,bkn->bmk", df, df)
        right = torch.einsum("bmn,bn->bm", df, f.double() / unit[:, :, 0])
        scale = torch.diagonal(gram, dim1=1, dim2=2).sum(1) / fill.clamp_min(1)
        scale = torch.where(scale > 0, scale, 1.0)[:, None]
        # Empty slots get the scale of the others, or the cut of the pseudo-inverse would depend on the problem's unit.
        ridge = torch.where(used, self.regularization, 1.0) * scale
        inverse = torch.linalg.pinv(gram + torch.diag_embed(ridge), hermitian=True, rtol=1e-15)
        gamma = torch.einsum("bmk,bk->bm", inverse, right)
        return torch.where(used, gamma, 0.0).to(f.dtype)


@dataclass(frozen=True)
class AndersonMemory(State):
    """Differences of iterates and residuals `(B, m, n)`, newest first, and what the next ones need."""

    dx: Tensor
    df: Tensor
    x: Tensor
    f: Tensor
    fill: Tensor = bookkeeping()
    best: Tensor = bookkeeping()
