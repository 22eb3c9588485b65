"""``boardline kpis --evidence``: the records behind a number, whole or segment by segment, with their links."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
from rich.table import Table

from connectors.errors import ConfigurationError
from metrics import compute as metrics
from metrics.facts import Facts
from metrics.judge import Judge
from metrics.kpi import KpiValue
from metrics.render.numbers import undefined_text, value_text
from metrics.render.safe import plain
from metrics.words import by_segment
from pipeline.records import SourceInfo
from scheduler.app import App
from scheduler.config import CompanyConfig
from scheduler.invocation import Invocation


def one(
    run: Invocation,
    app: App,
    company: CompanyConfig,
    facts: Facts,
    judge: Judge,
    kpi: str,
    month: str,
    by: str | None,
    segment: str | None,
) -> dict[str, Any]:
    """The document of one company, printed unless ``--json``.

    Whole: the number with its ``evidence``. With ``by``: ``segments``, each with its number and its ``evidence``.
    Raises ``ConfigurationError`` for a way the KPI cannot be cut, or a segment that it has not.
    """
    found = metrics.registered()[kpi]
    records = metrics.evidence(facts, found, month, by)
    values = [value for value in metrics.compute(facts, (kpi,), (by,), judge) if value.month == month]
    info = app.store.source_info(company.name)
    document = metrics.as_json(values, company.name, facts.known_at, facts.currency)
    about = {name: document[name] for name in ("company", "known_at", "currency")}
    if by is None:
        (value,) = values
        opened = {**document["kpis"][0], **about, "evidence": _rows(records, value, facts, info)}
        if not run.json:
            _print(run, value, opened["evidence"])
        return opened
    values += _without_value(values, records, by)
    names = [value.segment[by] for value in values]
    if segment is not None and segment not in names:
        raise ConfigurationError(
            f"--segment: {kpi} has no {by} {segment!r} in {month}; there are {', '.join(names)}"
        )
    wanted = [value for value in values if segment is None or value.segment[by] == segment]
    told = metrics.as_json(wanted, company.name, facts.known_at, facts.currency)["kpis"]
    for value, document_of in zip(wanted, told, strict=True):
        mine = records.filter(segment=value.segment[by]).drop("segment")
        document_of["evidence"] = _rows(mine, value, facts, info)
        if not run.json:
            _print(run, value, document_of["evidence"])
    return {**about, "kpi": kpi, "by": by, "month": month, "segments": told}


def _without_value(values: list[KpiValue], records: pl.DataFrame, by: str) -> list[KpiValue]:
    """Segments that hold only records which the number leaves out, so that it has no value of them."""
    known = {value.segment[by] for value in values}
    return [
        replace(
            values[0], segment={by: name}, value=None, numerator=None, denominator=None, n=0, target=None,
            status="not_computable", reasons=("all its records are left out",), verdict=None,
        )
        for name in records["segment"].unique().sort()
        if name not in known
    ]  # fmt: skip


def _rows(
    records: pl.DataFrame, value: KpiValue, facts: Facts, info: SourceInfo | None
) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "contribution": metrics.printed(row["contribution"], value.parts[0], facts.currency),
            "url": info.link(row["object"], row["external_id"]) if info else None,
        }
        for row in records.iter_rows(named=True)
    ]


def _print(run: Invocation, value: KpiValue, rows: list[dict[str, Any]]) -> None:
    number = value_text(value) or undefined_text(value)
    segment = plain(by_segment(value.segment))
    segment = f" {segment}" if segment else ""
    run.out.print(f"{value.id}{segment} {value.period}: {plain(number, 400)} ({value.definition})")
    table = Table(box=None, pad_edge=False)
    for name in ("object", "id", "name", "contribution", "note", "link"):
        table.add_column(name, justify="right" if name == "contribution" else "left")
    for row in rows:
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
