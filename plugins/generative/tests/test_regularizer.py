"""The generative regularizer, and the descent on image and latent vector."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from wellposed import Problem, Stop, component, solve
from wellposed.errors import CompositionError, InputError, ShapeError
from wellposed.recipes import build
from wellposed.testing.doubles import PeriodicBlur, QuadraticFidelity
from wellposed_generative.iterations.variable_projection import VariableProjection
from wellposed_generative.latent import minimise
from wellposed_generative.networks.diagonal_covariance import DiagonalCovariance
from wellposed_generative.networks.identity_covariance import IdentityCovariance
from wellposed_generative.networks.sparse_cholesky import SparseCholesky
from wellposed_generative.networks.vae_covariance import VaeCovariance
from wellposed_generative.regularizers.generative_gaussian import GenerativeGaussian

Make = Callable[..., VaeCovariance]
COVARIANCES = [SparseCholesky(2), DiagonalCovariance(), IdentityCovariance()]


def images(model: VaeCovariance, count: int = 2) -> Tensor:
    with torch.no_grad():
        return model.sample(count, torch.Generator().manual_seed(4))


@pytest.mark.parametrize("covariance", COVARIANCES, ids=lambda c: type(c).__name__)
def test_the_value_is_a_minimum_over_z(model: Make, covariance: torch.nn.Module) -> None:
    """No random vector near or far is better, and the gradient in `z` vanishes."""
    generative = model(covariance=covariance)
    regularizer = GenerativeGaussian(generative)
    u = images(generative)
    z = regularizer.latent(u).requires_grad_()
    value = regularizer.joint(u, z)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    value = value.detach()
    assert float(gradient.norm()) <= 1e-5 * float(value.abs().sum())
    assert torch.allclose(regularizer(u), value)
    for size in (1e-3, 1e-1, 1.0):
        for seed in range(5):
            step = size * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=z.dtype)
            assert bool((regularizer.joint(u, z + step) >= value - 1e-9 * value.abs()).all())


@pytest.mark.parametrize("covariance", COVARIANCES, ids=lambda c: type(c).__name__)
def test_the_gradient_is_differentiated_with_the_z_that_follows_the_image(
    model: Make, covariance: torch.nn.Module
) -> None:
    """Unrolled and implicit gradients take `∇R` apart once more; a `z` held fixed would be wrong by its own size."""
    generative = model(covariance=covariance)
    regularizer = GenerativeGaussian(generative)
    u = images(generative)
    latent = torch.zeros(2, 3, dtype=u.dtype)
    along = torch.autograd.functional.jvp(generative.mean, latent, torch.ones_like(latent))[1].detach()
    for v in (along, torch.randn(u.shape, generator=torch.Generator().manual_seed(2), dtype=u.dtype)):
        x = u.clone().requires_grad_()
        (product,) = torch.autograd.grad(regularizer.grad(x), x, v)
        h = 1e-4
        expected = (regularizer.grad(u + h * v) - regularizer.grad(u - h * v)).detach() / (2 * h)
        assert float((product - expected).norm()) < 1e-4 * float(expected.norm())


def test_with_the_identity_it_is_the_soft_distance(model: Make) -> None:
    """`‖u − μ(z)‖²/(2s²) + n log s + ω/2 ‖z‖²`, term by term."""
    generative = model(covariance=IdentityCovariance(initial_std=0.2))
    regularizer = GenerativeGaussian(generative, latent_weight=3.0)
    u, z = images(generative), torch.randn(2, 3, dtype=torch.float64)
    distance = (u - generative.mean(z)).square().flatten(1).sum(1)
    logarithm = 256 * torch.log(torch.tensor(0.2, dtype=torch.float64))
    expected = distance / (2 * 0.2**2) + logarithm + 1.5 * z.square().sum(1)
    assert torch.allclose(regularizer.joint(u, z), expected, rtol=1e-6)


def test_complex_images_are_two_channels(model: Make) -> None:
    generative = model(covariance=SparseCholesky(1, channels=2), channels=2)
    regularizer = GenerativeGaussian(generative)
    u = images(generative)
    x = torch.complex(u[:, :1], u[:, 1:])
    assert torch.allclose(regularizer(x), regularizer(u))
    assert torch.allclose(regularizer.grad(x), torch.complex(*regularizer.grad(u).chunk(2, 1)))
    with pytest.raises(ShapeError, match="count as"):
        regularizer(x[..., :8])
    with pytest.raises(InputError, match="latent_weight"):
        GenerativeGaussian(generative, latent_weight=-1.0)


def test_bfgs_finds_the_minimum_of_badly_scaled_functions() -> None:
    """A quadratic of condition 1e6 and Rosenbrock's valley, in one batch each, to rounding."""
    scales = torch.logspace(0, 6, 8, dtype=torch.float64)
    centre = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def quadratic(z: Tensor) -> Tensor:
        return 0.5 * (scales * (z - centre).square()).sum(1)

    found = minimise(quadratic, torch.zeros_like(centre), 200)
    assert float((found - centre).abs().max()) < 1e-6
    assert float(quadratic(found).max()) < 1e-10

    def rosenbrock(z: Tensor) -> Tensor:
        return (1 - z[:, 0]).square() + 100 * (z[:, 1] - z[:, 0].square()).square()

    start = torch.tensor([[-1.2, 1.0], [2.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    found = minimise(rosenbrock, start, 200)
    assert float((found - 1).abs().max()) < 1e-6


def problem(generative: VaeCovariance, weight: float = 0.1) -> Problem:
    operator = PeriodicBlur((1, 16, 16)).double()
    y = operator(images(generative, 3))
    y = y + 0.05 * torch.randn(y.shape, generator=torch.Generator().manual_seed(6), dtype=y.dtype)
    return Problem(operator, y, QuadraticFidelity(), weight * GenerativeGaussian(generative))


@pytest.mark.parametrize("covariance", COVARIANCES, ids=lambda c: type(c).__name__)
def test_the_joint_objective_never_rises(model: Make, covariance: torch.nn.Module) -> None:
    """For every sample and every start, at every step; and it ends where both gradients vanish."""
    generative = model(covariance=covariance)
    posed = problem(generative)
    iteration = VariableProjection(starts=2, image_steps=60)
    state = iteration.init(posed)
    begun = gradients(posed, iteration.estimate(state), state.latent[:, 0])
    for _ in range(60):
        after = iteration.step(posed, state)
        assert bool((after.objective <= state.objective + 1e-10 * state.objective.abs()).all())
        state = after
    best = state.objective.argmin(1)
    assert torch.equal(iteration.estimate(state), state.image[torch.arange(3), best])
    by_image, by_latent = gradients(posed, iteration.estimate(state), state.latent[torch.arange(3), best])
    assert by_image < 1e-3 * begun[0]
    assert by_latent < 1e-3 * begun[1]


def gradients(posed: Problem, u: Tensor, z: Tensor) -> tuple[float, float]:
    """Norms of the gradients of the joint objective, in the image and in the latent vector."""
    u, z = u.detach().requires_grad_(), z.detach().requires_grad_()
    regularizer = posed.regularizer.regularizer  # type: ignore[attr-defined]
    total = (posed.data_value(u) + posed.regularizer.weight * regularizer.joint(u, z)).sum()  # type: ignore
    return tuple(float(g.norm()) for g in torch.autograd.grad(total, (u, z)))  # type: ignore[return-value]


def test_each_latent_vector_is_decoded_once_in_a_step(model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    generative = model()
    decoded: list[Tensor] = []
    original = generative.mean_decoder.forward
    monkeypatch.setattr(generative.mean_decoder, "forward", lambda z: decoded.append(z.detach()) or original(z))
    posed, iteration = problem(generative), VariableProjection()
    state = iteration.init(posed)
    for _ in range(3):
        decoded.clear()
        state = iteration.step(posed, state)
        assert not any(torch.equal(a, b) for a, b in combinations(decoded, 2))


def test_for_a_fixed_z_the_image_is_that_of_dense_algebra(model: Make) -> None:
    """The image step solves `(A*A + λ L Lᵀ) u = A*y + λ L Lᵀ μ`."""
    generative = model()
    posed = problem(generative)
    iteration = VariableProjection(image_steps=2000)
    state = iteration.init(posed)
    z = state.latent[:, 0]
    factor, mean = generative.factor(z), generative.mean(z)
    eye = torch.eye(256, dtype=torch.float64).reshape(256, 1, 16, 16)
    gram = posed.operator.gram(eye).reshape(256, 256)  # type: ignore[attr-defined]
    x = iteration._image_step(posed, state.image[:, 0], generative.given(z)).detach()
    for i in range(3):
        wide = generative.factor(z[i : i + 1].expand(256, -1))
        matrix = gram + 0.1 * wide.precision(eye).reshape(256, 256)
        rhs = posed.operator.adjoint(posed.measurement) + 0.1 * factor.precision(mean)  # type: ignore[attr-defined]
        exact = torch.linalg.solve(matrix, rhs[i].reshape(-1))
        assert float((x[i].reshape(-1) - exact).norm() / exact.norm()) < 1e-9


def test_more_starts_are_never_worse(model: Make) -> None:
    generative = model()
    posed = problem(generative)
    one, five = VariableProjection(starts=1), VariableProjection(starts=5)
    first, best = one.init(posed), five.init(posed)
    for _ in range(15):
        first, best = one.step(posed, first), five.step(posed, best)
    assert torch.allclose(best.objective[:, 0], first.objective[:, 0])
    assert bool((best.objective.amin(1) <= first.objective[:, 0] + 1e-9).all())


def test_it_runs_in_the_driver_and_improves_on_the_measurement(model: Make) -> None:
    generative = model()
    posed = problem(generative, 1e-3)
    truth = images(generative, 3)
    solution = solve(posed, VariableProjection(), stop=Stop(30))
    error = (solution.x - truth).flatten(1).norm(dim=1)
    assert bool((error < 0.8 * (posed.measurement - truth).flatten(1).norm(dim=1)).all())


def test_what_does_not_fit_is_refused(model: Make) -> None:
    generative = model()
    posed = problem(generative)
    tikhonov = component("regularizers", "tikhonov")() if _installed() else None
    if tikhonov is not None:
        with pytest.raises(CompositionError, match="generative-gaussian"):
            VariableProjection().check(Problem(posed.operator, posed.measurement, posed.fidelity, tikhonov))
    other = VaeCovariance((8, 8), latent=2, width=4).double()
    with pytest.raises(CompositionError, match="the model of generative-gaussian"):
        VariableProjection().check(
            Problem(posed.operator, posed.measurement, posed.fidelity, GenerativeGaussian(other))
        )
    with pytest.raises(InputError, match="starts ≥ 1"):
        VariableProjection(starts=0)


def test_a_recipe_names_the_whole_of_it() -> None:
    node = {"use": "vae-covariance", "shape": [16, 16], "latent": 2, "width": 4, "covariance": "diagonal-covariance"}
    built = build("regularizers", {"use": "generative-gaussian", "model": node, "weight": 0.3})
    assert built.weight == 0.3
    assert isinstance(built.regularizer.model.covariance, DiagonalCovariance)


def _installed() -> bool:
    try:
        component("regularizers", "tikhonov")
    except InputError:
        return False
    return True
