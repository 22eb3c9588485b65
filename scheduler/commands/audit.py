"""``boardline audit``: the 30-day audit of a company's revenue system."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from metrics.audit import FEWEST_QUARTERS, Audit, as_json, audit
from metrics.playbook import applied
from metrics.playbook import load as load_playbook
from metrics.render.numbers import instant, money_short, month_name, percent, quantity, value_text
from metrics.render.safe import plain
from scheduler.app import App
from scheduler.commands.checkpoint import baseline_lines
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

_PILOTS = 15


def command(
    month: MonthOption = None,
    as_of: AsOfOption = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Audit data, history, wins and losses, pilots and fit from the store, and draw up a 90-day plan.

    The baseline of the engagement is frozen with it, once.
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
    wanted = month_of(month, known_at, company.zone)
    book = load_playbook(company.playbook)
    made = audit(app.store, applied(company), book, known_at, datetime.now(UTC), wanted)
    if not run.json:
        _print(run.out, company, made)
    return as_json(made)


def _print(out: Console, company: CompanyConfig, made: Audit) -> None:
    day = f", day {made.day} of the engagement" if made.day is not None and made.day > 0 else ""
    out.print(
        f"{made.company} ({made.playbook}): audit of {month_name(made.month)}, known at "
        f"{instant(made.known_at.astimezone(company.zone))}{day}"
    )
    for line in baseline_lines(made.baseline, company) if made.baseline else [made.baseline_note or ""]:
        out.print(f"  {line}")
    _print_data(out, made)
    _print_history(out, made)
    _print_deals(out, made)
    _print_judgement(out, made)


def _print_data(out: Console, made: Audit) -> None:
    quality = made.quality
    out.print("\nData")
    complete = "not computable" if quality.completeness is None else percent(quality.completeness)
    clean = "not computable" if quality.cleanliness is None else f"{quality.cleanliness:.1f} of 100"
    out.print(f"  field completeness {complete} (gate {quality.threshold:.0%}), cleanliness {clean}")
    for field in quality.fields:
        ratio = (
            "not visible" if not field.measurable else "—" if field.ratio is None else percent(field.ratio)
        )
        out.print(f"    {field.object}.{field.field}: {ratio}")
    faults = ", ".join(f"{rule.replace('_', ' ')} {n:,}" for rule, n in made.stage_faults.items())
    out.print(f"  stages of {made.open_deals:,} open deals: {faults or 'not looked at'}")


def _print_history(out: Console, made: Audit) -> None:
    few = made.known_quarters < FEWEST_QUARTERS
    note = f"; only {made.known_quarters} of them began after the CRM's first deal" if few else ""
    out.print(f"\nThe last {len(made.quarters)} full quarters, rebuilt from history{note}")
    table = Table(box=None, pad_edge=False)
    table.add_column("KPI")
    for month in made.quarters:
        table.add_column(month, justify="right")
    values = {(value.id, value.month): value for value in made.history}
    for kpi in dict.fromkeys(value.id for value in made.history):
        row = [values[kpi, month] for month in made.quarters]
        table.add_row(row[-1].title, *(value_text(value) or "—" for value in row))
    out.print(table)


def _print_deals(out: Console, made: Audit) -> None:
    out.print("\nWins and losses of the trailing four quarters")
    table = Table(box=None, pad_edge=False)
    for name in ("by", "", "won", "lost", "win rate", "ARR won", "ARR lost"):
        table.add_column(name, justify="left" if name in ("by", "") else "right")
    for group in made.groups:
        closed = group.won + group.lost
        table.add_row(
            group.by,
            plain(group.name, 60),
            f"{group.won:,}",
            f"{group.lost:,}",
            "" if group.by == "loss reason" else percent(group.won / closed),
            money_short(group.value_won, made.currency),
            money_short(group.value_lost, made.currency),
        )
    out.print(table)
    over = sum(pilot.age > made.pilot_limit for pilot in made.pilots)
    out.print(f"\nPilots: {len(made.pilots):,} running, {over:,} for longer than {made.pilot_limit} days")
    for pilot in made.pilots[:_PILOTS]:
        out.print(
            f"  {plain(pilot.name, 80)} ({pilot.external_id}): {quantity(pilot.age, 'days', '')}, since {pilot.since}"
        )
    if len(made.pilots) > _PILOTS:
        out.print(f"  and {len(made.pilots) - _PILOTS} more; all of them with --json")


def _print_judgement(out: Console, made: Audit) -> None:
    out.print("\nWhat no CRM tells")
    for title, text in (("sales methodology", made.methodology), ("compensation", made.compensation)):
        missing = f"not noted yet (engagement: {title.rpartition(' ')[2]} in the configuration)"
        out.print(f"  {title}: {plain(text, 500) if text else missing}")
    for question in made.questions:
        out.print(f"  ask: {question}")
    if made.fit:
        out.print("\nFit")
    for warning in made.fit:
        out.print(f"  {warning.level}: {plain(warning.sentence, 400)}")
    out.print("\nPlan for 90 days")
    for step in made.plan:
        now = value_text(step.now) or "not computable"
        out.print(f"  {step.title}: {now}; target: {step.target or 'none given, agree on one'}")
        for text in step.look_at:
            out.print(f"    {text}")
    if made.findings:
        out.print("\nWhat to look at")
    for number, finding in enumerate(made.findings, 1):
        out.print(f"  {number}. {plain(finding.sentence, 800)}")
