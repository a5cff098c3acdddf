"""Iterations made of layers, as a training layer by layer sees them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Layered(Protocol):
    """An iteration whose step k is a layer with parameters of its own; any plugin's iteration may be one."""

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """For each layer, in order, the learned parameters that it is the first to use."""
        ...
