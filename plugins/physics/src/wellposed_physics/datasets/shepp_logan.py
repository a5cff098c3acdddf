"""The modified Shepp-Logan phantom."""

from __future__ import annotations

import math

import torch

from wellposed.dataset import Dataset, Sample

from .arguments import check_counts
from .rendering import render_ellipses

_TILT = math.radians(18)

#: value, half-axes, centre, rotation, on the square [−1, 1]². Shepp & Logan's ellipses, Toft's contrasts.
ELLIPSES = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -_TILT),
    (-0.2, 0.16, 0.41, -0.22, 0.0, _TILT),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)


class SheppLogan(Dataset):
    """The modified Shepp-Logan head phantom, from 0 to 1.

    Ten ellipses, point-sampled as ODL's `shepp_logan(space, modified=True)` does, upright: at `size=128`
    the pixels sum to 1992.5. `length` samples are the same image, for as many noise realisations. Images
    `(1, size, size)`. Raises `InputError` for sizes below 2.
    """

    source = "Shepp & Logan 1974, IEEE Trans. Nucl. Sci. 21:21; contrasts of Toft 1996, The Radon Transform"

    def __init__(self, size: int = 128, length: int = 1) -> None:
        check_counts(self, size=(size, 2), length=(length, 1))
        self.size, self.length = size, length
        self._image = render_ellipses(torch.tensor(ELLIPSES, dtype=torch.float64), size).float()[None]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        self.check_index(index)
        return Sample("shepp-logan", self._image.clone())
