"""The images of a dataset as batches of real tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wellposed.dataset import Dataset, Simulated
from wellposed.errors import InputError


def load_images(data: Dataset, indices: Sequence[int], like: Tensor) -> Tensor:
    """The images `indices`, `(B, C, H, W)`, on the device and in the precision of `like`; complex ones as channels.

    Of simulated measurements the images alone are made. Raises `InputError` for samples without an image, for
    images that are not finite, and for images of several sizes.
    """
    source = data.images if isinstance(data, Simulated) else data
    images = []
    for index in indices:
        sample = source[index]
        if sample.truth is None:
            raise InputError(f"sample {sample.name} has no image; a generative model is trained on images")
        if not bool(torch.isfinite(sample.truth).all()):
            raise InputError(f"the image of sample {sample.name} holds numbers that are not finite; leave it out")
        if images and sample.truth.shape != images[0].shape:
            raise InputError(
                f"a generative model is trained on images of one size; sample {sample.name} has "
                f"{tuple(sample.truth.shape)}, another one {tuple(images[0].shape)}. Resize or cut them (image-folder "
                f"and augmented take 'size')"
            )
        images.append(sample.truth)
    return as_channels(torch.stack(images)).to(like)


def as_channels(x: Tensor) -> Tensor:
    """Complex images `(B, C, …)` as real ones `(B, 2C, …)`: all real parts, then all imaginary parts."""
    return torch.cat([x.real, x.imag], 1) if x.is_complex() else x


def from_channels(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of `as_channels` where `like` is complex, `x` itself where not."""
    return torch.complex(*x.chunk(2, 1)) if like.is_complex() else x
