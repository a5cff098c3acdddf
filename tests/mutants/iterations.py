"""Mutants of iterations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from wellposed.errors import CompositionError
from wellposed.problem import Problem
from wellposed.regularizer import Zero
from wellposed.space import norm
from wellposed.testing.doubles import QuadraticFidelity

from .changes import (
    after,
    around,
    attributes,
    detached,
    double,
    real_part,
    remembering,
    replaced,
    times,
    with_global_noise,
)
from .mutant import Change, mutants

TIGHT = "error-bound-holds-where-it-is-tight"
SINGLE = "error-bound-holds-in-float32"
GAP = "duality-gap-holds-where-it-is-tight"
FORMS = "reaches-closed-forms"


def posing(what: Callable[[Problem], Problem]) -> Change:
    """Initial state and step for another problem than the one posed."""

    def init(self: Any, original: Any, problem: Problem, x: Tensor | None = None) -> Any:
        return original(what(problem), x)

    def step(self: Any, original: Any, problem: Problem, state: Any) -> Any:
        return original(what(problem), state)

    return lambda base: around("step", step)(around("init", init)(base))


def weighing(factor: float) -> Change:
    return posing(lambda p: replace(p, regularizer=factor * p.regularizer))


def of_state(what: Callable[[Tensor], Tensor]) -> Change:
    """Every tensor of the next state that is an image, changed."""
    return after("step", lambda state: state.map(lambda t: what(t) if t.ndim > 1 else t))


def _zero_once_small(value: Tensor | None) -> Tensor | None:
    return None if value is None else torch.where(value < 1e-3, 0.0, value)


def _zero_in_single(value: Tensor | None) -> Tensor | None:
    return value if value is None or value.dtype == torch.float64 else torch.where(value < 1e-3, 0.0, value)


def _zero_late(self: Any, original: Any, problem: Problem, state: Any) -> Tensor | None:
    """Zero after 250 steps."""
    value = original(problem, state)
    late = self.__dict__.get("_count", 0) > 250
    return None if value is None else (0 * value if late else value)


def _counting(self: Any, original: Any, problem: Problem, state: Any) -> Any:
    self.__dict__["_count"] = self.__dict__.get("_count", 0) + 1
    return original(problem, state)


def late(method: str) -> Change:
    def restarted(self: Any, original: Any, problem: Problem, x: Tensor | None = None) -> Any:
        self.__dict__["_count"] = 0
        return original(problem, x)

    return lambda base: around("init", restarted)(around("step", _counting)(around(method, _zero_late)(base)))


def _two_channels(x: Tensor) -> Tensor:
    return torch.cat([x[:, :2], 0.9 * x[:, 2:]], dim=1) if x.ndim == 4 and x.shape[1] > 2 else x


def _first_samples_operator(p: Problem) -> Problem:
    return replace(p, operator=p.operator.take(torch.zeros(p.batch, dtype=torch.long)))


def _certifying_anything(self: Any, original: Any, problem: Problem, state: Any) -> Tensor:
    bound = original(problem, state)
    change = norm(self.estimate(self.step(problem, state)) - self.estimate(state))
    return 10 * change if bound is None or not bool(torch.isfinite(bound).any()) else bound


def _residual(self: Any, original: Any, problem: Problem, state: Any) -> Tensor:
    return norm(problem.operator(self.estimate(state)) - problem.measurement)


def _with_absolute_constant(self: Any, original: Any, problem: Problem, state: Any) -> Any:
    after_ = original(problem, state)
    return after_.map(lambda t: torch.where(t.abs() < 1e-4, 0.0, t) if t.ndim > 1 else t)


def _accepts_all(self: Any, problem: Problem) -> None:
    return None


def _leaking(t: Tensor) -> Tensor:
    return t + 1e-6 * t.mean(0, keepdim=True)


def _refuse_maps(original: Any, problem: Problem) -> None:
    """Accepts no term behind an analysis map."""
    original(problem)
    if any(t.analysis is not None for t in problem.regularizer.split()):
        raise CompositionError("no analysis maps, please")


def _asked(problem: Problem) -> Problem:
    """Calls `K.norm()` where an image has to be given."""
    for term in problem.regularizer.split():
        if term.analysis is not None:
            term.analysis.norm()  # type: ignore[call-arg]
    return problem


_CERTIFIED = ("gradient-descent", "proximal-gradient", "fista")

MUTANTS = mutants(
    "iterations",
    *(
        (base, f"error bound × {factor}", after("error_bound", times(factor)), TIGHT)
        for base in _CERTIFIED
        for factor in (0.2, 0.5, 0.9)
    ),
    ("pdhg", "error bound × 0.5", after("error_bound", times(0.5)), TIGHT, {"example": 1}),
    ("GradientStep", "error bound × 0.9", after("error_bound", times(0.9)), TIGHT),
    *((base, "error bound 0 once it is small", after("error_bound", _zero_once_small), TIGHT) for base in _CERTIFIED),
    *(
        (base, "error bound 0 in float32 once it is small", after("error_bound", _zero_in_single), SINGLE)
        for base in _CERTIFIED
    ),
    ("gradient-descent", "error bound 0 after 250 steps", late("error_bound"), TIGHT),
    ("fista", "error bound 0 after 250 steps", late("error_bound"), TIGHT),
    (
        "proximal-gradient",
        "error bound squared",
        after("error_bound", lambda b: None if b is None else b.square()),
        TIGHT,
    ),
    ("gradient-descent", "the residual as error bound", around("error_bound", _residual), TIGHT),
    ("proximal-gradient", "a bound where there is none", around("error_bound", _certifying_anything), TIGHT),
    ("landweber", "a bound where there is none", around("error_bound", _certifying_anything), TIGHT),
    ("pdhg", "gap halved", after("duality_gap", times(0.5)), GAP, {"example": 1}),
    ("pdhg", "gap × 0.9", after("duality_gap", times(0.9)), GAP, {"example": 1}),
    ("GradientStep", "gap halved", after("duality_gap", times(0.5)), GAP),
    ("GradientStep", "gap 0 after 250 steps", late("duality_gap"), GAP),
    ("pdhg", "gap 0 after 250 steps", late("duality_gap"), GAP, {"example": 1}),
    (
        "pdhg",
        "gap without the conjugate of the data",
        after("duality_gap", lambda g: None if g is None else g - 0.1),
        GAP,
        {"example": 1},
    ),
    ("fista", "non-smooth part twice", weighing(2.0), FORMS),
    ("fista", "non-smooth part × 1.01", weighing(1.01), FORMS),
    (
        "fista",
        "momentum never resets and grows",
        of_state(times(1.001)),
        "converges-to-closed-form reaches-closed-forms",
    ),
    ("proximal-gradient", "non-smooth part × 0.9", weighing(0.9), FORMS),
    ("pdhg", "regularizer × 1.05", weighing(1.05), FORMS, {"example": 1}),
    ("admm", "regularizer × 0.95", weighing(0.95), FORMS, {"example": 1}),
    ("gradient-descent", "regularizer left out", posing(lambda p: replace(p, regularizer=Zero())), FORMS),
    ("conjugate-gradient", "regularizer × 1.01", weighing(1.01), FORMS),
    *(
        (base, "imaginary parts dropped", of_state(real_part), FORMS)
        for base in ("fista", "proximal-gradient", "gradient-descent", "conjugate-gradient")
    ),
    ("admm", "imaginary parts dropped", of_state(real_part), FORMS, {"example": 1}),
    ("pdhg", "imaginary parts dropped", of_state(real_part), FORMS, {"example": 1}),
    ("fista", "wrong for three channels", of_state(_two_channels), FORMS),
    ("gradient-descent", "wrong for three channels", of_state(_two_channels), FORMS),
    ("admm", "wrong for three channels", of_state(_two_channels), FORMS, {"example": 1}),
    (
        "gradient-descent",
        "weights of the data ignored",
        posing(lambda p: replace(p, fidelity=QuadraticFidelity())),
        FORMS,
    ),
    ("fista", "weights of the data ignored", posing(lambda p: replace(p, fidelity=QuadraticFidelity())), FORMS),
    (
        "pdhg",
        "weights of the data ignored",
        posing(lambda p: replace(p, fidelity=QuadraticFidelity())),
        FORMS,
        {"example": 1},
    ),
    ("proximal-gradient", "the first sample's operator for all", posing(_first_samples_operator), FORMS),
    ("admm", "the first sample's operator for all", posing(_first_samples_operator), FORMS, {"example": 1}),
    (
        "gradient-descent",
        "small entries cut to zero",
        around("step", _with_absolute_constant),
        "works-in-every-unit reaches-closed-forms",
    ),
    ("landweber", "small entries cut to zero", around("step", _with_absolute_constant), "works-in-every-unit"),
    ("conjugate-gradient", "small entries cut to zero", around("step", _with_absolute_constant), "works-in-every-unit"),
    ("pdhg", "refuses analysis maps", around("check", lambda s, o, p: _refuse_maps(o, p)), "works-with-analysis-maps"),
    ("admm", "refuses analysis maps", around("check", lambda s, o, p: _refuse_maps(o, p)), "works-with-analysis-maps"),
    ("pdhg", "asks an analysis for norm()", posing(lambda p: _asked(p)), "reaches-closed-forms", {"example": 1}),
    ("gradient-descent", "solution × 1.0001", after("estimate", times(1.0001)), "converges-to-closed-form"),
    ("kaczmarz", "solution × 1.001", after("estimate", times(1.001)), "converges-to-closed-form"),
    (
        "sart",
        "measurement × 0.999",
        posing(lambda p: replace(p, measurement=0.999 * p.measurement)),
        "converges-to-closed-form",
    ),
    (
        "linearized-bregman",
        "half the measurement",
        posing(lambda p: replace(p, measurement=0.5 * p.measurement)),
        "converges-to-closed-form",
    ),
    ("stochastic-gradient", "biased blocks", of_state(times(0.999)), "converges-to-closed-form"),
    ("gradient-descent", "diverging step", of_state(lambda t: 1.01 * t), "converges-to-closed-form"),
    ("fista", "claims to be stationary", attributes(stationary=True), "stationary-map-depends-on-state-alone"),
    (
        "stochastic-gradient",
        "claims to be stationary",
        attributes(stationary=True),
        "stationary-map-depends-on-state-alone",
    ),
    ("gradient-descent", "step detached", of_state(detached), "tape-through-steps-is-right"),
    ("admm", "step detached", of_state(detached), "tape-through-steps-is-right", {"example": 1}),
    ("gradient-descent", "takes every regularizer", replaced(check=_accepts_all), "refuses-what-it-cannot-use"),
    ("admm", "takes every regularizer", replaced(check=_accepts_all), "refuses-what-it-cannot-use"),
    ("proximal-gradient", "batch leaks", of_state(_leaking), "treats-samples-independently"),
    ("pdhg", "batch leaks", of_state(_leaking), "treats-samples-independently"),
    ("gradient-descent", "start ignored", around("init", lambda s, o, p, x=None: o(p)), "starts-where-asked"),
    ("landweber", "noise of the global generator", of_state(with_global_noise), "step-is-pure"),
    (
        "fista",
        "a hidden counter",
        remembering("step", lambda st, n: st.map(lambda t: t * (1 + 1e-9 * n) if t.ndim > 1 else t)),
        "step-is-pure",
    ),
    (
        "gradient-descent",
        "writes into the state",
        around("step", lambda s, o, p, st: [o(p, st), st.x.mul_(0.5)][0]),
        "step-is-pure",
    ),
    (
        "kaczmarz",
        "writes into the measurement",
        around("step", lambda s, o, p, st: [o(p, st), p.measurement.mul_(0.5)][0]),
        "step-is-pure",
    ),
    ("gradient-descent", "float64 always", of_state(double), "keeps-precision"),
    ("variable-projection", "batch leaks", of_state(_leaking), "treats-samples-independently"),
    ("GradientStep", "gradient × 0.5 of the regularizer", weighing(0.5), "converges-to-closed-form"),
)

ANNOUNCED = "certificates-are-announced"


def _gap_in_ball(self: Any, original: Any, problem: Problem, state: Any, radius: float | None = None) -> Any:
    value = original(problem, state, radius)
    return value if value is None or radius is None else 0.5 * value


MUTANTS += mutants(
    "iterations",
    *((base, "certifies always", replaced(certifies=lambda self, problem: True), ANNOUNCED) for base in _CERTIFIED),
    *((base, "certifies never", replaced(certifies=lambda self, problem: False), ANNOUNCED) for base in _CERTIFIED),
    ("landweber", "certifies without a bound", replaced(certifies=lambda self, problem: True), ANNOUNCED),
    ("pdhg", "has a gap always", around("duality_gap", lambda s, o, p, st, radius=None: None), ANNOUNCED),
    (
        "pdhg",
        "gap over a ball halved",
        around("duality_gap", _gap_in_ball),
        "duality-gap-over-a-ball-holds",
        {"example": 1},
    ),
)
