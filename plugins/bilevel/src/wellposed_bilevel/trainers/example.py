"""What the conformance kit trains with a bilevel trainer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wellposed import Dataset, Iterative, Noise, Simulated, Stop

from ..datasets.indicator_signals import IndicatorSignals

#: The weight of a squared norm, an exponent of 10: too large at the start.
WEIGHT = {"path": "regularizer.factor", "start": 0.0, "box": [-4.0, 1.0]}


def example_task() -> tuple[nn.Module, Dataset]:
    """Least squares with a squared norm for noisy signals of 24 entries, measured by a matrix of condition 3."""
    from wellposed.testing.doubles import DenseOperator, GradientStep, QuadraticFidelity, QuadraticRegularizer

    matrix = torch.diag(torch.linspace(0.5, 1.5, 24, dtype=torch.float64))
    operator = DenseOperator.from_tensor(matrix, (1, 24))
    data = Simulated(IndicatorSignals(4, 24), operator, _White()).to("cpu", torch.float64)
    return Iterative(GradientStep(), QuadraticFidelity(), QuadraticRegularizer(1.0), Stop(2000)), data


class _White(Noise):
    """Additive Gaussian noise of standard deviation 0.3, so that the best weight lies inside of the box."""

    source = "none: a placeholder"

    def forward(self, y: Tensor, generator: torch.Generator) -> Tensor:
        return y + 0.3 * torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
