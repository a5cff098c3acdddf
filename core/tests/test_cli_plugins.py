"""Broken, clashing and too new plugins: named, and everything else goes on."""

from __future__ import annotations

import os
import time
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


def test_doctor_waits_once_for_a_package_that_hangs_and_for_nothing_that_it_started(toy: Any) -> None:
    """The process that the plugin starts holds the pipe on which the answers come, and would hold it for a minute."""
    source = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], stdout=3, close_fds=False)\n"
        "while True: time.sleep(0.1)\n"
    )
    toy.install("zoo-slow", {"wellposed.hooks": {"h": "zoo_slow", "i": "zoo_slow"}}, {"zoo_slow": source})
    place = {"sort": "hooks", "distribution": "zoo-slow", "version": "1.0", "package": "zoo_slow"}
    started = time.monotonic()
    first, second = probe([{**place, "name": f"zoo-slow:{name}"} for name in "hi"], patience=3.0)
    assert first["error"] == "it took longer than 3 s to import"
    assert second["error"] == "zoo-slow: its package zoo_slow hangs, the rest is not tried"
    assert time.monotonic() - started < 40


def test_doctor_tells_what_is_lacking_from_what_is_well(toy: Any, monkeypatch: Any) -> None:
    lacking = "\n    @classmethod\n    def lacking(cls):\n        return 'run: pip install zoo[extra]'\n"
    toy.install("zoo-extra", {"wellposed.operators": {"picky": "zoo_extra:Thing"}}, {"zoo_extra": OPERATOR + lacking})
    leave_out_the_others(monkeypatch)
    done = toy("doctor", "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    told = {d["distribution"]: d for d in done.json["distributions"]}
    assert told["zoo-extra"]["problems"] == []
    assert told["zoo-extra"]["working"] == 0
    sentence = "picky@zoo-extra of zoo-extra lacks an optional package: run: pip install zoo[extra]"
    assert told["zoo-extra"]["lacking"] == [sentence]
    text = toy("doctor")
    assert text.code == 1
    assert "All is well" not in text.output
    assert sentence in text.output


def test_doctor_names_broken_recipes_weights_and_groups(toy: Any, monkeypatch: Any) -> None:
    toy.install("zoo-recipes", {"wellposed.recipes": {"gone": "zoo_gone:recipes", "bare": "wellposed_toy:nothing"}})
    toy.install("zoo-weights", {"wellposed.weights": {"gone": "zoo_gone:a.safetensors"}})
    toy.install("zoo-typo", {"wellposed.operator": {"thing": "zoo_typo:Thing"}})
    leave_out_the_others(monkeypatch)
    done = toy("doctor", "--json")
    assert done.code == 1
    told = {d["distribution"]: d["problems"] for d in done.json["distributions"]}
    assert "recipes zoo-recipes:gone: no module named zoo_gone" in told["zoo-recipes"]
    assert "recipes zoo-recipes:bare: wellposed_toy has no folder 'nothing'" in told["zoo-recipes"]
    assert told["zoo-weights"] == ["weights zoo-weights:gone: no module named zoo_gone"]
    typo = "thing is registered in wellposed.operator, which is no group; did you mean wellposed.operators?"
    assert told["zoo-typo"] == [f"zoo-typo: {typo}"]


def damage(folder: Path, how: str) -> None:
    points = folder / "entry_points.txt"
    if how == "no metadata":
        (folder / "METADATA").unlink()
    elif how == "empty metadata":
        (folder / "METADATA").write_text("")
    elif how == "no text":
        points.write_bytes(points.read_bytes() + b"\xff\xfe\x00")
    elif how == "no lines":
        points.write_text(points.read_text() + "\nan entry point without a value\n")
    else:
        points.unlink()
        points.mkdir()


@pytest.mark.parametrize("how", ["no metadata", "empty metadata", "no text", "no lines", "unreadable"])
def test_broken_metadata_are_named_and_stop_nobody(toy: Any, monkeypatch: Any, how: str) -> None:
    for name in ("TORCH_DEVICE_BACKEND_AUTOLOAD", "PYDANTIC_DISABLE_PLUGINS"):  # set for a test, so undone after it
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    toy.install("zoo-half", {"wellposed.operators": {"half": "zoo_half:Thing"}}, {"zoo_half": OPERATOR})
    damage(toy.site / "zoo_half-1.0.dist-info", how)
    leave_out_the_others(monkeypatch)
    listed = toy("list", "operators", "--json")
    assert listed.code == 0
    assert [entry["name"] for entry in listed.json] == ["toy-blur", "toy-transform"]
    assert "zoo_half-1.0.dist-info is broken: " in listed.errors
    done = toy.apart("run", "toy/squares", "--out", "out")  # torch and pydantic read all entry points at import
    assert done.code == 0, done.errors
    missing = toy("run", "toy/squares", "operator=half", "--out", "missing")
    assert missing.code == 2
    assert "zoo_half-1.0.dist-info is broken: " in missing.errors
    assert "pip install --force-reinstall zoo-half" in missing.errors
    monkeypatch.setenv("WELLPOSED_DISABLE", "zoo_half," + os.environ["WELLPOSED_DISABLE"])
    registry.cache_clear()
    concerns_others = how in ("no text", "no lines")  # Python's own reader of entry points fails on it
    assert ("zoo_half" in toy("list").errors) == concerns_others


@pytest.mark.parametrize("how", ["no metadata", "no text"])
def test_doctor_names_broken_metadata_by_their_folder(toy: Any, monkeypatch: Any, how: str) -> None:
    for name in ("TORCH_DEVICE_BACKEND_AUTOLOAD", "PYDANTIC_DISABLE_PLUGINS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    toy.install("zoo-half", {"wellposed.operators": {"half": "zoo_half:Thing"}})
    damage(toy.site / "zoo_half-1.0.dist-info", how)
    leave_out_the_others(monkeypatch)
    done = toy("doctor", "--json")
    assert done.code == 1
    assert done.json["torch"]["error"] is None
    assert [d["problems"] for d in done.json["distributions"]] == [[]] * len(done.json["distributions"])
    assert len(done.json["broken"]) == 1
    assert str(toy.site / "zoo_half-1.0.dist-info") in done.json["broken"][0]
    assert "zoo_half-1.0.dist-info is broken" in toy("doctor").output


def test_a_hook_that_returns_the_wrong_type_loses_no_run(toy: Any, caplog: Any) -> None:
    source = "from wellposed.hooks import hookimpl\n@hookimpl\ndef report_sections(results): return 5\n"
    toy.install("zoo-five", {"wellposed.hooks": {"h": "zoo_five"}}, {"zoo_five": source})
    done = toy("run", "toy/squares", "--out", "out")
    assert done.code == 0, done.errors
    assert Path("out/results.json").is_file()
    assert "the hooks of zoo-five:h are switched off: report_sections: it returned 5" in caplog.text


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
