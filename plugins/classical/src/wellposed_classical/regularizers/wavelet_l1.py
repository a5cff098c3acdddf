"""Sparsity in an orthonormal wavelet basis."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed import Regularizer

from ..magnitude import inside_unit_ball, magnitude
from ..wavelets import Wavelet
from .l1 import L1Norm


class WaveletL1(Regularizer):
    """`R(x) = ‖W x‖₁` with the orthonormal periodised wavelet transform `W` over all spatial axes.

    Images `(B, C, *spatial)` with sizes that `2^levels` divides, real or complex; `wavelet` is a name of
    PyWavelets' orthonormal families (haar, db1…38, sym2…20, coif1…17). Unless `approximation` is set, the
    coarsest averages are not penalised, so that the mean of the image is kept.

    `prox` is exact: transform, soft thresholding by `step`, inverse transform. Raises `InputError` for
    other wavelets and `ShapeError` for other sizes. Source: Donoho and Johnstone 1994; Mallat 2009.
    """

    source = "Donoho and Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True

    def __init__(self, wavelet: str = "db4", levels: int = 3, approximation: bool = False) -> None:
        super().__init__()
        self.transform = Wavelet(wavelet, levels)
        self.sparsity = L1Norm()
        self.approximation = approximation

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"wavelet": "db4", "levels": 2}, {"wavelet": "haar", "levels": 3, "approximation": True})

    def forward(self, x: Tensor) -> Tensor:
        return self.sparsity(self._with_averages(self.transform(x), None))

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        coefficients = self.transform(x)
        shrunk = self.sparsity.prox(coefficients, step)
        return self.transform.adjoint(self._with_averages(shrunk, coefficients))

    def prox_conjugate(self, p: Tensor, step: float | Tensor) -> Tensor:
        clipped = self.sparsity.prox_conjugate(self.transform(p), step)
        return self.transform.adjoint(self._with_averages(clipped, None))

    def conjugate(self, p: Tensor) -> Tensor:
        """0 where the details of `p` are at most 1 and its unpenalised averages vanish, up to rounding."""
        lengths = magnitude(self.transform(p))
        if self.approximation:
            return inside_unit_ball(lengths)
        zero = 0.01 * torch.finfo(lengths.dtype).eps ** 0.5
        return inside_unit_ball(self._with_averages(lengths, lengths / zero))

    def _with_averages(self, coefficients: Tensor, source: Tensor | None) -> Tensor:
        """The coefficients with those that are not penalised taken from `source`, or set to zero."""
        if self.approximation:
            return coefficients
        result = coefficients.clone()
        averages = self.transform.approximation(result)
        if source is None:
            averages.zero_()
        else:
            averages.copy_(self.transform.approximation(source))
        return result
