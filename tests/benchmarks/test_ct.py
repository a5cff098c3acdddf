"""Speed and memory of the CT projectors, beside ASTRA and DeepInverse measured in the same run.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_ct.py -m benchmark -s

The peers go into an environment of their own, with this repository's core and physics packages:

    pip install torch==2.13.0 astra-toolbox && pip install --no-deps -e core -e plugins/physics
    pip install --no-deps deepinv==0.5.0 torchvision==0.28.0 torchmetrics
    pip install numpy scipy scikit-image h5py matplotlib tqdm einops requests natsort lightning-utilities pillow

DeepInverse imports torchvision. A build of it whose C library does not load on a machine without CUDA fails on
`torchvision::nms`; two lines at the top of torchvision/__init__.py that declare its operators `nms` and `qnms` with
`torch.library.Library("torchvision", "DEF")` mend that.

Every figure is the least of several calls, as process-CPU time (summed over threads, steadier where a machine is
shared) and as wall time. Ratios are of process-CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from wellposed_physics.ct.fan_beam import FanBeam
from wellposed_physics.ct.parallel_beam import ParallelBeam

pytestmark = pytest.mark.benchmark

_HINT = "see the docstring of tests/benchmarks/test_ct.py for how to install it"


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    cpu: float
    wall: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.wall + other.wall)

    def __str__(self) -> str:
        return f"{1e3 * self.cpu:.2f} ms CPU, {1e3 * self.wall:.2f} ms wall"


def cost(work: Callable[[], Any], repeats: int = 9) -> Cost:
    """The least CPU and the least wall time of several calls, after one that is not counted."""
    work()
    cpu, wall = [], []
    for _ in range(repeats):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return Cost(min(cpu), min(wall))


def pair(operator: ParallelBeam | FanBeam, batch: int, repeats: int = 9) -> tuple[Cost, Cost]:
    """The cost of the projection and of its adjoint."""
    generator = torch.Generator().manual_seed(0)
    x = operator.domain.randn(batch, generator)
    y = operator.range.randn(batch, generator)
    return cost(lambda: operator(x), repeats), cost(lambda: operator.adjoint(y), repeats)


def report(benchmark: Any, **figures: Cost | float | str) -> None:
    """Keep the figures with the benchmark and print them."""
    for name, figure in figures.items():
        text = f"{figure:.4g}" if isinstance(figure, float) else str(figure)
        benchmark.extra_info[name] = text
        print(f"\n    {name.replace('_', ' ')}: {text}", end="")
    benchmark.extra_info["threads"] = torch.get_num_threads()
    print(f"\n    threads: {torch.get_num_threads()}")


def run(benchmark: Any, operator: ParallelBeam | FanBeam, batch: int) -> None:
    """Let pytest-benchmark time the projection and its adjoint together."""
    x = torch.zeros(batch, *operator.domain.shape)
    benchmark.pedantic(lambda: operator.adjoint(operator(x)), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(
    ("size", "views", "batch"), [(128, 30, 1), (256, 180, 1), (256, 180, 8), (512, 180, 1), (512, 180, 8)]
)
def test_parallel_beam(benchmark, size, views, batch):
    operator = ParallelBeam((size, size), views)
    forward, adjoint = pair(operator, batch)
    report(benchmark, forward=forward, adjoint=adjoint, together=forward + adjoint)
    run(benchmark, operator, batch)


@pytest.mark.parametrize("beam", ["parallel", "fan"])
def test_matrix_free_at_512_square_and_180_views(benchmark, beam):
    operator: ParallelBeam | FanBeam = ParallelBeam((512, 512), 180, engine="matrix-free")
    if beam == "fan":
        operator = FanBeam((512, 512), 180, 1000.0, 1500.0, bins=727, engine="matrix-free")
    forward, adjoint = pair(operator, 1, repeats=3)
    engine = operator.projector.engine
    mebibytes = engine.stored_bytes / 2**20
    report(benchmark, engine=type(engine).__name__, forward=forward, adjoint=adjoint, stored_MiB=mebibytes)
    run(benchmark, operator, 1)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("symmetric", {}),
        ("no symmetry", {"rotation_centre": 170.3, "first": 0.1}),
        ("512 square", {"shape": (512, 512)}),
    ],
)
def test_setting_up_180_views(benchmark, name, arguments):
    """Target at 256²: at most 1 s of CPU time with all symmetries and without any."""
    arguments = {"shape": (256, 256), "angles": 180, **arguments}

    def set_up() -> ParallelBeam:
        operator = ParallelBeam(**arguments, engine="sparse")
        operator.projector.engine.stored_bytes  # noqa: B018  (builds the engine)
        return operator

    spent = cost(set_up, repeats=3)
    engine = set_up().projector.engine
    report(benchmark, scan=name, setup=spent, stored_MiB=engine.stored_bytes / 2**20)
    benchmark.pedantic(set_up, rounds=1)
    if arguments["shape"] == (512, 512):
        assert engine.stored_bytes <= 200 * 2**20


def test_against_astra_linear_at_256_square_180_views_batch_1(benchmark):
    """Target: at most 0.06 of ASTRA's CPU time."""
    astra = pytest.importorskip("astra", reason=f"the ASTRA toolbox is not installed; {_HINT}")
    operator = ParallelBeam((256, 256), 180)
    angles = operator.geometry.angles
    volume = astra.create_vol_geom(256, 256)
    scan = astra.create_proj_geom("parallel", 1.0, operator.geometry.bins, angles)
    theirs = astra.OpTomo(astra.create_projector("linear", scan, volume))
    x, y = torch.rand(256, 256).numpy(), torch.rand(180, operator.geometry.bins).numpy()
    peer = cost(lambda: theirs.FP(x), 5) + cost(lambda: theirs.BP(y), 5)
    forward, adjoint = pair(operator, 1, repeats=25)
    ratio = (forward + adjoint).cpu / peer.cpu
    report(benchmark, astra=peer, forward=forward, adjoint=adjoint, ours=forward + adjoint, ratio=ratio)
    run(benchmark, operator, 1)


def test_against_deepinverse_at_256_square_180_views_batch_8(benchmark):
    """Target: at most 0.015 of the CPU time of `Tomography`, without its normalisation."""
    try:
        from deepinv.physics import Tomography
    except Exception as error:
        pytest.skip(f"deepinv does not import ({error}); {_HINT}")
    theirs = Tomography(angles=180, img_width=256, normalize=False, device="cpu")
    x = torch.rand(8, 1, 256, 256)
    y = theirs.A(x)
    peer = cost(lambda: theirs.A(x), 3) + cost(lambda: theirs.A_adjoint(y), 3)
    operator = ParallelBeam((256, 256), 180, bins=y.shape[2] + 1 - y.shape[2] % 2)
    forward, adjoint = pair(operator, 8)
    ratio = (forward + adjoint).cpu / peer.cpu
    report(benchmark, deepinverse=peer, forward=forward, adjoint=adjoint, ours=forward + adjoint, ratio=ratio)
    run(benchmark, operator, 8)


def test_filtered_backprojection_at_256_square_180_views(benchmark):
    operator = ParallelBeam((256, 256), 180)
    y = torch.rand(1, *operator.range.shape)
    fast = cost(lambda: operator.filtered_backprojection(y, backprojection="adjoint"))
    sharp = cost(lambda: operator.filtered_backprojection(y, backprojection="interpolated"), 3)
    report(benchmark, adjoint=fast, interpolated=sharp)
    benchmark.pedantic(lambda: operator.pinv(y), rounds=3)
