"""The tables for BI tools: every KPI, the ARR bridge by customer, data quality and the calendar, as computed now.

They hold what ``boardline kpis`` prints for the last 36 months, and are written anew as a whole: nothing in them is
older than the last sync. Numbers that were handed over to a board are elsewhere, and frozen (``metrics.snapshot``).
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from importlib.metadata import version
from typing import Any, Final

import orjson
import polars as pl

from connectors.schema import UTC, exponent
from metrics import compute
from metrics.bridge import MOVEMENTS
from metrics.facts import Facts
from metrics.inputs import settings_of
from metrics.judge import Judge
from metrics.kpi import CUTS, KpiValue, Unit
from metrics.kpi_ids import MONEY
from metrics.period import month_first, month_of, shift
from metrics.playbook import Playbook
from pipeline import computed
from pipeline.company import Company
from pipeline.store import Store

MONTHS: Final = 36
_LOSSES: Final = ("contraction", "churn")  # positive where they are computed, negative in a sum
_AHEAD: Final = 400  # days of the calendar after today


def refresh(store: Store, company: Company, playbook: Playbook, now: datetime) -> bool:
    """Compute and write them all, in one transaction, unless they are up to date; returns whether they were written.

    They are out of date when rows were written since, when the company's definitions, its input files or the playbook
    changed, when a new local day began, and when something else has taken rows out of them. A company that was never
    synced has none.
    """
    today = now.astimezone(company.zone).date()
    months = [shift(month_of(today), back) for back in range(1 - MONTHS, 1)]
    wanted = _stands_for(company, playbook, today)
    with store.reading() as reader:
        info = reader.source_info(company.name)
        if info is None:
            return False
        if info.computed_for == wanted and not any(computed.faults(reader.connection, company.name)):
            return False
        facts = Facts.load(reader, company, months, now)
    frames = {
        "kpi_monthly": kpis(facts, Judge(playbook)),
        "arr_movements": movements(facts),
        "quality_monthly": quality(facts),
        "calendar_days": calendar(facts),
    }
    with store.transaction() as tx:
        for name, frame in frames.items():
            tx.replace(name, company.name, frame)
        tx.mark_computed(company.name, info.source, wanted)
    return True


def _stands_for(company: Company, playbook: Playbook, today: date) -> str:
    """One text for everything beside the rows that the numbers depend on."""
    parts = [settings_of(company), playbook.model_dump(mode="json"), today, version("boardline")]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:16]


def kpis(facts: Facts, judge: Judge) -> pl.DataFrame:
    """Every KPI for the whole company and by every cut: see ``pipeline.tables.bi.KpiMonth``."""
    rows = [_kpi(value) for value in compute.compute(facts, cuts=(None, *CUTS), judge=judge)]
    return pl.DataFrame(
        rows,
        schema={
            "month": pl.String,
            "kpi": pl.String,
            "cut": pl.String,
            "segment": pl.String,
            "title": pl.String,
            "period": pl.String,
            "value": pl.Float64,
            "value_minor": pl.Int64,
            "numerator": pl.Float64,
            "denominator": pl.Float64,
            "unit": pl.String,
            "currency": pl.String,
            "n": pl.Int64,
            "status": pl.String,
            "target": pl.String,
            "reasons": pl.String,
            "definition": pl.String,
            "known_at": UTC,
        },
        orient="row",
    )


def _kpi(value: KpiValue) -> tuple[Any, ...]:
    cut, segment = next(iter(value.segment.items()), ("", ""))
    top, bottom = value.parts
    return (
        value.month,
        value.id,
        cut,
        segment,
        value.title,
        value.period,
        _major(value.value, value.unit, value.currency),
        round(value.value) if value.unit == "currency" and value.value is not None else None,
        _major(value.numerator, top, value.currency),
        _major(value.denominator, bottom, value.currency),
        value.unit,
        value.currency,
        value.n,
        value.status,
        value.target,
        "; ".join(value.reasons) or None,
        value.definition,
        value.known_at,
    )


def _major(value: float | None, unit: Unit | None, currency: str) -> float | None:
    """As it is printed: money in major units, rounded to the minor one."""
    return round(value) / 10 ** exponent(currency) if value is not None and unit in MONEY else value


def movements(facts: Facts) -> pl.DataFrame:
    """The bridge by customer and product: see ``pipeline.tables.bi.ArrMovement``. Rows of nothing are left out."""
    steps = ["prev_own", *MOVEMENTS, "fx", "now"]
    names = {"prev_own": "opening", "now": "closing"}
    signed = compute.bridge_detail(facts).with_columns(-pl.col(loss) for loss in _LOSSES)
    return (
        signed.unpivot(
            steps,
            index=["month", "customer", "product", "name", "product_name"],
            variable_name="movement",
            value_name="amount_minor",
        )
        .filter(pl.col("amount_minor") != 0)
        .select(
            "month",
            pl.col("customer").fill_null(""),
            pl.col("product").fill_null(""),
            pl.col("movement").replace(names),
            "amount_minor",
            customer_name="name",
            product_name="product_name",
            amount=pl.col("amount_minor") / 10 ** exponent(facts.currency),
            currency=pl.lit(facts.currency),
            known_at=pl.lit(facts.known_at, UTC),
        )
    )


def quality(facts: Facts) -> pl.DataFrame:
    """Completeness and cleanliness by month: see ``pipeline.tables.bi.QualityMonth``."""
    rows: list[tuple[Any, ...]] = []
    for month in facts.months:
        complete, clean = facts.completeness[month], facts.cleanliness[month]
        rows.append((month, "completeness", "", complete.ratio, complete.filled, complete.required))
        rows += [
            (month, "completeness", f"{one.object}.{one.field}", one.ratio, one.filled, one.required)
            for one in complete.fields
            if one.measurable
        ]
        rows.append((month, "cleanliness", "", clean.score, None, None))
        rows += [(month, "faulty", part.id, part.share, part.faulty, part.total) for part in clean.parts]
    schema = {
        "month": pl.String,
        "measure": pl.String,
        "field": pl.String,
        "value": pl.Float64,
        "counted": pl.Int64,
        "total": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(known_at=pl.lit(facts.known_at, UTC))


def calendar(facts: Facts) -> pl.DataFrame:
    """The company's days, from its first deal or the first month on: see ``pipeline.tables.bi.CalendarDay``."""
    known_day = facts.calendar.known_day
    created = facts.raw("deals").select(facts.calendar.local_day(pl.col("created_at")).min()).item()
    first: date = min(created or known_day, month_first(facts.months[0]))
    days = pl.date_range(first, known_day + timedelta(days=_AHEAD), eager=True)
    last = [facts.calendar.end_of(day) - timedelta(microseconds=1) for day in days]
    return pl.DataFrame({"day": days, "ends_at": last}, schema={"day": pl.Date, "ends_at": UTC})
