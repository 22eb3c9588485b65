"""Pipeline that is too thin: is it the top of the funnel, a stalled middle, or conversion?

Three numbers of the 91 days up to D, each against the mean of the four spans of 91 days before:

- top: amount of new and expansion deals created (each at the rate of its creation day), and how much of it is inbound;
- middle: share of the open new-business deals that move, that is, are in their stage for no longer than 1.5 times its
  median of the year before D (stages that fewer than five deals left have none, and their deals count as moving);
- conversion: won of the qualified new-business deals that closed.

The cause named is the one that fell most against its own norm. Records are the stalled deals for the middle, the deals
created for the top, the deals lost for conversion. Source: dev-tools document; definition book, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from metrics import stalls
from metrics.case import Case, Cause, Diagnosis, count, share
from metrics.finding import CausePart
from metrics.render import numbers
from metrics.sales import PIPELINE_TYPES

_SPAN = timedelta(days=91)
_SPANS = 4


@dataclass(frozen=True)
class _Part:
    """One part of the funnel now and as it usually is; ``records`` are behind it."""

    name: str
    now: float | None
    norm: float | None
    text: str
    records: pl.DataFrame
    unit: str

    @property
    def index(self) -> float | None:
        return None if self.now is None or not self.norm else self.now / self.norm


def find(case: Case) -> Cause | None:
    parts = [_top(case), _middle(case), _conversion(case)]
    known = [part for part in parts if part.index is not None]
    if not known:
        return None
    worst = min(known, key=lambda part: part.index or 0)
    fell = (worst.index or 0) < 1
    named = (
        f"the cause lies in {worst.name}"
        if fell
        else "none of the three is below its own norm of the year before"
    )
    # Where nothing fell the sentence rests on the weakest of the three that has records at all.
    behind = min(known, key=lambda part: (part.records.is_empty(), part.index or 0))
    told = worst if fell else behind
    return Cause(
        words=f"{named}; " + "; ".join(part.text for part in parts),
        parts=tuple(
            CausePart(f"{part.name.capitalize()}, against its norm", part.index, "ratio", part.text)
            for part in parts
        ),
        records=told.records,
        unit="currency" if told.unit == "currency" else "days" if told.unit == "days" else "count",
    )


def _spans(day: date) -> list[tuple[date, date]]:
    """The span that ends with the day, and those before it: (first, last)."""
    return [
        (day - _SPAN * (index + 1) + timedelta(days=1), day - _SPAN * index) for index in range(_SPANS + 1)
    ]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _top(case: Case) -> _Part:
    deals = case.facts.deals.filter(pl.col("deal_type").is_in(PIPELINE_TYPES)).with_columns(
        pl.col("amount").fill_null(0)
    )
    valued = case.facts.rates.convert(deals, "amount", "created_day", "value")
    now, *before = [
        valued.filter(pl.col("created_day").is_between(first, last)) for first, last in _spans(case.day)
    ]
    began = deals["created_day"].min()
    whole = [
        frame
        for frame, (first, _) in zip(before, _spans(case.day)[1:], strict=True)
        if isinstance(began, date) and began <= first
    ]
    value, norm = float(now["value"].sum()), _mean([float(frame["value"].sum()) for frame in whole])
    inbound = float(now.filter(pl.col("motion") == "inbound")["value"].sum())
    usual = f"usually {case.money(norm)}" if norm is not None else "nothing to compare with"
    return _Part(
        "the top of the funnel",
        value,
        norm,
        f"pipeline created in 91 days {case.money(value)} ({usual}; {share(inbound, value)} inbound)",
        now.select(
            object=pl.lit("deals"), external_id="external_id", name="name",
            contribution=pl.col("value").cast(pl.Float64),
            note=pl.format("created {}, {}", "created_day", pl.col("motion").fill_null("motion unknown")),
        ),
        "currency",
    )  # fmt: skip


def _middle(case: Case) -> _Part:
    year = case.day - timedelta(days=364)
    usual = stalls.medians(stalls.stage_times(case.facts, year, case.day)).filter(
        pl.col("n") >= case.facts.company.sales.stage_deals
    )
    limits = usual.select("stage", limit=pl.col("days") * case.facts.company.sales.stage_old)

    def standing(day: date) -> pl.DataFrame:
        rows = stalls.standing(case.facts, day).join(limits, on="stage", how="left")
        return rows.with_columns(stalled=(pl.col("age") > pl.col("limit")).fill_null(value=False))

    now, *before = [standing(last) for _, last in _spans(case.day)]
    moving = [1 - frame["stalled"].sum() / frame.height for frame in before if frame.height]
    stalled = now.filter("stalled")
    norm = _mean([float(value) for value in moving])
    text = f"{stalled.height:,} of {count(now.height, 'open deal')} stalled"
    return _Part(
        "a stalled middle",
        1 - stalled.height / now.height if now.height else None,
        norm,
        text + (f" (usually {numbers.percent(1 - norm, 0)})" if norm is not None else ""),
        stalled.select(
            object=pl.lit("deals"), external_id="external_id", name="name",
            contribution=pl.col("age").cast(pl.Float64),
            note=pl.format("{} days in {}, usually at most {}", "age", "label", pl.col("limit").round(0)),
        ),
        "days",
    )  # fmt: skip


def _conversion(case: Case) -> _Part:
    decided = case.facts.deals.filter(
        (pl.col("deal_type") == "new")
        & pl.col("outcome").is_in(["won", "lost"])
        & pl.col("qualified_day").is_not_null()
    ).with_columns(won=pl.col("outcome") == "won")
    spans = _spans(case.day)
    now = decided.filter(pl.col("outcome_day").is_between(*spans[0]))
    before = decided.filter(pl.col("outcome_day").is_between(spans[-1][0], spans[1][1]))
    rate = float(now["won"].sum() / now.height) if now.height else None
    norm = float(before["won"].sum() / before.height) if before.height else None
    text = f"{now['won'].sum():,} of {count(now.height, 'decided deal')} won"
    lost = now.filter(~pl.col("won"))
    return _Part(
        "conversion",
        rate,
        norm,
        text + (f" (usually {numbers.percent(norm, 0)})" if norm is not None else ""),
        lost.select(
            object=pl.lit("deals"), external_id="external_id", name="name", contribution=pl.lit(1.0),
            note=pl.format("lost {}: {}", "outcome_day", pl.col("loss_reason").fill_null("no reason given")),
        ),
        "count",
    )  # fmt: skip


DIAGNOSIS = Diagnosis("pipeline_funnel", "Top, middle or conversion", find)
