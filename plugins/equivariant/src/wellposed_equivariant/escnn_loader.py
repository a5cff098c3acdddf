"""The one place that imports escnn, so that it works where two of the packages that it lists cannot be built."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wellposed.errors import InputError

VERSION = "1.0.11"
_INSTALL = f"pip install --no-deps escnn=={VERSION} && pip install joblib scipy"
_WIGNER = "lie_learn.representations.SO3.wigner_d"


@dataclass(frozen=True)
class Escnn:
    """The modules of escnn that are used here."""

    gspaces: Any
    nn: Any


@lru_cache(maxsize=1)
def load_escnn() -> Escnn:
    """Import escnn without the packages that it needs for rotations of space alone.

    `lie_learn` gets a stand-in if it cannot be imported, `py3nj` may be absent without a warning, and the disk
    cache lies in the user's cache folder, not beside the package, which may be read-only.

    Raises `InputError` with the command that installs escnn where that, or joblib or scipy, is missing or broken.
    """
    try:
        with _without_lie_learn(), _cache_elsewhere(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*py3nj.*", category=UserWarning)
            return Escnn(importlib.import_module("escnn.gspaces"), importlib.import_module("escnn.nn"))
    except Exception as error:  # built for another numpy or torch it raises exceptions of any class
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"escnn cannot be imported ({reason}); install it with '{_INSTALL}', or take cyclic-proximal-network, "
            f"which has the same weights and needs torch alone"
        ) from error


def why_not_escnn() -> str | None:
    """Why escnn cannot be used, with the command that installs it; `None` where it was imported."""
    try:
        load_escnn()
    except InputError as error:
        return str(error)
    return None


@contextlib.contextmanager
def _without_lie_learn() -> Iterator[None]:
    """Stand-ins for `lie_learn` while escnn is imported, if the real one is missing or broken."""
    try:
        importlib.import_module(_WIGNER)
    except Exception:  # compiled for another numpy it raises exceptions of any class
        for name in [name for name in sys.modules if name.partition(".")[0] == "lie_learn"]:
            del sys.modules[name]
    else:
        yield
        return
    names = _stand_ins()
    try:
        yield
    finally:
        for name in names:  # escnn holds the function that it took; others shall not find an empty package
            del sys.modules[name]


def _stand_ins() -> list[str]:
    """Put empty modules in the place of `lie_learn`'s; returns their names."""

    def wigner_D_matrix(*arguments: object, **options: object) -> None:
        raise ImportError("rotations of space need lie_learn, which is not installed; rotations of the plane do not")

    parts = _WIGNER.split(".")
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        sys.modules[name] = module
    sys.modules[_WIGNER].wigner_D_matrix = wigner_D_matrix  # type: ignore[attr-defined]
    return names


@contextlib.contextmanager
def _cache_elsewhere() -> Iterator[None]:
    """Let `joblib.Memory` write below the user's cache folder while escnn is imported."""
    joblib: Any = importlib.import_module("joblib")
    original = joblib.Memory

    def memory(location: object = None, *arguments: Any, **options: Any) -> Any:
        return original(str(_cache_folder()), *arguments, **options)

    joblib.Memory = memory
    try:
        yield
    finally:
        joblib.Memory = original


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wellposed" / f"escnn-{VERSION}"
