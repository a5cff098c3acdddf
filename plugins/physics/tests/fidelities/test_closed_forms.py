"""Every closed form of every fidelity against brute force, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wellposed.errors import CapabilityMissing, InputError, ShapeError
from wellposed.fidelity import Fidelity
from wellposed_physics.fidelities.kullback_leibler import KullbackLeibler
from wellposed_physics.fidelities.l1 import L1
from wellposed_physics.fidelities.l2 import L2
from wellposed_physics.fidelities.transmission import Transmission
from wellposed_physics.fidelities.weighted_transmission import WeightedTransmission

B, SHAPE = 3, (1, 4, 5)


def numbers(low: float, high: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(B, *SHAPE, generator=generator, dtype=torch.float64)


WEIGHTS = numbers(0.2, 3.0, 9)[0]
COUNTS = torch.floor(numbers(0, 5, 2))


def kl(gain: float, background: float | Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    def value(w: Tensor, y: Tensor) -> Tensor:
        u = w + background
        return torch.where(u >= 0, gain * (u - torch.xlogy(y, u)), torch.inf)

    return value


def quadratic_counts(w: Tensor, y: Tensor) -> Tensor:
    return 15 * torch.exp(-y) * (w - y) ** 2


# name: fidelity, v, y, and its value in each bin, up to a constant, as the literature writes it
CASES: dict[str, tuple[Fidelity, Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]] = {
    "l2": (L2(0.7), numbers(-2, 2, 0), numbers(-2, 2, 1), lambda w, y: 0.35 * (w - y) ** 2),
    "l2-bins": (L2(WEIGHTS), numbers(-2, 2, 0), numbers(-2, 2, 1), lambda w, y: WEIGHTS / 2 * (w - y) ** 2),
    "l1": (L1(0.7), numbers(-2, 2, 0), numbers(-2, 2, 1), lambda w, y: 0.7 * (w - y).abs()),
    "l1-bins": (
        L1(WEIGHTS[:, :1]),
        numbers(-2, 2, 0),
        numbers(-2, 2, 1),
        lambda w, y: WEIGHTS[:, :1] * (w - y).abs(),
    ),
    "kl": (KullbackLeibler(), numbers(0.1, 6, 0), COUNTS, kl(1.0, 0.0)),
    "kl-gain": (KullbackLeibler(4.0, 0.3), numbers(0.1, 6, 0), COUNTS / 4, kl(4.0, 0.3)),
    "kl-bins": (KullbackLeibler(2.0, WEIGHTS), numbers(0.1, 6, 0), COUNTS, kl(2.0, WEIGHTS)),
    "transmission": (
        Transmission(30.0),
        numbers(0, 3, 0),
        numbers(0, 3, 1),
        lambda w, y: 30 * torch.exp(-w) + 30 * torch.exp(-y) * w,
    ),
    "weighted": (WeightedTransmission(30.0), numbers(0, 3, 0), numbers(0, 3, 1), quadratic_counts),
    "weighted-background": (
        WeightedTransmission(30.0, 4.0),
        numbers(0, 3, 0),
        numbers(0, 3, 1),
        lambda w, y: quadratic_counts(w, y) * 30 * torch.exp(-y) / (30 * torch.exp(-y) + 4),
    ),
}
cases = pytest.mark.parametrize("name", CASES)
smooth = pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("l1")])


def minimise(objective: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Golden-section search of a convex function in every entry, to the 1e-8 that values can resolve."""
    ratio = (5**0.5 - 1) / 2
    for _ in range(70):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        shrink_right = objective(left) < objective(right)
        high, low = torch.where(shrink_right, right, high), torch.where(shrink_right, low, left)
    return (low + high) / 2


@cases
@pytest.mark.parametrize("step", [0.05, 0.8, 6.0])
def test_prox_minimises_its_objective(name: str, step: float) -> None:
    fidelity, v, y, value = CASES[name]
    if name.startswith("kl"):
        v = v - 3  # also from outside of the domain
    brute = minimise(lambda w: step * value(w, y) + 0.5 * (w - v).square(), torch.full_like(v, -12), v + 40)
    torch.testing.assert_close(fidelity.prox(v, y, step), brute, atol=3e-7, rtol=0)


@cases
def test_values_are_the_literatures_up_to_a_constant(name: str) -> None:
    fidelity, v, y, value = CASES[name]
    other = v + numbers(0, 1, 8)
    expected = (value(other, y) - value(v, y)).flatten(1).sum(1)
    torch.testing.assert_close(fidelity(other, y) - fidelity(v, y), expected, atol=1e-11, rtol=1e-11)


@cases
@pytest.mark.parametrize("step", [0.05, 0.8, 6.0])
def test_moreau_identity(name: str, step: float) -> None:
    fidelity, v, y, _ = CASES[name]
    whole = fidelity.prox(v, y, step) + step * fidelity.prox_conjugate(v / step, y, 1 / step)
    torch.testing.assert_close(whole, v, atol=1e-12, rtol=1e-12)


@smooth
def test_gradient_is_the_derivative_of_the_value(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    point = v.clone().requires_grad_()
    (auto,) = torch.autograd.grad(fidelity(point, y).sum(), point)
    torch.testing.assert_close(fidelity.gradient(v, y), auto, atol=1e-11, rtol=1e-11)
    direction, h = numbers(-1, 1, 5), 1e-6
    difference = (fidelity(v + h * direction, y) - fidelity(v - h * direction, y)) / (2 * h)
    expected = (fidelity.gradient(v, y) * direction).flatten(1).sum(1)
    torch.testing.assert_close(difference, expected, atol=1e-6, rtol=1e-6)


@smooth
def test_conjugate_is_fenchels(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    p = fidelity.gradient(v, y)
    conjugate = fidelity.conjugate(p, y)
    assert conjugate is not None
    # Equality in the Fenchel-Young inequality exactly at the gradient.
    torch.testing.assert_close(fidelity(v, y) + conjugate, (v * p).flatten(1).sum(1), atol=1e-10, rtol=1e-11)
    for seed in range(5):
        other = v + 0.5 * (numbers(0, 1, 20 + seed) if name.startswith("kl") else numbers(-1, 1, 20 + seed))
        assert bool((fidelity(other, y) + conjugate >= (other * p).flatten(1).sum(1) - 1e-10).all())


@cases
def test_prox_of_the_conjugate_minimises_its_objective(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    step = 0.6
    q = fidelity.prox_conjugate(v, y, step)

    def objective(w: Tensor) -> Tensor:
        conjugate = fidelity.conjugate(w, y)
        assert conjugate is not None
        return step * conjugate + 0.5 * (w - v).flatten(1).square().sum(1)

    best = objective(q)
    assert bool(torch.isfinite(best).all())
    for seed in range(20):
        for size in (1e-1, 1e-3):
            moved = q + size * numbers(-1, 1, 40 + seed)
            assert bool((objective(moved) >= best - 1e-12 * best.abs()).all())


def test_l1_conjugate_is_finite_in_the_ball_only() -> None:
    fidelity, v, y, _ = CASES["l1"]
    p = v.clamp(-0.7, 0.7)
    torch.testing.assert_close(fidelity.conjugate(p, y), (p * y).flatten(1).sum(1))
    p[1, 0, 0, 0] = 0.71
    assert torch.isinf(fidelity.conjugate(p, y)).tolist() == [False, True, False]


@cases
def test_steps_may_differ_from_sample_to_sample(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    steps = torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    for function in (fidelity.prox, fidelity.prox_conjugate):
        together = function(v, y, steps)
        for i, step in enumerate(steps.tolist()):
            torch.testing.assert_close(together[i : i + 1], function(v[i : i + 1], y[i : i + 1], step))


@smooth
def test_proximal_maps_have_derivatives(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    v, y = v[:1, :, :1].clone().requires_grad_(), (y[:1, :, :1] + 0.1).requires_grad_()
    if name.endswith("bins"):
        v, y = v.detach().expand(1, *SHAPE).clone().requires_grad_(), y.detach().expand(1, *SHAPE).clone()
    assert torch.autograd.gradcheck(lambda a, b: fidelity.prox(a, b, 0.7), (v, y), atol=1e-6)


@smooth
def test_smoothness_and_strong_convexity_bound_the_curvature(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    other = v.abs() + numbers(0, 2, 7)
    v = v.abs()
    change, slope = other - v, fidelity.gradient(other, y) - fidelity.gradient(v, y)
    along = (change * slope).flatten(1).sum(1)
    length = change.flatten(1).square().sum(1)
    assert bool((along >= fidelity.strong_convexity(y) * length * (1 - 1e-12)).all())
    constant = fidelity.smoothness(y)
    if constant is None:
        assert name == "kl"
        return
    bound = torch.as_tensor(constant, dtype=torch.float64).reshape(-1, 1, 1, 1)
    assert bool((slope.abs() <= bound * change.abs() * (1 + 1e-12)).all())


@cases
def test_values_are_zero_at_the_measurement_and_positive_elsewhere(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    zero = y - fidelity.background(y) if isinstance(fidelity, KullbackLeibler) else y
    torch.testing.assert_close(fidelity(zero, y), torch.zeros(B, dtype=torch.float64), atol=1e-14, rtol=0)
    assert bool((fidelity(v, y) > 0).all())


@cases
def test_nothing_is_modified_and_single_precision_stays(name: str) -> None:
    fidelity, v, y, _ = CASES[name]
    v32, y32 = v.float(), y.float()
    kept = v32.clone(), y32.clone()
    for result in (
        fidelity(v32, y32),
        fidelity.gradient(v32, y32),
        fidelity.prox(v32, y32, 0.3),
        fidelity.prox_conjugate(v32, y32, 0.3),
    ):
        assert result.dtype == torch.float32
    torch.testing.assert_close(fidelity.prox(v32, y32, 0.3).double(), fidelity.prox(v, y, 0.3), atol=2e-6, rtol=2e-6)
    assert torch.equal(v32, kept[0])
    assert torch.equal(y32, kept[1])


# Complex measurements -----------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", [L2(0.7), L2(WEIGHTS), L1(0.7), L1(WEIGHTS)])
def test_complex_measurements(fidelity: Fidelity) -> None:
    v = torch.complex(numbers(-2, 2, 0), numbers(-2, 2, 3))
    y = torch.complex(numbers(-2, 2, 1), numbers(-2, 2, 4))
    step = 0.9
    w = fidelity.prox(v, y, step)

    def objective(u: Tensor) -> Tensor:
        return step * fidelity(u, y) + 0.5 * (u - v).abs().square().flatten(1).sum(1)

    for seed in range(20):
        moved = w + 1e-3 * torch.complex(numbers(-1, 1, 50 + seed), numbers(-1, 1, 80 + seed))
        assert bool((objective(moved) > objective(w)).all())
    whole = w + step * fidelity.prox_conjugate(v / step, y, 1 / step)
    torch.testing.assert_close(whole, v, atol=1e-13, rtol=0)
    point = v.clone().requires_grad_()
    (auto,) = torch.autograd.grad(fidelity(point, y).sum(), point)
    torch.testing.assert_close(fidelity.gradient(v, y), auto)
    p = fidelity.gradient(v, y)
    conjugate = fidelity.conjugate(p, y)
    torch.testing.assert_close(fidelity(v, y) + conjugate, (v.conj() * p).real.flatten(1).sum(1))


# Ranges of numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-15), (torch.float32, 5e-7)])
def test_transmission_prox_is_exact_over_seventeen_decades_of_counts(dtype: torch.dtype, tolerance: float) -> None:
    magnitude = torch.logspace(-8, 1.7, 120, dtype=torch.float64)
    excess = torch.cat([-magnitude, torch.zeros(1, dtype=torch.float64), magnitude])
    t = torch.logspace(-8, 9, 80, dtype=torch.float64)
    e = excess.expand(len(t), -1).to(dtype)
    root = Transmission(1.0).prox(e, torch.zeros_like(e), t.to(dtype))
    assert root.dtype == dtype
    # The residual of the equation in units of its slope is the distance to the root.
    e, t, d = e.double(), t.to(dtype).double()[:, None], root.double()
    distance = (d - e - t * torch.expm1(-d)) / (1 + t * torch.exp(-d))
    assert float((distance.abs() / d.abs().clamp_min(1e-30)).max()) < tolerance
    assert bool(((d >= e.clamp(max=0)) & (d <= e.clamp(min=0))).all())


def test_kl_keeps_its_digits_at_large_counts() -> None:
    y = torch.full((1, 1), 1e7)
    v = y + 3000.0
    exact = (v.double() - y.double() + y.double() * torch.log(y.double() / v.double())).sum(1)
    torch.testing.assert_close(KullbackLeibler()(v, y).double(), exact, rtol=1e-3, atol=0)


def test_kl_outside_its_domain_is_infinite_and_empty_bins_count_nothing() -> None:
    v, y = (
        torch.tensor([[-0.5, 1.0], [0.0, 1.0], [0.0, 1.0]]),
        torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]]),
    )
    assert KullbackLeibler()(v, y).tolist() == [float("inf"), float("inf"), 0.0]
    point = torch.tensor([[2.0, 1.0]], requires_grad=True)
    KullbackLeibler()(point, torch.tensor([[0.0, 1.0]])).sum().backward()
    assert point.grad is not None
    assert point.grad.tolist() == [[1.0, 0.0]]


# Background of transmission -----------------------------------------------------------------------


def test_transmission_with_background_has_value_and_gradient_only() -> None:
    fidelity, y = Transmission(30.0, 4.0), numbers(0, 3, 1)
    assert not fidelity.convex
    v = numbers(0, 3, 0).requires_grad_()
    m, n = 30 * torch.exp(-v) + 4, 30 * torch.exp(-y) + 4
    expected = (m - n * torch.log(m) - n + n * torch.log(n)).flatten(1).sum(1)
    torch.testing.assert_close(fidelity(v, y), expected, atol=1e-11, rtol=1e-11)
    (auto,) = torch.autograd.grad(fidelity(v, y).sum(), v)
    torch.testing.assert_close(fidelity.gradient(v, y), auto)
    with pytest.raises(CapabilityMissing, match="weighted-transmission"):
        fidelity.prox(v, y, 1.0)
    assert fidelity.conjugate(v, y) is None


def test_the_weighted_form_is_the_second_order_expansion() -> None:
    y, direction = numbers(0, 3, 1), numbers(-1, 1, 3)
    for background in (0.0, 4.0):
        exact, quadratic = Transmission(30.0, background), WeightedTransmission(30.0, background)
        gaps = [(exact(y + h * direction, y) / quadratic(y + h * direction, y) - 1).abs() for h in (1e-2, 1e-3)]
        assert bool((gaps[1] < 0.2 * gaps[0]).all())


# Weights and bad input ----------------------------------------------------------------------------


def test_weights_of_samples_are_taken_with_them() -> None:
    weights = numbers(0.1, 2, 6)
    fidelity, v, y = L2.of_samples(weights), numbers(-1, 1, 0), numbers(-1, 1, 1)
    index = torch.tensor([2, 0])
    torch.testing.assert_close(fidelity.take(index)(v[index], y[index]), fidelity(v, y)[index])
    torch.testing.assert_close(fidelity.smoothness(y), weights.flatten(1).amax(1))
    torch.testing.assert_close(L2(weights[0]).take(index)(v[index], y[index]), L2(weights[0])(v, y)[index])
    assert fidelity.float().weight(v).dtype == torch.float64  # the precision of what it is multiplied with


def test_a_learned_weight_gets_its_gradient() -> None:
    weight = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    fidelity = L2(weight)
    assert list(fidelity.parameters()) == [weight]
    fidelity.prox(numbers(-1, 1, 0), numbers(-1, 1, 1), 0.5).sum().backward()
    assert weight.grad is not None
    assert float(weight.grad) != 0


def test_bad_input_is_told() -> None:
    y = numbers(-1, 2, 0)
    for make in (
        lambda: L2(-1.0),
        lambda: L1(float("nan")),
        lambda: KullbackLeibler(0.0),
        lambda: Transmission(0.0),
    ):
        with pytest.raises(InputError):
            make()
    with pytest.raises(InputError, match="finite and ≥ 0"):
        L2(torch.tensor([1.0, -1.0]))
    with pytest.raises(ShapeError, match=r"weight has shape \(7,\) and the measurement \(1, 4, 5\)"):
        L2(torch.ones(7)).check(y)
    with pytest.raises(InputError, match=rf"{int((y < 0).sum())} values of the measurement are negative"):
        KullbackLeibler().check(y)
    for fidelity in (KullbackLeibler(), Transmission(10.0), WeightedTransmission(10.0)):
        fidelity.check(y.abs())
        with pytest.raises(InputError, match="complex"):
            fidelity.check(torch.complex(y, y))


@pytest.mark.parametrize("background", [0.0, WEIGHTS, WEIGHTS * (WEIGHTS > 1.0)], ids=["none", "bins", "some zero"])
def test_kullback_leibler_is_smooth_only_where_every_bin_has_a_background(background: float | Tensor) -> None:
    """`g max y/b²` bounds the second derivative `g y/(v + b)²` for `v ≥ 0`; one bin without background is enough."""
    fidelity = KullbackLeibler(2.0, background)
    constant = fidelity.smoothness(COUNTS)
    if not isinstance(background, Tensor) or not bool((background > 0).all()):
        assert constant is None
        return
    expected = (2.0 * COUNTS / background**2).flatten(1).amax(1)
    torch.testing.assert_close(constant, expected)
    v = torch.zeros_like(COUNTS).requires_grad_()
    (second,) = torch.autograd.grad(fidelity.gradient(v, COUNTS).sum(), v)
    torch.testing.assert_close(second.flatten(1).amax(1), expected)


def test_values_at_the_ends_of_their_domains() -> None:
    """`D` and `D*` where a count is 0 and where the prediction or `1 − p/g` is."""
    y = torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0]], dtype=torch.float64)
    zero = torch.zeros_like(y)
    assert KullbackLeibler(3.0)(zero, y).tolist() == [0.0, float("inf"), float("inf")]
    p = torch.full_like(y, 3.0)
    assert KullbackLeibler(3.0).conjugate(p, y).tolist() == [0.0, float("inf"), float("inf")]
    assert KullbackLeibler(3.0).conjugate(p + 1e-9, 0 * y).tolist() == [float("inf")] * 3
    assert KullbackLeibler(3.0)(zero - 1e-9, 0 * y).tolist() == [float("inf")] * 3
