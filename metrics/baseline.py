"""The baseline of an engagement: every KPI as it was known when the engagement began, frozen once and never moved.

Its month is the last full month before ``engagement_start``; ``known_at`` is the last instant before that day in the
company's time zone. It is rebuilt from the CRM's history, so it can be taken later than that day, and it is kept as a
snapshot (``metrics.snapshot``): what the CRM says afterwards of that time changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import polars as pl

from connectors.errors import BoardlineError, ConfigurationError
from metrics import snapshot
from metrics.board import Frozen
from metrics.facts import Facts
from metrics.judge import Judge
from metrics.period import month_of, shift
from metrics.playbook import Playbook
from pipeline import database
from pipeline.company import Company
from pipeline.records import SourceInfo
from pipeline.store import Store


@dataclass(frozen=True)
class Number:
    """One KPI of the baseline; ``value`` null with ``reason``. Money in minor units of the baseline's currency."""

    value: float | None
    reason: str | None
    definition: str
    status: str


@dataclass(frozen=True)
class Baseline:
    """``taken_at`` None: it could not be frozen, and ``note`` says why."""

    month: str
    known_at: datetime
    taken_at: datetime | None
    digest: str
    currency: str
    numbers: Mapping[str, Number]
    note: str | None = None

    def number(self, kpi: str) -> Number:
        """One of its KPIs; without value where it is not part of it."""
        missing = Number(None, "it was not computed when the baseline was frozen", "", "not_computable")
        return self.numbers.get(kpi, missing)


def month_and_moment(company: Company) -> tuple[str, datetime]:
    """The baseline's month and the moment it is known at.

    Raises ``ConfigurationError`` where the company has no ``engagement_start``.
    """
    start = company.engagement_start
    if start is None:
        raise ConfigurationError(
            f"companies.{company.name}.engagement_start is not set, so there is no baseline to compare with; "
            "write the day on which the CRO began, such as 2026-06-01"
        )
    midnight = datetime.combine(start, time(), tzinfo=company.zone)
    return shift(month_of(start), -1), midnight.astimezone(UTC) - timedelta(microseconds=1)


def frozen(store: Store, company: Company, book: Playbook, now: datetime) -> Baseline:
    """The baseline as it was frozen; it is taken and frozen now where that has not been done.

    A CRM that was not read to its end, or a store that cannot be written, gives one that is not frozen. Raises
    ``ConfigurationError`` where the engagement has no beginning or has not begun.
    """
    month, known_at = month_and_moment(company)
    if known_at >= now:
        raise ConfigurationError(
            f"companies.{company.name}.engagement_start: the engagement begins on {company.engagement_start}; "
            "ask again from that day on"
        )
    with store.reading() as reader:
        kept = reader.kept_snapshot(company.name, month, known_at)
        if kept is not None:
            return Baseline(month, known_at, kept.taken_at, kept.digest, kept.currency, _numbers(kept.values))
        months = [shift(month, -back) for back in book.looks_back]
        facts = Facts.load(reader, company, months, known_at)
    taken = snapshot.freeze(facts, month, Judge(book), book.name)
    numbers = _numbers(taken.values)
    note = _keep(store, taken, facts.info, now)
    return Baseline(month, known_at, None if note else now, taken.digest, taken.currency, numbers, note)


def _keep(store: Store, taken: Frozen, info: SourceInfo | None, now: datetime) -> str | None:
    """Freeze it; else why that was not done."""
    if info is None or info.incomplete:
        return "not frozen: the CRM has not been read to its end yet; run `boardline sync --once` first"
    try:
        with store.transaction() as tx:
            snapshot.save(tx, taken, now)
    except BoardlineError as error:
        if not database.unwritable(error):
            raise
        return f"not frozen: {store.place} cannot be written by this user"
    return None


def _numbers(values: pl.DataFrame) -> Mapping[str, Number]:
    rows = values.filter(cut="").iter_rows(named=True)
    return {
        row["kpi"]: Number(
            None if row["value"] is None else float(row["value"]),
            row["reasons"] if row["value"] is None else None,
            row["definition"],
            row["status"],
        )
        for row in rows
    }
