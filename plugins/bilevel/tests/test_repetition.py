"""Repeated trainings: starts that move, quartiles, and comparisons that go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wellposed import InputError
from wellposed.registry import component
from wellposed_bilevel.comparison import main
from wellposed_bilevel.parameters import Parameter, ParameterSpace
from wellposed_bilevel.repetition import MOVED, Outcome, Repetition, repetitions, summary


def space(start: float = 0.0) -> ParameterSpace:
    return ParameterSpace([Parameter("regularizer.a", start, (-2.0, 2.0)), Parameter("regularizer.b", 1.0, (0.0, 1.0))])


def test_the_first_start_is_the_recipes_and_the_others_move_within_the_box() -> None:
    assert len(repetitions(2, 3)) == 6
    np.testing.assert_array_equal(Repetition(1, 0).space(space()).start, space().start)
    moved = [Repetition(draw, start).space(space()).start for draw in range(3) for start in (1, 2)]
    assert len({tuple(m) for m in moved}) == 6
    assert all(0 < abs(m[0] - 0.5) <= MOVED for m in moved)
    assert all(1 - MOVED <= m[1] <= 1 for m in moved)
    np.testing.assert_array_equal(Repetition(1, 2).space(space()).start, Repetition(1, 2).space(space()).start)


def test_quartiles_count_what_was_not_reached_as_infinite() -> None:
    work = [(100.0, np.inf), (200.0, np.inf), (300.0, 4e6), (np.inf, np.inf)]
    outcomes = [Outcome("a", 0.01 * i, 1000 * (i + 1), w, 2.0) for i, w in enumerate(work)]
    row = summary(outcomes, [5, 10]).splitlines()[2]
    assert row.startswith("| a | 4 | 1.0 % [0.0 %, 2.0 %] | 2,000 [1,000, 3,000] |")
    assert "| 3 of 4 | 200 [100, 300] | 1 of 4 | – [4,000,000, –] | 2 [2, 2] |" in row


def test_a_comparison_goes_on_and_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, name in (("operators", "identity"), ("iterations", "fista")):
        try:
            component(kind, name)
        except InputError:
            pytest.skip(f"no plugin here registers {name}")
    smaller = ["--set", "training.data.count=2", "--set", "training.trainer.evaluations=4"]
    call = ["bilevel/indicator-1-dynamic", "--draws", "2", "--starts", "2", "--within", "500", "--keep", str(tmp_path)]
    tables = []
    for _ in range(2):
        assert main([*call, *smaller]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    assert "| 4 | " in tables[0]
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"0-indicator-1-dynamic-{draw}-{start}" for draw in (0, 1) for start in (0, 1)]
    assert len({(path / "evaluations.jsonl").read_text() for path in tmp_path.iterdir()}) == 4
