"""Weights in safetensors files: what comes back, and what is said of files that do not fit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from wellposed import weights
from wellposed.errors import InputError
from wellposed.registry.weights import WeightsEntry
from wellposed.weights import load_weights, save_weights


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "line.safetensors"
    save_weights(nn.Linear(3, 2), path, {"figure": "30 dB"})
    return path


def test_what_is_written_comes_back_with_its_provenance(tmp_path: Path) -> None:
    from safetensors import safe_open

    net, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    path = tmp_path / "w.safetensors"
    save_weights(net, path, {"figure": "30 dB"})
    load_weights(twin, str(path))
    assert torch.equal(net.weight, twin.weight)
    assert torch.equal(net.bias, twin.bias)
    with safe_open(str(path), framework="pt") as file:
        assert file.metadata() == {"figure": "30 dB"}
    save_weights(net, path)  # over the old file
    with safe_open(str(path), framework="pt") as file:
        assert not file.metadata()
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_the_file_as_far_as_the_umask_lets_them(saved: Path) -> None:
    mask = os.umask(0o027)
    try:
        save_weights(nn.Linear(1, 1), saved)
        assert stat.S_IMODE(saved.stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027, "the umask was left changed"
    finally:
        os.umask(mask)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        save_weights(nn.Linear(3, 2), saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_neither_a_file_nor_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'ellipse' is neither a file nor the name of shipped weights \("):
        load_weights(nn.Linear(3, 2), "ellipse")
    with pytest.raises(InputError, match="neither a file"):
        load_weights(nn.Linear(3, 2), str(tmp_path))  # a folder


def test_shipped_weights_by_name_and_a_broken_installation(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Entry:
        distribution = "wellposed-lines"

        def __init__(self, path: Path) -> None:
            self.path = path

    shipped = {"line": Entry(saved), "lost": Entry(tmp_path / "lost.safetensors")}
    monkeypatch.setattr(weights, "all_weights", lambda: shipped)
    net, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    load_weights(net, "line")
    load_weights(twin, str(saved))
    assert torch.equal(net.weight, twin.weight)
    with pytest.raises(InputError, match=r"'lost' are missing from wellposed-lines \(.*install it again"):
        load_weights(net, "lost")
    with pytest.raises(InputError, match=r"shipped weights \(line, lost\)"):
        load_weights(net, "found")
    monkeypatch.setattr(weights, "all_weights", dict)
    with pytest.raises(InputError, match=r"shipped weights \(none\)"):
        load_weights(net, "line")
    assert WeightsEntry is weights.WeightsEntry


def test_a_file_that_is_none_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("not tensors")
    with pytest.raises(InputError, match="no readable safetensors file"):
        load_weights(nn.Linear(3, 2), str(path))


def test_what_is_missing_unknown_or_of_another_shape_is_named(saved: Path) -> None:
    with pytest.raises(InputError, match=r"does not fit Sequential: missing 0.bias, 0.weight, unknown bias, weight;"):
        load_weights(nn.Sequential(nn.Linear(3, 2)), str(saved))
    with pytest.raises(InputError, match="does not fit Linear: missing nothing, unknown bias;"):
        load_weights(nn.Linear(3, 2, bias=False), str(saved))
    with pytest.raises(InputError, match=r"weight has shape \(2, 3\), \(2, 4\) is needed"):
        load_weights(nn.Linear(4, 2), str(saved))
    several = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    with pytest.raises(InputError, match=r"missing 0.bias, 0.weight, 1.bias and 1 more, unknown"):
        load_weights(several, str(saved))
    three = nn.ParameterDict({name: torch.zeros(1) for name in "abc"})
    with pytest.raises(InputError, match=r"missing a, b, c, unknown"):
        load_weights(three, str(saved))


class Counted(nn.Linear):
    """A layer with a count, as normalisations have one."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.register_buffer("count", torch.tensor(3))


def rewritten(path: Path, **tensors: torch.Tensor) -> str:
    net = Counted()
    save_file({**{k: v.detach() for k, v in net.state_dict().items()}, **tensors}, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("weight", torch.ones(2, 3, dtype=torch.int8), "weight holds int8, float32 is needed"),
        ("weight", torch.ones(2, 3, dtype=torch.bool), "weight holds bool, float32 is needed"),
        ("weight", torch.ones(2, 3, dtype=torch.complex64), "weight holds complex64, float32 is needed"),
        ("count", torch.tensor(3, dtype=torch.int32), "count holds int32, int64 is needed"),
        ("count", torch.tensor(3.0), "count holds float32, int64 is needed"),
        ("weight", torch.full((2, 3), torch.nan), "weight holds numbers that are not finite"),
        ("bias", torch.tensor([1.0, -torch.inf]), "bias holds numbers that are not finite"),
        (
            "weight",
            torch.full((2, 3), 1e39, dtype=torch.float64),
            "weight holds numbers that are too large for float32",
        ),
    ],
)
def test_numbers_of_another_kind_or_none_at_all_are_refused(
    name: str, tensor: torch.Tensor, words: str, tmp_path: Path
) -> None:
    net = Counted()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=f"does not fit Counted: {words}"):
        load_weights(net, rewritten(tmp_path / "w.safetensors", **{name: tensor}))
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_real_numbers_of_another_width_are_rounded(dtype: torch.dtype, tmp_path: Path) -> None:
    weight = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    net = Counted()
    load_weights(net, rewritten(tmp_path / "w.safetensors", weight=weight))
    assert net.weight.dtype == torch.float32
    assert torch.equal(net.weight, weight.float())


def test_shapes_are_compared_before_numbers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rewritten(tmp_path / "w.safetensors", weight=torch.ones(4, 4))
    opened = weights.safe_open

    class Watched:
        def __init__(self, *arguments: object, **options: object) -> None:
            self.file = opened(*arguments, **options)

        def __enter__(self) -> Watched:
            self.file = self.file.__enter__()
            return self

        def __exit__(self, *_: object) -> None:
            self.file.__exit__(None, None, None)

        def keys(self) -> list[str]:
            return self.file.keys()

        def get_slice(self, name: str) -> object:
            return self.file.get_slice(name)

    monkeypatch.setattr(weights, "safe_open", Watched)  # has no get_tensor
    with pytest.raises(InputError, match=r"weight has shape \(4, 4\), \(2, 3\) is needed"):
        load_weights(Counted(), path)
