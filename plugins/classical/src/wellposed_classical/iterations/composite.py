"""An objective as a smooth part and one term with a proximal map, for forward–backward methods."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed import CompositionError, Iteration, Operator, Problem, Regularizer
from wellposed.iteration import lacks
from wellposed.regularizer import Sum, Weighted, Zero
from wellposed.space import per_sample

from .constants import convexity_bound, data_smoothness, fidelity_smoothness, samples


@dataclass(frozen=True)
class Composite:
    """`f(x) + g(x)`: `f` is the data term plus the `smooth` regularizers, `g` the `proximal` one."""

    smooth: tuple[Regularizer, ...] = ()
    proximal: Regularizer | None = None

    def gradient(self, problem: Problem, x: Tensor) -> Tensor:
        """`∇f(x)`."""
        gradient = problem.data_gradient(x)
        for term in self.smooth:
            gradient = gradient + term.grad(x)
        return gradient

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        """`prox_{s g}(x)`."""
        return x if self.proximal is None else self.proximal.prox(x, step)

    def prox_with_error(self, x: Tensor, step: float | Tensor) -> tuple[Tensor, Tensor]:
        """`prox_{s g}(x)`, and how far from it that may be, `(B,)`, where the map is iterated."""
        if self.proximal is None:
            return x, torch.zeros(len(x), dtype=x.dtype.to_real(), device=x.device)
        return self.proximal.prox_with_error(x, step)

    def smoothness(self, problem: Problem, x: Tensor) -> Tensor | None:
        """A Lipschitz constant of `∇f`, `(B,)`; `None` where some part has none."""
        total = data_smoothness(problem, x)
        for term in self.smooth:
            constant = term.smoothness_on(x)
            if total is None or constant is None:
                return None
            total = total + constant
        return total

    def strong_convexity(self, problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
        """Lower bounds of the strong convexity of `f` and of `g`, `(B,)` each; 0 where nothing is known."""
        smooth = convexity_bound(problem, x) + sum(t.strong_convexity for t in self.smooth)
        proximal = 0.0 if self.proximal is None else self.proximal.strong_convexity
        return smooth, samples(proximal, x)

    def prox_lipschitz(self, problem: Problem, x: Tensor, step: Tensor) -> Tensor:
        """A Lipschitz constant of `prox_{s g}`, `(B,)`.

        Infinite, so that it certifies nothing, where none is known, `f` is not known to be convex, or the map is
        iterated inside without a bound on its error.
        """
        convex = problem.fidelity.convex and all(t.convex for t in self.smooth)
        if self.proximal is not None and self.proximal.prox_accuracy is None:
            return samples(torch.inf, x)
        constant = 1.0 if self.proximal is None else self.proximal.prox_lipschitz(step)
        return samples(torch.inf if constant is None or not convex else constant, x)


def descend(x: Tensor, gradient: Tensor, step: float | Tensor) -> Tensor:
    """`x − s·gradient` with `s` a number or `(B,)`, in one pass over memory."""
    if isinstance(step, Tensor):
        return torch.addcmul(x, gradient, torch.as_tensor(per_sample(step, x)), value=-1)
    return torch.add(x, gradient, alpha=-step)


def gradient_composite(regularizer: Regularizer) -> Composite:
    """Everything in the smooth part: for gradient methods."""
    return Composite(smooth=tuple(summands(regularizer)))


def proximal_composite(iteration: Iteration, regularizer: Regularizer) -> Composite:
    """The term without a gradient in `g`, the others in `f`; a single term with a proximal map is `g`.

    Raises `CompositionError` where a term has neither, or two terms have a proximal map alone.
    """
    terms = summands(regularizer)
    for term in terms:
        if not term.capabilities & {"prox", "grad"}:
            raise lacks(iteration, regularizer, {"prox"})
    only_prox = [t for t in terms if "grad" not in t.capabilities]
    if len(only_prox) > 1:
        names = " and ".join(type(_unweighted(t)).__name__ for t in only_prox)
        raise CompositionError(
            f"{type(iteration).__name__} takes one regularizer without a gradient, and {names} have none; "
            f"their sum has no proximal map"
        )
    with_prox = only_prox or [t for t in terms if "prox" in t.capabilities]
    proximal = with_prox[0] if with_prox else None
    return Composite(tuple(t for t in terms if t is not proximal), proximal)


def summands(regularizer: Regularizer) -> list[Regularizer]:
    """The terms of a sum, weights multiplied in, without zeros."""
    if isinstance(regularizer, Zero):
        return []
    if isinstance(regularizer, Sum):
        return [t for term in regularizer for t in summands(term)]
    if isinstance(regularizer, Weighted) and isinstance(regularizer.regularizer, Sum | Zero | Weighted):
        return [Weighted(t, regularizer.weight) for t in summands(regularizer.regularizer)]
    return [regularizer]


def refuse_step(iteration: Iteration, problem: Problem, smooth: tuple[Regularizer, ...]) -> CompositionError:
    """Why no safe step size is known, and what to do about it."""
    name = type(iteration).__name__
    if fidelity_smoothness(problem) is None:
        constant = problem.fidelity.smoothness(problem.measurement)
        where = "has no such constant" if constant is None else "has such a constant for predictions ≥ 0 alone"
        return CompositionError(
            f"{name} needs a fidelity whose gradient is Lipschitz continuous; {type(problem.fidelity).__name__} "
            f"{where}; give step_size, or take an iteration that uses its proximal map (pdhg, admm)"
        )
    rough = [type(_unweighted(t)).__name__ for t in smooth if t.smoothness_on(problem.zeros()) is None]
    what = f"the gradient of {rough[0]}" if rough else f"the derivative of {_name(problem.operator)}"
    return CompositionError(f"{name} knows no bound for {what}, so no safe step size; give step_size")


def _unweighted(regularizer: Regularizer) -> Regularizer:
    return _unweighted(regularizer.regularizer) if isinstance(regularizer, Weighted) else regularizer


def _name(operator: Operator) -> str:
    return type(operator).__name__
