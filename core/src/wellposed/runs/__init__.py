"""Run directories: what a run leaves on disk, complete or not at all."""

from __future__ import annotations

from .directory import ResumableRunDirectory, RunDirectory, default_folder

__all__ = ["ResumableRunDirectory", "RunDirectory", "default_folder"]
