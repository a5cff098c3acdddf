"""Steerable convolutions computed by escnn."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from wellposed.errors import InputError

from ..escnn_loader import load_escnn
from ..steerable.basis import steerable_basis
from ..steerable.group import Cyclic
from ..steerable.representation import Fields, Regular, Representation
from .convolution import Padding
from .family import Steerable
from .steerable import SteerableParameters

#: How far the two packages' spaces of kernels may lie apart: escnn samples its kernels in single precision.
_TOLERANCE = 1e-5


class EscnnConvolution(SteerableParameters):
    """`escnn.nn.R2Conv` with the parameters of `SteerableConvolution`: the same weights give the same map.

    Both spaces of kernels are the same, so that each of our kernels is a combination of escnn's. It is found
    once, and our weights are handed to the layer as the coefficients that they are there. The layer's own
    parameters are not used; it is no submodule, so that its buffers, which depend on its mode, are not saved.
    """

    def __init__(self, group: Cyclic, source: Fields, target: Fields, kernel_size: int, padding_mode: Padding) -> None:
        super().__init__(group, source, target, kernel_size, padding_mode)
        change = _change_of_basis(group, source.representation, target.representation, kernel_size)
        self.register_buffer("change", change.clone(), persistent=False)
        self._layer = (_layer(group, source, target, kernel_size, padding_mode),)

    change: Tensor

    def forward(self, x: Tensor) -> Tensor:
        layer = self._layer[0]
        fields = load_escnn().nn.GeometricTensor(x, layer.in_type)
        return functional_call(layer, self._coefficients(), (fields,)).tensor

    def expand(self) -> tuple[Tensor, Tensor]:
        layer, coefficients = self._layer[0], self._coefficients()
        kernel = layer.basisexpansion(coefficients["weights"])
        size = layer.kernel_size
        return kernel.reshape(*kernel.shape[:2], size, size), layer.bias_expansion @ coefficients["bias"]

    def _coefficients(self) -> dict[str, Tensor]:
        return {"weights": (self.weight @ self.change).reshape(-1), "bias": self.bias.reshape(-1)}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> EscnnConvolution:
        """Device and precision of the layer follow those of this module."""
        super()._apply(fn, recurse)
        self._layer[0]._apply(fn)
        return self


class EscnnBackEnd(Steerable):
    """Steerable convolutions by escnn. Raises `InputError` where escnn is not installed."""

    def __init__(self, group: Cyclic, fields: int, kernel_size: int, padding_mode: Padding) -> None:
        super().__init__(group, fields, kernel_size, padding_mode)
        self._cyclic = group
        load_escnn()

    def _convolution(self, source: Fields, target: Fields) -> EscnnConvolution:
        return EscnnConvolution(self._cyclic, source, target, self.kernel_size, self.padding_mode)


def _layer(group: Cyclic, source: Fields, target: Fields, kernel_size: int, padding_mode: Padding) -> Any:
    """A layer of escnn that shares no buffer with another: else converting one would convert the other."""
    nn = load_escnn().nn
    types = [_field_type(group, fields) for fields in (source, target)]
    layer = nn.R2Conv(
        *types, kernel_size, padding=kernel_size // 2, padding_mode=padding_mode, bias=True, initialize=False
    )
    # In training mode it keeps no expanded kernel, which would be that of other weights.
    return copy.deepcopy(layer).train().requires_grad_(False)


def _field_type(group: Cyclic, fields: Fields) -> Any:
    """The type of `fields` in escnn; its regular representations are ordered as ours."""
    escnn = load_escnn()
    space = _space(group.order)
    representation = space.regular_repr if isinstance(fields.representation, Regular) else space.trivial_repr
    return escnn.nn.FieldType(space, fields.count * [representation])


@lru_cache(maxsize=16)
def _space(order: int) -> Any:
    return load_escnn().gspaces.rot2dOnR2(N=order) if order > 1 else load_escnn().gspaces.trivialOnR2()


@lru_cache(maxsize=64)
def _change_of_basis(group: Cyclic, source: Representation, target: Representation, kernel_size: int) -> Tensor:
    """`T` with `ours[d] = Σ_e T[d, e] theirs[e]`. Raises `InputError` where escnn spans another space."""
    ours = steerable_basis(group, source, target, kernel_size)
    layer = _layer(group, Fields(1, source), Fields(1, target), kernel_size, "zeros")
    with torch.no_grad():
        count = layer.weights.numel()
        theirs = torch.stack([layer.basisexpansion(unit).flatten() for unit in torch.eye(count)])
    ours, theirs = ours.reshape(len(ours), -1), theirs.double().numpy()
    change = np.linalg.lstsq(theirs.T, ours.T, rcond=None)[0].T
    error = np.abs(change @ theirs - ours).max()
    if count != len(ours) or not error <= _TOLERANCE:
        raise InputError(
            f"this escnn builds other kernels than version 1.0.11 ({count} for a pair of fields, {len(ours)} are "
            f"expected; distance {error:.1e}); take cyclic-proximal-network"
        )
    return torch.tensor(change, dtype=torch.float32)
