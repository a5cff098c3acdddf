"""Convolutions of every sort: what they are before and after they are drawn, cleared and exported."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from wellposed.errors import InputError
from wellposed_equivariant.layers.convolution import OrdinaryConvolution, convolved


def test_a_new_convolution_is_zero_and_a_drawn_one_keeps_the_variance() -> None:
    layer = OrdinaryConvolution(4, 64, 3, "circular")
    x = torch.randn(8, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    assert not layer(x).any()
    layer.initialise(torch.Generator().manual_seed(1), gain=0.5)
    assert float(layer(x).detach().var()) == pytest.approx(0.25, rel=0.1)
    assert not layer.bias.any()
    with torch.no_grad():
        layer.bias.add_(1.0)
    exported = layer.export()
    torch.testing.assert_close(exported(x), layer(x))
    layer.clear()
    assert not layer(x).any()
    assert exported(x).any()


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_images_go_on_beyond_their_edges_as_said(mode: str, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 6, 7, generator=generator, dtype=torch.float64)
    kernel = torch.randn(4, 3, size, size, generator=generator, dtype=torch.float64)
    bias = torch.randn(4, generator=generator, dtype=torch.float64)
    found = convolved(x, kernel, bias, mode)  # type: ignore[arg-type]
    margin = size // 2
    continued = functional.pad(x, [margin] * 4, mode="constant" if mode == "zeros" else mode)
    windows = continued.unfold(2, size, 1).unfold(3, size, 1)
    expected = torch.einsum("bchwij,ocij->bohw", windows, kernel) + bias[:, None, None]
    torch.testing.assert_close(found, expected)


def test_an_image_no_larger_than_the_margin_cannot_be_reflected() -> None:
    kernel, bias = torch.zeros(1, 1, 5, 5), torch.zeros(1)
    convolved(torch.zeros(1, 1, 3, 3), kernel, bias, "reflect")
    for shape in ((2, 9), (9, 2)):
        with pytest.raises(InputError, match="cannot be reflected 2 pixels beyond its edges"):
            convolved(torch.zeros(1, 1, *shape), kernel, bias, "reflect")
