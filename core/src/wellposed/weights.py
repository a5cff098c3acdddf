"""Trained weights: safetensors files with their provenance, named by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .errors import InputError
from .files.atomic import write_bytes
from .registry.weights import WeightsEntry, all_weights

__all__ = ["WeightsEntry", "all_weights", "check_numbers", "load_weights", "save_weights"]


def load_weights(module: nn.Module, source: str) -> None:
    """Load shipped weights by name, or a `.safetensors` file, into `module`; raises `InputError`.

    Names and shapes must be those of the module, which is found out before any number is read. Integers and truth
    values must be of the module's own type; real and complex numbers may be of another width and are rounded to the
    module's. Numbers that are not finite, or too large for the module's type, are refused.
    """
    path = _file_of(source)
    own = module.state_dict()
    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            misfit = _misfit(own, shapes)
            tensors = {} if misfit else {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from None
    if misfit is None:
        misfit = next((told for name in own if (told := _wrong_numbers(name, tensors[name], own[name]))), None)
    if misfit is not None:
        raise InputError(f"{path.name} does not fit {type(module).__name__}: {misfit}")
    module.load_state_dict(tensors)


def save_weights(module: nn.Module, path: Path, provenance: Mapping[str, str] | None = None) -> None:
    """Write the state of `module` to a safetensors file, atomically."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    write_bytes(path, save(tensors, metadata=dict(provenance or {})))


def check_numbers(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise `InputError` where a tensor has not the very type of the module's of its name, or is not finite."""
    for name, own in module.state_dict().items():
        given = tensors.get(name)
        if given is None:
            continue
        if given.dtype != own.dtype:
            raise InputError(f"{name} holds {_type(given)}, {_type(own)} is needed")
        told = _wrong_numbers(name, given, own)
        if told is not None:
            raise InputError(told)


def _file_of(source: str) -> Path:
    shipped = all_weights()
    path = shipped[source].path if source in shipped else Path(source)
    if source in shipped and not path.is_file():
        provider = shipped[source].distribution
        raise InputError(f"the weights {source!r} are missing from {provider} ({path}); install it again")
    if not path.is_file():
        names = ", ".join(sorted(shipped)) or "none"
        raise InputError(f"{source!r} is neither a file nor the name of shipped weights ({names})")
    return path


def _misfit(own: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What names or shapes have against the file; `None` where they agree."""
    missing, unknown = sorted(own.keys() - shapes.keys()), sorted(shapes.keys() - own.keys())
    if missing or unknown:
        return f"missing {_few(missing)}, unknown {_few(unknown)}; build it with the settings of its recipe"
    wrong = next((name for name in own if tuple(own[name].shape) != shapes[name]), None)
    return wrong and f"{wrong} has shape {shapes[wrong]}, {tuple(own[wrong].shape)} is needed"


def _wrong_numbers(name: str, given: Tensor, own: Tensor) -> str | None:
    """What the numbers of one tensor have against the module's; `None` where they can be taken."""
    same_field = given.is_complex() == own.is_complex() and given.is_floating_point() == own.is_floating_point()
    continuous = own.is_complex() or own.is_floating_point()
    if not same_field or (not continuous and given.dtype != own.dtype):
        return f"{name} holds {_type(given)}, {_type(own)} is needed; export the weights as they were trained"
    if not continuous:
        return None
    if not bool(torch.isfinite(_wide(given)).all()):
        return f"{name} holds numbers that are not finite; the training that wrote it diverged, or the file is damaged"
    if not bool(torch.isfinite(_wide(given.to(own.dtype))).all()):
        return f"{name} holds numbers that are too large for {_type(own)}"
    return None


def _wide(tensor: Tensor) -> Tensor:
    """In a type that knows infinity: those of 8 bits have no test for it."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 2 else tensor


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _few(names: list[str]) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
