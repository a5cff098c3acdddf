"""What every forward operator promises: its spaces, independence of samples, purity."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError, WellposedError
from ..operator import LinearOperator, Operator
from ..space import Space, inner
from .adjointness import assert_adjoint
from .global_state import watched
from .measure import (
    EXACT,
    at_most,
    central_difference_error,
    dot,
    each_sample_alone,
    normal,
    relative,
    size_of,
    that,
    twice_the_same,
    unchanged,
)
from .promise import NotPromised, check
from .subject import Subject


def images_for(operator: Operator, batch: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random images on which the operator is well scaled: any for a linear one, small nonnegative ones else."""
    x = normal(operator.domain, batch, seed, dtype)
    return x if isinstance(operator, LinearOperator) else 0.25 * x.abs().to(x.dtype)


@check()
def maps_domain_to_range(subject: Subject) -> None:
    """`(B, *domain.shape) → (B, *range.shape)` in the range's number field, for batches of 1 and 3."""
    operator = subject.build()
    for batch in (1, 3):
        y = operator(images_for(operator, batch))
        _lies_in(y, operator.range, batch, torch.float64, f"{subject.label}(x)", "range")


@check()
def keeps_precision(subject: Subject) -> None:
    """float32 in, float32 out, and the same values as in float64 up to rounding."""
    single, double = subject.build(torch.float32), subject.build()
    x = images_for(double)
    y = single(x.to(torch.complex64 if x.is_complex() else torch.float32))
    _lies_in(y, single.range, len(x), torch.float32, f"{subject.label}(x) in float32", "range")
    at_most(relative(y, double(x)), 1e-4, f"{subject.label} must give the same in float32 as in float64")


@check()
def refuses_what_is_not_in_its_domain(subject: Subject) -> None:
    """An image without batch dimension, of another size or of integers raises `ShapeError`."""
    operator = subject.build()
    x = images_for(operator)
    wrong = {
        "an image without batch dimension": x[0],
        "an image with one more column": torch.cat([x, x[..., :1]], dim=-1),
        "an image of integers": x.real.long(),
    }
    for what, tensor in wrong.items():
        try:
            operator(tensor)
        except ShapeError:
            continue
        except Exception as error:
            raise AssertionError(
                f"{subject.label} must refuse {what} with ShapeError; it raised {type(error).__name__}: {error}"
            ) from error
        raise AssertionError(f"{subject.label} must refuse {what} with ShapeError; it took it")


@check()
def leaves_inputs_unchanged(subject: Subject) -> None:
    """Neither the forward map, nor the adjoint, nor the derivative writes into its arguments."""
    operator = subject.build()
    x = images_for(operator)
    with unchanged(subject.label, x=x):
        y = operator(x)
    kept = y.detach().clone()
    with unchanged(subject.label, x=x, v=kept):
        operator.vjp(x, kept)
        if isinstance(operator, LinearOperator):
            operator.adjoint(kept)
            operator.gram(x)
            operator.pinv(kept)


@check()
def is_deterministic(subject: Subject) -> None:
    """The same image gives bitwise the same measurement, whatever was computed between."""
    operator = subject.build()
    x, other = images_for(operator), images_for(operator, seed=1)
    twice_the_same(subject.label, lambda: operator(x), between=lambda: operator(other))


@check(since="0.2")
def draws_no_global_random_numbers(subject: Subject) -> None:
    """Using the operator changes no setting of the process, its global random numbers among them."""
    operator = subject.build()
    x = images_for(operator)
    with watched(f"applying {subject.label}"):
        y = operator(x).detach()
        operator.vjp(x, y)
        operator.norm()
        if isinstance(operator, LinearOperator):
            operator.gram(x)
            operator.pinv(y)


@check(since="0.2")
def takes_batches_of_every_size(subject: Subject) -> None:
    """Batches of none, one and five are measured as their samples are alone."""
    operator = subject.build()
    x = images_for(operator, 5)
    each_sample_alone(subject.label, operator, x)
    none = operator(x[:0])
    that(
        tuple(none.shape) == (0, *operator.range.shape),
        f"{subject.label} of no image must be {(0, *operator.range.shape)}; it is {tuple(none.shape)}",
    )


@check(since="0.2")
def computes_the_same_under_a_tape(subject: Subject) -> None:
    """The measurement is the same whether a derivative is being recorded or not."""
    operator = subject.build()
    x = images_for(operator)
    with torch.no_grad():
        plain = operator(x)
    at_most(relative(operator(x.clone().requires_grad_()).detach(), plain), EXACT, f"{subject.label} under a tape")


@check(since="0.2")
def derivative_can_be_differentiated(subject: Subject) -> None:
    """`<A'(x)*v, h>` has right derivatives in `x` and `v`, as unrolled iterations need them."""
    operator = subject.build()
    x, h, v = images_for(operator), images_for(operator, seed=1), normal(operator.range, seed=2)
    point, dual = x.clone().requires_grad_(), v.clone().requires_grad_()
    value = inner(operator.vjp(point, dual), h).sum()
    that(value.requires_grad, f"the derivative of {subject.label} cannot be differentiated")
    in_x, in_v = torch.autograd.grad(value, (point, dual), allow_unused=True)
    that(in_v is not None, f"the derivative of {subject.label} does not depend on the direction it is asked for")
    assert in_v is not None
    w = normal(operator.range, seed=4)
    expected = dot(operator.vjp(x, w), h)
    at_most(
        abs(dot(in_v, w) - expected) / (size_of(in_v) * size_of(w) or 1.0),
        1e-10,
        f"the derivative of {subject.label}.vjp in its direction",
    )
    if in_x is None:
        return
    move = images_for(operator, seed=5)

    def along(t: float) -> float:
        return dot(operator.vjp(x + t * move, v), h)

    at_most(
        central_difference_error(along, dot(in_x, move), scale=size_of(in_x) * size_of(move)),
        1e-5,
        f"the second derivative of {subject.label} against central differences",
    )


@check(since="0.2")
def follows_the_shape_of_images(subject: Subject) -> None:
    """`for_shape` gives the operator itself, one of that domain, or `ShapeError`; `calibrated` keeps the spaces."""
    operator = subject.build()
    x = images_for(operator)
    at_most(
        relative(operator.for_shape(operator.domain.shape)(x), operator(x)),
        EXACT,
        f"{subject.label}.for_shape of its own shape must be itself",
    )
    again = operator.calibrated(operator(x).detach())
    that(
        again.domain.shape == operator.domain.shape and again.range.shape == operator.range.shape,
        f"{subject.label}.calibrated must keep {operator.domain.shape} → {operator.range.shape}",
    )
    *front, rows, columns = operator.domain.shape if len(operator.domain.shape) > 1 else (1, *operator.domain.shape)
    shape = (*front, 2 * rows, 3 * columns)[-len(operator.domain.shape) :]
    try:
        other = operator.for_shape(shape)
    except WellposedError:
        return
    that(other.domain.shape == shape, f"{subject.label}.for_shape({shape}) is for images {other.domain.shape}")
    image = images_for(other)
    that(bool(torch.isfinite(other(image)).all()), f"{subject.label}.for_shape({shape}) gives values not finite")
    if isinstance(other, LinearOperator):
        assert_adjoint(other, other.adjoint, image, normal(other.range, seed=1), EXACT, f"{subject.label}.for_shape")


@check()
def treats_samples_independently(subject: Subject) -> None:
    """The measurement of an image does not depend on the other images of its batch."""
    operator = subject.build()
    x = images_for(operator)
    each_sample_alone(subject.label, operator, x)
    if isinstance(operator, LinearOperator):
        each_sample_alone(f"the adjoint of {subject.label}", operator.adjoint, operator(x))


@check()
def takes_strided_input(subject: Subject) -> None:
    """A non-contiguous image gives what its contiguous copy gives."""
    operator = subject.build()
    x = images_for(operator)
    at_most(relative(operator(_strided(x)), operator(x)), EXACT, f"{subject.label} must take non-contiguous images")
    if isinstance(operator, LinearOperator):
        y = normal(operator.range)
        at_most(
            relative(operator.adjoint(_strided(y)), operator.adjoint(y)),
            EXACT,
            f"the adjoint of {subject.label} must take non-contiguous measurements",
        )


@check()
def stays_finite(subject: Subject) -> None:
    """Finite images, the zero image among them, have finite measurements."""
    operator = subject.build()
    x = images_for(operator)
    for what, image in {"random images": x, "the zero image": torch.zeros_like(x)}.items():
        that(bool(torch.isfinite(operator(image)).all()), f"{subject.label} maps {what} to values that are not finite")


@check()
def selects_samples(subject: Subject) -> None:
    """`take(index)` is the operator of those samples."""
    operator = subject.build()
    x = images_for(operator)
    index = torch.tensor([1])
    at_most(
        relative(operator.take(index)(x[index]), operator(x)[index]),
        EXACT,
        f"{subject.label}.take(index) must act on the samples taken as the whole does",
    )


@check(applies=lambda cls: torch.cuda.is_available())
def runs_on_cuda(subject: Subject) -> None:
    """Moved to CUDA it computes there what it computes on the CPU."""
    here, there = subject.build(), subject.build().to("cuda")
    x = images_for(here)
    y = there(x.cuda())
    that(y.is_cuda, f"{subject.label} moved to CUDA returns a tensor on {y.device}")
    at_most(relative(y.cpu(), here(x)), 1e-10, f"{subject.label} must compute the same on CUDA")
    if isinstance(here, LinearOperator):
        back = there.adjoint(y)
        at_most(relative(back.cpu(), here.adjoint(y.cpu())), 1e-10, f"the adjoint of {subject.label} on CUDA")


@check()
def norm_is_a_number(subject: Subject) -> None:
    """`norm()` is finite and nonnegative, or `None` for a nonlinear operator without a bound."""
    operator = subject.build()
    norm = operator.norm()
    if norm is None:
        that(not isinstance(operator, LinearOperator), f"{subject.label} is linear and must have a norm")
        raise NotPromised("it states no bound of its derivative")
    that(isinstance(norm, float), f"{subject.label}.norm() must be a float; it is a {type(norm).__name__}")
    that(0 <= norm < float("inf"), f"{subject.label}.norm() is {norm}")


def _lies_in(tensor: Tensor, space: Space, batch: int, real: torch.dtype, what: str, name: str) -> None:
    that(
        tuple(tensor.shape) == (batch, *space.shape),
        f"{what} must have shape {(batch, *space.shape)} as its {name} says; it has {tuple(tensor.shape)}",
    )
    expected = real.to_complex() if space.is_complex else real
    that(tensor.dtype == expected, f"{what} must be {expected} as its {name} says; it is {tensor.dtype}")


def _strided(tensor: Tensor) -> Tensor:
    """The same values with the dimensions in reverse order in memory."""
    backwards = tuple(reversed(range(tensor.ndim)))
    return tensor.permute(backwards).contiguous().permute(backwards)


CHECKS = (
    maps_domain_to_range,
    keeps_precision,
    refuses_what_is_not_in_its_domain,
    leaves_inputs_unchanged,
    is_deterministic,
    draws_no_global_random_numbers,
    takes_batches_of_every_size,
    computes_the_same_under_a_tape,
    derivative_can_be_differentiated,
    follows_the_shape_of_images,
    treats_samples_independently,
    takes_strided_input,
    stays_finite,
    selects_samples,
    norm_is_a_number,
    runs_on_cuda,
)
