"""Networks: equivariance on and off the grid, export, and how many parameters they have."""

from __future__ import annotations

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from wellposed import Dataset, InputError, Sample, component
from wellposed_equivariant.layers.steerable import SteerableConvolution
from wellposed_equivariant.networks.cyclic import CyclicProximal
from wellposed_equivariant.networks.proximal import OrdinaryProximal, ProximalNetwork

N = TypeVar("N", bound=ProximalNetwork)
PADDINGS = ["zeros", "reflect", "replicate", "circular"]


def shaken(network: N, seed: int = 1) -> N:
    """Every parameter drawn anew: residual blocks begin with zeros, which hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return network


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=dtype)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().norm() / b.detach().norm())


@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize(("order", "kernel_size", "size"), [(4, 3, 16), (4, 5, 15), (8, 3, 16), (8, 7, 17)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_quarter_turns_commute(
    padding_mode: str, order: int, kernel_size: int, size: int, dtype: torch.dtype, tolerance: float
) -> None:
    network = CyclicProximal(2, 3, order, 3, 2, kernel_size, padding_mode)  # type: ignore[arg-type]
    shaken(network).to(dtype)
    x = noise(2, 2, size, size, dtype=dtype)
    for quarters in (1, 2, 3):
        expected = network(x).rot90(quarters, (-2, -1))
        assert relative(network(x.rot90(quarters, (-2, -1))), expected) < tolerance


def test_half_turns_of_even_orders_commute_and_quarter_turns_do_not() -> None:
    network = shaken(CyclicProximal(order=6, fields=3))
    x = noise(1, 1, 12, 12)
    assert relative(network(x.rot90(2, (-2, -1))), network(x).rot90(2, (-2, -1))) < 1e-5
    assert relative(network(x.rot90(1, (-2, -1))), network(x).rot90(1, (-2, -1))) > 1e-2


def test_an_ordinary_network_does_not_commute() -> None:
    network = shaken(OrdinaryProximal(width=8))
    x = noise(1, 1, 12, 12)
    assert relative(network(x.rot90(1, (-2, -1))), network(x).rot90(1, (-2, -1))) > 1e-2


class Alone(Dataset):
    """One image."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample("alone", self.image)


def turned(image: Tensor, degrees: float) -> Tensor:
    return component("datasets", "rotated")(Alone(image), [degrees])[0].truth


@pytest.mark.parametrize(("order", "degrees"), [(8, 45.0), (6, 60.0), (12, 30.0)])
def test_turns_off_the_grid_commute_nearly_on_smooth_images(order: int, degrees: float) -> None:
    """Off the grid the kernels are as good as their band limit; an ordinary network is off by far more."""
    place = torch.linspace(-1, 1, 65)
    x, y = place[None, :], -place[:, None]
    image = (torch.exp(-20 * ((x - 0.2) ** 2 + 2 * (y + 0.1) ** 2)) * (1 + x))[None]
    errors = []
    for network in (CyclicProximal(order=order, fields=24 // order + 1), OrdinaryProximal(width=24)):
        shaken(network)
        whole = network(turned(image, degrees)[None])
        moved = turned(network(image[None])[0], degrees)[None]
        middle = (..., slice(14, -14), slice(14, -14))
        errors.append(relative(whole[middle], moved[middle]))
    assert errors[0] < 0.02
    assert errors[1] > 3 * errors[0]


@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("order", [4, 8])
def test_export_gives_the_same_map_with_ordinary_convolutions(padding_mode: str, order: int) -> None:
    network = CyclicProximal(2, 3, order, 2, 2, 3, padding_mode)  # type: ignore[arg-type]
    shaken(network)
    plain = network.export()
    assert type(plain) is OrdinaryProximal
    x = noise(2, 2, 14, 11)
    assert relative(plain(x), network(x)) < 1e-6
    with torch.no_grad():
        plain.lift.clear()
    assert relative(plain(x), network(x)) > 1e-2  # it has weights of its own


def test_an_exported_network_is_loaded_as_an_ordinary_one() -> None:
    network = shaken(CyclicProximal(2, 3, 4, 2))
    twin = OrdinaryProximal(2, 3, width=8)
    twin.load_state_dict(network.export().state_dict())
    x = noise(1, 2, 9, 9)
    assert relative(twin(x), network(x)) < 1e-6


def test_parameters_are_those_of_the_paper() -> None:
    """One step of CT, 7 to 6 channels: 24 fields of C_4 against 96 channels (facts, section 2)."""

    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    network = CyclicProximal(7, 6)
    assert [count(network.lift), count(network.residual[0]), count(network.project)] == [1032, 13848, 870]
    assert count(OrdinaryProximal(7, 6)) == 94374
    assert count(CyclicProximal(7, 6, order=8, fields=12)) == 63024 // 8
    assert count(CyclicProximal(7, 6, order=16, fields=6)) == 31536 // 8


def test_the_weights_expand_as_written() -> None:
    """filter[(b,o),(c,i)] = Σ_d w[b,c,d] K_d[o,i], bias b/√N on every position."""
    layer = shaken(CyclicProximal(2, 3, 4, 2)).residual[0]
    assert isinstance(layer, SteerableConvolution)
    kernel, bias = layer.expand()
    expected = torch.zeros(2, 4, 2, 4, 3, 3)
    for b in range(2):
        for c in range(2):
            for d in range(layer.basis.shape[0]):
                expected[b, :, c] += layer.weight[b, c, d] * layer.basis[d]
    torch.testing.assert_close(kernel.reshape(expected.shape), expected.detach())
    torch.testing.assert_close(bias, layer.bias.repeat_interleave(4) / 2)


def test_gradients_equal_finite_differences() -> None:
    network = shaken(CyclicProximal(1, 1, 4, 1, 1)).double()
    x = noise(1, 1, 5, 5, dtype=torch.float64)
    weights = [p.detach().requires_grad_() for p in network.parameters()]
    names = [name for name, _ in network.named_parameters()]

    def output(*values: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(output, weights, eps=1e-6, atol=1e-7)


def test_seeds_decide_the_weights_and_nothing_else_does() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (CyclicProximal(fields=2, seed=s).state_dict()["lift.weight"] for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"order": 0}, "order of at least 1"),
        ({"fields": 0}, "hidden layers ≥ 1"),
        ({"kernel_size": 4}, "odd size"),
        ({"blocks": -1}, "blocks ≥ 0"),
        ({"in_channels": 0}, "in_channels ≥ 1"),
    ],
)
def test_settings_that_make_no_network_get_a_sentence(settings: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        CyclicProximal(**settings)


def test_inputs_that_do_not_fit_get_a_sentence() -> None:
    with pytest.raises(InputError, match="cannot be reflected 2 pixels"):
        CyclicProximal(fields=1, kernel_size=5, padding_mode="reflect")(noise(1, 1, 2, 5))
    with pytest.raises(InputError, match=r"\(batch, 1, rows, columns\)"):
        CyclicProximal(fields=1)(noise(1, 2, 5, 5))
    with pytest.raises(InputError, match="odd kernel_size"):
        OrdinaryProximal(kernel_size=2)
