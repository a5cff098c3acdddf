"""Beer-Lambert and emission: values, derivatives, bounds, direct inversions."""

from __future__ import annotations

import math

import pytest
import torch

from wellposed.errors import InputError, ShapeError
from wellposed.pattern import Pattern
from wellposed_physics.ct.beer_lambert import BeerLambert
from wellposed_physics.ct.emission import Emission
from wellposed_physics.ct.parallel_beam import ParallelBeam


@pytest.fixture
def beam() -> ParallelBeam:
    return ParallelBeam((16, 16), 11).double()


def image(seed: int = 0, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def data(operator, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *operator.range.shape, dtype=torch.float64, generator=generator)


def check_derivative(operator) -> None:
    """`vjp` against central differences and against automatic differentiation."""
    x, h, v = image(), image(2), data(operator)
    step = 1e-5
    difference = (operator(x + step * h) - operator(x - step * h)) / (2 * step)
    torch.testing.assert_close((operator.vjp(x, v) * h).sum(), (difference * v).sum(), rtol=1e-7, atol=1e-9)
    point = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(operator(point), point, v)
    torch.testing.assert_close(operator.vjp(x, v), grad)


def largest_slope(operator, x: torch.Tensor) -> float:
    """`‖F'(x)‖` from the whole Jacobian."""
    jacobian = torch.autograd.functional.jacobian(operator, x[:1])
    return float(torch.linalg.matrix_norm(jacobian.reshape(operator.range.size, -1), 2))


def test_beer_lambert_is_the_exponential_of_the_integrals(beam):
    operator = BeerLambert(beam, mu=0.3)
    torch.testing.assert_close(operator(image()), torch.exp(-0.3 * beam(image())))
    check_derivative(operator)


def test_beer_lambert_bound_holds_for_nonnegative_images_and_is_reached_at_zero(beam):
    operator = BeerLambert(beam, mu=0.3)
    assert largest_slope(operator, image()) <= operator.norm()
    assert largest_slope(operator, 0 * image()) == pytest.approx(operator.norm(), rel=2e-3)


def test_beer_lambert_linearized_undoes_the_exponential(beam):
    operator = BeerLambert(beam, mu=0.3)
    y = operator(image())
    torch.testing.assert_close(operator.linearized(y), beam(image()))
    torch.testing.assert_close(operator.pinv(y), beam.pinv(beam(image())))
    assert torch.isfinite(operator.pinv(0 * y)).all()


def test_beer_lambert_refuses_bad_input(beam):
    with pytest.raises(InputError, match="positive"):
        BeerLambert(beam, mu=0.0)
    with pytest.raises(ShapeError):
        BeerLambert(beam)(torch.zeros(1, 1, 8, 8, dtype=torch.float64))


def test_emission_attenuates_and_adds_the_background(beam):
    attenuation = torch.rand(11, beam.geometry.bins)
    operator = Emission(beam, attenuation, background=0.25)
    torch.testing.assert_close(operator(image()), attenuation.double() * beam(image()) + 0.25)
    check_derivative(operator)
    torch.testing.assert_close(operator.pinv(operator(image())), beam.pinv(beam(image())))


def test_emission_bound_holds_everywhere(beam):
    operator = Emission(beam, torch.rand(11, beam.geometry.bins), 1.0)
    assert largest_slope(operator, image()) <= operator.norm()


def test_emission_from_an_attenuation_map(beam):
    density = 0.05 * image()[0]
    operator = Emission.from_attenuation_map(beam, density, background=0.1)
    torch.testing.assert_close(operator.attenuation, torch.exp(-beam(density[None]))[0])


def test_emission_takes_patterns(beam):
    class Ramp(Pattern):
        def __call__(self, shape):
            return torch.linspace(0, 1, shape[-1]).expand(shape)

    operator = Emission(beam, Ramp())
    assert operator.attenuation.shape == beam.range.shape[1:]
    dead = operator.pinv(operator(image()))
    assert torch.isfinite(dead).all()


def test_emission_moves_with_its_precision():
    operator = Emission(ParallelBeam((16, 16), 11), 0.5, 0.1)
    assert operator(image().float()).dtype == torch.float32
    assert operator.double()(image()).dtype == torch.float64
    assert operator.state_dict() == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"attenuation": torch.ones(3, 3)}, "does not fit"),
        ({"attenuation": -0.1}, "not negative"),
        ({"background": math.nan}, "finite"),
    ],
)
def test_emission_refuses_bad_input(beam, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Emission(beam, **arguments)


@pytest.mark.parametrize("name", ["attenuation", "background"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_one_bin_that_is_negative_or_not_finite_is_refused(name: str, value: float) -> None:
    operator = ParallelBeam((8, 8), 4)
    field = torch.ones(operator.range.shape)
    Emission(operator, **{name: field})
    field.view(-1)[5] = value
    with pytest.raises(InputError, match=f"{name} must be finite and not negative"):
        Emission(operator, **{name: field})
    with pytest.raises(InputError, match=f"{name} of shape .* does not fit"):
        Emission(operator, **{name: torch.ones(3, 3)})
