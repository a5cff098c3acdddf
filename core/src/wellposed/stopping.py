"""Stopping rules: each says, per sample, whether the iteration may stop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from .errors import CompositionError, InputError
from .iteration import Iteration
from .module import ComponentModule
from .problem import Problem
from .solution import Verdict
from .space import norm
from .state import State

#: An image that changed by this part of the tolerance has not converged just now: it waits for something else.
_WAITING = 1e-6
#: What the change of the whole state counts beside that of the image.
_SHARE = 1e-3


@dataclass(frozen=True)
class Progress:
    """What a rule, a monitor or a hook sees of a running iteration; `x` is computed once when asked for.

    `state` is the new state, `previous` the one before, `applied` the plain map's value at `previous`:
    the same as `state` without acceleration.
    """

    problem: Problem
    iteration: Iteration
    state: State
    previous: State
    applied: State
    count: int

    @cached_property
    def x(self) -> Tensor:
        return self.iteration.estimate(self.state)

    @cached_property
    def x_previous(self) -> Tensor:
        return self.iteration.estimate(self.previous)


class Rule(ComponentModule):
    """A measured quantity per sample and the level at or under which the sample is done."""

    #: Name of the measured quantity in the history.
    name: str = ""
    verdict: Verdict = Verdict.CONVERGED

    def check(self, problem: Problem, iteration: Iteration) -> None:
        """Raise `CompositionError` where this rule can never be evaluated."""

    def measure(self, progress: Progress) -> Tensor:
        """The quantity, shape `(B,)`."""
        raise NotImplementedError

    def level(self, problem: Problem) -> float | Tensor:
        """The level, a number or `(B,)`."""
        raise NotImplementedError

    def take(self, index: Tensor) -> Rule:
        return self


class RelativeChange(Rule):
    """Stop at `‖x_k − x_{k−1}‖ ≤ tolerance·‖x_k‖`.

    The rest of the state has to rest as well, within a thousand times that, and within that where the image changed by
    less than a millionth of it: it may be that only dual variables move so far (thresholding of the first iterates,
    vertices of linear programmes, the first step of a primal–dual method).
    """

    name = "relative_change"
    source = "the usual stationarity test; it bounds no error"

    def __init__(self, tolerance: float = 1e-4) -> None:
        super().__init__()
        self.tolerance = _positive(tolerance, "tolerance")

    def measure(self, progress: Progress) -> Tensor:
        change = _relative(progress.x, progress.x_previous)
        near = change <= self.tolerance
        if not bool(near.any()):
            return change
        whole = _relative(progress.state.flatten(), progress.previous.flatten())
        waits = change <= _WAITING * self.tolerance
        return torch.where(near, torch.where(waits, whole, torch.maximum(change, _SHARE * whole)), change)

    def level(self, problem: Problem) -> float:
        return self.tolerance


class FixedPointResidual(Rule):
    """Stop at `‖T(s) − s‖ ≤ tolerance·‖T(s)‖` on the whole state, not the image alone, before acceleration."""

    name = "fixed_point_residual"
    source = "Kelley 1995, Iterative Methods for Linear and Nonlinear Equations, section 5.2"

    def __init__(self, tolerance: float = 1e-4) -> None:
        super().__init__()
        self.tolerance = _positive(tolerance, "tolerance")

    def check(self, problem: Problem, iteration: Iteration) -> None:
        if not iteration.stationary:
            raise CompositionError(
                f"{type(iteration).__name__} changes its map from step to step, so it has no fixed-point "
                f"residual; stop it by relative-change"
            )

    def measure(self, progress: Progress) -> Tensor:
        return _relative(progress.applied.flatten(), progress.previous.flatten())

    def level(self, problem: Problem) -> float:
        return self.tolerance


class Discrepancy(Rule):
    """Morozov's principle: stop at `‖A(x) − y‖ ≤ τ·δ`, `noise_norm` δ = expected `‖noise‖`, `factor` τ ≥ 1."""

    name = "discrepancy"
    source = "Morozov 1966; Engl, Hanke and Neubauer 1996, section 4.3"

    def __init__(self, noise_norm: float, factor: float = 1.01) -> None:
        super().__init__()
        self.noise_norm = _positive(noise_norm, "noise_norm")
        if factor < 1:
            raise InputError(f"the discrepancy factor must be at least 1; got {factor}")
        self.factor = factor

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"noise_norm": 1.0},)

    def measure(self, progress: Progress) -> Tensor:
        return norm(progress.problem.operator(progress.x) - progress.problem.measurement)

    def level(self, problem: Problem) -> float:
        return self.factor * self.noise_norm


class DualityGap(Rule):
    """Stop where the primal minus the dual objective is at most `tolerance·max(|objective|, tiny)`.

    Without `radius` only the gap over the whole space counts. Objectives that do not bound the image by themselves
    (no `box`, `tikhonov` or the like, an operator that is no isometry) have none, and are refused before work unless
    you know a `radius ≥ ‖x*‖` beforehand: √pixels for images with values in [0, 1]. Then the gap is that over the
    ball, and the statement as good as the radius.
    """

    name = "relative_duality_gap"
    source = "Chambolle and Pock 2011, section 3"

    def __init__(self, tolerance: float = 1e-4, radius: float | None = None) -> None:
        super().__init__()
        self.tolerance = _positive(tolerance, "tolerance")
        self.radius = None if radius is None else _positive(radius, "radius")

    def check(self, problem: Problem, iteration: Iteration) -> None:
        if type(iteration).duality_gap is Iteration.duality_gap:
            raise CompositionError(f"{type(iteration).__name__} has no duality gap; stop it by relative-change")
        known = {} if self.radius is None else {"radius": self.radius}
        if not iteration.has_duality_gap(problem, **known):
            raise CompositionError(
                f"{type(iteration).__name__} has no finite duality gap for this operator, fidelity and regularizer; "
                f"give duality-gap a radius that bounds the norm of the solution (√pixels for images with values in "
                f"[0, 1]), or stop it by relative-change or fixed-point-residual"
            )

    def measure(self, progress: Progress) -> Tensor:
        known = {} if self.radius is None else {"radius": self.radius}
        gap = progress.iteration.duality_gap(progress.problem, progress.state, **known)
        if gap is None:
            raise CompositionError(
                f"{type(progress.iteration).__name__} has no duality gap for this fidelity and regularizer; "
                f"stop it by relative-change"
            )
        scale = progress.problem.objective(progress.x).abs()
        return gap / scale.clamp_min(torch.finfo(scale.dtype).tiny)

    def level(self, problem: Problem) -> float:
        return self.tolerance


class CertifiedAccuracy(Rule):
    """Stop where the iteration certifies `‖x_k − x*‖ ≤ accuracy`, a number or one per sample."""

    name = "error_bound"
    verdict = Verdict.CERTIFIED
    source = "Ehrhardt and Roberts 2021, section 2.2"

    def __init__(self, accuracy: float | Tensor) -> None:
        super().__init__()
        if bool((torch.as_tensor(accuracy) <= 0).any()):
            raise InputError(f"an accuracy must be positive; got {accuracy}")
        self.accuracy = accuracy

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"accuracy": 1e-3},)

    def check(self, problem: Problem, iteration: Iteration) -> None:
        if not iteration.certifies(problem):
            raise _no_certificate(iteration)

    def measure(self, progress: Progress) -> Tensor:
        bound = progress.iteration.error_bound(progress.problem, progress.state)
        if bound is None:
            raise _no_certificate(progress.iteration)
        return bound

    def level(self, problem: Problem) -> float | Tensor:
        if isinstance(self.accuracy, Tensor):
            return self.accuracy.to(problem.measurement.device)
        return self.accuracy

    def take(self, index: Tensor) -> Rule:
        if isinstance(self.accuracy, Tensor) and self.accuracy.ndim == 1:
            return CertifiedAccuracy(self.accuracy[index.to(self.accuracy.device)])
        return self


class Stop(nn.Module):
    """At most `iterations` steps, ended earlier for a sample that meets one of `rules`.

    The rules are evaluated after every `every` steps (they cost about a step each). Without rules the
    verdict is `COMPLETED`, with rules that were not met `ITERATION_LIMIT`.
    """

    def __init__(self, iterations: int = 1000, rules: list[Rule] | None = None, every: int = 1) -> None:
        super().__init__()
        if iterations < 0:
            raise InputError(f"iterations must be ≥ 0; got {iterations}")
        if every < 1:
            raise InputError(f"every must be ≥ 1; got {every}")
        self.iterations = int(iterations)
        self.rules = nn.ModuleList(rules or [])
        self.every = int(every)

    def check(self, problem: Problem, iteration: Iteration) -> None:
        for rule in self.rules:
            rule.check(problem, iteration)  # type: ignore[operator]

    def only(self, rule: Rule) -> Stop:
        """The same limit with one rule alone: who asks for an accuracy is not served by another rule."""
        return Stop(self.iterations, [rule], self.every)

    def take(self, index: Tensor) -> Stop:
        return Stop(self.iterations, [r.take(index) for r in self.rules], self.every)  # type: ignore[operator]

    def due(self, count: int) -> bool:
        return bool(self.rules) and (count % self.every == 0 or count == self.iterations)

    @property
    def exhausted(self) -> Verdict:
        """The verdict of samples that no rule stopped."""
        return Verdict.ITERATION_LIMIT if self.rules else Verdict.COMPLETED


def _no_certificate(iteration: Iteration) -> CompositionError:
    return CompositionError(
        f"{type(iteration).__name__} certifies no error bound on this problem; a bound needs a strongly convex "
        f"objective (smoothed-total-variation, tikhonov) and, for instance, gradient-descent"
    )


def _positive(value: float, what: str) -> float:
    if not value > 0:
        raise InputError(f"{what} must be positive; got {value}")
    return float(value)


def _relative(new: Tensor, old: Tensor) -> Tensor:
    """`‖new − old‖/‖new‖` of each sample, 0 where both are zero."""
    return norm(new - old) / norm(new).clamp_min(torch.finfo(new.dtype).tiny)
