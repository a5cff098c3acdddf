"""What the inverses of a linear operator promise: least squares of smallest norm, shifted normal equations.

An operator whose `pinv` is the field's direct inversion (filtered backprojection) and not the pseudo-inverse says so
by a class attribute `direct_inversion = True`; it is then held to the scale and the place of what it images.
"""

from __future__ import annotations

import torch

from ..linear_algebra import least_squares
from ..space import inner
from ..space import norm as norms
from .adjointness import like
from .linear_operators import is_linear
from .measure import at_most, each_sample_alone, lopsided, normal, relative, single, size_of, that
from .promise import NotPromised, check
from .subject import Subject

#: What conjugate gradients of a few hundred steps leave of an ill-conditioned operator.
_ITERATIVE = 1e-3
#: Powers of two, so that an iteration stopped early does the same at each scale, bit by bit.
_SCALES = (2.0**-20, 2.0**20)


@check(applies=is_linear, since="0.2")
def pinv_is_the_pseudo_inverse(subject: Subject) -> None:
    """`A A⁺A = A`, `A⁺A` is an orthogonal projection, and `A⁺y` a least-squares solution; where it is exact."""
    operator = subject.build()
    if getattr(operator, "direct_inversion", False):
        raise NotPromised("its pinv is the field's direct inversion (direct_inversion = True)")
    x = lopsided(operator.domain)
    y = operator(x)
    back = operator.pinv(y)
    left = norms(operator(back) - y) / norms(y)
    at_most(float(left.max()), _ITERATIVE, f"‖A A⁺A x − A x‖/‖A x‖ of {subject.label}, for smooth images x")
    outside = (inner(x - back, back) / norms(x).square()).abs()
    at_most(float(outside.max()), _ITERATIVE, f"<x − A⁺A x, A⁺A x>/‖x‖² of {subject.label}: pinv has the smallest norm")
    noisy = y + 0.1 * size_of(y) / size_of(like(y, 4)) * like(y, 4)
    slope = operator.adjoint(operator(operator.pinv(noisy)) - noisy)
    at_most(
        float((norms(slope) / norms(operator.adjoint(noisy))).max()),
        10 * _ITERATIVE,
        f"‖A*(A A⁺y − y)‖/‖A*y‖ of {subject.label}, for y outside the range",
    )


@check(applies=is_linear, since="0.2")
def direct_inversion_images_truly(subject: Subject) -> None:
    """Direct inversion gives smooth images at their scale and place, as far as the data determine them."""
    operator = subject.build()
    if not getattr(operator, "direct_inversion", False):
        raise NotPromised("its pinv is the pseudo-inverse")
    x = lopsided(operator.domain)
    y = operator(x)
    found, best = operator.pinv(y), least_squares(operator, y, limit=30)
    missing = float((norms(best - x) / norms(x)).max())
    factor = inner(found, x) / inner(found, found)
    at_most(
        float((factor - 1).abs().max()),
        0.05 + 6 * missing,
        f"pinv of {subject.label} must image in its unit; the best factor for it ({float(factor[0]):.3g}) less 1",
    )
    left = norms(operator(found) - y) / norms(y)
    at_most(float(left.max()), 0.06 + 4 * missing, f"‖A pinv(y) − y‖/‖y‖ of {subject.label} for smooth images")


@check(applies=is_linear, since="0.2")
def pinv_is_pure_linear_and_samplewise(subject: Subject) -> None:
    """`pinv` treats samples alone, scales with the measurement, and gives in float32 what it gives in float64."""
    operator = subject.build()
    y = operator(lopsided(operator.domain))
    found = operator.pinv(y)
    each_sample_alone(f"pinv of {subject.label}", operator.pinv, y, 1e-7)
    for scale in _SCALES:
        at_most(relative(operator.pinv(scale * y), scale * found), 1e-7, f"pinv of {subject.label} at scale {scale:g}")
    rough = subject.build(torch.float32).pinv(single(y))
    that(rough.dtype.to_real() == torch.float32, f"pinv of {subject.label} turns float32 into {rough.dtype}")
    again = operator(rough.to(found.dtype))
    at_most(relative(again, operator(found)), 1e-2, f"pinv of {subject.label} must explain the same data in float32")


@check(applies=is_linear, since="0.2")
def solve_normal_takes_shift_zero(subject: Subject) -> None:
    """`A*A solve_normal(b, 0) = b` for `b` in the range of `A*`; in float32 the result is finite."""
    operator = subject.build()
    b = operator.adjoint(operator(lopsided(operator.domain)))
    x = operator.solve_normal(b, 0.0)
    rough = subject.build(torch.float32).solve_normal(single(b), 0.0)
    for found in (x, rough):
        that(bool(torch.isfinite(found).all()), f"{subject.label}.solve_normal with shift 0 gives values not finite")
    at_most(
        size_of(operator.gram(x) - b) / size_of(b), 1e-4, f"the residual of {subject.label}.solve_normal with shift 0"
    )


@check(applies=is_linear, since="0.2")
def solve_normal_keeps_precision(subject: Subject) -> None:
    """In float32 it solves as it does in float64, at every scale of the right-hand side."""
    double, rough_operator = subject.build(), subject.build(torch.float32)
    b = normal(double.domain)
    shift = 0.1 * double.norm() ** 2 or 1.0
    exact = double.solve_normal(b, shift)
    rough = rough_operator.solve_normal(single(b), shift)
    that(rough.dtype.to_real() == torch.float32, f"{subject.label}.solve_normal turns float32 into {rough.dtype}")
    at_most(relative(rough, exact), 1e-3, f"{subject.label}.solve_normal must give the same in float32 as in float64")
    each_sample_alone(f"{subject.label}.solve_normal", lambda part: double.solve_normal(part, shift), b, 1e-8)
    for scale in _SCALES:
        found = double.solve_normal(scale * b, shift)
        at_most(relative(found, scale * exact), 1e-8, f"{subject.label}.solve_normal at scale {scale:g}")
    large = double.solve_normal(b, 1e6 * shift)
    at_most(relative(1e6 * shift * large, b), 1e-4, f"{subject.label}.solve_normal with a very large shift, times it")


@check(applies=is_linear, since="0.2")
def solve_normal_is_differentiable(subject: Subject) -> None:
    """Its derivative is that of the exact solution, `(A*A + s)⁻¹v` in `b` and `−<(A*A + s)⁻¹v, x>` in each shift."""
    operator = subject.build()
    b, v = normal(operator.domain), normal(operator.domain, seed=3)
    shift = (operator.norm() ** 2 or 1.0) * torch.tensor([0.05, 0.2, 1.0], dtype=torch.float64)
    point, steered = b.clone().requires_grad_(), shift.clone().requires_grad_()
    x = operator.solve_normal(point, steered)
    in_rhs, in_shift = torch.autograd.grad(x, (point, steered), v)
    expected = operator.solve_normal(v, shift)
    at_most(relative(in_rhs, expected), 1e-6, f"the derivative of {subject.label}.solve_normal in its right-hand side")
    of_shift = -inner(expected, x.detach())
    at_most(relative(in_shift, of_shift), 1e-6, f"the derivative of {subject.label}.solve_normal in its shift")


CHECKS = (
    pinv_is_the_pseudo_inverse,
    direct_inversion_images_truly,
    pinv_is_pure_linear_and_samplewise,
    solve_normal_takes_shift_zero,
    solve_normal_keeps_precision,
    solve_normal_is_differentiable,
)
