"""A user's own measurement: an array from a file, fitted to the operator that measured it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .dataset import Dataset, Sample
from .errors import InputError, ShapeError
from .files import ArrayInfo, describe_file, read_array
from .operator import Operator
from .space import Space


class MeasurementFile(Dataset):
    """Measurements from a file, `y = A(x) + noise` with the given operator; one sample, or one per leading index.

    `path`: .npy .npz .h5 .mat .tif .png .dcm and the other formats of `wellposed.files`. `key` names the
    array where the file holds several; without it the one that fits is taken, where only one does.
    `transpose` permutes the file's axes first. Axes of length one are added or left out as needed; where
    complex numbers are measured, real arrays with a last axis of two are real and imaginary part.
    An operator with open parts (coil sensitivities) is calibrated by each measurement.
    `reference`, `reference_key`: a file with the true image, of the operator's domain, if there is one.

    Raises `ShapeError` where the array does not fit, saying what was found and what would fit.
    """

    source = "measured data, y = A(x) + noise"

    def __init__(
        self,
        path: str,
        operator: Operator,
        key: str | None = None,
        transpose: list[int] | None = None,
        reference: str | None = None,
        reference_key: str | None = None,
    ) -> None:
        self.name = Path(path).stem
        owner = type(operator).__name__
        array = _ordered(_read(path, key, operator.range, transpose, owner, "measures"), transpose, path)
        self.measurements = fitted(array, operator.range, path, owner, "measures")
        _check_measured(self.measurements, path)
        self.operators = [operator.calibrated(y[None]) for y in self.measurements]
        self.references: Tensor | None = None
        if reference is not None:
            image = _read(reference, reference_key, operator.domain, None, owner, "maps images of")
            images = fitted(image, operator.domain, reference, owner, "maps images of")
            if len(images) != len(self.measurements):
                raise ShapeError(f"{reference} holds {len(images)} images for {len(self.measurements)} measurements")
            self.references = images

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ()

    def __len__(self) -> int:
        return len(self.measurements)

    def __getitem__(self, index: int) -> Sample:
        index = self.check_index(index)
        name = self.name if len(self) == 1 else f"{self.name}-{index}"
        truth = None if self.references is None else self.references[index]
        return Sample(name, truth, self.measurements[index], self.operators[index])


def fitted(array: np.ndarray, space: Space, where: str, owner: str, verb: str) -> Tensor:
    """`array` as a batch `(B, *space.shape)` of the space's number field; raises `ShapeError`."""
    if np.iscomplexobj(array) and not space.is_complex:
        raise ShapeError(f"{where} holds complex numbers; {owner} {verb} real ones. Take their magnitude or real part")
    shape = _batched_shape(array.shape, space.shape)
    if shape is None and space.is_complex and not np.iscomplexobj(array) and array.shape[-1:] == (2,):
        array = array[..., 0] + 1j * array[..., 1]
        shape = _batched_shape(array.shape, space.shape)
    if shape is None:
        raise ShapeError(_misfit(array.shape, space.shape, where, owner, verb))
    real = np.float64 if array.dtype in (np.float64, np.complex128) else np.float32
    dtype = np.result_type(real, np.complex64) if space.is_complex else real
    return torch.from_numpy(np.array(array, dtype=dtype).reshape(shape))  # a copy: files may be mapped read-only


def _read(path: str, key: str | None, space: Space, transpose: list[int] | None, owner: str, verb: str) -> np.ndarray:
    """The array named `key`, or the only one that fits; its shape is compared before its numbers are read."""
    arrays = describe_file(path)
    chosen = next((a for a in arrays if a.key == key), None) if key else arrays[0] if len(arrays) == 1 else None
    if key is None and chosen is None and arrays:
        chosen = _only_fitting(path, arrays, space)
    if chosen is None:
        return read_array(path, key)
    shape = _turned(chosen.shape, transpose)
    if not _may_fit(shape, space):
        raise ShapeError(_misfit(shape, space.shape, path, owner, verb))
    single = _squeezed(shape) == _squeezed(space.shape) or _squeezed(shape) == _squeezed((*space.shape, 2))
    return read_array(path, chosen.key or None, expected=(*space.shape, 2) if single else None)


def _only_fitting(path: str, arrays: Sequence[ArrayInfo], space: Space) -> ArrayInfo:
    fitting = [a for a in arrays if _batched_shape(a.shape, space.shape) is not None]
    if len(fitting) == 1:
        return fitting[0]
    which = f"{', '.join(a.key for a in fitting)} fit" if fitting else "none of them fits"
    listed = "; ".join(map(str, arrays[:6])) + ("; …" if len(arrays) > 6 else "")
    turned = [(a.key, order) for a in arrays if (order := _fitting_order(a.shape, space.shape))]
    hint = "" if fitting or not turned else f" ({turned[0][0]} would with transpose {turned[0][1]})"
    raise InputError(f"{path} holds several arrays ({listed}); {which} {_size(space.shape)}{hint}. Name one as key")


def _may_fit(shape: tuple[int, ...], space: Space) -> bool:
    """Whether an array of this shape may be a measurement; real and imaginary part may be its last axis."""
    shapes = [shape, shape[:-1]] if space.is_complex and shape[-1:] == (2,) else [shape]
    return any(_batched_shape(each, space.shape) is not None for each in shapes)


def _turned(shape: tuple[int, ...], transpose: list[int] | None) -> tuple[int, ...]:
    """The shape in the asked-for order of axes; as it is where that is no order of its axes (refused later)."""
    if transpose is None or sorted(transpose) != list(range(len(shape))):
        return shape
    return tuple(shape[i] for i in transpose)


def _check_measured(measurements: Tensor, path: str) -> None:
    """Refuse what no scanner measures: zeros alone, or not one measurement of finite numbers."""
    if not bool(measurements.any()):
        raise InputError(f"{path} holds nothing but zeros; nothing was measured, or the file was never written in full")
    finite = torch.isfinite(measurements).flatten(1)
    if not bool(finite.all(1).any()):
        count = int((~finite).sum())
        raise InputError(
            f"{path} holds numbers that are not finite ({count} of {finite.numel()}); mend or mask the places where "
            f"nothing was measured"
        )


def _ordered(array: np.ndarray, transpose: list[int] | None, path: str) -> np.ndarray:
    if transpose is None:
        return array
    if sorted(transpose) != list(range(array.ndim)):
        raise InputError(f"{path} has {array.ndim} axes; transpose {transpose} is no order of 0 … {array.ndim - 1}")
    return array.transpose(transpose)


def _batched_shape(given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape `(B, *wanted)` that an array can be reshaped to by adding or dropping axes of length one."""
    if _squeezed(given) == _squeezed(wanted):
        return (1, *wanted)
    if given and _squeezed(given[1:]) == _squeezed(wanted):
        return (given[0], *wanted)
    return None


def _misfit(given: tuple[int, ...], wanted: tuple[int, ...], where: str, owner: str, verb: str) -> str:
    text = f"{where} holds {_size(given)} numbers; {owner} {verb} {_size(wanted)}"
    order = _fitting_order(given, wanted)
    if order:
        return f"{text}. With its axes in the order {order} (transpose) it would fit"
    return f"{text}. Set the operator's arguments so that the sizes agree, or select the part that was measured"


def _fitting_order(given: tuple[int, ...], wanted: tuple[int, ...]) -> str | None:
    """An order of the axes, such as `1,0`, with which an array would fit."""
    for order in permutations(range(len(given))) if len(given) <= 4 else ():
        if _batched_shape(tuple(given[i] for i in order), wanted) is not None:
            return ",".join(map(str, order))
    return None


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "1"
