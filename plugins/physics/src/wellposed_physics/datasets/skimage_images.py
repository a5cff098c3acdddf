"""The photographs that come with scikit-image."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files import read_array

from .images import as_image, central_square, resized

#: Those that every installation brings along; the rest of `skimage.data` needs a download.
FILES = {
    Path(file).stem: file
    for file in (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "cell.png",
        "chelsea.png",
        "clock_motion.png",
        "coffee.png",
        "coins.png",
        "color.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "microaneurysms.png",
        "moon.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "page.png",
        "phantom.png",
        "retina.jpg",
        "rocket.jpg",
        "text.png",
    )
}


class SkimageImages(Dataset):
    """Photographs bundled with scikit-image, from 0 to 1; nothing is downloaded.

    `names` chooses and orders them (all, without it). `size` cuts the largest central square and resizes it
    without aliasing; without it images keep their sizes. `grayscale` takes the luminance (ITU-R BT.709).
    Images `(1 or 3, H, W)`. Raises `InputError` for unknown names, with the known ones.
    """

    source = "scikit-image, skimage.data (van der Walt et al. 2014, PeerJ 2:e453)"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return (
            {"names": ["camera", "astronaut"], "size": 32},
            {"names": ["coffee"], "size": 16, "grayscale": False},
        )

    def __init__(self, names: Sequence[str] | None = None, size: int | None = None, grayscale: bool = True) -> None:
        self.names = list(FILES if names is None else names)
        unknown = [n for n in self.names if n not in FILES]
        if unknown or not self.names:
            raise InputError(f"scikit-image bundles no image {unknown}; it has {', '.join(FILES)}")
        if size is not None and size < 1:
            raise InputError(f"SkimageImages takes a size ≥ 1; {size} was given")
        self.size, self.grayscale = size, grayscale

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[self.check_index(index)]
        path = _folder() / FILES[name]
        image = as_image(read_array(path), path, grayscale=self.grayscale)
        if self.size is not None:
            image = resized(central_square(image, None, path), self.size)
        return Sample(name, image)


def _folder() -> Path:
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise InputError("the images are scikit-image's, which is not installed: pip install scikit-image")
    return Path(found.submodule_search_locations[0]) / "data"
