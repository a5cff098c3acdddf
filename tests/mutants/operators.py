"""Mutants of operators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from wellposed.operator import RowBlock
from wellposed.space import per_sample
from wellposed.structure import Structure

from .changes import (
    after,
    around,
    batch_centred,
    before,
    conjugated,
    detached,
    double,
    every,
    flipped,
    plus,
    real_part,
    remembering,
    replaced,
    saturated,
    through_half,
    through_single,
    times,
    with_global_noise,
    writing_into,
)
from .mutant import mutants


def _losing_a_row(blocks: Any) -> Any:
    return blocks[:-1] if len(blocks) > 3 else blocks


def _repeating_a_row(blocks: Any) -> Any:
    return [*blocks[:-1], blocks[0]] if len(blocks) > 3 else blocks


def _doubled(blocks: Any) -> Any:
    """Blocks whose adjoint is twice what it should be."""
    for block in blocks:
        original = block._adjoint
        object.__setattr__(block, "_adjoint", lambda y, original=original: 2 * original(y))
    return blocks


def _ignoring_shift_zero(self: Any, original: Any, rhs: Tensor, shift: Tensor) -> Tensor:
    return rhs if bool((shift == 0).all()) else original(rhs, shift)


def _only_the_first_shift(self: Any, original: Any, rhs: Tensor, shift: Tensor) -> Tensor:
    return original(rhs, shift.reshape(-1)[0])


def _null_space_kept(self: Any, original: Any, y: Tensor) -> Tensor:
    """A least-squares solution, but not that of smallest norm."""
    x = original(y)
    other = torch.ones_like(x) * size(x)
    return x + other - original(self._forward(other))


def size(x: Tensor) -> Tensor:
    return x.abs().mean(dim=tuple(range(1, x.ndim)), keepdim=True)


def _smaller_in_float32(self: Any, original: Any) -> float:
    held = [b for b in self.buffers() if b.is_floating_point()]
    single = not held or held[0].dtype == torch.float32
    value = original()
    return value if value is None else value * (0.9 if single else 1.0)


def _transposed_shape(self: Any, original: Any, shape: tuple[int, ...]) -> Any:
    return original((*shape[:-2], shape[-1], shape[-2]))


def _wrong_for_large_batches(self: Any, original: Any, x: Tensor) -> Tensor:
    y = original(x)
    return y if len(x) < 4 else torch.cat([y[:3], y[:1].expand_as(y[3:])])


def _other_under_a_tape(self: Any, original: Any, x: Tensor) -> Tensor:
    return original(x) * (1.01 if torch.is_grad_enabled() and x.requires_grad else 1.0)


def _of_any_shape(self: Any, original: Any, x: Tensor) -> Tensor:
    return self._forward(x[:, :1].expand(-1, *self.domain.shape) if x.shape[1:] != self.domain.shape else x)


def _offset(tensor: Tensor) -> Tensor:
    return tensor + 1e-7


def _one_block_less(self: Any, original: Any, count: int) -> list[RowBlock]:
    return list(original(max(count - 1, 1) if count > 4 else count))


MUTANTS = mutants(
    "operators",
    ("parallel-beam", "adjoint × 1.01", after("_adjoint", times(1.01)), "adjoint-is-exact"),
    ("fan-beam", "adjoint × (1 + 1e-9)", after("_adjoint", times(1 + 1e-9)), "adjoint-is-exact"),
    (
        "convolution",
        "adjoint without flip of the kernel",
        replaced(_adjoint=lambda self, y: self._forward(y)),
        "adjoint-is-exact",
        {"example": 1},
    ),
    ("matrix", "adjoint of flipped measurements", before("_adjoint", flipped), "adjoint-is-exact"),
    ("multicoil-fourier", "adjoint without conjugation", after("_adjoint", conjugated), "adjoint-is-exact"),
    ("fourier", "imaginary part of the image dropped", before("_forward", real_part), "adjoint-is-exact"),
    (
        "multicoil-fourier",
        "adjoint of the first sample for all",
        after("_adjoint", lambda x: x[:1].expand_as(x).clone()),
        "treats-samples-independently adjoint-is-exact",
    ),
    ("compressed-sensing", "forward with an offset", after("_forward", _offset), "is-linear-map"),
    ("inpainting", "forward of |x|", before("_forward", lambda x: x.abs()), "is-linear-map"),
    (
        "downsampling",
        "saturated above 1000",
        every(after("_forward", saturated(1e3)), after("_adjoint", saturated(1e3))),
        "is-linear-at-every-scale",
    ),
    (
        "emission",
        "saturated above 1e5",
        after("_forward", lambda y: y.clamp_max(1e5)),
        "known-values-hold",
        {"survives": "a nonlinear operator may saturate; nothing tells this from a detector that does"},
    ),
    (
        "parallel-beam",
        "small values cut to zero",
        every(*(after(m, lambda y: torch.where(y.abs() < 1e-4, 0.0, y)) for m in ("_forward", "_adjoint"))),
        "is-linear-at-every-scale",
    ),
    (
        "identity",
        "mean over the batch leaks in",
        every(after("_forward", batch_centred), after("_adjoint", batch_centred)),
        "treats-samples-independently",
    ),
    (
        "parallel-beam",
        "wrong from the fourth sample on",
        around("_forward", _wrong_for_large_batches),
        "takes-batches-of-every-size",
    ),
    ("matrix", "rounded to single precision", after("_forward", through_single), "is-linear-map adjoint-is-exact"),
    (
        "fan-beam",
        "half precision inside float32",
        after("_forward", through_half),
        "adjoint-is-exact-in-float32 keeps-precision",
    ),
    ("convolution", "float64 always", after("_forward", double), "keeps-precision"),
    ("complexify", "real measurements", after("_forward", lambda y: y.real), "maps-domain-to-range"),
    (
        "parallel-beam",
        "noise of the global generator",
        after("_forward", with_global_noise),
        "draws-no-global-random-numbers is-deterministic",
    ),
    (
        "parallel-beam",
        "global seed set by pinv",
        after("_pinv", lambda x: [torch.manual_seed(0), x][1]),
        "draws-no-global-random-numbers",
    ),
    (
        "inpainting",
        "second call differs",
        remembering("_forward", lambda y, n: y * (1 + 1e-9 * min(n, 1))),
        "is-deterministic is-linear-map",
    ),
    ("matrix", "writes into the image", writing_into("_forward"), "leaves-inputs-unchanged"),
    ("fourier", "adjoint writes into the measurement", writing_into("_adjoint"), "leaves-inputs-unchanged"),
    ("convolution", "gram × 1.001", after("_gram", times(1.001)), "gram-is-adjoint-of-forward", {"example": 1}),
    ("fourier", "gram is the identity", replaced(_gram=lambda self, x: x.clone()), "gram-is-adjoint-of-forward"),
    ("block-compressed-sensing", "norm × 0.99", after("_norm", times(0.99)), "norm-is-tight-bound"),
    ("convolution", "norm × 1.1", after("norm", times(1.1)), "norm-is-tight-bound"),
    ("parallel-beam", "norm × 0.998", after("norm", times(0.998)), "norm-is-tight-bound"),
    ("matrix", "norm of Frobenius", replaced(_norm=lambda self: float(self.matrix.norm())), "norm-is-tight-bound"),
    (
        "compressed-sensing",
        "norm too small in float32",
        around("norm", _smaller_in_float32),
        "norm-is-right-in-float32",
    ),
    ("convolution", "norm a tensor", after("norm", torch.tensor), "norm-is-a-number"),
    ("matrix", "pinv × 1.2", after("_pinv", times(1.2)), "pinv-is-the-pseudo-inverse"),
    ("downsampling", "pinv × 1.02", after("_pinv", times(1.02)), "pinv-is-the-pseudo-inverse"),
    ("convolution", "pinv flipped", after("_pinv", flipped), "pinv-is-the-pseudo-inverse"),
    ("fourier", "pinv is zero", after("_pinv", times(0.0)), "pinv-explains-the-measurement"),
    ("parallel-beam", "FBP × 1.2", after("_pinv", times(1.2)), "direct-inversion-images-truly"),
    ("fan-beam", "FBP × 2", after("_pinv", times(2.0)), "direct-inversion-images-truly"),
    ("fan-beam", "FBP flipped", after("_pinv", flipped), "direct-inversion-images-truly"),
    ("parallel-beam", "FBP transposed", after("_pinv", lambda x: x.mT), "direct-inversion-images-truly"),
    (
        "parallel-beam",
        "FBP shifted by a pixel",
        after("_pinv", lambda x: x.roll(1, -1)),
        "direct-inversion-images-truly",
    ),
    ("matrix", "pinv is the adjoint", replaced(_pinv=lambda self, y: self._adjoint(y)), "pinv-is-the-pseudo-inverse"),
    (
        "inpainting",
        "pinv with a part of the null space",
        around("_pinv", _null_space_kept),
        "pinv-is-the-pseudo-inverse",
    ),
    (
        "compressed-sensing",
        "pinv normalises its result",
        after("_pinv", lambda x: x / size(x)),
        "pinv-is-the-pseudo-inverse pinv-is-pure-linear-and-samplewise",
    ),
    ("multicoil-fourier", "pinv mixes the batch", after("_pinv", batch_centred), "pinv-is-pure-linear-and-samplewise"),
    ("parallel-beam", "pinv in float64 always", after("_pinv", double), "pinv-is-pure-linear-and-samplewise"),
    (
        "convolution",
        "solve_normal ignores the shift",
        around("_solve_normal", lambda s, o, b, t: o(b, 0 * t + 1)),
        "solve-normal-solves",
    ),
    (
        "matrix",
        "solve_normal with the first shift for all",
        around("_solve_normal", _only_the_first_shift),
        "solve-normal-solves",
    ),
    (
        "downsampling",
        "solve_normal with shift 0 gives b",
        around("_solve_normal", _ignoring_shift_zero),
        "solve-normal-takes-shift-zero",
    ),
    (
        "fourier",
        "solve_normal divides by zero at shift 0",
        around("_solve_normal", lambda s, o, b, t: o(b, t) + 0 * b / per_sample(t, b)),
        "solve-normal-takes-shift-zero",
    ),
    (
        "block-compressed-sensing",
        "solve_normal × (1 + 1e-6)",
        after("_solve_normal", times(1 + 1e-6)),
        "solve-normal-solves",
    ),
    (
        "multicoil-fourier",
        "solve_normal rough in float32",
        after("_solve_normal", through_half),
        "solve-normal-keeps-precision",
    ),
    (
        "convolution",
        "solve_normal without derivative",
        after("solve_normal", detached),
        "solve-normal-is-differentiable",
    ),
    (
        "matrix",
        "solve_normal mixes the batch",
        after("_solve_normal", batch_centred),
        "solve-normal-solves solve-normal-keeps-precision",
    ),
    ("parallel-beam", "row_blocks lose one of four", after("row_blocks", _losing_a_row), "row-blocks-partition-rows"),
    ("fan-beam", "row_blocks repeat one", after("row_blocks", _repeating_a_row), "row-blocks-partition-rows"),
    ("matrix", "row_blocks with adjoints × 2", after("row_blocks", _doubled), "row-blocks-partition-rows"),
    ("fourier", "a block less for large counts", around("row_blocks", _one_block_less), "row-blocks-partition-rows"),
    (
        "beer-lambert",
        "other values under a tape",
        around("_forward", _other_under_a_tape),
        "computes-the-same-under-a-tape",
    ),
    ("beer-lambert", "vjp × 1.001", after("vjp", times(1.001)), "derivative-is-right"),
    ("emission", "vjp of flipped images", after("vjp", flipped), "derivative-is-right"),
    ("emission", "vjp detached", after("vjp", detached), "derivative-can-be-differentiated"),
    ("beer-lambert", "norm × 0.5", after("norm", times(0.5)), "norm-bounds-derivative"),
    (
        "SaturatingOperator",
        "forward not smooth",
        after("_forward", lambda y: y + 0.1 * torch.round(100 * y) / 100),
        "derivative-is-right",
    ),
    ("inpainting", "takes any shape", around("forward", _of_any_shape), "refuses-what-is-not-in-its-domain"),
    (
        "block-compressed-sensing",
        "for_shape with sides exchanged",
        around("for_shape", _transposed_shape),
        "follows-the-shape-of-images",
    ),
    ("parallel-beam", "take forgets to be itself", replaced(take=lambda self, index: 2 * self), "selects-samples"),
    ("DenseOperator", "adjoint × 1.01", after("_adjoint", times(1.01)), "adjoint-is-exact"),
    (
        "DenseOperator",
        "complex buffer",
        around(
            "__init__", lambda s, o, **a: [o(**a), s.register_buffer("phase", torch.zeros(2, dtype=torch.complex64))][0]
        ),
        "moves-between-precisions",
    ),
    ("PeriodicBlur", "norm 2", after("_norm", plus(1.0)), "norm-is-tight-bound"),
)


def declaring(**values: Any) -> Any:
    """Fields of the structure, set to other values or changed by functions."""

    def what(found: Structure) -> Structure:
        changed = {name: value(getattr(found, name)) if callable(value) else value for name, value in values.items()}
        return replace(found, **changed)

    return after("structure", what)


def _one_dead_pixel(self: Any, original: Any, x: Tensor) -> Tensor:
    """One pixel is not measured, and the structure does not know."""
    y = original(x).clone()
    y.reshape(len(y), -1)[:, 7] = 0
    return y


HOLDS = "declared-structure-holds"

MUTANTS += mutants(
    "operators",
    ("identity", "isometry 1.001", declaring(isometry=1.001), HOLDS),
    (
        "identity",
        "a dead pixel",
        every(around("_forward", _one_dead_pixel), around("_adjoint", _one_dead_pixel)),
        HOLDS,
    ),
    ("identity", "isometry lowered by rounding's square root", declaring(isometry=lambda c: c * (1 - 1e-6)), HOLDS),
    ("inpainting", "declares an isometry", declaring(isometry=1.0), HOLDS),
    ("inpainting", "diagonal of ones", declaring(diagonal=torch.ones_like), HOLDS),
    (
        "inpainting",
        "diagonal with a pixel off",
        declaring(diagonal=lambda d: d + 0.5 * (torch.arange(d.numel()) == 33).reshape(d.shape)),
        HOLDS,
    ),
    ("fourier", "coisometry 0.999", declaring(coisometry=0.999), HOLDS),
    ("fourier", "declares an isometry", declaring(isometry=1.0), HOLDS),
    ("downsampling", "declares a coisometry", declaring(coisometry=0.3, projection=0.3), HOLDS),
    ("complexify", "projection 2", declaring(projection=2.0), HOLDS),
    ("parallel-beam", "declares a projection", declaring(projection=lambda c: 1.0), HOLDS),
    ("matrix", "norm 0.999 of it", declaring(norm=lambda n: 0.999 * n), "declared-norm-is-exact"),
    ("block-compressed-sensing", "norm × 1.005", declaring(norm=lambda n: 1.005 * n), "declared-norm-is-exact"),
    ("parallel-beam", "declares a norm of one", declaring(norm=1.0), "declared-norm-is-exact"),
)


def _twice(base: Any) -> type:
    """Twice the operator, in all that it says of itself."""
    return every(*(after(m, times(2.0)) for m in ("_forward", "_adjoint")), after("_pinv", times(0.5)))(base)


MUTANTS += mutants(
    "operators",
    ("parallel-beam", "twice in all it says", _twice, "known-values-hold"),
    (
        "parallel-beam",
        "views in the other order",
        every(after("_forward", lambda y: y.flip(-2)), before("_adjoint", lambda y: y.flip(-2))),
        "known-values-hold",
    ),
    ("emission", "background left out", after("_forward", lambda y: y - 0.5), "known-values-hold"),
    (
        "beer-lambert",
        "decimal logarithms",
        every(around("_forward", lambda s, o, x: 10 ** (-s.mu * s.operator(x)))),
        "known-values-hold",
    ),
)
