"""The mean of the squared error."""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.metric import Metric


class MeanSquaredError(Metric):
    """`mean |x − truth|²` over the entries of each image: not divided by anything, in the image's unit squared.

    Shape `(B, …) → (B,)`; a complex entry counts once, with its squared modulus.
    """

    source = "Adler & Öktem 2018, IEEE TMI 37:1322, section III (the training loss)"
    better = "lower"

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        error = x - truth
        square = torch.view_as_real(error).square().sum(-1) if error.is_complex() else error.square()
        return square.flatten(1).mean(1)
