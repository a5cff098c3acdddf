"""The likelihood of photon counts as a function of line integrals."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wellposed.errors import CapabilityMissing, InputError
from wellposed.fidelity import Fidelity
from wellposed.interface import KnownValue
from wellposed.space import per_sample

#: Newton's steps that bring every argument to rounding (tests: 17 decades of counts, ±50 in the exponent).
_LOGARITHMIC_STEPS, _STEPS = 3, 8


class Transmission(Fidelity):
    """Poisson likelihood of transmission, `D(v, y) = Σ m(v) − n log m(v)` minus its minimum.

    `v` are line integrals (no unit), `y` post-log data, `m(v) = N exp(−v) + b` the expected and
    `n = N exp(−y) + b` the measured counts; `photons` `N`, `background` `b`. The minimum, 0, is at `v = y`.
    Without background, with `d = v − y`: `D = Σ n (exp(−d) − 1 + d)`, convex; the proximal map solves
    `d + y − v = s n (1 − exp(−d))` bin by bin to rounding; `D*(p) = Σ p y + p + (n − p) log(1 − p/n)`,
    `p ≤ n`; the gradient `n (1 − exp(−d))` has the Lipschitz constant `N` on `v ≥ 0` only.
    With background it is not convex and has no proximal map; `weighted-transmission` has one.

    `check` raises `InputError` for measurements that are complex.
    """

    smooth_everywhere = False
    source = "Lange & Carson 1984, J. Comput. Assist. Tomogr. 8:306, the transmission likelihood"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[1.0]], [[0.0]]), [10 / math.e], {"photons": 10.0}),)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"photons": 1e4}, {"photons": 1e4, "background": 10.0})

    def __init__(self, photons: float, background: float = 0.0) -> None:
        super().__init__()
        check_photons(photons, background)
        self.photons, self.background = float(photons), float(background)
        self.convex = self.background == 0

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        n, d = self.photons * torch.exp(-y), v - y
        if self.background == 0:
            return (n * (torch.expm1(-d) + d)).flatten(1).sum(1)
        change = n * torch.expm1(-d)  # m(v) − m(y)
        measured = n + self.background
        return (change - measured * torch.log1p(change / measured)).flatten(1).sum(1)

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        n, d = self.photons * torch.exp(-y), v - y
        if self.background == 0:
            return -n * torch.expm1(-d)
        primary = n * torch.exp(-d)
        return -(n * torch.expm1(-d)) * primary / (primary + self.background)

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        self._check_convex("proximal map")
        t = per_sample(step, v) * (self.photons * torch.exp(-y))
        excess = v - y
        with torch.no_grad():
            d = _solve(excess, t)
        if not (excess.requires_grad or t.requires_grad):
            return y + d
        # One more step of Newton changes nothing but carries the derivatives: they are those of the root.
        decay = torch.exp(-d)
        return y + d - (d - excess + t * torch.expm1(-d).neg()) / (1 + t * decay)

    def prox_conjugate(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        self._check_convex("proximal map")
        return super().prox_conjugate(v, y, step)

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor | None:
        if self.background > 0:
            return None
        n = self.photons * torch.exp(-y)
        rest = 1 - p / n
        value = p * y + p + torch.xlogy(n - p, torch.where(rest > 0, rest, 1.0))
        return torch.where(rest >= 0, value, torch.inf).flatten(1).sum(1)

    def smoothness(self, y: Tensor) -> float:
        """`N`, valid for line integrals `v ≥ 0`."""
        return self.photons

    def check(self, y: Tensor) -> None:
        check_line_integrals(y)

    def _check_convex(self, what: str) -> None:
        if self.background > 0:
            raise CapabilityMissing(
                f"the transmission likelihood with background is not convex and has no {what}; use the "
                f"fidelity weighted-transmission, background 0, or an iteration that needs gradients only"
            )

    def extra_repr(self) -> str:
        return f"photons={self.photons:g}, background={self.background:g}"


def check_photons(photons: float, background: float) -> None:
    if not 0 < photons < float("inf"):
        raise InputError(f"photons, the number per bin without an object, is positive; {photons} was given")
    if not 0 <= background < float("inf"):
        raise InputError(f"background, in photons per bin, is ≥ 0; {background} was given")


def check_line_integrals(y: Tensor) -> None:
    if y.is_complex():
        raise InputError("transmission data are real line integrals −log(counts/photons); these are complex")


def _solve(excess: Tensor, t: Tensor) -> Tensor:
    """The root `d` of `d − e + t (1 − exp(−d))` for `t > 0`; it lies between 0 and `e`.

    The function is increasing and concave, so Newton's method from the left of the root needs no safeguard,
    and is fast unless `e < 0` and the exponential rules, where it would make unit steps. There it starts
    from the root of the logarithm, `σ = log(1 + (|e| − σ)/t)` with `σ = −d`: convex and nearly linear, but
    of few digits where `t` is small, which Newton's method restores.
    """
    t = t.clamp_min(torch.finfo(t.dtype).tiny)
    down = (-excess).clamp_min(0)
    sigma = torch.minimum(torch.log1p(down / t), down)
    for _ in range(_LOGARITHMIC_STEPS):
        gap = down - sigma
        sigma = sigma - (sigma - torch.log1p(gap / t)) / (1 + 1 / (t + gap))
        sigma = torch.minimum(sigma.clamp_min(0), down)
    d = -sigma
    for _ in range(_STEPS):
        growth = t * torch.expm1(-d)
        d = d - (d - excess - growth) / (1 + t + growth)
    return torch.maximum(torch.minimum(d, excess.clamp_min(0)), -down)
