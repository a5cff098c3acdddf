"""Solvers: from a posed problem, or a measurement and its operator, to images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .acceleration import Acceleration, NoAcceleration
from .dataset import Dataset
from .driver import Monitor, check_composition, solve
from .errors import CompositionError, InputError
from .fidelity import Fidelity, Unstated
from .gradient import Gradient, NoGradient, Unrolled
from .iteration import Iteration
from .module import ComponentModule
from .operator import Operator
from .problem import Problem
from .regularizer import Regularizer, Zero
from .solution import Solution, Verdict
from .stopping import CertifiedAccuracy, Progress, Stop


class Solver(ComponentModule):
    """Reconstructs images. `solve` gives verdicts and certificates; `forward` is what training calls."""

    def pose(self, y: Tensor, operator: Operator) -> Problem:
        """The problem that this solver solves for measurements `y`: without an objective unless it has one."""
        return Problem(operator, y, Unstated())

    def check(self, problem: Problem) -> None:
        """Raise `CompositionError` where this solver cannot work on `problem`; costs no iteration."""

    def solve(
        self,
        problem: Problem,
        *,
        accuracy: float | Tensor | None = None,
        init: Tensor | None = None,
        monitors: dict[str, Monitor] | None = None,
        observer: Callable[[Progress], None] | None = None,
    ) -> Solution:
        """Reconstruct the batch of measurements of `problem`.

        `accuracy`: the asked-for distance to the exact solution, a number or `(B,)`, in the place of the
        solver's own stopping rules; refused by solvers that cannot certify it. `init`: start images.
        `monitors`, `observer`: see `driver.solve`.
        """
        raise NotImplementedError

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        """The reconstruction `(B, *operator.domain.shape)` of measurements `y`, differentiable if learned."""
        raise NotImplementedError

    def with_penalty(self, y: Tensor, operator: Operator) -> tuple[Tensor, Tensor | None]:
        """`forward`, and what this solver wants added to each sample's loss `(B,)`; `None` for nothing.

        Trainers call this one: some networks are asked for more than good images.
        """
        self.check_precision(y)
        return self(y, operator), None

    def attempt(self, y: Tensor, operator: Operator) -> Solution:
        """`with_penalty` with what is known of its solve: trainers write verdicts and iterations into their log."""
        x, penalty = self.with_penalty(y, operator)
        return Solution(x, (Verdict.COMPLETED,) * len(x), (0,) * len(x), penalty=penalty)

    def prepare(self, data: Dataset) -> None:
        """Fit to training data what has a closed form; nothing here.

        A trainer calls it once, before the first step of a new training and not when it goes on with one: what
        was fitted is part of the weights.
        """

    def check_precision(self, y: Tensor) -> None:
        """Raise `InputError` where measurements are not on the device and in the precision of the learned weights."""
        weight = next((p for p in self.parameters() if p.ndim > 1), None)
        if weight is None or (weight.device, weight.dtype.to_real()) == (y.device, y.dtype.to_real()):
            return
        raise InputError(
            f"{type(self).__name__} has {weight.dtype} weights on {weight.device} and got {y.dtype} measurements on "
            f"{y.device}; convert the measurements and the operator, or the solver with .to(device, dtype)"
        )


class DirectSolver(Solver):
    """A solver that computes the image in one go: a subclass writes `forward` alone."""

    def solve(
        self,
        problem: Problem,
        *,
        accuracy: float | Tensor | None = None,
        init: Tensor | None = None,
        monitors: dict[str, Monitor] | None = None,
        observer: Callable[[Progress], None] | None = None,
    ) -> Solution:
        if accuracy is not None:
            raise CompositionError(f"{type(self).__name__} is a direct solver and cannot certify an accuracy")
        self.check_precision(problem.measurement)
        finite = problem.finite
        clean = torch.nan_to_num(problem.measurement, nan=0.0, posinf=0.0, neginf=0.0)
        x = self(clean, problem.operator)
        start = problem.zeros() if init is None else init
        x = torch.where(finite.reshape(-1, *([1] * (x.ndim - 1))), x, start.to(x.dtype))
        lost = ~torch.isfinite(x).flatten(1).all(1)
        verdict = tuple(
            Verdict.NON_FINITE_MEASUREMENT if not ok else Verdict.DIVERGED if bad else Verdict.COMPLETED
            for ok, bad in zip(finite.tolist(), lost.tolist(), strict=True)
        )
        return Solution(x, verdict, tuple(0 for _ in verdict))


class Iterative(Solver):
    """Any registered iteration with any fidelity, regularizer, stopping rules, acceleration and gradient.

    `stop` limits the iterations and holds the rules; `init` is a solver whose image the iteration starts from
    (default: the iteration's own start, zero); `acceleration` is none by default. With `gradient: none`, the
    default, it is a classical solver; with `unrolled` an unrolled network; with an equilibrium
    gradient an equilibrium network.
    """

    source = "design: one iteration map, applied and differentiated by choice"

    def __init__(
        self,
        iteration: Iteration,
        fidelity: Fidelity,
        regularizer: Regularizer | None = None,
        stop: Stop | None = None,
        acceleration: Acceleration | None = None,
        gradient: Gradient | None = None,
        init: Solver | None = None,
    ) -> None:
        super().__init__()
        self.iteration = iteration
        self.fidelity = fidelity
        self.regularizer = regularizer or Zero()
        self.stop = stop or Stop()
        self.acceleration = acceleration or NoAcceleration()
        self.gradient = gradient or NoGradient()
        self.start = init

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"iteration": "gradient-descent", "fidelity": "l2", "stop": {"iterations": 10}},)

    def pose(self, y: Tensor, operator: Operator) -> Problem:
        return Problem(operator, y, self.fidelity, self.regularizer)

    def check(self, problem: Problem) -> None:
        check_composition(problem, self.iteration, self.stop, self.acceleration, self.gradient)
        if self.start is not None:
            self.start.check(self._first(self.start, problem))

    def solve(
        self,
        problem: Problem,
        *,
        accuracy: float | Tensor | None = None,
        init: Tensor | None = None,
        monitors: dict[str, Monitor] | None = None,
        observer: Callable[[Progress], None] | None = None,
    ) -> Solution:
        stop = self.stop if accuracy is None else self.stop.only(CertifiedAccuracy(accuracy))
        self.check_precision(problem.measurement)
        if init is None and self.start is not None:
            init = self.start.solve(self._first(self.start, problem)).x.to(problem.zeros().dtype)
        return solve(
            problem,
            self.iteration,
            stop=stop,
            acceleration=self.acceleration,
            gradient=self.gradient,
            init=init,
            monitors=monitors,
            observer=observer,
        )

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        return self.solve(self.pose(y, operator)).x

    def with_penalty(self, y: Tensor, operator: Operator) -> tuple[Tensor, Tensor | None]:
        solution = self.attempt(y, operator)
        return solution.x, solution.penalty

    def attempt(self, y: Tensor, operator: Operator) -> Solution:
        return self.solve(self.pose(y, operator))

    def prepare(self, data: Dataset) -> None:
        if self.start is not None:
            self.start.prepare(data)

    @staticmethod
    def _first(start: Solver, problem: Problem) -> Problem:
        """What `start` solves: its own problem for the same measurement, with its own fidelity and regularizer."""
        return start.pose(problem.measurement, problem.operator)

    def unrolled(self, iterations: int) -> Iterative:
        """This solver with a fixed number of steps, differentiated through each of them, checkpointed as it was."""
        gradient = Unrolled(isinstance(self.gradient, Unrolled) and self.gradient.checkpoint)
        return Iterative(
            self.iteration, self.fidelity, self.regularizer, Stop(iterations), self.acceleration, gradient, self.start
        )
