"""Small convex problems of every kind: operators, fidelities and regularizers, and which of them go together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from wellposed import Fidelity, LinearOperator, Problem, Regularizer, component
from wellposed.algebra import stack
from wellposed.recipes import build

BATCH = 3
#: Relative duality gaps of proximal maps that are iterated inside.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-6}


@dataclass(frozen=True)
class Case:
    """`problem` by the names of its parts, and a size to which distances near zero are relative."""

    operator: str
    fidelity: str
    regularizer: str
    dtype: torch.dtype
    problem: Problem
    size: Tensor

    @property
    def name(self) -> str:
        return f"{self.operator} | {self.fidelity} | {self.regularizer} | {str(self.dtype).removeprefix('torch.')}"


# Operators --------------------------------------------------------------------------------------------


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _masks(height: int, width: int, keep: float) -> Tensor:
    """One mask a sample, the first two rows of all of them kept."""
    masks = torch.rand((BATCH, 1, height, width), generator=torch.Generator().manual_seed(5)) < keep
    masks[:, :, :2] = True
    return masks


def _dense(rows: int, columns: int, condition: float) -> LinearOperator:
    """Singular values from 1 down to 1/condition."""
    u = torch.linalg.qr(_random(rows, rows, seed=1)).Q[:, : min(rows, columns)]
    v = torch.linalg.qr(_random(columns, columns, seed=2)).Q[:, : min(rows, columns)]
    matrix = (u * torch.logspace(0, -torch.tensor(condition).log10().item(), u.shape[1])) @ v.T
    return component("operators", "matrix")((1, 3, columns // 3), (rows,), matrix)


def _blur(shape: list[int], **more: Any) -> LinearOperator:
    kernel = {"use": "gaussian-kernel", "sigma": 0.7, "size": 3}
    return build("operators", {"use": "convolution", "shape": shape, "kernel": kernel, **more})


def _made(name: str, *args: Any, **kwargs: Any) -> LinearOperator:
    return component("operators", name)(*args, **kwargs)


OPERATORS: dict[str, Callable[[], LinearOperator]] = {
    "identity 4×6": lambda: _made("identity", (4, 6)),
    "identity 3 channels 5×3": lambda: _made("identity", (5, 3), channels=3),
    "identity 1×1": lambda: _made("identity", (1, 1)),
    "fourier 4×5": lambda: _made("fourier", (4, 5)),
    "fourier 1×1": lambda: _made("fourier", (1, 1)),
    "fourier, masked 4×6": lambda: _made("fourier", (4, 6), _masks(4, 6, 0.5)[0, 0]),
    "fourier, a mask per sample 4×4": lambda: _made("fourier", (4, 4), _masks(4, 4, 0.5)),
    "fourier of real images 4×5": lambda: _made("fourier", (4, 5)) @ _made("complexify", (4, 5)),
    "convolution 5×6": lambda: _blur([5, 6]),
    "convolution, reflect, 3 channels 4×5": lambda: _blur([4, 5], boundary="reflect", channels=3),
    "convolution, valid 5×5": lambda: _blur([5, 5], boundary="valid"),
    "inpainting 4×6": lambda: _made("inpainting", (4, 6), _masks(4, 6, 0.5)[1, 0]),
    "inpainting, a mask per sample 4×5": lambda: _made("inpainting", (4, 5), _masks(4, 5, 0.5)),
    "parallel beam 5×5": lambda: _made("parallel-beam", (5, 5), 6),
    "parallel beam, 3 channels 3×4": lambda: _made("parallel-beam", (3, 4), 3, channels=3),
    "parallel beam 1×1": lambda: _made("parallel-beam", (1, 1), 2),
    "dense, condition 1e4": lambda: _dense(15, 12, 1e4),
    "dense, wide": lambda: _dense(8, 12, 10.0),
    "stack of two 4×6": lambda: stack([_blur([4, 6]), _made("inpainting", (4, 6), _masks(4, 6, 0.5)[2, 0])]),
    "stack per sample 4×4": lambda: stack(
        [_made("inpainting", (4, 4), _masks(4, 4, 0.4)), 2.0 * _made("identity", (4, 4))]
    ),
}


@cache
def operator(name: str, dtype: torch.dtype) -> LinearOperator:
    return OPERATORS[name]().to(dtype)


# Fidelities -------------------------------------------------------------------------------------------


def _bins(y: Tensor) -> Tensor:
    """A weight per bin between ½ and 3/2."""
    return 0.5 + torch.rand(y.shape[1:], generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def _l2(**kwargs: Any) -> Fidelity:
    return component("fidelities", "l2")(**kwargs)


def _weights_per_sample(y: Tensor) -> Tensor:
    scale = torch.tensor([1.0, 0.3, 4.0], dtype=torch.float64).reshape(-1, *([1] * (y.ndim - 1)))
    return scale * _bins(y)


FIDELITIES: dict[str, Callable[[Tensor], Fidelity]] = {
    "l2": lambda y: _l2(),
    "weighted l2": lambda y: _l2(weight=_bins(y)),
    "l2 weighted per sample": lambda y: component("fidelities", "l2").of_samples(_weights_per_sample(y)),
    "l1": lambda y: component("fidelities", "l1")(weight=0.7 * _bins(y)),
    "kullback-leibler": lambda y: component("fidelities", "kullback-leibler")(gain=3.0, background=0.4),
}

# Regularizers -----------------------------------------------------------------------------------------


def _prior(name: str, *args: Any, **kwargs: Any) -> Regularizer:
    return component("regularizers", name)(*args, **kwargs)


def _variation(tolerance: float, **kwargs: Any) -> Regularizer:
    return _prior("total-variation", tolerance=tolerance, limit=20_000, **kwargs)


def _second_order(tolerance: float) -> Regularizer:
    return _prior("total-generalized-variation", tolerance=1e3 * tolerance, limit=20_000)


def _ridge(weight: float) -> Regularizer:
    return weight * _prior("tikhonov")


def _composed(name: str, a: LinearOperator, **kwargs: Any) -> Regularizer:
    """A function of three more measurements of the image."""
    rows = component("operators", "matrix")(a.domain.shape, (7,), 0.3 * _random(7, a.domain.size, seed=9))
    return _prior("compose", _prior(name, **kwargs), rows)


REGULARIZERS: dict[str, Callable[[LinearOperator, float], Regularizer]] = {
    "zero": lambda a, t: _prior("zero"),
    "tikhonov": lambda a, t: _ridge(0.05),
    "tikhonov of the gradient": lambda a, t: 0.1 * _prior("tikhonov", "gradient"),
    "l1": lambda a, t: 0.2 * _prior("l1"),
    "huber": lambda a, t: 0.2 * _prior("huber", 0.1),
    "box": lambda a, t: _prior("box", 0.1, 0.8),
    "nonnegativity": lambda a, t: _prior("nonnegativity"),
    "total variation": lambda a, t: 0.1 * _variation(t),
    "anisotropic variation": lambda a, t: 0.1 * _variation(t, norm="anisotropic"),
    "joint variation": lambda a, t: 0.1 * _variation(t, channels="joint"),
    "smoothed variation": lambda a, t: 0.1 * _prior("smoothed-total-variation", 0.1, 0.2),
    "generalized variation": lambda a, t: 0.1 * _second_order(t),
    "wavelets": lambda a, t: 0.1 * _prior("wavelet-l1", "haar", 1),
    "l1 of measurements": lambda a, t: 0.2 * _composed("l1", a),
    "huber of measurements": lambda a, t: 0.2 * _composed("huber", a, delta=0.1),
    "l1 + ridge": lambda a, t: 0.2 * _prior("l1") + _ridge(0.05),
    "huber + gradient": lambda a, t: 0.2 * _prior("huber", 0.1) + 0.1 * _prior("tikhonov", "gradient"),
    "box + ridge": lambda a, t: _prior("box", -0.2, 0.7) + _ridge(0.1),
    "variation + nonnegativity": lambda a, t: 0.1 * _variation(t) + _prior("nonnegativity"),
    "½ (variation + ridge)": lambda a, t: 0.5 * (0.2 * _variation(t) + _ridge(0.2)),
    "wavelets + variation": lambda a, t: 0.1 * _prior("wavelet-l1", "haar", 1) + 0.05 * _variation(t),
    "generalized variation + ridge": lambda a, t: 0.1 * _second_order(t) + _ridge(0.1),
}

_REAL_ONLY = {"box", "nonnegativity", "box + ridge", "variation + nonnegativity"}
#: Every proximal map is an optimisation of its own, so only with isometries, where few are needed.
_COSTLY = {"generalized variation", "generalized variation + ridge"}
_MATRIX_ONLY_REAL = {"l1 of measurements", "huber of measurements"}


def fits(a: LinearOperator, fidelity: str, regularizer: str) -> bool:
    """Whether these parts have a meaning together."""
    is_complex = a.domain.is_complex
    if is_complex and regularizer in _REAL_ONLY | _MATRIX_ONLY_REAL:
        return False
    if a.range.is_complex and fidelity == "kullback-leibler":
        return False
    if regularizer in _COSTLY and (a.structure().isometry is None or "l2" not in fidelity):
        return False
    if regularizer == "joint variation" and a.domain.shape[0] == 1:
        return False
    return not regularizer.startswith("wavelets") or all(n % 2 == 0 for n in a.domain.shape[1:])


# Problems ---------------------------------------------------------------------------------------------


def case(operator_name: str, fidelity: str, regularizer: str, dtype: torch.dtype) -> Case:
    """Three unlike samples: noisy squares, one of them small and one large."""
    a = operator(operator_name, dtype)
    truth = _images(a, dtype)
    noise = a.range.randn(BATCH, torch.Generator().manual_seed(7), dtype)
    y = a(truth) + 0.05 * noise
    if fidelity == "kullback-leibler":
        # Some bins without a count; the background keeps the objective finite at zero.
        y = (y + 0.4).clamp_min(0.0)
        y.flatten(1)[:, 3::7] = 0.0
    problem = Problem(a, y, FIDELITIES[fidelity](y).to(dtype), REGULARIZERS[regularizer](a, TOLERANCE[dtype]).to(dtype))
    size = 0.01 * torch.linalg.vector_norm(truth.flatten(1), dim=1).double()
    return Case(operator_name, fidelity, regularizer, dtype, problem, size)


def _images(a: LinearOperator, dtype: torch.dtype) -> Tensor:
    x = 0.1 * torch.rand((BATCH, *a.domain.shape), generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    height, width = a.domain.shape[-2:]
    x[0, ..., height // 3 :, : width // 2 + 1] += 1.0
    x[1, ..., : height // 2 + 1, width // 3 :] += 0.5
    x[2, ..., height // 2 :, width // 2 :] += 2.0
    x[:, -1] *= 0.7
    if a.domain.is_complex:
        return (x * torch.exp(2j * x)).to(dtype.to_complex())
    return x.to(dtype)


def cases(operator_name: str, dtype: torch.dtype) -> Iterator[Case]:
    """A quarter of the problems with this operator, of those in single precision a twelfth.

    Over all operators every fidelity meets every regularizer, and every operator meets both.
    """
    a, shift = operator(operator_name, dtype), list(OPERATORS).index(operator_name)
    every = 4 if dtype == torch.float64 else 12
    for (i, fidelity), (j, regularizer) in itertools.product(enumerate(FIDELITIES), enumerate(REGULARIZERS)):
        if (i + j + shift) % every == 0 and fits(a, fidelity, regularizer):
            yield case(operator_name, fidelity, regularizer, dtype)
