"""Mutants of data fidelities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .changes import (
    after,
    around,
    attributes,
    batch_centred,
    detached,
    double,
    every,
    plus,
    real_part,
    remembering,
    replaced,
    saturated,
    through_half,
    times,
    with_global_noise,
    writing_into,
)
from .mutant import mutants


def _far(self: Any, original: Any, v: Tensor, y: Tensor, step: Any) -> Tensor:
    """Wrong for large predictions alone."""
    w = original(v, y, step)
    return torch.where(v.abs() > 100, 1.01 * w, w)


def _step_bounded(self: Any, original: Any, v: Tensor, y: Tensor, step: Any) -> Tensor:
    return original(v, y, torch.as_tensor(step, dtype=torch.float64).clamp(max=100.0))


def _first_step(self: Any, original: Any, v: Tensor, y: Tensor, step: Any) -> Tensor:
    return original(v, y, step[:1] if isinstance(step, Tensor) else step)


def _finite(value: Tensor | None) -> Tensor | None:
    return None if value is None else torch.where(torch.isfinite(value), value, 0.0)


MUTANTS = mutants(
    "fidelities",
    ("l2", "value × 2", after("forward", times(2.0)), "gradient-agrees-with-central-differences"),
    ("l2", "gradient × 1.001", after("gradient", times(1.001)), "gradient-agrees-with-central-differences"),
    ("l1", "gradient × 1.0001", after("gradient", times(1.0001)), "gradient-agrees-with-central-differences"),
    (
        "kullback-leibler",
        "gradient × (1 + 1e-5)",
        after("gradient", times(1 + 1e-5)),
        "gradient-agrees-with-central-differences",
    ),
    (
        "poisson-transmission",
        "gradient of the prediction for the measurement's",
        after("gradient", times(-1.0)),
        "gradient-agrees-with-central-differences gradient-is-right",
    ),
    (
        "weighted-transmission",
        "gradient bounded by 1e4",
        after("gradient", saturated(1e4)),
        "gradient-agrees-with-central-differences",
    ),
    ("l2", "gradient of complex data real", after("gradient", real_part), "complex-data-work-or-are-refused"),
    ("l2", "prox of complex data real", after("prox", real_part), "prox-solves-its-equation"),
    ("l1", "prox of complex data real", after("prox", real_part), "prox-solves-its-equation"),
    ("l2", "value less a constant", after("forward", plus(-1.0)), "value-is-nonnegative conjugate-knows-its-domain"),
    ("l2", "value and a constant", after("forward", plus(1.0)), "conjugate-satisfies-fenchel known-values-hold"),
    (
        "kullback-leibler",
        "value and a constant",
        after("forward", plus(0.01)),
        "conjugate-satisfies-fenchel known-values-hold",
    ),
    (
        "l2",
        "prox with half the step",
        around("prox", lambda s, o, v, y, t: o(v, y, 0.5 * t)),
        "prox-solves-its-equation",
    ),
    ("kullback-leibler", "prox × 1.0001", after("prox", times(1.0001)), "prox-solves-its-equation"),
    ("l1", "prox wrong for |v| > 100", around("prox", _far), "prox-solves-its-equation"),
    (
        "poisson-transmission",
        "prox wrong for steps above 100",
        around("prox", _step_bounded),
        "prox-solves-its-equation",
    ),
    (
        "l2",
        "prox with the first step for all",
        around("prox", _first_step),
        "prox-solves-its-equation proxes-satisfy-moreau",
    ),
    (
        "weighted-transmission",
        "prox of the conjugate × 1.01",
        after("prox_conjugate", times(1.01)),
        "proxes-satisfy-moreau prox-solves-its-equation",
    ),
    (
        "l1",
        "prox of the conjugate without projection",
        replaced(prox_conjugate=lambda self, v, y, step: v - y),
        "proxes-satisfy-moreau",
    ),
    ("l2", "conjugate × 2", after("conjugate", times(2.0)), "conjugate-satisfies-fenchel"),
    ("l1", "conjugate finite everywhere", after("conjugate", _finite), "conjugate-knows-its-domain"),
    ("kullback-leibler", "conjugate finite everywhere", after("conjugate", _finite), "conjugate-knows-its-domain"),
    ("poisson-transmission", "conjugate and 1", after("conjugate", plus(1.0)), "conjugate-satisfies-fenchel"),
    ("l2", "smoothness × 0.9", after("smoothness", times(0.9)), "constants-hold-by-the-hessian claimed-constants-hold"),
    (
        "weighted-transmission",
        "smoothness the mean weight",
        replaced(smoothness=lambda self, y: self.weights(y).flatten(1).mean(1)),
        "constants-hold-by-the-hessian claimed-constants-hold",
    ),
    (
        "weighted-transmission",
        "strong convexity the mean weight",
        replaced(strong_convexity=lambda self, y: self.weights(y).flatten(1).mean(1)),
        "constants-hold-by-the-hessian claimed-constants-hold",
    ),
    (
        "kullback-leibler",
        "smoothness with b for b²",
        replaced(smoothness=lambda self, y: self.gain * (y / self.background(y)).flatten(1).amax(1) / 4),
        "constants-hold-by-the-hessian claimed-constants-hold",
        {"example": 1},
    ),
    (
        "kullback-leibler",
        "smooth everywhere",
        attributes(smooth_everywhere=True),
        "constants-hold-by-the-hessian",
        {"example": 1},
    ),
    ("poisson-transmission", "smooth everywhere", attributes(smooth_everywhere=True), "constants-hold-by-the-hessian"),
    (
        "poisson-transmission",
        "convex with background",
        attributes(convex=True),
        "constants-hold-by-the-hessian",
        {"example": 1},
    ),
    (
        "l1",
        "strongly convex",
        replaced(strong_convexity=lambda self, y: 0.1),
        "constants-hold-by-the-hessian claimed-constants-hold",
    ),
    ("l1", "smooth", replaced(smoothness=lambda self, y: 1.0), "constants-hold-by-the-hessian claimed-constants-hold"),
    (
        "kullback-leibler",
        "accepts negative counts",
        replaced(check=lambda self, y: None),
        "accepted-measurements-have-values complex-data-work-or-are-refused",
    ),
    ("l2", "take doubles the weight", replaced(take=lambda self, index: type(self)(2.0)), "selects-samples"),
    ("l2", "mean over the batch", after("gradient", batch_centred), "is-pure-and-samplewise"),
    (
        "l1",
        "value of the batch",
        after("forward", lambda value: value.sum().expand_as(value)),
        "is-pure-and-samplewise",
    ),
    ("kullback-leibler", "prox mixes the batch", after("prox", batch_centred), "is-pure-and-samplewise"),
    ("l2", "second call differs", remembering("gradient", lambda g, n: g * (1 + 1e-7 * n)), "is-pure-and-samplewise"),
    ("l1", "noise of the global generator", after("prox", with_global_noise), "is-pure-and-samplewise"),
    ("l2", "writes into the prediction", writing_into("prox"), "leaves-inputs-unchanged"),
    ("kullback-leibler", "writes into the measurement", writing_into("gradient", 1), "leaves-inputs-unchanged"),
    ("l2", "float64 always", after("gradient", double), "keeps-precision"),
    ("l1", "half precision in float32", after("prox", through_half), "keeps-precision"),
    ("l2", "value one number for the batch", after("forward", lambda value: value.sum()), "value-is-nonnegative"),
    ("l2", "value without derivative", after("forward", detached), "maps-carry-their-derivatives"),
    (
        "QuadraticFidelity",
        "gradient × 1.01",
        after("gradient", times(1.01)),
        "gradient-agrees-with-central-differences",
    ),
    (
        "QuadraticFidelity",
        "prox of the square",
        replaced(prox=lambda self, v, y, step: (v + 2 * step * y) / (1 + 2 * step)),
        "prox-solves-its-equation",
    ),
)


def _consistently(base: type) -> type:
    """Twice the fidelity in all that it says: another weight, and another noise."""
    weighed = every(*(after(m, times(2.0)) for m in ("weights", "smoothness", "strong_convexity")))
    return weighed(base)


MUTANTS += mutants(
    "fidelities",
    ("l2", "twice in all it says", _consistently, "known-values-hold"),
    ("weighted-transmission", "twice in all it says", after("weights", times(2.0)), "known-values-hold"),
)
