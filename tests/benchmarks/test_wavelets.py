"""Orthonormal periodised wavelets, beside PyWavelets measured in the same run.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_wavelets.py -m benchmark -s

db4 with 3 levels, PyWavelets' mode "periodization" (the same coefficients). Times are the least process-CPU time
of several calls on one thread; for a batch PyWavelets transforms all images in one call over two axes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import pywt
import torch

from wellposed_classical.wavelets import Wavelet

pytestmark = pytest.mark.benchmark


def cpu_time(work: Callable[[], object], repeats: int = 30) -> float:
    """Milliseconds, the least of several calls."""
    work()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return 1e3 * min(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("batch", "size"), [(1, 256), (1, 512), (8, 256), (1, 1024)])
def test_db4(batch: int, size: int, dtype: torch.dtype) -> None:
    torch.set_num_threads(1)
    x = torch.randn(batch, 1, size, size, dtype=dtype, generator=torch.Generator().manual_seed(0))
    transform, theirs = Wavelet("db4", 3), x[:, 0].numpy()
    coefficients = transform(x)
    expected = pywt.wavedec2(theirs, "db4", mode="periodization", level=3, axes=(1, 2))
    ours = cpu_time(lambda: transform(x)), cpu_time(lambda: transform.adjoint(coefficients))
    peer = (
        cpu_time(lambda: pywt.wavedec2(theirs, "db4", mode="periodization", level=3, axes=(1, 2))),
        cpu_time(lambda: pywt.waverec2(expected, "db4", mode="periodization", axes=(1, 2))),
    )
    print(
        f"\n  {batch} × {size}² {str(dtype).removeprefix('torch.'):8s} forward {ours[0]:6.2f} ms (PyWavelets "
        f"{peer[0]:6.2f}), inverse {ours[1]:6.2f} ms ({peer[1]:6.2f})"
    )
