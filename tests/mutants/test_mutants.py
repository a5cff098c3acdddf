"""The kit catches the mutants, each by a check that is about what was changed."""

from __future__ import annotations

import pytest

from .mutant import Mutant, failure, failure_of_base
from .suite import MUTANTS


@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.id) for m in MUTANTS])
def test_mutant_is_caught(mutant: Mutant) -> None:
    told = {name: failure(mutant.subject, name) for name in mutant.caught_by}
    assert any(told.values()) != bool(mutant.survives)
    for name, message in told.items():
        if message:
            assert failure_of_base(mutant, name) is None
