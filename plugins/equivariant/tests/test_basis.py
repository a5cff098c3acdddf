"""Bases of steerable kernels: the condition they solve, how many there are, and that they miss none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wellposed import InputError
from wellposed_equivariant.steerable.basis import steerable_basis
from wellposed_equivariant.steerable.group import Cyclic
from wellposed_equivariant.steerable.representation import Fields, Regular, Trivial

TRIVIAL, REGULAR = Trivial(), Regular()


@pytest.mark.parametrize(("kernel_size", "functions"), [(1, 1), (3, 6), (5, 11), (7, 18)])
@pytest.mark.parametrize("order", [1, 3, 4, 8])
def test_there_are_as_many_kernels_as_band_limited_functions(order: int, kernel_size: int, functions: int) -> None:
    """A kernel to or from a regular field is a function of any kind in all its positions (Weiler and Cesa 2019)."""
    group = Cyclic(order)
    assert len(steerable_basis(group, TRIVIAL, REGULAR, kernel_size)) == functions
    assert len(steerable_basis(group, REGULAR, TRIVIAL, kernel_size)) == functions
    assert len(steerable_basis(group, REGULAR, REGULAR, kernel_size)) == functions * order


@pytest.mark.parametrize(("order", "count"), [(1, 6), (2, 4), (3, 2), (4, 2), (8, 2)])
def test_between_images_the_frequencies_are_multiples_of_the_order(order: int, count: int) -> None:
    """At 3 × 3: the one of ring 0, and of ring 1 those of `1, cos θ, sin θ, cos 2θ, sin 2θ` that no turn changes."""
    assert len(steerable_basis(Cyclic(order), TRIVIAL, TRIVIAL, 3)) == count


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6, 8, 12])
@pytest.mark.parametrize("source", [TRIVIAL, REGULAR])
@pytest.mark.parametrize("target", [TRIVIAL, REGULAR])
def test_kernels_are_independent_and_of_unit_norm(order: int, source: object, target: object) -> None:
    basis = steerable_basis(Cyclic(order), source, target, 5)  # type: ignore[arg-type]
    flat = basis.reshape(len(basis), -1)
    singular = np.linalg.svd(flat, compute_uv=False)
    assert singular[-1] > 1e-2 * singular[0]
    np.testing.assert_allclose(np.square(flat).sum(1) / basis.shape[1], 1.0, rtol=1e-12)


@pytest.mark.parametrize("source", [TRIVIAL, REGULAR])
@pytest.mark.parametrize("target", [TRIVIAL, REGULAR])
@pytest.mark.parametrize("order", [4, 8])
def test_quarter_turns_of_the_grid_solve_the_condition(order: int, source: object, target: object) -> None:
    """`K(g x) = ρ_target(g) K(x) ρ_source(g)⁻¹` with g the quarter turn, which permutes the pixels."""
    group = Cyclic(order)
    quarter = order // 4
    basis = steerable_basis(group, source, target, 5)  # type: ignore[arg-type]
    rows, columns = target.matrices(group)[quarter], source.matrices(group)[quarter]  # type: ignore[attr-defined]
    moved = np.einsum("op,dpqyx,iq->doiyx", rows, np.rot90(basis, 1, (-2, -1)), columns)
    np.testing.assert_allclose(moved, basis, atol=1e-14)


def test_of_order_1_nothing_but_the_band_limit_is_left() -> None:
    basis = steerable_basis(Cyclic(1), REGULAR, REGULAR, 3)
    trivial = steerable_basis(Cyclic(1), TRIVIAL, TRIVIAL, 3)
    np.testing.assert_array_equal(basis, trivial)


@pytest.mark.parametrize("order", [2, 5, 8])
def test_representations_multiply_as_the_elements_do(order: int) -> None:
    group = Cyclic(order)
    for matrices in (REGULAR.matrices(group), group.harmonic(1), group.harmonic(3), TRIVIAL.matrices(group)):
        for g in range(order):
            for h in range(order):
                np.testing.assert_allclose(matrices[g] @ matrices[h], matrices[(g + h) % order], atol=1e-14)


def test_what_a_bias_may_add_is_left_alone() -> None:
    group = Cyclic(6)
    vectors = REGULAR.invariant(group)
    np.testing.assert_allclose(np.einsum("goi,mi->gmo", REGULAR.matrices(group), vectors), [vectors] * 6, atol=1e-15)
    np.testing.assert_allclose(vectors @ vectors.T, [[1.0]])


def test_a_representation_of_the_user_gets_its_own_kernels() -> None:
    """The basis is computed from the condition alone: the turning plane vectors of C_4, for instance."""

    class Vectors(Trivial):
        def matrices(self, group: Cyclic) -> np.ndarray:  # type: ignore[override]
            return group.harmonic(1)

    group, vectors = Cyclic(4), Vectors()
    basis = steerable_basis(group, TRIVIAL, vectors, 3)
    moved = np.einsum("op,dpqyx->doqyx", vectors.matrices(group)[1], np.rot90(basis, 1, (-2, -1)))
    np.testing.assert_allclose(moved, basis, atol=1e-14)
    assert len(basis) == 2  # cos θ and sin θ of ring 1 as a gradient, and turned by 90°


def test_channels_of_fields() -> None:
    assert Fields(6, REGULAR).channels(Cyclic(4)) == 24
    assert Fields(6, TRIVIAL).channels(Cyclic(4)) == 6


def test_bad_sizes_get_a_sentence() -> None:
    with pytest.raises(InputError, match="odd size"):
        steerable_basis(Cyclic(4), TRIVIAL, TRIVIAL, 4)
    with pytest.raises(InputError, match="order of at least 1"):
        Cyclic(0)


def test_white_noise_keeps_its_variance() -> None:
    """The norm of the basis makes `Σ w²` the variance of what a convolution makes of white noise."""
    from wellposed_equivariant.layers.steerable import SteerableConvolution

    generator = torch.Generator().manual_seed(0)
    for order in (4, 8):
        layer = SteerableConvolution(Cyclic(order), Fields(8, REGULAR), Fields(16, REGULAR), 3, "circular")
        layer.initialise(generator, 1.0)
        out = layer(torch.randn(2, 8 * order, 32, 32, generator=generator))
        assert abs(float(out.detach().var()) - 1) < 0.15
