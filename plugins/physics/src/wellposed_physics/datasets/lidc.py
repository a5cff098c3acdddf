"""Chest CT slices from DICOM folders."""

from __future__ import annotations

from pathlib import Path

from wellposed.dataset import Dataset, Sample
from wellposed.errors import InputError
from wellposed.files import read_array
from wellposed.files.dicom import dicom_files, read_header, series_of
from wellposed.files.guard import reading

from .arguments import check_counts
from .images import as_image, central_square, resized


class LIDC(Dataset):
    """Axial CT slices of the LIDC-IDRI collection, or of any folder of DICOM series, as attenuation.

    `water · max(0, (HU + 1000) / 1000)`: with `water=1` air is 0 and water 1; with water's attenuation
    coefficient at the scan's mean energy the image is in its unit (1/mm, …). Negative values, as the
    padding outside of the scanner's circle has them, become 0.

    Args:
        path: a folder; every folder below it that holds CT slices is one series, its slices ordered along
            the axis. Localisers and radiographs are left out.
        every: take each `every`-th slice of a series; neighbours are nearly alike.
        size: resize to `size × size`, without aliasing.
        water: the value of water.

    Images `(1, H, W)`, read when they are needed. Raises `InputError` where there is no CT slice, and with
    its path at a file that cannot be read.
    """

    source = "Armato et al. 2011, The Lung Image Database Consortium (LIDC-IDRI), Med. Phys. 38:915"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __init__(self, path: str, every: int = 1, size: int | None = None, water: float = 1.0) -> None:
        check_counts(self, every=(every, 1), size=(1 if size is None else size, 1))
        if not 0 < water < float("inf"):
            raise InputError(f"LIDC takes a positive value of water; {water} was given")
        self.path, self.every, self.size, self.water = Path(path), every, size, water
        if not self.path.is_dir():
            raise InputError(f"there is no folder {self.path}")
        self._order: dict[Path, list[Path]] = {}
        self._places = [(folder, i) for folder, count in _series_folders(self.path) for i in range(0, count, every)]
        if not self._places:
            raise InputError(f"{self.path} holds no folder of CT slices in DICOM")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        folder, position = self._places[self.check_index(index)]
        file = self._slice(folder, position)
        image = as_image(read_array(file), file, grayscale=True)
        image = (image + 1000).clamp_min(0) * (self.water / 1000)
        if self.size is not None:
            image = resized(central_square(image, None, file), self.size)
        return Sample(f"{folder.relative_to(self.path).as_posix()}[{position}]", image)

    def _slice(self, folder: Path, position: int) -> Path:
        """A file of a series, counted along its axis; all of its headers are read, once."""
        if folder not in self._order:
            self._order[folder] = [file for files in series_of(folder).values() for file in files]
        if position >= len(self._order[folder]):
            raise InputError(f"{folder} holds DICOM files without an image; take them out")
        return self._order[folder][position]


def _series_folders(path: Path) -> list[tuple[Path, int]]:
    """Folders of CT slices with their number of files; one header of each is read."""
    found = []
    for folder in sorted({path, *(p for p in path.rglob("*") if p.is_dir())}):
        files = dicom_files(folder.iterdir())
        if files and _is_axial_ct(files[0]):
            found.append((folder, len(files)))
    return found


def _is_axial_ct(file: Path) -> bool:
    with reading(file, "DICOM"):
        header = read_header(file)
        return header.get("Modality", "") == "CT" and "LOCALIZER" not in header.get("ImageType", ())
