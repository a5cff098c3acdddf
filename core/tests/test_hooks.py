"""Hooks: each loaded alone, undone where invalid, switched off where they fail."""

from __future__ import annotations

import logging
import types
from typing import Any

import pytest

from wellposed.hooks import HookManager, TrainingObserver, hookimpl, hooks
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


def test_results_are_gathered_without_none_in_order_of_registration(manager: HookManager) -> None:
    for name, value in (("one", [("1", "")]), ("two", None), ("three", [("3", "")])):
        manager.register(plugin(report_sections=lambda value=value: value), name)
    assert manager.call("report_sections", results=None) == [[("1", "")], [("3", "")]]


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


def test_wrappers_are_refused(manager: HookManager) -> None:
    def on_epoch() -> Any:
        yield

    wrapper = types.ModuleType("a_plugin")
    setattr(wrapper, "on_epoch", hookimpl(wrapper=True)(on_epoch))  # noqa: B010 - a module made here
    with pytest.raises(TypeError, match="wrapper"):
        manager.register(wrapper, "wrapper")
    assert manager.names() == []


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


def test_wrappers_are_refused_beside_others_of_their_hook(manager: HookManager) -> None:
    manager.register(plugin(on_epoch=lambda: None), "plain")

    def on_epoch() -> Any:
        yield

    wrapper = types.ModuleType("a_plugin")
    setattr(wrapper, "on_epoch", hookimpl(wrapper=True)(on_epoch))  # noqa: B010 - a module made here
    with pytest.raises(TypeError, match="on_epoch is a wrapper"):
        manager.register(wrapper, "wrapper")
    assert manager.names() == ["plain"]
