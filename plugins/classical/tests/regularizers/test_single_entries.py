"""Indicators look at every entry of an image, and at each image of a batch alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import InputError
from wellposed_classical.magnitude import inside_unit_ball, magnitude, per_image, squared_magnitude
from wellposed_classical.regularizers.box import Box, Nonnegativity
from wellposed_classical.regularizers.group_norm import GroupNorm

INF = float("inf")


def fields(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_one_entry_outside_the_box_is_outside() -> None:
    x = torch.full((4, 1, 2, 2), 0.5, dtype=torch.float64)
    x[1, 0, 1, 0] = -1e-9
    x[2, 0, 0, 1] = 1 + 1e-9
    x[3] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert Box(0.0, 1.0)(x).tolist() == [0.0, INF, INF, 0.0]
    assert Nonnegativity()(x).tolist() == [0.0, INF, 0.0, 0.0]
    assert Box(upper=1.0)(x).tolist() == [0.0, 0.0, INF, 0.0]


def test_a_box_clamps_and_its_conjugate_is_the_support_function() -> None:
    p = fields(3, 1, 2, 2)
    box = Box(-0.5, 2.0)
    torch.testing.assert_close(box.conjugate(p), per_image(torch.maximum(-0.5 * p, 2.0 * p)))
    assert torch.equal(box.prox(3 * p, 9.0), (3 * p).clamp(-0.5, 2.0))
    assert Nonnegativity().conjugate(-p.abs()).tolist() == [0.0, 0.0, 0.0]
    assert Nonnegativity().conjugate(p).tolist() == [INF] * 3
    assert Box(upper=1.0).conjugate(torch.zeros_like(p)).tolist() == [0.0] * 3
    for bounds in ({}, {"lower": 1.0, "upper": 0.0}):
        with pytest.raises(InputError, match="a box needs"):
            Box(**bounds)
    assert Box(1.0, 1.0).lower == 1.0
    with pytest.raises(InputError, match="bounds real images"):
        box.prox(p + 0j, 1.0)


def test_one_length_above_one_leaves_the_ball_by_more_than_rounding() -> None:
    lengths = torch.ones(4, 3, dtype=torch.float64)
    eps = torch.finfo(torch.float64).eps
    lengths[1, 2] += 32 * eps
    lengths[2, 0] += 128 * eps
    lengths[3] = 0.1
    assert inside_unit_ball(lengths).tolist() == [0.0, 0.0, INF, 0.0]


@pytest.mark.parametrize("axes", [(), (1,), (1, 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_lengths_of_groups(axes: tuple[int, ...], dtype: torch.dtype) -> None:
    p = fields(3, 2, 4, 5, dtype=dtype)
    squares = p.abs().square()
    expected = squares.sum(axes, keepdim=True) if axes else squares
    torch.testing.assert_close(squared_magnitude(p, axes), expected)
    torch.testing.assert_close(magnitude(p, axes), expected.sqrt())
    group = GroupNorm(axes)
    torch.testing.assert_close(group(p), expected.sqrt().flatten(1).sum(1))
    steps = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64)
    lengths = expected.sqrt()
    factor = (1 - steps.reshape(-1, 1, 1, 1) / lengths).clamp_min(0)
    torch.testing.assert_close(group.prox(p, steps), p * factor)
    torch.testing.assert_close(group.prox_conjugate(p, 0.3), p / lengths.clamp_min(1))
    assert group.conjugate(p).tolist() == [INF] * 3
    assert group.conjugate(p / lengths.amax()).tolist() == [0.0] * 3


def test_a_length_of_zero_has_a_derivative_of_zero() -> None:
    p = torch.zeros(1, 2, 3, dtype=torch.float64).requires_grad_()
    lengths = magnitude(p, (1,))
    assert not lengths.any()
    (gradient,) = torch.autograd.grad(lengths.sum(), p)
    assert not gradient.any()
    with torch.no_grad():
        q = torch.tensor([[[3.0], [4.0]]], dtype=torch.float64)
    q.requires_grad_()
    (gradient,) = torch.autograd.grad(magnitude(q, (1,)).sum(), q)
    assert gradient.flatten().tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("axes", [[0], [1, 0], [1, 1], [-1]])
def test_axes_that_make_no_groups(axes: list[int]) -> None:
    with pytest.raises(InputError, match="axes of a group must be different and ≥ 1"):
        GroupNorm(axes)
