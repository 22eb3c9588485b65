"""Measures over closed new-business deals, shared by the KPIs of the sales motion (definition book, section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import cycles, measures, sales
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import in_days, in_percent, stated, when_any
from pipeline.company import Company

CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")
_CUT_BY: Final = ("size", "industry", "motion", "owner_id", "pipeline")
STALE: Final = 2  # times the median cycle: an open deal that is older is as good as lost


def configured(kpi: Kpi, company: Company) -> Kpi:
    """A win rate as the company's settings make it: the narrow one is another definition.

    What is said of stale deals beside the rate by count stands on cycles.
    """
    kpi = cycles.configured(kpi, company) if kpi.id == "win_rate" else kpi
    if company.sales.win_rate == "broad":
        return kpi
    formula = kpi.definition.removeprefix(f"{kpi.id}/1: ")
    return replace(kpi, definition=f"{kpi.id}/1 narrow: {formula}, without deals lost without a decision")


def rated(facts: Facts) -> pl.DataFrame:
    """The closed deals that a win rate counts (kept by ``Facts.once``): ``Facts.closed`` with the column derailed.

    derailed: lost, and for a reason that is no decision (`sales.no_decision`). Where the company rates narrowly these
    are left out.
    """
    rows = _with_derailed(facts)
    return rows.filter(~pl.col("derailed")) if facts.company.sales.win_rate == "narrow" else rows


def _with_derailed(facts: Facts) -> pl.DataFrame:
    return facts.closed.with_columns(derailed=_derailed(facts))


def _derailed(facts: Facts) -> pl.Expr:
    """Whether a deal was lost for a reason that is no decision."""
    words = [reason.strip().lower() for reason in facts.company.sales.no_decision]
    undecided = stated(pl.col("loss_reason")).str.to_lowercase().is_in(words).fill_null(value=False)
    return ~pl.col("won") & undecided


def _narrowed(facts: Facts, rates: pl.LazyFrame) -> pl.LazyFrame:
    """A win rate with what the narrow way leaves out, and undefined where no loss has a reason to tell it by."""
    if facts.company.sales.win_rate == "broad":
        return rates
    reason = stated(pl.col("loss_reason"))
    lost = (
        _with_derailed(facts)
        .lazy()
        .filter(~pl.col("won"))
        .group_by("month")
        .agg(n=pl.len(), derailed=pl.col("derailed").sum(), blank=reason.is_null().sum())
    )
    note = measures.notes(
        when_any(pl.col("derailed"), pl.format("{} lost without a decision left out", "derailed")),
        when_any(pl.col("blank"), pl.format("{} of {} lost deals name no reason and count", "blank", "n")),
    )
    untold = pl.lit("needs loss reasons: no lost deal names one (fields: deals: loss_reason)")
    told = measures.explained(rates, lost.select("month", note=note), by=("month",))
    return measures.unknown(told, lost.filter(pl.col("blank") == pl.col("n")).select("month", why=untold))


def win_rate(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Won over won and lost, by count; in the note what it would be if stale open deals counted as lost."""
    if cut == "product":
        return measures.nothing()
    totals = _totals(
        facts,
        facts.once(rated).lazy(),
        cut,
        won=pl.col("won").sum().cast(pl.Int64),
        n=pl.len().cast(pl.Int64),
    )
    rates = measures.ratios(totals, "won", "n", "n", "no qualified new-business deal closed in the quarter")
    stale = pl.format(
        "{} open deals are older than {} (twice the median cycle); were they lost, it would be {}",
        "stale",
        in_days(pl.col("norm") * STALE),
        in_percent(pl.col("adjusted")),
    )
    beside = adjusted(facts, cut).select("month", "segment", note=when_any(pl.col("stale"), stale))
    told = measures.explained(measures.noted(rates, _unlogged(facts)), beside)
    return _narrowed(facts, measures.explained(told, _of_four_quarters(facts, cut)))


def adjusted(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """The win rate if every open deal that is older than twice the median cycle counted as lost.

    Columns: month, segment, won, decided (won and lost), norm (the whole company's median cycle of the quarter, in
    days), stale (qualified by D, open as known now, and at D more than twice as old as the norm), rate, adjusted (won /
    (decided + stale)). Where no cycle was measured nothing can be called stale: norm, stale and adjusted are null. A
    rate without deals is null. Source: definition book, section 3, ruling 3.
    """
    rows = pl.concat(
        [
            facts.once(rated).lazy().with_columns(_stale=pl.lit(value=False)),
            facts.once(stale).lazy().with_columns(_stale=pl.lit(value=True)),
        ],
        how="diagonal",
    )
    totals = _totals(
        facts,
        rows,
        cut,
        won=pl.col("won").sum().cast(pl.Int64),
        decided=(~pl.col("_stale")).sum().cast(pl.Int64),
        stale=pl.col("_stale").sum().cast(pl.Int64),
    )
    known = totals.join(facts.once(cycles.norms).lazy(), on="month", how="left", maintain_order="left")
    known = known.with_columns(stale=pl.when(pl.col("norm").is_not_null()).then("stale"))
    all_of_them = pl.col("decided") + pl.col("stale")
    return known.with_columns(
        rate=pl.when(pl.col("decided") > 0).then(pl.col("won") / pl.col("decided")),
        adjusted=pl.when(all_of_them > 0).then(pl.col("won") / all_of_them),
    )


def stale(facts: Facts) -> pl.DataFrame:
    """The stale open deals: month and the columns of ``sales.ASKED`` (a fact to be kept by ``Facts.once``)."""
    waiting = (
        facts.deals.lazy()
        .filter((pl.col("outcome") == "open") & pl.col("deal_type").is_in(facts.company.sales.types))
        .select(sales.ASKED)
        .join(facts.once(cycles.starts).lazy().select("external_id", "start"), on="external_id")
    )
    limits = facts.periods.lazy().join(facts.once(cycles.norms).lazy(), on="month")
    age = (pl.col("day") - pl.col("start")).dt.total_days()
    return (
        limits.select("month", "day", "norm")
        .join(waiting, how="cross")
        .filter((pl.col("qualified_day") <= pl.col("day")) & (age > pl.col("norm") * STALE))
        .drop("day", "norm", "start")
        .sort("month", "external_id")
        .collect()
    )


def cohort(facts: Facts) -> pl.DataFrame:
    """The qualified deals created in each month's quarter to date: month, the columns of ``sales.ASKED``."""
    return _created(facts, facts.deals.filter(pl.col("deal_type").is_in(facts.company.sales.types)))


def _created(facts: Facts, deals: pl.DataFrame) -> pl.DataFrame:
    created = pl.col("created_day")
    return (
        deals.lazy()
        .filter(pl.col("qualified_day").is_not_null() & created.is_not_null())
        .select(sales.ASKED)
        .with_columns(quarter_first=facts.calendar.quarter_first(created))
        .join(facts.periods.lazy().select("month", "day", "quarter_first"), on="quarter_first")
        .filter(created <= pl.col("day"))
        .drop("quarter_first", "day")
        .sort("month", "external_id")
        .collect()
    )


def trailing(facts: Facts) -> pl.DataFrame:
    """The deals that a win rate counts, closed in each month's trailing four quarters up to D (kept by ``Facts.once``).

    Columns: month, won, and what they are cut by. A deal stands in up to twelve months, so nothing else of it is kept.
    """
    decided = (
        facts.deals.lazy()
        .filter(
            pl.col("deal_type").is_in(facts.company.sales.types)
            & pl.col("outcome").is_in(["won", "lost"])
            & pl.col("qualified_day").is_not_null()
        )
        .select("outcome_day", "loss_reason", *_CUT_BY, won=pl.col("outcome") == "won")
        .with_columns(derailed=_derailed(facts))
    )
    if facts.company.sales.win_rate == "narrow":
        decided = decided.filter(~pl.col("derailed"))
    counted = decided.select("outcome_day", "won", *_CUT_BY)
    rows = sales.trailing(counted, pl.col("outcome_day"), facts.periods, facts.calendar)
    return rows.drop("outcome_day").collect()


def _of_four_quarters(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """month, segment, note: the win rate of the trailing four quarters."""
    totals = _totals(
        facts, facts.once(trailing).lazy(), cut, won=pl.col("won").sum(), n=pl.len().cast(pl.Int64)
    )
    rate = in_percent(pl.col("won") / pl.col("n"))
    note = when_any(pl.col("n"), pl.format("four quarters {} of {}", rate, "n"))
    return totals.select("month", "segment", note=note)


def win_rate_cohort(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Won over all qualified that were created in the quarter; the open ones in the note."""
    if cut == "product":
        return measures.nothing()
    outcome = pl.col("outcome")
    totals = _totals(
        facts,
        facts.once(cohort).lazy(),
        cut,
        won=(outcome == "won").sum().cast(pl.Int64),
        open=(outcome == "open").sum().cast(pl.Int64),
        n=pl.len().cast(pl.Int64),
    )
    rates = measures.ratios(
        totals, "won", "n", "n", "no qualified new-business deal was created in the quarter"
    )
    share = in_percent(pl.col("open") / pl.col("n"))
    note = when_any(pl.col("n"), pl.format("{} unresolved: {} of {} are open", share, "open", "n"))
    return measures.explained(rates, totals.select("month", "segment", note=note))


def win_rate_value(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Won over won and lost, by ARR; a deal without ARR counts 0."""
    if cut == "product":
        return measures.nothing()
    value = pl.col("value").fill_null(0)
    totals = _totals(
        facts,
        facts.once(rated).lazy(),
        cut,
        won=value.filter("won").sum(),
        decided=value.sum(),
        n=pl.len().cast(pl.Int64),
    )
    rates = measures.ratios(
        totals, "won", "decided", "n", "no qualified new-business deal with a value closed in the quarter"
    )
    return _narrowed(facts, measures.noted(rates, _unlogged(facts)))


def stands_on(facts: Facts) -> pl.DataFrame:
    """The closed deals and those that would be among them if they had a type: month, external_id."""
    untyped = sales.closed(
        facts.deals.filter(stated(pl.col("type")).is_null()).with_columns(deal_type=pl.lit("new")),
        facts.periods,
        facts.calendar,
        facts.rates,
    )
    return pl.concat([frame.select("month", "external_id") for frame in (facts.closed, untyped)])


def cohort_stands_on(facts: Facts) -> pl.DataFrame:
    """The cohort and those that would be in it if they had a type: month, external_id."""
    untyped = _created(facts, facts.deals.filter(stated(pl.col("type")).is_null()))
    return pl.concat([frame.select("month", "external_id") for frame in (facts.once(cohort), untyped)])


def wins(facts: Facts) -> pl.DataFrame:
    """The deals won: month, external_id."""
    return facts.closed.filter("won").select("month", "external_id")


def deals_behind(
    facts: Facts, month: str, contribution: pl.Expr, note: pl.Expr, cut: str | None = None
) -> pl.DataFrame:
    """Evidence: the deals closed in the month's quarter to date, also those that a narrow rate leaves out."""
    rows = _with_derailed(facts).filter(pl.col("month") == month)
    if facts.company.sales.win_rate == "narrow":
        out = pl.format("{}, left out: {}", note, "loss_reason")
        note = pl.when("derailed").then(out).otherwise(note)
    return _opened(facts, rows, contribution, note, cut)


def cohort_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the deals of the cohort, those won first."""
    rows = facts.once(cohort).filter(pl.col("month") == month)
    won = (pl.col("outcome") == "won").cast(pl.Float64)
    note = pl.format("created {}, {}", "created_day", "outcome")
    return _opened(facts, rows, won, note, cut)


def _unlogged(facts: Facts) -> pl.LazyFrame:
    """month, note: lost deals of which nobody can tell how far they had come."""
    lost = facts.closed.lazy().filter(pl.col("unlogged") & ~pl.col("won")).group_by("month").agg(n=pl.len())
    return lost.select("month", note=pl.format("{} lost deals without stage history count as qualified", "n"))


def _totals(facts: Facts, rows: pl.LazyFrame, cut: str | None, **sums: pl.Expr) -> pl.LazyFrame:
    named = rows if cut is None else sales.named(rows, facts.owner_names, facts.pipelines, cut)
    return measures.summed(facts.periods, named, cut, **sums)


def _opened(
    facts: Facts, rows: pl.DataFrame, contribution: pl.Expr, note: pl.Expr, cut: str | None
) -> pl.DataFrame:
    told = rows.with_columns(object=pl.lit("deals"), contribution=contribution, note=note)
    return measures.opened(measures.of_deals(facts, told, cut), cut)
