"""Projection by the ASTRA toolbox (GPLv3, the `astra` extra), on the CPU."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.errors import InputError

from .engine import Engine
from .fan_geometry import FanGeometry
from .geometry import Geometry
from .parallel_geometry import ParallelGeometry


class AstraEngine(Engine):
    """ASTRA's `linear` projector for parallel and `line_fanflat` for fan beams, image by image.

    ASTRA computes in float32 whatever the precision of the images.
    """

    def __init__(self, geometry: Geometry, reference: Tensor) -> None:
        astra = _import_astra()
        self.geometry = geometry
        height, width = geometry.shape
        half_width, half_height = width * geometry.pixel_size / 2, height * geometry.pixel_size / 2
        volume = astra.create_vol_geom(height, width, -half_width, half_width, -half_height, half_height)
        kind, projector, vectors = _vectors(geometry)
        scan = astra.create_proj_geom(kind, geometry.bins, vectors)
        number = astra.create_projector(projector, scan, volume)
        weakref.finalize(self, astra.projector.delete, number)
        self._map = astra.OpTomo(number)

    def project(self, images: Tensor) -> Tensor:
        return self._each(self._map.FP, images)

    def backproject(self, sinograms: Tensor) -> Tensor:
        return self._each(self._map.BP, sinograms)

    @property
    def stored_bytes(self) -> int:
        return 0

    @staticmethod
    def _each(apply: Any, tensors: Tensor) -> Tensor:
        arrays = [apply(part.detach().float().contiguous().numpy()) for part in tensors.cpu()]
        return torch.from_numpy(np.stack(arrays)).to(tensors)


def _vectors(geometry: Geometry) -> tuple[str, str, np.ndarray]:
    """ASTRA's name of the geometry and of the projector, and six numbers per view.

    A view is the direction of the rays or the position of the source, the centre of the detector, and
    the step from bin to bin.
    """
    cos, sin = np.cos(geometry.angles), np.sin(geometry.angles)
    axis, along = np.stack([cos, sin], 1), np.stack([-sin, cos], 1)
    centre = (geometry.detector[0] + geometry.detector[-1]) / 2 * axis
    if isinstance(geometry, ParallelGeometry):
        return "parallel_vec", "linear", np.hstack([along, centre, geometry.bin_spacing * axis])
    if isinstance(geometry, FanGeometry):
        source = -geometry.source_origin * along
        detector = centre + (geometry.source_detector - geometry.source_origin) * along
        return "fanflat_vec", "line_fanflat", np.hstack([source, detector, geometry.bin_spacing * axis])
    raise InputError(f"the astra engine knows parallel and fan beams, not {type(geometry).__name__}")


def _import_astra() -> Any:
    try:
        import astra  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            f"engine='astra' needs the ASTRA toolbox ({error}); install it with "
            f"pip install 'wellposed-physics[astra]', or use engine='auto'"
        ) from error
    return astra
