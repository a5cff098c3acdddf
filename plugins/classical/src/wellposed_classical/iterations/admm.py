"""The alternating direction method of multipliers, its penalty balanced automatically."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wellposed import InputError, Iteration, LinearOperator, Problem, State, bookkeeping
from wellposed.space import per_sample

from .balance import Balance, Point, objective_at, trust
from .constants import given_or, isometry, keep_step, samples, start_image
from .first_balance import first_step
from .normal_equations import NormalEquations
from .splitting import Block, DataBlock, TermBlock, check_linear, check_split, quadratic_weight, split_terms
from .stalling import FAR


@dataclass(frozen=True)
class ADMMState(State):
    """`x` solves the quadratic subproblem, `split` are the `z_j`, `scaled` the `u_j`.

    `image` is the `z_j` of a term without analysis map, else `x`. `weights` `(B, terms)` are `1/‖K_j‖²`.
    `curvature` is that of a quadratic fidelity, which is not split, empty for others; `isometry` is `c`
    where `A*A = c·I`, else empty. `balance` is the memory of the rule that adapts the penalty, `anchor` holds
    `z_j` and `ρ u_j` at its last update; both are empty where the penalty is given.
    """

    image: Tensor
    x: Tensor
    split: tuple[Tensor, ...]
    scaled: tuple[Tensor, ...]
    penalty: Tensor = bookkeeping()
    weights: Tensor = bookkeeping()
    curvature: tuple[Tensor, ...] = bookkeeping()
    isometry: tuple[Tensor, ...] = bookkeeping()
    balance: tuple[Tensor, ...] = bookkeeping()
    anchor: tuple[Tensor, ...] = bookkeeping()
    count: Tensor = bookkeeping()


class ADMM(Iteration[ADMMState]):
    """`x ← argmin D(Ax, y) + Σ ρ_j/2‖K_j x − z_j + u_j‖²`, `z_j ← prox_{g_j/ρ_j}(K_j x + u_j)`, `u_j += K_j x − z_j`.

    Solves `min_x D(Ax, y) + Σ g_j(K_j x)` for images `(B, *domain.shape)`. A fidelity that is a multiple
    of a squared distance stays in the `x`-step; every other is split as one more term. The `x`-step is
    exact where the operator (or the analysis map, if `A*A = c·I`) has a closed form; otherwise
    conjugate gradients go on from the last image until the residual has fallen twentyfold.

    `ρ_j = ρ/‖K_j‖²`. `penalty` ρ: a number, `(B,)` or a learned parameter, which makes the map stationary;
    by default it is set for each sample to the ratio of the distances that `ρ u_j` and `z_j` travel.
    `relaxation` α, below 2, puts `α K_j x + (1 − α) z_j` in the place of `K_j x`. Gradients through
    unrolled steps take adapted penalties as constants.

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
            penalty, extent = self._first_penalty(problem, blocks, weights, x)
        split = tuple(b.apply(x) for b in blocks)
        scaled = tuple(torch.zeros_like(z) for z in split)
        adapts = self.penalty is None and bool(split)
        balance, anchor = (Balance.start(1 / penalty, extent), (*split, *scaled)) if adapts else ((), ())
        factor = isometry(problem.operator)
        known = () if factor is None else (samples(factor, x),)
        count = torch.zeros(len(x), dtype=torch.long)
        return ADMMState(x, x, split, scaled, penalty, weights, curvature, known, tuple(balance), anchor, count)

    def step(self, problem: Problem, state: ADMMState) -> ADMMState:
        penalty = samples(given_or(self.penalty, state.penalty), state.x)
        blocks = _blocks(problem, state.curvature)
        rho = [penalty * w for w in state.weights.unbind(1)]
        x = self._quadratic_step(problem, state, blocks, rho)
        split, scaled = [], []
        for block, z, u, r in zip(blocks, state.split, state.scaled, rho, strict=True):
            point = torch.lerp(z, block.apply(x), self.relaxation) + u
            split.append(block.prox(point, 1 / r))
            scaled.append(point - split[-1])
        image = next((z for b, z in zip(blocks, split, strict=True) if _is_direct(b)), x)
        moved = replace(state, image=image, x=x, split=tuple(split), scaled=tuple(scaled))
        return _rebalanced(problem, state, moved) if state.balance else moved

    def stalled(self, problem: Problem, state: ADMMState) -> Tensor | None:
        """Whether a step with the penalty that a new start would take would still move the point."""
        if not state.split:
            return None
        point = _point(state)
        primal, _ = point.sizes()
        penalty = ADMM()._first_penalty(problem, _blocks(problem, state.curvature), state.weights, state.image)[0]
        scaled = tuple(u * per_sample(state.penalty / penalty, u) for u in state.scaled)
        neutral = ADMM(relaxation=1.0)
        moved = neutral.step(problem, replace(state, scaled=scaled, penalty=penalty, balance=()))
        change, across = _point(moved).distances(point.primal, point.dual)
        return (change > FAR * primal) | (across > FAR * penalty * primal)

    def _quadratic_step(self, problem: Problem, state: ADMMState, blocks: list[Block], rho: list[Tensor]) -> Tensor:
        """Solve `(m A*A + Σ ρ_j K_j*K_j) x = m A*y + Σ ρ_j K_j*(z_j − u_j)`."""
        assert isinstance(problem.operator, LinearOperator), "refused by check"
        zero = torch.zeros_like(state.x)
        rhs = -problem.data_gradient(zero) if state.curvature else zero
        for block, z, u, r in zip(blocks, state.split, state.scaled, rho, strict=True):
            rhs = rhs + block.adjoint(z - u) * per_sample(r, rhs)
        data = state.curvature[0] if state.curvature else rho[0]
        terms = tuple((b, r) for b, r in zip(blocks, rho, strict=True) if isinstance(b, TermBlock))
        return NormalEquations(problem.operator, data, terms, state.isometry).solve(rhs, state.x)

    def _first_penalty(
        self, problem: Problem, blocks: list[Block], weights: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The given penalty, or the ratio of the sizes of subgradients at a rough solution and of its analysis; and
        the latter.
        """
        if self.penalty is not None:
            return samples(self.penalty, x).detach(), samples(1.0, x)
        if not blocks:
            return samples(1.0, x), samples(1.0, x)
        shares = weights.unbind(1)
        norms = [b.norm(x) for b in blocks]
        step, extent = first_step(problem, blocks, x, [1 / w for w in shares], norms, image_weights=shares)
        return 1 / step, extent


def _rebalanced(problem: Problem, previous: ADMMState, state: ADMMState) -> ADMMState:
    """The state counted on, its penalty balanced anew where that is due.

    The multipliers `ρ_j u_j` stay what they are, so the `u_j` shrink as the penalty grows.
    """
    count = state.count + 1
    size = trust(int(count[0]))  # on the CPU, the same for all samples
    if size == 0.0:
        return replace(state, count=count)
    with torch.no_grad():
        point = _point(state)
        balance = Balance(*state.balance).updated(
            point, _point(previous), state.anchor, objective_at(problem, state.image, int(count[0])), size
        )
        penalty = 1 / balance.step
        anchor = tuple(t.detach() for t in (*point.primal, *point.dual))
    scaled = tuple(u * per_sample(state.penalty / penalty, u) for u in state.scaled)
    return replace(state, scaled=scaled, penalty=penalty, balance=tuple(balance), anchor=anchor, count=count)


def _point(state: ADMMState) -> Point:
    """The `z_j` and the multipliers `ρ u_j`, up to the weights of the terms."""
    weights = tuple(state.weights.unbind(1))
    multipliers = tuple(u * per_sample(state.penalty, u) for u in state.scaled)
    return Point(state.split, multipliers, weights, weights)


def _blocks(problem: Problem, curvature: tuple[Tensor, ...]) -> list[Block]:
    data: list[Block] = [] if curvature else [DataBlock(problem)]
    return [*data, *split_terms(problem.regularizer)]


def _is_direct(block: Block) -> bool:
    return isinstance(block, TermBlock) and block.analysis is None
