"""Arguments that operators share: masks of samples that differ, sizes, ranges, and dense closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed_physics.mri.multicoil import MulticoilFourier
from wellposed_physics.mri.sensitivities import smooth_maps
from wellposed_physics.operators.arguments import binary_mask, check_fraction, check_positive, generator, image_size
from wellposed_physics.operators.block_compressed_sensing import BlockCompressedSensing
from wellposed_physics.operators.dense import SingularValues, gaussian_rows, has_orthonormal_rows
from wellposed_physics.operators.hadamard import sylvester, walsh_hadamard
from wellposed_physics.operators.matrix import Matrix

SHAPE = (3, 4)


def masks() -> Tensor:
    mask = torch.zeros(3, 2, *SHAPE)
    mask[..., 1, 2] = 1
    return mask


def test_masks_of_samples_and_channels_come_back_as_truth_values() -> None:
    chosen, per_sample = binary_mask(masks(), SHAPE, "X", channels=2)
    assert per_sample
    assert chosen.dtype == torch.bool
    assert torch.equal(chosen, masks() == 1)
    chosen, per_sample = binary_mask(masks()[0, 0] == 1, SHAPE, "X")
    assert not per_sample
    assert torch.equal(chosen, masks()[0, 0] == 1)


@pytest.mark.parametrize("place", [(0, 0), (2, 1)])
def test_one_empty_mask_among_many_is_refused(place: tuple[int, int]) -> None:
    mask = masks()
    mask[place] = 0
    with pytest.raises(InputError, match="X was given a mask without a single observed entry"):
        binary_mask(mask, SHAPE, "X", channels=2)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0])
def test_one_entry_that_is_neither_zero_nor_one_is_refused(value: float) -> None:
    mask = masks()
    mask[1, 0, 2, 3] = value
    low, high = min(value, 0.0), max(value, 1.0)
    with pytest.raises(InputError, match=rf"zeros and ones; values from {low:g} to {high:g}"):
        binary_mask(mask, SHAPE, "X", channels=2)


@pytest.mark.parametrize("shape", [(4, 3), (1, *SHAPE), (1, 1, 1, *SHAPE), (1, 1, 4, 4), (2, 3, *SHAPE)])
def test_masks_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"takes a mask of shape|a mask per sample has 1 or 2"):
        binary_mask(torch.ones(shape), SHAPE, "X", channels=2)


def test_ranges_hold_their_ends() -> None:
    check_fraction(1.0, "ratio", "X")
    check_positive(1e-30, "sigma", "X")
    for value in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(InputError, match=r"X needs ratio in \(0, 1\]"):
            check_fraction(value, "ratio", "X")
    for value in (0.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="list needs sigma > 0"):
            check_positive(value, "sigma", [])
    assert image_size((3, 4), "X") == (3, 4)
    for shape in ((3,), (1, 3, 4), (0, 3), (3, 0)):
        with pytest.raises((InputError, ShapeError)):
            image_size(shape, "X")
    assert torch.equal(torch.rand(3, generator=generator(4)), torch.rand(3, generator=generator(4)))


@pytest.mark.parametrize("factor", [0.5, -1.0, 1.0, 2.0])
def test_rows_count_as_orthonormal_only_where_they_are(factor: float) -> None:
    """`M Mᵀ = I`: half the identity is not, though no entry of `M Mᵀ − I` is large and positive."""
    rows = torch.linalg.qr(torch.randn(6, 4, generator=generator(0), dtype=torch.float64)).Q.T
    assert has_orthonormal_rows(factor * rows) is (abs(factor) == 1)
    assert not has_orthonormal_rows(rows.T)
    values = SingularValues.of(factor * rows)
    assert values.norm == pytest.approx(abs(factor))
    operator = Matrix([6], [4], factor * rows)
    assert operator.norm() == pytest.approx(abs(factor), rel=1e-9)


def test_one_pair_of_rows_that_is_not_orthogonal_decides() -> None:
    rows = torch.eye(5, dtype=torch.float64)[:4].clone()
    rows[3] = torch.tensor([0.0, 0.0, 0.6, 0.8, 0.0], dtype=torch.float64)
    assert not has_orthonormal_rows(rows)
    rows[3] = torch.tensor([0.0, 0.0, 0.0, 0.8, 0.6], dtype=torch.float64)
    assert has_orthonormal_rows(rows)


def low_rank() -> Tensor:
    return torch.randn(5, 2, generator=generator(1), dtype=torch.float64) @ torch.randn(
        2, 7, generator=generator(2), dtype=torch.float64
    )


@pytest.mark.parametrize("matrix", [low_rank(), low_rank().T, torch.zeros(3, 4, dtype=torch.float64)])
def test_inversions_of_matrices_without_full_rank(matrix: Tensor) -> None:
    values = SingularValues.of(matrix)
    assert len(values.sigma) == int(torch.linalg.matrix_rank(matrix))
    assert values.norm == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)))
    y = torch.randn(3, matrix.shape[0], generator=generator(3), dtype=torch.float64)
    torch.testing.assert_close(values.pinv(y), y @ torch.linalg.pinv(matrix).T)
    rhs = torch.randn(3, matrix.shape[1], generator=generator(4), dtype=torch.float64)
    normal, eye = matrix.T @ matrix, torch.eye(matrix.shape[1], dtype=torch.float64)
    for shift in (0.3, 2.0):
        found = values.solve_normal(rhs, torch.tensor(shift, dtype=torch.float64))
        torch.testing.assert_close(found, rhs @ torch.linalg.inv(normal + shift * eye))
    shifts = torch.tensor([[0.3], [2.0], [1.0]], dtype=torch.float64)
    each = torch.stack([torch.linalg.solve(normal + s * eye, r) for s, r in zip(shifts, rhs, strict=True)])
    torch.testing.assert_close(values.solve_normal(rhs, shifts), each)
    zero = values.solve_normal(rhs, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(zero, rhs @ torch.linalg.pinv(normal, rtol=1e-9))


def test_random_rows_have_the_variance_and_the_orthogonality_they_promise() -> None:
    rows = gaussian_rows(200, 300, generator(0), orthonormal=False)
    assert rows.dtype == torch.float64
    assert float(rows.square().sum(0).mean()) == pytest.approx(1.0, rel=0.02)
    assert float(rows.mean()) == pytest.approx(0.0, abs=4 / (200 * 60000**0.5) ** 0.5)
    basis = gaussian_rows(20, 30, generator(0), orthonormal=True)
    torch.testing.assert_close(basis @ basis.T, torch.eye(20, dtype=torch.float64))
    # Uniform on the Stiefel manifold: the signs of QR are undone, so that no column is of one sign.
    first = torch.stack([gaussian_rows(1, 3, generator(seed), orthonormal=True)[0] for seed in range(200)])
    assert float(first.mean(0).abs().max()) < 0.15


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_number_of_a_matrix_or_of_coil_maps_that_is_not_finite(value: float) -> None:
    matrix = torch.ones(3, 4)
    matrix[1, 2] = value
    with pytest.raises(InputError, match="must be real and finite"):
        BlockCompressedSensing((4, 4), block=2, matrix=matrix)
    with pytest.raises(InputError, match="must be real and finite"):
        BlockCompressedSensing((4, 4), block=2, matrix=torch.ones(3, 4) + 0j)
    maps = torch.ones(2, 4, 4, dtype=torch.complex64)
    maps[1, 2, 3] = value
    with pytest.raises(InputError, match="sensitivities hold values that are not finite"):
        MulticoilFourier((4, 4), sensitivities=maps)


@pytest.mark.parametrize("place", [0, 1])
def test_one_sample_without_a_centre_has_no_maps(place: int) -> None:
    kspace = torch.ones(2, 3, 8, 8, dtype=torch.complex128)
    kspace[place] = 0
    with pytest.raises(InputError, match="the centre of this k-space is zero"):
        smooth_maps(kspace)


@pytest.mark.parametrize("length", [3, 6, 12])
def test_hadamard_transforms_have_a_power_of_two_as_length(length: int) -> None:
    with pytest.raises(ShapeError, match=f"a power of 2; {length} was given"):
        walsh_hadamard(torch.ones(2, length))


@pytest.mark.parametrize("bits", [0, 1, 5, 6, 11])
def test_the_hadamard_transform_is_its_matrix_and_its_own_inverse(bits: int) -> None:
    x = torch.randn(2, 3, 1 << bits, generator=generator(0), dtype=torch.float64)
    found = walsh_hadamard(x)
    torch.testing.assert_close(found, x @ sylvester(bits, x))
    torch.testing.assert_close(walsh_hadamard(found), x)
