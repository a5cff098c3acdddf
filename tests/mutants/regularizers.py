"""Mutants of regularizers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .changes import (
    after,
    around,
    attributes,
    batch_centred,
    before,
    detached,
    double,
    flipped,
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


def _far(self: Any, original: Any, x: Tensor, step: Any) -> Tensor:
    """Wrong for entries above 100 alone."""
    u = original(x, step)
    return torch.where(x.abs() > 100, 1.05 * u, u)


def _first_channel(self: Any, original: Any, x: Tensor, step: Any) -> Tensor:
    """The first two channels shrunk, the others left alone."""
    return torch.cat([original(x[:, :2], step), x[:, 2:]], dim=1)


def _with_step_of_one(self: Any, original: Any, x: Tensor, step: Any) -> Tensor:
    return original(x, torch.ones_like(torch.as_tensor(step)))


def _first_step(self: Any, original: Any, x: Tensor, step: Any) -> Tensor:
    return original(x, step[:1] if isinstance(step, Tensor) and step.ndim else step)


def _scaled_terms(terms: Any) -> Any:
    return [type(t)(2.0 * t.functional, t.analysis) for t in terms]


def _norm_smaller(terms: Any) -> Any:
    for term in terms:
        if term.analysis is not None:
            original = term.analysis.norm
            object.__setattr__(term.analysis, "norm", lambda x, original=original: 0.9 * original(x))
    return terms


def _adjoint_scaled(terms: Any) -> Any:
    for term in terms:
        if term.analysis is not None:
            original = term.analysis.adjoint
            object.__setattr__(term.analysis, "adjoint", lambda p, original=original: 1.001 * original(p))
    return terms


def _solver_scaled(terms: Any) -> Any:
    for term in terms:
        if term.analysis is not None:
            original = term.analysis.solve_normal
            object.__setattr__(term.analysis, "solve_normal", lambda b, s, original=original: _times(original(b, s)))
    return terms


def _times(x: Tensor | None) -> Tensor | None:
    return None if x is None else 1.01 * x


def _finite(value: Tensor | None) -> Tensor | None:
    return None if value is None else torch.where(torch.isfinite(value), value, 0.0)


MUTANTS = mutants(
    "regularizers",
    (
        "smoothed-total-variation",
        "gradient × 1.001",
        after("grad", times(1.001)),
        "gradient-agrees-with-central-differences",
    ),
    ("huber", "gradient × (1 + 1e-5)", after("grad", times(1 + 1e-5)), "gradient-agrees-with-central-differences"),
    ("tikhonov", "gradient without the half", after("grad", times(2.0)), "gradient-agrees-with-central-differences"),
    (
        "smoothed-total-variation",
        "gradient bounded",
        after("grad", saturated(3.0)),
        "gradient-agrees-with-central-differences gradient-is-right",
    ),
    (
        "huber",
        "gradient wrong above 100",
        around("grad", lambda s, o, x: torch.where(x.abs() > 100, 1.1 * o(x), o(x))),
        "gradient-agrees-with-central-differences",
    ),
    ("generative-gaussian", "gradient × 0.99", after("grad", times(0.99)), "gradient-agrees-with-central-differences"),
    ("compose", "gradient of flipped images", before("grad", flipped), "gradient-agrees-with-central-differences"),
    ("l1", "value less the first pixel", after("forward", lambda v: v * 0.999), "prox-holds-at-every-scale"),
    ("tikhonov", "value detached", after("forward", detached), "maps-carry-their-derivatives"),
    ("huber", "gradient detached", after("grad", detached), "maps-carry-their-derivatives"),
    ("l1", "prox detached", after("prox", detached), "maps-carry-their-derivatives"),
    (
        "learned-proximal",
        "prox detached",
        after("prox", detached),
        "maps-carry-their-derivatives learned-parts-get-gradients",
    ),
    ("l1", "prox wrong for |x| > 100", around("prox", _far), "prox-holds-at-every-scale"),
    ("tikhonov", "prox wrong for |x| > 100", around("prox", _far), "prox-holds-at-every-scale"),
    ("total-variation", "prox wrong for |x| > 100", around("prox", _far), "prox-holds-at-every-scale"),
    (
        "l1",
        "hard thresholding",
        around("prox", lambda s, o, x, t: torch.where(o(x, t) != 0, x, 0.0)),
        "prox-minimises-its-objective prox-is-firmly-nonexpansive",
    ),
    (
        "huber",
        "prox with twice the step",
        around("prox", lambda s, o, x, t: o(x, 2 * t)),
        "prox-minimises-its-objective",
    ),
    ("wavelet-l1", "prox × 1.001", after("prox", times(1.001)), "prox-holds-at-every-scale"),
    ("total-variation", "prox × 1.01", after("prox", times(1.01)), "prox-minimises-its-objective"),
    (
        "total-variation",
        "prox with 0.8 of the step",
        around("prox", lambda s, o, x, t: o(x, 0.8 * t)),
        "prox-minimises-its-objective",
    ),
    (
        "total-generalized-variation",
        "prox with half the step",
        around("prox", lambda s, o, x, t: o(x, 0.5 * t)),
        "prox-minimises-its-objective",
    ),
    (
        "box",
        "prox reflects",
        around("prox", lambda s, o, x, t: 2 * o(x, t) - x),
        "prox-minimises-its-objective prox-is-firmly-nonexpansive",
    ),
    (
        "nonnegativity",
        "prox of |x|",
        replaced(prox=lambda self, x, step: x.abs()),
        "prox-minimises-its-objective prox-is-firmly-nonexpansive",
    ),
    ("l1", "prox ignores the step", around("prox", _with_step_of_one), "prox-minimises-its-objective"),
    ("tikhonov", "prox with the first step for all", around("prox", _first_step), "prox-takes-step-per-sample"),
    ("l1", "prox of two channels alone", around("prox", _first_channel), "takes-images-of-other-shapes"),
    ("total-variation", "prox of two channels alone", around("prox", _first_channel), "takes-images-of-other-shapes"),
    ("l1", "prox of complex images real", after("prox", real_part), "complex-maps-are-right"),
    (
        "huber",
        "gradient of complex images real",
        after("grad", real_part),
        "complex-maps-are-right complex-images-work-or-are-refused",
    ),
    ("tikhonov", "prox of complex images real", after("prox", real_part), "complex-maps-are-right"),
    ("tikhonov", "prox_lipschitz × 0.9", after("prox_lipschitz", times(0.9)), "prox-lipschitz-holds"),
    ("l1", "prox_lipschitz 0.99", replaced(prox_lipschitz=lambda self, step: 0.99), "prox-lipschitz-holds"),
    ("total-variation", "prox_lipschitz 0.5", replaced(prox_lipschitz=lambda self, step: 0.5), "prox-lipschitz-holds"),
    ("huber", "strongly convex", attributes(strong_convexity=0.1), "claimed-convexity-holds gradient-is-monotone"),
    (
        "tikhonov",
        "strong convexity 1.05",
        attributes(strong_convexity=1.05),
        "claimed-convexity-holds gradient-is-monotone prox-lipschitz-holds",
    ),
    (
        "smoothed-total-variation",
        "strong convexity × 2",
        around(
            "__init__",
            lambda s, o, *a, **k: [o(*a, **k), setattr(s, "strong_convexity", 2 * s.strong_convexity + 0.1)][0],
        ),
        "claimed-convexity-holds gradient-is-monotone",
    ),
    ("generative-gaussian", "convex", attributes(convex=True), "claimed-convexity-holds gradient-is-monotone"),
    ("huber", "smoothness × 0.9", after("smoothness_on", times(0.9)), "claimed-smoothness-holds"),
    ("smoothed-total-variation", "smoothness × 0.8", after("smoothness_on", times(0.8)), "claimed-smoothness-holds"),
    ("tikhonov", "smoothness × 0.99", after("smoothness_on", times(0.99)), "claimed-smoothness-holds"),
    ("l1", "conjugate finite everywhere", after("conjugate", _finite), "conjugate-knows-its-domain"),
    ("tikhonov", "conjugate × 2", after("conjugate", times(2.0)), "conjugate-satisfies-fenchel"),
    (
        "box",
        "conjugate less 1",
        after("conjugate", plus(-1.0)),
        "conjugate-satisfies-fenchel conjugate-knows-its-domain",
    ),
    ("l1", "prox of the conjugate × 0.99", after("prox_conjugate", times(0.99)), "prox-satisfies-moreau"),
    ("total-variation", "split × 2", after("split", _scaled_terms), "split-adds-up"),
    (
        "total-variation",
        "norm of the analysis × 0.9",
        after("split", _norm_smaller),
        "split-analysis-is-linear-with-adjoint",
    ),
    (
        "smoothed-total-variation",
        "declares a split",
        attributes(capabilities=frozenset({"value", "grad", "split"})),
        "split-adds-up",
    ),
    (
        "total-variation",
        "adjoint of the analysis × 1.001",
        after("split", _adjoint_scaled),
        "split-analysis-is-linear-with-adjoint",
    ),
    (
        "total-variation",
        "fast solver × 1.01",
        after("split", _solver_scaled),
        "split-analysis-solves-its-normal-equations",
    ),
    (
        "wavelet-l1",
        "claims invariance under translation",
        attributes(invariances=frozenset({"translation"})),
        "claimed-invariances-hold",
    ),
    (
        "smoothed-total-variation",
        "weighs one direction more",
        before("forward", lambda x: x * torch.linspace(1, 1.1, x.shape[-1], dtype=x.dtype)),
        "claimed-invariances-hold",
    ),
    ("l1", "mean over the batch", after("prox", batch_centred), "treats-samples-independently"),
    ("huber", "value of the batch", after("forward", lambda v: v.sum().expand_as(v)), "treats-samples-independently"),
    ("l1", "second call differs", remembering("prox", lambda u, n: u * (1 + 1e-9 * n)), "is-pure"),
    ("tikhonov", "noise of the global generator", after("grad", with_global_noise), "is-pure"),
    ("box", "writes into the image", writing_into("prox"), "leaves-inputs-unchanged"),
    ("l1", "float64 always", after("prox", double), "maps-keep-shape-and-precision"),
    ("tikhonov", "half precision in float32", after("grad", through_half), "maps-keep-shape-and-precision"),
    ("l1", "value one number", after("forward", lambda v: v.sum()), "value-is-one-number-per-image"),
    ("tikhonov", "no prox declared", attributes(capabilities=frozenset({"value", "grad"})), "declares-what-it-has"),
    ("QuadraticRegularizer", "prox × 1.01", after("prox", times(1.01)), "prox-holds-at-every-scale"),
    (
        "QuadraticRegularizer",
        "conjugate × 0.5",
        after("conjugate", times(0.5)),
        "conjugate-satisfies-fenchel conjugate-knows-its-domain",
    ),
    ("zero", "value 1", after("forward", plus(1.0)), "known-values-hold split-adds-up conjugate-satisfies-fenchel"),
)


def _error(what: Any) -> Any:
    return after("prox_with_error", lambda pair: (pair[0], what(pair[1])))


ERROR = "prox-error-bounds-the-distance"

MUTANTS += mutants(
    "regularizers",
    ("total-variation", "error 0", _error(times(0.0)), ERROR, {"example": {"tolerance": 1e-3}}),
    ("total-variation", "error × 0.1", _error(times(0.1)), ERROR, {"example": {"tolerance": 1e-3}}),
    ("total-generalized-variation", "error 0", _error(times(0.0)), ERROR),
    (
        "total-generalized-variation",
        "error × 0.01",
        _error(times(0.01)),
        ERROR,
        {"survives": "its duality gap bounds the error by a hundred times what it is on the kit's images"},
    ),
    ("total-variation", "error infinite", _error(times(torch.inf)), f"stated-accuracy-is-consistent {ERROR}"),
    ("total-variation", "says that it is exact", attributes(prox_accuracy="exact"), "stated-accuracy-is-consistent"),
    ("l1", "says that it is certified", attributes(prox_accuracy="certified"), "stated-accuracy-is-consistent"),
    ("l1", "an error where it is exact", _error(plus(1e-3)), "stated-accuracy-is-consistent"),
    (
        "huber",
        "another image with its error",
        after("prox_with_error", lambda pair: (1.01 * pair[0], pair[1])),
        "stated-accuracy-is-consistent",
    ),
    ("total-variation", "one error for the batch", _error(lambda e: e.max()), "stated-accuracy-is-consistent"),
)
