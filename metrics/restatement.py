"""What has become of published numbers: those that are others now, with the records and the causes.

A later report computes published months again, as known now, and prints what differs: a past number is restated, never
silently replaced (definition book, R9 and R10). For each it compares the records that were frozen with the number with
those of today, and asks the store what happened to each in between (``metrics.happenings``, ``metrics.causes``).

Not compared are ``field_completeness`` and ``data_cleanliness``: they say how good the records are today, also about a
past month (rulings 35 and 37), so they move by nature. Nor is what was published later than the facts are known at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import polars as pl

from connectors.schema import iso
from metrics import causes, compute, happened, happenings, revisions, snapshot
from metrics.board import CauseShare, RecordChange, Restatement
from metrics.change_words import Words
from metrics.facts import Facts
from metrics.inputs import other_settings, settings_of
from metrics.kpi import Kpi, KpiValue
from metrics.kpi_ids import MONEY
from metrics.period import month_last
from metrics.words import UNKNOWN
from pipeline.recorded import Recorded
from pipeline.records import Published

_OF_TODAY: Final = ("field_completeness", "data_cleanliness")
_SAME: Final = 1e-9  # relative: below it two computations of a ratio are one
_SHOWN: Final = 10  # records of one restatement
_CENT: Final = 0.5  # minor units: sums of parts that were rounded one by one
_FILES: Final = "inputs: "
_KEY: Final = ["object", "external_id"]


def restatements(
    published: Iterable[Published],
    facts: Facts,
    links: Mapping[str, str],
    recorded: Recorded | None = None,
) -> tuple[Restatement, ...]:
    """What was published of the facts' months and is another number now, the latest month first.

    ``recorded``: what the store heard of since the first of them; without it the CRM's own clock alone tells what is
    new.
    """
    mine = [one for one in published if one.month in facts.months and one.known_at <= facts.known_at]
    if not mine:
        return ()
    now: dict[tuple[str, str, str, str], KpiValue] = {}
    for computed in snapshot.values_of(facts):
        cut, segment = next(iter(computed.segment.items()), ("", ""))
        now[computed.month, computed.id, cut, segment] = computed
    found = []
    for one in sorted(mine, key=lambda one: one.month, reverse=True):
        compared = _Compared(one, facts, links, recorded or Recorded())
        found += [
            compared.restated(row, value)
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


@dataclass
class _Compared:
    """One month's published numbers beside those of today; what happened since is looked up once for all of them."""

    one: Published
    facts: Facts
    links: Mapping[str, str]
    recorded: Recorded

    def __post_init__(self) -> None:
        day = min(month_last(self.one.month), self.one.known_at.astimezone(self.facts.company.zone).date())
        self.then = happened.Then(
            self.one.known_at,
            self.one.taken_at,
            day,
            self.one.evidence.select("object", "external_id").unique(),
            self.recorded,
        )
        self.settings = other_settings(self.one.definitions, settings_of(self.facts.company, self.facts.info))
        self._happened: pl.DataFrame | None = None
        self._places: dict[tuple[str, str], pl.DataFrame] = {}

    @property
    def happened(self) -> pl.DataFrame:
        """Asked for by the first number that is another one now."""
        if self._happened is None:
            self._happened = happenings.since(self.facts, self.then)
        return self._happened

    @cached_property
    def facts_then(self) -> Facts:
        """What is known now of what was known then: in which segment a record lay when the number was published."""
        facts = self.facts
        return Facts(
            facts.company, [self.one.month], self.one.known_at, facts.raw_frames, facts.info, facts.unkept
        )

    def _evidence(self, kpi: Kpi, cut: str, segment: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The records behind a number when it was published, and those of today.

        Those of the whole were frozen; which of them were a segment's is told by where they lay then.
        """
        whole = self.one.evidence.filter(kpi=kpi.id)
        if not cut:
            return whole, compute.evidence(self.facts, kpi, self.one.month)
        after = compute.evidence(self.facts, kpi, self.one.month, cut)
        if (kpi.id, cut) not in self._places:
            then = compute.evidence(self.facts_then, kpi, self.one.month, cut)
            # Of a record that is not told of then (it was heard of late) where it lies today stands in.
            placed = pl.concat([frame.select(*_KEY, "segment") for frame in (then, after)])
            self._places[kpi.id, cut] = placed.with_columns(pl.col(_KEY).fill_null("")).unique(
                _KEY, keep="first", maintain_order=True
            )
        before = whole.join(self._places[kpi.id, cut], on=_KEY, how="left", maintain_order="left")
        mine = pl.col("segment").fill_null(UNKNOWN) == segment
        return before.filter(mine).drop("segment"), after.filter(segment=segment).drop("segment")

    def restated(self, row: Mapping[str, Any], value: KpiValue) -> Restatement:
        """One number, whole or of a segment."""
        kpi = compute.registered()[value.id].under(self.facts.company)
        definition = row["definition"] if row["definition"] != value.definition else None
        inputs = tuple(revisions.of_files(self.facts, kpi, self.then, self.settings))
        before, after = self._evidence(kpi, row["cut"], row["segment"])
        records = self._caused(kpi, before, after, self._otherwise(definition, inputs))
        shares = tuple(_shares(records, self._same_currency(value)))
        difference, unexplained = self._unexplained(row, value, before, after, shares)
        words = Words(self.facts)
        return Restatement(
            kpi=value.id,
            title=value.title,
            cut=row["cut"],
            segment=row["segment"],
            month=self.one.month,
            unit=value.unit,
            currency=value.currency,
            published=None if row["value"] is None else float(row["value"]),
            published_at=self.one.posted_at,
            now=value.value,
            reasons=value.reasons,
            other_definition=definition,
            other_settings=tuple(key for key in self.settings if not key.startswith(_FILES)),
            other_currency=self.one.currency if self.one.currency != value.currency else None,
            inputs=inputs,
            contribution_unit=value.parts[0] or value.unit,
            causes=shares,
            records=tuple(
                words.change(one, self.links) for one in records.head(_SHOWN).iter_rows(named=True)
            ),
            total=records.height,
            difference=difference,
            unexplained=unexplained,
        )

    def _same_currency(self, value: KpiValue) -> bool:
        return self.one.currency == value.currency

    def _otherwise(self, definition: str | None, inputs: tuple[str, ...]) -> str:
        """Why a record counts otherwise that nothing happened to."""
        settings = [key for key in self.settings if not key.startswith(_FILES)]
        reasons = {
            "input": inputs,
            "currency": self.one.currency != self.facts.currency,
            "definition": definition,
            "settings": settings,
        }
        return next((name for name, holds in reasons.items() if holds), "unknown")

    def _caused(self, kpi: Kpi, before: pl.DataFrame, after: pl.DataFrame, otherwise: str) -> pl.DataFrame:
        records = causes.moved(before, after)
        customers = self.facts.raw("deals").select("external_id", "account_id").join(
            self.facts.accounts.select("account_id", "customer"), on="account_id", how="left"
        )  # fmt: skip
        homes = customers.select("external_id", "customer")
        money = (kpi.parts[0] or kpi.unit) in MONEY
        caused = causes.decide(records, self.happened, homes, otherwise, money)
        return caused.join(
            _names(self.facts, after), on=["object", "external_id"], how="left", maintain_order="left"
        )

    def _unexplained(
        self,
        row: Mapping[str, Any],
        value: KpiValue,
        before: pl.DataFrame,
        after: pl.DataFrame,
        shares: tuple[CauseShare, ...],
    ) -> tuple[float | None, float | None]:
        """What the records have to explain, and what of it they do not; see ``Restatement``."""
        then, now = row["numerator"], value.numerator
        if value.parts[0] not in MONEY or not self._same_currency(value):
            return None, None
        if None in (then, now, row["value"], value.value):
            return None, None
        published, today = float(then), float(now or 0)
        told = before["contribution"].cast(pl.Float64)
        gaps = (sum(told.drop_nulls()) - published, sum(after["contribution"].drop_nulls()) - today)
        adds_up = max(map(abs, gaps)) <= _CENT
        # Of an average the records make the sum; an amount is itself their sum, or something is missing from them.
        if not adds_up and (value.unit != "currency" or value.denominator is not None):
            return None, None
        explained = sum(share.step or 0 for share in shares if share.cause != "unknown")
        return today - published, today - published - explained


def _names(facts: Facts, after: pl.DataFrame) -> pl.DataFrame:
    """object, external_id, name: of today's evidence, else of the record itself, also where it is gone."""
    key = ["object", "external_id"]
    told = [after.select(pl.col(column).fill_null("") for column in (*key, "name"))]
    for table in ("deals", "accounts", "contracts", "subscriptions"):
        told.append(
            facts.raw(table).select(
                object=pl.lit(table), external_id="external_id", name=pl.col("name").fill_null("")
            )
        )
    return pl.concat(told).unique(key, keep="first", maintain_order=True)


def _shares(records: pl.DataFrame, comparable: bool) -> Iterator[CauseShare]:
    """The causes, the largest sum first."""
    step = pl.col("now").fill_null(0) - pl.col("was").fill_null(0)
    changed = pl.col("cause") == "changed"
    grouped = (
        records.with_columns(
            step=step, field=pl.when(changed).then("field"), near=pl.col("through").is_not_null()
        )
        .group_by("cause", "object", "field", "near", maintain_order=True)
        .agg(pl.len().alias("records"), pl.col("step").sum(), size=pl.col("step").abs().sum())
        .sort("size", "records", descending=True, maintain_order=True)
    )
    for row in grouped.iter_rows(named=True):
        yield CauseShare(
            cause=row["cause"],
            object=row["object"],
            records=row["records"],
            step=row["step"] if comparable else None,
            field=row["field"],
            through=row["near"],
        )


def as_json(item: Restatement, printed: Callable[..., Any] = compute.printed) -> dict[str, Any]:
    """For ``report --json``: money as decimal text in major units."""
    unit, currency = item.contribution_unit, item.currency
    before = item.other_currency or currency
    return {
        "kpi": item.kpi,
        "month": item.month,
        "cut": item.cut or None,
        "segment": item.segment or None,
        "published": printed(item.published, item.unit, before),
        "published_at": iso(item.published_at),
        "published_currency": before,
        "now": printed(item.now, item.unit, currency),
        "unit": item.unit,
        "reasons": list(item.reasons),
        "other_definition": item.other_definition,
        "other_settings": list(item.other_settings),
        "inputs": list(item.inputs),
        "difference": printed(item.difference, unit, currency),
        "unexplained": printed(item.unexplained, unit, currency),
        "causes": [
            {
                "cause": share.cause,
                "field": share.field,
                "object": share.object,
                "records": share.records,
                "amount": printed(share.step, unit, currency),
                "through_customer": share.through,
            }
            for share in item.causes
        ],
        "records": [_record_json(record, item, printed) for record in item.records],
        "records_total": item.total,
        "contribution_unit": unit,
    }


def _record_json(record: RecordChange, item: Restatement, printed: Callable[..., Any]) -> dict[str, Any]:
    return {
        "object": record.object,
        "external_id": record.external_id,
        "name": record.name,
        "before": printed(record.before, item.contribution_unit, item.other_currency or item.currency),
        "after": printed(record.after, item.contribution_unit, item.currency),
        "cause": record.cause,
        "field": record.field,
        "old": record.old,
        "new": record.new,
        "at": iso(record.at) if record.at else None,
        "through": record.through,
        "url": record.url,
    }
