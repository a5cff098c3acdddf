"""What a training was begun with, as plain data that a resumed one is compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from wellposed.recipes.builder import constructor_parameters


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """A short hash of the numbers in `tensors`."""
    text = hashlib.sha256()
    for tensor in tensors:
        text.update(tensor.detach().cpu().contiguous().resolve_conj().numpy().tobytes())
    return text.hexdigest()[:16]


def described(part: Any) -> Any:
    """A component as plain data: its type, the constructor's arguments that it keeps, and a hash of its tensors."""
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, Tensor):
        return fingerprint([part])
    if isinstance(part, list | tuple | nn.ModuleList):
        return [described(each) for each in part]
    if not isinstance(part, nn.Module):
        return type(part).__name__
    kept = {name: described(getattr(part, name)) for name in constructor_parameters(type(part)) if hasattr(part, name)}
    return {"type": type(part).__name__, **kept, "tensors": fingerprint(part.state_dict().values())}
