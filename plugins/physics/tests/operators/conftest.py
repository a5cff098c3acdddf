"""Small instances of every operator of `operators` and `mri`, and their dense matrices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from wellposed.operator import LinearOperator
from wellposed_physics.mri.coil_maps import Birdcage
from wellposed_physics.mri.fourier import Fourier
from wellposed_physics.mri.masks import CartesianMask, RandomMask
from wellposed_physics.mri.multicoil import MulticoilFourier
from wellposed_physics.operators.block_compressed_sensing import BlockCompressedSensing
from wellposed_physics.operators.complexify import Complexify
from wellposed_physics.operators.compressed_sensing import CompressedSensing
from wellposed_physics.operators.convolution import Convolution
from wellposed_physics.operators.downsampling import Downsampling
from wellposed_physics.operators.identity import Identity
from wellposed_physics.operators.inpainting import Inpainting, PixelMask
from wellposed_physics.operators.kernels import GaussianKernel
from wellposed_physics.operators.matrix import Matrix


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sparse_matrix() -> torch.Tensor:
    dense = numbers(14, 12)
    return (dense * (dense.abs() > 0.8)).to_sparse_coo()


ASYMMETRIC = torch.tensor([[0.1, 0.7, 0.1, -0.05], [0.0, 0.2, 0.02, 0.03], [0.05, 0.0, 0.1, 0.0]]).double()
BLOCK_MATRIX = numbers(9, 16, seed=5)
PIXELS = torch.arange(30).view(5, 6) % 3 != 0

#: (operator, whether its inversions are closed forms)
CASES: dict[str, tuple[Callable[[], LinearOperator], bool]] = {
    "fourier-even": (lambda: Fourier((8, 6), RandomMask(0.5)), True),
    "fourier-odd": (lambda: Fourier((5, 7), CartesianMask(2.0, 0.3), channels=2), True),
    "fourier-full": (lambda: Fourier((4, 6)), True),
    "multicoil": (lambda: MulticoilFourier((6, 5), RandomMask(0.6, 2), Birdcage(3)), False),
    "multicoil-full": (
        lambda: MulticoilFourier((5, 4), None, numbers(3, 5, 4, dtype=torch.complex128)),
        True,
    ),
    "convolution-circular": (lambda: Convolution((7, 8), ASYMMETRIC, channels=2), True),
    "convolution-reflect": (lambda: Convolution((7, 6), ASYMMETRIC, "reflect"), False),
    "convolution-valid": (lambda: Convolution((7, 8), ASYMMETRIC, "valid", channels=2), False),
    "convolution-gaussian": (lambda: Convolution((6, 6), GaussianKernel(0.6, 5), "reflect"), False),
    "inpainting": (lambda: Inpainting((5, 6), PIXELS, channels=2), True),
    "pixel-mask": (lambda: Inpainting((5, 6), PixelMask(0.4)), True),
    "gaussian": (lambda: CompressedSensing((5, 6), 0.5), True),
    "gaussian-independent": (lambda: CompressedSensing((5, 6), measurements=11, orthonormal=False), True),
    "hadamard": (lambda: CompressedSensing((8, 4), 0.4, ensemble="hadamard"), True),
    "block-gaussian": (lambda: BlockCompressedSensing((7, 10), 4, 0.5), True),
    "block-matrix": (lambda: BlockCompressedSensing((4, 9), 4, matrix=BLOCK_MATRIX), True),
    "block-exact-fit": (lambda: BlockCompressedSensing((4, 8), 4, 0.25), True),
    "block-larger": (lambda: BlockCompressedSensing((3, 5), 6, 0.6), True),
    "downsampling": (lambda: Downsampling((8, 6), 2), True),
    "downsampling-3": (lambda: Downsampling((9, 6), 3, ASYMMETRIC, channels=2), True),
    "identity": (lambda: Identity((5, 4)), True),
    "complexify": (lambda: Complexify((5, 4)), True),
    "matrix-tall": (lambda: Matrix((2, 3), (8,), numbers(8, 6)), True),
    "matrix-wide": (lambda: Matrix((2, 4), (5,), numbers(5, 8)), True),
    "matrix-deficient": (lambda: Matrix((6,), (7,), numbers(7, 2) @ numbers(2, 6, seed=1)), True),
    "matrix-sparse": (lambda: Matrix((3, 4), (2, 7), sparse_matrix()), False),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[LinearOperator, bool]:
    """An operator in float64, and whether it has closed-form inversions."""
    make, closed = CASES[request.param]
    return make().double(), closed


@pytest.fixture
def operator(case: tuple[LinearOperator, bool]) -> LinearOperator:
    return case[0]


@pytest.fixture
def draw() -> Callable[..., torch.Tensor]:
    """`draw(space, batch, seed, dtype)`: standard normal samples."""

    def _draw(space, batch: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        return space.randn(batch, torch.Generator().manual_seed(seed), dtype)

    return _draw


@pytest.fixture
def dense() -> Callable[[LinearOperator], torch.Tensor]:
    """The real matrix of an operator, complex numbers as pairs, by applying it to every unit vector."""

    def _dense(operator: LinearOperator) -> torch.Tensor:
        return as_real(operator(units(operator.domain))).T.contiguous()

    return _dense


@pytest.fixture
def real() -> Callable[[torch.Tensor], torch.Tensor]:
    return as_real


def as_real(x: torch.Tensor) -> torch.Tensor:
    """Samples as real rows."""
    return (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).flatten(1)


def units(space) -> torch.Tensor:
    count = space.size * (2 if space.is_complex else 1)
    rows = torch.eye(count, dtype=torch.float64)
    if space.is_complex:
        rows = torch.view_as_complex(rows.view(count, -1, 2))
    return rows.reshape(count, *space.shape)
