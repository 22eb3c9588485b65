"""``boardline checkpoint``: where the engagement stands against its baseline."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from metrics.baseline import Baseline
from metrics.checkpoint import CheckpointReport, by_quarter, checkpoint
from metrics.conclusion import Change
from metrics.playbook import applied
from metrics.playbook import load as load_playbook
from metrics.render.numbers import day, instant, month_name, percent, quantity
from metrics.render.safe import plain
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.invocation import (
    AsOfOption,
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    MonthOption,
    QuietOption,
    VerboseOption,
    for_each,
    moment,
    month_of,
)

_STATES = {
    "too_early": "too early",
    "improved": "improved",
    "on_target": "on target",
    "not_yet": "not yet",
    "missed": "missed",
    "not_improved": "not improved",
    "unknown": "unknown",
    "not_judged": "not judged",
}


def command(
    month: MonthOption = None,
    as_of: AsOfOption = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the agreed KPIs with the baseline of the engagement, by the rules of the company's playbook.

    The baseline is rebuilt from history as it was known when the engagement began, and frozen the first time.
    """
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    app = App.load(config, writes=False)
    companies = app.companies(company or ())
    app.open_store()
    documents, failures = for_each(companies, lambda settings: _one(run, app, settings, month, as_of))
    run.finish(companies, documents, failures)


def _one(
    run: Invocation, app: App, company: CompanyConfig, month: str | None, as_of: str | None
) -> dict[str, Any]:
    app.require_synced(company)
    known_at = moment(as_of, company.zone)
    wanted = month_of(month, known_at, company.zone) if month else None
    book = load_playbook(company.playbook)
    made = checkpoint(app.store, applied(company), book, known_at, datetime.now(UTC), wanted)
    if not run.json:
        _print(run, company, made)
    return made.as_json()


def _print(run: Invocation, company: CompanyConfig, made: CheckpointReport) -> None:
    out = run.out
    out.print(
        f"{made.company} ({made.playbook}): day {made.day} of the engagement that began on {day(made.engagement_start)}"
    )
    out.print(f"  {made.sentence}")
    if made.next:
        out.print(f"  {made.next}")
    for line in baseline_lines(made.baseline, company):
        out.print(f"  {line}")
    out.print(f"  now: {month_name(made.month)}, known at {instant(made.known_at.astimezone(company.zone))}")
    table = Table(box=None, pad_edge=False)
    for name in ("KPI", "baseline", "now", "better by", "", "why"):
        table.add_column(name, justify="right" if name in ("baseline", "now", "better by") else "left")
    for change in made.changes:
        table.add_row(
            change.title,
            _figure(change.baseline, change, made.currency),
            _figure(change.now, change, made.currency),
            "" if change.relative is None else percent(change.relative),
            _STATES[change.state],
            _why(change),
        )
    out.print(table)
    titles = {change.kpi: change.title for change in made.changes}
    for reading in made.readings:
        text = (
            "not computable"
            if reading.value is None
            else quantity(reading.value, reading.unit, made.currency)
        )
        out.print(f"  {month_name(reading.month)}, {titles.get(reading.kpi, reading.kpi)}: {text}")
    for warning in made.fit:
        out.print(f"  {warning.level}: {plain(warning.sentence, 400)}")


def baseline_lines(kept: Baseline, company: CompanyConfig) -> list[str]:
    """What is said of a baseline in words."""
    known = instant(kept.known_at.astimezone(company.zone))
    frozen = f"frozen {instant(kept.taken_at.astimezone(company.zone))}" if kept.taken_at else str(kept.note)
    return [f"baseline: {month_name(kept.month)}, known at {known}, {frozen}"]


def _figure(value: float | None, change: Change, currency: str) -> str:
    return "not computable" if value is None else quantity(value, change.unit, currency)


def _why(change: Change) -> str:
    window = f"expected {change.due[0]} to {change.due[1]}" if change.due else ""
    if by_quarter(change.kpi):
        window = f"{window}{'; ' if window else ''}quarters ending {change.then_month} and {change.month}"
    return "; ".join(part for part in (window, plain(change.reason, 300) if change.reason else "") if part)
