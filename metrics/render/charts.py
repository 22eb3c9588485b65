"""The board report's charts as inline SVG: drawn by altair, no browser, no script, no outside reference.

Each chart comes twice, for wide and for narrow screens; the page shows one of them. The colours below are
the light ones; the page's style sheet exchanges them by attribute in dark mode, so every colour in a chart
must be one of ``COLOURS``. Blue, orange and grey stay apart for colour-blind readers, and no meaning hangs
on colour alone: every bar and line carries its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import altair as alt
import vl_convert

from metrics.board import Bridge, Point, StageRow
from metrics.kpi import KpiValue
from metrics.render import numbers
from metrics.render.safe import plain

UP: Final = "#1f6fb2"
DOWN: Final = "#c2500a"
LEVEL: Final = "#3d4957"
INK: Final = "#1c2430"
MUTED: Final = "#5b6673"
GRID: Final = "#e1e6ec"
FAINT: Final = "#9cc3e5"
# light -> dark
COLOURS: Final = {
    UP: "#6cb4f2",
    DOWN: "#ff9d5c",
    LEVEL: "#c3ccd6",
    INK: "#e8ecf1",
    MUTED: "#a5b0bc",
    GRID: "#313a45",
    FAINT: "#33597a",
}
_FONT: Final = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
_WIDE: Final = 500
_NARROW: Final = 300
_ROOT: Final = re.compile(r"^<svg [^>]*?width=\"([\d.]+)\" height=\"([\d.]+)\"[^>]*>(?:<rect [^>]*/>)?")


@dataclass(frozen=True)
class Chart:
    """One drawing in both widths, with the words for those who cannot see it."""

    wide: str
    narrow: str


def bridge(data: Bridge, currency: str, description: str) -> Chart:
    """A waterfall: levels at both ends, one floating bar per movement that would not be labelled nought."""
    level, rows = (
        data.opening,
        [_step("Opening", data.opening, data.opening, data.opening, "level", currency)],
    )
    for movement in data.movements:
        if numbers.money_short(movement.amount, currency) != numbers.money_short(0, currency):
            kind = "up" if movement.amount > 0 else "down"
            end = level + movement.amount
            rows.append(_step(movement.label, level, end, movement.amount, kind, currency))
        level += movement.amount
    rows.append(_step("Closing", level, level, data.closing, "level", currency))
    for order, row in enumerate(rows):
        row["order"] = order
    return _both(lambda narrow: _waterfall(rows, currency, narrow), description)


def _step(label: str, start: int, end: int, amount: int, kind: str, currency: str) -> dict[str, Any]:
    sign = "+" if kind == "up" else ""
    return {
        "label": plain(label, 40),
        "start": _float(start, currency),
        "end": _float(end, currency),
        "top": _float(max(start, end), currency),
        "kind": kind,
        "text": sign + numbers.money_short(amount, currency),
    }


def _waterfall(rows: list[dict[str, Any]], currency: str, narrow: bool) -> Any:
    """Lying, so that the names of the movements have room at any width. The axis need not start at nought:
    movements have their length, but opening and closing are marks at a place, not bars."""
    low, high = min(min(row["start"], row["end"]) for row in rows), max(row["top"] for row in rows)
    room = (high - low) * (0.5 if narrow else 0.25) or abs(high) * 0.1 or 1.0
    scale = alt.Scale(
        domain=[max(low - room / 6, 0.0) if low >= 0 else low - room / 6, high + room], nice=False
    )
    where = alt.Y("label:N", sort=alt.SortField("order"), title=None, axis=alt.Axis(labelLimit=130))
    amount = alt.X("start:Q", title=None, scale=scale, axis=_money_axis(currency, 3 if narrow else 5))
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=["up", "down", "level"], range=[UP, DOWN, LEVEL]), legend=None
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=where)
    bars = base.mark_bar(size=17).encode(x=amount, x2="end:Q", color=colour)
    ends = base.mark_tick(thickness=4, size=23, opacity=1).encode(x="end:Q", color=colour)
    return alt.layer(
        bars.transform_filter("datum.kind != 'level'"),
        ends.transform_filter("datum.kind == 'level'"),
        base.mark_text(align="left", dx=6, color=INK).encode(x="top:Q", text="text:N"),
    ).properties(width=(_NARROW if narrow else _WIDE) - 130, height=29 * len(rows))


def arr_trend(points: Sequence[Point], currency: str, description: str) -> Chart:
    """ARR at each month's end, from nought."""
    rows = [
        {
            "month": point.month,
            "name": numbers.month_short(point.month),
            "value": _float(point.value, currency),
        }
        for point in points
        if point.value is not None
    ]
    if rows:
        last = next(point.value for point in reversed(points) if point.value is not None)
        rows[-1]["text"] = numbers.money_short(last, currency)
    months = [point.month for point in points]

    def draw(narrow: bool) -> Any:
        base = alt.Chart(alt.InlineData(values=rows)).encode(x=_months(months, narrow))
        axis = _money_axis(currency, 3 if narrow else 5)
        y = alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(zero=True))
        return alt.layer(
            base.mark_area(color=FAINT, opacity=0.35).encode(y=y),
            base.mark_line(color=UP, strokeWidth=2.5).encode(y=y),
            _ends(base.encode(y=y), rows, INK),
        ).properties(width=(_NARROW if narrow else _WIDE) - 90, height=170 if narrow else 230)

    return _both(draw, description)


def retention(nrr: Sequence[Point], grr: Sequence[Point], description: str) -> Chart:
    """NRR and GRR month by month, with the 100 % line."""
    months = sorted({point.month for point in (*nrr, *grr)})
    rows = [
        {"month": point.month, "measure": name, "value": point.value}
        for name, points in (("NRR", nrr), ("GRR", grr))
        for point in points
        if point.value is not None
    ]
    for name in ("NRR", "GRR"):
        last = next((row for row in reversed(rows) if row["measure"] == name), None)
        if last:
            last["text"] = f"{name} {numbers.percent(float(str(last['value'])))}"

    def draw(narrow: bool) -> Any:
        axis = alt.Axis(format=".0%", tickCount=4, domain=False, ticks=False)
        y = alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(zero=False, padding=14))
        colour = alt.Color("measure:N", scale=alt.Scale(domain=["NRR", "GRR"], range=[UP, DOWN]), legend=None)
        dash = alt.StrokeDash(
            "measure:N", scale=alt.Scale(domain=["NRR", "GRR"], range=[[1, 0], [6, 3]]), legend=None
        )
        base = alt.Chart(alt.InlineData(values=rows)).encode(x=_months(months, narrow), y=y)
        hundred = alt.Chart(alt.InlineData(values=[{"value": 1.0}])).mark_rule(color=MUTED, strokeDash=[2, 3])
        text = base.mark_text(align="left", dx=8, color=INK, fontWeight="bold").encode(text="text:N")
        return alt.layer(
            hundred.encode(y=y),
            base.mark_line(strokeWidth=2.5).encode(color=colour, strokeDash=dash),
            base.mark_point(filled=True, size=40, opacity=1).encode(color=colour).transform_filter(_named()),
            text.transform_filter(_named()),
        ).properties(width=(_NARROW if narrow else _WIDE) - 125, height=170 if narrow else 230)

    return _both(draw, description)


def win_rates(values: Sequence[KpiValue], description: str) -> Chart:
    """One bar per segment with its rate and n; a segment with a low sample is drawn faint."""
    rows = [
        {
            "label": plain(next(iter(value.segment.values()), "All"), 30),
            "value": float(value.value),
            "text": f"{numbers.percent(value.value)}  n={value.n or 0}",
            "kind": "low" if value.status in ("low_sample", "unreliable") else "full",
        }
        for value in values
        if value.value is not None
    ]
    highest = max((float(str(row["value"])) for row in rows), default=1.0) or 1.0
    return _both(lambda narrow: _bars(rows, highest, narrow), description)


def pipeline(stages: Sequence[StageRow], currency: str, description: str) -> Chart:
    """Open amount by stage, in the order of the sales process."""
    rows = [
        {
            "label": plain(row.label, 30),
            "value": _float(row.amount, currency),
            "text": f"{numbers.money_short(row.amount, currency)}  n={row.deals}",
            "kind": "full",
        }
        for row in stages
    ]
    highest = max((float(str(row["value"])) for row in rows), default=1.0) or 1.0
    return _both(lambda narrow: _bars(rows, highest, narrow), description)


def _bars(rows: list[dict[str, Any]], highest: float, narrow: bool) -> Any:
    lowest = min(0.0, *(row["value"] for row in rows)) if rows else 0.0
    for order, row in enumerate(rows):
        row["order"] = order  # equal labels of two pipelines stay two bars
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y(
            "order:O",
            title=None,
            axis=alt.Axis(labelExpr=_labels(rows), labelLimit=110 if narrow else 170, domain=False),
        ),
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[lowest, highest * (1.9 if narrow else 1.3)])),
    )
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["full", "low"], range=[UP, FAINT]), legend=None)
    return alt.layer(
        base.mark_bar(size=18).encode(color=colour),
        base.mark_text(align="left", dx=6, color=INK).encode(text="text:N"),
    ).properties(
        width=(_NARROW if narrow else _WIDE) - (115 if narrow else 180), height=max(32 * len(rows), 40)
    )


def _labels(rows: list[dict[str, Any]]) -> str:
    """A Vega expression that writes a row's label for its order; labels are JSON-quoted, so never code."""
    return f"{json.dumps([row['label'] for row in rows])}[datum.value]"


def spark(points: Sequence[Point], width: int = 96, height: int = 24) -> str:
    """Twelve months in the space of a word; gaps where a month is undefined. Decorative: the table says it all."""
    known = [point.value for point in points if point.value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    path, pen, last = [], "M", (0.0, 0.0)
    for index, point in enumerate(points):
        if point.value is None:
            pen = "M"
            continue
        last = (
            3 + index * (width - 6) / max(len(points) - 1, 1),
            height - 3 - (point.value - low) / span * (height - 6) if high > low else height / 2,
        )
        path.append(f"{pen}{last[0]:.1f} {last[1]:.1f}")
        pen = "L"
    return (
        f'<svg class="spark" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" aria-hidden="true" focusable="false"><path d="{" ".join(path)}" fill="none"'
        f' stroke="{UP}" stroke-width="1.6"/><circle cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="2.4" fill="{UP}"/></svg>'
    )


def _both(draw: Any, description: str) -> Chart:
    return Chart(wide=_svg(draw(False), description, "wide"), narrow=_svg(draw(True), description, "narrow"))


def _svg(chart: Any, description: str, kind: str) -> str:
    drawn = vl_convert.vegalite_to_svg(chart.configure(**_config()).to_dict(validate=False))
    found = _ROOT.match(drawn)
    if found is None:
        raise ValueError("the chart renderer returned something that is no SVG")
    width, height = found.groups()
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart {kind}" role="img" viewBox="0 0 {width} {height}"'
        f' style="max-width:{width}px" aria-label="{escape(plain(description, 600), quote=True)}">'
    )
    return root + drawn[found.end() :]


def _config() -> dict[str, Any]:
    return {
        "aria": False,  # the drawing as a whole has a label, and its table follows
        "background": "transparent",
        "font": _FONT,
        "padding": 4,
        "view": {"stroke": None},
        "text": {"fontSize": 12, "font": _FONT, "color": INK},
        "axis": {
            "labelColor": MUTED,
            "labelFontSize": 12,
            "labelPadding": 6,
            "gridColor": GRID,
            "domainColor": GRID,
            "tickColor": GRID,
            "ticks": False,
        },
        "axisBand": {"grid": False},
        "axisY": {"domain": False},
    }


def _money_axis(currency: str, ticks: int) -> alt.Axis:
    """Axis labels such as $4.2M, written by d3 with our letters; only the symbol is ours."""
    sample = numbers.money_short(0, currency).removesuffix("0")
    expression = f"'{sample}' + replace(replace(format(datum.value, '~s'), 'G', 'B'), 'k', 'K')"
    return alt.Axis(labelExpr=expression, tickCount=ticks, domain=False, ticks=False)


def _months(months: Sequence[str], narrow: bool) -> alt.X:
    """A month axis of at most 6 (narrow: 3) labels, the last month always among them."""
    step = max(1, -(-len(months) // (3 if narrow else 6)))
    shown = [month for index, month in enumerate(reversed(months)) if index % step == 0]
    names = "{" + ",".join(f"'{month}':'{numbers.month_short(month)}'" for month in shown) + "}"
    axis = alt.Axis(values=shown, labelExpr=f"{names}[datum.value]", labelAngle=0, grid=False)
    return alt.X("month:O", title=None, axis=axis, scale=alt.Scale(domain=list(months)))


def _ends(base: Any, rows: Sequence[dict[str, Any]], ink: str) -> Any:
    named = base.transform_filter(_named())
    return alt.layer(
        named.mark_point(filled=True, color=UP, size=40, opacity=1),
        named.mark_text(dy=-14, color=ink, fontWeight="bold").encode(text="text:N"),
    )


def _named() -> str:
    return "isValid(datum.text)"


def _float(minor: float | None, currency: str) -> float:
    """Major units for a drawing, where pixels set the precision."""
    return float(numbers.major(minor or 0, currency))
