"""What a linear operator declares about itself: never found by probing, always checked by the conformance kit."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Structure:
    """Exact properties of a linear operator `A`, up to the rounding of `A` itself; `None` where none is declared.

    `isometry`: `c > 0` with `A*A = c·I`. `coisometry`: `c > 0` with `A A* = c·I`. `projection`: `c > 0` with
    `A*A = c·P`, `P` an orthogonal projection; isometries and co-isometries are that too. `diagonal`: `d ≥ 0` with
    `A*A x = d·x` pixel by pixel, `(1 or B, *domain.shape)` or what broadcasts to it. `norm`: `‖A‖`, where
    `LinearOperator.norm` may be a bound; for operators with per-sample data the largest of the samples'.

    Methods solve subproblems in closed form and certify errors with these numbers, so that a wrong one is a wrong
    answer: declare what is known from the construction, not what a random image suggests.
    """

    isometry: float | None = None
    coisometry: float | None = None
    projection: float | None = None
    diagonal: Tensor | None = None
    norm: float | None = None

    def __post_init__(self) -> None:
        known = self.isometry if self.isometry is not None else self.coisometry
        if self.projection is None and known is not None:
            object.__setattr__(self, "projection", known)
        if self.norm is None and self.projection is not None:
            object.__setattr__(self, "norm", self.projection**0.5)

    def scaled(self, factor: float) -> Structure:
        """That of `factor·A`."""
        square = factor * factor
        if square == 0:
            return Structure(norm=0.0)
        return Structure(
            isometry=_times(self.isometry, square),
            coisometry=_times(self.coisometry, square),
            projection=_times(self.projection, square),
            diagonal=None if self.diagonal is None else square * self.diagonal,
            norm=_times(self.norm, abs(factor)),
        )

    def adjoint(self) -> Structure:
        """That of `A*`."""
        return Structure(self.coisometry, self.isometry, self.projection, None, self.norm)

    def after(self, inner: Structure) -> Structure:
        """That of `A B`, `A` being this and `B` the `inner` one."""
        if self.isometry is not None:  # (AB)*(AB) = c B*B
            found = inner.scaled(self.isometry**0.5)
            both = _times(self.coisometry, inner.coisometry)
            return Structure(found.isometry, both, found.projection, found.diagonal, found.norm)
        if inner.coisometry is not None:  # (AB)(AB)* = c A A*
            found = self.scaled(inner.coisometry**0.5)
            return Structure(None, found.coisometry, found.projection, None, found.norm)
        return Structure()


def stacked(parts: list[Structure]) -> Structure:
    """That of `x ↦ (A_1 x, …, A_n x)`: `A*A = Σ A_i*A_i`."""
    factors = [p.isometry for p in parts if p.isometry is not None]
    diagonals = [p.diagonal for p in parts if p.diagonal is not None]
    return Structure(
        isometry=sum(factors) if len(factors) == len(parts) else None,
        diagonal=sum(diagonals[1:], diagonals[0]) if len(diagonals) == len(parts) else None,
    )


def _times(value: float | None, factor: float | None) -> float | None:
    return None if value is None or factor is None else value * factor
