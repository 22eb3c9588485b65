"""What ``boardline kpis --definitions`` prints: every KPI as it is defined here, and the other ways beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from metrics import definitions
from metrics.definitions import Defined, Way
from metrics.facts import Facts
from metrics.playbook import applied
from metrics.render.numbers import quantity, value_text
from metrics.render.safe import plain
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.invocation import Invocation, moment, month_of


def one(
    run: Invocation,
    app: App,
    company: CompanyConfig,
    month: str | None,
    as_of: str | None,
    kpis: Sequence[str],
) -> dict[str, Any]:
    """The document of one company, printed as tables unless JSON is asked for; without values before the first sync."""
    facts = None
    company = applied(company)
    known_at = moment(as_of, company.zone)
    wanted = month_of(month, known_at, company.zone)
    if app.last_read(company) is not None:
        app.require_synced(company)
        facts = Facts.load(app.store, company, [wanted], known_at)
    found = definitions.defined(company, kpis, wanted, known_at, facts)
    if not run.json:
        known = f"known at {known_at.astimezone(company.zone):%Y-%m-%d %H:%M %Z}"
        title = f"{company.name}, {wanted}, {known if facts else f'{definitions.UNSYNCED}: no values'}"
        run.out.print(_numbers(title, found, facts))
        run.out.print(_settings(found))
    return definitions.as_json(found, company.name, wanted, facts)


def _numbers(title: str, found: Sequence[Defined], facts: Facts | None) -> Table:
    """One row for each KPI, and below it one for each way that the company wants beside it."""
    table = _table(title, "id", "title", "unit", "covers", "value", "definition in force")
    table.columns[4].justify = "right"
    for each in found:
        table.add_row(
            each.kpi.id,
            each.kpi.title,
            each.kpi.unit,
            each.covers,
            _value(each),
            plain(each.definition, 400),
        )
        for way in each.ways:
            if way.beside and facts is not None:
                table.add_row("", "", "", "", _number(each, way, facts), f"beside it, {_written(way)}")
    return table


def _value(each: Defined) -> str:
    """The number of the month, and whether it can be trusted."""
    value = each.value
    if value is None:
        return ""
    doubt = f" {value.status}" if value.status in ("unreliable", "low_sample") else ""
    return f"{value_text(value) or 'not computable'}{doubt}"


def _number(each: Defined, way: Way, facts: Facts) -> str:
    return "not computable" if way.value is None else quantity(way.value, each.kpi.unit, facts.currency)


def _written(way: Way) -> str:
    """``retention.nrr: flow``: what to write, and what the number is then."""
    choice = way.alternative
    return f"{choice.setting}: {definitions.words(choice.value)} ({choice.means})"


def _settings(found: Sequence[Defined]) -> Table:
    """One row for each way that a setting offers, the one in force marked, with the KPIs it makes another number of."""
    in_force = {path: value for each in found for path, value in each.settings.items()}
    table = _table("\nThe settings that decide", "setting", "value", "", "means", "of")
    for path, ways in definitions.by_setting(each.kpi for each in found).items():
        named, told = path, ""
        for way, kpis in ways.items():
            free, of = way.value is None, ", ".join(kpis)
            table.add_row(
                named,
                plain(definitions.words(in_force[path] if free else way.value), 200),
                "in force" if free or way.value == in_force[path] else "",
                way.means,
                "" if of == told else of,
            )
            named, told = "", of
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
