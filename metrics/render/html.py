"""The board report as one HTML file: no script, no outside request, readable on a phone, in the dark and on paper."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metrics.board import BoardReport, ScoreRow, StageRow
from metrics.render import annex, charts, numbers, restated, view, wording
from metrics.render.safe import cell, link, plain

_LONGEST: Final = 4000
_BLANKS: Final = re.compile(r"\n\s*\n+")


def render_html(report: BoardReport) -> str:
    """The whole page. Its content security policy forbids scripts and every request."""
    page = (
        _templates()
        .get_template("board.html.j2")
        .render(
            r=report,
            style=Markup(_templates().get_template("style.css").render(colours=charts.COLOURS)),  # noqa: S704 - ours
            month=numbers.month_name(report.month),
            state_on=numbers.day(report.state_on),
            known_at=view.local(report, report.known_at),
            synced_at=view.local(report, report.synced_at) if report.synced_at else None,
            score=[
                _score(score, row) for score, row in zip(view.scores(report), report.scorecard, strict=True)
            ],
            score_notes=view.score_notes(report),
            score_caption=f"{numbers.month_name(report.month)}; status follows the playbook's rules",
            bridges=[
                _figure(table, charts.bridge(bridge, report.currency, _alt(table)))
                for bridge, table in view.bridges(report)
            ],
            **_figures(report),
            **_tables(report),
        )
    )
    return _BLANKS.sub("\n", page).lstrip()


def _score(score: view.Score, row: ScoreRow) -> dict[str, Any]:
    return {
        **vars(score),
        "marks": score.marks,
        "alone": score.now is None
        and not any(letter.isdigit() for letter in score.last_month + score.year_ago),
        "spark": Markup(charts.spark(row.series)),  # noqa: S704 - drawn by us from numbers
    }


def _figures(report: BoardReport) -> dict[str, Any]:
    trend, retention, wins = view.trend(report), view.retention(report), view.wins(report)
    open_stages = [row for row in wording.open_stages(report) if row.deals]
    stages = view.stages(report)
    rated = [value for value in report.win_rates if value.value is not None]
    return {
        "trend": trend and _figure(trend, charts.arr_trend(report.arr_trend, report.currency, _alt(trend))),
        "retention": retention
        and _figure(retention, charts.retention(report.nrr_trend, report.grr_trend, _alt(retention))),
        "wins": wins and _figure(wins, charts.win_rates(report.win_rates, _alt(wins)), bool(rated)),
        "pipeline": stages
        and _figure(
            _only(stages, open_stages),
            charts.pipeline(open_stages, report.currency, _alt(stages)),
            bool(open_stages),
        ),
    }


def _only(table: view.Table, rows: list[StageRow]) -> view.Table:
    labels = {view.stage_label(row) for row in rows}
    return view.Table(
        table.title,
        "Open deals by stage",
        table.columns,
        tuple(row for row in table.rows if row[0] in labels),
    )


def _tables(report: BoardReport) -> dict[str, Any]:
    total = annex.left_out_total(report)
    return {
        "points": view.points(report),
        "coverage": view.coverage(report),
        "stages": [
            {
                "label": view.stage_label(row),
                "kind": {True: None, False: "closed", None: "not a stage of any pipeline"}[row.open],
                "deals": f"{row.deals:,}",
                "amount": numbers.money(row.amount, report.currency),
            }
            for row in report.pipeline
        ],
        "stage_total": {
            "deals": f"{sum(row.deals for row in report.pipeline):,}",
            "amount": numbers.money(sum(row.amount for row in report.pipeline), report.currency),
        },
        "quality": _quality(report),
        "left_out": [
            {
                "name": row.name,
                "external_id": row.external_id,
                "reason": plain(row.reason, 300),
                "url": link(row.url),
            }
            for row in report.left_out
        ],
        "left_out_shown": annex.shown(len(report.left_out), total),
        "findings": annex.findings(report),
        "findings_title": annex.LOOK_AT,
        "restated": restated.lines(report),
        "restated_title": restated.TITLE,
        "evidence": (*annex.evidence(report), *restated.evidence(report)),
    }


def _quality(report: BoardReport) -> dict[str, Any] | None:
    found = annex.quality(report)
    if found is None or report.quality is None:
        return None
    return {
        **vars(found),
        "undefined": annex.UNDEFINED,
        "fields": [dict(zip(("name", "count", "share", "low"), row, strict=True)) for row in found.fields],
        "parts": [dict(zip(("label", "share", "weight"), row, strict=True)) for row in found.parts],
        "rules": [dict(zip(("name", "severity", "findings"), row, strict=True)) for row in found.rules],
    }


def _figure(table: view.Table, chart: charts.Chart, drawn: bool = True) -> dict[str, Any]:
    svg = Markup(chart.wide + chart.narrow)  # noqa: S704 - escaped by the renderer
    return {**vars(table), "svg": svg if drawn else None}


def _alt(table: view.Table) -> str:
    return f"{table.title}. The figures are in the table below the chart."


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("metrics", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["crm"] = plain
    environment.filters["cell"] = lambda text: cell(text, _LONGEST)
    return environment


def _visible(value: Any) -> Any:
    """The last net: nothing printed carries control or bidirectional characters, whatever path it took."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "".join(
        letter
        for letter in value
        if letter in "\n\u200c\u200d" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
