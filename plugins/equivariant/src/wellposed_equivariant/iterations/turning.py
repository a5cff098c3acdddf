"""Whether an operator turns with the image."""

from __future__ import annotations

import torch

from wellposed.dataset import generator_of
from wellposed.errors import CompositionError
from wellposed.operator import LinearOperator, Operator

#: Quarter turns that generate each group of turns of the pixel grid.
QUARTERS = {"c2": 2, "c4": 1}
#: Relative change of `A*A` above which an operator does not turn: rounding stays far below, a scan that prefers a
#: direction far above (1e-2 and more for an odd number of views).
_TOLERANCE = 1e-4


def turning_error(operator: LinearOperator, quarters: int, like: torch.Tensor) -> float:
    """`‖A*A Rx − R A*A x‖ / ‖A*A x‖` for a turn R by so many quarters and a random image x on `like`'s device.

    It is zero if and only if `A R = U A` with an isometry U of the measurements: the turned image is measured as
    the image was, in another order.
    """
    x = operator.domain.randn(operator.samples or 1, generator_of(0, 0), like.dtype.to_real()).to(like.device)
    with torch.no_grad():
        plain = operator.gram(x).rot90(quarters, (-2, -1))
        turned = operator.gram(x.rot90(quarters, (-2, -1)))
    return float((turned - plain).norm() / plain.norm().clamp_min(torch.finfo(like.dtype.to_real()).tiny))


def check_that_it_turns(operator: Operator, equivariances: frozenset[str], like: torch.Tensor) -> None:
    """Raise `CompositionError` where a linear operator does not turn as the groups `equivariances` do.

    Quarter turns take images that are not square to another space; for those half turns alone are looked at.
    """
    assert isinstance(operator, LinearOperator)
    rows, columns = operator.domain.shape[-2:]
    for group in sorted(equivariances & set(QUARTERS)):
        quarters = QUARTERS[group] if rows == columns else 2
        error = turning_error(operator, quarters, like)
        if error > _TOLERANCE:
            turn = "quarter" if quarters == 1 else "half"
            raise CompositionError(
                f"equivariant-proximal-gradient turns its images only as far as the operator does, and after a {turn} "
                f"turn A*A of {type(operator).__name__} differs by {error:.1e}. Take an operator that turns (parallel "
                f"beams: an even number of views over half a turn, a full turn in a multiple of four), or say "
                f"operators: any and have networks that turn, but not the reconstruction"
            )
