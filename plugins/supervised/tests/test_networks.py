"""Networks and post-processing."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from wellposed.errors import CompositionError, InputError, ShapeError
from wellposed.operator import Operator
from wellposed.problem import Problem
from wellposed.testing.doubles import LearnedFilter, QuadraticFidelity, SaturatingOperator
from wellposed_supervised.networks.residual import Residual
from wellposed_supervised.networks.unet import UNet
from wellposed_supervised.solvers.post_processing import PostProcessing


@pytest.mark.parametrize("shape", [(16, 16), (13, 9), (1, 5)])
def test_unet_keeps_every_size(shape: tuple[int, int]) -> None:
    network = UNet(width=8, scales=3, groups=4)
    assert network(torch.randn(2, 1, *shape)).shape == (2, 1, *shape)


def test_unet_sees_half_as_far_as_its_scales_reach() -> None:
    """An impulse reaches pixels beyond what its 3×3 convolutions without scales could carry."""
    near, far = UNet(width=4, scales=0, groups=1).double(), UNet(width=4, scales=3, groups=1).double()
    x = torch.zeros(1, 1, 48, 48, dtype=torch.float64, requires_grad=True)
    for network, reach in ((near, 2), (far, 12)):
        for layer in network.modules():
            if isinstance(layer, torch.nn.GroupNorm):
                layer.forward = lambda z: z  # type: ignore[method-assign] - it joins all pixels
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False
        (seen,) = torch.autograd.grad(network(x + 1)[0, 0, 24, 24], x)
        rows = seen[0, 0].abs().sum(1).nonzero()[:, 0]
        assert int((rows - 24).abs().max()) >= reach
        assert network is not near or int((rows - 24).abs().max()) == reach


def test_unet_has_the_classical_widths() -> None:
    network = UNet(width=64, scales=4)
    assert [block[0].out_channels for block in network.down] == [64, 128, 256, 512, 1024]  # type: ignore[index]


def test_unet_refuses_other_images_and_sizes() -> None:
    with pytest.raises(InputError, match=r"\(batch, 2, rows, columns\)"):
        UNet(in_channels=2, width=8)(torch.rand(1, 1, 8, 8))
    with pytest.raises(InputError, match="groups divides"):
        UNet(width=9)


def test_residual_adds_and_refuses_another_shape() -> None:
    network = UNet(width=4, scales=1, groups=2)
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(Residual(network)(x), x + network(x))
    with pytest.raises(InputError, match="adds its network's output"):
        Residual(UNet(out_channels=2, width=4, scales=1, groups=2))(x)


def test_post_processing_is_the_network_of_the_first_reconstruction(toy: ModuleType) -> None:
    network, first, y = UNet(width=4, scales=1, groups=2), LearnedFilter(), torch.rand(2, 1, 8, 8)
    assert torch.equal(PostProcessing(network, first)(y, toy.Blur()), network(first(y, toy.Blur())))
    assert torch.equal(PostProcessing(network)(y, toy.Blur()), network(toy.Blur().pinv(y)))


def test_the_first_reconstruction_is_checked_on_the_problem_that_it_solves(toy: ModuleType) -> None:
    """One with an objective of its own needs no objective of the whole."""

    class Demanding(LearnedFilter):
        def pose(self, y: torch.Tensor, operator: Operator) -> Problem:
            return Problem(operator, y, QuadraticFidelity())

        def check(self, problem: Problem) -> None:
            if not isinstance(problem.fidelity, QuadraticFidelity):
                raise CompositionError("this is not the problem that it solves")

    solver, y = PostProcessing(UNet(width=4, scales=1, groups=2), Demanding()), torch.rand(1, 1, 8, 8)
    solver.check(solver.pose(y, toy.Blur()))


def test_post_processing_refuses_what_does_not_fit(toy: ModuleType) -> None:
    two = UNet(out_channels=2, width=4, scales=1, groups=2)
    with pytest.raises(ShapeError, match="gives images"):
        PostProcessing(two)(torch.rand(1, 1, 8, 8), toy.Blur())
    nonlinear = SaturatingOperator([[1.0, 2.0, 0.0, 0.5]], [1, 2, 2])
    solver = PostProcessing(two)
    with pytest.raises(CompositionError, match="give another solver for the first image"):
        solver.check(solver.pose(torch.rand(1, 1, dtype=torch.float64), nonlinear))
