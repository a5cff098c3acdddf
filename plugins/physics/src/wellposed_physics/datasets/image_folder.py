"""Images in a folder of files."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from wellposed.dataset import Dataset, Sample, generator_of
from wellposed.errors import InputError
from wellposed.files import READABLE, describe_file, read_array

from .arguments import check_counts
from .images import as_image, central_square, check_fits, cut, resized

#: Whoever splits or orders the samples looks at each number of them.
_MOST_REPEATS = 10_000


class ImageFolder(Dataset):
    """The image files below a folder, or one file, in the order of their paths; each read when it is needed.

    In this order: read, cut, resize, augment.

    Args:
        path: a folder, searched with its subfolders, or a file: png jpg bmp pgm tif npy npz mat h5 nii dcm.
        crop: `none`: the whole image. `center`: the square of `patch` pixels in the middle, or the largest.
            `random`: a square of `patch` pixels anywhere, drawn from `(seed, i)`.
        patch: side of the cut in pixels.
        size: then resize to `size × size`, without aliasing; the image must be square by then.
        grayscale: take the luminance of colours (ITU-R BT.709).
        augment: flip and turn by quarter turns, drawn from `(seed, i)`.
        repeats: samples per image, at most 10,000, each with its own cut and turn; sample `i` is of image
            `i mod images`.
        seed: of the cuts and turns.
        key: of the array, in files with several (`data`, `scan.image`).
        slice_axis: volumes are cut along this axis, counted from 0, and each slice is an image.
        divide_by: what numbers are divided by. Without it, unsigned integers are divided by the largest of
            their type, so that they lie in [0, 1], and other numbers are not.

    Images `(channels, H, W)`, float32, or complex64 where the file is complex. Raises `InputError` where
    there is no image, and at the access to a file that cannot be read or used, with its path.
    """

    source = "the user's own files"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(
        self,
        path: str,
        crop: Literal["none", "center", "random"] = "none",
        patch: int | None = None,
        size: int | None = None,
        grayscale: bool = True,
        augment: bool = False,
        repeats: int = 1,
        seed: int = 0,
        key: str | None = None,
        slice_axis: int | None = None,
        divide_by: float | None = None,
    ) -> None:
        check_counts(self, repeats=(repeats, 1), patch=(1 if patch is None else patch, 1))
        check_counts(self, size=(1 if size is None else size, 1))
        if repeats > _MOST_REPEATS:
            raise InputError(f"image-folder takes at most {_MOST_REPEATS} repeats of each image; {repeats} were given")
        if crop not in ("none", "center", "random"):
            raise InputError(f"ImageFolder takes crop none, center or random; {crop!r} was given")
        if crop == "random" and patch is None:
            raise InputError("ImageFolder needs patch, the side of the square, to cut at random")
        if crop == "none" and patch is not None:
            raise InputError("ImageFolder cuts a patch only with crop: center or crop: random")
        if divide_by is not None and not divide_by > 0:
            raise InputError(f"ImageFolder divides by a positive number; divide_by={divide_by} was given")
        self.path, self.crop, self.patch, self.size = Path(path), crop, patch, size
        self.grayscale, self.augment, self.repeats, self.seed = grayscale, augment, repeats, seed
        self.key, self.slice_axis, self.divide_by = key, slice_axis, divide_by
        self.files = find_files(self.path, READABLE)
        self._volume: tuple[Path, np.ndarray] | None = None
        #: Number of images up to and including each file.
        self._ends = list(accumulate(self._slices_of(file) for file in self.files))

    def __len__(self) -> int:
        return self._ends[-1] * self.repeats

    def origin(self, index: int) -> int:
        return self.check_index(index) % self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        number = index % self._ends[-1]
        position = bisect_right(self._ends, number)
        file = self.files[position]
        array, name = self._array(file), file.relative_to(self._root).as_posix()
        if self.slice_axis is not None:
            slice_index = number - (self._ends[position - 1] if position else 0)
            array, name = np.take(array, slice_index, axis=self.slice_axis), f"{name}[{slice_index}]"
        image = as_image(array, file, grayscale=self.grayscale, divide_by=self.divide_by)
        return Sample(name, self._prepared(image, file, index))

    def _array(self, file: Path) -> np.ndarray:
        """A file's array; of volumes the last one is kept, since its slices are mostly read one after another."""
        if self.slice_axis is None:
            return read_array(file, self.key)
        if self._volume is None or self._volume[0] != file:
            self._volume = file, read_array(file, self.key)
        return self._volume[1]

    def _prepared(self, image: Tensor, file: Path, index: int) -> Tensor:
        generator = generator_of(self.seed, index)
        if self.crop == "center":
            image = central_square(image, self.patch, file)
        elif self.crop == "random":
            image = _random_square(image, self.patch or 1, file, generator)
        if self.size is not None:
            if image.shape[-2] != image.shape[-1]:
                raise InputError(f"{file} is not square: cut it with crop: center before it is resized")
            image = resized(image, self.size)
        return (_turned(image, generator) if self.augment else image).contiguous()

    def _slices_of(self, file: Path) -> int:
        """How many images a file holds; only its header is read."""
        if self.slice_axis is None:
            return 1
        infos = [i for i in describe_file(file) if self.key is None or i.key == self.key]
        if len(infos) != 1:
            raise InputError(f"{file} holds no single array {self.key or ''}; name one of its arrays as key")
        if not 0 <= self.slice_axis < len(infos[0].shape):
            raise InputError(f"{file} has the shape {infos[0].shape} and no slice_axis {self.slice_axis}")
        return infos[0].shape[self.slice_axis]

    @property
    def _root(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent


def find_files(path: Path, extensions: tuple[str, ...]) -> list[Path]:
    """The file itself, or all below a folder with one of the extensions, hidden ones left out, in order."""
    if not path.exists():
        raise InputError(f"there is no file or folder {path}")
    if path.is_file():
        return [path]
    found = [f for f in path.rglob("*") if f.name.lower().endswith(extensions) and f.is_file()]
    visible = [f for f in found if not any(part.startswith(".") for part in f.relative_to(path).parts)]
    if not visible:
        raise InputError(f"{path} holds no file that ends in {' '.join(extensions)}")
    return sorted(visible)


def _random_square(image: Tensor, side: int, where: Path, generator: torch.Generator) -> Tensor:
    check_fits(image, side, where)
    top, left = (int(torch.randint(n - side + 1, (), generator=generator)) for n in image.shape[-2:])
    return cut(image, top, left, side)


def _turned(image: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight symmetries of the square; images that are not square are not turned by quarters."""
    turns, flip = (
        int(torch.randint(4, (), generator=generator)),
        int(torch.randint(2, (), generator=generator)),
    )
    if image.shape[-2] != image.shape[-1]:
        turns -= turns % 2
    image = torch.rot90(image, turns, (-2, -1))
    return image.flip(-1) if flip else image
