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

from .balance import Travel, balanced, ratio_of_sizes, subgradients, trust, weighted_norm
from .composite import descend
from .constants import given_or, is_shared, keep_step, known_isometry, samples, start_image
from .saddle import Saddle
from .spectrum import largest_eigenvalue
from .splitting import check_linear, check_split, quadratic_weight


@dataclass(frozen=True)
class PDHGState(State):
    """`image` is the last value of the primal proximal map; `x` and `dual` are what is iterated.

    `scales` `(B, blocks)` holds the products `τ σ_i`. `curvature` is that of a data term which is part of
    the primal function, empty where it is not; `anchor` the point of the last balancing, empty where the
    steps are given.
    """

    image: Tensor
    x: Tensor
    dual: tuple[Tensor, ...]
    primal_step: Tensor = bookkeeping()
    scales: Tensor = bookkeeping()
    curvature: tuple[Tensor, ...] = bookkeeping()
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
            step = self._first_step(problem, saddle, x, scales)
        anchor = (x, *dual) if self.primal_step is None else ()
        return PDHGState(x, x, dual, step, scales, curvature, anchor, torch.zeros(len(x), dtype=torch.long))

    def step(self, problem: Problem, state: PDHGState) -> PDHGState:
        saddle = Saddle.of(problem, *state.curvature)
        tau = given_or(self.primal_step, state.primal_step)
        dual = self._ascend(saddle, state, tau)
        reflected = tuple(torch.lerp(p, q, 2.0) for p, q in zip(state.dual, dual, strict=True))
        image = saddle.primal_prox(descend(state.x, saddle.pull(reflected, state.x), tau), tau)
        moved = replace(
            state,
            image=image,
            x=torch.lerp(state.x, image, self.relaxation),
            dual=tuple(torch.lerp(p, q, self.relaxation) for p, q in zip(state.dual, dual, strict=True)),
        )
        return self._rebalanced(moved) if state.anchor else moved

    def duality_gap(self, problem: Problem, state: PDHGState) -> Tensor | None:
        """Primal minus dual objective at `image` and the dual point; see `Saddle.gap` for its exact meaning."""
        found = self._gap(problem, state)
        if found is None:
            return None
        gap, exact = found
        # Over a ball it can be negative by more than rounding: the solution is not in the ball, and nothing is known.
        outside = ~exact & (gap < -1e3 * torch.finfo(gap.dtype).eps * problem.objective(state.image).abs())
        return torch.where(outside, torch.inf, gap.clamp_min(0.0))

    def error_bound(self, problem: Problem, state: PDHGState) -> Tensor | None:
        """`‖x − x*‖ ≤ √(2·gap/μ)` where the primal function is `μ`-strongly convex and the gap exact."""
        saddle = Saddle.of(problem, *state.curvature)
        convexity = samples(saddle.strong_convexity(), state.image)
        found = self._gap(problem, state) if bool((convexity > 0).any()) else None
        if found is None or not bool(found[1].any()):
            return None
        gap, exact = found
        rounding = 16 * torch.finfo(gap.dtype).eps * problem.objective(state.image).abs()
        bound = torch.sqrt(2 * (gap.clamp_min(0.0) + rounding) / convexity)
        return torch.where(exact & (convexity > 0), bound, torch.inf)

    def _gap(self, problem: Problem, state: PDHGState) -> tuple[Tensor, Tensor] | None:
        tau = given_or(self.primal_step, state.primal_step)
        steps = [scale / tau for scale in state.scales.unbind(1)]
        return Saddle.of(problem, *state.curvature).gap(state.image, state.dual, steps)

    # Steps ------------------------------------------------------------------------------------------

    def _ascend(self, saddle: Saddle, state: PDHGState, tau: float | Tensor) -> list[Tensor]:
        """`p̂_i = prox_{σ_i g_i*}(p_i + σ_i K_i x)`."""
        dual = []
        for i, (block, p) in enumerate(zip(saddle.blocks, state.dual, strict=True)):
            sigma = state.scales[:, i] / tau
            dual.append(block.prox_conjugate(descend(p, block.apply(state.x), -sigma), sigma))
        return dual

    def _rebalanced(self, state: PDHGState) -> PDHGState:
        """The state counted on, its primal step moved towards the ratio of the distances travelled."""
        count = state.count + 1
        size = trust(int(count[0]))
        if size == 0.0 or not state.dual:
            return replace(state, count=count)
        with torch.no_grad():
            point = (state.x, *state.dual)
            weights = [1 / s for s in state.scales.unbind(1)]
            primal = Travel.between(point[:1], state.anchor[:1], [torch.ones_like(state.primal_step)])
            dual = Travel.between(point[1:], state.anchor[1:], weights)
            step = balanced(state.primal_step, primal, dual, size)
            anchor = tuple(t.detach() for t in point)
        return replace(state, primal_step=step, anchor=anchor, count=count)

    # Constants --------------------------------------------------------------------------------------

    def _absorbed_data(self, problem: Problem, x: Tensor) -> tuple[Tensor, ...]:
        """The curvature of a data term that joins the primal function, if it does."""
        weight = quadratic_weight(problem, x)
        if weight is None:
            return ()
        isometry = known_isometry(problem.operator, x, self.memo)
        return (weight * isometry,) if bool((isometry > 0).all()) else ()

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
            largest = self._remembered(problem, x, lambda: largest_eigenvalue(gram, x[:1])).expand(len(x))
        else:
            largest = largest_eigenvalue(gram, x)
        return 1 / (largest[:, None] * torch.tensor(squared, dtype=largest.dtype, device=largest.device))

    def _remembered(self, problem: Problem, x: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """A constant of an operator and a regularizer's analysis maps, computed once for the pair."""
        if any(p.requires_grad for p in problem.regularizer.parameters()):
            return compute()
        by_regularizer = self.memo.get(problem.operator, ("blocks", placement(x)), WeakKeyDictionary)
        if problem.regularizer not in by_regularizer:
            by_regularizer[problem.regularizer] = compute()
        return by_regularizer[problem.regularizer]

    def _first_step(self, problem: Problem, saddle: Saddle, x: Tensor, scales: Tensor) -> Tensor:
        """The ratio of the sizes of a rough solution and of the subgradients there."""
        if self.primal_step is not None:
            return samples(self.primal_step, x).detach()
        if not saddle.blocks:
            return samples(1.0, x)
        guess, _, slopes = subgradients(problem, saddle.blocks, x)
        return ratio_of_sizes(norm(guess), weighted_norm(slopes, [1 / s for s in scales.unbind(1)]))
