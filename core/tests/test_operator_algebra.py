"""Operator algebra: each combination against dense matrices, with norms, inverses, rows and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wellposed import CompositionError, InputError, LinearOperator, Noise, Operator, ShapeError, Space, stack
from wellposed.space import inner
from wellposed.testing.doubles import PeriodicBlur, QuadraticRegularizer, SaturatingOperator


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Dense(LinearOperator):
    """A matrix; counts how often it is applied."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(Space((matrix.shape[1],), matrix.dtype), Space((matrix.shape[0],), matrix.dtype))
        self.register_buffer("matrix", matrix)
        self.calls = 0

    def _forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x @ self.matrix.mT

    def _adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix.conj()


class PerSample(LinearOperator):
    """Each sample is multiplied by its own mask."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(Space((mask.shape[1],), mask.dtype), Space((mask.shape[1],), mask.dtype))
        self.register_buffer("mask", mask)

    def _forward(self, x: Tensor) -> Tensor:
        return self.mask * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.mask * y

    def _norm(self) -> float:
        return float(self.mask.abs().max())

    def take(self, index: Tensor) -> PerSample:
        return PerSample(self.mask[index])


def combinations(dtype: torch.dtype) -> dict[str, tuple[LinearOperator, Tensor]]:
    a, b, c = (normal(5, 4, seed=s, dtype=dtype) for s in range(3))
    square = normal(4, 4, seed=7, dtype=dtype)
    A, B, C, S = Dense(a), Dense(b), Dense(c), Dense(square)
    return {
        "composition": (A @ S, a @ square),
        "sum": (A + B, a + b),
        "difference": (A - B, a - b),
        "multiple": (2.5 * A, 2.5 * a),
        "negative": (-A, -a),
        "adjoint": (A.T, a.mH),
        "stack": (stack([A, B, C]), torch.cat([a, b, c])),
        "all at once": ((2.0 * A + B).T @ (A - C) @ S, (2 * a + b).mH @ (a - c) @ square),
    }


names = pytest.mark.parametrize("name", combinations(torch.float64))


@names
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_forward_adjoint_gram_and_norm(name: str, dtype: torch.dtype) -> None:
    operator, matrix = combinations(dtype)[name]
    x, y = normal(3, matrix.shape[1], seed=11, dtype=dtype), normal(3, matrix.shape[0], seed=12, dtype=dtype)
    torch.testing.assert_close(operator(x), x @ matrix.mT)
    torch.testing.assert_close(operator.adjoint(y), y @ matrix.conj())
    torch.testing.assert_close(operator.gram(x), x @ (matrix.mH @ matrix).mT)
    scale = float(operator.norm() * x.norm() * y.norm())
    assert float((inner(operator(x), y) - inner(x, operator.adjoint(y))).abs().max()) <= 1e-13 * scale
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    assert exact * (1 - 1e-9) <= operator.norm() <= 1.001 * exact


@names
def test_inverses_and_normal_equations(name: str) -> None:
    operator, matrix = combinations(torch.float64)[name]
    x, y = normal(2, matrix.shape[1], seed=11), normal(2, matrix.shape[0], seed=12)
    torch.testing.assert_close(operator.pinv(y), y @ torch.linalg.pinv(matrix).mT, rtol=1e-6, atol=1e-6)
    shifted = matrix.mT @ matrix + 0.3 * torch.eye(matrix.shape[1], dtype=torch.float64)
    torch.testing.assert_close(
        operator.solve_normal(x, 0.3), torch.linalg.solve(shifted, x.mT).mT, rtol=1e-8, atol=1e-8
    )


@names
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_derivatives_to_second_order(name: str, dtype: torch.dtype) -> None:
    operator, matrix = combinations(dtype)[name]
    x = normal(2, matrix.shape[1], seed=11, dtype=dtype).requires_grad_()
    assert torch.autograd.gradcheck(operator, x)
    assert torch.autograd.gradcheck(operator.adjoint, operator(x).detach().requires_grad_())
    assert torch.autograd.gradgradcheck(lambda v: operator(v).abs().square(), x)


def test_forward_mode_and_gradients_off_give_the_same_values() -> None:
    operator, matrix = combinations(torch.float64)["composition"]
    x, v = normal(2, 4, seed=11), normal(2, 4, seed=12)
    value, tangent = torch.func.jvp(operator, (x,), (v,))
    torch.testing.assert_close(tangent, v @ matrix.mT)
    with torch.no_grad():
        assert torch.equal(operator(x), value)
        assert not operator(x.requires_grad_()).requires_grad


@names
def test_row_blocks_are_the_rows(name: str) -> None:
    operator, matrix = combinations(torch.float64)[name]
    x, y = normal(2, matrix.shape[1], seed=11), normal(2, matrix.shape[0], seed=12)
    blocks = operator.row_blocks(2)
    for b, block in enumerate(blocks):
        rows = torch.arange(b, matrix.shape[0], 2)
        torch.testing.assert_close(block(x), x @ matrix[rows].mT)
        torch.testing.assert_close(block.adjoint(y[:, rows]), y[:, rows] @ matrix[rows])
        torch.testing.assert_close(block.restrict(y), y[:, rows])
    with pytest.raises(InputError, match="cannot be split"):
        operator.row_blocks(matrix.shape[0] + 1)


def test_stacks_split_measurements_into_the_shapes_of_their_members() -> None:
    operators = [Dense(normal(5, 4)), Dense(normal(3, 4, seed=1))]
    stacked = stack(operators)
    x = normal(2, 4, seed=2)
    for part, operator in zip(stacked.split(stacked(x)), operators, strict=True):
        torch.testing.assert_close(part, operator(x))
    assert stacked.range.shape == (8,)


def test_adjoint_of_the_adjoint_is_the_operator_and_norms_are_shared() -> None:
    operator = Dense(normal(5, 4))
    assert operator.T.T is operator
    operator.norm()
    before = operator.calls
    assert operator.T.norm() == (3.0 * operator).norm() / 3.0 == operator.norm()
    assert operator.calls == before, "the norm of a multiple or adjoint is not estimated anew"


def test_take_keeps_operators_that_all_samples_share() -> None:
    index = torch.tensor([1])
    for operator, _ in combinations(torch.float64).values():
        assert operator.take(index) is operator
    mask = normal(3, 4)
    x = normal(3, 4, seed=1)
    masked = PerSample(mask)
    square = Dense(normal(4, 4, seed=2))
    for operator in (
        masked,
        square @ masked,
        masked + square,
        2.0 * masked,
        masked.T,
        stack([masked, square]),
    ):
        part = operator.take(index)
        assert part is not operator
        torch.testing.assert_close(part(x[index]), operator(x)[index])


def test_nonlinear_operators_compose_by_the_chain_rule() -> None:
    inner_operator = Dense(normal(4, 3))
    outer = SaturatingOperator(normal(6, 4, seed=1).tolist(), (4,))
    composed = outer @ inner_operator
    assert isinstance(composed, Operator)
    assert not isinstance(composed, LinearOperator)
    x, v = normal(2, 3, seed=2), normal(2, 6, seed=3)
    torch.testing.assert_close(composed.vjp(x, v), inner_operator.adjoint(outer.vjp(inner_operator(x), v)))
    assert composed.norm() == pytest.approx(outer.norm() * inner_operator.norm())
    assert composed.take(torch.tensor([0])) is composed


@pytest.mark.parametrize(
    ("combine", "verb"),
    [(lambda a, b: a @ b, "compose"), (lambda a, b: a + b, "add"), (lambda a, b: stack([a, b]), "stack")],
)
def test_operators_that_do_not_fit_are_refused_with_both_shapes(combine, verb: str) -> None:
    with pytest.raises(CompositionError, match=rf"cannot {verb} Dense and Dense.*\(\d,\)"):
        combine(Dense(normal(5, 4)), Dense(normal(6, 7)))
    with pytest.raises(CompositionError, match=rf"cannot {verb}.*(real|complex)"):
        combine(Dense(normal(4, 4)), Dense(normal(4, 4, dtype=torch.complex128)))


def test_stacks_need_members() -> None:
    with pytest.raises(CompositionError, match="at least one"):
        stack([])


def test_wrong_tensors_are_told_with_what_was_expected() -> None:
    operator = 2.0 * Dense(normal(5, 4))
    with pytest.raises(ShapeError, match=r"shape \(batch, 4\), got \(2, 3\)"):
        operator(normal(2, 3))
    with pytest.raises(ShapeError, match=r"tensor\[None\]"):
        operator(normal(4))
    with pytest.raises(InputError, match="float32"):
        operator(normal(2, 4).float())


def test_a_batch_of_none_has_measurements_of_none() -> None:
    class Picky(Dense):
        def _forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft(x).real @ self.matrix.mT

    operator = Picky(normal(5, 4))
    nothing = torch.zeros(0, 4, dtype=torch.float64, requires_grad=True)
    assert operator(nothing).shape == (0, 5)
    assert operator.adjoint(torch.zeros(0, 5, dtype=torch.float64)).shape == (0, 4)
    assert operator.gram(nothing).dtype == torch.float64
    curved = SaturatingOperator(normal(5, 4), (1, 2, 2))
    assert curved(torch.zeros(0, 1, 2, 2, dtype=torch.float64)).shape == (0, 5)


# Arguments that do not fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        (lambda A, R, x: A @ x, r"@ composes operators; PeriodicBlur is applied to a tensor by calling it: A\(x\)"),
        (lambda A, R, x: x @ A, r"@ composes operators, and Tensor is none; .*A\.T\(y\)"),
        (lambda A, R, x: A @ 2.0, "what stands behind @ must be an instance of Operator; 2.0 was given"),
        (lambda A, R, x: A + 0.1, "what is added to a linear operator must be an instance of LinearOperator; 0.1"),
        (lambda A, R, x: A - 0.1, "what is subtracted from a linear operator must be .*; 0.1 was given"),
        (lambda A, R, x: A * A, "an operator is multiplied with a real number; a PeriodicBlur was given"),
        (lambda A, R, x: A * x, r"an operator is multiplied with a real number; a tensor of shape \(1, 1, 6, 6\)"),
        (lambda A, R, x: R + 0.1, r"a regularizer is added to regularizers, .*: 0\.1 \* QuadraticRegularizer"),
        (lambda A, R, x: 0.1 + R, r"a regularizer is added to regularizers, .*: 0\.1 \* QuadraticRegularizer"),
        (lambda A, R, x: R * R, "a regularizer is multiplied with a real number; a QuadraticRegularizer was given"),
        (lambda A, R, x: R * "a", "a regularizer is multiplied with a real number; a str was given"),
        (lambda A, R, x: Gaussianlike()(x), r"draws from a generator, its second argument: torch\.Generator\(\)"),
        (lambda A, R, x: Gaussianlike()(x, 3), r"draws from a generator, its second argument: torch\.Generator\(\)"),
    ],
)
def test_slips_of_algebra_get_a_sentence(expression: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        expression(PeriodicBlur((1, 6, 6)), QuadraticRegularizer(0.1), torch.zeros(1, 1, 6, 6))


class Gaussianlike(Noise):
    """Noise of unit variance."""

    def forward(self, v: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return v + torch.randn(v.shape, generator=generator)


def test_numbers_of_every_kind_multiply() -> None:
    for number in (2, 2.0, np.float32(2), np.float64(2), np.int64(2), torch.tensor(2.0), torch.ones(1) * 2):
        assert (PeriodicBlur((1, 6, 6)) * number).norm() == pytest.approx(2 * PeriodicBlur((1, 6, 6)).norm())
        assert float((QuadraticRegularizer(1.0) * number)(torch.ones(1, 1, 1, 1, dtype=torch.float64))) > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_gets_a_sentence() -> None:
    operator = PeriodicBlur((1, 6, 6))
    operator.register_buffer("held", torch.zeros(2))
    for move in (lambda: operator.to("cuda"), operator.cuda, lambda: (operator @ operator).to("cuda:1")):
        with pytest.raises(InputError, match=r"cannot be moved there: .*\. Devices here: cpu"):
            move()
    assert operator.double().held.dtype == torch.float64  # type: ignore[union-attr]
