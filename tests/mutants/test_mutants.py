"""The kit catches the mutants, each by a check that is about what was changed, and the survivors have a reason.

A fifth of them runs with every test run, all with `pytest -m slow`; `python -m tests.mutants` prints the table.
"""

from __future__ import annotations

from collections import Counter

import pytest

from wellposed.registry import KINDS, registry
from wellposed.testing import checks_for

from .mutant import Mutant, failure, failure_of_base
from .suite import MUTANTS

_EVERY = 5
_CASES = [pytest.param(m, id=m.id, marks=() if i % _EVERY == 0 else (pytest.mark.slow,)) for i, m in enumerate(MUTANTS)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutant", _CASES)
def test_mutant_is_caught(mutant: Mutant) -> None:
    if mutant.base not in _registered(mutant.kind) and not mutant.base[0].isupper():
        pytest.skip(f"{mutant.base} is not installed")
    told = {name: failure(mutant.subject, name) for name in mutant.caught_by}
    for name, message in told.items():
        assert message is None or failure_of_base(mutant, name) is None, "the right component fails as well"
    assert bool(any(told.values())) != bool(mutant.survives), told


def test_mutants_are_of_every_kind_and_few_survive() -> None:
    count = Counter(m.kind for m in MUTANTS)
    assert set(count) == set(KINDS)
    assert min(count.values()) >= 20
    survivors = sum(bool(m.survives) for m in MUTANTS)
    assert survivors <= 0.03 * len(MUTANTS)
    names = Counter(m.id for m in MUTANTS)
    assert [name for name, n in names.items() if n > 1] == []


def test_mutants_name_checks_that_there_are() -> None:
    for kind in KINDS:
        classes = {m.subject.cls for m in MUTANTS if m.kind == kind}
        known = {check.name for cls in classes for check in checks_for(kind, cls)}
        named = {name for m in MUTANTS if m.kind == kind for name in m.caught_by}
        assert named <= known, named - known


def _registered(kind: str) -> set[str]:
    return {entry.name for entry in registry().entries(kind)}
