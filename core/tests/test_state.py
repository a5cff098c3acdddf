"""States: flattening, dropping samples, bookkeeping, and fields that are derived from others."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest
import torch
from torch import Tensor

from wellposed.state import State, bookkeeping, derived


@dataclass(frozen=True)
class Mixed(State):
    image: Tensor
    duals: tuple[Tensor, ...]
    scale: Tensor
    step: Tensor = bookkeeping()
    count: Tensor = bookkeeping()
    bound: tuple[Tensor, ...] = derived()


def mixed(batch: int = 3) -> Mixed:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(batch, *shape, generator=generator, dtype=dtype)

    return Mixed(
        image=draw(1, 4, 4, dtype=torch.complex128),
        duals=(draw(2, 4), draw(5)),
        scale=draw(),
        step=draw(),
        count=torch.arange(batch),
        bound=(draw().abs(),),
    )


def same(first: Mixed, second: Mixed) -> bool:
    pairs = zip(first.tensors(bookkeeping=True), second.tensors(bookkeeping=True), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_flatten_is_a_real_matrix_of_the_fixed_point_fields_alone() -> None:
    state = mixed()
    matrix = state.flatten()
    assert matrix.shape == (3, 2 * 16 + 8 + 5 + 1)
    assert matrix.dtype == torch.float64
    # The real inner product of states is that of their matrices.
    squares = sum(t.abs().square().reshape(3, -1).sum(1) for t in state.tensors())
    torch.testing.assert_close(matrix.square().sum(1), squares)


def test_unflatten_undoes_flatten_bitwise() -> None:
    state = mixed()
    assert same(state, state.unflatten(state.flatten()))
    shifted = state.unflatten(state.flatten() + 1.0)
    assert torch.equal(shifted.scale, state.scale + 1.0)
    assert torch.equal(shifted.image, state.image + (1.0 + 1.0j))
    assert shifted.step is state.step


def test_derived_fields_are_forgotten_for_the_samples_that_changed() -> None:
    state = mixed()
    matrix = state.flatten()
    matrix[1] += 1e-12
    bound = state.unflatten(matrix).bound[0]
    assert torch.isnan(bound).tolist() == [False, True, False]
    assert torch.equal(bound[0], state.bound[0][0])


def test_gradients_pass_through_flatten_and_unflatten() -> None:
    state = mixed()
    matrix = state.flatten().requires_grad_()
    weight = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = (state.unflatten(matrix).flatten() * weight).sum()
    (gradient,) = torch.autograd.grad(total, matrix)
    assert torch.equal(gradient, weight)


def test_take_and_put_move_whole_samples() -> None:
    state = mixed()
    part = state.take(torch.tensor([2, 0]))
    assert len(part.image) == 2
    assert part.count.tolist() == [2, 0]
    back = state.map(torch.zeros_like).put(torch.tensor([2, 0]), part)
    assert torch.equal(back.image[[0, 2]], state.image[[0, 2]])
    assert bool((back.image[1] == 0).all())
    assert back.count.tolist() == [0, 0, 2]


def test_put_leaves_the_original_alone_and_states_are_frozen() -> None:
    state = mixed()
    before = state.map(torch.clone)
    state.put(torch.tensor([1]), state.take(torch.tensor([0])))
    assert same(state, before)
    with pytest.raises(FrozenInstanceError):
        state.scale = torch.zeros(3)  # type: ignore[misc]


def test_lazily_conjugated_tensors_are_flattened_as_what_they_are() -> None:
    state = mixed()
    conjugated = Mixed(state.image.conj(), state.duals, state.scale, state.step, state.count, state.bound)
    assert same(conjugated, conjugated.unflatten(conjugated.flatten()))


def test_detach_cuts_the_tape_everywhere() -> None:
    state = mixed().map(lambda t: t.requires_grad_() if t.is_floating_point() or t.is_complex() else t)
    assert not any(t.requires_grad for t in state.detach().tensors(bookkeeping=True))


def test_what_is_derived_is_lost_where_one_number_changes() -> None:
    @dataclass(frozen=True)
    class Bounded(State):
        x: Tensor
        bound: Tensor = derived()

    state = Bounded(torch.arange(6.0).reshape(3, 2), torch.tensor([1.0, 2.0, 3.0]))
    matrix = state.flatten().clone()
    matrix[1, 0] += 1e-3
    found = state.unflatten(matrix)
    assert torch.isnan(found.bound).tolist() == [False, True, False]
    assert found.bound[[0, 2]].tolist() == [1.0, 3.0]
