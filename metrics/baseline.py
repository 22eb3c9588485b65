"""The baseline of an engagement: every KPI as it was known when the engagement began, frozen once and never moved.

Its month is the last full month before ``engagement_start``; ``known_at`` is the last instant before that day in the
company's time zone. It is rebuilt from the CRM's history, so it can be taken later than that day, and it is kept as a
snapshot (``metrics.snapshot``), one for its month and one for the last full quarter before: what the CRM says
afterwards of that time changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import polars as pl

from connectors.errors import BoardlineError, ConfigurationError
from metrics import snapshot
from metrics.board import Frozen
from metrics.facts import Facts
from metrics.judge import Judge
from metrics.period import Calendar, month_first, month_last, month_of, shift
from metrics.playbook import Playbook
from pipeline import database
from pipeline.company import Company
from pipeline.reader import Reader
from pipeline.records import KeptSnapshot
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
    """``quarter``: the last month of the last full fiscal quarter by then, for what an unfinished quarter cannot give.

    ``taken_at`` None: it could not be frozen, and ``note`` says why.
    """

    month: str
    quarter: str
    known_at: datetime
    taken_at: datetime | None
    digest: str
    currency: str
    numbers: Mapping[tuple[str, str], Number]  # (KPI, month)
    note: str | None = None

    def number(self, kpi: str, month: str) -> Number:
        """One of its KPIs; without value where it is not part of it."""
        missing = Number(None, "it was not computed when the baseline was frozen", "", "not_computable")
        return self.numbers.get((kpi, month), missing)


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


def full_quarter(company: Company, month: str) -> str:
    """The last month of the last fiscal quarter that is over at the end of a month."""
    at = datetime.combine(month_last(month), time(), tzinfo=UTC)
    calendar = Calendar(company.zone, at, company.fiscal_year_start_month)
    ends = (shift(month, -back) for back in range(3))
    return next(end for end in ends if calendar.quarter(month_first(end)).last == month_last(end))


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
    quarter = full_quarter(company, month)
    with store.reading() as reader:
        kept = {each: reader.kept_snapshot(company.name, each, known_at) for each in {month, quarter}}
        missing = sorted(each for each, one in kept.items() if one is None)
        taken = _taken(reader, company, book, missing, known_at)
    note = _keep(store, list(taken.values()), known_at, now) if taken else None
    values = {each: one.values for each, one in (*kept.items(), *taken.items()) if one is not None}
    whole = kept[month] or taken[month]
    since = whole.taken_at if isinstance(whole, KeptSnapshot) else None if note else now
    return Baseline(month, quarter, known_at, since, whole.digest, whole.currency, _numbers(values), note)


def _taken(
    reader: Reader, company: Company, book: Playbook, months: Sequence[str], known_at: datetime
) -> Mapping[str, Frozen]:
    """Month -> its numbers as known at a moment, rebuilt now."""
    if not months:
        return {}
    back = {shift(month, -earlier) for month in months for earlier in book.looks_back}
    facts = Facts.load(reader, company, sorted(back), known_at)
    return {month: snapshot.freeze(facts, month, Judge(book), book.name) for month in months}


def _keep(store: Store, taken: Sequence[Frozen], known_at: datetime, now: datetime) -> str | None:
    """Freeze them; else why that was not done."""
    info = store.source_info(taken[0].company)
    if info is None or info.incomplete:
        return "not frozen: the CRM has not been read to its end yet; run `boardline sync --once` first"
    if any(one.known_at != known_at for one in taken):
        return "not frozen: the CRM has not been read since the engagement began; run `boardline sync --once`"
    try:
        with store.transaction() as tx:
            for one in taken:
                snapshot.save(tx, one, now)
    except BoardlineError as error:
        if not database.unwritable(error):
            raise
        return f"not frozen: {store.place} cannot be written by this user"
    return None


def _numbers(values: Mapping[str, pl.DataFrame]) -> Mapping[tuple[str, str], Number]:
    """``values``: month -> the rows of its snapshot."""
    return {
        (row["kpi"], month): Number(
            None if row["value"] is None else float(row["value"]),
            row["reasons"] if row["value"] is None else None,
            row["definition"],
            row["status"],
        )
        for month, rows in values.items()
        for row in rows.filter(cut="").iter_rows(named=True)
    }
