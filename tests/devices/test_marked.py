"""The second device keeps CUDA's rules; on a machine with a GPU the same rules are held against CUDA itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from devices.marked import DEVICE, Marked, second_device
from devices.waits import Log
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint


@pytest.fixture(params=[DEVICE.type, pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with second_device() if request.param == DEVICE.type else nullcontext():
        yield torch.device(request.param)


@pytest.fixture
def log() -> Iterator[Log]:
    with second_device() as log:
        yield log


REFUSED: dict[str, Callable[[Tensor, Tensor], object]] = {
    "sum": lambda here, there: here + there,
    "sum with a CPU tensor of one entry": lambda here, there: here[:1] + there,
    "product of matrices": lambda here, there: here[None] @ there[:, None],
    "stack": lambda here, there: torch.stack([here, there]),
    "stack of scalars": lambda here, there: torch.stack([here[0], there[0]]),
    "concatenation": lambda here, there: torch.cat([here, there]),
    "choice": lambda here, there: torch.where(here > 0, there, there),
    "clamp by a CPU scalar": lambda here, there: there.clamp(min=here[0], max=here[1]),
    "CPU scalar changed in place": lambda here, there: here[0].add_(there[0]),
    "index from there": lambda here, there: here[torch.zeros(1, dtype=torch.long, device=there.device)],
    "mask from there": lambda here, there: here[there > 0],
    "index_select": lambda here, there: there.index_select(0, torch.zeros(1, dtype=torch.long)),
    "index_copy": lambda here, there: there.index_copy(0, torch.zeros(1, dtype=torch.long), there[:1]),
    "gather": lambda here, there: there.gather(0, torch.zeros(1, dtype=torch.long)),
    "assignment of a CPU tensor": lambda here, there: there.__setitem__(torch.tensor([1, 0]), here),
    "generator from here": lambda here, there: torch.randn(2, generator=torch.Generator(), device=there.device),
    "generator from here, in place": lambda here, there: there.normal_(generator=torch.Generator()),
    "numpy": lambda here, there: there.numpy(),
    "numpy by asarray": lambda here, there: np.asarray(there),
}

TAKEN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "CPU scalar": lambda here, there: here[0] + there,
    "CPU scalar of another precision": lambda here, there: torch.tensor(2.0, dtype=torch.float64) * there,
    "choice of a CPU scalar": lambda here, there: torch.where(there > 0, here[0], there),
    "Python number": lambda here, there: torch.where(there > 0, 1.0, there),
    "CPU index": lambda here, there: there[torch.tensor([1, 0])],
    "CPU mask": lambda here, there: there[here > 0],
    "list": lambda here, there: there[[1, 0]],
    "assigned number": lambda here, there: _assigned(there.clone(), 1.0),
    "assigned CPU scalar": lambda here, there: _assigned(there.clone(), here[0]),
    "copied": lambda here, there: there.clone().copy_(here),
    "made there": lambda here, there: torch.tensor([1.0, 2.0], device=there.device),
    "made of NumPy": lambda here, there: torch.as_tensor(np.ones(2), device=there.device),
    "made like": lambda here, there: there.new_tensor([1.0, 2.0]) + torch.zeros_like(there),
    "range": lambda here, there: torch.arange(2, device=there.device) + there,
    "moved": lambda here, there: here.to(there),
    "complex": lambda here, there: torch.view_as_real(torch.fft.fft(there).conj().resolve_conj()),
}


def _assigned(there: Tensor, value: float | Tensor) -> Tensor:
    there[torch.tensor([0])] = value
    return there


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, device: torch.device) -> None:
    here, there = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0], device=device)
    with pytest.raises((RuntimeError, TypeError), match=r"device|[Gg]enerator|numpy|NumPy|cpu"):
        REFUSED[what](here, there)


@pytest.mark.parametrize("what", TAKEN)
def test_taken(what: str, device: torch.device) -> None:
    here = torch.tensor([1.0, 2.0])
    result = TAKEN[what](here, here.to(device))
    assert result.device == torch.device(device.type, 0)
    assert torch.equal(result.cpu(), TAKEN[what](here, here))


def test_a_device_without_number_is_not_that_of_a_tensor(device: torch.device) -> None:
    assert torch.zeros(1, device=device).device != device


def test_modules_move_and_learn(device: torch.device) -> None:
    """An optimiser made before the move trains the moved weights; precision changes keep values and device."""
    torch.manual_seed(0)
    here = nn.Linear(2, 3)
    there = copy.deepcopy(here)
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.1) for m in (here, there)]
    there.to(device).double().float()
    for module, optimizer, where in zip((here, there), optimizers, ("cpu", device), strict=True):
        for _ in range(3):
            module(torch.ones(4, 2, device=where)).square().sum().backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    twin = copy.deepcopy(there)
    assert isinstance(twin.weight, nn.Parameter)
    assert torch.allclose(twin.weight.cpu(), here.weight, atol=1e-6)


def test_derivatives_go_through(device: torch.device) -> None:
    x = torch.ones(3, device=device, requires_grad=True)
    y = x * 2
    y[:1].mul_(3)
    checkpoint(torch.sin, y, use_reentrant=False).sum().backward()
    assert torch.allclose(x.grad.cpu(), torch.tensor([6 * np.cos(6), 2 * np.cos(2), 2 * np.cos(2)]).float())
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.detach(), x.detach())
        assert torch.equal(forward_ad.unpack_dual(3 * dual).tangent.cpu(), torch.full((3,), 3.0))


WAITS: dict[str, tuple[str | None, Callable[[Tensor], object]]] = {
    "arithmetic": (None, lambda x: (x + 1) * torch.zeros_like(x) + torch.full((), 2.0, device=x.device)),
    "assignment of a number": (None, lambda x: x.__setitem__(slice(0, 1), 2.0)),
    "mask filled with a number": (None, lambda x: x.__setitem__(x > 1, 0.0)),
    "choice": (None, lambda x: torch.where(x > 0, x, 1.0)),
    "CPU scalar": (None, lambda x: x * torch.tensor(2.0)),
    "item": ("scalar", lambda x: x[0].item()),
    "truth": ("scalar", lambda x: bool((x > 0).all())),
    "float": ("scalar", lambda x: float(x.sum())),
    "formatted": ("scalar", lambda x: f"{x[0]:.3f}"),
    "equality": ("scalar", lambda x: torch.equal(x, x)),
    "solve with check": ("scalar", lambda x: torch.linalg.solve(torch.diag(x + 1), x)),
    "list": ("download", lambda x: x.tolist()),
    "copy to here": ("download", lambda x: x.cpu()),
    "mask": ("shape", lambda x: x[x > 0]),
    "nonzero": ("shape", lambda x: x.nonzero()),
    "Python data": ("upload", lambda x: torch.tensor([1.0], device=x.device)),
    "number as a tensor": ("upload", lambda x: torch.as_tensor(1.0, device=x.device)),
    "index from here": ("upload", lambda x: x[torch.tensor([0])]),
    "list as index": ("upload", lambda x: x[[0]]),
}


@pytest.mark.parametrize("what", WAITS)
def test_waits(what: str, log: Log) -> None:
    x = torch.tensor([1.0, 2.0]).to(DEVICE)
    log.clear()
    kind, call = WAITS[what]
    call(x)
    assert [wait.kind for wait in log.waits] == ([] if kind is None else [kind])


@pytest.mark.gpu
@pytest.mark.parametrize("what", WAITS)
def test_waits_as_cuda_does(what: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x = torch.tensor([1.0, 2.0], device="cuda")
    kind, call = WAITS[what]
    call(x)  # libraries are loaded at first use
    torch.cuda.set_sync_debug_mode("error")
    try:
        with nullcontext() if kind is None else pytest.raises(RuntimeError, match="synchroniz"):
            call(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_wait_names_the_line_that_asked(log: Log) -> None:
    from wellposed.linear_algebra import conjugate_gradient

    conjugate_gradient(lambda x: x, torch.ones(1, 2, device=DEVICE))
    assert {w.where.split(":")[0] for w in log.waits} == {"core/src/wellposed/linear_algebra.py"}
    assert {w.where.split(" ")[1] for w in log.waits} == {"conjugate_gradient"}


def test_nothing_is_left_behind() -> None:
    make = torch.tensor
    with second_device():
        there = torch.ones(2, device=DEVICE)
        assert isinstance(there, Marked)
    assert torch.tensor is make
    assert not hasattr(torch, "lazy")
    with pytest.raises(RuntimeError):
        there + 1
    with pytest.raises(RuntimeError):
        torch.ones(2, device=DEVICE)
