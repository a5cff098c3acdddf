"""One number for each bin: numbers, tensors, patterns, learned ones, and those that differ from sample to sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern
from wellposed_physics.fidelities.per_bin import PerBin

Y = torch.zeros(3, 2, 4, dtype=torch.float64)
BINS = torch.arange(8, dtype=torch.float64).reshape(2, 4) / 3


class Counting(Pattern):
    """The shape that it is asked for, as numbers; counts its calls."""

    source = "a test"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        self.calls += 1
        return torch.full(shape, float(shape[-1]))


def test_a_number_stays_one() -> None:
    value = PerBin(0.5, "weight")
    assert value(Y) == value.least(Y) == value.largest(Y) == 0.5
    assert value.take(torch.tensor([0])) is value
    assert "weight=0.5" in repr(value)
    value.check(Y)


def test_a_tensor_has_extremes_of_all_bins() -> None:
    value = PerBin(BINS, "weight")
    assert torch.equal(value(Y), BINS[None])
    assert (value.least(Y), value.largest(Y)) == (0.0, pytest.approx(7 / 3))
    assert value(Y.float()).dtype == torch.float32
    assert value(Y.to(torch.complex128)).dtype == torch.float64
    assert "weight: tensor (2, 4)" in repr(value)
    value.check(Y)
    PerBin(BINS[:, :1], "weight").check(Y)
    scalar = PerBin(torch.tensor(2.0), "weight")
    assert scalar(Y).ndim == 0
    assert scalar.largest(Y) == 2.0


def test_those_of_samples_have_extremes_of_each() -> None:
    values = torch.stack([BINS, BINS + 1, 2 * BINS])
    value = PerBin(values, "weight", per_sample=True)
    assert torch.equal(value(Y), values)
    assert value.least(Y).tolist() == [0.0, 1.0, 0.0]
    torch.testing.assert_close(value.largest(Y), torch.tensor([7, 10, 14], dtype=torch.float64) / 3)
    part = value.take(torch.tensor([2, 0]))
    assert torch.equal(part(Y[:2]), values[[2, 0]])
    assert part.per_sample
    value.check(Y)


@pytest.mark.parametrize(
    ("value", "per_sample", "own"),
    [(BINS.T, False, r"\(4, 2\)"), (BINS[:1, :3], False, r"\(1, 3\)"), (torch.ones(2, 2, 4), True, r"\(2, 2, 4\)")],
)
def test_shapes_that_do_not_fit_are_both_told(value: Tensor, per_sample: bool, own: str) -> None:
    with pytest.raises(ShapeError, match=rf"the weight has shape {own} and the measurement \(2, 4\) per sample"):
        PerBin(value, "weight", per_sample=per_sample).check(Y)


def test_a_pattern_is_made_once_for_each_shape() -> None:
    pattern = Counting()
    value = PerBin(pattern, "weight")
    assert torch.equal(value(Y), torch.full((1, 2, 4), 4.0, dtype=torch.float64))
    value(Y)
    assert pattern.calls == 1
    assert value(torch.zeros(3, 5)).shape == (1, 5)
    assert pattern.calls == 2
    assert value(torch.zeros(3, 1, 2, 4)).shape == (1, 2, 4)
    assert "weight=" in repr(value)


def test_a_learned_number_keeps_its_gradient_and_a_given_tensor_has_none() -> None:
    learned = nn.Parameter(torch.tensor(0.5))
    assert PerBin(learned, "weight")(Y.float()).requires_grad
    assert not PerBin(BINS.clone().requires_grad_(), "weight")(Y).requires_grad
    assert isinstance(PerBin(learned, "weight").least(Y), float)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_numbers_out_of_range_are_refused_also_in_one_bin(value: float) -> None:
    with pytest.raises(InputError, match="weight must be finite and ≥ 0"):
        PerBin(value, "weight")
    bins = BINS.clone()
    bins[1, 2] = value
    with pytest.raises(InputError, match="must be real, finite and ≥ 0 in every bin"):
        PerBin(bins, "weight")
    with pytest.raises(InputError, match="must be real"):
        PerBin(BINS + 0j, "weight")
