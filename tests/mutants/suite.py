"""All mutants, by kind."""

from __future__ import annotations

from . import operators
from .mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (*operators.MUTANTS,)
