"""How far small errors of the measurement move a reconstruction: the worst direction, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from .dataset import generator_of
from .errors import InputError
from .gradient import NoGradient, Unrolled
from .operator import Operator
from .solver import Iterative, Solver
from .space import norm, per_sample
from .stopping import Stop

Reconstruction = Callable[[Tensor], Tensor]

#: Steps of a classical solver that are differentiated; more of them cost time and change the direction little.
_MOST_STEPS = 200


@dataclass(frozen=True)
class StabilityRow:
    """One level of error for one solver and sample. All of it is relative.

    `level` is `‖e‖/‖y‖`. `worst` and `random` are `‖Φ(y + e) − Φ(y)‖/‖Φ(y)‖` for the found worst error and
    the mean over random ones; `worst_gain` and `random_gain` are those divided by `level`. The metrics
    are those of the reconstructions from the disturbed measurements. `method` says how the worst error
    was found: by `gradient` or, of a solver that is not differentiable, by `search`.
    """

    solver: str
    sample: str
    level: float
    worst: float
    random: float
    worst_gain: float
    random_gain: float
    method: str
    metrics_worst: dict[str, float] = field(default_factory=dict)
    metrics_random: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Disturbed:
    """The measurement error of a level and what each solver makes of it, without batch dimension."""

    error: Tensor
    image: Tensor


def worst_error(
    reconstruct: Reconstruction, y: Tensor, radius: Tensor, steps: int = 15, start: Tensor | None = None
) -> tuple[Tensor, str]:
    """The error `e` with `‖e‖ ≤ radius` that changes the reconstruction most, as far as `steps` steps find.

    Maximises `f(e) = ½‖Φ(y + e) − Φ(y)‖²` by projected gradient ascent with steps as long as the ball:
    `e ← radius · ∇f(e)/‖∇f(e)‖`. For a linear Φ that is the power iteration for its norm; for a convex f
    it never descends (Journée et al. 2010). The best error met is returned: a lower bound on the
    worst case. `radius` is `(B,)`; `y` and the result are `(B, *range)`. Where Φ is not differentiable
    the direction is searched for with finite differences along random directions instead.
    """
    e = _random_error(y, radius, 0) if start is None else start
    with torch.no_grad():
        clean = reconstruct(y)
    best, best_value = e, torch.full_like(radius, -1.0)
    method = "gradient"
    for step in range(steps + 1):
        value, direction = _ascent(reconstruct, y, e, clean)
        if direction is None:
            method = "search"
            value, direction = _searched(reconstruct, y, e, clean, radius, step)
        improved = value > best_value
        best = torch.where(_like(improved, e), e, best)
        best_value = torch.where(improved, value, best_value)
        e = _on_sphere(direction, radius, e)
    return best.detach(), method


def differentiable(solver: Solver, operator: Operator, y: Tensor) -> Reconstruction:
    """Φ(y) of a solver for a fixed operator, differentiable in y wherever that can be had.

    A classical iterative solver is differentiated through as many steps as it takes on `y`, at most a
    few hundred, with the states stored and the steps recomputed.
    """
    if not isinstance(solver, Iterative) or not isinstance(solver.gradient, NoGradient):
        return lambda measurement: solver(measurement, operator)
    taken = max(solver.solve(solver.pose(y, operator)).iterations)
    unrolled = Iterative(
        solver.iteration,
        solver.fidelity,
        solver.regularizer,
        Stop(max(1, min(taken, _MOST_STEPS))),
        solver.acceleration,
        Unrolled(checkpoint=True),
        solver.start,
    )
    return lambda measurement: unrolled(measurement, operator)


def reconstruction(solver: Solver, operator: Operator) -> Reconstruction:
    """Φ(y) as the solver computes it, without gradients."""

    def reconstruct(measurement: Tensor) -> Tensor:
        with torch.no_grad():
            return solver.solve(solver.pose(measurement, operator)).x

    return reconstruct


def study(
    label: str,
    solver: Solver,
    sample: str,
    operator: Operator,
    y: Tensor,
    levels: Sequence[float],
    measure: Callable[[Tensor], dict[str, float]],
    *,
    steps: int = 15,
    draws: int = 4,
    observer: Callable[[], None] | None = None,
) -> tuple[list[StabilityRow], Disturbed]:
    """Rows for every level, and what the largest level does; `measure(x)` gives metrics of an image batch.

    `y` is one measurement with batch dimension, best without noise. `draws` random errors are averaged.
    `observer` is told after each level.
    """
    if not levels or any(not level > 0 for level in levels):
        raise InputError(f"the levels of error must be positive; {list(levels)} were given")
    taped, plain = differentiable(solver, operator, y), reconstruction(solver, operator)
    clean, size = plain(y), norm(y)
    rows, start, disturbed = [], None, None
    for level in sorted(levels):
        radius = level * size
        start = None if start is None else _on_sphere(start, radius, start)
        error, method = worst_error(taped, y, radius, steps, start)
        start = error
        image = plain(y + error)
        noisy = [plain(y + _random_error(y, radius, 1 + draw)) for draw in range(draws)]
        worst = float(norm(image - clean) / norm(clean))
        random = sum(float(norm(x - clean) / norm(clean)) for x in noisy) / draws
        measured = [measure(x) for x in noisy]
        mean = {name: sum(m[name] for m in measured) / draws for name in measured[0]}
        rows.append(
            StabilityRow(
                label,
                sample,
                level,
                worst,
                random,
                worst / level,
                random / level,
                method,
                measure(image),
                mean,
            )
        )
        disturbed = Disturbed(error[0].cpu(), image[0].cpu())
        if observer is not None:
            observer()
    assert disturbed is not None
    return rows, disturbed


def _ascent(reconstruct: Reconstruction, y: Tensor, e: Tensor, clean: Tensor) -> tuple[Tensor, Tensor | None]:
    """`f(e)` of each sample and its gradient, or `None` where Φ has no derivative."""
    with torch.enable_grad():
        point = e.detach().clone().requires_grad_()
        change = reconstruct(y + point) - clean
        value = 0.5 * norm(change) ** 2
        if not value.requires_grad:
            return value.detach(), None
        (gradient,) = torch.autograd.grad(value.sum(), point, allow_unused=True)
    if gradient is None or not bool(torch.isfinite(gradient).all()):
        return value.detach(), None
    return value.detach(), gradient


def _searched(
    reconstruct: Reconstruction,
    y: Tensor,
    e: Tensor,
    clean: Tensor,
    radius: Tensor,
    step: int,
    directions: int = 6,
) -> tuple[Tensor, Tensor]:
    """`f(e)` and `e` plus a gradient estimate from differences along a few random directions."""

    def value_at(error: Tensor) -> Tensor:
        with torch.no_grad():
            return 0.5 * norm(reconstruct(y + error) - clean) ** 2

    total = torch.zeros_like(e)
    for i in range(directions):
        d = _random_error(y, 0.3 * radius, 100 + step * directions + i)
        slope = value_at(e + d) - value_at(e - d)
        total = total + per_sample(slope.sign(), d) * d
    return value_at(e), e + total


def _random_error(y: Tensor, radius: Tensor, seed: int) -> Tensor:
    draw = torch.randn(y.shape, dtype=y.dtype, generator=generator_of(seed, 0, "perturbation")).to(y.device)
    return _on_sphere(draw, radius, draw)


def _on_sphere(direction: Tensor, radius: Tensor, fallback: Tensor) -> Tensor:
    """`radius · direction/‖direction‖`; samples whose direction vanishes keep `fallback`."""
    size = norm(direction)
    scaled = direction * per_sample(radius / size.clamp_min(torch.finfo(size.dtype).tiny), direction)
    return torch.where(_like(size > 0, direction), scaled, fallback)


def _like(flag: Tensor, tensor: Tensor) -> Tensor:
    return flag.reshape(-1, *([1] * (tensor.ndim - 1)))
