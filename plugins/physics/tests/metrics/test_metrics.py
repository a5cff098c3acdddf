"""Metrics against scikit-image, against their formulas, and on images that have no value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.filters
import skimage.metrics
import torch
from torch import Tensor

from wellposed.errors import InputError, ShapeError
from wellposed.metric import Metric
from wellposed_physics.metrics.errors import NMSE, NRMSE, NMSEdB, RelativeL2
from wellposed_physics.metrics.matthews import Matthews, otsu
from wellposed_physics.metrics.psnr import PSNR
from wellposed_physics.metrics.ssim import SSIM
from wellposed_physics.metrics.summary import summarize

ALL = [PSNR(), SSIM(), SSIM(window="uniform"), NMSE(), NMSEdB(), NRMSE(), RelativeL2()]


def pair(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(shape, generator=generator, dtype=torch.float64).cumsum(-1) / shape[-1]
    x = truth + 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return x.to(dtype), truth.to(dtype)


def per_image(function: object, x: Tensor, truth: Tensor) -> Tensor:
    values = [function(t.numpy(), i.numpy()) for i, t in zip(x, truth, strict=True)]  # type: ignore[operator]
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("data_range", [None, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(3, 1, 24, 31), (2, 3, 16, 16)])
def test_psnr_is_scikit_images(data_range: float | None, shape: tuple[int, ...]) -> None:
    x, truth = pair(*shape)

    def reference(t: np.ndarray, i: np.ndarray) -> float:
        return skimage.metrics.peak_signal_noise_ratio(t, i, data_range=data_range or t.max() - t.min())

    torch.testing.assert_close(PSNR(data_range)(x, truth), per_image(reference, x, truth), rtol=1e-12, atol=0)


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
@pytest.mark.parametrize("data_range", [None, 1.0, 2.0])
@pytest.mark.parametrize("shape", [(3, 1, 24, 31), (2, 3, 16, 16), (1, 1, 11, 11), (1, 2, 12, 14, 13)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ssim_is_scikit_images(
    window: str, data_range: float | None, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x, truth = pair(*shape, dtype=dtype)
    options: dict = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}

    def reference(t: np.ndarray, i: np.ndarray) -> float:
        return skimage.metrics.structural_similarity(
            t.astype(float),
            i.astype(float),
            data_range=data_range or float(t.max()) - float(t.min()),
            channel_axis=0,
            **(options if window == "gaussian" else {}),
        )

    value = SSIM(data_range, window)(x, truth)  # type: ignore[arg-type]
    torch.testing.assert_close(value, per_image(reference, x, truth), rtol=0, atol=1e-10)


def test_errors_are_their_formulas() -> None:
    x, truth = pair(4, 1, 9, 8)
    flat, true = x.flatten(1), truth.flatten(1)
    relative = torch.linalg.vector_norm(flat - true, dim=1) / torch.linalg.vector_norm(true, dim=1)
    torch.testing.assert_close(RelativeL2()(x, truth), relative)
    torch.testing.assert_close(NMSE()(x, truth), relative.square())
    rmse = (flat - true).square().mean(1).sqrt()
    torch.testing.assert_close(NRMSE()(x, truth), rmse / (true.amax(1) - true.amin(1)))
    for metric, name in ((RelativeL2(), "euclidean"), (NRMSE(), "min-max")):
        expected = per_image(lambda t, i, n=name: skimage.metrics.normalized_root_mse(t, i, normalization=n), x, truth)
        torch.testing.assert_close(metric(x, truth), expected)


def test_decibels_of_many_images_are_those_of_the_ratio_of_sums() -> None:
    x, truth = pair(4, 1, 5, 5)
    truth = truth * torch.tensor([1.0, 10.0, 0.1, 3.0], dtype=torch.float64).view(-1, 1, 1, 1)
    metric = NMSEdB()
    values, weights = metric(x, truth), metric.weight(truth)
    torch.testing.assert_close(values, 10 * NMSE()(x, truth).log10())
    expected = 10 * math.log10(float((x - truth).square().sum() / truth.square().sum()))
    assert metric.pooled(values.tolist(), weights.tolist()) == pytest.approx(expected, rel=1e-12)
    assert metric.pooled([-math.inf], [1.0]) == -math.inf


def test_complex_images_are_compared_as_stated() -> None:
    x, truth = pair(2, 1, 16, 16)
    turn = torch.exp(1j * torch.linspace(0, 6, 16, dtype=torch.float64))
    for metric in (PSNR(), SSIM(), NRMSE()):  # magnitudes: blind to phase
        torch.testing.assert_close(metric(x.abs() * turn, truth * turn.flip(0)), metric(x.abs(), truth))
    for metric in (NMSE(), RelativeL2()):  # complex difference
        torch.testing.assert_close(metric(x * turn, truth * turn), metric(x, truth))
        assert bool((metric(x * turn, truth * turn.flip(0)) > 2 * metric(x, truth)).all())


@pytest.mark.parametrize("metric", ALL, ids=lambda m: type(m).__name__)
def test_images_of_a_batch_do_not_touch_each_other(metric: Metric) -> None:
    x, truth = pair(3, 1, 16, 17)
    kept = x.clone(), truth.clone()
    whole = metric(x, truth)
    assert whole.shape == (3,)
    for i in range(3):
        torch.testing.assert_close(metric(x[i : i + 1], truth[i : i + 1])[0], whole[i])
    assert torch.equal(x, kept[0])
    assert torch.equal(truth, kept[1])


def test_the_perfect_image() -> None:
    _, truth = pair(2, 1, 16, 16)
    perfect = {PSNR: math.inf, SSIM: 1.0, NMSE: 0.0, NMSEdB: -math.inf, NRMSE: 0.0, RelativeL2: 0.0}
    for metric in ALL:
        torch.testing.assert_close(metric(truth, truth), torch.full((2,), perfect[type(metric)], dtype=torch.float64))


# Matthews -----------------------------------------------------------------------------------------


def test_otsu_is_scikit_images() -> None:
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((2, 900), generator=generator, dtype=torch.float64) + 3 * torch.randint(
            0, 2, (2, 900), generator=generator
        )
        expected = torch.tensor([skimage.filters.threshold_otsu(row.numpy()) for row in x], dtype=torch.float64)
        torch.testing.assert_close(otsu(x), expected, rtol=1e-9, atol=1e-12)


def test_matthews_is_the_correlation_of_two_segmentations() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand((3, 1, 12, 12), generator=generator) > 0.6).double()
    x = truth + 0.6 * torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    for threshold in (0.3, "otsu"):
        level = otsu(x.flatten(1)) if threshold == "otsu" else torch.full((3,), 0.3)
        found = (x.flatten(1) > level[:, None]).double()
        expected = torch.stack(
            [torch.corrcoef(torch.stack([f, t.flatten()]))[0, 1] for f, t in zip(found, truth, strict=True)]
        )
        torch.testing.assert_close(Matthews(threshold)(x, truth), expected)  # type: ignore[arg-type]
    torch.testing.assert_close(Matthews(0.5)(truth, 255 * truth), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(Matthews(0.5)(1 - truth, truth), -torch.ones(3, dtype=torch.float64))
    assert Matthews(5.0)(x, truth).tolist() == [0, 0, 0]  # nothing found


# Bad input ----------------------------------------------------------------------------------------


def test_bad_input_is_told() -> None:
    x, truth = pair(2, 1, 16, 16)
    for metric in [*ALL, Matthews()]:
        with pytest.raises(ShapeError, match=r"\(2, 1, 16, 15\) and the truth \(2, 1, 16, 16\)"):
            metric(x[..., :15], truth)
    flat = truth.clone()
    flat[1] = 0
    for metric in (PSNR(), SSIM(), NRMSE()):
        with pytest.raises(InputError, match="true image 1 is constant"):
            metric(x, flat)
    for metric in (NMSE(), RelativeL2()):
        with pytest.raises(InputError, match="true image 1 is 0 everywhere"):
            metric(x, flat)
    assert bool(torch.isfinite(PSNR(1.0)(x, flat)).all())
    with pytest.raises(InputError, match="11 pixels a side"):
        SSIM()(x[..., :10], truth[..., :10])
    with pytest.raises(InputError, match="more than two"):
        Matthews()(x, truth)
    with pytest.raises(InputError, match="positive data_range"):
        PSNR(0.0)


# Summary ------------------------------------------------------------------------------------------


def test_summaries_have_the_digits_of_their_spread() -> None:
    values = torch.tensor([28.0, 29.0, 30.5])
    summary = summarize(values)
    assert summary.mean == pytest.approx(float(values.mean()))
    assert summary.std == pytest.approx(float(values.std()))
    assert (summary.minimum, summary.maximum, summary.count) == (28.0, 30.5, 3)
    assert str(summary) == "29.2 ± 1.3"
    assert str(summarize([0.98123, 0.98131])) == "0.981270 ± 0.000057"
    assert str(summarize([120.0, 180.0])) == "150 ± 42"
    assert str(summarize([28.4123])) == "28.41"
    assert str(summarize([math.inf, 1.0])) == "inf"
    assert math.isnan(summarize([math.nan, 1.0]).mean)
    with pytest.raises(InputError, match="no values"):
        summarize([])
