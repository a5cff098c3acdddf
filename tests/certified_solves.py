"""Problems whose solutions are known, for counting certificates that do not hold; each sample of a batch is one solve.

Operators are diagonal or isometries, so that separable regularizers have closed forms. Solutions are computed in
float64 from the very numbers that the solver gets, whatever its precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import LinearOperator, Problem, Regularizer, Space, component
from wellposed.structure import Structure

L1, Box, Tikhonov, Huber = (component("regularizers", n) for n in ("l1", "box", "tikhonov", "huber"))
TV, TGV = component("regularizers", "total-variation"), component("regularizers", "total-generalized-variation")
L2 = component("fidelities", "l2")


@dataclass(frozen=True)
class Case:
    """`problem` in its precision, the float64 `solution`, and the `start` image or `None` for zero."""

    name: str
    problem: Problem
    solution: Tensor
    start: Tensor | None


class Diagonal(LinearOperator):
    """`y = d·x`; declares `c` where it is `√c` everywhere."""

    def __init__(self, diagonal: Tensor, isometry: float | None = None) -> None:
        super().__init__(Space(tuple(diagonal.shape), diagonal.dtype), Space(tuple(diagonal.shape), diagonal.dtype))
        self.register_buffer("diagonal", diagonal)
        self.isometry = isometry

    diagonal: Tensor

    def _forward(self, x: Tensor) -> Tensor:
        return self.diagonal * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.diagonal * y

    def structure(self) -> Structure:
        return Structure(isometry=self.isometry, norm=float(self.diagonal.abs().max()))


def soft(x: Tensor, threshold: float) -> Tensor:
    return x.sign() * (x.abs() - threshold).clamp_min(0)


def shrunk_by_huber(pull: Tensor, curvature: Tensor, weight: float, delta: float) -> Tensor:
    """`argmin ½c x² − b x + w h_δ(x)`: linear inside, a shift outside."""
    inside = pull / (curvature + weight / delta)
    return torch.where(inside.abs() <= delta, inside, (pull - weight * pull.sign()) / curvature)


#: Regularizers with a ridge μ and a weight λ.
SEPARABLE: dict[str, Callable[[float, float], Regularizer]] = {
    "ridge": lambda mu, _: mu * Tikhonov(),
    "l1": lambda mu, lam: lam * L1() + mu * Tikhonov(),
    "box": lambda mu, lam: Box(-lam / mu / 8, lam / mu / 4) + mu * Tikhonov(),
    "huber": lambda mu, lam: lam * Huber(0.1 * lam / mu) + mu * Tikhonov(),
}


def _solve_separable(kind: str, pull: Tensor, curvature: Tensor, lam: float, mu: float) -> Tensor:
    """The minimiser of `½c x² − b x` plus the regularizer without its ridge, for the pull `b` and curvature `c`."""
    if kind == "box":
        return (pull / curvature).clamp(-lam / mu / 8, lam / mu / 4)
    if kind == "huber":
        return shrunk_by_huber(pull, curvature, lam, 0.1 * lam / mu)
    return pull / curvature if kind == "ridge" else soft(pull, lam) / curvature


def separable(batch: int, seed: int, kind: str, dtype: torch.dtype, condition: float, scale: float, slow: bool) -> Case:
    """A diagonal operator of 48 values, of this condition with the ridge; data and image scaled by `scale`.

    `slow` starts at the solution plus the mode of least curvature, where Banach's bound is tight.
    """
    generator = torch.Generator().manual_seed(seed)
    diagonal = torch.logspace(0, -0.5, 48, dtype=torch.float64).to(dtype)
    diagonal = diagonal[torch.randperm(48, generator=generator)].reshape(1, 6, 8).clone()
    diagonal.view(-1)[int(torch.randint(48, (1,), generator=generator))] = 0.0
    mu = float(torch.tensor(1 / condition, dtype=dtype))
    y = scale * torch.randn((batch, 1, 6, 8), generator=generator, dtype=torch.float64).to(dtype)
    lam = float(torch.tensor(0.3 * scale, dtype=dtype))
    d, exact_y = diagonal.double(), y.double()
    solution = _solve_separable(kind, d * exact_y, d.square() + mu, lam, mu)
    start = None
    if slow:
        mode = torch.zeros_like(solution)
        mode.view(batch, -1)[:, int(diagonal.view(-1).argmin())] = scale * 10 ** torch.empty(
            batch, dtype=torch.float64
        ).uniform_(-6, 3, generator=generator)
        start = (solution + mode).to(dtype)
    regularizer = SEPARABLE[kind](mu, lam)
    problem = Problem(Diagonal(diagonal), y, L2(), regularizer)
    return Case(f"diagonal {condition:g} {kind} scale {scale:g} {dtype}", problem, solution, start)


def variation(batch: int, seed: int, kind: str, operator: str, dtype: torch.dtype, scale: float, size: int) -> Case:
    """Noisy squares seen through an isometry, with a term whose proximal map is iterated."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(batch, 1, size, size, dtype=torch.float64)
    x[..., size // 4 : size // 2, size // 3 :] = 1
    noisy = scale * (x + 0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64))
    if operator == "identity":
        forward, y = component("operators", "identity")(shape=(size, size)), noisy.to(dtype)
    else:
        whole = component("operators", "fourier")(shape=(size, size))
        forward = whole @ component("operators", "complexify")(shape=(size, size))
        y = (whole.double()(noisy.to(torch.complex128))).to(dtype.to_complex())
        forward = forward.to(dtype)
    exact = y.double() if not y.is_complex() else None
    if exact is None:
        double = component("operators", "fourier")(shape=(size, size)).double()
        exact = double.adjoint(y.to(torch.complex128)).real
    weight = 0.1 * scale
    make = {"tv": TV, "tgv": TGV}[kind]
    precise = {"tv": {"tolerance": 1e-13, "limit": 50_000}, "tgv": {"tolerance": 1e-8, "limit": 20_000}}[kind]
    solution = make(**precise).prox(exact, weight)
    return Case(
        f"{operator} {kind} scale {scale:g} {dtype}", Problem(forward, y, L2(), weight * make()), solution, None
    )


def constants(size: int, operator: str, dtype: torch.dtype) -> Case:
    """A constant large image, which total variation leaves alone: the solution is `A*y`."""
    whole = component("operators", operator)(shape=(size, size)).to(dtype)
    x = torch.ones(1, 1, size, size, dtype=torch.float64)
    if operator == "fourier":
        double = component("operators", operator)(shape=(size, size)).double()
        y = double(x.to(torch.complex128)).to(dtype.to_complex())
        # What rounding left of the other coefficients is an image too, but far below every bound asked for.
        return Case(f"{operator} {size} {dtype}", Problem(whole, y, L2(), 1e-3 * TV()), x.to(torch.complex128), None)
    return Case(f"{operator} {size} {dtype}", Problem(whole, x.to(dtype), L2(), 1e-3 * TV()), x, None)


def all_cases(batch: int, seeds: range) -> Iterator[Case]:
    """Every combination, for each of the seeds."""
    for seed in seeds:
        for dtype in (torch.float64, torch.float32):
            for condition in (3.0, 1e3, 1e6):
                for kind in SEPARABLE:
                    for scale in (1e-8, 1.0, 1e8):
                        for slow in (False, True):
                            yield separable(batch, seed, kind, dtype, condition, scale, slow)
