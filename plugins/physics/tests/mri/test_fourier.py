from __future__ import annotations

import numpy as np
import pytest
import torch

from wellposed.errors import CapabilityMissing, InputError, ShapeError
from wellposed.space import inner
from wellposed_physics.mri.coil_maps import Birdcage
from wellposed_physics.mri.fourier import Fourier
from wellposed_physics.mri.masks import CartesianMask, RandomMask
from wellposed_physics.mri.multicoil import MulticoilFourier
from wellposed_physics.mri.sensitivities import smooth_maps
from wellposed_physics.operators.complexify import Complexify


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.complex128)


def centred(x: torch.Tensor) -> np.ndarray:
    """The centred orthonormal transform with both shifts written out."""
    shifted = np.fft.ifftshift(x.numpy(), axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(-2, -1))


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 9), (5, 8), (1, 3)])
def test_is_the_centred_transform(size):
    x = draw(2, 1, *size)
    y = Fourier(size).double()(x)
    np.testing.assert_allclose(y.numpy(), centred(x), atol=1e-13)
    maps = draw(3, *size, seed=1)
    y = MulticoilFourier(size, None, maps).double()(x)
    np.testing.assert_allclose(y.numpy(), centred(x * maps), atol=1e-13)


def test_large_sizes_keep_their_digits():
    operator = Fourier((1023, 2)).double()
    x = draw(1, 1, 1023, 2)
    np.testing.assert_allclose(operator(x).numpy(), centred(x), atol=1e-12)


def test_dc_is_in_the_centre():
    y = Fourier((6, 9)).double()(torch.ones(1, 1, 6, 9, dtype=torch.complex128))
    assert abs(complex(y[0, 0, 3, 4]) - 54**0.5) < 1e-12
    assert float(y.abs().sum()) == pytest.approx(54**0.5)


def test_unobserved_samples_are_zero_and_the_pseudo_inverse_is_zero_filling():
    mask = RandomMask(0.3, seed=2)((8, 10))
    operator = Fourier((8, 10), mask).double()
    assert torch.equal(operator.mask, mask)
    y = operator(draw(2, 1, 8, 10))
    assert not y[..., ~mask].any()
    torch.testing.assert_close(operator(operator.zero_filled(y)), y)
    torch.testing.assert_close(operator.pinv(y), operator.zero_filled(y))


def test_masks_and_maps_per_sample():
    masks = torch.stack([RandomMask(0.5, 2, seed=s)((6, 8)) for s in range(3)])[:, None]
    maps, x = draw(3, 4, 6, 8, seed=1), draw(3, 1, 6, 8)
    operator = MulticoilFourier((6, 8), masks, maps).double()
    y = operator(x)
    for i in range(3):
        single = MulticoilFourier((6, 8), masks[i, 0], maps[i]).double()
        torch.testing.assert_close(single(x[i : i + 1]), y[i : i + 1])
        assert single.norm() <= operator.norm() * 1.002
    index = torch.tensor([2, 0])
    part = operator.take(index)
    torch.testing.assert_close(part(x[index]), y[index])
    torch.testing.assert_close(part.float().double().adjoint(y[index]), operator.adjoint(y)[index])
    torch.testing.assert_close(part.sensitivities, maps[index])
    with pytest.raises(InputError, match="3 samples"):
        operator.adjoint(y[:2])


def test_norm_bound_of_per_sample_maps_holds_in_the_dot_product():
    operator = MulticoilFourier((6, 8), CartesianMask(2, 0.3), draw(2, 3, 6, 8)).double()
    x = draw(2, 1, 6, 8, seed=7)
    assert (inner(operator.gram(x), x) <= operator.norm() ** 2 * inner(x, x)).all()


def test_zero_filled_divides_by_the_maps_power():
    maps, x = 3 * draw(4, 6, 5, seed=1), draw(2, 1, 6, 5)
    maps[:, 0, 0] = 0
    operator = MulticoilFourier((6, 5), None, maps).double()
    found = operator.zero_filled(operator(x))
    assert not found[..., 0, 0].any()
    torch.testing.assert_close(found.flatten(1)[:, 1:], x.flatten(1)[:, 1:])
    torch.testing.assert_close(operator.pinv(operator(x)), found)


def test_without_maps_the_operator_waits_for_calibration():
    maps = Birdcage(4)((24, 20))
    x = torch.ones(2, 1, 24, 20, dtype=torch.complex128)
    y = MulticoilFourier((24, 20), None, maps).double()(x)
    waiting = MulticoilFourier((24, 20), coils=4).double()
    assert waiting.range.shape == (4, 24, 20)
    with pytest.raises(CapabilityMissing, match=r"calibrated\(y\)"):
        waiting(x)
    torch.testing.assert_close(waiting.root_sum_of_squares(y), torch.ones(2, 1, 24, 20).double())
    ready = waiting.calibrated(y, lambda k: smooth_maps(k, 12))
    assert ready.sensitivities.shape == (2, 4, 24, 20)
    middle = ready.zero_filled(y)[..., 6:-6, 6:-6]  # the truncation rings at the object's edge
    assert float((middle.abs() - 1).abs().max()) < 0.02
    single = waiting.float().calibrated(y.to(torch.complex64))
    assert single.adjoint(y.to(torch.complex64)).dtype == torch.complex64


def test_real_images_get_real_gradients():
    operator = Fourier((6, 5), RandomMask(0.5)).double() @ Complexify((6, 5))
    x = draw(1, 1, 6, 5).real.clone().requires_grad_()
    assert torch.autograd.gradcheck(operator, (x,))
    alone = Fourier((6, 5), RandomMask(0.5)).double()
    assert torch.autograd.gradcheck(alone, (x,))
    assert torch.autograd.gradcheck(lambda v: alone.solve_normal(v, 0.3), (x,))


def test_complexify_is_an_isometry():
    operator, x = Complexify((3, 4)), draw(2, 1, 3, 4)
    assert torch.equal(operator.adjoint(operator(x.real)), x.real)
    assert torch.equal(operator(x.real).real, x.real)


def test_what_does_not_fit_is_told():
    with pytest.raises(ShapeError, match="height, width"):
        Fourier((1, 8, 8))
    with pytest.raises(ShapeError, match=r"mask of shape \(8, 8\)"):
        Fourier((8, 8), torch.ones(8, 7))
    with pytest.raises(InputError, match="needs sensitivities, or coils"):
        MulticoilFourier((8, 8))
    with pytest.raises(ShapeError, match="coils is 3"):
        MulticoilFourier((8, 8), None, Birdcage(4), coils=3)
    with pytest.raises(ShapeError, match="sensitivities have shape"):
        MulticoilFourier((8, 8), None, torch.ones(4, 8, 7))
    with pytest.raises(InputError, match=r"operator\.to\(torch\.float64\)"):
        Fourier((4, 4))(draw(1, 1, 4, 4))
