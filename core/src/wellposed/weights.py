"""Trained weights: safetensors files with their provenance, named by entry points."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from .errors import InputError
from .registry.weights import WeightsEntry, all_weights

__all__ = ["WeightsEntry", "all_weights", "load_weights", "save_weights"]


def load_weights(module: nn.Module, source: str) -> None:
    """Load shipped weights by name, or a `.safetensors` file, into `module`; raises `InputError`."""
    shipped = all_weights()
    path = shipped[source].path if source in shipped else Path(source)
    if source in shipped and not path.is_file():
        provider = shipped[source].distribution
        raise InputError(f"the weights {source!r} are missing from {provider} ({path}); install it again")
    if not path.is_file():
        names = ", ".join(sorted(shipped)) or "none"
        raise InputError(f"{source!r} is neither a file nor the name of shipped weights ({names})")
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no readable safetensors file: {error}") from None
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        raise InputError(
            f"{path.name} does not fit {type(module).__name__}: "
            f"missing {_few(missing)}, unknown {_few(unknown)}; build it with the settings of its recipe"
        )
    wrong = next((k for k in own if own[k].shape != tensors[k].shape), None)
    if wrong is not None:
        raise InputError(
            f"{path.name} does not fit {type(module).__name__}: {wrong} has shape "
            f"{tuple(tensors[wrong].shape)}, {tuple(own[wrong].shape)} is needed"
        )
    module.load_state_dict(tensors)


def save_weights(module: nn.Module, path: Path, provenance: Mapping[str, str] | None = None) -> None:
    """Write the state of `module` to a safetensors file, atomically."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    payload = save(tensors, metadata=dict(provenance or {}))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that their owner alone can read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _few(names: list[str]) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
