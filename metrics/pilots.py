"""Pilots: when they began, how they ended, and how long that took (definition book, section 3, R8, ruling 21)."""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.facts import Facts
from metrics.playbook import load
from metrics.words import in_days, in_percent, when_any

_NAMES: Final = r"(?i)\b(pilot|poc|pov|trial|proof of (concept|value))\b"


def limit(facts: Facts) -> int:
    """How many days a pilot may take."""
    given = facts.company.sales.poc_limit_days
    return given if given is not None else load(facts.company.playbook).poc_limit_days


def pilots(facts: Facts) -> pl.DataFrame:
    """Every pilot of the sales motion, as known now (kept by ``Facts.once``).

    A deal that got into a pilot stage, or says that it is a pilot, or when one began or converted. Columns: those of
    ``Facts.deals``; entry (local day of the first entry into a pilot stage, else the pilot's start; null where neither
    is known), result (converted | failed | open), decided (day of that result, null while open), days (from entry to
    decision) and left_out (why that is no duration, null where it is).

    Converted on its conversion date, or on the day the deal was won where it has none, unless the deal is lost. Failed
    on the day the deal was lost or the pilot's end was past without conversion, whichever came first.
    """
    known_day = pl.lit(facts.calendar.known_day)
    deals = facts.deals.filter(pl.col("deal_type").is_in(facts.company.sales.types)).join(
        _stage_entries(facts), on="external_id", how="left"
    )
    told = pl.col("pilot").fill_null(value=False) | pl.col("pilot_start").is_not_null()
    there = told | pl.col("pilot_converted").is_not_null() | pl.col("piloted").is_not_null()
    converted, failed = _ends(known_day)
    days = (pl.col("decided") - pl.col("entry")).dt.total_days()
    return (
        deals.filter(there)
        .with_columns(
            # Without stage history the present stage counts as entered on creation: then a date that was written down
            # is the better witness.
            entry=pl.when("unlogged")
            .then(pl.coalesce("pilot_start", "piloted"))
            .otherwise(pl.coalesce("piloted", "pilot_start")),
            decided=pl.coalesce(converted, failed),
            result=pl.when(converted.is_not_null())
            .then(pl.lit("converted"))
            .when(failed.is_not_null())
            .then(pl.lit("failed"))
            .otherwise(pl.lit("open")),
        )
        .with_columns(
            days=days,
            left_out=pl.when(pl.col("entry").is_null())
            .then(pl.lit("no known start"))
            .when(days < 0)
            .then(pl.lit("decided before it began")),
        )
        .sort("external_id")
    )


def _ends(known_day: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The days on which a pilot converted and failed; at most one of them is not null."""
    outcome = pl.col("outcome")
    conversion = pl.when(pl.col("pilot_converted") <= known_day).then("pilot_converted")
    # A pilot that is won because it is paid for is still to be converted.
    won = pl.when((outcome == "won") & ~pl.col("paid_pilot")).then("outcome_day")
    converted = pl.when(outcome != "lost").then(pl.coalesce(conversion, won))
    lost = pl.when(outcome == "lost").then("outcome_day")
    ended = pl.when(pl.col("pilot_end") < known_day).then("pilot_end")
    return converted, pl.when(converted.is_null()).then(pl.min_horizontal(lost, ended))


def _stage_entries(facts: Facts) -> pl.DataFrame:
    """external_id, piloted: local day of the first entry into a stage in which pilots run."""
    wanted = [stage.strip().lower() for stage in facts.company.sales.poc_stages]
    stage, label = (pl.col(name).str.to_lowercase() for name in ("stage", "label"))
    if wanted:
        here = stage.is_in(wanted) | label.is_in(wanted)
    else:
        # Before the qualified stage a trial is a way to sign up, not a test of the product by a buyer.
        here = pl.col("qualified") & pl.coalesce("label", "stage").str.contains(_NAMES)
    return (
        facts.stage_entries.filter(here.fill_null(value=False))
        .group_by("external_id")
        .agg(piloted=facts.calendar.local_day(pl.col("entered_at").min()))
    )


def decided(facts: Facts) -> pl.DataFrame:
    """The pilots decided in each month's quarter to date: month, the columns of ``pilots`` (kept by ``Facts.once``)."""
    on = pl.col("decided")
    return (
        facts.once(pilots)
        .filter(on.is_not_null())
        .with_columns(quarter_first=facts.calendar.quarter_first(on))
        .join(facts.periods.select("month", "day", "quarter_first"), on="quarter_first")
        .filter(on <= pl.col("day"))
        .drop("quarter_first", "day")
        .sort("month", "external_id")
    )


def running(facts: Facts) -> pl.DataFrame:
    """The pilots that had begun and were not decided at each month's D: month, the columns of ``pilots``, age."""
    undecided = pl.col("decided").is_null() | (pl.col("decided") > pl.col("day"))
    return (
        facts.periods.select("month", "day")
        .join(facts.once(pilots), how="cross")
        .filter((pl.col("entry") <= pl.col("day")) & undecided)
        .with_columns(age=(pl.col("day") - pl.col("entry")).dt.total_days())
        .drop("day")
        .sort("month", "external_id")
    )


def table(facts: Facts, cut: str | None = None) -> pl.LazyFrame:
    """Pilots month by month and segment by segment.

    Columns: month, segment; converted and failed (decided in the quarter to date), n (of them, those with a duration),
    median_days, mean_days, beyond (of n, for longer than ``limit``), no_start and negative (decided, without a
    duration); open (running at D), open_days (their median age), open_beyond.
    """
    over = limit(facts)
    rows = pl.concat(
        [
            facts.once(decided).lazy().with_columns(_open=pl.lit(value=False)),
            facts.once(running).lazy().with_columns(_open=pl.lit(value=True)),
        ],
        how="diagonal",
    )
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    open_, result = pl.col("_open"), pl.col("result")
    measured = ~open_ & pl.col("left_out").is_null()
    days, age = pl.col("days"), pl.col("age")
    counts = {
        "converted": (~open_ & (result == "converted")).sum(),
        "failed": (~open_ & (result == "failed")).sum(),
        "n": measured.sum(),
        "beyond": (measured & (days > over)).sum(),
        "no_start": (~open_ & pl.col("entry").is_null()).sum(),
        "negative": (~open_ & (days < 0)).sum(),
        "open": open_.sum(),
        "open_beyond": (open_ & (age > over)).sum(),
    }
    return measures.gathered(
        facts.periods,
        rows,
        cut,
        **{name: count.cast(pl.Int64) for name, count in counts.items()},
        median_days=days.filter(measured).median(),
        mean_days=days.filter(measured).mean(),
        open_days=age.filter(open_).median(),
    ).with_columns(pl.col(*counts).fill_null(0))


def days(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Median days from the start of a pilot to its decision."""
    if cut == "product":
        return measures.nothing()
    empty = pl.lit(None, dtype=pl.Float64)
    found = table(facts, cut)
    reason = measures.notes(
        pl.when(pl.col("n") == 0).then(pl.lit(_none(facts))),
        pl.format("mean {}", in_days(pl.col("mean_days"))),
        *_beside(facts),
        when_any(pl.col("no_start"), pl.format("left out: {} without a known start", "no_start")),
        when_any(pl.col("negative"), pl.format("left out: {} decided before they began", "negative")),
    )
    return measures.measure(
        found.with_columns(value="median_days", numerator=empty, denominator=empty, reason=reason)
    )


def conversion(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Converted over converted and failed, by the day of the decision."""
    if cut == "product":
        return measures.nothing()
    found = table(facts, cut).with_columns(n=pl.col("converted") + pl.col("failed"), measured="n")
    rates = measures.ratios(found, "converted", "n", "n", _none(facts))
    beside = _beside(facts, measured="measured")
    return measures.explained(rates, found.select("month", "segment", note=measures.notes(*beside)))


def _none(facts: Facts) -> str:
    if facts.once(pilots).is_empty():
        return "needs pilots: no deal was in a pilot stage (sales: poc_stages) or has a pilot's dates (fields: deals)"
    return "no pilot was decided in the quarter"


def _beside(facts: Facts, measured: str = "n") -> tuple[pl.Expr, ...]:
    """How many took longer than they may, and how old those are that are still running."""
    over = limit(facts)
    return (
        when_any(
            pl.col(measured),
            pl.format(
                "{} took more than {} days",
                in_percent(pl.col("beyond") / pl.col(measured)),
                pl.lit(str(over)),
            ),
        ),
        when_any(
            pl.col("open"),
            pl.format(
                "{} running for {} (median), {} of them for more than {}",
                "open",
                in_days(pl.col("open_days")),
                "open_beyond",
                pl.lit(str(over)),
            ),
        ),
    )


def days_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence of the days: the pilots decided, the longest first; those without a duration count 0."""
    rows = facts.once(decided).filter(pl.col("month") == month)
    kept = pl.col("left_out").is_null()
    return _opened(
        facts,
        rows.with_columns(
            contribution=pl.when(kept).then("days").otherwise(0),
            tail=pl.when(~kept).then(pl.format(", left out: {}", "left_out")),
        ),
        cut,
    )


def conversions_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence of the conversion: the pilots decided, those converted first."""
    rows = facts.once(decided).filter(pl.col("month") == month)
    converted = (pl.col("result") == "converted").cast(pl.Float64)
    return _opened(facts, rows.with_columns(contribution=converted, tail=pl.lit("")), cut)


def _opened(facts: Facts, rows: pl.DataFrame, cut: str | None) -> pl.DataFrame:
    note = pl.format(
        "{} {}, began {}{}",
        "result",
        "decided",
        pl.col("entry").cast(pl.String).fill_null("at an unknown time"),
        pl.col("tail").fill_null(""),
    )
    told = rows.with_columns(object=pl.lit("deals"), note=note)
    return measures.opened(measures.of_deals(facts, told, cut), cut)


def stands_on(facts: Facts) -> pl.DataFrame:
    """The pilots decided: month, external_id."""
    return facts.once(decided).select("month", "external_id")
