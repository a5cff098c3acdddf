"""What the conformance kit trains in the place of large models."""

from __future__ import annotations

from torch import Tensor, nn

from ..networks.diffusion_prior import DiffusionPrior, linear_schedule


class OneLayer(DiffusionPrior):
    """The smallest diffusion model that can be trained: one convolution, whatever the time."""

    source = "none: a test double"

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__(shape, 1, linear_schedule(20), 0.5, 0.5, 0.1)
        self.layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.layer.weight)

    def noise(self, u: Tensor, t: int | Tensor) -> Tensor:
        return self.layer(u)
