"""Run directories: what a run leaves on disk, complete or not at all."""

from __future__ import annotations

from .directory import FollowedRunDirectory, ResumableRunDirectory, RunDirectory, default_folder

__all__ = ["FollowedRunDirectory", "ResumableRunDirectory", "RunDirectory", "default_folder"]
