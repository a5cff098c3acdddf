"""The back end on escnn against our own, and its loader on machines with and without parts of escnn."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from wellposed import InputError
from wellposed_equivariant import escnn_loader
from wellposed_equivariant.networks.cyclic import CyclicProximal
from wellposed_equivariant.networks.escnn import EscnnProximal
from wellposed_equivariant.networks.proximal import OrdinaryProximal
from wellposed_equivariant.solvers.equivariant_proximal_gradient import EquivariantProximalGradient

N = TypeVar("N", bound=nn.Module)

needs_escnn = pytest.mark.skipif(
    escnn_loader.why_not_escnn() is not None, reason="escnn is not installed: pip install --no-deps escnn==1.0.11"
)


def shaken(network: N) -> N:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return network


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().norm() / b.detach().norm())


@needs_escnn
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("order", "kernel_size"), [(1, 3), (2, 3), (3, 3), (4, 3), (4, 5), (4, 7), (6, 3), (8, 5)])
def test_the_same_weights_give_the_same_images(order: int, kernel_size: int, padding_mode: str) -> None:
    settings = (2, 3, order, 2, 2, kernel_size, padding_mode)
    ours, theirs = shaken(CyclicProximal(*settings)), EscnnProximal(*settings)  # type: ignore[arg-type]
    theirs.load_state_dict(ours.state_dict())
    x = noise(2, 2, 13, 13)
    assert relative(theirs(x), ours(x)) < 1e-6
    plain = theirs.export()
    assert type(plain) is OrdinaryProximal
    assert relative(plain(x), theirs(x)) < 1e-6


@needs_escnn
def test_initial_weights_are_the_same() -> None:
    ours, theirs = CyclicProximal(fields=2, seed=4).state_dict(), EscnnProximal(fields=2, seed=4).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@needs_escnn
def test_gradients_are_the_same() -> None:
    ours, theirs = shaken(CyclicProximal(1, 1, 4, 2)), EscnnProximal(1, 1, 4, 2)
    theirs.load_state_dict(ours.state_dict())
    for network in (ours, theirs):
        network(noise(1, 1, 9, 9)).square().sum().backward()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert own.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad, own.grad, rtol=1e-4, atol=1e-5)


@needs_escnn
def test_whole_reconstructions_are_the_same_and_turn() -> None:
    from wellposed import LinearOperator, Space

    class Identity(LinearOperator):
        def __init__(self) -> None:
            super().__init__(Space((1, 12, 12)), Space((1, 12, 12)))

        def _forward(self, x: Tensor) -> Tensor:
            return x.clone()

        def _adjoint(self, y: Tensor) -> Tensor:
            return y.clone()

    ours = EquivariantProximalGradient(3, network=CyclicProximal(fields=2))
    theirs = EquivariantProximalGradient(3, network=EscnnProximal(fields=2))
    assert relative(theirs(noise(1, 1, 12, 12), Identity()), ours(noise(1, 1, 12, 12), Identity())) < 1e-6
    for solver in (ours, theirs):
        shaken(solver)
    y = noise(1, 1, 12, 12)
    with torch.no_grad():
        double = ours.double()(y.double(), Identity())
        assert relative(theirs.double()(y.double(), Identity()), double) < 1e-6
    theirs.float()
    turned = theirs(y.rot90(1, (-2, -1)), Identity())
    assert relative(turned, theirs(y, Identity()).rot90(1, (-2, -1))) < 1e-5


@needs_escnn
def test_layers_share_nothing_that_conversion_could_change() -> None:
    """escnn hands the same buffers to all layers of a kind: one network in double precision spoils the others there."""
    first, second = shaken(EscnnProximal(fields=2)), shaken(EscnnProximal(fields=2))
    expected = second(noise(1, 1, 9, 9))
    first.double()
    assert torch.equal(second(noise(1, 1, 9, 9)), expected)
    assert first(noise(1, 1, 9, 9).double()).dtype == torch.float64
    assert relative(copy.deepcopy(second)(noise(1, 1, 9, 9)), expected) < 1e-6


@needs_escnn
def test_saved_weights_do_not_depend_on_the_mode() -> None:
    network = shaken(EscnnProximal(fields=2))
    names = set(network.train().state_dict())
    assert set(network.eval().state_dict()) == names
    x = noise(1, 1, 9, 9)
    before = network(x)
    with torch.no_grad():
        network.lift.clear()
    assert relative(network(x), before) > 1e-2  # no expanded kernel of the old weights is kept


@needs_escnn
def test_import_leaves_no_trace_and_says_nothing() -> None:
    """In a new process, with warnings as errors: no stand-in stays behind, and joblib is as it was."""
    code = (
        "import sys, joblib; memory = joblib.Memory\n"
        "from wellposed_equivariant.escnn_loader import load_escnn; load_escnn()\n"
        "assert joblib.Memory is memory\n"
        "assert not [name for name in sys.modules if 'lie_learn' in name]"
    )
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def test_without_escnn_the_error_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "escnn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "escnn", None)
    escnn_loader.load_escnn.cache_clear()
    try:
        assert EscnnProximal.examples() == ()  # so that the conformance kit has nothing to build
        with pytest.raises(InputError, match=r"pip install --no-deps escnn==1\.0\.11"):
            EscnnProximal(fields=2)
    finally:
        escnn_loader.load_escnn.cache_clear()


@pytest.mark.parametrize("error", ["ImportError('no such symbol')", "AttributeError('np.float is gone')"])
def test_an_escnn_that_is_there_and_cannot_be_imported_is_lacking(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: str
) -> None:
    (tmp_path / "escnn").mkdir()
    (tmp_path / "escnn" / "__init__.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "escnn"]:
        monkeypatch.delitem(sys.modules, name)
    escnn_loader.load_escnn.cache_clear()
    try:
        assert EscnnProximal.examples() == ()
        assert "pip install --no-deps escnn" in (EscnnProximal.lacking() or "")
        with pytest.raises(InputError, match="escnn cannot be imported"):
            EscnnProximal(fields=2)
    finally:
        escnn_loader.load_escnn.cache_clear()
