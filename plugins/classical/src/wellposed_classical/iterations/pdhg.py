"""The primal–dual hybrid gradient method of Chambolle and Pock, its steps balanced automatically."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from wellposed import InputError, Iteration, Problem, State, bookkeeping
from wellposed.memo import OperatorMemo, placement
from wellposed.space import norm
from wellposed.spectral_norm import largest_eigenvalue

from .balance import Balance, Point, objective_at, trust, weighted_norm
from .composite import descend
from .constants import given_or, is_shared, isometry, keep_step, samples, start_image
from .first_balance import first_step
from .gap import Gap, duality_gap, has_gap
from .saddle import Saddle
from .splitting import check_linear, check_split, quadratic_weight
from .stalling import FAR, far

#: How tight the joint norm of the blocks is: longer steps are worth less than finding it more exactly.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class PDHGState(State):
    """`image` is the last value of the primal proximal map; `x` and `dual` are what is iterated.

    `scales` `(B, blocks)` holds the products `τ σ_i`. `curvature` is that of a data term which is part of
    the primal function, empty where it is not. `balance` is the memory of the rule that adapts τ, `anchor`
    the point of its last update; both are empty where the steps are given.
    """

    image: Tensor
    x: Tensor
    dual: tuple[Tensor, ...]
    primal_step: Tensor = bookkeeping()
    scales: Tensor = bookkeeping()
    curvature: tuple[Tensor, ...] = bookkeeping()
    balance: tuple[Tensor, ...] = bookkeeping()
    anchor: tuple[Tensor, ...] = bookkeeping()
    count: Tensor = bookkeeping()


class PDHG(Iteration[PDHGState]):
    """`p̂_i = prox_{σ_i g_i*}(p_i + σ_i K_i x)`, `x̂ = prox_{τh}(x − τΣK_i*(2p̂_i − p_i))`, then relaxed.

    Solves `min_x D(Ax, y) + Σ g_i(K_i x) + h(x)`: `D∘A` and the regularizer's terms with an analysis map
    are dualised, `h` is its first term without one. Where `A*A = c·I` and `D` is a squared distance the
    data term joins `h`. Images `(B, *domain.shape)`.

    Steps: every `K_i` counts with equal norm, `τσ_i = 1/(‖K_i‖² λ)` with `λ` the largest eigenvalue of
    `ΣK_i*K_i/‖K_i‖²`, so that no operator's scale slows the others. The ratio of primal and dual steps is
    set for each sample to that of the distances which primal and dual point travel. With a given
    `primal_step` τ (a number, `(B,)` or a learned parameter) nothing adapts and the map is stationary.
    The point moves by `relaxation` (below 2) times the step of the map. Gradients through unrolled steps
    take adapted steps as constants.

    Raises `CompositionError` where the regularizer cannot be split. Sources: Chambolle and Pock 2011,
    algorithm 1; Condat 2013 (relaxation); Goldstein, Li and Yuan 2015 (adaptive steps).
    """

    source = (
        "Chambolle and Pock 2011, algorithm 1; Condat 2013, algorithm 3.1 (relaxation); "
        "Goldstein, Li and Yuan 2015 (adaptive steps)"
    )
    requires = frozenset({"split"})

    def __init__(self, primal_step: float | Tensor | None = None, relaxation: float = 1.7) -> None:
        super().__init__()
        if not 0 < relaxation < 2:
            raise InputError(f"PDHG's relaxation lies between 0 and 2; got {relaxation}")
        keep_step(self, "primal_step", primal_step)
        self.relaxation = float(relaxation)
        self.memo = OperatorMemo()

    primal_step: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"primal_step": 0.05, "relaxation": 1.0})

    @property
    def stationary(self) -> bool:  # type: ignore[override]
        """Whether the steps are given, not adapted."""
        return self.primal_step is not None

    def check(self, problem: Problem) -> None:
        check_split(self, problem.regularizer)
        check_linear(self, problem)

    def init(self, problem: Problem, x: Tensor | None = None) -> PDHGState:
        x = start_image(problem, x)
        with torch.no_grad():
            curvature = self._absorbed_data(problem, x)
            saddle = Saddle.of(problem, *curvature)
            dual = tuple(torch.zeros_like(b.apply(x)) for b in saddle.blocks)
            scales = self._scales(problem, saddle, x)
            step, extent = self._first_step(problem, saddle, x, scales)
        adapts = self.primal_step is None and bool(dual)
        balance, anchor = (Balance.start(step, extent), (x, *dual)) if adapts else ((), ())
        count = torch.zeros(len(x), dtype=torch.long)
        return PDHGState(x, x, dual, step, scales, curvature, tuple(balance), anchor, count)

    def step(self, problem: Problem, state: PDHGState) -> PDHGState:
        saddle = Saddle.of(problem, *state.curvature)
        tau = given_or(self.primal_step, state.primal_step)
        dual = saddle.ascend(state.dual, state.x, [scale / tau for scale in state.scales.unbind(1)])
        image = saddle.primal_prox(descend(state.x, saddle.pull(_between(state.dual, dual, 2.0), state.x), tau), tau)
        moved = replace(
            state,
            image=image,
            x=torch.lerp(state.x, image, self.relaxation),
            dual=_between(state.dual, dual, self.relaxation),
        )
        return _rebalanced(problem, state, moved) if state.balance else moved

    def duality_gap(self, problem: Problem, state: PDHGState, radius: float | None = None) -> Tensor | None:
        """Primal minus dual objective at `image` and a feasible dual point near `dual`; infinite without one."""
        gap = self._gap(problem, state, radius)
        return None if gap is None else gap.from_above()

    def has_duality_gap(self, problem: Problem, radius: float | None = None) -> bool:
        saddle = Saddle.of(problem, *self._absorbed_data(problem, problem.zeros()))
        return has_gap(saddle, problem.zeros(), bounded=radius is not None)

    def certifies(self, problem: Problem) -> bool:
        saddle = Saddle.of(problem, *self._absorbed_data(problem, problem.zeros()))
        convex = bool((samples(saddle.strong_convexity(), problem.zeros()) > 0).any())
        return convex and has_gap(saddle, problem.zeros(), bounded=False)

    def error_bound(self, problem: Problem, state: PDHGState) -> Tensor | None:
        """`‖x − x*‖ ≤ √(2·gap/μ)`, plus rounding, where the primal function is `μ`-strongly convex."""
        convexity = samples(Saddle.of(problem, *state.curvature).strong_convexity(), state.image)
        gap = self._gap(problem, state) if bool((convexity > 0).any()) else None
        return None if gap is None else gap.distance(convexity, state.image)

    def stalled(self, problem: Problem, state: PDHGState) -> Tensor | None:
        """Whether a step of the length that a new start would take would still move the point."""
        saddle, weights = Saddle.of(problem, *state.curvature), _dual_weights(state)
        tau = PDHG()._first_step(problem, saddle, state.x, state.scales)[0]
        dual = saddle.ascend(state.dual, state.x, [scale / tau for scale in state.scales.unbind(1)])
        image = saddle.primal_prox(descend(state.x, saddle.pull(_between(state.dual, dual, 2.0), state.x), tau), tau)
        change = weighted_norm([p - q for p, q in zip(dual, state.dual, strict=True)], weights) if dual else 0 * tau
        return far(image - state.x, state.x) | (change * tau > FAR * norm(state.x))

    def _gap(self, problem: Problem, state: PDHGState, radius: float | None = None) -> Gap | None:
        tau = given_or(self.primal_step, state.primal_step)
        steps = [scale / tau for scale in state.scales.unbind(1)]
        return duality_gap(Saddle.of(problem, *state.curvature), state.image, state.dual, steps, radius)

    # Constants --------------------------------------------------------------------------------------

    def _absorbed_data(self, problem: Problem, x: Tensor) -> tuple[Tensor, ...]:
        """The curvature of a data term that joins the primal function, if it does."""
        weight, factor = quadratic_weight(problem, x), isometry(problem.operator)
        return () if weight is None or factor is None else (weight * factor,)

    def _scales(self, problem: Problem, saddle: Saddle, x: Tensor) -> Tensor:
        """`τσ_i = 1/(λ‖K_i‖²)` of each block, `(B, blocks)`."""
        if not saddle.blocks:
            return x.new_zeros(len(x), 0).real
        squared = [n**2 if n > 0 else 1.0 for n in (b.norm(x) for b in saddle.blocks)]

        def gram(u: Tensor) -> Tensor:
            return torch.stack([b.adjoint(b.apply(u)) / s for b, s in zip(saddle.blocks, squared, strict=True)]).sum(0)

        if len(saddle.blocks) == 1:
            largest = samples(1.0, x)
        elif is_shared(problem.operator):
            largest = self._remembered(problem, x, lambda: largest_eigenvalue(gram, x[:1], _TOLERANCE)).expand(len(x))
        else:
            largest = largest_eigenvalue(gram, x, _TOLERANCE)
        return 1 / (largest[:, None] * torch.tensor(squared, dtype=largest.dtype, device=largest.device))

    def _remembered(self, problem: Problem, x: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """A constant of an operator and a regularizer's analysis maps, computed once for the pair."""
        if any(p.requires_grad for p in problem.regularizer.parameters()):
            return compute()
        by_regularizer = self.memo.get(problem.operator, ("blocks", placement(x)), WeakKeyDictionary)
        if problem.regularizer not in by_regularizer:
            by_regularizer[problem.regularizer] = compute()
        return by_regularizer[problem.regularizer]

    def _first_step(self, problem: Problem, saddle: Saddle, x: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """The given step, or the size of a rough solution over that of the subgradients there; and the former."""
        if self.primal_step is not None:
            return samples(self.primal_step, x).detach(), samples(1.0, x)
        if not saddle.blocks:
            return samples(1.0, x), samples(1.0, x)
        weights = [1 / s for s in scales.unbind(1)]
        return first_step(problem, saddle.blocks, x, weights, [b.norm(x) for b in saddle.blocks])


def _rebalanced(problem: Problem, previous: PDHGState, state: PDHGState) -> PDHGState:
    """The state counted on, its primal step balanced anew where that is due."""
    count = state.count + 1
    size = trust(int(count[0]))  # on the CPU, the same for all samples
    if size == 0.0:
        return replace(state, count=count)
    with torch.no_grad():
        balance = Balance(*state.balance).updated(
            _point(state), _point(previous), state.anchor, objective_at(problem, state.image, int(count[0])), size
        )
        anchor = tuple(t.detach() for t in (state.x, *state.dual))
    return replace(state, primal_step=balance.step, balance=tuple(balance), anchor=anchor, count=count)


def _point(state: PDHGState) -> Point:
    return Point((state.x,), state.dual, (torch.ones_like(state.primal_step),), _dual_weights(state))


def _dual_weights(state: PDHGState) -> tuple[Tensor, ...]:
    return tuple(1 / s for s in state.scales.unbind(1))


def _between(old: tuple[Tensor, ...], new: tuple[Tensor, ...], factor: float) -> tuple[Tensor, ...]:
    """`p + factor·(p̂ − p)` of each dual variable."""
    return tuple(torch.lerp(p, q, factor) for p, q in zip(old, new, strict=True))
