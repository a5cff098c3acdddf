"""What a result depends on besides its recipe: versions, machine, device, threads. No secrets."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import importlib_metadata

from .. import __version__
from ..registry import read_installed


def environment(seed: int | None = None, device: str = "cpu") -> dict[str, Any]:
    """Versions of Python, torch, the core and every plugin; platform, device, threads, seed, git commit.

    Environment variables, user and host names are left out on purpose.
    """
    import torch

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "device": device_name(device),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "seed": seed,
        "git": git_commit(Path.cwd()),
    }


def packages() -> dict[str, str]:
    """Versions of torch, numpy, the core and every distribution that registers something."""
    found = {"wellposed-core": __version__, **{p.distribution: p.version for p in read_installed().points}}
    for name in ("torch", "numpy"):
        try:
            found[name] = importlib_metadata.version(name)
        except importlib_metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def device_name(device: str) -> str:
    """The device with its model: `cuda:0 (NVIDIA H100)`, `cpu (x86_64, 2 cores)`."""
    import torch

    if torch.device(device).type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()}, {os.cpu_count()} cores)"


def git_commit(folder: Path) -> str | None:
    """The commit checked out around `folder`, with `+changes` where files differ from it."""
    if shutil.which("git") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
