"""The charts: well-formed, self-contained, in colours the dark page knows, and drawn to the numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from metrics.board import Point
from metrics.render import charts
from tests.unit.board_sample import bridge, report

DRAWN: dict[str, Callable[[], charts.Chart]] = {
    "bridge": lambda: charts.bridge(
        report().bridge_month or bridge("x", 0, *[0] * 8), "USD", "The bridge <&>"
    ),
    "still bridge": lambda: charts.bridge(bridge("nothing moved", 0, *[0] * 8), "USD", "x"),
    "negative bridge": lambda: charts.bridge(bridge("credit", -5, *[0] * 7, -100), "JPY", "x"),
    "trend": lambda: charts.arr_trend(report().arr_trend, "USD", "ARR over time"),
    "one month": lambda: charts.arr_trend(report().arr_trend[-1:], "CHF", "x"),
    "gaps": lambda: charts.arr_trend(
        (Point("2026-01", 5), Point("2026-02", None), Point("2026-03", 9)), "USD", "x"
    ),
    "retention": lambda: charts.retention(report().nrr_trend, report().grr_trend, "Retention"),
    "wins": lambda: charts.win_rates(report().win_rates, "Wins"),
    "no wins": lambda: charts.win_rates((), "Wins"),
    "pipeline": lambda: charts.pipeline(report().pipeline, "USD", "Pipeline"),
    "empty pipeline": lambda: charts.pipeline((), "USD", "Pipeline"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_chart(name: str) -> None:
    chart = DRAWN[name]()
    for drawing in (chart.wide, chart.narrow):
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert root.get("viewBox")
        colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]{3,8}|[a-z]+)"', drawing))
        assert colours <= {*charts.COLOURS, "none"}, "a colour that dark mode does not exchange"
        assert not re.search(r"https?://(?!www\.w3\.org/)|url\(|<image|<script|<style|href=", drawing)
        assert "undefined" not in drawing
        assert "NaN" not in drawing


def test_the_bridge_writes_every_movement_that_is_not_nought() -> None:
    drawing = DRAWN["bridge"]().wide
    texts = set(re.findall(r">([^<]+)</text>", drawing))
    assert {"$4.03M", "+$90K", "+$41K", "+$12.5K", "+$8K", "-$23K", "-$54K", "-$1.20K", "$4.10M"} <= texts
    assert "Other expansion" not in texts


def test_bars_are_as_long_as_their_numbers() -> None:
    drawing = charts.pipeline(report().pipeline[:2], "USD", "x").wide
    lengths = [
        float(length) for length in re.findall(rf'd="M0,[\d.]+h([\d.]+)[^"]*" fill="{charts.UP}"', drawing)
    ]
    assert len(lengths) == 2
    assert lengths[1] / lengths[0] == pytest.approx(80 / 120, abs=0.01)


def test_a_low_sample_is_faint_and_all_say_their_n() -> None:
    drawing = DRAWN["wins"]().wide
    assert drawing.count(f'fill="{charts.FAINT}"') == 1
    assert {"18.0%  n=22", "25.0%  n=40", "33.3%  n=6"} <= set(re.findall(r">([^<]+)</text>", drawing))


def test_sparks() -> None:
    drawing = charts.spark(
        tuple(Point(f"2026-{month:02d}", month if month != 3 else None) for month in range(1, 6))
    )
    path = ElementTree.fromstring(drawing)[0].get("d") or ""
    assert path.count("M") == 2, "the gap is not bridged"
    assert charts.spark((Point("2026-01", 1),)) == ""
    flat = charts.spark((Point("2026-01", 1), Point("2026-02", 1)))
    assert "nan" not in flat.lower()
