"""The report: self-contained, complete, honest about what went wrong."""

from __future__ import annotations

import base64
import io
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from wellposed.experiment import Results, Row, SampleResult
from wellposed.recipes import Display
from wellposed.recipes.model import parse
from wellposed.report import Page, render
from wellposed.report.chart import Axis, _axes, line_chart
from wellposed.report.gallery import _ticks, view_sample
from wellposed.report.picture import Picture, image_values, measurement_values, shared_window, telling_region, window_of
from wellposed.report.table import best_solvers, mean_and_spread, number
from wellposed.solution import Verdict

RECIPE = parse({"summary": "A <test> & more", "data": "squares", "solvers": {"a": "x"}}, "test")
PAGE = Page("A <test> & more", RECIPE, {"python": "3", "git": None}, [("operator", "<blur>")])


def row(solver: str, psnr: float, verdict: Verdict = Verdict.CONVERGED, sample: str = "s", **history: Any) -> Row:
    return Row(solver, sample, {"psnr": psnr, "mse": 10 ** (-psnr / 10)}, 0.5, 7, verdict, None, history)


def results(rows: list[Row], truth: bool = True, size: int = 32) -> Results:
    image = torch.rand(1, size, size, generator=torch.Generator().manual_seed(0))
    samples = [
        SampleResult(
            name,
            image if truth else None,
            torch.rand(1, 9, 40),
            {r.solver: image + 0.1 * torch.rand_like(image) for r in rows if r.sample == name},
        )
        for name in dict.fromkeys(r.sample for r in rows)
    ]
    return Results(rows, samples, {"psnr": "higher", "mse": "lower"})


class Links(HTMLParser):
    """What a page refers to, and whether its tags match."""

    VOID = {"meta", "img"}

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tags: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.outside.append(str(value))
            if name == "src":
                self.images.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag


def read(html: str) -> Links:
    links = Links()
    links.feed(html)
    assert links.tags == []
    return links


def test_the_page_needs_nothing_else() -> None:
    html = render(PAGE, results([row("a", 20.0), row("b", 21.0)]))
    links = read(html)
    assert links.outside == []
    assert not re.search(r"url\(|@import|<script", html)
    for uri in links.images:
        picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        picture.load()


def test_texts_are_escaped() -> None:
    html = render(PAGE, results([row("<b>solver", 20.0)]))
    assert "<title>A &lt;test&gt; &amp; more</title>" in html
    assert "&lt;blur&gt;" in html
    assert "<b>solver" not in html


def test_the_best_of_each_metric_is_marked() -> None:
    html = render(PAGE, results([row("a", 20.0), row("b", 25.0)]))
    assert re.findall(r'<td class="best">([^<]+)</td>', html) == ["25.00", "0.003162"]


def test_ties_and_single_solvers_have_no_best() -> None:
    assert best_solvers(results([row("a", 20.0)])) == {}
    assert best_solvers(results([row("a", 20.0), row("b", 20.0)])) == {}
    assert best_solvers(results([row("a", 20.0), row("b", math.nan)])) == {}


def test_bad_verdicts_are_warned_of_with_advice() -> None:
    rows = [row("a", 20.0, Verdict.DIVERGED, f"s{i}") for i in range(7)]
    html = render(PAGE, results(rows))
    assert "<strong>a: diverged</strong> (s0, s1, s2, s3 and 3 more)" in html
    assert "take a smaller step size" in html


def test_several_samples_give_mean_and_spread_and_few_pictures() -> None:
    html = render(PAGE, results([row("a", 20.0 + i, sample=f"s{i}") for i in range(8)]))
    assert "23.50 ± 2.45" in html
    assert "over 8 samples" in html
    assert "pictures of 2 more are left out" in html


def test_without_truth_there_are_pictures_and_no_errors() -> None:
    found = results([Row("a", "s", {}, 0.1, 3, Verdict.COMPLETED)], truth=False)
    html = render(PAGE, found)
    assert "|error|" not in html
    assert "PSNR" not in html
    assert len(read(html).images) == 3  # measurement, reconstruction, zoom


def test_curves_are_drawn_of_what_was_measured() -> None:
    history = [(k, 1.0 / k**2) for k in range(1, 50)]
    html = render(PAGE, results([row("a", 20.0, relative_duality_gap=history)]))
    assert "Relative duality gap" in html
    assert html.count("<polyline") == 1


def test_sections_of_plugins_stand_as_they_are() -> None:
    page = Page("t", RECIPE, {}, [], [("Mine & yours", "<p id='x'>html</p>")])
    html = render(page, results([row("a", 20.0)]))
    assert "<h2>Mine &amp; yours</h2><p id='x'>html</p>" in html


def test_a_page_of_large_images_stays_small() -> None:
    assert len(render(PAGE, results([row("a", 20.0), row("b", 21.0)], size=1500))) < 8_000_000


# Pictures ---------------------------------------------------------------------------------------


def decoded(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png())).convert("RGB"))


def test_the_window_maps_to_black_and_white_and_clips() -> None:
    values = np.array([[-1.0, 0.0, 0.5, 1.0, 9.0, np.nan, np.inf]])
    assert decoded(Picture(values, (0.0, 1.0)))[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0, 255]


def test_colour_maps_are_those_of_matplotlib() -> None:
    import matplotlib

    shown = decoded(Picture(np.array([[0.0, 1.0]]), (0.0, 1.0), "inferno"))
    expected = matplotlib.colormaps["inferno"]([0.0, 1.0])[:, :3] * 255
    np.testing.assert_allclose(shown[0], expected, atol=1)
    decoded(Picture(np.array([[0.0, 1.0]]), (0.0, 1.0), "no such map"))


def test_colour_images_keep_their_colours() -> None:
    x = torch.tensor([1.0, 0.0, 0.5]).reshape(3, 1, 1).expand(3, 2, 4)
    assert decoded(Picture(image_values(x), (0.0, 1.0)))[0, 0].tolist() == [255, 0, 128]


def test_complex_images_are_shown_by_magnitude() -> None:
    assert image_values(torch.full((1, 2, 2), 3 + 4j)).tolist() == [[5, 5], [5, 5]]
    assert image_values(torch.full((4, 2, 2), 1j)).tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("shape", [(1, 16), (2, 9, 9), (1, 5, 9, 9), (3, 4, 9, 9)])
def test_every_shape_of_image_gives_a_picture(shape: tuple[int, ...]) -> None:
    assert image_values(torch.rand(shape)).ndim in (2, 3)
    assert decoded(Picture(image_values(torch.rand(shape)), (0, 1))).size > 0


def test_complex_measurements_are_shown_as_logarithms_over_coils() -> None:
    y = torch.zeros(2, 3, 3, dtype=torch.complex64)
    y[:, 1, 1] = 1.0
    y[0, 0, 0] = math.sqrt(2) * 1e-2
    values = measurement_values(y)
    assert values[1, 1] == 0.0
    assert values[0, 0] == pytest.approx(-2, abs=1e-6)
    assert values[2, 2] == -4
    assert measurement_values(torch.zeros(1, 3, 3, dtype=torch.complex64)).tolist() == [[0] * 3] * 3


@pytest.mark.parametrize("shape", [(40,), (1, 40), (30, 20), (4, 30, 20), (2, 2, 30, 20)])
def test_every_shape_of_measurement_gives_a_picture(shape: tuple[int, ...]) -> None:
    assert measurement_values(torch.rand(shape)).ndim == 2
    assert measurement_values(torch.rand(shape).to(torch.complex64)).ndim == 2


def test_large_pictures_are_averaged_down() -> None:
    values = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((800, 800)))
    small = Picture(values, (0, 1)).shrunk(400)
    assert small.values.shape == (400, 400)
    assert set(np.unique(small.values)) == {0.0, 1.0}


def test_windows_cut_outliers_and_survive_nonsense() -> None:
    values = np.linspace(0, 1, 10000).reshape(100, 100)
    assert window_of(values) == (0.0, 1.0)
    values[0, 0] = 1e6
    assert window_of(values)[1] < 1.01
    assert window_of(np.linspace(0, 1, 1001)[None], cut=10.0) == (0.1, 0.9)
    assert window_of(np.full((3, 3), np.nan)) == (0.0, 1.0)
    low, high = window_of(np.full((3, 3), 2.0))
    assert high > low


def test_without_a_truth_the_window_holds_every_image_but_the_lost_ones() -> None:
    ramp = np.linspace(0, 1, 10000).reshape(100, 100)
    low, high = shared_window(None, [ramp, 3 * ramp, 1e9 * ramp])
    assert low == pytest.approx(0.005)
    assert high == pytest.approx(3 * 0.995)
    assert shared_window(2 * ramp, [ramp]) == (0.0, 2.0)


def test_the_zoomed_region_is_where_the_detail_is() -> None:
    values = np.zeros((100, 100))
    values[60:75, 20:35] = np.random.default_rng(0).random((15, 15))
    row, column, height, width = telling_region(values)
    assert row <= 60
    assert row + height >= 75
    assert column <= 20
    assert column + width >= 35
    assert telling_region(np.zeros((4, 4))) == (0, 0, 4, 4)


def test_given_zoom_and_window_are_used() -> None:
    sample = results([row("a", 20.0)]).samples[0]
    view = view_sample(sample, {}, Display(window=(0.0, 2.0), zoom=(8, 16, 4, 8)))
    assert view.cards[0].picture.box == ("50.00%", "25.00%", "25.00%", "12.50%")
    assert (view.scales[0].low, view.scales[0].high) == ("0", "2")


# Charts and numbers -----------------------------------------------------------------------------


def test_axes_map_their_ends_to_their_ends() -> None:
    for axis in (Axis(2.0, 8.0, 10.0, 90.0, False), Axis(1e-3, 1e3, 10.0, 90.0, True)):
        assert axis(axis.low) == pytest.approx(10)
        assert axis(axis.high) == pytest.approx(90)
        assert all(axis.low <= tick * (1 + 1e-9) and tick <= axis.high * (1 + 1e-9) for tick in axis.ticks())
        assert 2 <= len(axis.ticks()) <= 8


@pytest.mark.parametrize(
    "curve", [[(1, 5.0)], [(1, 0.0), (2, 0.0)], [(0, -1.0), (1, 1.0)], [(k, 10.0**-k) for k in range(1, 16)]]
)
def test_charts_of_every_sort_of_curve(curve: list[tuple[float, float]]) -> None:
    svg = line_chart({"a": curve}, "x", "y", {"a": "#000"})
    assert "nan" not in svg
    assert read(str(svg)).outside == []


def test_curves_without_numbers_give_no_chart() -> None:
    assert line_chart({"a": [(1, math.nan)], "b": []}, "x", "y", {}) == ""


def test_numbers_have_the_digits_worth_reading() -> None:
    assert number("psnr", 28.4049) == "28.40"
    assert number("psnr", math.inf) == "∞"
    assert number("psnr", math.nan) == "–"
    assert number("seconds", 0.0004) == "0.0004"
    assert number("nmse", 0.0123456) == "0.01235"
    assert number("nmse", 1.5e-9) == "1.500e-09"
    assert mean_and_spread("nmse", {"nmse": 0.5, "nmse_std": 0.01234}) == "0.5000 ± 0.012"


def test_a_curve_fills_its_frame() -> None:
    """The first point lies on the left axis, the last one at the right end of the grid."""
    svg = str(line_chart({"a": [(2.0, 1.0), (3.0, 2.0), (4.0, 3.0)]}, "x", "y", {}))
    left, right = re.search(r'class="axis" x1="([\d.]+)" x2="([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    points = re.search(r'points="([^"]+)"', svg).group(1).split()  # type: ignore[union-attr]
    xs = [float(p.split(",")[0]) for p in points]
    assert xs == [float(left), (float(left) + float(right)) / 2, float(right)]
    ys = [float(p.split(",")[1]) for p in points]
    assert ys[0] > ys[1] > ys[2], "upwards is less"
    grid = [float(y) for y in re.findall(r'class="grid" [^>]*y1="([\d.]+)"', svg)]
    assert min(grid) >= min(ys) - 20
    assert max(grid) <= max(ys) + 20


@pytest.mark.parametrize(
    ("window", "text"),
    [
        ((0.0, 1.0), ("0", "1")),
        ((-1.0, 2.5), ("−1", "2.5")),
        ((1e-9, 1.0), ("0", "1")),
        ((1e-5, 1.0), ("1e−05", "1")),
        ((-2.0, 1e-9), ("−2", "0")),
        ((0.0, 0.0), ("0", "0")),
    ],
)
def test_ends_of_a_grey_scale(window: tuple[float, float], text: tuple[str, str]) -> None:
    assert _ticks(window) == text


@pytest.mark.parametrize(
    ("points", "log"),
    [
        ([(1.0, 1.0), (2.0, 9.9)], (False, False)),
        ([(1.0, 1.0), (2.0, 10.0)], (False, True)),
        ([(1.0, 0.0), (2.0, 10.0)], (False, False)),
        ([(1.0, -1.0), (2.0, 10.0)], (False, False)),
        ([(1.0, 1.0), (299.0, 2.0)], (False, False)),
        ([(1.0, 1.0), (300.0, 2.0)], (True, False)),
        ([(0.0, 1.0), (300.0, 2.0)], (False, False)),
        ([(0.5, 1.0), (300.0, 2.0)], (True, False)),
    ],
)
def test_axes_are_logarithmic_over_decades(points: list[tuple[float, float]], log: tuple[bool, bool]) -> None:
    x_axis, y_axis = _axes(points)
    assert (x_axis.log, y_axis.log) == log
    assert (x_axis.low, x_axis.high) == (points[0][0], points[1][0])
    span = (points[1][1] - points[0][1]) * 0.05
    if not y_axis.log:
        assert (y_axis.low, y_axis.high) == (pytest.approx(points[0][1] - span), pytest.approx(points[1][1] + span))


def test_axes_of_one_point_have_a_length() -> None:
    x_axis, y_axis = _axes([(3.0, 2.0)])
    assert (x_axis.low, x_axis.high) == (3.0, 4.0)
    assert (y_axis.low, y_axis.high) == (pytest.approx(1.8), pytest.approx(2.2))
    _, y_axis = _axes([(3.0, 0.0)])
    assert (y_axis.low, y_axis.high) == (-1.0, 1.0)


def test_a_row_tells_its_bound_where_it_has_one() -> None:
    plain = Row("a", "s", {"psnr": 30.0}, 0.5, 7, Verdict.CONVERGED)
    assert plain.document() == {
        "solver": "a", "sample": "s", "psnr": 30.0, "seconds": 0.5, "iterations": 7, "verdict": "converged"
    }  # fmt: skip
    bounded = Row("a", "s", {"psnr": 30.0}, 0.5, 7, Verdict.CONVERGED, bound=0.25)
    assert bounded.document() == {**plain.document(), "bound": 0.25}
