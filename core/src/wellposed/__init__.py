"""wellposed: learned inverse problems in imaging, composed from operators, regularizers and iterations.

Every name below is imported at first use, so that `import wellposed` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_WHERE = {
    "acceleration": ("Acceleration", "NoAcceleration"),
    "algebra": ("stack",),
    "dataset": ("Dataset", "Sample", "Simulated"),
    "driver": ("solve",),
    "errors": ("CompositionError", "InputError", "ShapeError", "WellposedError"),
    "fidelity": ("Fidelity",),
    "gradient": ("Gradient", "NoGradient", "Unrolled"),
    "iteration": ("Iteration",),
    "metric": ("Metric",),
    "network": ("Network",),
    "noise": ("NoNoise", "Noise"),
    "operator": ("LinearOperator", "Operator"),
    "pattern": ("Pattern",),
    "problem": ("Problem",),
    "registry": ("component",),
    "regularizer": ("Regularizer",),
    "solution": ("Solution", "Verdict"),
    "solver": ("Iterative", "Solver"),
    "space": ("Space",),
    "state": ("State", "bookkeeping"),
    "stopping": (
        "CertifiedAccuracy",
        "Discrepancy",
        "DualityGap",
        "FixedPointResidual",
        "RelativeChange",
        "Rule",
        "Stop",
    ),
    "trainer": ("Trainer",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'wellposed' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from .acceleration import Acceleration as Acceleration
    from .acceleration import NoAcceleration as NoAcceleration
    from .algebra import stack as stack
    from .dataset import Dataset as Dataset
    from .dataset import Sample as Sample
    from .dataset import Simulated as Simulated
    from .driver import solve as solve
    from .errors import CompositionError as CompositionError
    from .errors import InputError as InputError
    from .errors import ShapeError as ShapeError
    from .errors import WellposedError as WellposedError
    from .fidelity import Fidelity as Fidelity
    from .gradient import Gradient as Gradient
    from .gradient import NoGradient as NoGradient
    from .gradient import Unrolled as Unrolled
    from .iteration import Iteration as Iteration
    from .metric import Metric as Metric
    from .network import Network as Network
    from .noise import Noise as Noise
    from .noise import NoNoise as NoNoise
    from .operator import LinearOperator as LinearOperator
    from .operator import Operator as Operator
    from .pattern import Pattern as Pattern
    from .problem import Problem as Problem
    from .registry import component as component
    from .regularizer import Regularizer as Regularizer
    from .solution import Solution as Solution
    from .solution import Verdict as Verdict
    from .solver import Iterative as Iterative
    from .solver import Solver as Solver
    from .space import Space as Space
    from .state import State as State
    from .state import bookkeeping as bookkeeping
    from .stopping import CertifiedAccuracy as CertifiedAccuracy
    from .stopping import Discrepancy as Discrepancy
    from .stopping import DualityGap as DualityGap
    from .stopping import FixedPointResidual as FixedPointResidual
    from .stopping import RelativeChange as RelativeChange
    from .stopping import Rule as Rule
    from .stopping import Stop as Stop
    from .trainer import Trainer as Trainer
