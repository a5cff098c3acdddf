"""The discrete gradient, its adjoint and norm, cosine transforms, and the symmetrised derivative."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from wellposed import InputError, ShapeError
from wellposed.space import inner, norm
from wellposed_classical.cosine_transform import cosine_transform, inverse_cosine_transform
from wellposed_classical.differences import Differences, filter_spectrum
from wellposed_classical.symmetric_differences import SymmetricDifferences

SHAPES = [(2, 1, 9), (2, 3, 6, 7), (1, 2, 4, 5, 6), (2, 1, 1, 5)]
DTYPES = [torch.float64, torch.complex128]


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def mismatch(forward, adjoint, x, p) -> float:
    left, right = inner(forward(x), p).sum(), inner(x, adjoint(p)).sum()
    return float(abs(left - right) / (norm(forward(x)).norm() * norm(p).norm()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_is_numpy_diff_with_zero_last(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = randn(*shape, dtype=dtype)
    p = Differences()(x)
    assert p.shape == (shape[0], len(shape) - 2, *shape[1:])
    for k in range(len(shape) - 2):
        last = np.zeros_like(np.take(x.numpy(), [0], axis=k + 2))
        expected = np.concatenate([np.diff(x.numpy(), axis=k + 2), last], axis=k + 2)
        np.testing.assert_array_equal(p[:, k].numpy(), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_adjoints_are_exact(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    gradient, symmetric = Differences(), SymmetricDifferences()
    x = randn(*shape, dtype=dtype)
    w = randn(*gradient(x).shape, dtype=dtype, seed=1)
    assert mismatch(gradient, gradient.adjoint, x, w) < 1e-14
    q = randn(*symmetric(w).shape, dtype=dtype, seed=2)
    assert mismatch(symmetric, symmetric.adjoint, w, q) < 1e-14


def test_adjoint_in_float32() -> None:
    x = randn(2, 1, 32, 33).float()
    p = randn(2, 2, 1, 32, 33, seed=1).float()
    assert mismatch(Differences(), Differences().adjoint, x, p) < 1e-6


@pytest.mark.parametrize("shape", [(1, 1, 7), (1, 1, 6, 7), (1, 1, 3, 4, 5)])
def test_norm_is_that_of_the_matrix(shape: tuple[int, ...]) -> None:
    gradient, n = Differences(), int(np.prod(shape))
    matrix = gradient(torch.eye(n, dtype=torch.float64).reshape(n, *shape[1:])).flatten(1)
    assert gradient.norm(torch.zeros(shape)) == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-12)
    assert gradient.norm(torch.zeros(shape)) ** 2 < 4 * (len(shape) - 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_solve_normal_solves_the_normal_equations(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    gradient, rhs = Differences(), randn(*shape, dtype=dtype)
    shift = torch.linspace(0.2, 3.0, shape[0], dtype=torch.float64)
    for s in (0.3, shift):
        u = gradient.solve_normal(rhs, s)
        columns = s if isinstance(s, float) else s.reshape(-1, *[1] * (len(shape) - 1))
        assert float((gradient.adjoint(gradient(u)) + columns * u - rhs).abs().max()) < 1e-13


def test_solve_normal_refuses_the_singular_system() -> None:
    with pytest.raises(InputError, match="shift > 0"):
        Differences().solve_normal(torch.ones(1, 1, 4, 4), 0.0)


def test_spectrum_filter_of_the_eigenvalues_is_the_laplacian() -> None:
    x = randn(2, 2, 6, 9)
    gradient = Differences()
    torch.testing.assert_close(filter_spectrum(x, lambda e: e), gradient.adjoint(gradient(x)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 8), (2, 5, 6), (4, 1), (3, 7, 2)])
def test_cosine_transform_is_scipys(shape: tuple[int, ...]) -> None:
    x, axes = randn(*shape), tuple(range(1, len(shape)))
    spectrum = cosine_transform(x, axes)
    np.testing.assert_allclose(spectrum.numpy(), dctn(x.numpy(), axes=axes) / 2 ** len(axes), atol=1e-12)
    torch.testing.assert_close(inverse_cosine_transform(spectrum, axes), x, rtol=0, atol=1e-13)


def test_gradients_pass_through_the_maps() -> None:
    x, w = randn(1, 2, 4, 5).requires_grad_(), randn(1, 2, 2, 4, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(Differences(), x)
    assert torch.autograd.gradcheck(Differences().adjoint, w)
    assert torch.autograd.gradcheck(SymmetricDifferences(), w)
    assert torch.autograd.gradgradcheck(lambda x: Differences()(x).square().sum(), x)


@pytest.mark.parametrize("sizes", [(5,), (6, 7), (3, 5, 4)])
def test_symmetrised_derivative_vanishes_on_affine_images_alone(sizes: tuple[int, ...]) -> None:
    grids = torch.meshgrid(*(torch.arange(float(n), dtype=torch.float64) for n in sizes), indexing="ij")
    affine = sum((k + 1.5) * g for k, g in enumerate(grids))
    assert isinstance(affine, torch.Tensor)
    second = SymmetricDifferences()(Differences()(affine[None, None]))
    assert float(second.abs().max()) < 1e-14
    bent = SymmetricDifferences()(Differences()(grids[0].square()[None, None]))
    # ∂₁∂₁ of i² is 2 wherever three neighbours exist.
    assert float(bent.sum()) == pytest.approx(2 * (sizes[0] - 2) * np.prod(sizes[1:]))


def test_symmetrised_derivative_is_frobenius() -> None:
    """Of w = ∇(x₁x₂), the symmetrised derivative is the matrix with 1 off the diagonal: length √2."""
    i, j = torch.meshgrid(*(torch.arange(5.0, dtype=torch.float64),) * 2, indexing="ij")
    second = SymmetricDifferences()(Differences()((i * j)[None, None]))
    assert second[0, :, 0, 1, 1].tolist() == pytest.approx([0.0, 2**0.5, 0.0])
    assert SymmetricDifferences().norm(torch.zeros(1, 2, 1, 4, 4)) == pytest.approx(8**0.5)


def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ShapeError, match="spatial axis"):
        Differences()(torch.zeros(3, 4))
    with pytest.raises(ShapeError, match="d sizes"):
        Differences().adjoint(torch.zeros(1, 3, 1, 4, 4))
    with pytest.raises(ShapeError, match="symmetrised"):
        SymmetricDifferences()(torch.zeros(1, 3, 1, 4, 4))
