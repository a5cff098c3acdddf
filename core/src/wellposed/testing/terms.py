"""Test doubles whose problems fall apart into single entries or pairs, so that solutions have closed forms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..fidelity import Fidelity
from ..operator import LinearOperator, RowBlock, SelectedRows, default_row_blocks
from ..regularizer import Analysis, Regularizer, Term
from ..space import Space, inner, norm, per_sample
from .doubles import QuadraticRegularizer


class DiagonalOperator(LinearOperator):
    """Each entry times its own number, `y = d x`; complex images where `d` is complex."""

    source = "linear algebra: a diagonal matrix"
    values: Tensor

    def __init__(self, values: Tensor) -> None:
        """`values`: `d`, of the shape of one image."""
        space = Space(tuple(values.shape), torch.complex64 if values.is_complex() else torch.float32)
        super().__init__(space, space)
        # Module.to(dtype) would drop an imaginary part.
        self.register_buffer("values", torch.view_as_real(values) if values.is_complex() else values)

    @property
    def diagonal(self) -> Tensor:
        return torch.view_as_complex(self.values) if self.domain.is_complex else self.values

    def _forward(self, x: Tensor) -> Tensor:
        return self.diagonal * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.diagonal.conj() * y

    def _norm(self) -> float:
        return float(self.diagonal.abs().max())


class OperatorPerSample(LinearOperator):
    """Another diagonal for every sample of the batch, `y_b = d_b x_b`."""

    source = "linear algebra: diagonal matrices"
    values: Tensor

    def __init__(self, values: Tensor) -> None:
        """`values`: `d`, `(B, *shape)`."""
        space = Space(tuple(values.shape[1:]))
        super().__init__(space, space)
        self.register_buffer("values", values)

    def _forward(self, x: Tensor) -> Tensor:
        return self.values * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.values * y

    def _norm(self) -> float:
        return float(self.values.abs().max())

    def take(self, index: Tensor) -> OperatorPerSample:
        return OperatorPerSample(self.values[index])

    def row_blocks(self, count: int) -> list[RowBlock]:
        return [_RowsPerSample(self, block.axis, block.index) for block in default_row_blocks(self, count)]


class _RowsPerSample(SelectedRows):
    """Rows whose norm is the largest over the samples."""

    def _norm(self) -> float:
        assert isinstance(self.operator, OperatorPerSample)
        return float(self.restrict(self.operator.values).abs().max())


class AbsoluteSum(Regularizer):
    """`R(x) = w Σ |x_i| + m/2 ‖x‖²`, the elastic net; without a gradient."""

    source = "Zou and Hastie 2005"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True

    def __init__(self, weight: float = 0.2, modulus: float = 0.0) -> None:
        """`weight`: `w`. `modulus`: `m`."""
        super().__init__()
        self.weight, self.modulus = float(weight), float(modulus)
        self.strong_convexity = self.modulus

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x.abs().flatten(1).sum(1) + 0.5 * self.modulus * norm(x).square()

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        s = per_sample(step, x)
        return shrink(x, s * self.weight) / (1 + s * self.modulus)

    def conjugate(self, p: Tensor) -> Tensor:
        rest = (p.abs() - self.weight).clamp_min(0)
        if self.modulus:
            return 0.5 / self.modulus * norm(rest).square()
        inside = rest <= 8 * torch.finfo(rest.dtype).eps * self.weight
        return torch.where(inside.flatten(1).all(1), 0.0, torch.inf).to(rest.dtype)


class Interval(Regularizer):
    """`R(x) = 0` where `lower ≤ x_i ≤ upper` for all `i`, else infinite."""

    source = "convex analysis: an indicator"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True

    def __init__(self, lower: float = -0.5, upper: float = 0.7) -> None:
        """`lower`, `upper`: the bounds."""
        super().__init__()
        self.lower, self.upper = float(lower), float(upper)

    def forward(self, x: Tensor) -> Tensor:
        inside = ((x >= self.lower) & (x <= self.upper)).flatten(1).all(1)
        return torch.where(inside, 0.0, torch.inf).to(x.dtype)

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return x.clamp(self.lower, self.upper)

    def conjugate(self, p: Tensor) -> Tensor:
        return torch.maximum(self.lower * p, self.upper * p).flatten(1).sum(1)


class LearnedQuadratic(QuadraticRegularizer):
    """Tikhonov's functional with a weight that is learned."""

    def __init__(self, factor: float = 0.3) -> None:
        """`factor`: the weight to begin with."""
        super().__init__(factor)
        del self.factor
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))  # type: ignore[assignment]


class PairDifferences(Regularizer):
    """`R(x) = w Σ |x_{2i} − x_{2i+1}|` along the last axis: known by its split alone, as total variation is."""

    source = "total variation of pairs"
    capabilities = frozenset({"value", "split"})
    convex = True

    def __init__(self, weight: float = 0.2) -> None:
        """`weight`: `w`."""
        super().__init__()
        self.weight = float(weight)
        self.analysis = _Differences()

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * self.analysis(x).abs().flatten(1).sum(1)

    def split(self) -> list[Term]:
        return [Term(AbsoluteSum(self.weight), self.analysis)]


class _Differences(Analysis):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::2] - x[..., 1::2]

    def adjoint(self, p: Tensor) -> Tensor:
        return torch.stack([p, -p], dim=-1).flatten(-2)

    def norm(self, x: Tensor) -> float:
        return 2**0.5 * (1 + 1e-6)


class ConcaveQuadratic(Regularizer):
    """`R(x) = −a/2 ‖x‖²`: smooth, and not convex."""

    source = "none: a placeholder"
    capabilities = frozenset({"value", "grad"})

    def __init__(self, factor: float = 0.5) -> None:
        """`factor`: `a`."""
        super().__init__()
        self.factor = float(factor)
        self.smoothness = self.factor

    def forward(self, x: Tensor) -> Tensor:
        return -0.5 * self.factor * norm(x).square()

    def grad(self, x: Tensor) -> Tensor:
        return -self.factor * x


class WeightedQuadratic(Fidelity):
    """`D(v, y) = ½ Σ w_i |v_i − y_i|²` with a weight for every bin."""

    source = "weighted least squares"
    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        """`weights`: `w`, of the shape of one measurement."""
        super().__init__()
        self.register_buffer("weights", weights)

    def _of(self, v: Tensor) -> Tensor:
        return self.weights.to(v.dtype.to_real())

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return 0.5 * inner(v - y, self._of(v) * (v - y))

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return self._of(v) * (v - y)

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        weight = per_sample(step, v) * self._of(v)
        return (v + weight * y) / (1 + weight)

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        return 0.5 * inner(p, p / self._of(p)) + inner(p, y)

    def smoothness(self, y: Tensor) -> float:
        return float(self.weights.max())

    def strong_convexity(self, y: Tensor) -> float:
        return float(self.weights.min())


class AbsoluteDeviation(Fidelity):
    """`D(v, y) = Σ |v_i − y_i|`, which has no gradient that is Lipschitz."""

    source = "least absolute deviations"

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return (v - y).abs().flatten(1).sum(1)

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return torch.sgn(v - y)

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        return y + shrink(v - y, per_sample(step, v))

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        outside = (p.abs() > 1 + 8 * torch.finfo(p.dtype).eps).flatten(1).any(1)
        return torch.where(outside, torch.inf, inner(p, y))


def shrink(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Soft thresholding, of the modulus where complex."""
    return torch.sgn(x) * (x.abs() - threshold).clamp_min(0)
