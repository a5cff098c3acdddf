"""Smoothed total variation and its constants; regularizers composed with operators."""

from __future__ import annotations

import pytest
import torch

from wellposed import CompositionError, InputError, LinearOperator, Regularizer, Space
from wellposed.errors import CapabilityMissing
from wellposed.registry import component
from wellposed.space import inner, norm
from wellposed_classical.regularizers.box import Nonnegativity
from wellposed_classical.regularizers.compose import Compose
from wellposed_classical.regularizers.huber import Huber
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.smoothed_total_variation import SmoothedTotalVariation
from wellposed_classical.regularizers.tikhonov import Tikhonov
from wellposed_classical.regularizers.total_variation import TotalVariation


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


class Matrix(LinearOperator):
    """A dense matrix on 1 × 4 × 4 images, with `rows × 1 × 4` measurements."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__(Space((1, 4, 4), torch.float64), Space((1, len(matrix) // 4, 4), torch.float64))
        self.register_buffer("matrix", matrix)

    matrix: torch.Tensor

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ self.matrix.T).reshape(len(x), *self.range.shape)

    def _adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return (y.flatten(1) @ self.matrix).reshape(len(y), *self.domain.shape)


def orthonormal_rows(rows: int) -> torch.Tensor:
    return torch.linalg.qr(randn(16, 16))[0][:rows].contiguous()


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_smoothed_gradient_is_that_of_the_value(dtype: torch.dtype) -> None:
    regularizer, x = SmoothedTotalVariation(0.1, 0.3), randn(2, 2, 5, 6, dtype=dtype)
    expected = Regularizer.grad(regularizer, x)
    torch.testing.assert_close(regularizer.grad(x), expected, rtol=1e-12, atol=1e-13)
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(regularizer.grad, x[:1, :1].requires_grad_())


def test_smoothed_value_by_hand() -> None:
    x = torch.tensor([0.0, 3.0], dtype=torch.float64).reshape(1, 1, 2)
    value = SmoothedTotalVariation(4.0, 0.5)(x)  # √(9 + 16) + √(0 + 16) + 0.25·9
    assert float(value) == pytest.approx(5 + 4 + 2.25)


def test_smoothed_constants_are_sharp() -> None:
    """At 0 the Hessian is `∇*∇/ν + ξ`, so its largest eigenvalue is the stated constant."""
    regularizer, n = SmoothedTotalVariation(0.05, 0.2), 6
    hessian = torch.autograd.functional.jacobian(
        lambda x: regularizer.grad(x.reshape(1, 1, n, n)).flatten(), torch.zeros(n * n, dtype=torch.float64)
    )
    eigenvalues = torch.linalg.eigvalsh(hessian)
    x = torch.zeros(1, 1, n, n)
    assert float(eigenvalues[-1]) == pytest.approx(regularizer.smoothness_on(x), rel=1e-12)
    assert float(eigenvalues[0]) == pytest.approx(regularizer.strong_convexity, rel=1e-9)
    assert regularizer.smoothness_on(x) < 8 / 0.05 + 0.2


def test_smoothed_hyperparameters_are_learned() -> None:
    nu = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
    xi = torch.nn.Parameter(torch.tensor(0.2, dtype=torch.float64))
    regularizer = SmoothedTotalVariation(nu, xi)
    assert dict(regularizer.named_parameters()).keys() == {"nu", "xi"}
    x = randn(1, 1, 4, 4)

    def value(n: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return SmoothedTotalVariation(n, s).grad(x)

    regularizer.grad(x).sum().backward()
    assert nu.grad is not None
    assert torch.autograd.gradcheck(value, (nu.detach().requires_grad_(), xi.detach().requires_grad_()))
    moved = SmoothedTotalVariation(torch.tensor(0.1), 0.2).double()
    assert isinstance(moved.nu, torch.Tensor)
    assert moved.nu.dtype == torch.float64
    with pytest.raises(InputError, match="nu"):
        SmoothedTotalVariation(0.0)
    with pytest.raises(InputError, match="xi"):
        SmoothedTotalVariation(0.1, -1.0)


def test_compose_value_gradient_and_smoothness() -> None:
    operator = Matrix(randn(8, 16))
    regularizer, x = Compose(Huber(0.3), operator), randn(2, 1, 4, 4)
    assert regularizer.capabilities == {"value", "grad", "split"}
    torch.testing.assert_close(regularizer(x), Huber(0.3)(operator(x)))
    torch.testing.assert_close(regularizer.grad(x), Regularizer.grad(regularizer, x), rtol=1e-12, atol=1e-12)
    expected = float(torch.linalg.matrix_norm(operator.matrix, 2)) ** 2 / 0.3
    assert regularizer.smoothness_on(x) == pytest.approx(expected, rel=5e-3)
    with pytest.raises(CapabilityMissing, match="prox"):
        regularizer.prox(x, 1.0)


def test_compose_splits_through_nested_analyses() -> None:
    operator, x = Matrix(randn(16, 16)), randn(2, 1, 4, 4)
    regularizer = Compose(TotalVariation() + 0.5 * Nonnegativity(), operator)
    values = [t.functional(t.analysis(x)) for t in regularizer.split() if t.analysis is not None]
    torch.testing.assert_close(values[0], TotalVariation()(operator(x)))
    for term in regularizer.split():
        assert term.analysis is not None
        p = randn(*term.analysis(x).shape, seed=1)
        left, right = inner(term.analysis(x), p), inner(x, term.analysis.adjoint(p))
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
        assert float((norm(term.analysis(x)) / norm(x)).max()) <= term.analysis.norm(x)


def test_compose_prox_needs_orthonormal_rows() -> None:
    """`prox_{R∘A}` against the optimality condition `(x − u)/s ∈ A*∂R(Au)`, by Fenchel's equality."""
    operator, x = Matrix(orthonormal_rows(8)), randn(2, 1, 4, 4)
    regularizer = Compose(L1Norm(), operator, orthonormal_rows=True)
    u = regularizer.prox(x, 0.3)
    p = operator((x - u) / 0.3)
    torch.testing.assert_close(operator.adjoint(p), (x - u) / 0.3, rtol=0, atol=1e-12)
    assert float(p.abs().max()) <= 1 + 1e-12
    torch.testing.assert_close(inner(operator(u), p), regularizer(u), rtol=1e-12, atol=0)
    with pytest.raises(InputError, match="orthonormal rows"):
        Compose(L1Norm(), Matrix(randn(8, 16)), orthonormal_rows=True)


def test_compose_of_a_quadratic_is_the_quadratic() -> None:
    operator, x = Matrix(randn(8, 16)), randn(1, 1, 4, 4)
    torch.testing.assert_close(Compose(Tikhonov(), operator).grad(x), operator.gram(x))


def test_compose_refuses_what_it_cannot_use() -> None:
    class Nothing(Regularizer):
        pass

    with pytest.raises(CompositionError, match="Nothing"):
        Compose(Nothing(), Matrix(randn(8, 16)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orthonormal_rows_are_checked_in_the_operator_s_precision(dtype: torch.dtype) -> None:
    rows = torch.linalg.qr(torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q.T
    operator = component("operators", "matrix")([1, 3, 3], [4], rows).to(dtype)
    composed = Compose(L1Norm(), operator, orthonormal_rows=True)
    assert "prox" in composed.capabilities
    x = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    found = composed.prox(x, 0.3)
    assert found.dtype == dtype
    image = operator(x)
    shrunk = torch.sgn(image) * (image.abs() - 0.3).clamp_min(0)
    torch.testing.assert_close(found, x + operator.adjoint(shrunk - image))
    with pytest.raises(InputError, match="was declared to have orthonormal rows"):
        Compose(L1Norm(), component("operators", "matrix")([1, 3, 3], [4], 1.001 * rows).to(dtype), True)
