"""Thresholding with and without a protected support."""

from __future__ import annotations

import torch

from wellposed_sparse.shrinkage import select_support, soft_threshold


def values(count: int = 40) -> torch.Tensor:
    return torch.randn(3, 1, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_soft_thresholding_is_the_proximal_map_of_the_l1_norm() -> None:
    v, threshold = values(), 0.3
    x = soft_threshold(v, threshold)
    # The optimality condition of ½(x − v)² + θ|x|.
    assert torch.allclose((v - x)[x != 0], threshold * x.sign()[x != 0], atol=1e-15)
    assert bool(((v - x)[x == 0].abs() <= threshold).all())
    assert 0 < int((x == 0).sum()) < x.numel()


def test_a_negative_threshold_counts_as_zero() -> None:
    assert torch.equal(soft_threshold(values(), -0.2), values())
    assert torch.equal(select_support(values(), torch.tensor(-0.2), 0.2), values())


def test_the_largest_entries_of_each_sample_pass_unchanged() -> None:
    v, threshold, fraction = values(), 0.8, 0.25
    x = select_support(v, threshold, fraction)
    for given, found in zip(v.flatten(1), x.flatten(1), strict=True):
        kth = given.abs().sort(descending=True).values[9]
        for before, after in zip(given.tolist(), found.tolist(), strict=True):
            large = abs(before) >= kth and abs(before) > threshold
            shrunk = max(abs(before) - threshold, 0.0) * (1 if before > 0 else -1)
            assert abs(after - (before if large else shrunk)) < 1e-15


def test_entries_below_the_threshold_are_no_support() -> None:
    v = 0.1 * values()
    assert torch.equal(select_support(v, 10.0, 0.5), torch.zeros_like(v))


def test_fractions_of_nothing_and_of_all() -> None:
    v = values()
    assert torch.equal(select_support(v, 0.3, 0.001), soft_threshold(v, 0.3))
    assert torch.equal(select_support(v, 0.3, 1.0), torch.where(v.abs() > 0.3, v, 0.0))


def test_derivatives_are_those_of_finite_differences() -> None:
    v = values().requires_grad_()
    threshold = torch.tensor(0.31, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: select_support(a, b, 0.2), (v, threshold))
