"""Checkpoints: a failed write leaves the old one, left-overs are cleared, damage is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from wellposed.errors import InputError
from wellposed.training import Checkpoint
from wellposed.training.checkpoint import NAME


def checkpoint(step: int = 3) -> Checkpoint:
    net = nn.Linear(2, 2)
    return Checkpoint.of(step, {"seed": 1}, net, torch.optim.Adam(net.parameters()), {"loss": 0.5}, {"scale": 8.0})


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    made = checkpoint()
    assert made.write(tmp_path) == tmp_path / NAME
    found = Checkpoint.read(tmp_path)
    assert found is not None
    assert (found.step, found.settings, found.metrics, found.scaler) == (3, {"seed": 1}, {"loss": 0.5}, {"scale": 8.0})
    assert found.tensors.keys() == made.tensors.keys() == {"weights.weight", "weights.bias"}
    assert all(torch.equal(found.tensors[name], made.tensors[name]) for name in made.tensors)
    assert Checkpoint(1, {}, {}).metrics == {}
    assert Checkpoint(1, {}, {}).scaler == {}


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert Checkpoint.read(tmp_path) is None


def test_a_write_that_fails_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint().write(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="disk full"):
            checkpoint(4).write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    found = Checkpoint.read(tmp_path)
    assert found is not None
    assert found.step == 3


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """Other processes of the same training read while the first one writes."""
    part = tmp_path / f".{NAME}.123.part"
    part.write_bytes(b"half")
    assert Checkpoint.read(tmp_path) is None
    assert part.exists()


def test_it_is_a_copy_of_the_weights_and_of_tied_ones_too() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    made = Checkpoint.of(0, {}, net, torch.optim.SGD(net.parameters()), {}, {})
    before = made.tensors["weights.0.weight"].clone()
    with torch.no_grad():
        net[0].weight.add_(1.0)
    assert torch.equal(made.tensors["weights.0.weight"], before)
    assert made.tensors["weights.0.weight"].data_ptr() != made.tensors["weights.1.weight"].data_ptr()


@pytest.mark.parametrize("part", ["weights", "cut", "text"])
def test_damage_is_told(tmp_path: Path, part: str) -> None:
    path = checkpoint().write(tmp_path)
    data = bytearray(path.read_bytes())
    if part == "weights":
        data[-1] ^= 1
    path.write_bytes({"weights": bytes(data), "cut": bytes(data[:-3]), "text": b"no checkpoint"}[part])
    with pytest.raises(InputError, match=r"is damaged .*put back a copy") as caught:
        Checkpoint.read(tmp_path)
    assert ("checksum" in str(caught.value)) == (part == "weights")


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.ones(2, 2, dtype=torch.float64), "weight holds float64, float32 is needed"),
        (torch.ones(2, 2, dtype=torch.int32), "weight holds int32, float32 is needed"),
        (torch.full((2, 2), torch.nan), "weight holds numbers that are not finite"),
    ],
)
def test_weights_are_restored_as_they_were_or_not_at_all(weight: torch.Tensor, words: str) -> None:
    net = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters())
    made = Checkpoint.of(1, {}, net, optimizer, {}, {})
    made.tensors["weights.weight"] = weight  # type: ignore[index]
    before = net.weight.detach().clone()
    with pytest.raises(InputError, match=f"the checkpoint is of another target than Linear: {words}"):
        made.restore(net, optimizer)
    assert torch.equal(net.weight, before)
