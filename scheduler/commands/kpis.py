"""``boardline kpis``: the numbers, for any month, as known at any moment."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import structlog
import typer
from rich.table import Table

from connectors.errors import ConfigurationError
from metrics import compute as metrics
from metrics.facts import Facts
from metrics.judge import Judge
from metrics.kpi import KpiValue
from metrics.playbook import KPI_IDS
from metrics.playbook import load as load_playbook
from metrics.render.numbers import undefined_text, value_text
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
    local,
    moment,
    month_of,
)

log = structlog.get_logger(__name__)
ORDER = tuple(name for name in KPI_IDS if name in metrics.registered())  # the definition book's


def command(
    month: MonthOption = None,
    as_of: AsOfOption = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Cut by size, industry, motion, product, owner or pipeline.")
    ] = None,
    evidence: Annotated[
        str | None, typer.Option("--evidence", help="The records behind this KPI instead.", metavar="KPI")
    ] = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compute the KPIs from the store; no CRM is called."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    if evidence is not None and evidence not in metrics.registered():
        raise ConfigurationError(
            f"--evidence: there is no KPI {evidence!r}; known are {', '.join(metrics.registered())}"
        )
    app = App.load(config, writes=False)
    companies = app.companies(company or ())
    app.open_store()
    documents, failures = for_each(
        companies,
        lambda settings: _one(run, app, settings, month=month, as_of=as_of, by=by, evidence=evidence),
    )
    run.finish(companies, documents, failures)


def _one(
    run: Invocation,
    app: App,
    company: CompanyConfig,
    *,
    month: str | None,
    as_of: str | None,
    by: str | None,
    evidence: str | None,
) -> dict[str, Any]:
    app.require_synced(company)
    known_at = moment(as_of, company.zone)
    wanted = month_of(month, known_at, company.zone)
    facts = Facts.load(app.store, company, (wanted,), known_at)
    if evidence is not None:
        judge = Judge(load_playbook(company.playbook))
        value = metrics.compute(facts, kpis=(evidence,), judge=judge)[0]
        document = _evidence(app, company, facts, value, wanted)
        if not run.json:
            _print_evidence(run, value, document)
        return document
    for fault in facts.input_faults:
        log.warning("a faulty input file: numbers that need it are not computable", fault=str(fault))
    values = metrics.compute(facts, ORDER, (by,), Judge(load_playbook(company.playbook)))
    if not run.json:
        _print(run, company, known_at, values)
    return metrics.as_json(values, company.name, known_at, facts.currency)


def _print(run: Invocation, company: CompanyConfig, known_at: datetime, values: list[KpiValue]) -> None:
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"{company.name}, as known at {local(known_at, company.zone)}"
    for name in ("KPI", "period", "segment"):
        table.add_column(name)
    table.add_column("value", justify="right")
    for name in ("n", "status", "why"):
        table.add_column(name, justify="right" if name == "n" else "left")
    for value in values:
        segment = plain(next(iter(value.segment.values()), ""))
        table.add_row(
            value.title,
            value.period,
            segment,
            value_text(value) or "not computable",
            "" if value.n is None else str(value.n),
            value.status,
            plain("; ".join(value.reasons), 300),
        )
    run.out.print(table)


def _evidence(app: App, company: CompanyConfig, facts: Facts, value: KpiValue, month: str) -> dict[str, Any]:
    info = app.store.source_info(company.name)
    document = metrics.as_json([value], company.name, facts.known_at, facts.currency)
    records = metrics.evidence(facts, metrics.registered()[value.id], month)
    return {
        **document["kpis"][0],
        "company": company.name,
        "known_at": document["known_at"],
        "currency": facts.currency,
        "evidence": [
            {
                **row,
                "contribution": metrics.printed(row["contribution"], value.parts[0], facts.currency),
                "url": info.link(row["object"], row["external_id"]) if info else None,
            }
            for row in records.iter_rows(named=True)
        ],
    }


def _print_evidence(run: Invocation, value: KpiValue, document: dict[str, Any]) -> None:
    number = value_text(value) or undefined_text(value)
    run.out.print(f"{value.id} {value.period}: {plain(number, 400)} ({value.definition})")
    table = Table(box=None, pad_edge=False)
    for name in ("object", "id", "name", "contribution", "note", "link"):
        table.add_column(name, justify="right" if name == "contribution" else "left")
    for row in document["evidence"]:
        contribution = "" if row["contribution"] is None else str(row["contribution"])
        table.add_row(
            row["object"],
            row["external_id"] or "",
            plain(row["name"]),
            contribution,
            plain(row["note"]),
            row["url"] or "",
        )
    run.out.print(table)
