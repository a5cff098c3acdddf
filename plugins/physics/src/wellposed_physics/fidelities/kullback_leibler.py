"""Kullback-Leibler divergence: the likelihood of counts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.fidelity import Fidelity
from wellposed.interface import KnownValue
from wellposed.pattern import Pattern
from wellposed.space import per_sample

from .per_bin import PerBin


class KullbackLeibler(Fidelity):
    """Kullback-Leibler divergence of counts, `D(v, y) = g Σ u − y + y log(y/u)` with `u = v + b`.

    The likelihood where `g·y` is Poisson of mean `g·u`. `gain` `g > 0` is the number of counts per unit,
    `background` `b ≥ 0` (scatter, randoms; a number, or one per bin) is known and added to the prediction.
    The value is infinite where `u < 0`, or `u = 0` and `y > 0`. Closed forms, with step `s`, `c = v + b − s
    g`, and for the conjugate's `p < g`: `prox = ½(c + (c² + 4 s g y)^½) − b`, `D*(p) = Σ −p b − g y log(1 −
    p/g)`. The gradient `g(u − y)/u` has a Lipschitz constant on `v ≥ 0` only, `g max y/b²`, and only with `b
    > 0`.

    `check` raises `InputError` for measurements that are complex or negative.
    """

    smooth_everywhere = False
    source = "Shepp & Vardi 1982 (likelihood); prox: Combettes & Pesquet 2011, table of proximity operators"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[2.0]], [[1.0]]), [1 - math.log(2)]), KnownValue(([[1.5]], [[0.0]]), [6.0], {"gain": 4.0}))

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({}, {"gain": 20.0, "background": 0.5})

    def __init__(self, gain: float = 1.0, background: float | Tensor | Pattern = 0.0) -> None:
        super().__init__()
        if not 0 < gain < float("inf"):
            raise InputError(f"the gain, counts per unit, is positive; {gain} was given")
        self.gain = float(gain)
        self.background = PerBin(background, "background")

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        u = v + self.background(v)
        inside = torch.where(u > 0, u, 1.0)
        # Through log1p, so that large counts keep their digits; −1 stands for y = 0, where the term is 0.
        logarithm = torch.log1p(torch.where(y > 0, (y - inside) / inside, 0.0))
        value = u - y + y * logarithm
        defined = (u > 0) | ((u == 0) & (y == 0))
        return self.gain * torch.where(defined, value, torch.inf).flatten(1).sum(1)

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        u = v + self.background(v)
        return self.gain * ((u - y) / u)

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        b, sg = self.background(v), per_sample(step, v) * self.gain
        return _positive_root(v + b - sg, sg * y) - b

    def prox_conjugate(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        b, s = self.background(v), per_sample(step, v)
        return self.gain - _positive_root(self.gain - v - s * b, s * self.gain * y)

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        rest = 1 - p / self.gain
        value = -p * self.background(p) - self.gain * torch.xlogy(y, torch.where(rest > 0, rest, 1.0))
        defined = (rest > 0) | ((rest == 0) & (y == 0))
        return torch.where(defined, value, torch.inf).flatten(1).sum(1)

    def smoothness(self, y: Tensor) -> Tensor | None:
        """`g max y/b²`, valid for predictions `v ≥ 0`; `None` without background."""
        b = torch.as_tensor(self.background(y), dtype=y.dtype, device=y.device).expand_as(y)
        if not bool((b > 0).all()):
            return None
        return self.gain * (y / b.square()).flatten(1).amax(1)

    def check(self, y: Tensor) -> None:
        if y.is_complex():
            raise InputError("Kullback-Leibler compares counts; the measurement is complex, use l2 for it")
        negative = int((y < 0).sum())
        if negative:
            raise InputError(
                f"Kullback-Leibler compares counts, which are ≥ 0; {negative} values of the measurement are "
                f"negative, down to {float(y.min()):g}. Use l2 for data with additive noise, or clip them"
            )
        self.background.check(y)

    def extra_repr(self) -> str:
        return f"gain={self.gain:g}"


def _positive_root(c: Tensor, q: Tensor) -> Tensor:
    """The nonnegative root of `u² − c u − q`, `q ≥ 0`, without cancellation for either sign of `c`."""
    root = torch.sqrt(c.square() + 4 * q)
    larger = torch.where(c >= 0, c + root, root - c)
    tiny = torch.finfo(c.dtype).tiny
    return torch.where(c >= 0, larger / 2, 2 * q / larger.clamp_min(tiny))
