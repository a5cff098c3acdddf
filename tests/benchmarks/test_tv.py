"""Total-variation denoising to a given accuracy, beside scikit-image and DeepInverse measured in the same run.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_tv.py -m benchmark -s

min ½‖x − y‖² + 0.1·TV(x), isotropic, float32, on scikit-image's photograph at 512² and at 256² (means of 2 × 2
pixels) with normal noise of 0.1. The reference is our own solution in float64, certified by its duality gap.
A solver's time is that of the whole call at the loosest setting of a grid that reaches a relative primal gap, or
a relative distance to the solution, of 1e-4; for ours the setting is the tolerance, and stopping is included.
Times are the least process-CPU time of several calls on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from skimage import data
from skimage.restoration import denoise_tv_chambolle
from skimage.transform import downscale_local_mean

from wellposed_classical.inner_solvers.denoise import denoise
from wellposed_classical.inner_solvers.torch_engine import TorchEngine
from wellposed_classical.regularizers.total_variation import TotalVariation

pytestmark = pytest.mark.benchmark

WEIGHT = 0.1
ACCURACY = 1e-4
TOLERANCES = [3e-4, 2e-4, 1.5e-4, 1.25e-4, 1e-4, 8e-5, 6e-5, 4e-5, 3e-5, 2e-5, 1.5e-5, 1e-5, 5e-6]


@dataclass(frozen=True)
class Case:
    """A noisy image and the solution, float64 `(1, 1, n, n)`, with the optimal objective."""

    y: torch.Tensor
    solution: torch.Tensor
    objective: float

    def gap(self, x: torch.Tensor) -> float:
        return (objective(x, self.y) - self.objective) / self.objective

    def distance(self, x: torch.Tensor) -> float:
        return float((x.double() - self.solution).norm() / self.solution.norm())


def objective(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(0.5 * (x.double() - y).square().sum() + WEIGHT * TotalVariation()(x.double()))


@cache
def case(size: int) -> Case:
    clean = data.camera() / 255.0
    clean = downscale_local_mean(clean, (2, 2)) if size == 256 else clean
    y = torch.from_numpy(clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape))[None, None]
    solved = denoise(y, torch.tensor([WEIGHT], dtype=torch.float64), tolerance=1e-8, limit=20000)
    print(f"\n{size}²: reference with a certified relative gap of {float(solved.gap):.0e}")
    return Case(y, solved.results[0], objective(solved.results[0], y))


def cpu_time(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds, the least of several calls."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return 1e3 * min(found)


def first_to_reach(
    measure: Callable[[torch.Tensor], float], solve: Callable[[float], torch.Tensor], settings: Iterable[float]
) -> float | None:
    """The first setting whose result is accurate enough."""
    return next((s for s in settings if measure(solve(s)) <= ACCURACY), None)


def report(
    name: str, current: Case, solve: Callable[[float], torch.Tensor], settings: list[float], repeats: int
) -> None:
    torch.set_num_threads(1)
    for what, measure in (("gap", current.gap), ("distance", current.distance)):
        setting = first_to_reach(measure, solve, settings)
        if setting is None:
            print(f"  {name:28s} {what:8s} not reached by setting {settings[-1]:g}")
            continue
        x = solve(setting)
        took = cpu_time(lambda setting=setting: solve(setting), repeats)
        print(
            f"  {name:28s} {what:8s} {took:8.1f} ms  (setting {setting:g}, gap {current.gap(x):.1e}, "
            f"distance {current.distance(x):.1e})"
        )


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_ours(size: int, engine: str) -> None:
    current = case(size)
    y, weight = current.y.float(), torch.tensor([WEIGHT])
    chosen = TorchEngine
    if engine == "numba":
        pytest.importorskip("numba")
        from wellposed_classical.inner_solvers.numba_engine import NumbaEngine

        chosen = NumbaEngine

    def solve(tolerance: float) -> torch.Tensor:
        return denoise(y, weight, tolerance=tolerance, limit=2000, engine=chosen).results[0]

    report(f"wellposed, {engine} engine", current, solve, TOLERANCES, 9)


@pytest.mark.parametrize("size", [256, 512])
def test_scikit_image(size: int) -> None:
    current = case(size)
    y = current.y[0, 0].float().numpy()

    def solve(iterations: float) -> torch.Tensor:
        x = denoise_tv_chambolle(y, weight=WEIGHT, eps=0, max_num_iter=int(iterations))
        return torch.from_numpy(x)[None, None]

    report("scikit-image Chambolle", current, solve, [800, 1600, 3200, 6400], 1)


@pytest.mark.parametrize("size", [256])
def test_deepinverse(size: int) -> None:
    """Its denoiser and prior with their default stopping, which is what a user gets."""
    current = case(size)
    try:
        from deepinv.models import TVDenoiser
        from deepinv.optim import TVPrior
    except Exception as error:
        pytest.skip(f"DeepInverse cannot be imported here: {error}")
    torch.set_num_threads(1)
    y = current.y.float()
    solvers = {
        "DeepInverse TVDenoiser": lambda: TVDenoiser()(y, ths=WEIGHT),
        "DeepInverse TVPrior.prox": lambda: TVPrior().prox(y, gamma=WEIGHT),
    }
    for name, solve in solvers.items():
        x = solve()
        took = cpu_time(solve, 1)
        print(f"  {name:28s} default  {took:8.1f} ms  (gap {current.gap(x):.1e}, distance {current.distance(x):.1e})")


def test_derivative() -> None:
    """A backward pass through the proximal map, 256², default tolerance."""
    torch.set_num_threads(1)
    y = case(256).y.float().requires_grad_()
    regularizer = TotalVariation()
    forward = cpu_time(lambda: regularizer.prox(y, WEIGHT), 3)
    both = cpu_time(lambda: regularizer.prox(y, WEIGHT).sum().backward(), 3)
    print(f"\n  proximal map {forward:.1f} ms, with its gradient {both:.1f} ms")
