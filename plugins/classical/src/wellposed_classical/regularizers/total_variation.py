"""Total variation of the image, by forward differences."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from wellposed import InputError, Regularizer
from wellposed.interface import KnownValue
from wellposed.regularizer import Term

from ..averaged_differences import AveragedDifferences
from ..differences import Differences
from ..inner_solvers.averaged_engine import averaged_derivative
from ..inner_solvers.batch import distance_to_prox, effective_weight, warn_of_limit
from ..inner_solvers.denoise import denoise
from ..inner_solvers.derivative import differentiable_prox, total_variation_derivative
from ..inner_solvers.step_sizes import Coupling
from ..magnitude import magnitude, per_image
from .group_norm import GroupNorm
from .planes import from_planes, plane_weights, to_planes

_WHO = "the proximal map of total variation"


class TotalVariation(Regularizer):
    """`R(x) = Σ_i |(∇x)_i|`: forward differences, Neumann boundary; images `(B, C, *spatial)`.

    `norm` "isotropic" takes the Euclidean length of the `d` differences of a pixel, "anisotropic" the sum
    of their absolute values. "averaged" is the mean of the isotropic one over the `2ᵈ` choices of the forward or the
    backward difference along each axis: Euclidean lengths, and invariant under quarter turns and reflections, which
    the isotropic one is not (its denoised image of a turned one differs by some percent); about four times the work
    in 2-D. `channels` "separate" adds the variations of the channels, "joint" takes one
    length over the channels of a pixel too (edges are shared). Complex differences count by their
    modulus.

    `prox` has no formula: a primal–dual iteration runs, each sample for itself and from zero, until
    `primal − dual ≤ tolerance·primal`, hence `‖u − prox(x)‖² ≤ 2·tolerance·primal`; a `RuntimeWarning`
    tells where `limit` iterations do not get there. It is differentiable once, in the memory of the
    forward pass: the backward pass takes twice its iterations, and at the default tolerance its error is
    below 1 %. Real 2-D images on the CPU
    are denoised by compiled code where Numba is installed (`pip install "wellposed-classical[fast]"`).
    Source: Rudin, Osher and Fatemi 1992; Chambolle and Pock 2011, algorithm 2; channels Bresson and Chan 2008.
    """

    source = "Rudin, Osher and Fatemi 1992; prox: Chambolle and Pock 2011, algorithm 2"
    capabilities = frozenset({"value", "prox", "split"})
    convex = True
    prox_accuracy = "certified"

    @classmethod
    def known_values(cls) -> tuple[KnownValue, ...]:
        return (KnownValue(([[[[0.0, 3.0], [4.0, 0.0]]]],), [5.0 + 3.0 + 4.0]),)

    def __init__(
        self,
        norm: Coupling = "isotropic",
        channels: Literal["separate", "joint"] = "separate",
        tolerance: float = 1e-5,
        limit: int = 2000,
    ) -> None:
        super().__init__()
        if not tolerance > 0:
            raise InputError(f"tolerance, the relative duality gap of the proximal map, must be > 0; got {tolerance}")
        if limit < 1:
            raise InputError(f"limit, the most iterations of the proximal map, must be ≥ 1; got {limit}")
        if norm not in ("isotropic", "anisotropic", "averaged"):
            raise InputError(f"the norm of total variation is isotropic, anisotropic or averaged; {norm!r} was given")
        self.differences = AveragedDifferences() if norm == "averaged" else Differences()
        self.norm: Coupling = norm
        self.channels = channels
        self.tolerance, self.limit = float(tolerance), int(limit)
        # Forward differences of a pixel and its two neighbours: turning the image pairs other
        # neighbours, so the isotropic length is not invariant under turns and reflections.
        same = {"translation"} if norm == "isotropic" else {"translation", "c4", "d4"}
        self.invariances = frozenset(same)

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        accurate = {"tolerance": 1e-10, "limit": 20000}
        return (
            {**accurate},
            {"norm": "anisotropic", **accurate},
            {"norm": "averaged", **accurate},
            {"channels": "joint", **accurate},
        )

    def forward(self, x: Tensor) -> Tensor:
        return per_image(magnitude(self.differences(x), self._group))

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        joint = self.channels == "joint"
        planes, weights = to_planes(x, joint, _WHO), plane_weights(step, x, joint)
        return from_planes(self._denoised(planes, weights)[0], x)

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        """The proximal map and what its duality gap leaves open: `½‖u − prox(x)‖² ≤ primal − dual`."""
        joint = self.channels == "joint"
        planes, weights = to_planes(x, joint, _WHO), plane_weights(step, x, joint)
        image, gap = self._denoised(planes, weights)
        with torch.no_grad():
            weights = effective_weight(weights, planes)
            lengths = magnitude(self.differences(image), (2,) if self.norm == "anisotropic" else (1, 2))
            objective = weights * per_image(lengths) + 0.5 * per_image((image - planes).square())
            error = distance_to_prox(gap * objective, objective, planes, weights)
        return from_planes(image, x), error.reshape(len(x), -1).square().sum(1).sqrt()

    def _denoised(self, planes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The planes and their relative duality gaps."""
        solve = partial(denoise, coupling=self.norm, tolerance=self.tolerance, limit=self.limit)
        derivative = averaged_derivative if self.norm == "averaged" else total_variation_derivative(self.norm)
        image, gap = differentiable_prox(planes, weights, solve, derivative)
        warn_of_limit(_WHO, gap, self.tolerance, self.limit)
        return image, gap

    def split(self) -> list[Term]:
        """`‖·‖_{2,1}` of the discrete gradient, or of those towards all sides."""
        return [Term(GroupNorm(self._group), self.differences)]

    def extra_repr(self) -> str:
        return f"norm={self.norm}, channels={self.channels}, tolerance={self.tolerance:g}, limit={self.limit}"

    @property
    def _group(self) -> tuple[int, ...]:
        """Axes of the gradient field `(B, d, C, …)` that make one length."""
        return (*(() if self.norm == "anisotropic" else (1,)), *((2,) if self.channels == "joint" else ()))
