"""Total variation: value, proximal map against independent solvers, both engines, derivative, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from skimage.restoration import denoise_tv_chambolle

from wellposed import InputError, ShapeError
from wellposed.space import inner, norm
from wellposed_classical.inner_solvers.denoise import denoise
from wellposed_classical.inner_solvers.torch_engine import TorchEngine
from wellposed_classical.regularizers.total_variation import TotalVariation

ACCURATE = {"tolerance": 1e-11, "limit": 20000}


def randn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def camera(size: int = 24) -> torch.Tensor:
    """A noisy crop of the photograph, float64 in [0, 1]."""
    crop = torch.from_numpy(data.camera()[100 : 100 + size, 200 : 200 + size] / 255.0)
    return (crop + 0.1 * randn(size, size))[None, None]


def gradient_of(x: np.ndarray) -> np.ndarray:
    """Forward differences in NumPy, on purpose not those of the package."""
    g = np.zeros((2, *x.shape), x.dtype)
    g[0, :-1], g[1, :, :-1] = np.diff(x, axis=0), np.diff(x, axis=1)
    return g


def adjoint_of(p: np.ndarray) -> np.ndarray:
    x = np.zeros(p.shape[1:], p.dtype)
    x[:-1] -= p[0, :-1]
    x[1:] += p[0, :-1]
    x[:, :-1] -= p[1, :, :-1]
    x[:, 1:] += p[1, :, :-1]
    return x


def lengths_of(g: np.ndarray, isotropic: bool) -> np.ndarray:
    return np.sqrt((np.abs(g) ** 2).sum(0)) if isotropic else np.abs(g).sum(0)


def reference(y: np.ndarray, weight: float, isotropic: bool, iterations: int = 6000) -> tuple[np.ndarray, float]:
    """Fast gradient projection on the dual (Beck and Teboulle 2009): solution and its relative duality gap."""
    p = q = np.zeros((2, *y.shape), y.dtype)
    t = 1.0
    for _ in range(iterations):
        moved = q + gradient_of(y - adjoint_of(q)) / 8
        size = np.sqrt((np.abs(moved) ** 2).sum(0)) if isotropic else np.abs(moved)
        new = moved / np.maximum(1, size / weight)
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        if np.vdot(q - new, new - p).real > 0:
            t_new, q = 1.0, new
        else:
            q = new + (t - 1) / t_new * (new - p)
        p, t = new, t_new
    x = y - adjoint_of(p)
    g = gradient_of(x)
    primal = 0.5 * (np.abs(x - y) ** 2).sum() + weight * lengths_of(g, isotropic).sum()
    gap = weight * lengths_of(g, isotropic).sum() - np.vdot(p, g).real
    return x, gap / max(primal, 1e-300)


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_value_by_hand(isotropic: bool, dtype: torch.dtype) -> None:
    x = randn(2, 3, 5, 7, dtype=dtype)
    regularizer = TotalVariation("isotropic" if isotropic else "anisotropic")
    expected = [sum(lengths_of(gradient_of(c), isotropic).sum() for c in image.numpy()) for image in x]
    np.testing.assert_allclose(regularizer(x).numpy(), expected, rtol=1e-13)


def test_joint_channels_share_edges() -> None:
    edge = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    edge[..., 2:] = 1.0
    assert float(TotalVariation()(edge)) == pytest.approx(3 * 4)
    assert float(TotalVariation(channels="joint")(edge)) == pytest.approx(3**0.5 * 4)


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_prox_against_gradient_projection(isotropic: bool, dtype: torch.dtype) -> None:
    y = randn(1, 1, 12, 15, dtype=dtype)
    expected, gap = reference(y[0, 0].numpy(), 0.4, isotropic)
    assert gap < 1e-10
    regularizer = TotalVariation("isotropic" if isotropic else "anisotropic", **ACCURATE)
    np.testing.assert_allclose(regularizer.prox(y, 0.4)[0, 0].numpy(), expected, atol=1e-5)


def test_prox_against_scikit_image() -> None:
    y = camera()
    theirs = denoise_tv_chambolle(y[0, 0].numpy(), weight=0.1, eps=0, max_num_iter=20000)
    ours = TotalVariation(**ACCURATE).prox(y, 0.1)[0, 0].numpy()
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


def test_two_pixels_in_closed_form() -> None:
    """Of (a, b), a < b: both move by the weight towards each other, and meet at the mean."""
    y = torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(1, 1, 2)
    regularizer = TotalVariation(**ACCURATE)
    assert regularizer.prox(y, 0.2).flatten().tolist() == pytest.approx([0.2, 0.8], abs=1e-5)
    assert regularizer.prox(y, 0.7).flatten().tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def engines() -> list:
    try:
        from wellposed_classical.inner_solvers.numba_engine import NumbaEngine
    except ImportError:
        return [TorchEngine]
    return [TorchEngine, NumbaEngine]


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("coupling", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("shape", [(3, 1, 12, 15), (1, 1, 1, 6), (1, 1, 7, 1), (1, 1, 1, 1)])
def test_gap_is_a_certificate_for_each_engine(engine, coupling, shape) -> None:
    """The distance to the reference obeys `‖x − x*‖² ≤ 2·gap·objective`, and the gap is what was asked for."""
    y, weight = randn(*shape), torch.full((shape[0],), 0.4, dtype=torch.float64)
    solved = denoise(y, weight, coupling, tolerance=1e-4, engine=engine)
    assert bool((solved.gap <= 1e-4).all())
    for image, data_, gap in zip(solved.results[0], y, solved.gap, strict=True):
        x, z = image[0].numpy(), data_[0].numpy()
        expected, _ = reference(z, 0.4, coupling == "isotropic", 2000)
        isotropic = coupling == "isotropic"
        objective = 0.5 * ((x - z) ** 2).sum() + 0.4 * lengths_of(gradient_of(x), isotropic).sum()
        assert np.sum((x - expected) ** 2) <= 2 * float(gap) * objective * 1.01 + 1e-12


@pytest.mark.parametrize("coupling", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_engines_agree(coupling, dtype) -> None:
    if len(engines()) < 2:
        pytest.skip("Numba is not installed")
    y, weight = randn(3, 1, 33, 40).to(dtype), torch.tensor([0.05, 0.3, 1.0], dtype=dtype)
    ours, fast = (denoise(y, weight, coupling, 1e-5, 3000, engine=e) for e in engines())
    assert ours.iterations.tolist() == fast.iterations.tolist()
    digits = 1e-12 if dtype == torch.float64 else 2e-4
    assert float((ours.results[0] - fast.results[0]).abs().max()) < digits
    torch.testing.assert_close(ours.gap, fast.gap, rtol=1e-3, atol=1e-7)


def test_samples_are_solved_alone_with_their_own_steps() -> None:
    y, steps = randn(3, 2, 9, 8), torch.tensor([0.02, 0.3, 5.0], dtype=torch.float64)
    regularizer = TotalVariation(tolerance=1e-6)
    together = regularizer.prox(y, steps)
    for i in range(3):
        alone = regularizer.prox(y[i : i + 1], float(steps[i]))
        assert float((together[i : i + 1] - alone).abs().max()) < 1e-12


def test_scale_and_offset_do_not_matter() -> None:
    """`prox(c·y + b, c·s) = c·prox(y, s) + b`, also where a float32 gap must not lose its digits."""
    y = camera().float()
    plain = TotalVariation().prox(y, 0.1)
    moved = TotalVariation().prox(1e4 * y + 3e4, 1e3)
    assert float(((moved - 3e4) / 1e4 - plain).abs().max()) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_steps(dtype: torch.dtype) -> None:
    y = randn(1, 1, 6, 5).to(dtype)
    regularizer = TotalVariation()
    assert torch.equal(regularizer.prox(y, 0.0), y)
    torch.testing.assert_close(regularizer.prox(y, 1e-30), y, rtol=1e-6, atol=1e-6)
    flat = regularizer.prox(y, 1e30)
    torch.testing.assert_close(flat, y.mean().expand_as(y), rtol=0, atol=3e-3)
    constant = torch.full_like(y, 0.3)
    assert float((regularizer.prox(constant, 0.5) - constant).abs().max()) < 1e-6


def test_not_a_number_spoils_its_own_sample_alone() -> None:
    y = randn(2, 1, 6, 5)
    y[0, 0, 2, 2] = float("nan")
    u = TotalVariation().prox(y, 0.3)
    assert bool(u[0].isnan().all())
    torch.testing.assert_close(u[1:], TotalVariation().prox(y[1:], 0.3))


def test_complex_images_couple_their_parts() -> None:
    """A real image times a phase is denoised like the real image; joint channels likewise."""
    y = randn(1, 1, 8, 9)
    phase = torch.polar(torch.ones(()), torch.tensor(0.7)).to(torch.complex128)
    regularizer = TotalVariation(**ACCURATE)
    torch.testing.assert_close(regularizer.prox(phase * y, 0.3), phase * regularizer.prox(y, 0.3), rtol=0, atol=1e-5)
    joint = TotalVariation(channels="joint", **ACCURATE)
    pair = torch.cat([0.6 * y, 0.8 * y], 1)
    expected = torch.cat([0.6 * regularizer.prox(y, 0.3), 0.8 * regularizer.prox(y, 0.3)], 1)
    torch.testing.assert_close(joint.prox(pair, 0.3), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 20), (1, 2, 5, 6, 4)])
def test_prox_in_other_dimensions(shape: tuple[int, ...]) -> None:
    """Optimality: `p = (y − u)/s` is a subgradient, `<u, p> = R(u)` and `<v, p> ≤ R(v)`."""
    y, regularizer = randn(*shape), TotalVariation(**ACCURATE)
    u = regularizer.prox(y, 0.3)
    p = (y - u) / 0.3
    torch.testing.assert_close(inner(u, p), regularizer(u), rtol=1e-5, atol=0)
    for seed in range(5):
        v = randn(*shape, seed=seed + 1)
        assert float(inner(v, p)) <= float(regularizer(v)) * (1 + 1e-5)


@pytest.mark.parametrize("norm_", ["isotropic", "anisotropic"])
def test_prox_is_firmly_nonexpansive(norm_) -> None:
    x, z, regularizer = randn(3, 1, 9, 9), randn(3, 1, 9, 9, seed=1), TotalVariation(norm_, **ACCURATE)
    moved = regularizer.prox(x, 0.4) - regularizer.prox(z, 0.4)
    assert bool((norm(moved) ** 2 <= inner(moved, x - z) * (1 + 1e-9)).all())


def test_invariances_that_are_claimed_and_those_that_are_not() -> None:
    x = randn(1, 1, 8, 8)
    turned = torch.rot90(x, 1, (-2, -1))
    anisotropic, isotropic = TotalVariation("anisotropic"), TotalVariation()
    assert "c4" in anisotropic.invariances
    torch.testing.assert_close(anisotropic(turned), anisotropic(x), rtol=1e-13, atol=0)
    assert "c4" not in isotropic.invariances
    assert abs(float(isotropic(turned) - isotropic(x))) > 1e-3


@pytest.mark.parametrize("norm_", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_prox_is_differentiable(norm_, dtype) -> None:
    """Gradients with respect to image and step against central differences, 8 × 8."""
    regularizer = TotalVariation(norm_, tolerance=1e-12, limit=20000)
    y, h, v = (randn(2, 1, 8, 8, dtype=dtype, seed=k) for k in (3, 4, 5))
    step = torch.tensor([0.1, 0.3], dtype=torch.float64)
    point, learned = y.clone().requires_grad_(), step.clone().requires_grad_()
    inner(regularizer.prox(point, learned), v).sum().backward()
    assert point.grad is not None
    assert learned.grad is not None
    e = 1e-5
    along = inner(regularizer.prox(y + e * h, step) - regularizer.prox(y - e * h, step), v) / (2 * e)
    torch.testing.assert_close(inner(point.grad, h), along, rtol=1e-3, atol=1e-4)
    along = inner(regularizer.prox(y, step + e) - regularizer.prox(y, step - e), v) / (2 * e)
    torch.testing.assert_close(learned.grad, along, rtol=1e-3, atol=1e-3)


def test_learned_weight_gets_a_gradient() -> None:
    weight = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    (weight * TotalVariation(**ACCURATE)).prox(randn(1, 1, 5, 5), 1.0).square().sum().backward()
    assert weight.grad is not None
    assert float(weight.grad) < 0  # a larger weight flattens the image further


def test_value_differentiates_at_constant_images() -> None:
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(TotalVariation()(x).sum(), x)
    assert bool((gradient == 0).all())


def test_limit_is_told_and_arguments_are_checked() -> None:
    with pytest.warns(RuntimeWarning, match="stopped after 8 iterations"):
        TotalVariation(limit=8).prox(randn(1, 1, 16, 16), 3.0)
    with pytest.raises(InputError, match="tolerance"):
        TotalVariation(tolerance=0.0)
    with pytest.raises(InputError, match="limit"):
        TotalVariation(limit=0)
    with pytest.raises(InputError, match="must be ≥ 0"):
        TotalVariation().prox(randn(1, 1, 4, 4), -1.0)
    with pytest.raises(ShapeError, match="spatial axis"):
        TotalVariation().prox(randn(4, 4), 1.0)
    with pytest.raises(InputError, match="floating-point"):
        TotalVariation().prox(torch.ones(1, 1, 4, 4, dtype=torch.int64), 1.0)


def test_dual_functional_of_the_split() -> None:
    """Projection, indicator and value of the term agree: `g(p) = max <p, q>` over the unit balls."""
    x = randn(2, 3, 6, 6)
    for regularizer in (TotalVariation(), TotalVariation("anisotropic"), TotalVariation(channels="joint")):
        (term,) = regularizer.split()
        assert term.analysis is not None
        p = term.analysis(x)
        torch.testing.assert_close(term.functional(p), regularizer(x))
        q = term.functional.prox_conjugate(1e8 * p, 0.3)
        assert bool((term.functional.conjugate(q) == 0).all())
        torch.testing.assert_close(inner(p, q), regularizer(x), rtol=1e-6, atol=0)
        assert bool(torch.isinf(term.functional.conjugate(1.1 * q)).all())
