"""Datasets made from others: turned, selected and augmented images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed import Dataset, InputError, Sample, Simulated, component
from wellposed.dataset import generator_of
from wellposed.recipes import build
from wellposed.testing.doubles import Bumps
from wellposed_physics.datasets.augmented import Augmented
from wellposed_physics.datasets.rotated import Rotated, turned
from wellposed_physics.datasets.selection import Selection


def bumps(count: int = 6) -> Dataset:
    return Bumps(count=count, size=9)


def truth(data: Dataset, index: int) -> Tensor:
    image = data[index].truth
    assert image is not None
    return image


def test_quarter_turns_permute_the_pixels() -> None:
    data = Rotated(bumps(), [90, 180, 270, 360, -90])
    assert len(data) == 30
    for i, quarters in enumerate((1, 2, 3, 0, 3)):
        assert torch.equal(truth(data, 10 + i), truth(bumps(), 2).rot90(quarters, (-2, -1)))


def test_other_angles_turn_the_same_way() -> None:
    """Seen from nearly 90° the interpolated image is nearly the permuted one, and a smooth disk stays what it is."""
    image = truth(bumps(), 0)
    nearly = turned(image, 90 - 1e-3)
    torch.testing.assert_close(nearly[:, 1:-1, 1:-1], turned(image, 90)[:, 1:-1, 1:-1], atol=1e-3, rtol=0)
    place = torch.linspace(-1, 1, 65)
    disk = torch.exp(-8 * (place[:, None] ** 2 + place[None, :] ** 2))[None]
    torch.testing.assert_close(turned(disk, 33.0), disk, atol=5e-3, rtol=0)


def test_complex_images_turn_by_parts() -> None:
    image = torch.complex(truth(bumps(), 0), truth(bumps(), 1))
    both = turned(image, 20.0)
    torch.testing.assert_close(both, torch.complex(turned(image.real, 20.0), turned(image.imag, 20.0)))


def test_drawn_angles_depend_on_seed_and_index_alone() -> None:
    data, other = Rotated(bumps(), seed=3), Rotated(bumps(), seed=4)
    assert len(data) == 6
    last = truth(data, 5)
    assert torch.equal(truth(Rotated(bumps(), seed=3), 5), last)
    assert not torch.equal(truth(other, 5), last)


def test_samples_that_cannot_be_turned_get_a_sentence() -> None:
    class Oblong(Dataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            return Sample("wide", torch.zeros(1, 4, 5))

    with pytest.raises(InputError, match=r"wide has the shape \(1, 4, 5\)"):
        Rotated(Oblong())[0]
    identity = component("operators", "identity")([9, 9])
    with pytest.raises(InputError, match="no measurement"):
        Rotated(Simulated(bumps(), identity))[0]
    with pytest.raises(InputError, match="finite angles"):
        Rotated(bumps(), [])


def test_a_selection_keeps_samples_and_order() -> None:
    data = Selection(bumps(), first=1, count=2, step=3)
    assert len(data) == 2
    assert torch.equal(truth(data, 0), truth(bumps(), 1))
    assert torch.equal(truth(data, -1), truth(bumps(), 4))
    assert len(Selection(bumps(), first=4)) == 2
    with pytest.raises(IndexError):
        data[2]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"first": 6}, "none is left"),
        ({"count": 7}, "7 were asked for"),
        ({"first": -1}, "first ≥ 0"),
        ({"step": 0}, "step ≥ 1"),
        ({"count": 0}, "count ≥ 1"),
    ],
)
def test_selections_of_nothing_get_a_sentence(settings: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Selection(bumps(), **settings)


def test_augmented_images_are_moved_as_asked() -> None:
    phantom = build("datasets", {"use": "shepp-logan", "size": 32})
    plain = Augmented(phantom, length=3)
    assert torch.equal(plain[0].truth, phantom[0].truth)  # type: ignore[arg-type]
    assert plain[0].name != plain[1].name
    whole = phantom[0].truth
    flipped = Augmented(phantom, 20, flip=True)
    mirrored = [torch.allclose(flipped[i].truth, whole.flip(-1), atol=1e-5) for i in range(20)]  # type: ignore[arg-type]
    straight = [torch.allclose(flipped[i].truth, whole, atol=1e-5) for i in range(20)]  # type: ignore[arg-type]
    assert 4 < sum(mirrored) < 16
    assert sum(mirrored) + sum(straight) == 20
    moved = Augmented(phantom, 30, rotation=10.0, shift=0.1, scale=0.1, intensity=0.3, gamma=0.2, size=16, seed=3)
    totals = torch.stack([moved[i].truth.mean() for i in range(30)])  # type: ignore[union-attr]
    assert moved[4].truth.shape == (1, 16, 16)  # type: ignore[union-attr]
    assert 0.05 < float(totals.std() / totals.mean()) < 0.6

    class Disc(Dataset):
        """A disc in an image that is no square."""

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            rows, columns = torch.meshgrid(torch.arange(64.0) - 31.5, torch.arange(32.0) - 15.5, indexing="ij")
            return Sample("disc", (rows**2 + columns**2 < 100).float()[None])

    turned = Augmented(Disc(), 10, rotation=45.0)
    for i in range(10):
        inside = turned[i].truth[0] > 0.5  # type: ignore[index]
        assert abs(int(inside.any(0).sum()) - 20) <= 1, "a disc stays one"
        assert abs(int(inside.any(1).sum()) - 20) <= 1
    with pytest.raises(InputError, match="rotation and gamma"):
        Augmented(phantom, rotation=-1.0)


def test_a_selection_of_one() -> None:
    assert len(Selection(bumps(), first=5, count=1)) == 1
    assert torch.equal(truth(Selection(bumps(), first=5, count=1), 0), truth(bumps(), 5))


def test_drawn_angles_go_once_around_and_are_told() -> None:
    data = Rotated(bumps(200), seed=5)
    angles = []
    for i in range(200):
        u = float(torch.rand((), generator=generator_of(5, i), dtype=torch.float64))
        assert data[i].name.endswith(f" {360 * u:.0f}°")
        angles.append(360 * u)
    torch.testing.assert_close(truth(data, 7), turned(truth(bumps(200), 7), angles[7]))
    assert min(angles) < 20
    assert max(angles) > 340
