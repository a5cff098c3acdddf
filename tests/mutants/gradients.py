"""Mutants of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from wellposed_equilibrium.gradients.jacobian_free import JacobianFree

from .changes import around, attributes, replaced
from .mutant import Change, mutants

RIGHT = "derivative-is-what-it-promises"


def backward(what: Callable[[Tensor], Tensor]) -> Change:
    """The derivative that comes back through the attached state, changed."""

    def attach(self: Any, original: Any, problem: Any, iteration: Any, state: Any) -> Any:
        found = original(problem, iteration, state)
        flat = found.flatten()
        if not flat.requires_grad:
            return found
        seen = flat.view_as(flat)
        seen.register_hook(what)
        return found.unflatten(seen)

    return around("attach", attach)


def _one_step(self: Any, original: Any, problem: Any, iteration: Any, state: Any) -> Any:
    return JacobianFree().attach(problem, iteration, state)


def _without_parameters(self: Any, original: Any, problem: Any, iteration: Any, state: Any) -> Any:
    """Nothing reaches the parameters of the regularizer."""
    held = [p for p in problem.regularizer.parameters() if p.requires_grad]
    for p in held:
        p.requires_grad_(False)
    try:
        return original(problem, iteration, state)
    finally:
        for p in held:
            p.requires_grad_(True)


def _moved(self: Any, original: Any, problem: Any, iteration: Any, state: Any) -> Any:
    return original(problem, iteration, state).map(lambda t: 1.001 * t)


def _always_taped(self: Any, original: Any, problem: Any, iteration: Any, state: Any) -> Any:
    with torch.enable_grad():
        return iteration.step(problem, state.detach())


def _noisy(v: Tensor) -> Tensor:
    return v * (1 + 0.1 * torch.rand(1, dtype=v.dtype))


def _mixed(v: Tensor) -> Tensor:
    return v + 0.01 * v.roll(1, 0)


def _absolute(v: Tensor) -> Tensor:
    return torch.where(v.abs() < 1e-5, 0.0, v)


def _settings(**values: Any) -> Change:
    def init(self: Any, original: Any, *args: Any, **options: Any) -> None:
        original(*args, **options)
        for name, value in values.items():
            setattr(self, name, value)

    return around("__init__", init)


MUTANTS = mutants(
    "gradients",
    *(
        (base, f"× {factor}", backward(lambda v, factor=factor: factor * v), RIGHT)
        for base in ("implicit", "jacobian-free", "phantom")
        for factor in (0.5, 1.1, 1.001)
    ),
    ("implicit", "one step alone", around("attach", _one_step), RIGHT),
    ("implicit", "stops at a tenth", _settings(tolerance=0.1), RIGHT),
    ("implicit", "three products", _settings(iterations=3), RIGHT),
    ("implicit", "scaled at random", backward(_noisy), f"derivative-is-repeatable {RIGHT}"),
    ("jacobian-free", "scaled at random", backward(_noisy), f"derivative-is-repeatable {RIGHT}"),
    ("implicit", "none in the parameters", around("attach", _without_parameters), "reaches-learned-parameters"),
    ("phantom", "none in the parameters", around("attach", _without_parameters), "reaches-learned-parameters"),
    ("implicit", "samples mix", backward(_mixed), "derivative-is-linear"),
    ("implicit", "small directions cut off", backward(_absolute), "derivative-is-linear"),
    ("implicit", "of flipped sign", backward(lambda v: -v), "points-the-right-way"),
    (
        "jacobian-free",
        "two steps",
        around("attach", lambda s, o, p, i, x: o(p, i, o(p, i, x)) if False else i.step(p, o(p, i, x))),
        RIGHT,
    ),
    (
        "phantom",
        "a step less",
        around("attach", lambda s, o, p, i, x: [setattr(s, "steps", 4), o(p, i, x), setattr(s, "steps", 5)][1]),
        RIGHT,
    ),
    (
        "phantom",
        "damping left out",
        around("attach", lambda s, o, p, i, x: [setattr(s, "damping", 1.0), o(p, i, x), setattr(s, "damping", 0.5)][1]),
        RIGHT,
    ),
    (
        "jacobian-free",
        "claims to be exact",
        lambda base: attributes(exact=True)(replaced(resolvent=lambda s, e: 1 / (1 - e))(base)),
        f"{RIGHT} points-the-right-way",
    ),
    ("implicit", "moves the solution", around("attach", _moved), "leaves-the-solution-alone"),
    ("jacobian-free", "records under no_grad", around("attach", _always_taped), "honours-no-grad"),
    ("unrolled", "the last step alone", attributes(records_loop=False, attach=JacobianFree.attach), RIGHT),
    (
        "unrolled",
        "steps scaled",
        around("wrap", lambda s, o, step: lambda state: step(state).map(lambda t: t + 0.1 * (t - t.detach()))),
        RIGHT,
    ),
)
