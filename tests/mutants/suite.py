"""All mutants, by kind."""

from __future__ import annotations

import importlib
from itertools import chain
from pathlib import Path

from .mutant import Mutant

#: Modules that hold no mutants.
_FRAME = {"__init__", "__main__", "changes", "mutant", "suite", "test_mutants"}
_MODULES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _FRAME)

MUTANTS: tuple[Mutant, ...] = tuple(
    chain.from_iterable(importlib.import_module(f".{name}", __package__).MUTANTS for name in _MODULES)
)
