"""ALISTA."""

from __future__ import annotations

import math

from wellposed.errors import InputError
from wellposed.fidelity import Unstated
from wellposed.gradient import Unrolled
from wellposed.solver import Iterative
from wellposed.stopping import Stop

from ..iterations.analytic_layers import AnalyticLayers

#: Training grows a network layer by layer, with three stages for each.
_DEEPEST = 1000


class ALISTA(Iterative):
    """Sparse coding by an unrolled iteration of which steps and thresholds alone are learned.

    `x ← η_k(x + γ_k Wᵀ(y − A x))` for k = 1 … `layers`, from 0. `W` is the weight of least coherence with
    `w_iᵀ a_i = 1`, in closed form `w_i = G a_i / (a_iᵀ G a_i)`, `G = (A Aᵀ)⁻¹`. `η_k` is soft thresholding by `θ_k`
    that lets the largest `p_k = min(support · k, max_support)` percent of the entries pass unchanged. That makes two
    learned numbers a layer.

    Works for any real linear operator whose matrix has at most 2²⁶ entries; it is built from the operator, with `W`
    once for each operator.

    Args:
        layers: number of iterations, each with a step and a threshold of its own.
        support: percent of the entries that pass unchanged after the first layer, and as many more after each other.
        max_support: the largest percentage; 0 is plain soft thresholding.
        step: the steps `γ_k` before training.
        threshold: the first threshold before training, in the unit of the codes.
        threshold_ratio: that of each other threshold to the one before it, before training. The paper begins with
            `0.4/‖A‖²` for all (0.07 for its 250 × 500 matrix, ratio 1).

    Raises `InputError` for numbers out of range and matrices with a zero column, `CompositionError` for operators
    that are not linear, complex, or too large.
    """

    source = (
        "Liu, Chen, Wang & Yin 2019, ALISTA, ICLR, eqs. 8, 15; support selection: Chen et al. 2018, arXiv:1808.10038"
    )

    def __init__(
        self,
        layers: int = 16,
        support: float = 1.2,
        max_support: float = 13.0,
        step: float = 1.0,
        threshold: float = 0.6,
        threshold_ratio: float = 0.75,
    ) -> None:
        if not 1 <= layers <= _DEEPEST:
            raise InputError(f"alista needs layers from 1 to {_DEEPEST}; {layers} was given")
        for name, value in (("support", support), ("max_support", max_support)):
            if not 0 <= value <= 100:
                raise InputError(f"alista needs {name} from 0 to 100 percent; {value} was given")
        for name, value in (("threshold", threshold), ("threshold_ratio", threshold_ratio)):
            if not 0 < value < math.inf:
                raise InputError(f"alista needs {name} > 0; {value} was given")
        if not math.isfinite(step):
            raise InputError(f"alista needs a finite step; {step} was given")
        fractions = [min(support * k, max_support) / 100 for k in range(1, layers + 1)]
        thresholds = [threshold * threshold_ratio**k for k in range(layers)]
        if thresholds[-1] == 0:
            raise InputError(f"the last of {layers} thresholds would be zero; alista needs a larger threshold_ratio")
        iteration = AnalyticLayers(fractions, step, thresholds)
        super().__init__(iteration, Unstated(), stop=Stop(layers), gradient=Unrolled())

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"layers": 4}, {"layers": 3, "max_support": 0.0, "threshold": 0.02, "threshold_ratio": 1.0})
