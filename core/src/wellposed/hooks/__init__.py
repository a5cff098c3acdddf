"""Hooks: behaviour that cuts across components, given by plugins through the group `wellposed.hooks`."""

from __future__ import annotations

from .hookspecs import hookimpl, hookspec
from .manager import HookFailure, HookManager, hooks
from .training import HookObserver, TrainingObserver

__all__ = ["HookFailure", "HookManager", "HookObserver", "TrainingObserver", "hookimpl", "hooks", "hookspec"]
