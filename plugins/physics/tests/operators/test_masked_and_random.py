"""Inpainting, compressed sensing, matrices, files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch

from wellposed.algebra import stack
from wellposed.errors import InputError, ShapeError
from wellposed_physics.operators.block_compressed_sensing import BlockCompressedSensing
from wellposed_physics.operators.compressed_sensing import CompressedSensing
from wellposed_physics.operators.file_pattern import FilePattern
from wellposed_physics.operators.hadamard import walsh_hadamard
from wellposed_physics.operators.inpainting import Inpainting, PixelMask
from wellposed_physics.operators.matrix import Matrix

ROOT = Path(__file__).resolve().parents[4]
SHARED = Path(os.environ.get("WELLPOSED_SHARED", ROOT / "../shared")) / "data"
SPARSE = SHARED / "sparse"

needs_data = pytest.mark.skipif(not SPARSE.exists(), reason="the shared data folder is not here")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Inpainting ---------------------------------------------------------------------------------------


def test_norms_of_operators_made_of_a_mask_per_sample_are_the_largest_of_the_samples():
    masks = torch.zeros(3, 1, 4, 4)
    masks[0, 0, 0], masks[1], masks[2, 0, 1:3] = 1, 1, 1
    a = Inpainting((4, 4), masks).double()
    whole = stack([a, 2.0 * a])
    assert whole.samples == 3
    assert whole.norm() == pytest.approx(5**0.5, rel=0.01)
    assert whole.take(torch.tensor([2])).samples == 1
    for block in a.row_blocks(2):
        assert block.norm() == pytest.approx(1.0, rel=0.01)
    assert Inpainting((4, 4), masks[0, 0]).samples is None


def test_inpainting_keeps_observed_pixels_and_zeros_the_others():
    mask = torch.tensor([[1, 0], [0, 1]])
    x = normal(1, 2, 2, 2)
    y = Inpainting((2, 2), mask, channels=2).double()(x)
    assert torch.equal(y, x * mask)


@pytest.mark.parametrize("ratio", [0.1, 0.37, 1.0])
def test_pixel_mask_has_exactly_its_ratio(ratio):
    mask = PixelMask(ratio, seed=5)((40, 50))
    assert int(mask.sum()) == round(ratio * 2000)
    assert torch.equal(mask, PixelMask(ratio, seed=5)((40, 50)))
    assert ratio == 1.0 or not torch.equal(mask, PixelMask(ratio, seed=6)((40, 50)))


def test_masks_per_sample_are_selected_with_the_samples():
    masks = torch.stack([PixelMask(0.5, seed)((4, 5)) for seed in range(3)])[:, None]
    operator, x = Inpainting((4, 5), masks).double(), normal(3, 1, 4, 5)
    index = torch.tensor([2, 0])
    assert torch.equal(operator.take(index)(x[index]), operator(x)[index])
    assert operator.samples == 3
    with pytest.raises(InputError, match=r"holds the data of 3 samples.*take\(index\)"):
        operator(x[:1])


def test_bad_masks_are_told():
    with pytest.raises(ShapeError, match=r"\(4, 4\).*\(3, 4\)"):
        Inpainting((4, 4), torch.ones(3, 4))
    with pytest.raises(InputError, match="zeros and ones"):
        Inpainting((2, 2), torch.tensor([[0.5, 1.0], [0.0, 1.0]]))
    with pytest.raises(InputError, match="without a single observed"):
        Inpainting((2, 2), torch.zeros(2, 2))
    with pytest.raises(InputError, match="ratio in"):
        PixelMask(1.5)


# Whole-image compressed sensing -------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 32, 64, 2048])
def test_walsh_hadamard_is_sylvesters(length):
    x = normal(3, length)
    expected = x @ torch.from_numpy(scipy.linalg.hadamard(length) / length**0.5).double()
    torch.testing.assert_close(walsh_hadamard(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ensemble", ["gaussian", "hadamard"])
def test_rows_are_orthonormal_and_seeded(ensemble):
    operator = CompressedSensing((8, 16), 0.3, ensemble=ensemble, seed=1).double()
    assert operator.range.shape == (38,)
    y = torch.eye(38, dtype=torch.float64)
    torch.testing.assert_close(operator(operator.adjoint(y)), y, rtol=0, atol=1e-13)
    x = normal(1, 1, 8, 16)
    again = CompressedSensing((8, 16), 0.3, ensemble=ensemble, seed=1).double()
    other = CompressedSensing((8, 16), 0.3, ensemble=ensemble, seed=2).double()
    assert torch.equal(operator(x), again(x))
    assert not torch.allclose(operator(x), other(x))


def test_hadamard_measures_the_mean():
    y = CompressedSensing((8, 8), measurements=5, ensemble="hadamard").double()(torch.ones(1, 1, 8, 8).double())
    torch.testing.assert_close(y, torch.tensor([[8.0, 0, 0, 0, 0]]).double())


def test_independent_gaussian_entries_have_their_variance():
    operator = CompressedSensing((20, 20), 0.5, orthonormal=False).double()
    y = operator(torch.ones(1, 1, 20, 20).double())
    assert float(y.square().mean()) == pytest.approx(400 / 200, rel=0.3)
    assert operator.norm() == pytest.approx(1 + 2**0.5, rel=0.05)  # Marchenko-Pastur edge 1 + √(n/m)


def test_bad_ensembles_are_told():
    with pytest.raises(InputError, match="either ratio or measurements"):
        CompressedSensing((8, 8))
    with pytest.raises(InputError, match="1 to 64"):
        CompressedSensing((8, 8), measurements=65)
    with pytest.raises(ShapeError, match="power of 2"):
        CompressedSensing((8, 9), 0.5, ensemble="hadamard")


# Block compressed sensing -------------------------------------------------------------------------


def test_blocks_are_padded_below_and_right_and_numbered_by_rows():
    operator = BlockCompressedSensing((5, 7), 3, 0.5, seed=2).double()
    x = normal(2, 1, 5, 7)
    padded = torch.nn.functional.pad(x[:, 0], (0, 2, 0, 1))
    phi = operator.exact("matrix")
    blocks = [padded[:, r : r + 3, c : c + 3].reshape(2, 9) @ phi.T for r in (0, 3) for c in (0, 3, 6)]
    torch.testing.assert_close(operator(x), torch.stack(blocks, 1))


def test_images_of_another_size_are_measured_by_the_same_matrix():
    operator = BlockCompressedSensing((8, 8), block=4, ratio=0.5).double()
    other = operator.for_shape((1, 9, 5))
    assert other.domain.shape == (1, 9, 5)
    assert torch.equal(other.exact("matrix"), operator.exact("matrix"))
    x = normal(1, 1, 8, 8)
    torch.testing.assert_close(operator.for_shape((1, 4, 4))(x[..., :4, 4:]), operator(x)[:, 1:2])
    assert operator.for_shape((1, 8, 8)) is operator
    # The digits that single precision lost are there in the other size, too.
    single = BlockCompressedSensing((8, 8), block=4, ratio=0.5)
    assert single.for_shape((1, 4, 4)).exact("matrix").dtype == torch.float32
    assert torch.equal(single.for_shape((1, 4, 4)).double().exact("matrix"), operator.exact("matrix"))
    with pytest.raises(ShapeError, match=r"takes images \(1, height, width\)"):
        operator.for_shape((3, 8, 8))


@pytest.mark.parametrize(
    ("ratio", "rows"), [(0.01, 10), (0.04, 43), (0.1, 109), (0.25, 272), (0.3, 327), (0.4, 436), (0.5, 545)]
)
def test_published_row_numbers(ratio, rows):
    assert BlockCompressedSensing((33, 33), ratio=ratio).range.shape == (1, rows)


def test_block_arguments_are_checked():
    with pytest.raises(InputError, match="either ratio"):
        BlockCompressedSensing((8, 8), 4)
    with pytest.raises(ShapeError, match="16 columns"):
        BlockCompressedSensing((8, 8), 4, matrix=torch.ones(3, 15))


@needs_data
def test_set11_protocol_with_the_published_matrix():
    """Φᵀy of Set11 at 25 %: 7.6 dB on average (facts/sparse.md, section 2.4)."""
    phi = FilePattern(str(SPARSE / "phi/phi_0_25_1089.mat"), "phi")
    rows = phi()
    assert rows.shape == (272, 1089)
    torch.testing.assert_close(rows @ rows.T, torch.eye(272).double(), rtol=0, atol=1e-12)
    psnrs = []
    for path in sorted((SPARSE / "Set11").glob("*.tif")):
        image = FilePattern(str(path))().double() / 255
        image = image[..., 0] if image.ndim == 3 else image
        operator = BlockCompressedSensing(tuple(image.shape), matrix=phi).double()
        assert operator.range.shape == ({256: 64, 512: 256}[image.shape[0]], 272)
        y = operator(image[None, None])
        back = operator.adjoint(y)[0, 0].clamp(0, 1)
        psnrs.append(-10 * float((back - image).square().mean().log10()))
        torch.testing.assert_close(operator(operator.pinv(y)), y, rtol=1e-9, atol=1e-9)
    assert len(psnrs) == 11
    assert np.mean(psnrs) == pytest.approx(7.6, abs=0.05)


@needs_data
def test_learned_initialisation_fits_our_block_order():
    """`Q y` reaches the peer's 26.92 dB only if blocks are vectorised and numbered as the peer does."""
    phi = FilePattern(str(SPARSE / "phi/phi_0_25_1089.mat"), "phi")
    initial = FilePattern(str(SPARSE / "qinit/Initialization_Matrix_25.mat"), "Qinit")()
    psnrs = []
    for path in sorted((SPARSE / "Set11").glob("*.tif")):
        image = FilePattern(str(path))().double() / 255
        image = image[..., 0] if image.ndim == 3 else image
        operator = BlockCompressedSensing(tuple(image.shape), matrix=phi).double()
        blocks = operator(image[None, None]) @ initial.T
        found = operator._joined(blocks.unflatten(1, operator.grid))[0, 0].clamp(0, 1)
        psnrs.append(-10 * float((found - image).square().mean().log10()))
    assert np.mean(psnrs) == pytest.approx(26.92, abs=0.02)


# Matrices and files -------------------------------------------------------------------------------


def test_sparse_and_dense_matrices_agree():
    dense = normal(7, 5) * (normal(7, 5, seed=1) > 0)
    for layout in (dense.to_sparse_coo(), dense.to_sparse_csr()):
        sparse, full = Matrix.from_tensor(layout).double(), Matrix.from_tensor(dense).double()
        x, y = normal(3, 5), normal(3, 7)
        torch.testing.assert_close(sparse(x), full(x))
        torch.testing.assert_close(sparse.adjoint(y), full.adjoint(y))
        assert sparse.norm() == pytest.approx(full.norm(), rel=2e-3)


def test_rows_of_numbers_are_a_matrix():
    operator = Matrix((1, 2), (3,), [[1.0, 2.0], [0.0, 1.0], [4.0, 0.0]])
    torch.testing.assert_close(operator(torch.tensor([[[1.0, 10.0]]])), torch.tensor([[21.0, 10.0, 4.0]]))


def test_bad_matrices_are_told():
    with pytest.raises(ShapeError, match="3 rows"):
        Matrix((2,), (3,), [[1.0, 2.0]])
    with pytest.raises(ShapeError, match="different lengths"):
        Matrix((2,), (2,), [[1.0, 2.0], [1.0]])
    with pytest.raises(InputError, match="not finite"):
        Matrix((2,), (1,), [[1.0, float("nan")]])
    with pytest.raises(InputError, match="real matrix"):
        Matrix((1,), (1,), torch.ones(1, 1, dtype=torch.complex64))


def test_file_pattern_reads_and_shifts(tmp_path):
    corner = np.zeros((6, 5))
    corner[0, 0] = 1
    np.save(tmp_path / "mask.npy", corner)
    assert torch.equal(FilePattern(str(tmp_path / "mask.npy"))(), torch.from_numpy(corner))
    shifted = FilePattern(str(tmp_path / "mask.npy"), shift=True)((6, 5))
    assert shifted[3, 2] == 1
    np.savez(tmp_path / "two.npz", a=corner, b=corner.astype(">u2") + 60000)
    assert int(FilePattern(str(tmp_path / "two.npz"), "b")().max()) == 60001
    with pytest.raises(InputError):
        FilePattern(str(tmp_path / "nothing.npy"))()


@needs_data
def test_published_masks_have_dc_in_the_centre_when_shifted():
    radial = FilePattern(str(SPARSE / "mri_masks/mask_20.mat"), "mask_matrix", shift=True)()
    assert float(radial.double().mean()) == pytest.approx(0.2019, abs=1e-4)
    assert bool((radial[126:131, 126:131] == 1).all())
