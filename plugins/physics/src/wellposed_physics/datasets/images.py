"""From arrays of files to images: channels first, numbers from 0 to 1, cuts and sizes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wellposed.errors import InputError

#: Luminance of red, green and blue (ITU-R BT.709).
_LUMINANCE = (0.2125, 0.7154, 0.0721)


def as_image(array: np.ndarray, where: object, *, grayscale: bool, divide_by: float | None = None) -> Tensor:
    """An array `(H, W)`, `(H, W, channels)` or `(1 or 3, H, W)` as an image `(C, H, W)`, float32 or complex64.

    Numbers are divided by `divide_by`; without it unsigned integers by the largest of their type, others
    not. An alpha channel is dropped. `grayscale` takes the luminance of colours. A copy.
    Raises `InputError`, beginning with `where`, for other shapes and for numbers that are not finite.
    """
    planes = _channels_first(array, where)
    if divide_by is None:
        divide_by = float(np.iinfo(array.dtype).max) if array.dtype.kind == "u" else 1.0
    image = torch.from_numpy(np.array(planes, dtype=np.complex64 if array.dtype.kind == "c" else np.float32))
    if not bool(torch.isfinite(image).all()):
        raise InputError(f"{where} holds numbers that are not finite")
    image = image / divide_by
    if grayscale and len(image) == 3:
        weights = torch.tensor(_LUMINANCE, dtype=image.dtype)
        image = torch.einsum("c,chw->hw", weights, image)[None]
    return image


def central_square(image: Tensor, side: int | None, where: object) -> Tensor:
    """The square in the middle; the largest there is without `side`."""
    height, width = image.shape[-2:]
    side = min(height, width) if side is None else side
    check_fits(image, side, where)
    return cut(image, (height - side) // 2, (width - side) // 2, side)


def cut(image: Tensor, top: int, left: int, side: int) -> Tensor:
    return image[..., top : top + side, left : left + side]


def check_fits(image: Tensor, side: int, where: object) -> None:
    if side > min(image.shape[-2:]):
        height, width = image.shape[-2:]
        raise InputError(f"{where} is {height} × {width}; a square of {side} pixels cannot be cut from it")


def resized(image: Tensor, size: int) -> Tensor:
    """The image at `size × size` pixels: area weights where it shrinks (no aliasing), linear where it grows."""
    if image.shape[-2:] == (size, size):
        return image
    if image.is_complex():
        return torch.complex(resized(image.real, size), resized(image.imag, size))
    options = {"size": (size, size), "mode": "bilinear", "align_corners": False, "antialias": True}
    return functional.interpolate(image[None], **options)[0]  # type: ignore[arg-type]


def _channels_first(array: np.ndarray, where: object) -> np.ndarray:
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3 and array.shape[2] in (1, 2, 3, 4):
        colours = array if array.shape[2] in (1, 3) else array[:, :, :-1]
        return np.moveaxis(colours, 2, 0)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return array
    raise InputError(f"{where} has the shape {array.shape}; an image is (H, W), (H, W, channels) or (1 or 3, H, W)")
