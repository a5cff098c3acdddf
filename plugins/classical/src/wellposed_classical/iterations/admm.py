"""The alternating direction method of multipliers, its penalty balanced automatically."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from wellposed import InputError, Iteration, LinearOperator, Problem, State, bookkeeping
from wellposed.space import per_sample

from .balance import balanced, subgradients, trust, weighted_norm
from .constants import keep_step, samples, squared_isometry, start_image
from .memo import OperatorMemo
from .normal_equations import NormalEquations
from .splitting import Block, DataBlock, TermBlock, check_linear, check_split, quadratic_weight, split_terms


@dataclass(frozen=True)
class ADMMState(State):
    """`points` are `v_j = z_j + u_j`, from which `z_j = prox(v_j)` and `u_j = v_j − z_j`.

    `x` solves the quadratic subproblem; `image` is the `z_j` of a term without analysis map, else `x`.
    `weights` `(B, terms)` are `1/‖K_j‖²`. `curvature` is that of a quadratic fidelity, which is not
    split, empty for others; `isometry` is `c` where `A*A = c·I`, empty elsewhere; `anchor` holds `z_j`
    and `u_j` at the last balancing, empty where the penalty is given.
    """

    image: Tensor
    x: Tensor
    points: tuple[Tensor, ...]
    penalty: Tensor = bookkeeping()
    weights: Tensor = bookkeeping()
    curvature: tuple[Tensor, ...] = bookkeeping()
    isometry: tuple[Tensor, ...] = bookkeeping()
    anchor: tuple[Tensor, ...] = bookkeeping()
    count: Tensor = bookkeeping()


class ADMM(Iteration[ADMMState]):
    """`x = argmin D(Ax, y) + Σ ρ_j/2‖K_j x − z_j + u_j‖²`, `z_j = prox_{g_j/ρ_j}(K_j x + u_j)`, `u_j += K_j x − z_j`.

    Solves `min_x D(Ax, y) + Σ g_j(K_j x)` for images `(B, *domain.shape)`. A fidelity that is a multiple
    of a squared distance stays in the `x`-step; every other is split as one more term. The `x`-step is
    exact where the operator (or the analysis map, if `A*A = c·I`) has a closed form; otherwise
    conjugate gradients go on from the last image until the residual has fallen twentyfold.

    `ρ_j = ρ/‖K_j‖²`. `penalty` ρ: a number, `(B,)` or a learned parameter, which makes the map stationary;
    by default it is set for each sample to the ratio of the distances that `ρ_j u_j` and `z_j` travel.
    `relaxation`, below 2, replaces `K_j x` by `α K_j x + (1 − α) z_j`. Gradients through unrolled steps
    take adapted penalties as constants.

    Raises `CompositionError` where the regularizer cannot be split. Sources: Boyd et al. 2011, sections
    3.1 and 3.4.3; Afonso, Bioucas-Dias and Figueiredo 2011 (several terms); Eckstein and Yao 2017
    (inexact `x`-steps).
    """

    source = "Boyd et al. 2011, eq. (3.5)-(3.7) and section 3.4.3; Afonso, Bioucas-Dias and Figueiredo 2011"
    requires = frozenset({"split"})

    def __init__(self, penalty: float | Tensor | None = None, relaxation: float = 1.6) -> None:
        super().__init__()
        if not 0 < relaxation < 2:
            raise InputError(f"ADMM's relaxation lies between 0 and 2; got {relaxation}")
        keep_step(self, "penalty", penalty)
        self.relaxation = float(relaxation)
        self.memo = OperatorMemo()

    penalty: float | Tensor | None

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"penalty": 0.5, "relaxation": 1.0})

    @property
    def stationary(self) -> bool:  # type: ignore[override]
        """Whether the penalty is given, not adapted."""
        return self.penalty is not None

    def check(self, problem: Problem) -> None:
        check_split(self, problem.regularizer)
        check_linear(self, problem)

    def init(self, problem: Problem, x: Tensor | None = None) -> ADMMState:
        x = start_image(problem, x)
        with torch.no_grad():
            weight = quadratic_weight(problem, x)
            curvature = () if weight is None else (weight,)
            blocks = _blocks(problem, curvature)
            weights = torch.tensor([1 / n**2 if n > 0 else 1.0 for n in (b.norm(x) for b in blocks)])
            weights = weights.to(x.device, x.dtype.to_real()).expand(len(x), -1)
            isometry = squared_isometry(problem.operator, x, self.memo)
            penalty = self._first_penalty(problem, blocks, weights, x)
        points = tuple(b.apply(x) for b in blocks)
        anchor = () if self.penalty is not None else (*points, *(torch.zeros_like(v) for v in points))
        known = (isometry,) if bool((isometry > 0).all()) else ()
        count = torch.zeros(len(x), dtype=torch.long)
        return ADMMState(x, x, points, penalty, weights, curvature, known, anchor, count)

    def step(self, problem: Problem, state: ADMMState) -> ADMMState:
        penalty = samples(state.penalty if self.penalty is None else self.penalty, state.x)
        blocks = _blocks(problem, state.curvature)
        rho = [penalty * w for w in state.weights.unbind(1)]
        split = [b.prox(v, 1 / r) for b, v, r in zip(blocks, state.points, rho, strict=True)]
        x = self._quadratic_step(problem, state, blocks, split, rho)
        points = tuple(
            torch.add(v, b.apply(x) - z, alpha=self.relaxation)
            for b, v, z in zip(blocks, state.points, split, strict=True)
        )
        direct = next((z for b, z in zip(blocks, split, strict=True) if _is_direct(b)), x)
        moved = replace(state, image=direct, x=x, points=points)
        return self._rebalanced(moved, blocks, penalty) if state.anchor else moved

    # Steps ------------------------------------------------------------------------------------------

    def _quadratic_step(
        self, problem: Problem, state: ADMMState, blocks: list[Block], split: list[Tensor], rho: list[Tensor]
    ) -> Tensor:
        """Solve `(m A*A + Σ ρ_j K_j*K_j) x = m A*y + Σ ρ_j K_j*(z_j − u_j)`, `z_j − u_j = 2z_j − v_j`."""
        assert isinstance(problem.operator, LinearOperator), "refused by check"
        rhs = (
            -problem.data_gradient(torch.zeros_like(state.x))
            if state.curvature
            else torch.zeros_like(state.x)
        )
        for block, v, z, r in zip(blocks, state.points, split, rho, strict=True):
            rhs = rhs + block.adjoint(torch.lerp(v, z, 2.0)) * per_sample(r, rhs)
        data = state.curvature[0] if state.curvature else rho[0]
        terms = tuple((b, r) for b, r in zip(blocks, rho, strict=True) if isinstance(b, TermBlock))
        return NormalEquations(problem.operator, data, terms, state.isometry).solve(rhs, state.x)

    def _rebalanced(self, state: ADMMState, blocks: list[Block], penalty: Tensor) -> ADMMState:
        """The state counted on, its penalty moved towards the ratio of the distances travelled.

        The multipliers `ρ_j u_j` stay what they are, so the scaled `u_j` shrink as the penalty grows.
        """
        count = state.count + 1
        size = trust(int(count[0]))
        if size == 0.0:
            return replace(state, count=count)
        weights = state.weights.unbind(1)
        split = [b.prox(v, 1 / (penalty * w)) for b, v, w in zip(blocks, state.points, weights, strict=True)]
        with torch.no_grad():
            scaled = [(v - z) * per_sample(penalty, v) for v, z in zip(state.points, split, strict=True)]
            travelled = [new - old for new, old in zip((*split, *scaled), state.anchor, strict=True)]
            primal = weighted_norm(travelled[: len(blocks)], list(weights))
            dual = weighted_norm(travelled[len(blocks) :], list(weights))
            adapted = balanced(penalty, dual, primal, size)
            anchor = (*(z.detach() for z in split), *scaled)
        points = tuple(
            z + (v - z) * per_sample(penalty / adapted, v) for v, z in zip(state.points, split, strict=True)
        )
        return replace(state, points=points, penalty=adapted, anchor=anchor, count=count)

    def _first_penalty(self, problem: Problem, blocks: list[Block], weights: Tensor, x: Tensor) -> Tensor:
        """The ratio of the sizes of subgradients at a rough solution and of its analysis."""
        if self.penalty is not None:
            return samples(self.penalty, x).detach()
        if not blocks:
            return samples(1.0, x)
        _, images, slopes = subgradients(problem, blocks, x)
        shares = weights.unbind(1)
        dual = weighted_norm(slopes, [1 / w for w in shares])
        return balanced(torch.ones_like(dual), dual, weighted_norm(images, list(shares)), 1.0)


def _blocks(problem: Problem, curvature: tuple[Tensor, ...]) -> list[Block]:
    data: list[Block] = [] if curvature else [DataBlock(problem)]
    return [*data, *split_terms(problem.regularizer)]


def _is_direct(block: Block) -> bool:
    return isinstance(block, TermBlock) and block.analysis is None
