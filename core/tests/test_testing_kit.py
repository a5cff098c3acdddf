"""The kit's frame: cases and their names, expected failures, results, the sandbox, the pytest plugin."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from wellposed import Iteration, Problem, State
from wellposed.errors import CompositionError, InputError
from wellposed.interface import KnownValue
from wellposed.recipes import build
from wellposed.registry import KINDS, Entry, registry
from wellposed.regularizer import Zero
from wellposed.testing import (
    check_component,
    check_distribution,
    checks_for,
    parametrize_distribution,
    parametrize_with_checks,
)
from wellposed.testing.age import NewCheckWarning
from wellposed.testing.case import Case, cases_of_class, cases_of_entry
from wellposed.testing.doubles import DenseOperator, PeriodicBlur, QuadraticFidelity, QuadraticRegularizer
from wellposed.testing.global_state import watched
from wellposed.testing.kit import _result
from wellposed.testing.sandbox import ClassEntry


class Weighty(QuadraticRegularizer):
    """A quadratic with two examples and a wrong gradient in the second; `factor` is its weight."""

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"factor": 0.5}, {"factor": 2.0})

    def grad(self, x: Tensor) -> Tensor:
        return super().grad(x) * (1.1 if self.factor > 1 else 1.0)


class Undocumented(Zero):
    source = ""

    def __init__(self, strength=1.0, **options) -> None:
        super().__init__()


# Cases ----------------------------------------------------------------------------------------------


def test_every_kind_has_checks_with_a_promise_each() -> None:
    for kind, what in KINDS.items():
        module, _, name = what.interface.partition(":")
        interface = getattr(__import__(module, fromlist=[name]), name)
        checks = checks_for(kind, interface)
        assert len(checks) > 8, kind
        assert all(check.promise.endswith((".", ")")) for check in checks)
        names = [check.name for check in checks]
        assert len(names) == len(set(names)), kind


def test_case_ids_name_kind_component_example_and_check() -> None:
    ids = [case.id for case in cases_of_class("regularizers", Weighty, "weighty")]
    assert "regularizers/weighty/has-summary" in ids
    assert "regularizers/weighty.1/gradient-is-right" in ids
    assert len(ids) == len(set(ids))
    single = [case.id for case in cases_of_class("operators", DenseOperator)]
    assert "operators/DenseOperator/adjoint-is-exact" in single


def test_failures_are_told_per_example() -> None:
    failed = {
        r.component for r in check_component("regularizers", Weighty) if r.check == "gradient-is-right" and not r.ok
    }
    assert failed == {"Weighty.1"}


def test_undocumented_component_is_told_what_is_missing() -> None:
    results = {r.check: r for r in check_component("regularizers", Undocumented)}
    assert "has no docstring" in results["has-summary"].message
    assert "strength" in results["explains-arguments"].message
    assert "paper" in results["names-source"].message
    assert "**options" in results["swallows-no-options"].message


def test_component_without_examples_is_skipped_with_a_reason() -> None:
    class OnlyFiles(Zero):
        """Needs a file."""

        @classmethod
        def examples(cls) -> tuple[dict, ...]:
            return ()

    results = {r.check: r for r in check_component("regularizers", OnlyFiles)}
    assert results["examples"].outcome == "skipped"
    assert "user's own data" in results["examples"].message
    assert results["has-summary"].outcome == "passed"


def test_broken_example_is_told_once() -> None:
    class Broken(QuadraticRegularizer):
        """Its example is misspelt; `factor` is its weight."""

        @classmethod
        def examples(cls) -> tuple[dict, ...]:
            return ({"faktor": 1.0},)

    failed = [r for r in check_component("regularizers", Broken) if not r.ok]
    assert [r.check for r in failed] == ["builds-from-recipe"]
    assert "faktor" in failed[0].message


def test_examples_that_raise_are_one_failure() -> None:
    class Raising(Zero):
        """Cannot even list its examples."""

        @classmethod
        def examples(cls) -> tuple[dict, ...]:
            raise RuntimeError("no examples today")

    (result,) = check_component("regularizers", Raising)
    assert not result.ok
    assert "no examples today" in result.message


def test_entry_that_cannot_be_loaded_is_one_failing_case() -> None:
    entry = Entry("gone", "operators", "no_such_package.module:Gone", "lost", "1")
    (case,) = cases_of_entry(entry)
    assert case.id == "operators/gone/loads"
    with pytest.raises(AssertionError, match="No module named 'no_such_package'"):
        case()


def test_distribution_that_registers_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(InputError, match="wellposed-core"):
        check_distribution("numpy")


# pytest ---------------------------------------------------------------------------------------------


@parametrize_with_checks("regularizers", QuadraticRegularizer)
def test_parametrization_by_class(case) -> None:
    case()


@parametrize_with_checks("regularizers", "zero")
def test_parametrization_by_name(case) -> None:
    case()


@parametrize_with_checks(
    "regularizers",
    Weighty,
    expected_failures={
        "Weighty.1/gradient-is-right": "the gradient of heavy ones is wrong on purpose",
        "Weighty.1/claimed-smoothness-holds": "the same",
        "Weighty.1/complex-images-work-or-are-refused": "the same",
        "Weighty.1/gradient-agrees-with-central-differences": "the same",
        "Weighty.1/takes-images-of-other-shapes": "the same",
        "Weighty.1/complex-maps-are-right": "the same",
    },
)
def test_expected_failures_are_expected(case) -> None:
    case()


def test_expected_failures_must_exist() -> None:
    with pytest.raises(InputError, match="gradient-is-wright"):
        parametrize_with_checks("regularizers", "zero", expected_failures={"gradient-is-wright": "?"})


def test_parametrization_of_a_distribution_holds_all_of_its_components() -> None:
    mark = parametrize_distribution("wellposed_core")
    ids = {param.id for param in mark.args[1]}
    assert {"regularizers/zero/loads", "stopping/discrepancy/loads", "gradients/unrolled/loads"} <= ids


def test_plugin_imports_no_torch() -> None:
    code = "import sys, wellposed.testing, wellposed.testing.plugin; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_option_checks_a_distribution_without_a_test_file(tmp_path) -> None:
    command = [sys.executable, "-m", "pytest", "--wellposed-distribution", "wellposed-core", "-q", "-k", "zero", "-rs"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout
    unknown = subprocess.run([*command[:4], "nobody"], cwd=tmp_path, capture_output=True, text=True)
    assert unknown.returncode == pytest.ExitCode.USAGE_ERROR
    assert "nobody registers no component" in unknown.stderr


# Sandbox --------------------------------------------------------------------------------------------


def test_sandbox_holds_what_is_added_and_nothing_else(plugin_sandbox) -> None:
    plugin_sandbox.add("regularizer", "ridge", QuadraticRegularizer)
    assert [e.name for e in registry().entries()] == ["ridge"]
    assert build("regularizers", {"use": "ridge", "factor": 2.0}).factor == 2.0
    assert all(r.ok for r in check_component("regularizers", "ridge"))


def test_sandbox_refuses_a_class_of_another_kind(plugin_sandbox) -> None:
    entry = plugin_sandbox.add("operators", "ridge", QuadraticRegularizer)
    (case,) = cases_of_entry(entry)
    with pytest.raises(AssertionError, match=r"no subclass of wellposed\.Operator"):
        case()


def test_names_that_are_not_kebab_case_are_told(plugin_sandbox) -> None:
    plugin_sandbox.add("regularizers", "Ridge_Regression", QuadraticRegularizer)
    failed = {r.check for r in check_component("regularizers", "Ridge_Regression") if not r.ok}
    assert failed == {"name-is-kebab-case"}


def test_sandbox_is_gone_after_its_test() -> None:
    assert registry().find("regularizers", "zero").distribution == "wellposed-core"


# Global state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (lambda: torch.manual_seed(3), "torch's global random state"),
        (lambda: torch.rand(1), "torch's global random state"),
        (lambda: np.random.seed(3), "numpy's global random state"),
        (lambda: torch.set_default_dtype(torch.float64), "default dtype"),
        (lambda: torch.set_grad_enabled(False), "gradient mode"),
        (lambda: np.seterr(over="ignore", divide="ignore"), "floating-point errors"),
    ],
)
def test_changes_of_global_state_are_named(act, word: str) -> None:
    before = np.geterr()
    try:
        with pytest.raises(AssertionError, match=word), watched("this"):
            act()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        np.seterr(**before)


def test_watching_leaves_random_states_as_they_were() -> None:
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    with watched("nothing"):
        torch.Generator().manual_seed(1)
    assert torch.equal(torch_before, torch.get_rng_state())
    assert (numpy_before == np.random.get_state()[1]).all()


def test_entry_whose_import_changes_the_process_is_told(tmp_path, monkeypatch) -> None:
    (tmp_path / "rude_plugin.py").write_text(
        "import torch\ntorch.manual_seed(7)\nfrom wellposed.regularizer import Zero as Rude\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with torch.random.fork_rng(devices=[]):
        cases = cases_of_entry(Entry("rude", "regularizers", "rude_plugin:Rude", "rude", "1"))
    loads = next(case for case in cases if case.check == "loads")
    with pytest.raises(AssertionError, match="torch's global random state"):
        loads()


# Iterations of a regularizer of their own -----------------------------------------------------------


class Picky(Iteration):
    """Accepts one regularizer alone, and says on which problem it is to be checked."""

    source = "a test double"
    linear_only = False

    @classmethod
    def example_problem(cls, batch: int = 3) -> Problem:
        return Problem(
            PeriodicBlur((1, 6, 6)).double(), torch.ones(batch, 1, 6, 6).double(), QuadraticFidelity(), Own()
        )

    def check(self, problem: Problem) -> None:
        if not isinstance(problem.regularizer, Own):
            raise CompositionError("Picky needs Own")

    def init(self, problem: Problem, x: Tensor | None = None) -> PickyState:
        return PickyState(problem.zeros() if x is None else x)

    def step(self, problem: Problem, state: PickyState) -> PickyState:
        return PickyState(state.x - 0.5 * problem.data_gradient(state.x))


@dataclass(frozen=True)
class PickyState(State):
    x: Tensor


class Own(Zero):
    """The regularizer of `Picky`."""


def test_an_iteration_is_checked_on_its_own_problem() -> None:
    outcomes = {result.check: result for result in check_component("iterations", Picky)}
    assert outcomes["treats-samples-independently"].outcome == "passed"
    assert outcomes["keeps-precision"].outcome == "passed"
    assert outcomes["converges-to-closed-form"].outcome == "skipped"
    assert not [r for r in outcomes.values() if not r.ok and r.check in ("state-is-batched", "step-is-pure")]


# Age ------------------------------------------------------------------------------------------------


class WrongOften(QuadraticRegularizer):
    """A quadratic that misses a value it states; `factor` is its weight."""

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[[[3.0]]]],), [0.45], {"factor": 0.2}),)


def _known_values_case(requires: tuple[str, ...], distribution: str) -> Case:
    entry = ClassEntry("often", "regularizers", "x:WrongOften", distribution, "1", requires, cls=WrongOften)
    return next(c for c in cases_of_entry(entry) if c.check == "known-values-hold")


@pytest.mark.parametrize(
    ("requires", "distribution", "outcome"),
    [
        (("wellposed-core>=0.1,<0.3",), "third", "warned"),
        (("torch", "Wellposed_Core ~=0.1.3"), "third", "warned"),
        (("wellposed-core>=0.2,<0.3",), "third", "failed"),
        (("wellposed-core",), "third", "warned"),
        (("torch",), "third", "failed"),
        (("wellposed-core>=0.1,<0.3",), "wellposed-classical", "failed"),
    ],
)
def test_new_check_warns_what_was_released_before_it(
    requires: tuple[str, ...], distribution: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib_metadata.version", lambda name: "0.2.5")
    case = _known_values_case(requires, distribution)
    assert _result(case).outcome == outcome
    if outcome == "warned":
        with pytest.warns(NewCheckWarning, match=r"it fails from 0\.3 on"):
            case()
    else:
        with pytest.raises(AssertionError, match="known"):
            case()


def test_new_check_fails_from_the_next_minor_release_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib_metadata.version", lambda name: "0.3.0")
    assert _known_values_case(("wellposed-core>=0.1,<0.9",), "third").lenient is None


def test_known_value_that_is_right_passes() -> None:
    class Right(WrongOften):
        """States the right one; `factor` is its weight."""

        @classmethod
        def known_values(cls) -> tuple[KnownValue, ...]:
            return (KnownValue(([[[[3.0]]]],), [0.9], {"factor": 0.2}),)

    results = {r.check: r.outcome for r in check_component("regularizers", Right)}
    assert results["known-values-hold"] == "passed"
