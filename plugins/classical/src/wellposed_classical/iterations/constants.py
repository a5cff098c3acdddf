"""Constants of a problem that safe step sizes and certificates are made of, one per sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wellposed import InputError, LinearOperator, Operator, Problem

#: How far rounding may bend a declared `A*A = c·I`, in units of the machine precision.
_ROUNDING = 16.0


def samples(value: float | Tensor, like: Tensor) -> Tensor:
    """A number or a `(B,)` tensor as a real `(B,)` tensor on the device and in the precision of `like`."""
    if not isinstance(value, Tensor):
        return torch.full((len(like),), value, dtype=like.dtype.to_real(), device=like.device)
    tensor = value.to(device=like.device, dtype=like.dtype.to_real())
    return tensor.expand(len(like)) if tensor.ndim == 0 else tensor


def start_image(problem: Problem, x: Tensor | None) -> Tensor:
    """The image that an iteration starts from, in the number field of the domain: zero by default."""
    zero = problem.zeros()
    return zero if x is None else x.to(device=zero.device, dtype=zero.dtype)


def data_smoothness(problem: Problem, x: Tensor) -> Tensor | None:
    """A Lipschitz constant of `x ↦ A*∇D(Ax, y)`, `(B,)`; `None` where the fidelity or operator has none.

    A constant that holds for `v ≥ 0` alone is none: nothing keeps `Ax` there. For a nonlinear operator it is that of
    the Gauss–Newton part, `A'(x)` frozen.
    """
    fidelity = fidelity_smoothness(problem)
    size = problem.operator.norm()
    return None if fidelity is None or size is None else samples(fidelity, x) * size**2


def fidelity_smoothness(problem: Problem) -> float | Tensor | None:
    """A Lipschitz constant of `∇D(·, y)` that holds for all `v`, a number or `(B,)`, or `None`."""
    return problem.fidelity.smoothness(problem.measurement) if problem.fidelity.smooth_everywhere else None


def convexity_bound(problem: Problem, x: Tensor) -> Tensor:
    """`μ ≥ 0`, `(B,)`, such that `D(A·, y) − μ/2‖·‖²` is convex: a bound from below of the curvature.

    Known where the operator declares `A*A = c·I` (denoising, orthonormal transforms); else 0.
    """
    fidelity = samples(problem.fidelity.strong_convexity(problem.measurement), x)
    return fidelity * ((isometry(problem.operator) or 0.0) * (1 - _ROUNDING * torch.finfo(x.dtype).eps))


def isometry(operator: Operator) -> float | None:
    """`c` where the operator declares `A*A = c·I`, exact up to the rounding of the operator itself."""
    return operator.structure().isometry if isinstance(operator, LinearOperator) else None


def is_shared(operator: Operator) -> bool:
    """Whether all samples of a batch have the same operator."""
    return operator.take(torch.zeros(1, dtype=torch.long)) is operator


def random_image(x: Tensor) -> Tensor:
    """Normal noise of the shape of `x`, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def reciprocal(constant: Tensor) -> Tensor:
    """`1/constant`, and 1 where it is zero: the map has nothing to do there."""
    return torch.where(constant > 0, 1.0 / constant, 1.0)


def keep_step(module: nn.Module, name: str, value: float | Tensor | None) -> None:
    """Store a step size given by the caller: learned parameters as such, other tensors as buffers.

    Raises `InputError` unless it is positive, and a learned one a single number.
    """
    if value is None:
        setattr(module, name, None)
        return
    if not bool((torch.as_tensor(value) > 0).all()):
        raise InputError(f"{type(module).__name__}'s {name} must be positive; got {value}")
    if isinstance(value, nn.Parameter) and value.numel() > 1:
        raise InputError(f"a learned {name} of {type(module).__name__} is one number; got {tuple(value.shape)}")
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        module.register_buffer(name, value)
    else:
        setattr(module, name, value)


def given_or(own: float | Tensor | None, stored: Tensor) -> float | Tensor:
    """The step size that a step uses: a given number, so that gradients reach a learned one, else the state's.

    Given `(B,)` step sizes are read from the state, which shrinks with the batch.
    """
    per_sample_values = isinstance(own, Tensor) and own.numel() > 1
    return stored if own is None or per_sample_values else own
