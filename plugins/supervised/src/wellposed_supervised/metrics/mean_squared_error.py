"""The mean of the squared error."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.interface import KnownValue
from wellposed.metric import Metric


class MeanSquaredError(Metric):
    """`mean |x − truth|²` over the entries of each image: not divided by anything, in the image's unit squared.

    Shape `(B, …) → (B,)`; a complex entry counts once, with its squared modulus.
    """

    source = "Adler & Öktem 2018, IEEE TMI 37:1322, section III (the training loss)"
    better = "lower"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (
            KnownValue(([[[[1.0, 2.0], [3.0, 4.0]]]], [[[[0.0, 2.0], [3.0, 4.0]]]]), [0.25]),
            KnownValue(([[3 + 4j, 1 + 0j]], [[0j, 1 + 0j]]), [12.5]),
        )

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        error = x - truth
        square = torch.view_as_real(error).square().sum(-1) if error.is_complex() else error.square()
        return square.flatten(1).mean(1)
