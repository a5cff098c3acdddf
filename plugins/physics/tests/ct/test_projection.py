"""The projections: against closed forms, against each other, and as exact adjoints."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from wellposed.errors import InputError, ShapeError
from wellposed.operator import LinearOperator
from wellposed_physics.ct.engines import build_engine
from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.gather_engine import GatherEngine
from wellposed_physics.ct.joseph import joseph_matrix, rays_of
from wellposed_physics.ct.parallel_beam import ParallelBeam
from wellposed_physics.ct.sparse_engine import SparseEngine
from wellposed_physics.ct.symmetry import reduce_rays, unreduced
from wellposed_physics.ct.torch_engine import TorchEngine

try:
    from wellposed_physics.ct.numba_engine import NumbaEngine
except ImportError:
    MATRIX_FREE = [TorchEngine, GatherEngine]
else:
    MATRIX_FREE = [TorchEngine, GatherEngine, NumbaEngine]

SCANNER = {"source_origin": 50.0, "source_detector": 80.0}

#: Scans with many, few and no symmetries, parallel and fan, square and not, centred and not.
SCANS = {
    "parallel-even": lambda: ParallelBeam((24, 24), 20),
    "parallel-full-turn": lambda: ParallelBeam((24, 24), 24, first=0, arc=360, unit="degree", rotation_centre=15.2),
    "parallel-odd": lambda: ParallelBeam((24, 24), 15, bin_spacing=0.8),
    "parallel-limited": lambda: ParallelBeam((24, 17), 14, first=0.2, arc=1.1, pixel_size=1.3, bins=31),
    "parallel-off-centre": lambda: ParallelBeam((15, 22), 14, rotation_centre=11.8, bins=30, channels=2),
    "parallel-off-centre-square": lambda: ParallelBeam((16, 16), 12, rotation_centre=9.3, bins=20),
    "one-view-without-partner": lambda: ParallelBeam((16, 16), [0.3, -0.3, 1.0]),
    "fan-one-view-without-partner": lambda: FanBeam((16, 16), [0.3, -0.3, 1.0], **SCANNER),
    "fan-full-turn": lambda: FanBeam((24, 24), 20, **SCANNER),
    "fan-limited": lambda: FanBeam((13, 24), [0.1, 0.7, 3.0, 4.4, 4.4], rotation_centre=17.3, bins=40, **SCANNER),
    "one-pixel": lambda: ParallelBeam((1, 1), 3),
    "one-row": lambda: ParallelBeam((1, 12), 5, bins=7),
}


@pytest.fixture(params=SCANS)
def scan(request) -> ParallelBeam | FanBeam:
    return SCANS[request.param]()


def normal(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def mismatch(operator: LinearOperator, dtype: torch.dtype, batch: int = 3) -> float:
    """`|<Ax, y> − <x, A*y>| / (‖Ax‖ ‖y‖)`, summed in float64."""
    x = normal(batch, *operator.domain.shape, dtype=dtype)
    y = normal(batch, *operator.range.shape, dtype=dtype, seed=1)
    forward, back = operator(x).double(), operator.adjoint(y).double()
    gap = (forward * y.double()).sum() - (x.double() * back).sum()
    return float(gap.abs() / (forward.norm() * y.double().norm()))


@pytest.mark.parametrize("engine", ["sparse", "matrix-free"])
def test_adjoint_is_exact(scan, engine):
    scan.projector.engine_name = engine
    assert mismatch(scan, torch.float32) <= 1e-6
    assert mismatch(scan.double(), torch.float64) <= 1e-13
    assert mismatch(scan, torch.float64, batch=20) <= 1e-13


@pytest.mark.parametrize("engine", MATRIX_FREE)
def test_matrix_free_engines_agree_with_the_matrix(scan, engine):
    reference = torch.empty(0, dtype=torch.float64)
    geometry = scan.geometry
    rows = joseph_matrix(rays_of(geometry), geometry.shape, np.dtype("float64"))
    x, y = normal(3, *geometry.shape), normal(3, geometry.views, geometry.bins, seed=1)
    forward = torch.from_numpy(rows @ x.flatten(1).T.numpy()).T.reshape(y.shape)
    back = torch.from_numpy(rows.T @ y.flatten(1).T.numpy()).T.reshape(x.shape)
    built = engine(geometry, reference)
    torch.testing.assert_close(built.project(x), forward, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(built.backproject(y), back, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("images", [1, 3, 40])
def test_symmetries_leave_the_matrix_as_it_is(scan, images):
    geometry = scan.geometry
    rows = joseph_matrix(rays_of(geometry), geometry.shape, np.dtype("float64"))
    built = build_engine("sparse", geometry, torch.empty(0, dtype=torch.float64), 0)
    x, y = normal(images, *geometry.shape), normal(images, geometry.views, geometry.bins, seed=1)
    forward = torch.from_numpy(rows @ x.flatten(1).T.numpy()).T.reshape(y.shape)
    back = torch.from_numpy(rows.T @ y.flatten(1).T.numpy()).T.reshape(x.shape)
    torch.testing.assert_close(built.project(x), forward, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(built.backproject(y), back, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "symmetries"),
    [
        ("parallel-even", 8),
        ("parallel-full-turn", 8),
        ("parallel-odd", 4),
        ("parallel-limited", 2),
        ("one-view-without-partner", 2),
        ("fan-one-view-without-partner", 1),
        ("fan-full-turn", 8),
        ("fan-limited", 1),
    ],
)
def test_symmetries_are_found(name, symmetries):
    geometry = SCANS[name]().geometry
    reduction = reduce_rays(geometry, 1e-13)
    assert len(reduction.symmetries) == symmetries
    assert len(reduction.base) <= 1.4 * geometry.views * geometry.bins / symmetries


def test_two_columns_and_many_give_the_same_in_float32():
    operator = ParallelBeam((32, 32), 20)  # 8 columns go through the sparse product, 160 through the bag
    x = normal(20, 1, 32, 32, dtype=torch.float32)
    y = normal(20, *operator.range.shape, dtype=torch.float32)
    torch.testing.assert_close(operator(x), torch.cat([operator(part) for part in x.split(1)]), rtol=1e-5, atol=1e-5)
    each = torch.cat([operator.adjoint(part) for part in y.split(1)])
    torch.testing.assert_close(operator.adjoint(y), each, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_integrals_of_ellipses_converge_with_the_square_of_the_pixel(bumps, beam):
    sizes, errors = np.array([32, 64, 128, 256]), []
    for size in sizes:
        common = {"shape": (size, size), "angles": 23, "bins": 61, "pixel_size": 2 / size, "rotation_centre": 28.7}
        if beam == "parallel":
            operator = ParallelBeam(**common, bin_spacing=0.05, engine="matrix-free").double()
        else:
            operator = FanBeam(
                **common, bin_spacing=0.06, source_origin=3.0, source_detector=4.0, engine="matrix-free"
            ).double()
        geometry = operator.geometry
        lines = geometry.lines(*np.divmod(np.arange(geometry.views * geometry.bins), geometry.bins))
        exact = bumps.integrals(*lines)
        found = operator(bumps.image(size)).flatten().numpy()
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    assert np.polyfit(np.log(1 / sizes), np.log(errors), 1)[0] > 1.95
    assert errors[-1] < 3e-4


def test_parallel_view_0_sums_columns_and_a_quarter_turn_sums_rows_from_below():
    operator = ParallelBeam((6, 6), [0.0, 90.0], bins=6, unit="degree", pixel_size=2.0).double()
    x = normal(1, 1, 6, 6)
    y = operator(x)[0, 0]
    torch.testing.assert_close(y[0], 2 * x[0, 0].sum(0))
    torch.testing.assert_close(y[1], 2 * x[0, 0].sum(1).flip(0))


def test_rotation_centre_shifts_the_detector():
    common = {"shape": (20, 20), "angles": 9, "bin_spacing": 1.5}
    x = normal(1, 1, 20, 20)
    wide = ParallelBeam(**common, bins=41, rotation_centre=20).double()(x)
    part = ParallelBeam(**common, bins=20, rotation_centre=8).double()(x)
    torch.testing.assert_close(part, wide[..., 12:32])


def test_fan_of_a_distant_source_is_parallel(bumps):
    x = bumps.image(48, width=2.0)
    fan = FanBeam((48, 48), 7, 1e7, 1e7, bins=61, arc=3.0).double()(x)
    parallel = ParallelBeam((48, 48), 7, bins=61, arc=3.0).double()(x)
    torch.testing.assert_close(fan, parallel, rtol=1e-4, atol=1e-4)


def test_fan_source_lies_below_the_image_at_angle_zero():
    operator = FanBeam((21, 21), [0.0], 30.0, 60.0, bins=41, bin_spacing=1.0)
    low, high = torch.zeros(2, 1, 21, 21).unbind()
    low, high = low[None].clone(), high[None].clone()
    low[0, 0, 19, 13], high[0, 0, 1, 13] = 1, 1  # both at x = 3; the source is nearer to the lower one
    shadows = [operator(x)[0, 0, 0].argmax().item() - 20 for x in (low, high)]
    assert shadows == [round(3 * 60 / (30 - 9)), round(3 * 60 / (30 + 9))]


def test_gradients_are_the_transpose_to_second_order(scan):
    scan = scan.double()
    x = normal(2, *scan.domain.shape).requires_grad_()
    v = normal(2, *scan.range.shape, seed=1).requires_grad_()
    (back,) = torch.autograd.grad(scan(x), x, v, create_graph=True)
    torch.testing.assert_close(back, scan.adjoint(v))
    u = normal(2, *scan.domain.shape, seed=2)
    (forth,) = torch.autograd.grad(back, v, u)
    torch.testing.assert_close(forth, scan(u))


@pytest.mark.parametrize("engine", ["sparse", "matrix-free"])
def test_gradients_reach_a_learned_operator_inside(engine):
    class Gain(LinearOperator):
        def __init__(self, space) -> None:
            super().__init__(space, space)
            self.gain = torch.nn.Parameter(torch.tensor(2.0))

        def _forward(self, x):
            return self.gain * x

        _adjoint = _forward

    beam = ParallelBeam((12, 12), 7, engine=engine)
    gain = Gain(beam.domain)
    x = normal(1, 1, 12, 12, dtype=torch.float32)
    y = normal(1, *beam.range.shape, dtype=torch.float32, seed=1)
    ((beam @ gain)(x) * y).sum().backward()
    torch.testing.assert_close(gain.gain.grad, (x * beam.adjoint(y)).sum())


def test_weights_follow_the_precision_and_are_not_saved():
    operator = ParallelBeam((16, 16), 9)
    x = normal(1, 1, 16, 16)
    single = operator(x.float())
    assert single.dtype == torch.float32
    assert operator.state_dict() == {}
    with pytest.raises(InputError, match=r"operator\.to"):
        operator(x)
    double = operator.double()(x)
    assert double.dtype == torch.float64
    fresh = ParallelBeam((16, 16), 9).double()(x)
    assert torch.equal(double, fresh)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda operator: pickle.loads(pickle.dumps(operator))])
def test_copies_leave_the_matrix_behind_and_compute_the_same(duplicate):
    operator = ParallelBeam((64, 64), 60)
    x = normal(1, 1, 64, 64, dtype=torch.float32)
    y = operator(x)
    operator.row_blocks(3)[0](x)
    assert len(pickle.dumps(operator)) < 20_000
    assert torch.equal(duplicate(operator)(x), y)


def test_system_matrix_of_512_square_and_180_views_fits_in_200_mib():
    operator = ParallelBeam((512, 512), 180)
    assert operator.range.shape == (1, 180, 727)
    assert isinstance(operator.projector.engine, SparseEngine)
    assert operator.projector.engine.stored_bytes <= 200 * 2**20


def test_memory_limit_decides_between_matrix_and_matrix_free():
    assert isinstance(ParallelBeam((64, 64), 60).projector.engine, SparseEngine)
    assert not isinstance(ParallelBeam((64, 64), 60, memory_limit=0.1).projector.engine, SparseEngine)


def test_estimated_entries_are_right():
    for name in ("parallel-even", "parallel-odd", "fan-full-turn"):
        geometry = SCANS[name]().geometry
        entries = joseph_matrix(rays_of(geometry), geometry.shape, np.dtype("float32")).nnz
        assert geometry.entries() == pytest.approx(entries, rel=0.2)


def test_without_numba_torch_takes_over(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "wellposed_physics.ct.numba_engine", None)
    operator = ParallelBeam((16, 16), 9, engine="matrix-free")
    assert type(operator.projector.engine) is TorchEngine
    assert mismatch(operator.double(), torch.float64) <= 1e-13


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["sparse", "matrix-free"])
def test_cuda_agrees_with_the_cpu(scan, engine):
    scan.projector.engine_name = engine
    x = normal(3, *scan.domain.shape)
    y = normal(3, *scan.range.shape, seed=1)
    scan = scan.double()
    forward, back = scan(x), scan.adjoint(y)
    scan = scan.cuda()
    torch.testing.assert_close(scan(x.cuda()).cpu(), forward, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(scan.adjoint(y.cuda()).cpu(), back, rtol=1e-10, atol=1e-10)
    assert scan.projector.engine.stored_bytes >= 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"shape": (0, 4), "angles": 3}, r"\[height, width\] with positive sizes"),
        ({"shape": (4, 4), "angles": 0}, "at least one view"),
        ({"shape": (4, 4), "angles": []}, "at least one"),
        ({"shape": (4, 4), "angles": [0.0, float("nan")]}, "finite"),
        ({"shape": (4, 4), "angles": [0.0], "arc": 1.0}, "given as a list"),
        ({"shape": (4, 4), "angles": 3, "last": 1.0}, "last needs first"),
        ({"shape": (4, 4), "angles": 3, "bins": 0}, "bins"),
        ({"shape": (4, 4), "angles": 3, "pixel_size": 0.0}, "pixel_size"),
        ({"shape": (4, 4), "angles": 3, "bin_spacing": -1.0}, "bin_spacing"),
        ({"shape": (4, 4), "angles": 3, "channels": 0}, "channel"),
        ({"shape": (4, 4), "angles": 3, "memory_limit": -1.0}, "memory_limit"),
    ],
)
def test_bad_scans_are_refused_with_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        ParallelBeam(**arguments)


def test_a_source_inside_the_image_is_refused():
    with pytest.raises(InputError, match="outside the image"):
        FanBeam((64, 64), 10, source_origin=40.0, source_detector=80.0)


def test_images_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="batch, 1, 16, 16"):
        ParallelBeam((16, 16), 9)(torch.zeros(1, 1, 16, 17))


@pytest.mark.parametrize("name", ["parallel-even", "fan-full-turn"])
def test_without_symmetries_the_matrix_is_the_same(name: str) -> None:
    geometry = SCANS[name]().geometry
    reference = torch.empty(0, dtype=torch.float64)
    whole = SparseEngine(geometry, reference, unreduced(geometry))
    reduced = SparseEngine(geometry, reference, reduce_rays(geometry, 1e-13))
    x = normal(2, *geometry.shape)
    torch.testing.assert_close(whole.project(x), reduced.project(x), rtol=1e-11, atol=1e-11)
    assert reduced.stored_bytes < whole.stored_bytes / 3


def test_a_geometry_can_be_a_key() -> None:
    geometry = SCANS["parallel-even"]().geometry
    assert {geometry: 1}[geometry] == 1
    assert geometry != SCANS["parallel-even"]().geometry
