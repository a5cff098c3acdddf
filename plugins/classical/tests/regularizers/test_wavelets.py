"""Orthonormal periodised wavelets against PyWavelets, and the ℓ1 norm of their coefficients."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from wellposed import InputError, ShapeError
from wellposed.space import inner, norm
from wellposed_classical.regularizers.wavelet_l1 import WaveletL1
from wellposed_classical.wavelets import Wavelet

NAMES = ["haar", "db2", "db3", "db4", "sym8", "coif2", "db20"]


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.filterwarnings("ignore:Level value:UserWarning")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [1, 3])
def test_coefficients_are_those_of_pywavelets(name: str, levels: int) -> None:
    x = randn(2, 2, 24, 32)
    coefficients = Wavelet(name, levels)(x)
    theirs = pywt.wavedec2(x[1, 1].numpy(), name, mode="periodization", level=levels)
    np.testing.assert_allclose(coefficients[1, 1].numpy(), pywt.coeffs_to_array(theirs)[0], atol=1e-13)


@pytest.mark.filterwarnings("ignore:Level value:UserWarning")
@pytest.mark.parametrize("sizes", [(48,), (8, 16, 8)])
def test_any_number_of_axes(sizes: tuple[int, ...]) -> None:
    x = randn(1, 1, *sizes)
    theirs = pywt.coeffs_to_array(pywt.wavedecn(x[0, 0].numpy(), "db3", mode="periodization", level=2))[0]
    np.testing.assert_allclose(Wavelet("db3", 2)(x)[0, 0].numpy(), theirs, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_transform_is_orthonormal(name: str, dtype: torch.dtype) -> None:
    transform, x, p = Wavelet(name, 2), randn(2, 2, 8, 12, dtype=dtype), randn(2, 2, 8, 12, dtype=dtype, seed=1)
    # PyWavelets prints the Symlets to 11 digits.
    digits = 1e-10 if name.startswith("sym") else 1e-13
    assert float((transform.adjoint(transform(x)) - x).abs().max()) < digits * 10
    assert float((norm(transform(x)) / norm(x) - 1).abs().max()) < digits
    assert float((inner(transform(x), p) - inner(x, transform.adjoint(p))).abs().max()) < 1e-12


def test_float32_and_gradients() -> None:
    x = randn(1, 1, 8, 8)
    transform = Wavelet("db2", 1)
    assert transform(x.float()).dtype == torch.float32
    torch.testing.assert_close(transform(x.float()).double(), transform(x), rtol=0, atol=1e-6)
    assert torch.autograd.gradcheck(transform, x.requires_grad_())


def test_smooth_images_have_small_details() -> None:
    """db2 has two vanishing moments: away from the seam, details of an affine image are 0."""
    i = torch.arange(16.0, dtype=torch.float64)
    affine = (i[:, None] + 2 * i)[None, None]
    details = Wavelet("db2", 1)(affine)[0, 0, 8:, 8:]
    assert float(details[1:-1, 1:-1].abs().max()) < 1e-11


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(InputError, match="no discrete wavelet"):
        Wavelet("daubechies")
    with pytest.raises(InputError, match="not orthonormal"):
        Wavelet("bior2.2")
    with pytest.raises(InputError, match="levels ≥ 1"):
        Wavelet("haar", 0)
    with pytest.raises(ShapeError, match="use levels ≤ 2"):
        Wavelet("haar", 3)(torch.zeros(1, 1, 16, 20))
    with pytest.raises(ShapeError, match="crop or pad"):
        Wavelet("haar", 3)(torch.zeros(1, 1, 16, 15))


@pytest.mark.parametrize("approximation", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_prox_is_shrinkage_of_coefficients(approximation: bool, dtype: torch.dtype) -> None:
    regularizer = WaveletL1("db4", 2, approximation)
    x, steps = randn(2, 1, 16, 16, dtype=dtype), torch.tensor([0.2, 0.7], dtype=torch.float64)
    before = regularizer.transform(x).numpy()
    after = regularizer.transform(regularizer.prox(x, steps)).numpy()
    for b, s in enumerate(steps.tolist()):
        shrunk = pywt.threshold(before[b], s, "soft")
        if not approximation:
            shrunk[:, :4, :4] = before[b][:, :4, :4]
        np.testing.assert_allclose(after[b], shrunk, atol=1e-12)


def test_value_leaves_averages_out_unless_asked() -> None:
    constant = torch.full((1, 1, 16, 16), 3.0, dtype=torch.float64)
    assert float(WaveletL1("haar", 2)(constant)) == pytest.approx(0.0, abs=1e-12)
    assert float(WaveletL1("haar", 2, approximation=True)(constant)) == pytest.approx(16 * 3 * 4)


@pytest.mark.parametrize("approximation", [False, True])
def test_conjugate_certifies_the_prox(approximation: bool) -> None:
    regularizer, x = WaveletL1("db2", 2, approximation), randn(2, 1, 8, 8)
    u = regularizer.prox(x, 0.4)
    p = (x - u) / 0.4
    assert regularizer.conjugate(p).tolist() == [0.0, 0.0]
    torch.testing.assert_close(regularizer(u), inner(u, p), rtol=1e-11, atol=0)
    assert regularizer.conjugate(2 * p).isinf().all()
    torch.testing.assert_close(regularizer.prox_conjugate(x / 0.4, 2.5), p, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "db7", "sym5", "coif2"])
@pytest.mark.parametrize("size", [2, 4, 6, 8, 10, 12, 14, 16])
def test_signals_shorter_than_the_filter_are_transformed_orthonormally(wavelet: str, size: int) -> None:
    transform = Wavelet(wavelet, 1)
    x = torch.randn(2, 1, size, 2 * size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    coefficients = transform(x)
    torch.testing.assert_close(transform.adjoint(coefficients), x)
    torch.testing.assert_close(coefficients.square().sum(), x.square().sum())
