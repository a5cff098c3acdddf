"""Which checks a component has."""

from __future__ import annotations

import importlib

from ..registry import registry
from .promise import Check

#: Modules whose `CHECKS` a kind has beside those of `documentation`, `building` and `known_values`.
_MODULES: dict[str, tuple[str, ...]] = {
    "operators": ("operators", "linear_operators", "linear_solves", "structures", "nonlinear_operators"),
    "patterns": ("patterns",),
    "noise": ("noise", "likelihoods"),
    "fidelities": ("fidelities", "fidelity_accuracy"),
    "regularizers": ("regularizers", "regularizer_accuracy", "proximal_maps", "proximal_errors", "convexity"),
    "iterations": ("iterations", "convergence", "closed_forms", "certificates"),
    "accelerations": ("accelerations",),
    "gradients": ("gradients", "derivatives"),
    "stopping": ("stopping",),
    "networks": ("networks",),
    "solvers": ("solvers",),
    "trainers": ("trainers",),
    "datasets": ("datasets",),
    "metrics": ("metrics",),
}


def checks_for(kind: str, cls: type) -> list[Check]:
    """The checks that a class of `kind` has to pass."""
    kind = registry().check_kind(kind)
    names = ("documentation", "building", "known_values", *_MODULES[kind])
    modules = [importlib.import_module(f".{name}", __package__) for name in names]
    return [check for module in modules for check in module.CHECKS if check.applies(cls)]
