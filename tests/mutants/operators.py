"""Mutants of operators."""

from __future__ import annotations

from .changes import after, times
from .mutant import mutants

MUTANTS = mutants(
    "operators",
    ("parallel-beam", "adjoint × 1.01", after("_adjoint", times(1.01)), "adjoint-is-exact"),
)
