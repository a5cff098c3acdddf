"""Images cut into square tiles and put together again."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional


def grid_of(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns of tiles that cover an image."""
    return math.ceil(height / side), math.ceil(width / side)


def cut(x: Tensor, side: int) -> Tensor:
    """Tiles `(B, rows, columns, C, side, side)` of images `(B, C, H, W)`, padded with zeros below and on the right."""
    rows, columns = grid_of(x.shape[-2], x.shape[-1], side)
    below, right = rows * side - x.shape[-2], columns * side - x.shape[-1]
    padded = functional.pad(x, (0, right, 0, below))
    tiles = padded.reshape(len(x), x.shape[1], rows, side, columns, side)
    return tiles.permute(0, 2, 4, 1, 3, 5)


def join(tiles: Tensor, size: tuple[int, int]) -> Tensor:
    """The images `(B, C, *size)` of tiles `(B, rows, columns, C, side, side)`, without their padding."""
    batch, rows, columns, channels, side, _ = tiles.shape
    padded = tiles.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * side, columns * side)
    return padded[..., : size[0], : size[1]]
