"""Broken, clashing and too new plugins: named, and everything else goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wellposed.cli.probe import probe
from wellposed.registry import registry

OPERATOR = """
from wellposed import LinearOperator, Space


class Thing(LinearOperator):
    '''Twice the image: y = 2 x.'''

    source = "a test"

    def __init__(self) -> None:
        super().__init__(Space((1, 24, 24)), Space((1, 24, 24)))

    def _forward(self, x):
        return 2 * x

    def _adjoint(self, y):
        return 2 * y
"""


@pytest.fixture
def zoo(toy: Any) -> Any:
    """The toy plugin among a broken, two clashing, and a too new one."""

    def point(name: str, module: str) -> dict[str, dict[str, str]]:
        return {"wellposed.operators": {name: f"{module}:Thing"}}

    toy.install(
        "zoo-broken", point("broken", "zoo_broken"), {"zoo_broken": "import no_such_library\n\nclass Thing: pass\n"}
    )
    toy.install("zoo-missing", point("missing", "zoo_missing"))
    toy.install("zoo-one", point("shared", "zoo_one"), {"zoo_one": OPERATOR})
    toy.install("zoo-two", point("shared", "zoo_two"), {"zoo_two": OPERATOR})
    new = {"zoo_new": "raise AssertionError('a plugin for another core was imported')\n"}
    toy.install("zoo-new", point("modern", "zoo_new"), new, requires="wellposed-core>=7.5", version="7.5")
    return toy


def test_list_names_what_is_wrong_and_lists_the_rest(zoo: Any) -> None:
    entries = {entry["name"]: entry for entry in zoo("list", "operators", "--json").json}
    assert {"toy-blur", "broken", "missing", "modern", "shared@zoo-one", "shared@zoo-two"} <= set(entries)
    assert entries["toy-blur"]["error"] is None
    assert entries["missing"]["error"] == "no module named zoo_missing"
    assert entries["modern"]["error"] == (
        "zoo-new 7.5 needs wellposed-core>=7.5, installed is 0.1.0; run: pip install --upgrade zoo-new wellposed-core"
    )
    done = zoo("list", "operators")
    assert done.code == 0
    assert "missing of zoo-missing 1.0: no module named zoo_missing" in done.errors


def test_loading_finds_what_metadata_does_not_tell(zoo: Any) -> None:
    entries = {entry["name"]: entry for entry in zoo("list", "operators", "--json", "--load").json}
    assert "No module named 'no_such_library'" in entries["broken"]["error"]
    assert entries["shared@zoo-one"]["error"] is None


def test_recipes_of_healthy_plugins_run(zoo: Any) -> None:
    assert zoo("run", "toy/squares", "--out", "out").code == 0
    assert zoo("run", "toy/squares", "operator=shared@zoo-two", "--out", "two").code == 0


@pytest.mark.parametrize(
    ("operator", "code", "sentence"),
    [
        ("broken", 1, "operator broken of zoo-broken 1.0 cannot be loaded from zoo_broken:Thing: ModuleNotFoundError"),
        ("modern", 1, "zoo-new 7.5 needs wellposed-core>=7.5"),
        ("shared", 2, "write shared@zoo-one or shared@zoo-two"),
    ],
)
def test_recipes_that_name_the_others_fail_with_a_sentence(zoo: Any, operator: str, code: int, sentence: str) -> None:
    done = zoo("run", "toy/squares", f"operator={operator}", "--out", "out")
    assert done.code == code
    assert sentence in done.errors
    assert done.errors.count("\n") == 1
    assert not Path("out").exists()


def leave_out_the_others(monkeypatch: Any) -> None:
    """Whatever of this repository is installed beside the core and what the tests made."""
    installed = {entry.distribution for entry in registry().entries()}
    others = {name for name in installed if name.startswith("wellposed-")} - {"wellposed-core", "wellposed-toy"}
    monkeypatch.setenv("WELLPOSED_DISABLE", ",".join(others))
    registry.cache_clear()


def test_doctor_names_all_of_them_and_nothing_else(zoo: Any, monkeypatch: Any) -> None:
    zoo.install(
        "zoo-exit", {"wellposed.operators": {"leaving": "zoo_exit:Thing"}}, {"zoo_exit": "import os\nos._exit(7)\n"}
    )
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    zoo.install("zoo-crash", {"wellposed.operators": {"crashing": "zoo_crash:Thing"}}, {"zoo_crash": crash})
    zoo.install(
        "zoo-noisy", {"wellposed.operators": {"noisy": "zoo_noisy:Thing"}}, {"zoo_noisy": "print('{}')\n" + OPERATOR}
    )
    zoo.install("zoo-hooks", {"wellposed.hooks": {"h": "zoo_hooks"}}, {"zoo_hooks": "raise ValueError('deliberate')\n"})
    leave_out_the_others(monkeypatch)
    done = zoo("doctor", "--json")
    assert done.code == 1
    told = {d["distribution"]: d["problems"] for d in done.json["distributions"]}
    assert told["wellposed-core"] == told["wellposed-toy"] == told["zoo-one"] == told["zoo-noisy"] == []
    assert "no_such_library" in told["zoo-broken"][0]
    assert "pip install --upgrade zoo-new wellposed-core" in told["zoo-new"][0]
    assert "No module named 'zoo_missing'" in told["zoo-missing"][0]
    assert "ended the process (exit code 7)" in told["zoo-exit"][0]
    assert "ended the process (SIGSEGV)" in told["zoo-crash"][0]
    assert "ValueError: deliberate" in told["zoo-hooks"][0]
    assert len(done.json["clashes"]) == 1
    assert "shared@zoo-one or shared@zoo-two" in done.json["clashes"][0]
    hook = next(h for h in done.json["hooks"] if h["plugin"] == "wellposed-toy:toy")
    assert "report_sections" in hook["hooks"]
    text = zoo("doctor")
    assert text.code == 1
    assert "problems:" in text.output
    assert "zoo-crash" in text.output


def test_doctor_is_content_with_a_healthy_house(toy: Any, monkeypatch: Any) -> None:
    leave_out_the_others(monkeypatch)
    done = toy("doctor")
    assert done.code == 0, done.output
    assert "All is well." in done.output
    assert "wellposed-toy" in done.output


def test_doctor_gives_up_on_what_hangs(toy: Any) -> None:
    toy.install("zoo-slow", {"wellposed.hooks": {"h": "zoo_slow"}}, {"zoo_slow": "import time\ntime.sleep(60)\n"})
    hook = {"sort": "hooks", "name": "zoo-slow:h", "distribution": "zoo-slow", "version": "1.0"}
    recipe = {"sort": "hooks", "name": "wellposed-toy:toy", "distribution": "wellposed-toy", "version": "1.0"}
    slow, fine = probe([hook, recipe], patience=5.0)
    assert slow["error"] == "it took longer than 5 s to import"
    assert fine["error"] is None


def test_a_disabled_distribution_is_left_out(zoo: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("WELLPOSED_DISABLE", "zoo-one, Zoo_Broken")
    names = {entry["name"] for entry in zoo.apart("list", "operators", "--json").json}
    assert "shared" in names
    assert "broken" not in names


def test_plugin_check_runs_the_conformance_kit(zoo: Any) -> None:
    document = zoo("plugin", "check", "zoo-two", "--json").json
    assert {"loads"} <= {result["check"] for result in document["results"]}
    assert zoo("plugin", "check", "zoo-broken").code == 1


def test_a_new_plugin_is_written(toy: Any) -> None:
    done = toy("plugin", "new", "my-lens", "--kind", "operator")
    assert done.code == 0, done.errors
    assert Path("my-lens/pyproject.toml").is_file()
    assert "pip install -e" in done.output
    assert toy("plugin", "new", "my-lens", "--kind", "operator").code == 2
    assert toy("plugin", "new", "my-other", "--kind", "gadget").code == 2
