"""The board report as Markdown (CommonMark with tables), for chats, wikis and mail that take it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from metrics.board import BoardReport
from metrics.render import annex, numbers, restated, view
from metrics.render.safe import link, markdown

_LONGEST: Final = 4000
_GAPS: Final = re.compile(r"\n{3,}")


def render_markdown(report: BoardReport) -> str:
    """The whole report; CRM text in it is neither markup, nor mention, nor link."""
    page = (
        _templates()
        .get_template("board.md.j2")
        .render(
            r=report,
            month=numbers.month_name(report.month),
            state_on=numbers.day(report.state_on),
            known_at=view.local(report, report.known_at),
            synced_at=view.local(report, report.synced_at) if report.synced_at else None,
            score=view.scores(report),
            score_notes=view.score_notes(report),
            sections=view.sections(report),
            coverage=view.coverage(report),
            quality=annex.quality(report),
            left_out=[
                {"name": row.name or "(no name)", "reason": row.reason, "url": link(row.url)}
                for row in report.left_out
            ],
            left_out_shown=annex.shown(len(report.left_out), annex.left_out_total(report)),
            evidence=(*annex.evidence(report), *restated.evidence(report)),
            findings=annex.findings(report),
            findings_title=annex.LOOK_AT,
            restated=restated.lines(report),
            restated_title=restated.TITLE,
        )
    )
    return _GAPS.sub("\n\n", page).strip() + "\n"


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("metrics", "templates"),
        autoescape=False,  # noqa: S701 - Markdown: every text passes the `md` filter, which escapes HTML too
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = lambda text: markdown(str(text), _LONGEST)
    environment.filters["number"] = _number
    return environment


def _number(text: Any) -> str:
    """A number of ours: a leading sign is no formula, and nothing in it is markup but the currency sign."""
    written = str(text)
    return (
        written
        if re.fullmatch(r"[-+]?[^\w\s<>\[\]()*`|\\@]{0,3}[\d.,]*\d[\d.,]*[\w%× ]{0,12}", written)
        else markdown(written, _LONGEST)
    )
