"""Numbers as they were handed over, frozen.

A snapshot holds every KPI of one month for the whole company, the win rates that were printed by segment, and the
records behind each number. It is written before anything is posted and never changed; ``deliveries`` says which were
posted. What has become of the numbers since is told by ``metrics.restatement``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import orjson
import polars as pl

from metrics import compute
from metrics.board import Frozen
from metrics.facts import Facts
from metrics.inputs import settings_of
from metrics.judge import Judge
from metrics.kpi import KpiValue
from pipeline.reader import SNAPSHOT_EVIDENCE, SNAPSHOT_VALUES
from pipeline.transaction import Transaction

PRINTED_CUTS: Final = {"win_rate": "size"}  # KPI -> how the report also cuts it


def freeze(facts: Facts, month: str, judge: Judge, playbook: str) -> Frozen:
    """Every number of a month of the facts, exactly, with the records behind it."""
    values = [value for value in values_of(facts, judge) if value.month == month]
    evidence = [
        frame.select(
            kpi=pl.lit(name),
            line=pl.int_range(pl.len()).cast(pl.Int64),
            object=pl.col("object").fill_null(""),
            external_id=pl.col("external_id").fill_null(""),
            contribution=pl.col("contribution").map_elements(_exact, return_dtype=pl.String),
            note="note",
        )
        for name, kpi in compute.registered().items()
        if not (frame := compute.evidence(facts, kpi, month)).is_empty()
    ]
    return Frozen(
        company=facts.company.name,
        month=month,
        known_at=facts.known_at,
        currency=facts.currency,
        playbook=playbook,
        definitions=orjson.dumps(
            settings_of(facts.company, facts.info), option=orjson.OPT_SORT_KEYS
        ).decode(),
        values=pl.DataFrame([_row(value) for value in values], schema=SNAPSHOT_VALUES, orient="row"),
        evidence=pl.concat([pl.DataFrame(schema=SNAPSHOT_EVIDENCE), *evidence]),
    )


def values_of(facts: Facts, judge: Judge | None = None) -> Iterator[KpiValue]:
    """Every number that a snapshot holds, of all months of the facts."""
    yield from compute.compute(facts, judge=judge)
    for kpi, cut in PRINTED_CUTS.items():
        yield from compute.compute(facts, [kpi], (cut,), judge)


def _row(value: KpiValue) -> tuple[Any, ...]:
    cut, segment = next(iter(value.segment.items()), ("", ""))
    return (
        value.id,
        cut,
        segment,
        value.period,
        _exact(value.value),
        _exact(value.numerator),
        _exact(value.denominator),
        value.unit,
        value.n,
        value.status,
        value.target,
        "; ".join(value.reasons) or None,
        value.definition,
    )


def _exact(number: float | None) -> str | None:
    """Decimal text from which the same number is read again."""
    if number is None:
        return None
    return str(int(number)) if number == int(number) else repr(float(number))


def save(tx: Transaction, frozen: Frozen, now: datetime) -> str:
    """Keep a snapshot; the same numbers again are the same snapshot. Returns its digest."""
    digest = frozen.digest
    tx.save_snapshot(
        {
            "company": frozen.company,
            "month": frozen.month,
            "digest": digest,
            "known_at": frozen.known_at,
            "taken_at": now,
            "currency": frozen.currency,
            "playbook": frozen.playbook,
            "definitions": frozen.definitions,
            "program": version("boardline"),
        },
        frozen.values,
        frozen.evidence,
    )
    return digest
