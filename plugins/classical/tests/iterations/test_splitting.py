"""PDHG and ADMM: closed forms, each other, optimality conditions, gaps and bounds, invariance to scales."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wellposed import CompositionError, InputError, Problem, Stop, Verdict, solve
from wellposed.recipes.builder import construct
from wellposed.registry import component
from wellposed.space import norm
from wellposed.stopping import CertifiedAccuracy, DualityGap, RelativeChange
from wellposed.testing.doubles import SaturatingOperator
from wellposed_classical.iterations.admm import ADMM
from wellposed_classical.iterations.balance import trust
from wellposed_classical.iterations.fista import FISTA
from wellposed_classical.iterations.pdhg import PDHG
from wellposed_classical.regularizers.box import Box, Nonnegativity
from wellposed_classical.regularizers.l1 import L1Norm
from wellposed_classical.regularizers.smoothed_total_variation import SmoothedTotalVariation
from wellposed_classical.regularizers.tikhonov import Tikhonov
from wellposed_classical.regularizers.total_variation import TotalVariation

BOTH = pytest.mark.parametrize("iteration", [PDHG(), ADMM(), PDHG(0.3, relaxation=1.0), ADMM(0.5)])
ADAPTIVE = pytest.mark.parametrize("iteration", [PDHG(), ADMM()])


def two_pixels(y, weight):
    """`argmin ½‖x − y‖² + weight·|x_1 − x_0|` of images with two pixels."""
    mean, half = y.mean(-1, keepdim=True), (y[..., 1:] - y[..., :1]) / 2
    half = torch.sign(half) * (half.abs() - weight).clamp_min(0)
    return torch.cat([mean - half, mean + half], dim=-1)


@BOTH
def test_total_variation_of_two_pixels(dense, normal, fidelity, iteration) -> None:
    # A = 1: the quadratic is part of PDHG's primal function and ADMM's step is a cosine transform.
    y = 2 * normal(4, 2)
    operator = dense(torch.eye(2, dtype=torch.float64), (1, 2))
    x = solve(Problem(operator, y, fidelity("l2"), 0.4 * TotalVariation()), iteration, stop=Stop(200)).x
    torch.testing.assert_close(x[:, 0], two_pixels(y, 0.4), rtol=1e-8, atol=1e-8)


@BOTH
def test_isometries_act_as_the_identity_does(dense, normal, fidelity, iteration) -> None:
    rotation, y = torch.linalg.qr(normal(2, 2)).Q, 2 * normal(4, 2, seed=1)
    problem = Problem(dense(2 * rotation, (1, 2)), y, fidelity("l2", weight=0.5), 0.4 * TotalVariation())
    x = solve(problem, iteration, stop=Stop(200)).x
    # ½·½‖2Qx − y‖² = ½·2‖x − Q*y/2‖².
    torch.testing.assert_close(x[:, 0], two_pixels(y @ rotation / 2, 0.2), rtol=1e-8, atol=1e-8)


@BOTH
def test_lasso_fulfils_its_optimality_conditions(dense, normal, fidelity, iteration) -> None:
    problem = Problem(dense(normal(12, 8)), normal(3, 12, seed=1), fidelity("l2"), 0.8 * L1Norm())
    x = solve(problem, iteration, stop=Stop(300)).x
    slope = problem.data_gradient(x)
    torch.testing.assert_close(x, torch.sgn(x - slope) * ((x - slope).abs() - 0.8).clamp_min(0), atol=1e-7, rtol=1e-7)
    if isinstance(iteration, ADMM):
        assert bool((x == 0).any())  # the estimate is the split variable, which is sparse


@BOTH
@pytest.mark.parametrize("name", ["l2", "l1", "kullback-leibler"])
def test_both_agree_for_every_fidelity(dense, normal, fidelity, iteration, name) -> None:
    matrix = torch.eye(9, dtype=torch.float64) + 0.15 * normal(9, 9).abs()
    y = matrix @ normal(9, 3, seed=1).abs() + 0.1 * normal(9, 3, seed=2).abs()
    regularizer = 0.2 * TotalVariation() + Nonnegativity()
    problem = Problem(dense(matrix, (1, 3, 3)), y.mT, fidelity(name), regularizer)
    reference = solve(problem, PDHG(), stop=Stop(500)).x
    x = solve(problem, iteration, stop=Stop(200)).x
    # ℓ1 fits and total variation have flat minima: the objective is what must agree, and ℓ1 is slow.
    tolerance = 1e-2 if name == "l1" else 1e-4
    torch.testing.assert_close(problem.objective(x), problem.objective(reference), rtol=tolerance, atol=1e-5)
    assert bool((x >= 0).all())


@ADAPTIVE
def test_least_squares_without_a_regularizer(dense, normal, fidelity, iteration) -> None:
    matrix, y = normal(9, 5), normal(2, 9, seed=1)
    x = solve(Problem(dense(matrix), y, fidelity("l2")), iteration, stop=Stop(300)).x
    torch.testing.assert_close(x[:, 0], torch.linalg.lstsq(matrix, y.mT).solution.mT, rtol=1e-7, atol=1e-7)


@ADAPTIVE
def test_complex_images(dense, normal, fidelity, iteration) -> None:
    matrix = normal(12, 9, dtype=torch.complex128)
    problem = Problem(
        dense(matrix, (1, 3, 3)),
        normal(2, 12, dtype=torch.complex128, seed=1),
        fidelity("l2"),
        TotalVariation(),
    )
    x = solve(problem, iteration, stop=Stop(200)).x
    reference = solve(problem, FISTA(), stop=Stop(100)).x  # total variation's own proximal map
    assert x.is_complex()
    torch.testing.assert_close(problem.objective(x), problem.objective(reference), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["identity", "convolution", "inpainting", "fourier"])
def test_admm_uses_closed_forms_of_operators(normal, fidelity, name) -> None:
    cls = component("operators", name)
    operator = construct(cls, next(iter(cls.examples()))).double()
    y = operator(operator.domain.randn(2, torch.Generator().manual_seed(0), torch.float64))
    problem = Problem(operator, y, fidelity("l2"), 0.3 * L1Norm())
    first, second = solve(problem, ADMM(), stop=Stop(100)).x, solve(problem, FISTA(), stop=Stop(300)).x
    torch.testing.assert_close(problem.objective(first), problem.objective(second), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("regularizer", "exact"),
    [
        (0.3 * TotalVariation() + 0.2 * Tikhonov(), True),
        (0.3 * TotalVariation() + Box(-0.5, 0.7), True),
        (0.3 * TotalVariation() + Nonnegativity(), False),
        (0.3 * TotalVariation(), False),
    ],
)
@pytest.mark.parametrize("name", ["l2", "l1"])
def test_duality_gap_bounds_the_suboptimality(dense, normal, fidelity, regularizer, exact, name) -> None:
    operator = dense(torch.eye(9, dtype=torch.float64) + 0.2 * normal(9, 9), (1, 3, 3))
    problem = Problem(operator, normal(60, 9, seed=9), fidelity(name), regularizer)
    best = solve(problem, PDHG(), stop=Stop(800)).x
    minimum = problem.objective(best)
    iteration = PDHG()
    state = iteration.init(problem)
    for count in range(1, 161):
        state = iteration.step(problem, state)
        if count % 10 == 0:
            known = {} if exact else {"radius": float(1.2 * norm(best).max())}
            gap = iteration.duality_gap(problem, state, **known)
            excess = problem.objective(state.image) - minimum
            assert bool((gap >= excess - 1e-9).all())
            # Without a radius a gap is a gap over the whole space, here infinite or that of the dual point 0.
            bare = iteration.duality_gap(problem, state)
            assert bool((bare >= excess - 1e-9).all())
    assert float((gap / minimum).max()) < 0.1
    assert iteration.has_duality_gap(problem) is exact
    assert iteration.has_duality_gap(problem, radius=1.0)


def test_error_bound_holds_where_the_primal_function_is_strongly_convex(dense, normal, fidelity) -> None:
    rotation = torch.linalg.qr(normal(9, 9)).Q
    problems = [
        Problem(dense(rotation, (1, 3, 3), isometry=1.0), normal(30, 9), fidelity("l2"), 0.3 * TotalVariation()),
        Problem(dense(normal(6, 9), (1, 3, 3)), normal(30, 6), fidelity("l2"), TotalVariation() + Tikhonov()),
    ]
    for problem in problems:
        iteration = PDHG()
        exact = solve(problem, iteration, stop=Stop(600)).x
        state = iteration.init(problem)
        for count in range(1, 101):
            state = iteration.step(problem, state)
            if count % 10 == 0:
                assert bool((iteration.error_bound(problem, state) >= norm(state.image - exact) - 1e-10).all())
        asked = solve(problem, iteration, stop=Stop(6000, [CertifiedAccuracy(1e-4)], every=10))
        assert bool((norm(asked.require() - exact) <= 1e-4).all())
    bare = Problem(dense(normal(6, 9), (1, 3, 3)), normal(2, 6), fidelity("l2"), TotalVariation())
    assert iteration.error_bound(bare, iteration.init(bare)) is None


@ADAPTIVE
def test_scales_of_operator_image_and_objective_do_not_matter(dense, normal, fidelity, iteration) -> None:
    matrix, y = normal(12, 9), normal(2, 12, seed=1)

    def image(size, operator_scale, objective):
        weight = objective / (operator_scale * size) ** 2
        regularizer = (0.3 * objective / size) * TotalVariation()
        problem = Problem(
            dense(operator_scale * matrix, (1, 3, 3)),
            operator_scale * size * y,
            fidelity("l2", weight=weight),
            regularizer,
        )
        return solve(problem, iteration, stop=Stop(60)).x / size

    reference = image(1.0, 1.0, 1.0)
    for scales in ((100.0, 1.0, 1.0), (1.0, 0.01, 1.0), (1.0, 1.0, 50.0), (30.0, 20.0, 0.1)):
        torch.testing.assert_close(image(*scales), reference, rtol=1e-5, atol=1e-5)


def test_steps_are_as_long_as_the_joint_norm_allows(dense, normal, fidelity) -> None:
    # A sees one half of the space, the identity the other more strongly: the joint norm is that of one block.
    matrix = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    problem = Problem(dense(matrix), normal(1, 4), fidelity("l2"), L1Norm() + Nonnegativity())
    iteration = PDHG()
    blocks = matrix.mT @ matrix + torch.eye(4, dtype=torch.float64)
    joint = float(torch.linalg.eigvalsh(blocks)[-1])
    product = float(1 / iteration.init(problem).scales[0, 1])
    assert joint <= product <= 1.06 * joint


def test_balancing_comes_ever_more_rarely_and_weakly() -> None:
    due = [count for count in range(1, 5000) if trust(count) > 0]
    sizes = [trust(count) for count in due]
    assert due[:3] == [4, 9, 14]
    assert all(b - a <= d - c for a, b, c, d in zip(due[:-3], due[1:-2], due[2:-1], due[3:], strict=True))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.3


@pytest.mark.parametrize(
    ("iteration", "stationary"), [(PDHG(), False), (PDHG(0.1), True), (ADMM(), False), (ADMM(0.1), True)]
)
def test_only_given_steps_make_a_stationary_map(iteration, stationary) -> None:
    assert iteration.stationary is stationary


@ADAPTIVE
def test_relative_change_does_not_stop_before_the_image_moved(dense, normal, fidelity, iteration) -> None:
    # The first image is zero, as the start is: a large threshold keeps it there for a while.
    problem = Problem(dense(normal(12, 8)), 5 * normal(1, 12, seed=1), fidelity("l2"), 3.0 * L1Norm())
    solution = solve(problem, iteration, stop=Stop(3000, [RelativeChange(1e-7)]))
    reference = solve(problem, FISTA(), stop=Stop(500)).x
    torch.testing.assert_close(solution.require(), reference, rtol=1e-4, atol=1e-4)
    assert float(norm(reference)) > 0


def test_duality_gap_stops_the_driver(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(12, 8)), normal(3, 12), fidelity("l2"), 0.1 * L1Norm() + Box(-2.0, 2.0))
    solution = solve(problem, PDHG(), stop=Stop(5000, [DualityGap(1e-6)], every=10))
    minimum = problem.objective(solve(problem, PDHG(), stop=Stop(1500)).x)
    assert bool((problem.objective(solution.require()) <= minimum * (1 + 1e-6)).all())


@BOTH
def test_what_cannot_be_split_or_is_not_linear_is_refused(dense, normal, fidelity, iteration) -> None:
    problem = Problem(dense(normal(6, 4), (1, 2, 2)), normal(1, 6), fidelity("l2"), SmoothedTotalVariation())
    with pytest.raises(CompositionError, match="needs a regularizer with split"):
        iteration.check(problem)
    operator = SaturatingOperator(normal(6, 4).tolist(), (1, 2, 2))
    with pytest.raises(CompositionError, match="is not linear"):
        iteration.check(Problem(operator, normal(1, 6), fidelity("l2"), TotalVariation()))


@pytest.mark.parametrize("make", [PDHG, ADMM])
def test_settings_are_checked(make) -> None:
    for relaxation in (0.0, 2.0, -1.0):
        with pytest.raises(InputError, match="between 0 and 2"):
            make(relaxation=relaxation)
    with pytest.raises(InputError, match="must be positive"):
        make(-1.0)
    with pytest.raises(InputError, match="one number"):
        make(nn.Parameter(torch.ones(3)))


def test_tiny_steps_from_zero_are_not_taken_for_converged(dense, normal, fidelity) -> None:
    problem = Problem(dense(normal(6, 4), (1, 2, 2)), normal(1, 6, seed=1), fidelity("l2"), 0.01 * TotalVariation())
    solution = solve(problem, PDHG(primal_step=1e-6), stop=Stop(30, [DualityGap(1e-3, radius=10.0)]))
    assert solution.verdict == (Verdict.ITERATION_LIMIT,)


def test_admm_does_not_walk_along_common_kernels_in_single_precision() -> None:
    """Neither the masked transform nor the gradient sees the mean; residuals of rounding would move it every step."""
    mask = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.4
    mask[0, 0] = mask[8, 8] = False
    operator = component("operators", "fourier")((16, 16), mask) @ component("operators", "complexify")((16, 16))
    image = torch.zeros(1, 1, 16, 16)
    image[..., 4:10, 5:12] = 100.0
    regularizer = 0.05 * component("regularizers", "tikhonov")("gradient")
    posed = Problem(operator, operator(image), component("fidelities", "l2")(), regularizer)
    solution = solve(posed, component("iterations", "admm")(), stop=Stop(600))
    assert abs(float(solution.x.mean())) < 1e-3
