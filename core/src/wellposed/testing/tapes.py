"""Derivatives recorded by automatic differentiation, against central differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .adjointness import like
from .measure import at_most, central_difference_error, dot, size_of, that


def assert_differentiable(call: Callable[[Tensor], Tensor], x: Tensor, who: str, tolerance: float = 1e-5) -> None:
    """What a tape through `call` says of its change is what central differences say, along random directions."""
    point = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        result = call(point)
    that(result.requires_grad, f"{who} cuts the tape, so nothing before it can be learned")
    weight = like(result.detach(), 11) if result.ndim > 1 else torch.ones_like(result)
    (gradient,) = torch.autograd.grad(result, point, weight, allow_unused=True)
    that(gradient is not None, f"{who} does not depend on its argument, as its tape tells")
    assert gradient is not None
    for seed in (12, 13):
        h = like(x, seed)

        def along(t: float, h: Tensor = h) -> float:
            return dot(call(x + t * h).detach(), weight)

        error = central_difference_error(along, dot(gradient, h), size_of(gradient) * size_of(h))
        at_most(error, tolerance, f"{who}: its derivative by automatic differentiation, against central differences")
