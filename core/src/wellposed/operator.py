"""Forward operators: the interface that every acquisition model implements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .errors import InputError, ShapeError, require
from .module import ComponentModule, check_factor
from .precision import exact
from .space import Space
from .structure import Structure


class Operator(ComponentModule):
    """A differentiable map `A: domain → range`, batched: `(B, *domain.shape) → (B, *range.shape)`.

    A subclass implements `_forward`; calling the operator checks the argument first. Under autocast (mixed
    precision) it still works in its own precision: only networks may round.

    Raises `ShapeError` for a tensor that does not lie in the domain.
    """

    def __init__(self, domain: Space, range: Space) -> None:
        super().__init__()
        self.domain = domain
        self.range = range

    @exact
    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator: `A(x)`."""
        self.check_domain(x)
        return self._forward(x) if len(x) else self.range.zeros(0, x.device, x.dtype.to_real())

    def _forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    @exact
    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """The adjoint derivative at `x` applied to `v`: `A'(x)* v`, by reverse-mode differentiation."""
        self.check_domain(x)
        self.check_range(v)
        with torch.enable_grad():
            point = x if x.requires_grad else x.detach().requires_grad_()
            value = self._forward(point)
            (grad,) = torch.autograd.grad(value, point, v, create_graph=x.requires_grad or v.requires_grad)
        return grad

    def norm(self) -> float | None:
        """A bound on `‖A'(x)‖` that holds for every `x`; `None` where there is none."""
        return None

    def take(self, index: Tensor) -> Operator:
        """The operator of the samples `index` of a batch: itself unless it holds per-sample data."""
        return self

    @property
    def samples(self) -> int | None:
        """How many samples the operator, or a part of it, holds data of; `None` where it is the same for all."""
        parts = (part.samples for part in self.modules() if isinstance(part, Operator) and part is not self)
        return next((count for count in parts if count is not None), None)

    def for_shape(self, shape: tuple[int, ...]) -> Operator:
        """The same acquisition of images of another shape `(C, *spatial)`, for methods that do not mind the size.

        Raises `ShapeError` where the acquisition belongs to the size, the default.
        """
        if tuple(shape) == self.domain.shape:
            return self
        raise ShapeError(
            f"{type(self).__name__} takes images of shape {self.domain.shape}, and no other size; {tuple(shape)} was "
            f"given. Cut or resize the images"
        )

    def calibrated(self, y: Tensor) -> Operator:
        """The operator with what is open in it (coil sensitivities) found from measurements `y`; else itself."""
        return self

    def check_domain(self, x: Tensor) -> None:
        self.domain.check(x, self, "images")
        self._check_precision(x)

    def check_range(self, y: Tensor) -> None:
        self.range.check(y, self, "measurements")
        self._check_precision(y)

    def _check_precision(self, tensor: Tensor) -> None:
        own = next((b for b in self.buffers() if b.is_floating_point() or b.is_complex()), None)
        if own is None:
            return
        if own.device != tensor.device:
            raise InputError(
                f"{type(self).__name__} is on {own.device} and got a tensor on {tensor.device}; "
                f"move one of them with .to(device)"
            )
        if own.dtype.to_real() != tensor.dtype.to_real():
            raise InputError(
                f"{type(self).__name__} holds {own.dtype.to_real()} numbers and got a {tensor.dtype} "
                f"tensor; call operator.to({tensor.dtype.to_real()}) or convert the tensor"
            )

    def __matmul__(self, other: Operator) -> Operator:
        from .algebra import compose

        if isinstance(other, Tensor):
            raise InputError(f"@ composes operators; {type(self).__name__} is applied to a tensor by calling it: A(x)")
        require(other, Operator, "what stands behind @")
        return compose(self, other)

    def __rmatmul__(self, other: object) -> Operator:
        raise InputError(f"@ composes operators, and {type(other).__name__} is none; the adjoint is applied by A.T(y)")

    def extra_repr(self) -> str:
        return f"{self.domain.shape} → {self.range.shape}"


class LinearOperator(Operator):
    """A linear map with an adjoint that is exact to rounding, `<Ax, y> = <x, A*y>`, real inner products.

    A subclass implements `_forward` and `_adjoint`, and where it knows better `structure`, `_gram`, `_norm`,
    `_pinv`, `_solve_normal`, `row_blocks`. Gradients through the operator and through its adjoint are
    the operator's own adjoint and forward map, to any order, and no intermediate result is stored.
    """

    def __init__(self, domain: Space, range: Space) -> None:
        super().__init__(domain, range)
        self._norm_value: tuple[object, float] | None = None

    @exact
    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator: `A x`."""
        self.check_domain(x)
        return self._differentiable(x, self._forward, self._adjoint, self.range)

    @exact
    def adjoint(self, y: Tensor) -> Tensor:
        """Apply the adjoint: `A* y`, shape `(B, *domain.shape)`."""
        self.check_range(y)
        return self._differentiable(y, self._adjoint, self._forward, self.domain)

    @exact
    def gram(self, x: Tensor) -> Tensor:
        """`A* A x`, in closed form where the operator has one."""
        self.check_domain(x)
        return self._differentiable(x, self._gram, self._gram, self.domain)

    @exact
    def norm(self) -> float:
        """A bound `‖A‖ ≤ norm() ≤ 1.01 ‖A‖`: what the structure or `_norm` says, else Lanczos' method; cached.

        `structure().norm` is exact where it is known.
        """
        made_of = tuple((id(t), t._version) for t in (*self.parameters(), *self.buffers()))
        if self._norm_value is not None and self._norm_value[0] == made_of:
            return self._norm_value[1]
        from .spectral_norm import spectral_norm

        closed = self._norm()
        value = spectral_norm(self) if closed is None else float(closed)
        if not self.has_learned_parameters:  # a map that is being learned has another norm at the next step
            self._norm_value = (made_of, value)
        return value

    def structure(self) -> Structure:
        """What is exactly known of `A`: isometry, projection, diagonal, norm. Declared by subclasses, never probed."""
        return Structure()

    @exact
    def pinv(self, y: Tensor) -> Tensor:
        """The pseudo-inverse or the field's direct inversion (FBP, zero filling); else CG least squares."""
        self.check_range(y)
        return self._pinv(y)

    @exact
    def solve_normal(self, rhs: Tensor, shift: float | Tensor) -> Tensor:
        """`(A*A + shift·I)⁻¹ rhs` with `shift ≥ 0` a number or `(B,)`; differentiable in both.

        The derivative is that of the exact solution (one more solve), so memory does not grow with
        the number of inner iterations.
        """
        from .linear_algebra import NormalSolve

        self.check_domain(rhs)
        shift = _nonnegative(shift, rhs)
        if self.has_learned_parameters:  # the tape must reach them
            return self._solve_normal(rhs, shift)
        return NormalSolve.apply(rhs, shift, self)  # type: ignore[no-any-return]

    def row_blocks(self, count: int) -> Sequence[RowBlock]:
        """Split the rows into `count` interleaved blocks (Kaczmarz, stochastic gradient)."""
        return default_row_blocks(self, count)

    def take(self, index: Tensor) -> LinearOperator:
        return self

    @property
    def T(self) -> LinearOperator:
        """The adjoint as an operator; `A.T.T` is `A`."""
        from .algebra import AdjointOperator

        return AdjointOperator(self)

    @property
    def has_learned_parameters(self) -> bool:
        """Whether the map itself is being learned; then gradients must reach its parameters."""
        return any(p.requires_grad for p in self.parameters())

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        self.check_domain(x)
        return self.adjoint(v)

    # What a subclass writes -----------------------------------------------------------------------

    def _adjoint(self, y: Tensor) -> Tensor:
        raise NotImplementedError

    def _gram(self, x: Tensor) -> Tensor:
        return self._adjoint(self._forward(x))

    def _norm(self) -> float | None:
        """A bound of `‖A‖` that is tight to 1 %, where a formula gives one."""
        return self.structure().norm

    def _pinv(self, y: Tensor) -> Tensor:
        from .linear_algebra import least_squares

        return least_squares(self, y)

    def _solve_normal(self, rhs: Tensor, shift: Tensor) -> Tensor:
        from .linear_algebra import conjugate_gradient, shifted_gram

        return conjugate_gradient(shifted_gram(self, shift), rhs)

    # Algebra ----------------------------------------------------------------------------------------

    def __add__(self, other: LinearOperator) -> LinearOperator:
        from .algebra import SumOperator

        require(other, LinearOperator, "what is added to a linear operator")
        return SumOperator(self, other)

    def __mul__(self, factor: float) -> LinearOperator:
        from .algebra import ScaledOperator

        check_factor(factor, "an operator")
        return ScaledOperator(self, factor)

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        return self * -1.0

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        require(other, LinearOperator, "what is subtracted from a linear operator")
        return self + (-other)

    def _differentiable(
        self, x: Tensor, apply: Callable[[Tensor], Tensor], transpose: Callable, target: Space
    ) -> Tensor:
        if len(x) == 0:  # transforms of libraries fail on batches of none
            return target.zeros(0, x.device, x.dtype.to_real())
        if self.has_learned_parameters or not _is_differentiated(x):
            return apply(x)
        from .linear_algebra import linear_map

        return linear_map(x, apply, transpose)


class RowBlock(LinearOperator):
    """Some rows of an operator: `A_b x = (A x)[..., index, ...]` along the measurement axis `axis`."""

    def __init__(self, domain: Space, range: Space, axis: int, index: Tensor) -> None:
        super().__init__(domain, range)
        self.axis = axis
        self.register_buffer("index", index)

    index: Tensor

    def restrict(self, y: Tensor) -> Tensor:
        """The block's part of a whole measurement."""
        return y.index_select(self.axis, self.index)


class SelectedRows(RowBlock):
    """Row block of any operator, by applying the whole of it: correct for all, fast for none."""

    def __init__(self, operator: LinearOperator, axis: int, index: Tensor) -> None:
        shape = list(operator.range.shape)
        shape[axis] = len(index)
        super().__init__(operator.domain, Space(tuple(shape), operator.range.dtype), axis, index)
        self.operator = operator

    def _forward(self, x: Tensor) -> Tensor:
        return self.restrict(self.operator._forward(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        whole = y.new_zeros((len(y), *self.operator.range.shape))
        return self.operator._adjoint(whole.index_copy(self.axis, self.index, y))


def default_row_blocks(operator: LinearOperator, count: int) -> list[RowBlock]:
    """Interleaved blocks along the last measurement axis."""
    rows = operator.range.shape[-1]
    check_block_count(operator, count, rows)
    return [SelectedRows(operator, -1, torch.arange(b, rows, count)) for b in range(count)]


def check_block_count(operator: Operator, count: int, rows: int) -> None:
    if not 1 <= count <= rows:
        raise InputError(
            f"{type(operator).__name__} has {rows} rows along its block axis and cannot be split into "
            f"{count} blocks; choose 1 to {rows}"
        )


def _nonnegative(shift: float | Tensor, like: Tensor) -> Tensor:
    """The shift as a real tensor beside `like`; a tensor on another device is believed, since looking waits for it."""
    if not isinstance(shift, Tensor):
        if shift < 0:
            raise InputError(f"solve_normal needs shift ≥ 0; got {shift:g}")
        return torch.full((), shift, dtype=like.dtype.to_real(), device=like.device)
    if shift.device.type == "cpu" and bool((shift < 0).any()):
        raise InputError(f"solve_normal needs shift ≥ 0; got {float(shift.min()):g}")
    return shift.to(device=like.device, dtype=like.dtype.to_real())


def _is_differentiated(x: Tensor) -> bool:
    """Whether a derivative of `x` is being recorded, in reverse or in forward mode."""
    if torch.is_grad_enabled() and x.requires_grad:
        return True
    return torch.autograd.forward_ad.unpack_dual(x).tangent is not None
