"""Certified Lipschitz constants, against dense singular values: a bound that is ever exceeded is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from wellposed import InputError
from wellposed_equilibrium.networks.contractive_residual import ContractiveResidual
from wellposed_equilibrium.networks.convolution_norm import squared_norm_bound

Map = Callable[[Tensor], Tensor]
SHAPES = [(1, 1, 2, 2), (4, 1, 3, 3), (8, 1, 5, 5), (2, 3, 3, 3), (6, 2, 4, 4), (3, 1, 5, 2)]


def filters(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(apply: Map, channels: int, size: int) -> Tensor:
    """The matrix of a linear map of images."""
    basis = torch.eye(channels * size * size, dtype=torch.float64).reshape(-1, channels, size, size)
    return apply(basis).flatten(1).T


def valid(w: Tensor) -> Map:
    return lambda x: functional.conv2d(x, w)


def padded(w: Tensor) -> Map:
    reach = (w.shape[2] - 1, w.shape[3] - 1)
    return lambda x: functional.conv2d(x, w, padding=reach)


def periodic(w: Tensor) -> Map:
    widths = (w.shape[3] - 1, 0, w.shape[2] - 1, 0)
    return lambda x: functional.conv2d(functional.pad(x, widths, mode="circular"), w)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("border", [valid, padded, periodic])
def test_the_bound_holds_for_every_border(shape: tuple[int, ...], border: Callable[[Tensor], Map]) -> None:
    for seed in range(4):
        w = filters(shape, seed)
        norm = torch.linalg.matrix_norm(matrix(border(w), shape[1], 9), 2)
        assert norm.square() <= squared_norm_bound(w) * (1 + 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_bound_is_tight(shape: tuple[int, ...]) -> None:
    """Against the periodic convolution of images so fine that its frequencies are dense."""
    w = filters(shape)
    size = 180
    symbol = torch.fft.fft2(functional.pad(w, (0, size - shape[3], 0, size - shape[2]))).permute(2, 3, 0, 1)
    true = torch.linalg.matrix_norm(symbol, 2).max().square()
    assert true <= squared_norm_bound(w) <= 1.11 * true


def test_bound_of_known_filters() -> None:
    impulse, difference = torch.zeros(1, 1, 3, 3).double(), torch.zeros(1, 1, 2, 2).double()
    impulse[0, 0, 1, 2] = -3
    difference[0, 0, 0] = torch.tensor([1.0, -1.0])
    for w, norm in ((impulse, 9.0), (difference, 4.0)):
        assert norm <= float(squared_norm_bound(w)) <= 1.11 * norm


def test_the_bound_has_the_right_gradient() -> None:
    w = filters((3, 1, 3, 3)).requires_grad_()
    assert torch.autograd.gradcheck(squared_norm_bound, (w,), atol=1e-7)


def wild(seed: int, contraction: float = 0.9, in_channels: int = 1) -> ContractiveResidual:
    """A network with weights of all sizes, as training might leave them."""
    network = ContractiveResidual(3, 5, 3, in_channels, contraction).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            size = 10 ** (4 * torch.rand((), generator=generator) - 2)
            p.add_(size * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return network


@pytest.mark.parametrize("in_channels", [1, 2])
def test_the_lipschitz_constant_holds_at_every_jacobian(in_channels: int) -> None:
    for seed in range(12):
        network = wild(seed, in_channels=in_channels)
        x = filters((1, in_channels, 7, 7), seed) * 10.0 ** (seed % 4 - 2)
        jacobian = torch.autograd.functional.jacobian(network, x).reshape(x.numel(), -1)  # type: ignore[union-attr]
        assert torch.linalg.matrix_norm(jacobian, 2) <= network.lipschitz * (1 + 1e-12)


def test_the_lipschitz_constant_is_attained() -> None:
    """Filters of mean zero leave flat images alone, so the factor is the contraction itself."""
    network = wild(0, contraction=0.7)
    x, flat = filters((2, 1, 8, 8)), torch.full((2, 1, 8, 8), 0.3, dtype=torch.float64)
    torch.testing.assert_close(network(x + flat), network(x) + 0.7 * flat)


def test_a_layer_is_a_gradient_step() -> None:
    """Its Jacobian is symmetric with eigenvalues in [1 − ω, 1]: the derivative of a convex potential."""
    layer = wild(3).layers[0]
    x = filters((1, 1, 7, 7))
    jacobian = torch.autograd.functional.jacobian(layer, x).reshape(49, 49)  # type: ignore[union-attr]
    torch.testing.assert_close(jacobian, jacobian.T, rtol=0, atol=1e-12)
    values = torch.linalg.eigvalsh(jacobian)
    strength = 2 * torch.sigmoid(layer.strength.detach())  # type: ignore[union-attr, operator]
    assert float(values.max()) <= 1 + 1e-12
    assert float(values.min()) >= 1 - float(strength) - 1e-12


def test_mixed_precision_changes_no_number() -> None:
    """Neither the bound nor a fixed point would survive 8 bits."""
    network, x = ContractiveResidual(2, 4, 3), filters((2, 1, 9, 9)).float()
    with torch.autocast("cpu", torch.bfloat16):
        image = network(x)
    assert torch.equal(image, network(x))


def test_filters_are_scaled_once_until_they_change() -> None:
    network, x = wild(1), filters((1, 1, 9, 9))
    with torch.inference_mode():
        first = network(x)
    torch.testing.assert_close(network(x), first)
    kept = [layer._kept[1] for layer in network.layers]  # type: ignore[union-attr, index]
    with torch.no_grad():
        network(2 * x)
        assert all(layer._kept[1] is w for layer, w in zip(network.layers, kept, strict=True))  # type: ignore[union-attr, index]
        for layer in network.layers:
            layer.filters.data.mul_(torch.rand_like(layer.filters))  # type: ignore[union-attr] - no version is counted
        changed = network(x)
        assert network.float()(x.float()).dtype == torch.float32
    network.double()
    assert float((changed - first).norm()) > 1e-3 * float(first.norm())
    other = wild(1)
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(x), changed, rtol=1e-5, atol=1e-7)
    assert not any("kept" in name for name in network.state_dict())


def test_same_seed_same_weights() -> None:
    before = torch.get_rng_state()
    a, b, c = (ContractiveResidual(2, 3, 3, seed=s) for s in (1, 1, 2))
    assert torch.equal(a.layers[0].filters, b.layers[0].filters)  # type: ignore[arg-type]
    assert not torch.equal(a.layers[0].filters, c.layers[0].filters)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), before)


def test_other_images_and_settings_are_refused() -> None:
    network = ContractiveResidual(1, 2, 5)
    for x in (torch.rand(1, 2, 8, 8), torch.rand(1, 1, 4, 8), torch.rand(1, 1, 8, 8, dtype=torch.complex64)):
        with pytest.raises(InputError, match="real images"):
            network(x)
    for arguments in ({"layers": 0}, {"kernel": 1}, {"contraction": 1.01}, {"contraction": 0.0}, {"threshold": 0.0}):
        with pytest.raises(InputError, match="contractive-residual"):
            ContractiveResidual(**arguments)
