"""The primal–dual hybrid gradient method of Chambolle and Pock, with balanced, adaptive steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from wellposed import InputError, Iteration, Problem, Regularizer, State, bookkeeping
from wellposed.space import norm, per_sample

from .balance import balanced, trust, weighted_norm
from .composite import descend
from .constants import is_shared, keep_step, samples, squared_isometry, start_image
from .memo import OperatorMemo, placement
from .saddle import Saddle
from .spectrum import largest_eigenvalue
from .splitting import Block


@dataclass(frozen=True)
class PDHGState(State):
    """`image` is the last value of the primal proximal map, `x` and `dual` are what is iterated.

    `scales` `(B, blocks)` are the products `τ σ_i`. `convexity` holds the primal strong convexity where
    the steps accelerate; `anchor` the primal and dual point of the last balancing where they adapt.
    """

    image: Tensor
    x: Tensor
    dual: tuple[Tensor, ...]
    primal_step: Tensor = bookkeeping()
    scales: Tensor = bookkeeping()
    curvature: Tensor = bookkeeping()
    convexity: tuple[Tensor, ...] = bookkeeping()
    anchor: tuple[Tensor, ...] = bookkeeping()
    count: Tensor = bookkeeping()


class PDHG(Iteration[PDHGState]):
    """`x̂ = prox_{τh}(x − τΣK_i*p_i)`, `p̂_i = prox_{σ_i g_i*}(p_i + σ_i K_i(2x̂ − x))`, then relaxed."""

    source = "Chambolle and Pock 2011"
    requires = frozenset({"split"})

    def __init__(self, primal_step: float | Tensor | None = None, relaxation: float = 1.8) -> None:
        super().__init__()
        if not 0 < relaxation < 2:
            raise InputError(f"PDHG's relaxation lies between 0 and 2; got {relaxation}")
        keep_step(self, "primal_step", primal_step)
        self.relaxation = float(relaxation)
        self.memo = OperatorMemo()
