"""Phantoms and random images: exact pixels, published laws, determinism."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from wellposed.dataset import Dataset, generator_of
from wellposed.errors import InputError
from wellposed_physics.datasets import textures
from wellposed_physics.datasets.ellipses import LAWS, Ellipses
from wellposed_physics.datasets.rendering import render_ellipses
from wellposed_physics.datasets.shepp_logan import ELLIPSES, SheppLogan
from wellposed_physics.datasets.skimage_images import FILES, SkimageImages
from wellposed_physics.datasets.textures import Textures


def brute_force(ellipses: Tensor, size: int) -> Tensor:
    """Every pixel asked about every ellipse."""
    x = torch.linspace(-1, 1, size, dtype=torch.float64)
    y = -x[:, None]
    image = torch.zeros(size, size, dtype=torch.float64)
    for value, a, b, cx, cy, angle in ellipses.tolist():
        u = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
        v = (y - cy) * math.cos(angle) - (x - cx) * math.sin(angle)
        image += value * ((u / a) ** 2 + (v / b) ** 2 <= 1).double()
    return image


# Ellipses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 33, 64, 129])
@pytest.mark.parametrize("name", LAWS)
def test_rendering_is_exact_in_every_pixel(size: int, name: str) -> None:
    for index in range(6):
        table = LAWS[name].draw(generator_of(7, index))
        torch.testing.assert_close(render_ellipses(table, size), brute_force(table, size), rtol=0, atol=1e-9)


def test_rendering_leaves_nothing_behind_where_ellipses_end() -> None:
    table = LAWS["learned-gradient"].draw(generator_of(0, 0))
    both = torch.cat([table, table * torch.tensor([-1.0, 1, 1, 1, 1, 1])])
    assert bool((render_ellipses(both, 50) == 0).all())


def test_ellipses_beyond_the_border_and_thin_ones() -> None:
    table = torch.tensor([[1.0, 1e-9, 3.0, 0.0, 0.0, 0.3], [2.0, 5.0, 5.0, 1.0, 1.0, 0.0], [1, 0.1, 0.1, 7, 7, 0]])
    table = table.double()
    torch.testing.assert_close(render_ellipses(table, 41), brute_force(table, 41))


def test_the_shepp_logan_phantom_is_odls() -> None:
    image = SheppLogan()[0].truth
    assert image is not None
    assert image.shape == (1, 128, 128)
    assert image.dtype == torch.float32
    assert float(image.double().sum()) == pytest.approx(1992.5, abs=1e-3)
    assert (float(image.min()), float(image.max())) == (0.0, 1.0)
    torch.testing.assert_close(image[0].double(), brute_force(torch.tensor(ELLIPSES), 128), rtol=0, atol=1e-7)
    # Upright: the large gray ellipse is in the upper half, the small ones in the lower.
    assert float(image[0, 42, 64]) == pytest.approx(0.3)
    assert float(image[0, 102, 64]) == pytest.approx(0.3)
    assert len(SheppLogan(size=64, length=5)) == 5


def test_the_published_laws() -> None:
    for name, count, centre, positive in (
        ("learned-gradient", 100, 0.5, 0.7),
        ("learned-primal-dual", 50, 1.0, 0.5),
    ):
        tables = [LAWS[name].draw(generator_of(1, i)) for i in range(300)]
        counts = torch.tensor([len(t) for t in tables], dtype=torch.float64)
        assert float(counts.mean()) == pytest.approx(count, rel=0.03)
        assert float(counts.var()) == pytest.approx(count, rel=0.3)
        table = torch.cat(tables)
        value, a, b, cx, cy, angle = table.unbind(1)
        assert float((value > 0).double().mean()) == pytest.approx(positive, abs=0.02)
        contrast = 0.3 if name == "learned-gradient" else 0.4
        shift = 1 - positive
        # E|U − s| = (s² + (1 − s)²)/2, independent of the exponential factor
        assert float(value.abs().mean()) == pytest.approx(contrast * (shift**2 + positive**2) / 2, rel=0.05)
        for axis in (a, b):
            assert float(axis.mean()) == pytest.approx(0.2, rel=0.05)
            assert float(axis.std()) == pytest.approx(0.2, rel=0.05)
        for coordinate in (cx, cy):
            assert float(coordinate.abs().max()) <= centre
            assert float(coordinate.std()) == pytest.approx(centre / math.sqrt(3), rel=0.05)
        assert 0 <= float(angle.min()) < float(angle.max()) < 2 * math.pi
        assert float(angle.mean()) == pytest.approx(math.pi, rel=0.05)


# All random datasets ------------------------------------------------------------------------------


RANDOM = [
    lambda seed: Ellipses(24, seed=seed, length=5),
    lambda seed: Ellipses(24, seed=seed, length=5, distribution="learned-primal-dual"),
    lambda seed: Textures(24, seed=seed, length=5),
]


@pytest.mark.parametrize("make", RANDOM)
def test_images_depend_on_seed_and_index_alone(make: object) -> None:
    dataset: Dataset = make(0)  # type: ignore[operator]
    forward = [dataset[i].truth for i in range(5)]
    again: Dataset = make(0)  # type: ignore[operator]
    for i in reversed(range(5)):
        assert torch.equal(again[i].truth, forward[i])  # type: ignore[arg-type]
    assert not torch.equal(forward[0], forward[1])  # type: ignore[arg-type]
    assert not torch.equal(make(1)[0].truth, forward[0])  # type: ignore[operator]
    assert torch.equal(dataset[-1].truth, forward[4])  # type: ignore[arg-type]
    for image in forward:
        assert image is not None
        assert image.shape == (1, 24, 24)
        assert image.dtype == torch.float32
    with pytest.raises(IndexError, match="holds 5 samples"):
        dataset[5]


def test_textures_fill_the_unit_interval_with_edges_and_texture() -> None:
    for i in range(5):
        image = Textures(64)[i].truth
        assert image is not None
        assert (float(image.min()), float(image.max())) == (0.0, 1.0)
        steps = image.diff(dim=-1).abs().flatten()
        # Few large steps at the edges, small ones elsewhere.
        assert float(steps.quantile(0.5)) < 0.05 < float(steps.max())


def test_bad_arguments_are_told() -> None:
    for make in (
        lambda: SheppLogan(size=1),
        lambda: Ellipses(length=0),
        lambda: Textures(size=4),
        lambda: Textures(leaves=0),
    ):
        with pytest.raises(InputError, match="was given"):
            make()
    with pytest.raises(InputError, match="knows the distributions learned-gradient, learned-primal-dual"):
        Ellipses(distribution="gauss")  # type: ignore[arg-type]


# scikit-image -------------------------------------------------------------------------------------


def test_all_bundled_photographs_can_be_read() -> None:
    dataset = SkimageImages(size=16)
    assert len(dataset) == len(FILES)
    for i in range(len(dataset)):
        image = dataset[i].truth
        assert image is not None
        assert image.shape == (1, 16, 16)
        assert 0 <= float(image.min()) < float(image.max()) <= 1


def test_photographs_are_scikit_images() -> None:
    import skimage.color
    import skimage.data

    dataset = SkimageImages(["coffee", "camera"])
    coffee, camera = dataset[0], dataset[1]
    assert coffee.name == "coffee"
    expected = torch.from_numpy(skimage.color.rgb2gray(skimage.data.coffee())).float()[None]
    torch.testing.assert_close(coffee.truth, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(camera.truth, torch.from_numpy(skimage.data.camera())[None] / 255)
    colour = SkimageImages(["coffee"], grayscale=False)[0].truth
    assert colour is not None
    assert colour.shape == (3, 400, 600)
    with pytest.raises(InputError, match=r"no image \['lena'\]; it has astronaut"):
        SkimageImages(["lena"])


def leaf_covers(u: Tensor, size: int) -> Tensor:
    """Whether the leaf that the numbers `u` describe covers each pixel, from its inequalities."""
    sides = textures._SIDES
    line = (2 * torch.arange(size) + 1) / size - 1
    x, y = line[None, :] - (2.4 * u[1] - 1.2), line[:, None] - (2.4 * u[2] - 1.2)
    small, large = textures._SMALLEST**-2, textures._LARGEST**-2
    radius = (small - u[0] * (small - large)) ** -0.5
    if u[5] < 0.5:
        angles = (torch.arange(sides) + u[6 : 6 + sides]) * 2 * math.pi / sides
        reach = radius * (0.6 + 0.4 * u[6 + sides :])
        return torch.stack([x * a.cos() + y * a.sin() <= d for a, d in zip(angles, reach, strict=True)]).all(0)
    turn = math.pi * u[4]
    along, across = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    return (along / radius) ** 2 + (across / (radius * (0.3 + 0.7 * u[3]))) ** 2 <= 1


def test_the_leaf_that_fell_last_lies_on_top() -> None:
    """Every pixel asked about every leaf; pixels at rims may round either way."""
    for index in range(4):
        top = textures._topmost(12, 48, generator_of(3, index))
        u = torch.rand((12, 6 + 2 * textures._SIDES), generator=generator_of(3, index))
        expected = torch.zeros(48, 48, dtype=torch.long)
        for number in range(12):
            expected[leaf_covers(u[number], 48)] = number + 1
        assert float((top != expected).double().mean()) < 2e-3
        assert len(top.unique()) > 3


def test_sizes_of_leaves_follow_the_law_of_dead_leaves() -> None:
    """`P(r) ∝ r⁻³` between the smallest and the largest radius: `r⁻²` is uniform."""
    u = torch.linspace(0, 1, 5)
    small, large = textures._SMALLEST**-2, textures._LARGEST**-2
    radius = (small - u * (small - large)).rsqrt()
    assert float(radius[0]) == pytest.approx(textures._SMALLEST)
    assert float(radius[-1]) == pytest.approx(textures._LARGEST)


def test_textures_have_unit_variance_and_a_spectrum_of_their_slope() -> None:
    fields = torch.stack([textures._textures(64, generator_of(0, i)) for i in range(30)])
    torch.testing.assert_close(fields.mean((2, 3)), torch.zeros(30, len(textures._SLOPES)), atol=1e-5, rtol=0)
    torch.testing.assert_close(fields.std((2, 3)), torch.ones(30, len(textures._SLOPES)))
    power = torch.fft.rfft2(fields).abs().square().mean(0)
    frequency = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.rfftfreq(64))
    inside = (frequency > 0.05) & (frequency < 0.4)
    for spectrum, slope in zip(power, textures._SLOPES, strict=True):
        x, y = frequency[inside].log(), spectrum[inside].log()
        fitted = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
        assert float(fitted) == pytest.approx(-2 * slope, abs=0.15)


def test_pixels_are_centred_in_the_square() -> None:
    line, column = textures._grid(4)
    assert line.tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert column.shape == (4, 1)


@pytest.mark.parametrize("found", [None, SimpleNamespace(submodule_search_locations=None)])
def test_without_scikit_image_the_command_that_helps_is_said(found: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    with pytest.raises(InputError, match="pip install scikit-image"):
        SkimageImages(["camera"])[0]
