"""Some solvers well and some not, some samples measured and some not: tables, exit codes and means of both kinds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wellposed import InputError, Problem, Space, Stop
from wellposed.cli import describe, doctor, execute
from wellposed.cli.output import print_results
from wellposed.experiment import Results, Row
from wellposed.experiment.results import LeftOut
from wellposed.memo import OperatorMemo
from wellposed.operator import LinearOperator, Operator
from wellposed.report.chart import line_chart
from wellposed.report.table import bad_verdicts, best_solvers, headings, lines
from wellposed.report.training import training_section
from wellposed.runs import RunDirectory
from wellposed.solution import Verdict
from wellposed.solver import DirectSolver
from wellposed.stability import worst_error
from wellposed.testing.doubles import DenseOperator, QuadraticFidelity

METRICS = {"psnr": "higher", "mse": "lower", "unmeasured": "higher"}


def row(solver: str, sample: str, verdict: Verdict = Verdict.CONVERGED, **metrics: float) -> Row:
    return Row(solver, sample, metrics, 0.5, 7, verdict)


@pytest.fixture
def mixed() -> Results:
    """`a` is measured and well on one of two samples; `b` has no truth and diverges once."""
    rows = [
        row("a", "s", psnr=30.0, mse=1.0),
        row("a", "t", psnr=32.0, mse=3.0),
        row("b", "s", Verdict.DIVERGED, mse=2.0),
        row("b", "t", mse=math.inf),
    ]
    return Results(rows, [], METRICS)


def test_a_column_stands_where_some_row_has_its_metric(mixed: Results) -> None:
    assert [title for title, _ in headings(mixed)] == ["PSNR [dB]", "mse", "seconds", "iterations"]
    assert [arrow for _, arrow in headings(mixed)] == ["↑", "↓", "", ""]
    first, second = lines(mixed, {"a": "red", "b": "blue"})
    assert first.cells[0].text.startswith("31.00 ± 1.41")
    assert [cell.text for cell in second.cells][:2] == ["–", "∞ ± nan"]
    assert [cell.best for cell in first.cells] == [False, True, False, False]


def test_a_line_is_well_only_where_every_sample_is(mixed: Results) -> None:
    first, second = lines(mixed, {"a": "red", "b": "blue"})
    assert (first.ok, second.ok) == (True, False)
    assert (first.verdict, second.verdict) == ("converged", "diverged")
    (bad,) = bad_verdicts(mixed)
    assert (bad.solver, bad.verdict, bad.samples) == ("b", "diverged", "s")


def test_best_are_those_with_the_better_mean(mixed: Results) -> None:
    assert best_solvers(mixed) == {"mse": {"a"}}
    alone = Results([row("a", "s", psnr=30.0)], [], METRICS)
    equal = Results([row("a", "s", psnr=30.0), row("b", "s", psnr=30.0)], [], METRICS)
    higher = Results([row("a", "s", psnr=30.0), row("b", "s", psnr=31.0), row("c", "s", psnr=31.0)], [], METRICS)
    assert best_solvers(alone) == best_solvers(equal) == {}
    assert best_solvers(higher) == {"psnr": {"b", "c"}}


def test_a_spread_is_of_finite_values_alone(mixed: Results) -> None:
    first, second = mixed.summary()
    assert first["psnr"] == 31.0
    assert first["psnr_std"] == pytest.approx(2**0.5)
    assert math.isnan(second["mse_std"])
    assert "psnr" not in second
    assert "unmeasured" not in first
    assert (first["samples"], first["seconds"], first["iterations"]) == (2, 0.5, 7)


def test_a_printed_table_has_the_columns_that_some_solver_has(
    mixed: Results, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_results(mixed)
    out, errors = capsys.readouterr()
    assert "PSNR" in out
    assert "unmeasured" not in out
    assert errors.startswith("b: diverged (s).")


@pytest.mark.parametrize(
    ("verdicts", "left_out", "code"),
    [
        ([Verdict.CONVERGED, Verdict.DIVERGED], False, 0),
        ([Verdict.ITERATION_LIMIT], False, 0),
        ([Verdict.DIVERGED, Verdict.NON_FINITE_MEASUREMENT], False, 1),
        ([Verdict.CONVERGED], True, 2),
        ([Verdict.DIVERGED], True, 1),
    ],
)
def test_exit_codes(
    verdicts: list[Verdict], left_out: bool, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing usable is a failure; a sample that was left out is a bad input."""
    import typer

    found = Results([row("a", f"s{i}", v, psnr=1.0) for i, v in enumerate(verdicts)], [], METRICS)
    found.left_out = [LeftOut("t", "torn")] if left_out else []
    for as_json in (True, False):
        if code:
            with pytest.raises(typer.Exit) as caught:
                execute.show(found, tmp_path, as_json)
            assert caught.value.exit_code == code
        else:
            execute.show(found, tmp_path, as_json)
    assert ("t is left out: torn" in capsys.readouterr().err) == left_out


def test_points_of_a_curve_that_are_not_finite_are_left_out() -> None:
    whole = line_chart({"a": [(1.0, 2.0), (3.0, 4.0)]}, "x", "y", {})
    holed = line_chart({"a": [(1.0, 2.0), (2.0, math.nan), (math.inf, 3.0), (3.0, 4.0)]}, "x", "y", {})
    assert holed == whole
    assert line_chart({"a": [(1.0, math.nan)]}, "x", "y", {}) == ""


def test_a_training_is_drawn_where_some_curve_has_two_points(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    assert training_section(log) == []
    log.write_text('{"step": 1, "loss": 1.0, "validation loss": 2.0, "once": 3.0}\n{"step": 2, "loss": 0.5}\n')
    ((title, html),) = training_section(log)
    assert title == "Training"
    assert "<h3>Loss</h3>" in html
    assert "validation loss" in html
    assert "Once" not in html


def test_the_docstring_of_a_list_hangs_under_its_beginnings() -> None:
    listed = "- the first one,\n  which goes on\n- the second"
    text = f"Two ways:\n\n{listed}\n\nArgs:\n    one: this\n        and more\n    two: that"
    assert describe.reflowed(text, 60) == (
        "Two ways:\n\n- the first one, which goes on\n- the second\n\nArgs:\n    one: this and more\n    two: that"
    )
    narrow = describe.reflowed("- the first one which is long", 20)
    assert narrow == "- the first one\n    which is long"
    assert describe.reflowed("plain words\nin two lines", 60) == "plain words in two lines"


def test_a_run_may_go_into_an_empty_folder_and_not_into_a_full_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with RunDirectory(tmp_path / "empty", False) as run:
        run.path("results.json").write_text("{}")
    assert (tmp_path / "empty" / "results.json").exists()
    for overwrite, words in ((False, "exists already"), (True, "holds other things than a run")):
        with pytest.raises(InputError, match=words), RunDirectory(tmp_path / "full", overwrite):
            pass


# Solvers and operators -------------------------------------------------------------------------------


class Half(DirectSolver):
    """`x = y/2`, with one pixel lost where the measurement's first entry is large."""

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        x = (y / 2).reshape(-1, 1, 2, 2).clone()
        x[y[:, 0] > 10, 0, 1, 1] = torch.nan
        return x


def test_a_direct_solver_tells_of_each_sample_what_became_of_it() -> None:
    y = torch.ones(4, 4, dtype=torch.float64)
    y[1, 2], y[2, 0] = torch.inf, 20.0
    operator = DenseOperator(torch.eye(4).tolist(), (1, 2, 2))
    solution = Half().solve(Problem(operator, y, QuadraticFidelity()))
    assert solution.verdict == (
        Verdict.COMPLETED, Verdict.NON_FINITE_MEASUREMENT, Verdict.DIVERGED, Verdict.COMPLETED
    )  # fmt: skip
    assert not solution.x[1].any()
    assert solution.x[0].flatten().tolist() == [0.5] * 4
    start = torch.full((4, 1, 2, 2), 7.0, dtype=torch.float64)
    assert bool((Half().solve(Problem(operator, y, QuadraticFidelity()), init=start).x[1] == 7.0).all())
    assert solution.iterations == (0, 0, 0, 0)


class Scaled(LinearOperator):
    """`y = a·b·x`, `a` learned or not, `b` fixed."""

    def __init__(self, learned: bool) -> None:
        super().__init__(Space((2,), torch.float64), Space((2,), torch.float64))
        self.a = nn.Parameter(torch.tensor(2.0, dtype=torch.float64), requires_grad=learned)
        self.b = nn.Parameter(torch.tensor(3.0, dtype=torch.float64), requires_grad=False)

    def _forward(self, x: Tensor) -> Tensor:
        return self.a * self.b * x

    _adjoint = _forward


def test_nothing_is_remembered_of_an_operator_that_learns_anything() -> None:
    memo, calls = OperatorMemo(), []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    learned, fixed = Scaled(True), Scaled(False)
    assert [memo.get(learned, "k", compute), memo.get(learned, "k", compute)] == [1, 2]
    assert [memo.get(fixed, "k", compute), memo.get(fixed, "k", compute)] == [3, 3]
    assert memo.get(fixed, "other", compute) == 4
    others = [Scaled(False) for _ in range(3)]
    for other in others:
        memo.get(other, "k", compute)
    assert memo.get(fixed, "k", compute) == 3, "four are remembered"
    fifth = Scaled(False)
    memo.get(fifth, "k", compute)
    count = len(calls)
    memo.get(fixed, "k", compute)
    assert len(calls) == count + 1, "the oldest was forgotten"


def test_a_space_needs_every_size_to_be_positive() -> None:
    from wellposed import ShapeError

    for shape in ((0, 3), (3, 0), (3, -1, 2)):
        with pytest.raises(ShapeError, match="needs positive sizes"):
            Space(shape)


def test_a_gradient_with_one_number_that_is_not_finite_is_not_followed() -> None:
    """`√|v|` has an infinite slope where an entry is 0: the direction is searched for instead."""
    y = torch.tensor([[0.0, 4.0]], dtype=torch.float64)
    start = torch.tensor([[0.0, 0.5]], dtype=torch.float64)

    def root(v: Tensor) -> Tensor:
        return v.abs().sqrt()

    error, method = worst_error(root, y, torch.tensor([0.5], dtype=torch.float64), 10, start)
    assert method == "search"
    assert bool(torch.isfinite(error).all())


def test_stops_and_levels_that_make_no_sense() -> None:
    for settings, words in (
        ({"iterations": -1}, "iterations must be ≥ 0; got -1"),
        ({"every": 0}, "every must be ≥ 1"),
    ):
        with pytest.raises(InputError, match=words):
            Stop(**settings)
    assert Stop(0).iterations == 0


def test_the_answer_of_many_samples_is_a_pool_where_there_is_one(mixed: Results) -> None:
    """The pool sees values and weights; without one it is the mean."""
    seen: list[Any] = []

    def pool(values: Any, weights: Any) -> float:
        seen.append((list(values), list(weights)))
        return 42.0

    mixed.pools = {"psnr": pool}
    mixed.rows[1] = Row("a", "t", {"psnr": 32.0}, 0.5, 7, Verdict.CONVERGED, weights={"psnr": 3.0})
    assert mixed.summary()[0]["psnr"] == 42.0
    assert seen == [([30.0, 32.0], [1.0, 3.0])]


@pytest.mark.parametrize("place", [0, 2, None])
def test_one_failed_check_of_a_plugin_fails_the_command(
    place: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    from wellposed import testing
    from wellposed.cli import plugin

    class Checked:
        def __init__(self, number: int, ok: bool) -> None:
            self.kind, self.component, self.check, self.message = "operators", "blur", f"check-{number}", "wrong"
            self.ok, self.outcome = ok, "passed" if ok else "failed"

    results = [Checked(i, i != place) for i in range(3)]
    monkeypatch.setattr(testing, "check_distribution", lambda name: results)
    for as_json in (False, True):
        if place is None:
            plugin.check("d", as_json)
        else:
            with pytest.raises(typer.Exit):
                plugin.check("d", as_json)
    out = capsys.readouterr().out
    assert ("All checks passed." in out) == (place is None)
    assert (f"blur: check-{place}: wrong" in out) == (place is not None)


@pytest.mark.parametrize("shift", [[1.0, -1.0], [-1.0, 1.0]])
def test_one_negative_shift_of_normal_equations_is_refused(shift: list[float]) -> None:
    operator = DenseOperator(torch.eye(4).tolist(), (1, 2, 2))
    rhs = torch.ones(2, 1, 2, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="shift ≥ 0; got -1"):
        operator.solve_normal(rhs, torch.tensor(shift, dtype=torch.float64))
    found = operator.solve_normal(rhs, torch.tensor([0.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(found, rhs / torch.tensor([1.0, 4.0], dtype=torch.float64).reshape(2, 1, 1, 1))


def test_a_problem_that_names_its_distribution_stands_alone() -> None:
    task = {"sort": "component", "name": "blur", "distribution": "wellposed-toy"}
    assert doctor._problem(task, "wellposed-toy needs torch") == "wellposed-toy needs torch"
    assert doctor._problem(task, "no torch") == "component blur: no torch"
    assert doctor._counted(["a"]) == "1 problem"
    assert doctor._counted(["a", "b"]) == "2 problems"


def test_the_head_of_a_report_tells_of_the_operator_where_there_is_one() -> None:
    from types import SimpleNamespace

    from wellposed.runs.contents import facts

    operator = DenseOperator(torch.eye(4).tolist(), (1, 2, 2))
    surroundings = {"device": "cpu", "date": "2026-01-02T03:04:05"}

    def head(built: Any, **recipe: Any) -> dict[str, str]:
        written = {"data": "squares", "operator": None, "noise": None, "precision": "single", "seed": 3, **recipe}
        first = SimpleNamespace(operator=None)
        data = SimpleNamespace(estimated=dict)
        experiment = SimpleNamespace(recipe=SimpleNamespace(**written), operator=built, data=data, first=lambda: first)
        return dict(facts(experiment, surroundings))  # type: ignore[arg-type]

    without = head(None)
    assert without == {"data": "squares", "device": "cpu, single precision", "made": "2026-01-02 03:04 UTC, seed 3"}
    nested = head(operator, data={"use": "simulated", "operator": {"use": "blur", "sigma": 2.0}})
    assert nested["operator"] == "blur, sigma 2.0"
    assert nested["image → measurement"] == "1 × 2 × 2 → 4"
    assert head(operator)["operator"] == "DenseOperator"
    assert head(operator, operator=["crop", {"use": "blur"}])["operator"] == "crop ∘ blur"
    assert head(operator, noise={"use": "gaussian", "sigma": 0.1})["noise"] == "gaussian, sigma 0.1"


def test_one_long_name_does_not_push_the_summaries_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wellposed.cli import list_

    monkeypatch.setenv("COLUMNS", "100")
    entries = [
        {
            "kind": "operators",
            "name": name,
            "distribution": "d",
            "version": "1",
            "summary": "Blurs. And more.",
            "error": None,
        }
        for name in ("blur", "b" * 60)
    ]
    list_._print(entries)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Blurs" in line]
    assert lines[0].index("Blurs") == 34 + 4
    assert lines[1].startswith("  " + "b" * 60)
    list_._print(entries[:1])
    assert "  blur  Blurs" in capsys.readouterr().out


@pytest.mark.parametrize(("zoom", "fits"), [([0, 0, 1, 1], True), ([-1, 0, 4, 4], False), ([0, 0, 0, 4], False)])
def test_a_region_begins_at_zero_and_has_a_size(zoom: list[int], fits: bool) -> None:
    from wellposed.errors import RecipeError
    from wellposed.recipes.model import parse

    document = {"data": "squares", "solvers": {"a": "x"}, "display": {"zoom": zoom}}
    if fits:
        assert parse(document, "r").display.zoom == tuple(zoom)
    else:
        with pytest.raises(RecipeError, match="of a region"):
            parse(document, "r")


@pytest.mark.parametrize("broken", [0, 1, None])
def test_one_distribution_with_a_problem_is_enough_for_the_doctor(
    broken: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    torch_answer = {"error": None, "version": "2", "cuda": None, "devices": [], "threads": 1}
    checkups = [doctor.Checkup(f"d{i}", "1", 2, 1, ["torn"] if i == broken else []) for i in range(2)]
    monkeypatch.setattr(doctor, "all_tasks", lambda installed: [{"sort": "torch"}])
    monkeypatch.setattr(doctor, "probe", lambda tasks: [torch_answer for _ in tasks])
    monkeypatch.setattr(doctor, "examine", lambda tasks, answers: checkups)
    monkeypatch.setattr(doctor, "all_clashes", list)
    for as_json in (True, False):
        if broken is None:
            doctor.doctor(as_json)
        else:
            with pytest.raises(typer.Exit):
                doctor.doctor(as_json)
    out = capsys.readouterr().out
    assert ("All is well." in out) == (broken is None)
    assert ("• torn" in out) == (broken is not None)
