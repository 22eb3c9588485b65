"""``boardline kpis``: the numbers, for any month, as known at any moment."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import structlog
import typer
from rich.table import Table

from connectors.errors import ConfigurationError
from metrics import compute as metrics
from metrics.diagnose import diagnose as look
from metrics.facts import Facts
from metrics.judge import Judge
from metrics.kpi import KpiValue
from metrics.period import shift
from metrics.playbook import KPI_IDS, applied
from metrics.playbook import load as load_playbook
from metrics.render.numbers import value_text
from metrics.render.safe import plain
from scheduler import kpi_definitions, kpi_evidence
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
    segment: Annotated[
        str | None,
        typer.Option("--segment", help="With --evidence and --by: of this segment alone.", metavar="NAME"),
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="What to look at: the playbook's diagnoses on these numbers.")
    ] = False,
    definitions: Annotated[
        bool,
        typer.Option("--definitions", help="How each KPI is defined here, and the other ways, side by side."),
    ] = False,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compute the KPIs from the store; no CRM is called."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    if segment is not None and not (by and evidence):
        raise ConfigurationError(
            "--segment opens one segment of a number; name both with --evidence and --by"
        )
    if diagnose and (by or evidence):
        raise ConfigurationError("--diagnose looks at the whole company; leave out --by and --evidence")
    if definitions and (by or evidence or diagnose):
        raise ConfigurationError(
            "--definitions compares whole numbers; leave out --by, --evidence and --diagnose"
        )
    if evidence is not None and evidence not in metrics.registered():
        raise ConfigurationError(
            f"--evidence: there is no KPI {evidence!r}; known are {', '.join(metrics.registered())}"
        )
    app = App.load(config, writes=False)
    companies = app.companies(company or ())
    app.open_store()
    if definitions:
        documents, failures = for_each(
            companies, lambda settings: kpi_definitions.one(run, app, settings, month, as_of, ORDER)
        )
        run.finish(companies, documents, failures)
    documents, failures = for_each(
        companies,
        lambda settings: _one(
            run, app, settings, month, as_of, by=by, evidence=evidence, segment=segment, diagnose=diagnose
        ),
    )
    run.finish(companies, documents, failures)


def _one(
    run: Invocation,
    app: App,
    company: CompanyConfig,
    month: str | None,
    as_of: str | None,
    *,
    by: str | None,
    evidence: str | None,
    segment: str | None,
    diagnose: bool,
) -> dict[str, Any]:
    app.require_synced(company)
    company = applied(company)
    known_at = moment(as_of, company.zone)
    wanted = month_of(month, known_at, company.zone)
    book = load_playbook(company.playbook)
    # A playbook may compare a month with earlier ones; a diagnosis looks at twelve months.
    earlier = (0,) if evidence else range(12 + 1) if diagnose else book.looks_back
    facts = Facts.load(app.store, company, [shift(wanted, -back) for back in earlier], known_at)
    if evidence is not None:
        return kpi_evidence.one(run, app, company, facts, Judge(book), evidence, wanted, by, segment)
    for fault in facts.input_faults:
        log.warning("a faulty input file: numbers that need it are not computable", fault=str(fault))
    values = [value for value in metrics.compute(facts, ORDER, (by,), Judge(book)) if value.month == wanted]
    document = metrics.as_json(values, company.name, facts.known_at, facts.currency)
    if diagnose:
        info = app.store.source_info(company.name)
        found = look(facts, wanted, book, info.links if info else {})
        document["findings"] = [finding.as_json(metrics.printed) for finding in found]
    if not run.json:
        _print(run, company, facts.known_at, values)
        if diagnose:
            _print_findings(run, document["findings"])
    return document


def _print(run: Invocation, company: CompanyConfig, known_at: datetime, values: list[KpiValue]) -> None:
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"{company.name}, as known at {local(known_at, company.zone)}"
    for name in ("KPI", "period", "segment"):
        table.add_column(name)
    table.add_column("value", justify="right")
    for name in ("n", "status", "why"):
        table.add_column(name, justify="right" if name == "n" else "left")
    for value in values:
        segment = plain("".join(f"{cut}: {name}" for cut, name in value.segment.items()))
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


def _print_findings(run: Invocation, findings: list[dict[str, Any]]) -> None:
    run.out.print(
        "\nWhat to look at" if findings else "\nNothing to look at: no diagnosis of the playbook applies."
    )
    for number, finding in enumerate(findings, 1):
        run.out.print(f"{number}. {plain(finding['sentence'], 800)}")
        run.out.print(f"   Next: {finding['next']}")
        for record in finding["records"]:
            amount = "" if record["contribution"] is None else f" {record['contribution']}"
            note = plain(record["note"], 200)
            run.out.print(f"   - {plain(record['name'])}{amount}: {note} {record['url'] or ''}".rstrip())
        if finding["records_total"] > len(finding["records"]):
            run.out.print(f"     {len(finding['records'])} of {finding['records_total']} records")
