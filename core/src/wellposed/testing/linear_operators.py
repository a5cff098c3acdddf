"""What every linear operator promises: linearity, an exact adjoint, its norm, solves, row blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..operator import LinearOperator, RowBlock
from ..space import Space, per_sample
from ..space import norm as norms
from .adjointness import assert_adjoint
from .measure import EXACT, at_most, bump, normal, relative, size_of, that
from .promise import check
from .subject import Subject

#: Largest domain, in real dimensions, whose matrix is written out; larger ones are measured by power iteration.
_DENSE_LIMIT = 1100


def is_linear(cls: type) -> bool:
    return issubclass(cls, LinearOperator)


@check(applies=is_linear)
def is_linear_map(subject: Subject) -> None:
    """`A(2x − 3z) = 2Ax − 3Az`, and `A 0 = 0`."""
    operator = subject.build()
    x, z = normal(operator.domain), normal(operator.domain, seed=1)
    expected = 2 * operator(x) - 3 * operator(z)
    scale = 2 * size_of(operator(x)) + 3 * size_of(operator(z))
    at_most(size_of(operator(2 * x - 3 * z) - expected) / (scale or 1.0), EXACT, f"{subject.label} must be linear")
    at_most(size_of(operator(torch.zeros_like(x))), 0.0, f"{subject.label} must map zero to zero")


@check(applies=is_linear)
def adjoint_is_exact(subject: Subject) -> None:
    """`<Ax, y> = <x, A*y>` to 1e-12 in float64, for batches of 1 and 3."""
    operator = subject.build()
    for batch in (1, 3):
        x, y = normal(operator.domain, batch), normal(operator.range, batch, seed=1)
        assert_adjoint(operator, operator.adjoint, x, y, EXACT, subject.label)


@check(applies=is_linear)
def adjoint_is_exact_in_float32(subject: Subject) -> None:
    """`<Ax, y> = <x, A*y>` to 1e-5 in float32."""
    operator = subject.build(torch.float32)
    x = normal(operator.domain, dtype=torch.float32)
    y = normal(operator.range, seed=1, dtype=torch.float32)
    back = operator.adjoint(y)
    that(back.dtype == x.dtype, f"the adjoint of {subject.label} turns {y.dtype} into {back.dtype}, not {x.dtype}")
    assert_adjoint(operator, operator.adjoint, x, y, 1e-5, f"{subject.label} in float32")


@check(applies=is_linear)
def adjoint_maps_range_to_domain(subject: Subject) -> None:
    """`A*` maps `(B, *range.shape)` to `(B, *domain.shape)`, and `A.T.T` is `A` again."""
    operator = subject.build()
    y = normal(operator.range)
    shape = tuple(operator.adjoint(y).shape)
    that(
        shape == (len(y), *operator.domain.shape),
        f"the adjoint of {subject.label} must give {(len(y), *operator.domain.shape)}; it gives {shape}",
    )
    x = normal(operator.domain)
    at_most(relative(operator.T.adjoint(x), operator(x)), EXACT, f"(A*)* of {subject.label} must be A")


@check(applies=is_linear)
def gradient_is_adjoint(subject: Subject) -> None:
    """Automatic differentiation of `A` gives `A*`, of `A*` gives `A`, and of `A*A` gives `A*A`."""
    operator = subject.build()
    x, y = normal(operator.domain), normal(operator.range, seed=1)
    at_most(relative(_pullback(operator, x, y), operator.adjoint(y)), EXACT, f"the gradient through {subject.label}")
    at_most(
        relative(_pullback(operator.adjoint, y, x), operator(x)),
        EXACT,
        f"the gradient through the adjoint of {subject.label}",
    )
    at_most(
        relative(_pullback(operator.gram, x, x), operator.gram(x)), 1e-10, f"the gradient through {subject.label}.gram"
    )
    at_most(relative(operator.vjp(x, y), operator.adjoint(y)), EXACT, f"{subject.label}.vjp")


@check(applies=is_linear)
def gram_is_adjoint_of_forward(subject: Subject) -> None:
    """`gram(x) = A*(A x)`."""
    operator = subject.build()
    x = normal(operator.domain)
    at_most(relative(operator.gram(x), operator.adjoint(operator(x))), 1e-10, f"gram of {subject.label} must be A*A")


@check(applies=is_linear)
def norm_is_tight_bound(subject: Subject) -> None:
    """`‖A‖ ≤ norm() ≤ 1.01 ‖A‖`."""
    operator = subject.build()
    claimed, true = operator.norm(), largest_singular_value(operator)
    that(
        claimed >= true * (1 - 1e-6),
        f"norm() of {subject.label} must bound ‖A‖ from above: it says {claimed:.8g}, ‖A‖ is {true:.8g}",
    )
    that(
        claimed <= true * 1.01,
        f"norm() of {subject.label} must be tight to 1 %: it says {claimed:.8g}, ‖A‖ is {true:.8g}",
    )


@check(applies=is_linear, since="0.2")
def norm_is_right_in_float32(subject: Subject) -> None:
    """In float32 `norm()` is what it is in float64, to 0.1 % from below and 1 % from above."""
    exact, rough = subject.build().norm(), subject.build(torch.float32).norm()
    that(
        exact * (1 - 1e-3) <= rough <= exact * 1.01,
        f"norm() of {subject.label} must be {exact:.8g} in float32 as in float64; it is {rough:.8g}",
    )


@check(applies=is_linear, since="0.2")
def is_linear_at_every_scale(subject: Subject) -> None:
    """`A(cx) = c A x` and `A*(cy) = c A*y` for `c` from 1e-6 to 1e6, also with another `c` for each sample."""
    operator = subject.build()
    x, y = normal(operator.domain), normal(operator.range, seed=1)
    scales = torch.tensor([1e-6, 1.0, 1e6], dtype=torch.float64)
    for name, apply, argument in (("", operator, x), ("the adjoint of ", operator.adjoint, y)):
        for scale in (1e-6, 1e6, scales):
            c = per_sample(scale, argument)
            expected, found = apply(argument), apply(c * argument)
            unscaled = found / per_sample(scale, found)
            at_most(relative(unscaled, expected), EXACT, f"{name}{subject.label} must be linear; at scale {scale}")


@check(applies=is_linear)
def pinv_explains_the_measurement(subject: Subject) -> None:
    """`pinv` of the measurement of a smooth image is a finite image that explains it better than zero does."""
    operator = subject.build()
    y = operator(bump(operator.domain))
    x = operator.pinv(y)
    that(
        tuple(x.shape) == (len(y), *operator.domain.shape),
        f"pinv of {subject.label} must give images {(len(y), *operator.domain.shape)}; it gives {tuple(x.shape)}",
    )
    that(bool(torch.isfinite(x).all()), f"pinv of {subject.label} gives values that are not finite")
    left = norms(operator(x) - y) / norms(y)
    at_most(float(left.max()), 0.9, f"‖A pinv(y) − y‖/‖y‖ of {subject.label} for y = Ax; a wrong scale makes it large")


@check(applies=is_linear)
def solve_normal_solves(subject: Subject) -> None:
    """`(A*A + s) solve_normal(b, s) = b` to 1e-8, with one shift and with a shift for each sample."""
    operator = subject.build()
    b = normal(operator.domain)
    square = operator.norm() ** 2 or 1.0
    each = square * torch.tensor([0.01, 0.1, 1.0], dtype=torch.float64)
    for shift in (0.1 * square, each):
        x = operator.solve_normal(b, shift)
        residual = operator.gram(x) + per_sample(shift, x) * x - b
        what = "a shift per sample" if isinstance(shift, Tensor) else "one shift"
        at_most(size_of(residual) / size_of(b), 1e-8, f"the residual of {subject.label}.solve_normal with {what}")


@check(applies=is_linear)
def row_blocks_partition_rows(subject: Subject) -> None:
    """Blocks hold each row once, act as those rows of the whole, and have exact adjoints."""
    operator = subject.build()
    x, y = normal(operator.domain), normal(operator.range, seed=1)
    whole = operator(x)
    rows = whole.shape[operator.row_blocks(1)[0].axis]
    for count in sorted({1, 2, 3, 4, rows}):
        try:
            blocks = operator.row_blocks(count)
        except InputError:
            that(count > rows, f"{subject.label} cannot be split into {count} blocks of its {rows} rows")
            continue
        that(len(blocks) == count, f"row_blocks({count}) of {subject.label} gives {len(blocks)} blocks")
        _assert_partition(blocks, x, y, whole, f"row_blocks({count}) of {subject.label}")
        _assert_refused(operator, rows + 1, subject.label)
        total = torch.stack([block.adjoint(block.restrict(y)) for block in blocks]).sum(0)
        at_most(relative(total, operator.adjoint(y)), 1e-11, f"the adjoints of row_blocks({count}) must add up to A*")


# Measuring ----------------------------------------------------------------------------------------


def largest_singular_value(operator: LinearOperator) -> float:
    """`‖A‖` from the whole matrix where that is small, else from below by 300 power iterations."""
    dimension = operator.domain.size * (2 if operator.domain.is_complex else 1)
    with torch.no_grad():
        if dimension <= _DENSE_LIMIT:
            rows = _real(operator(basis(operator.domain)))
            return float(torch.linalg.eigvalsh(rows @ rows.T)[-1].clamp_min(0).sqrt())
        x = normal(operator.domain, 1)
        for _ in range(300):
            x = operator.adjoint(operator(x / size_of(x)))
        return size_of(x) ** 0.5


def basis(space: Space) -> Tensor:
    """The real unit vectors of a space as one batch."""
    count = space.size * (2 if space.is_complex else 1)
    eye = torch.eye(count, dtype=torch.float64)
    if space.is_complex:
        return torch.view_as_complex(eye.reshape(count, *space.shape, 2))
    return eye.reshape(count, *space.shape)


def _real(tensor: Tensor) -> Tensor:
    return (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).flatten(1)


def _pullback(apply, x: Tensor, v: Tensor) -> Tensor:
    point = x.detach().requires_grad_()
    (grad,) = torch.autograd.grad(apply(point), point, v)
    return grad


def _assert_refused(operator: LinearOperator, count: int, who: str) -> None:
    try:
        operator.row_blocks(count)
    except InputError:
        return
    raise AssertionError(f"{who} must refuse {count} blocks of {count - 1} rows with InputError")


def _assert_partition(blocks, x: Tensor, y: Tensor, whole: Tensor, who: str) -> None:
    stacked = torch.full_like(whole, float("nan"))
    rows = 0
    for block in blocks:
        that(isinstance(block, RowBlock), f"{who} must consist of RowBlocks")
        part = block(x)
        at_most(relative(part, block.restrict(whole)), 1e-11, f"a block of {who} must act as its rows of A")
        assert_adjoint(block, block.adjoint, x, block.restrict(y), EXACT, f"a block of {who}")
        stacked.index_copy_(block.axis, block.index, part)
        rows += len(block.index)
    that(
        bool(torch.isfinite(stacked).all()) and rows == whole.shape[blocks[0].axis],
        f"{who} must hold each of the {whole.shape[blocks[0].axis]} rows once; they hold {rows}",
    )


CHECKS = (
    is_linear_map,
    adjoint_is_exact,
    adjoint_is_exact_in_float32,
    adjoint_maps_range_to_domain,
    gradient_is_adjoint,
    gram_is_adjoint_of_forward,
    norm_is_tight_bound,
    norm_is_right_in_float32,
    is_linear_at_every_scale,
    pinv_explains_the_measurement,
    solve_normal_solves,
    row_blocks_partition_rows,
)
