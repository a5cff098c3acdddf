"""All iterations end at the same minimiser: the one that an independent library finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from agreement import Outcome, outcomes
from agreement_cases import FIDELITIES, OPERATORS, case, cases
from agreement_known import reason

from wellposed import CompositionError, Problem, component

#: Relative distances to unique minimisers, and relative differences of objectives elsewhere.
DISTANCE, OBJECTIVE, FEASIBLE = 1e-4, 1e-6, 1e-6
#: What references leave open, relative: bounds of iterations are compared with distances to these. An interior point
#: method ends 8e-5 from the minimiser of a smoothed variation, with an objective 2e-9 above that of the iterations.
REFERENCE = 1e-4
#: Single precision knows the gradient to some roundings, hence the solution to that times the condition of the Hessian.
ROUNDINGS = 16 * torch.finfo(torch.float32).eps
#: Proximal maps of the generalized variation stop at a relative duality gap of 1e-3 in single precision.
INNER = 1e-3
DTYPES = (torch.float64, torch.float32)
#: Problems for every day, quick ones of each operator.
FEW = (
    ("identity 4×6", "l2", "l1"),
    ("identity 4×6", "kullback-leibler", "huber"),
    ("identity 3 channels 5×3", "weighted l2", "joint variation"),
    ("identity 1×1", "kullback-leibler", "box"),
    ("fourier 4×5", "l1", "tikhonov of the gradient"),
    ("fourier 1×1", "weighted l2", "zero"),
    ("fourier, masked 4×6", "l2", "wavelets"),
    ("fourier, a mask per sample 4×4", "weighted l2", "huber"),
    ("fourier of real images 4×5", "l2 weighted per sample", "½ (variation + ridge)"),
    ("convolution 5×6", "weighted l2", "tikhonov"),
    ("convolution, reflect, 3 channels 4×5", "kullback-leibler", "box + ridge"),
    ("convolution, valid 5×5", "weighted l2", "l1 of measurements"),
    ("inpainting 4×6", "l1", "anisotropic variation"),
    ("inpainting, a mask per sample 4×5", "l1", "huber + gradient"),
    ("parallel beam 5×5", "l2 weighted per sample", "variation + nonnegativity"),
    ("parallel beam, 3 channels 3×4", "l2", "smoothed variation"),
    ("parallel beam 1×1", "kullback-leibler", "total variation"),
    ("dense, condition 1e4", "l2", "l1 + ridge"),
    ("dense, wide", "l2", "huber + gradient"),
    ("stack of two 4×6", "l2", "wavelets + variation"),
    ("stack per sample 4×4", "l2 weighted per sample", "huber of measurements"),
    ("stack per sample 4×4", "l1", "zero"),
)


def wrong(outcome: Outcome, dtype: torch.dtype) -> str | None:
    """What disagrees with the reference, in words; `None` where nothing does."""
    rounding = ROUNDINGS if dtype == torch.float32 else 0.0
    if outcome.violation > FEASIBLE + 10 * rounding:
        return f"violates a constraint by {outcome.violation:.1e}"
    if outcome.distance == outcome.distance:
        inner = INNER if "generalized" in outcome.case and dtype == torch.float32 else 0.0
        allowed = DISTANCE + inner + rounding * min(outcome.condition**2, 1e5)
        return None if outcome.distance <= allowed else f"is {outcome.distance:.1e} away"
    return None if outcome.excess <= OBJECTIVE + 100 * rounding else f"has an objective {outcome.excess:.1e} off"


def complaints(outcome: Outcome, dtype: torch.dtype) -> Iterator[str]:
    """Sentences about one sample; what is known to be slow has to say so in its verdict."""
    where = f"{outcome.case} by {outcome.iteration}, sample {outcome.sample}, after {outcome.steps} steps"
    slack = REFERENCE + (1e-3 if dtype == torch.float32 else 0.0)
    if outcome.beyond > slack:
        yield f"{where}: {outcome.beyond:.1e} beyond its certified bound"
    mistake = wrong(outcome, dtype)
    if mistake is not None and outcome.ok:
        yield f"{where}: {mistake} and says {outcome.verdict}"
    elif mistake is not None and reason(outcome) is None:
        yield f"{where}: {mistake} ({outcome.verdict})"


@pytest.mark.parametrize(("where", "fidelity", "regularizer"), FEW)
def test_iterations_end_at_the_reference(where: str, fidelity: str, regularizer: str) -> None:
    found = list(outcomes(case(where, fidelity, regularizer, torch.float64)))
    assert found, "no iteration fits"
    assert not (said := [c for o in found for c in complaints(o, torch.float64)]), "\n".join(said)


@pytest.mark.parametrize(("where", "fidelity", "regularizer"), FEW[1::4])
def test_iterations_end_at_the_reference_in_single_precision(where: str, fidelity: str, regularizer: str) -> None:
    found = list(outcomes(case(where, fidelity, regularizer, torch.float32)))
    assert found, "no iteration fits"
    assert not (said := [c for o in found for c in complaints(o, torch.float32)]), "\n".join(said)


def test_conjugate_gradients_refuse_counts_of_nothing() -> None:
    some = case("identity 1×1", "kullback-leibler", "tikhonov", torch.float64).problem
    none = Problem(some.operator, torch.zeros_like(some.measurement), some.fidelity, some.regularizer)
    with pytest.raises(CompositionError):
        component("iterations", "conjugate-gradient")().check(none)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=("double", "single"))
@pytest.mark.parametrize("where", OPERATORS)
def test_the_whole_matrix(where: str, dtype: torch.dtype, capsys: pytest.CaptureFixture[str]) -> None:
    found, problems = [], 0
    for each in cases(where, dtype):
        problems += 1
        found += list(outcomes(each))
    with capsys.disabled():
        print(f"\n{where}, {dtype}: {problems} problems, {len(found)} solves\n{table(found)}")
    assert not (said := [c for o in found for c in complaints(o, dtype)]), "\n".join(said)


def table(found: list[Outcome]) -> str:
    """Worst relative distance to unique minimisers of each iteration, by fidelity; the known slow ones apart."""
    names = sorted({o.iteration for o in found})
    lines = [" " * 24 + "".join(f"{n:>20}" for n in names)]
    for fidelity in FIDELITIES:
        for known in (False, True):
            cells = [
                [o.distance for o in found if (o.fidelity, o.iteration) == (fidelity, n) and _slow(o) == known]
                for n in names
            ]
            worst = [max((d for d in cell if d == d), default=None) for cell in cells]
            if any(w is not None for w in worst):
                label = f"{fidelity}, slow" if known else fidelity
                lines.append(f"{label:<24}" + "".join(f"{'–' if w is None else f'{w:.1e}':>20}" for w in worst))
    return "\n".join(lines)


def _slow(outcome: Outcome) -> bool:
    return not outcome.ok and reason(outcome) is not None
