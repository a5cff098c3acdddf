"""Counting noise of X-ray transmission, in line integrals."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.errors import InputError
from wellposed.noise import Noise

from ..fidelities.transmission import Transmission
from .draws import poisson


class TransmissionNoise(Noise):
    """Photon noise of X-ray transmission in post-log data, `y = −log(max(n − b, 1) / N)`.

    The counts are `n ~ Poisson(N·exp(−v) + b)`. `v` are line integrals of attenuation, without unit (scale
    the image so that `A x` is); `N = photons` is the number that reaches a bin through air, `b = background`
    (scatter, dark counts) is known and subtracted. Bins that counted nothing are set to one photon.

    Raises `InputError` for nonpositive photons, negative background and complex predictions. Paired with
    `poisson-transmission`; `weighted-transmission` is its quadratic form.
    """

    source = "Sauer & Bouman 1993, IEEE Trans. Signal Process. 41(2):534, the photon count model"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"photons": 1e4}, {"photons": 1e4, "background": 10.0})

    def __init__(self, photons: float, background: float = 0.0) -> None:
        super().__init__()
        if not 0 < photons < float("inf"):
            raise InputError(f"photons, the number per bin without an object, is positive; {photons} was given")
        if not 0 <= background < float("inf"):
            raise InputError(f"background, in photons per bin, is ≥ 0; {background} was given")
        self.photons, self.background = float(photons), float(background)

    def forward(self, v: Tensor, generator: torch.Generator) -> Tensor:
        if v.is_complex():
            raise InputError("transmission noise works on real line integrals; the prediction is complex")
        counts = poisson(torch.exp(-v) * self.photons + self.background, generator)
        return -torch.log((counts - self.background).clamp_min(1) / self.photons)

    def fidelity(self) -> Transmission:
        return Transmission(self.photons, self.background)

    def extra_repr(self) -> str:
        return f"photons={self.photons:g}, background={self.background:g}"
