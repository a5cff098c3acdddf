"""Test doubles: the smallest right components of each kind, for checking others against.

The core registers no operator, fidelity or iteration of its own, so the kit brings a dense matrix, a
quadratic fidelity and regularizer, and gradient descent on them with all certificates. Each of them
passes the kit itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..dataset import Dataset, Sample
from ..errors import CompositionError, InputError
from ..fidelity import Fidelity
from ..iteration import Iteration
from ..operator import LinearOperator, Operator
from ..problem import Problem
from ..regularizer import Regularizer
from ..solver import DirectSolver
from ..space import Space, inner, norm, per_sample
from ..state import State
from ..structure import Structure


class DenseOperator(LinearOperator):
    """A matrix on images, `y = M vec(x)`.

    `matrix`: rows of `M`. `shape`: one image `(C, *spatial)`; its size is the number of columns. `isometry` declares
    `M*M = c·I`. Raises `InputError` where the sizes do not fit.
    """

    source = "linear algebra: a matrix"
    matrix: Tensor

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"matrix": [[1.0, 2.0, 0.0, 0.5], [0.0, 1.0, 3.0, 0.0], [1.5, 0.0, 1.0, 1.0]], "shape": [1, 2, 2]},)

    def __init__(self, matrix: Sequence[Sequence[float]], shape: Sequence[int], isometry: float | None = None) -> None:
        rows = torch.as_tensor(matrix, dtype=torch.float64)
        domain = Space(tuple(shape))
        if rows.ndim != 2 or rows.shape[1] != domain.size:
            raise InputError(f"an image of shape {tuple(shape)} needs a matrix with {domain.size} columns")
        super().__init__(domain, Space((len(rows),)))
        self.register_buffer("matrix", rows)
        self.isometry = isometry

    @classmethod
    def from_tensor(cls, matrix: Tensor, shape: Sequence[int], isometry: float | None = None) -> DenseOperator:
        return cls(matrix, shape, isometry)  # type: ignore[arg-type]

    def structure(self) -> Structure:
        return Structure(isometry=self.isometry)

    def _forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.T

    def _adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix).reshape(-1, *self.domain.shape)


class PeriodicBlur(LinearOperator):
    """A blur that moves with the image, `y = ½ x + ⅛ Σ` of the four neighbours, periodic.

    `shape`: one image `(C, rows, columns)`. Self-adjoint, of norm 1; it commutes with shifts, quarter turns
    and reflections.
    """

    source = "none: a placeholder"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return ({"shape": [1, 6, 6]},)

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(Space(tuple(shape)), Space(tuple(shape)))

    def _forward(self, x: Tensor) -> Tensor:
        neighbours = [torch.roll(x, shift, axis) for shift in (1, -1) for axis in (-1, -2)]
        return 0.5 * x + 0.125 * torch.stack(neighbours).sum(0)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._forward(y)

    def _norm(self) -> float:
        return 1.0


class SaturatingOperator(Operator):
    """A mildly nonlinear map, `y = Mx + ½ tanh(Mx)`, whose derivative is at most `1.5 ‖M‖`.

    `matrix` and `shape` as for `DenseOperator`.
    """

    source = "none: a placeholder"

    @classmethod
    def examples(cls) -> tuple[dict, ...]:
        return DenseOperator.examples()

    def __init__(self, matrix: Sequence[Sequence[float]], shape: Sequence[int]) -> None:
        linear = DenseOperator(matrix, shape)
        super().__init__(linear.domain, linear.range)
        self.linear = linear

    def _forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return y + 0.5 * torch.tanh(y)

    def norm(self) -> float:
        return 1.5 * self.linear.norm()


class QuadraticFidelity(Fidelity):
    """Half the squared distance, `D(v, y) = ½‖v − y‖²`, with all that a fidelity may offer."""

    source = "least squares"

    def forward(self, v: Tensor, y: Tensor) -> Tensor:
        return 0.5 * norm(v - y).square()

    def gradient(self, v: Tensor, y: Tensor) -> Tensor:
        return v - y

    def prox(self, v: Tensor, y: Tensor, step: float | Tensor) -> Tensor:
        s = per_sample(step, v)
        return (v + s * y) / (1 + s)

    def conjugate(self, p: Tensor, y: Tensor) -> Tensor:
        return 0.5 * norm(p).square() + inner(p, y)

    def smoothness(self, y: Tensor) -> float:
        return 1.0

    def strong_convexity(self, y: Tensor) -> float:
        return 1.0


class QuadraticRegularizer(Regularizer):
    """Tikhonov's functional `R(x) = w/2 ‖x‖²` with all capabilities; `factor` is `w > 0`."""

    source = "Tikhonov 1963"
    capabilities = frozenset({"value", "grad", "prox", "split"})
    convex = True
    invariances = frozenset({"translation", "d4"})

    def __init__(self, factor: float = 0.1) -> None:
        super().__init__()
        if not factor > 0:
            raise InputError(f"factor must be positive; got {factor}")
        self.factor = float(factor)
        self.strong_convexity = self.smoothness = self.factor

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.factor * norm(x).square()

    def grad(self, x: Tensor) -> Tensor:
        return self.factor * x

    def prox(self, x: Tensor, step: float | Tensor) -> Tensor:
        return x / (1 + self.factor * per_sample(step, x))

    def conjugate(self, p: Tensor) -> Tensor:
        return 0.5 / self.factor * norm(p).square()


class BareRegularizer(Regularizer):
    """A regularizer that declares nothing, which every iteration with requirements must refuse."""

    source = "none: a placeholder"


@dataclass(frozen=True)
class Image(State):
    """The state of an iteration that remembers nothing but its image."""

    x: Tensor


class GradientStep(Iteration[Image]):
    """Gradient descent, `x − τ ∇J(x)` with `τ = 1/L`, with an error bound and a duality gap where they hold.

    The bound is `‖x − x*‖ ≤ ‖∇J(x)‖/m` for an `m`-strongly convex objective.
    """

    source = "Nesterov 2004, Introductory Lectures on Convex Optimization, theorem 2.1.5 and eq. 2.1.19"
    requires = frozenset({"value", "grad"})

    def check(self, problem: Problem) -> None:
        super().check(problem)
        self._smoothness(problem)

    def init(self, problem: Problem, x: Tensor | None = None) -> Image:
        return Image(problem.zeros() if x is None else x)

    def step(self, problem: Problem, state: Image) -> Image:
        return Image(state.x - problem.gradient(state.x) / self._smoothness(problem))

    def error_bound(self, problem: Problem, state: Image) -> Tensor | None:
        if not self.certifies(problem):
            return None
        m = problem.regularizer.strong_convexity
        size = problem.operator.norm()
        assert size is not None, "refused by check"
        rounding = 10 * torch.finfo(state.x.dtype).eps * (norm(state.x) * size**2 + norm(problem.measurement) * size)
        return (norm(problem.gradient(state.x)) + rounding) / m

    def certifies(self, problem: Problem) -> bool:
        regularizer = problem.regularizer
        return regularizer.strong_convexity > 0 and regularizer.convex and problem.fidelity.convex

    def has_duality_gap(self, problem: Problem, radius: float | None = None) -> bool:
        if not isinstance(problem.operator, LinearOperator):
            return False
        data = problem.fidelity.conjugate(torch.zeros_like(problem.measurement), problem.measurement)
        return data is not None and problem.regularizer.conjugate(problem.zeros()) is not None

    def duality_gap(self, problem: Problem, state: Image, radius: float | None = None) -> Tensor | None:
        operator, y = problem.operator, problem.measurement
        if not isinstance(operator, LinearOperator):
            return None
        dual = problem.fidelity.gradient(operator(state.x), y)
        data = problem.fidelity.conjugate(dual, y)
        regularizer = problem.regularizer.conjugate(-operator.adjoint(dual))
        if data is None or regularizer is None:
            return None
        return problem.objective(state.x) + data + regularizer

    @staticmethod
    def _smoothness(problem: Problem) -> float | Tensor:
        data = problem.fidelity.smoothness(problem.measurement)
        prior = problem.regularizer.smoothness_on(problem.measurement)
        operator = problem.operator.norm()
        if data is None or prior is None or operator is None:
            raise CompositionError("GradientStep needs smooth terms and a bounded operator")
        return data * operator**2 + prior


class LearnedFilter(DirectSolver):
    """A learned multiple of the adjoint, `x = w A* y`, followed by one convolution: the smallest trained solver."""

    source = "none: a placeholder"

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, y: Tensor, operator: Operator) -> Tensor:
        if not isinstance(operator, LinearOperator):
            raise CompositionError("LearnedFilter needs a linear operator")
        return self.filter(operator.adjoint(y))


class Bumps(Dataset):
    """Gaussian bumps of random centres, `(1, size, size)` images in float32.

    `count` images of `size` pixels a side; image `i` depends on `(seed, i)`.
    """

    source = "none: a placeholder"

    def __init__(self, count: int = 4, size: int = 8, seed: int = 0) -> None:
        self.count, self.size, self.seed = count, size, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        from ..dataset import generator_of

        index = self.check_index(index)
        centre = torch.rand(2, generator=generator_of(self.seed, index)) - 0.5
        grid = torch.linspace(-1, 1, self.size)
        rows, columns = (grid - centre[0])[:, None], (grid - centre[1])[None, :]
        return Sample(f"bump-{index}", torch.exp(-4 * (rows.square() + columns.square()))[None])
