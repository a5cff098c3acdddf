"""Largest eigenvalues of symmetric maps from above: Lanczos' recurrence, and a bound that no likely start misses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .space import inner, norm, per_sample

if TYPE_CHECKING:
    from .operator import LinearOperator

#: The start is trusted to have at least this component along the leading eigenvector: a normal one of a million
#: entries fails to with probability 1e-6, and even its smallest entry is that large.
_COMPONENT = 1e-9
_LIMIT = 120
#: Off-diagonal entries this small, in roundings of the eigenvalue, end the recurrence: what follows is rounding.
_BREAKDOWN = 100.0
_SEEDS = (0, 1, 2)


def spectral_norm(operator: LinearOperator) -> float:
    """`‖A‖` from above: tight to 0.1 % where 120 steps suffice, else to 1 %. See `largest_eigenvalue`.

    Of operators with per-sample data the largest of the samples' norms.
    """
    like = _like(operator)
    return float(largest_eigenvalue(operator._gram, like).max()) ** 0.5


def largest_eigenvalue(apply: Callable[[Tensor], Tensor], like: Tensor, tolerance: float = 2e-3) -> Tensor:
    """The largest eigenvalue of a symmetric positive semidefinite map from above, `(B,)`, for `like` `(B, …)`.

    Lanczos' polynomials `p_k` satisfy `p_k(M) v_1 = v_{k+1}`, a unit vector, so that `p_k(λ)·|<v_1, e>| ≤ 1` for
    every eigenpair `(λ, e)`: λ lies below the point where `p_k` reaches the reciprocal of the least component that a
    random `v_1` is trusted to have. The recurrence goes on until that point is within `tolerance` of the largest Ritz
    value, at most 120 steps; that point is returned. Where the Krylov space ends early (multiples of the identity
    plus little) two more random starts are asked.

    Source: van Dorsselaer, Hochstenbach and van der Vorst 2000, Computing probabilistic bounds for extreme
    eigenvalues of symmetric matrices with the Lanczos method, section 3.
    """
    with torch.no_grad():
        bound, ended = _from_start(apply, like, _SEEDS[0], tolerance)
        if bool(ended.any()):
            others = [_from_start(apply, like, seed, tolerance)[0] for seed in _SEEDS[1:]]
            bound = np.stack([bound, *others]).max(0)
    return torch.from_numpy(bound).to(like.device, like.dtype.to_real())


def _from_start(
    apply: Callable[[Tensor], Tensor], like: Tensor, seed: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The bound from one random start, and which samples' Krylov spaces ended early; `(B,)` each."""
    v = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype).to(like.device)
    v = v / per_sample(norm(v), v)
    previous, beta = torch.zeros_like(v), torch.zeros_like(norm(v))
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    bound, ended = np.full(len(like), np.inf), np.zeros(len(like), dtype=bool)
    for k in range(1, _LIMIT + 1):
        w = apply(v) - per_sample(beta, v) * previous
        alpha = inner(w, v)
        w = w - per_sample(alpha, v) * v
        beta = norm(w)
        diagonal.append(alpha)
        beside.append(beta)
        if _is_due(k):
            recurrence = torch.stack([*diagonal, *beside], 1).double().cpu().numpy()
            ritz, above, low = _bounds(recurrence[:, :k], recurrence[:, k:], torch.finfo(like.dtype).eps)
            # A sample whose recurrence has ended keeps the bound that it had then.
            bound, ended = np.where(ended, bound, above), ended | low
            if bool((ended | (bound <= (1 + tolerance) * ritz)).all()):
                break
        previous, v = v, _unit(w, beta)
    return bound, ended


def _is_due(k: int) -> bool:
    """Whether the bound is evaluated after step `k`: each of the first, then in growing intervals."""
    return k <= 4 or (k <= 64 and k % 4 == 0) or k % 8 == 0


def _bounds(diagonal: np.ndarray, beside: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Largest Ritz values, the bounds above them, and where the recurrence has ended; `(B,)` each."""
    matrix = np.stack(
        [np.diag(a) + np.diag(b[:-1], 1) + np.diag(b[:-1], -1) for a, b in zip(diagonal, beside, strict=True)]
    )
    ritz = np.linalg.eigvalsh(matrix)
    top = ritz[:, -1].clip(0)
    noise = _BREAKDOWN * eps * top
    low = beside.min(1) <= noise
    above = top + _distance_above(ritz, np.maximum(beside, 0.3 * noise[:, None]))
    return top, np.where(low, top * (1 + 4 * eps), above), low


def _distance_above(ritz: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """`d` where `p_k(θ_k + d) = Π(θ_k + d − θ_i)/Πβ_i` reaches the reciprocal of the trusted component."""
    tiny = np.finfo(np.float64).tiny
    target = np.log(np.maximum(beside, tiny)).sum(1) - math.log(_COMPONENT)
    below = ritz[:, -1:] - ritz
    low, high = np.zeros(len(ritz)), np.exp(target / ritz.shape[1])
    for _ in range(40):
        middle = 0.5 * (low + high)
        short = np.log(np.maximum(below + middle[:, None], tiny)).sum(1) < target
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return high


def _unit(w: Tensor, beta: Tensor) -> Tensor:
    return w / per_sample(beta.clamp_min(torch.finfo(beta.dtype).tiny), w)


def _like(operator: LinearOperator) -> Tensor:
    """An image of the domain for each of the operator's samples, in its own precision and on its device."""
    held = [t for t in (*operator.buffers(), *operator.parameters()) if t.is_floating_point() or t.is_complex()]
    precise = any(t.dtype.to_real() == torch.float64 for t in held)
    device = held[0].device if held else next((b.device for b in operator.buffers()), torch.device("cpu"))
    return operator.domain.zeros(operator.samples or 1, device, torch.float64 if precise else torch.float32)
