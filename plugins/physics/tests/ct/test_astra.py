"""The ASTRA engine: the same geometry, and for parallel beams the same weights."""

from __future__ import annotations

import pytest
import torch

from wellposed.errors import InputError
from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.parallel_beam import ParallelBeam

SCAN = {"shape": (64, 48), "angles": 40, "bins": 90, "pixel_size": 1.1, "rotation_centre": 40.3}


@pytest.fixture
def astra() -> None:
    pytest.importorskip("astra", reason="the ASTRA toolbox is not installed: pip install 'wellposed-physics[astra]'")


def smooth() -> torch.Tensor:
    noise = torch.rand(2, 1, 64, 48, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(noise, 5, 1, 2)


@pytest.mark.usefixtures("astra")
def test_parallel_beam_is_astras_linear_projector():
    ours, theirs = ParallelBeam(**SCAN, bin_spacing=0.9), ParallelBeam(**SCAN, bin_spacing=0.9, engine="astra")
    y = torch.randn(2, *ours.range.shape, generator=torch.Generator().manual_seed(1))
    assert float((ours(smooth()) - theirs(smooth())).norm() / ours(smooth()).norm()) < 1e-5
    assert float((ours.adjoint(y) - theirs.adjoint(y)).norm() / ours.adjoint(y).norm()) < 1e-3


@pytest.mark.usefixtures("astra")
def test_fan_beam_is_astras_geometry():
    scanner = {"bin_spacing": 1.4, "source_origin": 100.0, "source_detector": 150.0}
    ours, theirs = FanBeam(**SCAN, **scanner), FanBeam(**SCAN, **scanner, engine="astra")
    assert float((ours(smooth()) - theirs(smooth())).norm() / ours(smooth()).norm()) < 0.01


@pytest.mark.usefixtures("astra")
def test_astra_adjoint_is_exact_in_float32():
    operator = ParallelBeam(**SCAN, engine="astra")
    y = torch.randn(2, *operator.range.shape, generator=torch.Generator().manual_seed(1))
    gap = (operator(smooth()) * y).sum() - (smooth() * operator.adjoint(y)).sum()
    assert abs(float(gap / (operator(smooth()).norm() * y.norm()))) < 1e-5


def test_missing_astra_is_told(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "astra", None)
    with pytest.raises(InputError, match="pip install"):
        ParallelBeam((8, 8), 5, engine="astra")(torch.zeros(1, 1, 8, 8))
