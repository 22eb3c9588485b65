"""How new and expansion deals stood at the end of any days: what was open then, and what had been won by then.

Everything is as it was known at each of those days: stage, close date, amount and its currency, and whether a deal was
won. What else a deal is (type, size, owner) is that of ``known_at``, and what has been deleted by then never was.

A deal's past is cut once into stretches in which it stood unchanged; a day is then a look-up, so that the number of
days costs next to nothing. Source: definition book, section 4, rulings 3, 5, 6, 20, 21, 26, 30.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from metrics import deals as deal_facts
from metrics import timeline
from metrics.facts import Facts
from metrics.period import Quarter, month_first
from metrics.sales import PIPELINE_TYPES
from pipeline import asof

_CURVE: Final = (1, 45, 75)  # days of the quarter on which a forecast is judged besides that of the snapshot
TRAILING: Final = 4  # quarters over which forecasts are judged together
PAST: Final = 8  # quarters of own history behind a forecast, at most
_PLACED: Final = ("pipeline", "stage", "close_date")
_BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)  # of deals of which nobody knows when they were created
_QUARTER: Final = timedelta(days=95)  # no quarter is longer, whatever the time zone does


def quarters(facts: Facts) -> list[Quarter]:
    """The fiscal quarters of the facts' months, the earliest first."""
    found = {facts.calendar.quarter(month_first(month)) for month in facts.months}
    return sorted(found, key=lambda quarter: quarter.first)


def moments(facts: Facts) -> pl.DataFrame:
    """Every day that a KPI of the months reads the pipeline at: see ``Calendar.moments``.

    D of each month; the days of ``curve`` in their quarters and the three before each; and the snapshot day of the
    eight quarters before all these.
    """
    return facts.once(_moments)


def curve(facts: Facts) -> tuple[int, ...]:
    """The days of the quarter on which a forecast is judged: 1, 21 (that of the snapshot), 45 and 75."""
    return tuple(sorted({*_CURVE, facts.calendar.snapshot_day}))


def judged(facts: Facts) -> list[Quarter]:
    """The quarters whose forecasts are judged: those of the months and the three before each, the earliest first."""
    found = {
        facts.calendar.quarter_back(quarter, back) for quarter in quarters(facts) for back in range(TRAILING)
    }
    return sorted(found, key=lambda quarter: quarter.first)


def _moments(facts: Facts) -> pl.DataFrame:
    calendar = facts.calendar
    own = {month: calendar.quarter(month_first(month)) for month in facts.months}
    recent = judged(facts)
    before = {calendar.quarter_back(quarter, back) for quarter in recent for back in range(1, PAST + 1)}
    days: list[tuple[Quarter, date]] = [(quarter, calendar.day(month)) for month, quarter in own.items()]
    days += [(quarter, quarter.nth(number)) for quarter in recent for number in curve(facts)]
    days += [(quarter, quarter.nth(calendar.snapshot_day)) for quarter in before]
    return calendar.moments(days)


def of_months(facts: Facts) -> pl.DataFrame:
    """The D of each month: month, quarter_first, at."""
    at = pl.DataFrame(
        {"month": list(facts.moments), "at": list(facts.moments.values())},
        schema={"month": pl.String, "at": pl.Datetime("us", "UTC")},
    )
    return facts.periods.select("month", "quarter_first").join(at, on="month", maintain_order="left")


def snapshots_of_months(facts: Facts) -> pl.DataFrame:
    """The snapshot day (21) of each month's quarter, where it is over: month, quarter_first, at."""
    return facts.periods.filter("snapshot_known").select("month", "quarter_first", at="snapshot_at")


def pipeline(facts: Facts) -> pl.DataFrame:
    """The open in-quarter pipeline on each of ``moments``: see ``open_at``."""
    return facts.once(_pipeline)


def _pipeline(facts: Facts) -> pl.DataFrame:
    return open_at(facts, moments(facts))


def wins(facts: Facts) -> pl.DataFrame:
    """What had been won in the quarter on each of ``moments``: see ``won_at``."""
    return facts.once(_wins)


def _wins(facts: Facts) -> pl.DataFrame:
    return won_at(facts, moments(facts))


def open_at(facts: Facts, days: pl.DataFrame, ahead: int = 0) -> pl.DataFrame:
    """Deals open at the end of each day that should close from that day on in its quarter (ruling 26).

    ``days``: from ``Calendar.moments``; with ``ahead`` also those that should close in so many quarters after it. One
    row per day and deal, with the columns of ``days``, those of the deal as of then (external_id, name, deal_type,
    pipeline, stage, stage_known, close_date, amount, currency, size, industry, motion, owner_id, unlogged, moved: when
    its stage last changed), ahead (0: the day's own quarter), and value (the amount at the day's rate, a blank one 0;
    null where its currency has no rate).
    """
    held = stretches(facts).filter(pl.col("outcome") == "open", pl.col("close_date").is_not_null())
    due = pl.col("close_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    near = held.with_columns(
        since=pl.max_horizontal("since", due - _QUARTER * (ahead + 1)),
        until=pl.min_horizontal("until", due + timedelta(days=3)),
    )
    rows = _on(near, days).filter(
        pl.col("close_date") >= pl.col("day"),
        pl.col("close_date") < pl.col("quarter_first").dt.offset_by(f"{3 * (ahead + 1)}mo"),
    )
    later = (pl.col("close_date") >= pl.col("quarter_first").dt.offset_by(f"{3 * back}mo") for back in (1, 2))
    counted = rows.with_columns(ahead=pl.sum_horizontal(*later).cast(pl.Int64))
    return _valued(facts, counted, "day").drop("outcome", "outcome_day")


def overdue_at(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """Deals open at the end of each day though their close date had passed; columns of ``open_at`` but ``ahead``."""
    held = stretches(facts).filter(pl.col("outcome") == "open", pl.col("close_date").is_not_null())
    due = pl.col("close_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    late = held.with_columns(since=pl.max_horizontal("since", due - timedelta(days=2)))
    rows = _on(late, days).filter(pl.col("close_date") < pl.col("day"))
    return _valued(facts, rows, "day").drop("outcome", "outcome_day")


def won_at(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """Deals that are known at the end of each day to have been won from the quarter's first day up to it.

    The day of a win is its close date, a converted pilot's its conversion, else the day it entered a won stage (which
    comes first with `sales.outcome_day: stage_entry`). Columns as in ``open_at`` but ``ahead``, and outcome_day; value
    is the amount at the rate of that day.
    """
    closed = pl.col("outcome_day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    held = stretches(facts).filter(pl.col("outcome") == "won", pl.col("outcome_day").is_not_null())
    near = held.with_columns(
        since=pl.max_horizontal("since", closed - timedelta(days=2)),
        until=pl.min_horizontal("until", closed + 2 * _QUARTER),
    )
    rows = _on(near, days).filter(pl.col("outcome_day").is_between("quarter_first", "day"))
    return _valued(facts, rows, "outcome_day").drop("outcome")


def _on(held: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    return timeline.in_force(held, days["at"]).drop("since", "until").join(days, on="at")


def _valued(facts: Facts, rows: pl.DataFrame, on: str) -> pl.DataFrame:
    """Adds what a deal is, and its amount as of ``at`` in the report's currency."""
    then = asof.set_back(rows.join(facts.once(_deals), on="external_id"), facts.changes, deal_facts.MONEY)
    filled = deal_facts.in_some_currency(then, facts.home_currency).with_columns(
        pl.col("amount").fill_null(0)
    )
    return facts.rates.convert(filled, "amount", on, "value").sort("at", "quarter_first", "external_id")


def _deals(facts: Facts) -> pl.DataFrame:
    """New and expansion deals: what of them is taken as it is, and the amount of now (kept by ``Facts.once``)."""
    # Both frames hold the same deals in the same order.
    traits = facts.deals.select("deal_type", "size", "industry", "motion", "unlogged")
    present = facts.raw_deals.select("external_id", "name", "owner_id", "currency", "amount")
    return pl.concat([present, traits], how="horizontal").filter(pl.col("deal_type").is_in(PIPELINE_TYPES))


def stretches(facts: Facts) -> pl.DataFrame:
    """Every stretch of time in which a new or expansion deal was open or won, and stood unchanged.

    Columns: external_id, since, until (not included; null: to this moment), pipeline, stage, stage_known, close_date,
    outcome (open | won), outcome_day, stage_moved (when its stage last changed, also later; null: never).
    """
    return facts.once(_stretches)


def _stretches(facts: Facts) -> pl.DataFrame:
    deals = facts.raw_deals.select(
        "external_id", "created_at", "is_closed", "is_won", "pilot", "pilot_converted", "amount", *_PLACED
    ).join(facts.once(_deals).select("external_id"), on="external_id", how="semi", maintain_order="left")
    begun = pl.col("created_at").fill_null(pl.lit(_BEGINNING))
    then = asof.steps(deals, facts.changes, _PLACED, _further(facts, deals), mark="stage")
    moved = then.filter("changed").group_by("who").agg(stage_moved=pl.col("at").max())
    lived = then.filter(pl.col("at") >= begun, pl.col("at") <= facts.known_at)
    staged = timeline.with_stage(lived, facts.stages).rename({"outcome": "stage_outcome"})
    judged = staged.join(moved, on="who", how="left", maintain_order="left")
    # The CRM's own flags speak of its present stage only.
    present = pl.col("stage_moved").is_null() | (pl.col("at") >= pl.col("stage_moved"))
    decided = judged.with_columns(
        *(pl.when(present).then(flag).alias(flag) for flag in ("is_closed", "is_won")),
        stage_known=pl.col("stage_outcome").is_not_null(),
    ).with_columns(stage_outcome=deal_facts.stage_outcome())
    mine = pl.col("who") == pl.col("who").shift(-1)
    ended = decided.with_columns(
        outcome=deal_facts.outcome(facts.calendar.local_day(pl.col("at")), facts.company),
        until=pl.when(mine).then(pl.col("at").shift(-1)),
    )
    return (
        _with_outcome_day(facts, ended)
        .filter(pl.col("outcome") != "lost")
        .select(
            "external_id", "until", "pipeline", "stage", "stage_known", "stage_moved", "close_date", "outcome",
            "outcome_day", since="at",
        )
    )  # fmt: skip


def _further(facts: Facts, deals: pl.DataFrame) -> pl.DataFrame:
    """external_id, at: when each of ``deals`` began, and the midnight on which it converted, if it did."""
    converted = deals.filter(pl.col("pilot") & pl.col("pilot_converted").is_not_null())
    days = converted.select("pilot_converted").unique()
    midnights = days.with_columns(
        at=pl.Series(
            [facts.calendar.end_of(day - timedelta(days=1)) for day in days["pilot_converted"]],
            dtype=pl.Datetime("us", "UTC"),
        )
    )
    return pl.concat(
        [
            deals.select("external_id", at=pl.col("created_at").fill_null(pl.lit(_BEGINNING))),
            converted.join(midnights, on="pilot_converted").select("external_id", "at"),
        ]
    )


def _with_outcome_day(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Adds outcome_day to stretches in order of deal and time: as ``metrics.deals.describe`` has it, as of each."""
    who, outcome = pl.col("who"), pl.col("stage_outcome")
    same = (who == who.shift(1)) & (outcome == outcome.shift(1))
    enters = pl.col("changed") & ~same.fill_null(value=False)
    # The last entry up to each stretch, unless that is another deal's.
    last = pl.when(enters).then(pl.int_range(pl.len())).forward_fill()
    entered = rows.with_columns(_entered=pl.when(who.gather(last) == who).then(pl.col("at").gather(last)))
    converted = deal_facts.conversion(facts.calendar.local_day(pl.col("at")))
    dated = ("close_date", facts.calendar.local_day(pl.col("_entered")))
    by_close = facts.company.sales.outcome_day == "close_date"
    decided = pl.coalesce(converted, *(dated if by_close else reversed(dated)))
    return entered.with_columns(outcome_day=pl.when(pl.col("outcome") == "won").then(decided))
