"""Certificates that hold: distances to known solutions against the bounds that solves end with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
import torch
from certified_solves import Case, all_cases, constants, separable, variation

from wellposed import CompositionError, Iteration, Stop, component, solve
from wellposed.space import norm
from wellposed.stopping import CertifiedAccuracy

ITERATIONS = ("gradient-descent", "proximal-gradient", "fista", "pdhg")
#: A start that is as near as the accuracy that is asked for tests nothing; these are asked for, relative to `‖x*‖`.
ACCURACIES = (1e-1, 1e-3, 1e-5)
#: Distances below so many roundings of the solution are rounding, of which a bound knows the most there can be.
ROUNDINGS = 1e4

Ratios = tuple[torch.Tensor, torch.Tensor]


def certified(case: Case, name: str, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Distances, bounds `(B,)` and what counts as rounding; `None` where an iteration certifies nothing or misfits."""
    iteration: Iteration = component("iterations", name)()
    try:
        iteration.check(case.problem)
    except CompositionError:
        return None
    if not iteration.certifies(case.problem):
        return None
    size = norm(case.solution)
    asked = size * torch.tensor(ACCURACIES, dtype=torch.float64).repeat(len(size))[: len(size)]
    asked = asked.clamp_min(1e-30).to(case.problem.measurement.dtype.to_real())
    stop = Stop(steps, [CertifiedAccuracy(asked)])
    solution = solve(case.problem, iteration, stop=stop, init=case.start)
    assert solution.bound is not None
    wide = torch.complex128 if case.solution.is_complex() else torch.float64
    rounding = ROUNDINGS * torch.finfo(case.problem.measurement.dtype).eps * size.double()
    return norm(solution.x.to(wide) - case.solution), solution.bound.double(), rounding


def violations(cases: Iterable[Case], names: Iterable[str], steps: int) -> tuple[int, int, list[str], Ratios]:
    """Solves, violations, where they happened, and the ratios of bound to distance, all and those above rounding."""
    count, found, where = 0, 0, []
    ratios, above = [torch.ones(0, dtype=torch.float64)], [torch.ones(0, dtype=torch.float64)]
    for case in cases:
        for name in names:
            result = certified(case, name, steps)
            if result is None:
                continue
            distance, bound, rounding = result
            wrong = distance > bound
            count, found = count + len(bound), found + int(wrong.sum())
            if bool(wrong.any()):
                worst = float((distance / bound)[wrong].max())
                where.append(f"{case.name} by {name}: {int(wrong.sum())} of {len(bound)}, up to ×{worst:.3g}")
            ratios.append((bound / distance)[torch.isfinite(bound) & (distance > 0)])
            above.append((bound / distance)[torch.isfinite(bound) & (distance > rounding)])
    return count, found, where, (torch.cat(ratios), torch.cat(above))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certificates_hold_at_adverse_starts(dtype: torch.dtype) -> None:
    cases = [separable(6, 1, k, dtype, c, 1.0, True) for k in ("l1", "box", "huber") for c in (3.0, 1e4)]
    count, found, where, _ = violations(cases, ITERATIONS, 300)
    assert count >= 80
    assert found == 0, "\n".join(where)


@pytest.mark.parametrize("operator", ["identity", "fourier"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certificates_hold_where_proximal_maps_are_iterated(operator: str, dtype: torch.dtype) -> None:
    cases = [variation(3, 2, "tv", operator, dtype, scale, 16) for scale in (1e-8, 1.0, 1e8)]
    count, found, where, _ = violations(cases, ITERATIONS, 200)
    assert count >= 27
    assert found == 0, "\n".join(where)


@pytest.mark.parametrize("operator", ["identity", "fourier"])
def test_large_isometries_in_single_precision_keep_their_promise(operator: str) -> None:
    count, found, where, _ = violations([constants(512, operator, torch.float32)], ("fista", "pdhg"), 40)
    assert count == 2
    assert found == 0, "\n".join(where)


@pytest.mark.slow
def test_a_hundred_thousand_certified_solves(capsys: pytest.CaptureFixture[str]) -> None:
    """No violation; and where the error lies in the mode of least curvature the bounds are tight.

    From zero, errors of all modes are bounded as if they were of that one: the ratio is up to the condition number.
    """
    separables = [*all_cases(200, range(2))]
    adverse = violations((c for c in separables if c.start is not None), ITERATIONS, 400)
    from_zero = violations((c for c in separables if c.start is None), ITERATIONS, 400)
    iterated = violations(_iterated(), ITERATIONS, 100)
    count = sum(outcome[0] for outcome in (adverse, from_zero, iterated))
    where = [line for outcome in (adverse, from_zero, iterated) for line in outcome[2]]
    with capsys.disabled():
        print(f"\n{count} certified solves, {len(where)} cases with violations; median of bound/distance:")
        for name, outcome in (("slowest mode", adverse), ("from zero", from_zero), ("iterated maps", iterated)):
            every, above = outcome[3]
            share = len(above) / max(1, len(every))
            print(f"  {name}: {float(every.median()):.3g} ({outcome[0]} solves), ", end="")
            print(f"{float(above.median()):.3g} of the {share:.0%} that end above rounding")
    assert not where, "\n".join(where)
    assert count >= 100_000
    # What rounding may hide is part of the bounds, and dominates them where a solve ends near the solution.
    every, above = adverse[3]
    assert float(above.median()) <= 10
    assert float(every.median()) <= 15


def _iterated() -> Iterator[Case]:
    """Total variation and its generalisation through isometries, small ones in every unit and large ones."""
    for dtype in (torch.float32, torch.float64):
        for operator in ("identity", "fourier"):
            yield constants(512, operator, dtype)
            yield variation(6, 0, "tgv", operator, dtype, 1.0, 12)
            for seed in range(3):
                yield from (variation(60, seed, "tv", operator, dtype, s, 16) for s in (1e-8, 1.0, 1e8))
