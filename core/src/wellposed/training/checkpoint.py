"""Checkpoints: one safetensors file with weights and optimiser state, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import InputError
from ..files.atomic import write_bytes
from ..weights import check_numbers

NAME = "checkpoint.safetensors"
_WEIGHTS, _STATE = "weights.", "optimizer."


@dataclass(frozen=True)
class Checkpoint:
    """A training after `step` steps. `settings` are what it was begun with; `scaler` the loss scaling of float16.

    Random numbers are not in it: those of a step depend on the seed and its number alone.
    """

    step: int
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    metrics: Mapping[str, float] = field(default_factory=dict)
    scaler: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        step: int,
        settings: Mapping[str, Any],
        target: nn.Module,
        optimizer: Optimizer,
        metrics: Mapping[str, float],
        scaler: Mapping[str, float],
    ) -> Checkpoint:
        tensors = {f"{_WEIGHTS}{name}": value for name, value in target.state_dict().items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors.update({f"{_STATE}{index}.{key}": torch.as_tensor(value) for key, value in state.items()})
        # Clones: safetensors refuses tensors that share memory (tied weights).
        owned = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
        return cls(step, settings, owned, metrics, scaler)

    def restore(self, target: nn.Module, optimizer: Optimizer) -> None:
        """Load weights and optimiser state; raises `InputError` where they are of another target."""
        weights = {n.removeprefix(_WEIGHTS): t for n, t in self.tensors.items() if n.startswith(_WEIGHTS)}
        try:
            check_numbers(target, weights)
            target.load_state_dict(weights)
        except (InputError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the checkpoint is of another target than {type(target).__name__}: {reason}") from None
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.tensors.items():
            if name.startswith(_STATE):
                index, key = name.removeprefix(_STATE).split(".", 1)
                state.setdefault(int(index), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})

    def write(self, folder: Path) -> Path:
        """Write it into `folder`; a reader finds the old one or this one, whenever the process is killed."""
        about = {
            "step": self.step,
            "settings": dict(self.settings),
            "metrics": dict(self.metrics),
            "scaler": dict(self.scaler),
            "sha256": _digest(self.tensors),
        }
        # One entry: safetensors writes several in an order that changes from process to process.
        metadata = {"checkpoint": json.dumps(about)}
        path = folder / NAME
        write_bytes(path, save(dict(self.tensors), metadata=metadata))
        return path

    @classmethod
    def read(cls, folder: Path) -> Checkpoint | None:
        """The checkpoint in `folder`, `None` where there is none; raises `InputError` where it is damaged."""
        path = folder / NAME
        if not path.exists():
            return None
        try:
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            about = json.loads(metadata["checkpoint"])
            if about["sha256"] != _digest(tensors):
                raise ValueError("its checksum does not agree with its content")
            return cls(about["step"], about["settings"], tensors, about["metrics"], about["scaler"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"the checkpoint {path} is damaged ({reason}); put back a copy of it, or remove it to train anew"
            ) from None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name}{tuple(tensors[name].shape)}{tensors[name].dtype}".encode())
        found.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
