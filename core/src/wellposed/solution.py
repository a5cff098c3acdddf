"""What solving gives back: the images, a verdict for each, and what was measured on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from torch import Tensor

from .errors import SolveFailed


class Verdict(Enum):
    """How one sample's solve ended; the value is a sentence that helps."""

    CONVERGED = "the stopping rule's tolerance was met"
    CERTIFIED = "the asked-for accuracy is certified by the iteration's error bound"
    COMPLETED = "the asked-for number of steps was done; no tolerance was asked for"
    ITERATION_LIMIT = (
        "the iteration limit came before the tolerance; allow more iterations, loosen the tolerance, "
        "or take an iteration with a faster rate"
    )
    OBJECTIVE_ROSE = (
        "the objective is higher than at the start image; allow more iterations, take a smaller step size or the "
        "default one, and check that the regularizer is convex"
    )
    STALLED = (
        "the image no longer moves though it is no solution: the step size is too small for the precision or the "
        "units of the problem; take the default step, rescale the data, or compute in float64"
    )
    IMPLAUSIBLE = (
        "the image is far from everything that the regularizer's model makes: model and measurement contradict each "
        "other. Check the scale and the kind of the images, train the model on images like these, or lower its weight"
    )
    DIVERGED = (
        "the iterates became infinite or not a number; take a smaller step size (the default is safe "
        "for the registered operators) and check the scale of learned parts. The last image seen to be "
        "finite is returned"
    )
    NON_FINITE_MEASUREMENT = (
        "the measurement holds NaN or infinite entries; mask them out or repair them (dead pixels, log "
        "of zero counts). The start image is returned"
    )

    @property
    def ok(self) -> bool:
        return self in (Verdict.CONVERGED, Verdict.CERTIFIED, Verdict.COMPLETED)


@dataclass(frozen=True)
class Solution:
    """Result of a solve of `B` samples.

    `x`: images `(B, *domain.shape)`. `verdict` and `iterations`: one per sample. `history`: what the
    rules and monitors measured, name → list of `(iteration, values of each sample)`, not-a-number for
    samples that were done. `bound`: certified distances to the exact solution `(B,)`, where known.
    `penalty`: what training adds to the loss of each sample `(B,)`, where the iteration has such a wish.
    """

    x: Tensor
    verdict: tuple[Verdict, ...]
    iterations: tuple[int, ...]
    history: dict[str, list[tuple[int, list[float]]]] = field(default_factory=dict)
    bound: Tensor | None = None
    penalty: Tensor | None = None

    def require(self) -> Tensor:
        """The images; raises `SolveFailed`, naming the samples, where a verdict is not ok."""
        failed = [(i, v) for i, v in enumerate(self.verdict) if not v.ok]
        if failed:
            i, verdict = failed[0]
            more = f" (and {len(failed) - 1} more samples failed)" if len(failed) > 1 else ""
            raise SolveFailed(f"sample {i}: {verdict.name}: {verdict.value}{more}")
        return self.x
