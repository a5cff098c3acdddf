"""Hooks: each loaded alone, undone where invalid, switched off where they fail."""

from __future__ import annotations

import logging
import threading
import types
from typing import Any

import pluggy
import pytest

from wellposed.hooks import HookManager, TrainingObserver, hookimpl, hooks, hookspecs
from wellposed.hooks import manager as hooks_module
from wellposed.hooks.training import HookObserver


def plugin(**functions: Any) -> types.ModuleType:
    module = types.ModuleType("a_plugin")
    for name, function in functions.items():
        setattr(module, name, hookimpl(function))
    return module


@pytest.fixture
def manager() -> HookManager:
    return HookManager()


def test_an_implementation_takes_the_arguments_it_needs(manager: HookManager) -> None:
    seen: list[Any] = []
    manager.register(plugin(on_train_step=lambda step: seen.append(step)), "a:b")
    manager.call("on_train_step", step=3, steps=9, metrics={})
    assert seen == [3]


def section(title: str) -> list[tuple[str, str]]:
    return [(title, "")]


def titles(manager: HookManager) -> list[str]:
    return [title for group in manager.call("report_sections", results=None) for title, _ in group]


def answering(title: str, **options: bool) -> types.ModuleType:
    """A plugin that gives one section."""
    module = types.ModuleType(title)
    module.report_sections = hookimpl(**options)(lambda: section(title))  # type: ignore[attr-defined]
    return module


def test_the_order_is_that_of_pluggy(manager: HookManager) -> None:
    options = {
        "last": {"trylast": True},
        "one": {},
        "first": {"tryfirst": True},
        "two": {},
        "early": {"tryfirst": True},
    }
    reference = pluggy.PluginManager("wellposed")
    reference.add_hookspecs(hookspecs)
    for name, marks in options.items():
        manager.register(answering(name, **marks), name)
        reference.register(answering(name, **marks), name)
    assert titles(manager) == ["early", "first", "two", "one", "last"]
    assert titles(manager) == [g[0][0] for g in reference.hook.report_sections(results=None)]


def test_none_is_left_out(manager: HookManager) -> None:
    manager.register(plugin(report_sections=lambda: None), "none")
    manager.register(answering("one"), "one")
    assert manager.call("report_sections", results=None) == [section("one")]


def wrapping(function: Any, **options: bool) -> types.ModuleType:
    module = types.ModuleType("wrapper")
    module.report_sections = hookimpl(**options)(function)  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("kind", ["wrapper", "hookwrapper"])
def test_wrappers_see_and_change_the_results(manager: HookManager, kind: str) -> None:
    def new() -> Any:
        inner = yield
        return [*inner, section("added")]

    def old() -> Any:
        outcome = yield
        outcome.force_result([*outcome.get_result(), section("added")])

    manager.register(wrapping(new if kind == "wrapper" else old, **{kind: True}), "outer")
    manager.register(answering("late", trylast=True), "late")
    manager.register(answering("early", tryfirst=True), "early")
    assert titles(manager) == ["early", "late", "added"]
    assert manager.failures == []


def test_methods_other_names_and_arguments_are_passed_on(manager: HookManager) -> None:
    seen: list[Any] = []

    class Plugin:
        @hookimpl(specname="on_epoch")
        def told(self, metrics: Any, epoch: int) -> None:
            seen.append((epoch, metrics))

    manager.register(Plugin(), "object")
    manager.call("on_epoch", epoch=2, metrics={"loss": 1.0})
    assert seen == [(2, {"loss": 1.0})]
    assert manager.implemented_by("object") == ["on_epoch"]


def test_modules_without_hooks_stand_beside_each_other(manager: HookManager) -> None:
    manager.register(types.ModuleType("one"), "one")
    manager.register(types.ModuleType("two"), "two")
    assert manager.names() == ["one", "two"]


def test_a_wrapper_that_is_no_generator_is_refused(manager: HookManager) -> None:
    with pytest.raises(TypeError, match="does not yield"):
        manager.register(wrapping(lambda: None, wrapper=True), "outer")
    assert manager.names() == []


@pytest.mark.parametrize("kind", ["wrapper", "hookwrapper"])
@pytest.mark.parametrize("place", ["before", "after", "twice", "never", "wrong", "nothing"])
def test_a_wrapper_that_fails_leaves_what_it_wrapped(manager: HookManager, kind: str, place: str) -> None:
    def wrap() -> Any:
        if place == "before":
            raise RuntimeError("deliberate")
        if place == "never":
            return None
        outcome = yield
        if place == "after":
            raise RuntimeError("deliberate")
        if place == "twice":
            yield
        if place == "wrong" and kind == "hookwrapper":
            outcome.force_result([5])
        return [5] if place == "wrong" else None

    manager.register(wrapping(wrap, **{kind: True}), "outer")
    manager.register(answering("inner"), "inner")
    assert titles(manager) == ["inner"]
    assert [f.plugin for f in manager.failures] == ([] if place == "nothing" else ["outer"])
    assert titles(manager) == ["inner"]
    assert len(manager.failures) == (place != "nothing")


@pytest.mark.parametrize(
    "value",
    [5, "ab", [5], [("title",)], [("title", 5)], [("a", "b", "c")], {"title": "text"}, [("title", "\ud800")], object()],
)
def test_a_result_of_the_wrong_type_is_left_out_and_its_plugin_named(
    manager: HookManager, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    manager.register(answering("good"), "good:hooks")
    manager.register(plugin(report_sections=lambda: value), "bad:hooks")
    with caplog.at_level(logging.WARNING):
        assert titles(manager) == ["good"]
    assert "bad:hooks are switched off: report_sections: it returned" in caplog.text
    assert "a list of (title, HTML), both strings, is expected" in caplog.text


def test_a_report_that_hangs_or_leaves_is_given_up(manager: HookManager, monkeypatch: Any) -> None:
    monkeypatch.setitem(hookspecs.PATIENCE, "report_sections", 0.2)
    manager.register(answering("good"), "good")
    manager.register(plugin(report_sections=lambda: threading.Event().wait(30)), "hanging")

    def leave() -> None:
        raise SystemExit(3)

    manager.register(plugin(report_sections=leave), "leaving")
    assert titles(manager) == ["good"]
    assert {failure.plugin for failure in manager.failures} == {"hanging", "leaving"}
    assert any("no result after 0.2 s" in failure.reason for failure in manager.failures)


def test_a_hook_that_does_not_exist_is_refused_and_undone(manager: HookManager) -> None:
    with pytest.raises(Exception, match="unknown hook"):
        manager.register(plugin(on_iteratoin=lambda: None, on_epoch=lambda: None), "typo")
    assert manager.names() == []
    assert not manager.implements("on_epoch")
    manager.register(plugin(on_epoch=lambda: None), "right")
    assert manager.implements("on_epoch")


def test_an_unknown_argument_is_refused_and_undone(manager: HookManager) -> None:
    with pytest.raises(Exception, match="Argument"):
        manager.register(plugin(on_checkpoint=lambda path: None, on_epoch=lambda epohc: None), "typo")
    assert manager.names() == []
    assert not manager.implements("on_checkpoint")


def test_a_healthy_plugin_survives_a_second_one_of_its_name(manager: HookManager) -> None:
    manager.register(plugin(on_epoch=lambda: None), "same")
    with pytest.raises(ValueError, match="already registered"):
        manager.register(plugin(on_epoch=lambda: None), "same")
    assert manager.names() == ["same"]


def test_one_that_raises_is_said_and_switched_off(manager: HookManager, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def fail() -> None:
        seen.append("bad")
        raise RuntimeError("deliberate")

    manager.register(plugin(on_epoch=fail), "bad:hooks")
    manager.register(plugin(on_epoch=lambda: seen.append("good")), "good:hooks")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            manager.call("on_epoch", epoch=1, metrics={})
    assert seen.count("good") == 3
    assert seen.count("bad") == 1
    assert caplog.text.count("bad:hooks are switched off: on_epoch raised RuntimeError: deliberate") == 1
    assert [failure.plugin for failure in manager.failures] == ["bad:hooks"]


def test_installed_hooks_are_loaded_each_alone(bare: Any) -> None:
    point = {"wellposed.hooks": {"main": "hooks_good"}}
    good = "from wellposed.hooks import hookimpl\n@hookimpl\ndef on_epoch(): pass\n"
    bare.install("wellposed-good", point, {"hooks_good": good})
    bare.install(
        "wellposed-broken", {"wellposed.hooks": {"main": "hooks_broken"}}, {"hooks_broken": "import nowhere\n"}
    )
    bare.install(
        "wellposed-leaving", {"wellposed.hooks": {"main": "hooks_exit"}}, {"hooks_exit": "raise SystemExit(3)\n"}
    )
    bare.install(
        "wellposed-new",
        {"wellposed.hooks": {"main": "hooks_new"}},
        {"hooks_new": "raise AssertionError('imported')\n"},
        requires="wellposed-core>=99",
    )
    manager = hooks()
    assert "wellposed-good:main" in manager.names()
    reasons = {failure.plugin: failure.reason for failure in manager.failures}
    assert set(reasons) == {"wellposed-broken:main", "wellposed-leaving:main", "wellposed-new:main"}
    assert "No module named 'nowhere'" in reasons["wellposed-broken:main"]
    assert "needs wellposed-core>=99" in reasons["wellposed-new:main"]


def test_training_observers_hand_on_to_the_hooks(manager: HookManager, tmp_path: Any) -> None:
    seen: list[Any] = []
    manager.register(
        plugin(
            on_train_step=lambda step, metrics: seen.append((step, metrics)),
            on_epoch=lambda epoch: seen.append(epoch),
            on_checkpoint=lambda path: seen.append(path),
        ),
        "a:b",
    )
    observer = HookObserver(manager)
    assert isinstance(observer, TrainingObserver)
    observer.step(1, 10, {"loss": 2.0})
    observer.epoch(1, {})
    observer.checkpoint(tmp_path, 1)
    assert seen == [(1, {"loss": 2.0}), 1, tmp_path]


def test_a_module_of_hooks_that_loops_is_done_without(
    bare: Any, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hooks_module, "PATIENCE", 0.3)
    point = {"wellposed.hooks": {"main": "hooks_looping"}}
    bare.install("wellposed-looping", point, {"hooks_looping": "import time\nwhile True: time.sleep(0.05)\n"})
    with caplog.at_level(logging.WARNING):
        manager = hooks()
    assert "wellposed-looping:main" not in manager.names()
    assert "the hooks of wellposed-looping:main are left out: its module is not imported after 0.3 s" in caplog.text
