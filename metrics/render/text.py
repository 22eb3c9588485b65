"""The board report as plain text, at most 80 columns wide, for terminals and mail without HTML."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from rich import box
from rich.console import Console, ConsoleRenderable
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from metrics.board import BoardReport
from metrics.render import annex, numbers, restated, view
from metrics.render.safe import plain, unlinked

WIDTH: Final = 80
_LONGEST: Final = 4000
_LISTED: Final = 10  # deals left out; the other forms list more


def render_text(report: BoardReport) -> str:
    """The whole report. Evidence and definitions are left to the other forms, and the text says so."""
    console = Console(
        file=io.StringIO(),
        width=WIDTH,
        color_system=None,
        force_terminal=False,
        legacy_windows=False,
        emoji=False,
        markup=False,
        highlight=False,
        _environ={},
    )
    with console.capture() as capture:
        for part in _parts(report):
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()).strip() + "\n"


def _parts(report: BoardReport) -> Iterator[ConsoleRenderable]:
    title = f"{report.company}: board revenue summary, {numbers.month_name(report.month)}"
    yield _text(title.upper() if title.isascii() else title)
    read = f", last read {view.local(report, report.synced_at)}" if report.synced_at else ""
    yield _text(
        f"State on {numbers.day(report.state_on)}, as known at {view.local(report, report.known_at)}. "
        f"Source: {report.crm}{read}. Currency: {report.currency}. Playbook: {report.playbook}."
    )
    yield from _heading("Headline")
    for number, sentence in enumerate(report.headline, 1):
        yield _text(f"{number}. {sentence}")
    yield from _scores(report)
    yield from _findings(report)
    for name, tables in view.sections(report):
        yield from _heading(name)
        coverage = view.coverage(report) if name == view.PIPELINE else None
        if coverage:
            yield _text(coverage)
        for table in tables:
            yield _text("")
            yield _text(table.title)
            yield _grid(table.columns, table.rows)
    yield from _confidence(report)
    if report.restatements:
        yield from _heading(restated.TITLE)
        for line in restated.lines(report):
            yield _text(f"* {line.what}: {line.published}, now {line.now}. {line.why}.")
    if report.caveats:
        yield from _heading("What this CRM cannot tell")
        for caveat in report.caveats:
            yield _text(f"* {caveat.title}. {caveat.text} {caveat.remedy}")
    yield _text("")
    for note in report.notes:
        yield _text(note)
    yield _text("Evidence and definitions: see the HTML or Markdown form of this summary. Made by Boardline.")


def _scores(report: BoardReport) -> Iterator[ConsoleRenderable]:
    """The scorecard with its notes."""
    if not report.scorecard:
        return
    yield from _heading("Scorecard")
    yield _scorecard(report)
    yield from _undefined(report)
    for number, note in enumerate(view.score_notes(report), 1):
        yield _text(f"note {number}: {note}")
    if report.role:
        yield _text(f"Headline KPIs of this company: {report.role}.")


def _scorecard(report: BoardReport) -> Grid:
    scores = view.scores(report)
    numbers_of = [(row.now or annex.UNDEFINED, row.last_month, row.year_ago) for row in scores]
    # "not computable" is read in one line; what is longer may fold.
    whole = [max(map(len, column)) <= len(annex.UNDEFINED) for column in zip(*numbers_of, strict=True)]
    grid = _empty(("Metric", "Now", "Last month", "Year ago", "Status"), (False, *whole, False))
    for row, cells in zip(scores, numbers_of, strict=True):
        name = f"{row.title} ({row.period}{', ' + row.n if row.n else ''})"
        verdict = "" if row.now is None else row.verdict  # "not computable" stands in its line already
        status = [verdict, f"target: {row.target}" if row.target != "none given" else ""]
        lines = [line for line in (*status, row.marks) if line]
        grid.add_row(_text(name), *map(_number, cells), _text("; ".join(lines)))
    return grid


def _findings(report: BoardReport) -> Iterator[ConsoleRenderable]:
    """What to look at; the other forms also list the parts and records."""
    found = annex.findings(report)
    if found:
        yield from _heading(annex.LOOK_AT)
    for item in found:
        yield _text(f"* {item.sentence} Next: {item.next}")


def _undefined(report: BoardReport) -> Iterator[Text]:
    """Why numbers of the scorecard are missing, each reason once: a narrow column is no place to read it."""
    missing: dict[str, list[str]] = {}
    for row in view.scores(report):
        if row.now is None:
            missing.setdefault(row.undefined, []).append(row.title)
    for reason, titles in missing.items():
        yield _text(f"* {', '.join(titles)}: {reason}")


def _confidence(report: BoardReport) -> Iterator[ConsoleRenderable]:
    quality = annex.quality(report)
    if quality is None:
        return
    yield from _heading("Data confidence")
    yield _text(f"Completeness: {quality.completeness}")
    yield _text(f"Cleanliness: {quality.cleanliness}")
    yield _text(f"Findings: {quality.findings}; deals left out: {quality.left_out}")
    if quality.owners:
        yield _text(quality.owners)
    if quality.fields:
        marked = [
            (name, count, share + (" (low)" if low else "")) for name, count, share, low in quality.fields
        ]
        yield _grid(("Field", "Filled", "Share"), marked)
    if quality.parts:
        yield _grid(("Part of cleanliness", "Share of records", "Weight"), quality.parts)
    if quality.rules:
        yield _grid(("Rule", "Severity", "Findings"), quality.rules)
    for row in report.left_out[:_LISTED]:
        name = f"{plain(row.name) or '(no name)'} ({plain(row.external_id)})"
        yield _text(f"* left out: {name}: {row.reason}")
    if report.left_out:
        listed = min(len(report.left_out), _LISTED)
        yield _text(f"Left out and listed here: {annex.shown(listed, annex.left_out_total(report))}")


def _heading(words: str) -> Iterator[ConsoleRenderable]:
    yield _text("")
    yield _text(words.upper())
    yield _text("-" * len(words), own=True)


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> ConsoleRenderable:
    grid = _empty(columns)
    for row in rows:
        grid.add_row(_text(row[0]), *(_number(cell) for cell in row[1:]))
    return Padding(grid, (0, 0, 0, 1))


def _empty(columns: Sequence[str], whole: Sequence[bool] = ()) -> Grid:
    """``whole``: which columns are as wide as their longest cell."""
    grid = Grid(box=box.ASCII2, pad_edge=False, show_edge=False, header_style="")
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if index in (0, 4) else "right"
        grid.add_column(name, justify=justify, overflow="fold", no_wrap=index < len(whole) and whole[index])
    return grid


def _text(text: str, own: bool = False) -> Text:
    """A paragraph without any markup of rich's, and without an address a mail reader would link."""
    return Text(text if own else unlinked(text, _LONGEST), overflow="fold")


def _number(text: str) -> Text:
    """Numbers of ours may begin with a sign."""
    return Text(text if text[:1] in "+-" and text[1:2] != "-" else unlinked(text, _LONGEST), overflow="fold")
