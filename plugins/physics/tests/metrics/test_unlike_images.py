"""Metrics of batches in which one image is a special case, and summaries in which one number is."""

from __future__ import annotations

import math

import pytest
import torch

from wellposed.errors import InputError
from wellposed_physics.metrics.errors import NMSE, NMSEdB
from wellposed_physics.metrics.matthews import Matthews, otsu
from wellposed_physics.metrics.summary import Summary, summarize


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("place", [0, 2])
def test_one_truth_of_zero_has_no_relative_error(place: int) -> None:
    truth = images()
    truth[place] = 0
    with pytest.raises(InputError, match=f"the true image {place} is 0 everywhere"):
        NMSE()(images(), truth)


def test_energies_pool_the_errors_of_many_images() -> None:
    truth = images()
    x = truth + 0.1 * images(3).flip(0)
    values, weights = NMSEdB()(x, truth), NMSEdB().weight(truth)
    whole = 10 * math.log10(float((x - truth).square().sum() / truth.square().sum()))
    assert NMSEdB().pooled(values.tolist(), weights.tolist()) == pytest.approx(whole)
    assert NMSEdB().pooled([-math.inf], [1.0]) == -math.inf


def test_one_pixel_of_a_third_value_is_no_segmentation() -> None:
    truth = (images() > 0.5).double()
    x = images()
    assert Matthews()(x, truth).shape == (3,)
    truth[1, 0, 2, 3] = 0.3
    with pytest.raises(InputError, match="more than two different values"):
        Matthews()(x, truth)


def test_the_coefficient_of_each_image_is_that_of_its_counts() -> None:
    truth = (images() > 0.5).double()
    x = truth.clone()
    x[1] = 1 - x[1]
    x[2, 0, 0] = 1 - x[2, 0, 0]
    found = Matthews(threshold=0.5)(x, truth)
    assert found[:2].tolist() == [1.0, -1.0]
    a, b = x[2].flatten(), truth[2].flatten()
    expected = torch.corrcoef(torch.stack([a, b]))[0, 1]
    torch.testing.assert_close(found[2], expected)
    constant = torch.ones(1, 1, 4, 5, dtype=torch.float64)
    assert Matthews(threshold=0.5)(constant, truth[:1]).tolist() == [0.0]
    assert Matthews(threshold=0.5)(2 * truth[:1], 7 * truth[:1]).tolist() == [1.0]


def test_otsu_separates_two_clusters_of_each_row() -> None:
    rows = torch.tensor([[0.0, 0.1, 0.05, 0.9, 1.0], [5.0, 5.0, 9.0, 9.0, 9.0]], dtype=torch.float64)
    level = otsu(rows)
    assert 0.09 < float(level[0]) < 0.9  # the middle of a bin that holds 0.1
    assert 5.0 < float(level[1]) < 9.0
    skimage = pytest.importorskip("skimage.filters")
    noise = torch.rand(1, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) ** 2
    assert float(otsu(noise)[0]) == pytest.approx(skimage.threshold_otsu(noise.numpy()[0]), abs=1 / 256)


def test_a_summary_with_one_number_that_is_not_finite_says_so() -> None:
    finite = summarize([1.0, 2.0, 6.0])
    assert (finite.mean, finite.minimum, finite.maximum, finite.count) == (3.0, 1.0, 6.0, 3)
    assert finite.std == pytest.approx(7**0.5)
    infinite = summarize([1.0, math.inf])
    assert infinite.mean == math.inf
    assert math.isnan(infinite.std)
    both = summarize([math.inf, -math.inf, 1.0])
    assert math.isnan(both.mean)
    assert math.isnan(summarize(torch.tensor([1.0, math.nan])).mean)
    assert summarize(iter([4.0])) == Summary(4.0, 0.0, 4.0, 4.0, 1)
    with pytest.raises(InputError, match="no values"):
        summarize([])


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(28.4134, 0.3187, 0, 0, 5), "28.41 ± 0.32"),
        (Summary(28.4134, 31.87, 0, 0, 5), "28 ± 32"),
        (Summary(0.0123456, 0.000321, 0, 0, 5), "0.01235 ± 0.00032"),
        (Summary(28.4134, 0.3187, 0, 0, 1), "28.41"),
        (Summary(28.4134, 0.0, 0, 0, 5), "28.41"),
        (Summary(28.4134, math.nan, 0, 0, 5), "28.41"),
    ],
)
def test_digits_follow_the_spread(summary: Summary, text: str) -> None:
    assert str(summary) == text
