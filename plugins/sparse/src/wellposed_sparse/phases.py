"""What ISTA-Net and its relatives put in the place of a proximal map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .shrinkage import soft_threshold


class Phase(nn.Module):
    """A learned proximal map of images `(B, C, H, W)`: sparse in a learned transform, with a learned threshold."""

    def forward(self, r: Tensor) -> tuple[Tensor, Tensor | None]:
        """The image, and while training how far the transforms are from being inverse to each other `(B,)`."""
        raise NotImplementedError


class ResidualPhase(Phase):
    """ISTA-Net+: `x = r + G F̃(S_θ(F(D r)))`, 3×3 convolutions without biases, padded with zeros.

    `D` gives `features` channels and `G` goes back. `F` and `F̃` are two convolutions each with a ReLU between
    them. The asymmetry is the mean of `(F̃(F(d)) − d)²` with `d = D r`. `gain` scales the initial weights of `G`.

    Source: Zhang and Ghanem 2018, ISTA-Net, equations 15 and 16 (the enhanced version), `D` and `G` included.
    """

    def __init__(self, channels: int, features: int, gain: float = 1.0) -> None:
        super().__init__()
        self.lift = convolution(channels, features)
        self.analysis = _transform(features)
        self.synthesis = _transform(features)
        self.project = convolution(features, channels)
        with torch.no_grad():
            self.project.weight.mul_(gain)
        self.log_threshold = nn.Parameter(torch.tensor(math.log(0.01)))

    @property
    def threshold(self) -> Tensor:
        """What is learned is its logarithm: a threshold that became negative would have no derivative any more."""
        return self.log_threshold.exp()

    def forward(self, r: Tensor) -> tuple[Tensor, Tensor | None]:
        d = self.lift(r)
        code = self.analysis(d)
        x = r + self.project(self.synthesis(soft_threshold(code, self.threshold)))
        if not self.training:
            return x, None
        return x, (self.synthesis(code) - d).square().flatten(1).mean(1)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3×3, padded with zeros, without a bias; Xavier-normal weights."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.xavier_normal_(layer.weight)
    return layer


def _transform(features: int) -> nn.Sequential:
    return nn.Sequential(convolution(features, features), nn.ReLU(), convolution(features, features))
