"""Numbers as they were handed over, frozen; and what has become of them since.

A snapshot holds every KPI of one month for the whole company, the win rates that were printed by segment, and the
records behind each number. It is written before anything is posted and never changed; ``deliveries`` says which were
posted. A later report computes those months again, as known now, and prints what differs with the records that made
the difference: a past number is restated, never silently replaced (definition book, R9 and R10).

Not compared are ``field_completeness`` and ``data_cleanliness``: they say how good the records are today, also about a
past month (rulings 35 and 37), so they move by nature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Final

import orjson
import polars as pl

from metrics import compute
from metrics.board import Frozen, RecordChange, Restatement
from metrics.facts import Facts
from metrics.inputs import other_settings, settings_of
from metrics.judge import Judge
from metrics.kpi import KpiValue
from metrics.render.safe import record_url
from pipeline.reader import SNAPSHOT_EVIDENCE, SNAPSHOT_VALUES
from pipeline.records import Published
from pipeline.transaction import Transaction

PRINTED_CUTS: Final = {"win_rate": "size"}  # KPI -> how the report also cuts it
_OF_TODAY: Final = ("field_completeness", "data_cleanliness")
_SAME: Final = 1e-9  # relative: below it two computations of a ratio are one
_SHOWN: Final = 10  # records of one restatement


def freeze(facts: Facts, month: str, judge: Judge, playbook: str) -> Frozen:
    """Every number of a month of the facts, exactly, with the records behind it."""
    values = [value for value in _values(facts, judge) if value.month == month]
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


def _values(facts: Facts, judge: Judge | None = None) -> Iterator[KpiValue]:
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


def restatements(
    published: Iterable[Published], facts: Facts, links: Mapping[str, str]
) -> tuple[Restatement, ...]:
    """What was published of the facts' months and is another number now, the latest month first."""
    mine = [one for one in published if one.month in facts.months]
    if not mine:
        return ()
    now: dict[tuple[str, str, str, str], KpiValue] = {}
    for computed in _values(facts):
        cut, segment = next(iter(computed.segment.items()), ("", ""))
        now[computed.month, computed.id, cut, segment] = computed
    found = [
        _restated(one, row, value, facts, links)
        for one in sorted(mine, key=lambda one: one.month, reverse=True)
        for row in one.values.iter_rows(named=True)
        if row["kpi"] not in _OF_TODAY
        if (value := now.get((one.month, row["kpi"], row["cut"], row["segment"]))) is not None
        if not _equal(row["value"], value.value) or one.currency != value.currency
    ]
    return tuple(found)


def _equal(before: str | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is None and after is None
    return abs(Decimal(before) - Decimal(repr(after))) <= Decimal(_SAME) * max(
        abs(Decimal(before)), Decimal(1)
    )


def _restated(
    one: Published, row: Mapping[str, Any], value: KpiValue, facts: Facts, links: Mapping[str, str]
) -> Restatement:
    records: Sequence[RecordChange] = ()
    if not row["cut"]:
        kpi = compute.registered()[value.id]
        before = one.evidence.filter(kpi=value.id)
        records = _changed(before, compute.evidence(facts, kpi, one.month), links)
    return Restatement(
        kpi=value.id,
        title=value.title,
        segment=row["segment"],
        month=one.month,
        unit=value.unit,
        currency=value.currency,
        published=None if row["value"] is None else float(row["value"]),
        published_at=one.posted_at,
        now=value.value,
        reasons=value.reasons,
        other_definition=row["definition"] if row["definition"] != value.definition else None,
        other_settings=other_settings(one.definitions, settings_of(facts.company, facts.info)),
        other_currency=one.currency if one.currency != value.currency else None,
        contribution_unit=value.parts[0] or value.unit,
        records=tuple(records[:_SHOWN]),
        total=len(records),
    )


def _changed(before: pl.DataFrame, after: pl.DataFrame, links: Mapping[str, str]) -> Sequence[RecordChange]:
    """Records whose contribution is another one now, the largest difference first; null: not among them."""
    key = ["object", "external_id"]
    then = before.group_by(key).agg(
        was=pl.col("contribution").cast(pl.Float64).sum(), there=pl.lit(value=True)
    )
    now = (
        after.with_columns(pl.col(name).fill_null("") for name in key)
        .group_by(key)
        .agg(pl.col("name").first(), now=pl.col("contribution").sum(), here=pl.lit(value=True))
    )
    both = then.join(now, on=key, how="full", coalesce=True).with_columns(
        was=pl.when("there").then("was"), now=pl.when("here").then("now")
    )
    step = (pl.col("now").fill_null(0) - pl.col("was").fill_null(0)).abs()
    moved = (
        both.with_columns(step=step)
        .filter((pl.col("step") > _SAME) | (pl.col("there").is_null() != pl.col("here").is_null()))
        .sort("step", "external_id", descending=[True, False])
    )
    return [
        RecordChange(
            name=row["name"] or "",
            external_id=row["external_id"],
            before=row["was"],
            after=row["now"],
            url=record_url(links.get(row["object"]), row["external_id"]),
        )
        for row in moved.iter_rows(named=True)
    ]
