"""CAC payback: how many months of gross margin from new customers pay back what winning them cost.

Source: definition book, section 5, rulings 2, 5, 6, 15, 16, 34. The exact reading:

1. The window of a month is its fiscal quarter up to D and the three before. Its new-logo ARR is what the ARR bridge of
   each of these months shows, at that month's rate; the customer's motion is that of its first new-business contract.
2. Spend is that of the four quarters one quarter earlier, people and program; or (`acquisition.cac_lag: cycle`) that of
   the window's months one median cycle earlier, in whole months: the cycle of the new business won in the window, from
   where the company's cycles start. With `acquisition.cac_load: program` people are left out. Rows of the channel
   ``expansion`` are the cost of selling to customers and are left out; where the file has none, the number says that it
   is not split.
3. New-logo ARR of a quarter / 12 x that quarter's margin of the stream ``subscription``, summed over the quarters. A
   quarter without margin leaves the number undefined; its reason then holds the payback of ungrossed ARR.
4. By size: customers of that size, and the rows of spend that name it (the column ``segment`` of the file). A channel's
   spend says nothing of a size, so without such rows there is no number, nor where a month of the window has none; what
   names no size is spread over nobody, and its sum is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import measures, spend
from metrics import payback_windows as windows
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import UNKNOWN, in_days
from pipeline.company import Company

CUTS: Final = ("motion", "size")
EXPANSION: Final = "expansion"
STREAM: Final = "subscription"
_NO_FILE: Final = f"needs the {STREAM} margin: name a file under inputs: margin: in the configuration"
_NO_CYCLE: Final = "needs a sales cycle: no qualified new business with one was won in the four quarters"
_NO_SIZES: Final = "needs spend by size: no row of the spend file names one (segment: size=Enterprise)"
_NO_PAYBACK: Final = "no payback: no new-logo ARR in the four quarters"


def configured(kpi: Kpi, company: Company) -> Kpi:
    """CAC payback as the company's settings make it: another lag, or part of the spend, is another definition."""
    lag, load = company.acquisition.cac_lag, company.acquisition.cac_load
    if (lag, load) == ("quarter", "full"):
        return kpi
    words = [*(["cycle lag"] if lag == "cycle" else []), *(["program"] if load == "program" else [])]
    spent = "spend" if load == "full" else "programme spend"
    earlier = "one quarter" if lag == "quarter" else "one median cycle"
    formula = f"{spent} {earlier} earlier / (new-logo ARR / 12 x margin), four quarters"
    return replace(kpi, definition=f"{kpi.id}/1 {', '.join(words)}: {formula}")


def new_logos(facts: Facts) -> pl.DataFrame:
    """New-logo ARR of every month of the windows: arrived, customer, value (as the ARR bridge of that month has it)."""
    arrived = facts.once(windows.arrived_in)["arrived"].unique()
    earlier = facts.calendar.periods([month for month in arrived if month not in facts.months])
    moved = [
        rows.filter(pl.col("new_logo") != 0).select(
            "customer", arrived=pl.col("month").cast(pl.String), value="new_logo"
        )
        for rows in (facts.moves_of(earlier), facts.moves)
    ]
    sums = (
        pl.concat(moved)
        .group_by("arrived", "customer")
        .agg(pl.col("value").sum())
        .filter(pl.col("value") != 0)
    )
    return sums.with_columns(customer=facts.coded.customers.gather(sums["customer"]))


def arrivals(facts: Facts) -> pl.DataFrame:
    """New logos by window: month, arrived, quarter_first, customer, motion, size, value, pct (null where the margin is
    missing)."""
    return (
        facts.once(windows.arrived_in)
        .join(facts.once(new_logos), on="arrived")
        .join(facts.customers.select("customer", "motion", "size"), on="customer", how="left")
        .join(facts.once(margins), on="quarter_first", how="left")
        .with_columns(motion=spend.channel(pl.col("motion"), facts.company))
    )


def margins(facts: Facts) -> pl.DataFrame:
    """quarter_first, pct: the subscription margin as a share."""
    return facts.input("margin").filter(pl.col("stream") == STREAM).select("quarter_first", "pct")


def paid(facts: Facts) -> pl.DataFrame:
    """Rows of the spend file by window, those of expansion left out: month and the columns of ``spend.rows``."""
    rows = facts.once(spend.rows).filter(pl.col("channel").ne_missing(EXPANSION))
    if facts.company.acquisition.cac_load == "program":
        rows = rows.filter(pl.col("kind") == spend.PROGRAM)
    return facts.once(windows.spent_in).join(rows, on="spent")


def cac_payback(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Spend over monthly gross margin of new-logo ARR, in months; n: customers won."""
    if cut not in (None, *CUTS):
        return measures.nothing()
    nothing = pl.lit(0, pl.Int64)
    parts = pl.concat(
        [
            facts.once(paid).select(
                "month",
                motion=pl.col("channel").fill_null(spend.UNALLOCATED),
                size=pl.col("size").fill_null(spend.UNALLOCATED),
                spend="value",
                paid=pl.lit(1),
                arr=nothing,
            ),
            facts.once(arrivals).select(
                "month",
                "motion",
                "size",
                "customer",
                spend=nothing,
                paid=pl.lit(0),
                arr="value",
                brought=pl.col("value") * pl.col("pct") / 12,
            ),
        ],
        how="diagonal",
    )
    sums = {name: pl.col(name).sum() for name in ("spend", "paid", "arr", "brought")}
    customers = pl.col("customer").drop_nulls().n_unique().cast(pl.Int64)
    totals = measures.summed(facts.periods, parts, cut, **sums, n=customers)
    measure = spend.over(totals, cut, "customers", pl.lit(_NO_PAYBACK))
    measure = _grossed(facts, measure, totals)
    if cut == "size":
        measure = _sized(facts, measure)
    measure = measures.noted(measure, _notes(facts))
    kinds = facts.once(spend.rows)["kind"].unique().sort().to_list()
    if facts.company.acquisition.cac_load == "program":
        kinds = [spend.PROGRAM]
    if facts.company.acquisition.cac_lag == "cycle":
        no_cycle = facts.once(windows.lags).lazy().filter(pl.col("lag").is_null())
        measure = measures.unknown(measure, no_cycle.select("month", why=pl.lit(_NO_CYCLE)))
    lacking = spend.needs(facts, facts.once(windows.spent_in), kinds)
    return measures.unknown(measures.unknown(measure, lacking.lazy()), _before_records(facts).lazy())


def _grossed(facts: Facts, measure: pl.LazyFrame, totals: pl.LazyFrame) -> pl.LazyFrame:
    """Undefined where a quarter has no margin; the reason then holds the payback of ungrossed ARR."""
    ungrossed = totals.select(
        "month",
        "segment",
        ungrossed=pl.when((pl.col("arr") > 0) & (pl.col("paid") > 0)).then(
            pl.col("spend") * 12 / pl.col("arr")
        ),
    )
    joined = measure.join(
        ungrossed, on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left"
    ).join(_no_margin(facts).lazy(), on="month", how="left", maintain_order="left")
    missing = pl.col("why").is_not_null()
    labelled = pl.format(
        "{}; ungrossed: {} months of new-logo ARR without margin", "why", pl.col("ungrossed").round(1)
    )
    return (
        measures.undefined(joined, missing, pl.coalesce(labelled, "why"))
        .with_columns(denominator=pl.when(~missing).then("denominator"))
        .drop("why", "ungrossed")
    )


def _sized(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """The measure by size: undefined where a month is not split by size; what names no size is told beside it."""
    rows = facts.once(paid)
    split = rows.filter(pl.col("size").is_not_null())
    absent = facts.once(windows.spent_in).join(
        split.select("month", "spent").unique(), on=["month", "spent"], how="anti"
    )
    told = [
        (month, _NO_SIZES if split.is_empty() else f"needs spend by size in {spend.in_months(days)}")
        for month, days in absent.sort("spent").group_by("month").agg("spent").iter_rows()
    ]
    why = pl.DataFrame(told, schema={"month": pl.String, "why": pl.String}, orient="row")
    rest = (
        rows.filter(pl.col("size").is_null())
        .group_by("month")
        .agg(pl.col("value").sum())
        .filter(pl.col("value") != 0)
        .select(
            "month",
            rest=pl.format("without {} that names no size", in_words(pl.col("value"), facts.currency)),
        )
    )
    joined = measure
    for frame in (why, rest):
        joined = joined.join(frame.lazy(), on="month", how="left", maintain_order="left")
    of_size = ~pl.col("segment").is_in([spend.UNALLOCATED, UNKNOWN])
    lacking = of_size & pl.col("why").is_not_null()
    beside = pl.concat_str("reason", "rest", separator="; ", ignore_nulls=True)
    return (
        measures.undefined(joined, lacking, pl.col("why"))
        .with_columns(
            numerator=pl.when(~lacking).then("numerator"),
            reason=pl.when(pl.col("value").is_not_null() & pl.col("rest").is_not_null())
            .then(beside)
            .otherwise("reason"),
        )
        .drop("why", "rest")
    )


def _no_margin(facts: Facts) -> pl.DataFrame:
    """month, why: windows with a quarter that has no margin."""
    if not facts.has_input("margin"):
        return facts.periods.select("month", why=pl.lit(_NO_FILE))
    absent = (
        facts.once(windows.arrived_in)
        .join(facts.once(margins), on="quarter_first", how="anti")
        .select("month", "quarter_first")
        .unique()
        .sort("quarter_first")
    )
    told = [
        (
            month,
            f"needs the {', '.join(facts.calendar.quarter(first).label for first in days)} {STREAM} margin",
        )
        for month, days in absent.group_by("month").agg("quarter_first").iter_rows()
    ]
    return pl.DataFrame(told, schema={"month": pl.String, "why": pl.String}, orient="row")


def _before_records(facts: Facts) -> pl.DataFrame:
    """month, why: windows with months whose ARR the CRM cannot know."""
    months = facts.once(windows.arrived_in)["arrived"].unique().to_list()
    unknown = facts.unmeasurable_over(facts.calendar.periods(months))
    return (
        facts.once(windows.arrived_in)
        .join(unknown.rename({"month": "arrived"}), on="arrived")
        .group_by("month")
        .agg(why=pl.format("needs new-logo ARR of four quarters: {}", pl.col("why").first()))
    )


def _notes(facts: Facts) -> pl.LazyFrame:
    """month, note: what the number holds that it should not, or does not hold yet."""
    given = facts.once(spend.rows)
    left_out = (
        facts.once(windows.spent_in)
        .join(given.filter(pl.col("channel") == EXPANSION), on="spent")
        .group_by("month")
        .agg(pl.col("value").sum())
        .select(
            "month", note=pl.format("{} of expansion left out", in_words(pl.col("value"), facts.currency))
        )
    )
    notes = [left_out]
    if left_out.is_empty():
        mixed = "spend on expansion is not split off: the spend file has no channel expansion"
        notes = [facts.periods.select("month", note=pl.lit(mixed))]
    chosen = facts.company.acquisition
    if chosen.cac_load == "program":
        notes.append(facts.periods.select("month", note=pl.lit("not fully loaded: programme spend alone")))
    for kind in ("people", "program") if chosen.cac_load == "full" else ():
        if kind not in given["kind"]:
            partial = f"not fully loaded: the spend file has no {kind} spend"
            notes.append(facts.periods.select("month", note=pl.lit(partial)))
    running = facts.periods.filter(pl.col("day") < pl.col("quarter_last"))
    early = "the quarter is not over: its new-logo ARR so far, all the spend of the one before"
    if chosen.cac_lag == "cycle":
        early = "the quarter is not over: its new-logo ARR so far, and the spend of these months"
        lag = pl.format("spend {} months earlier, for a median cycle of {}", "lag", in_days(pl.col("cycle")))
        notes.append(facts.once(windows.lags).drop_nulls().select("month", note=lag))
    notes.append(running.select("month", note=pl.lit(early)))
    return measures.joined([note.lazy() for note in notes])


def behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the spend, and the customers won, each with a month's gross margin of its ARR."""
    of_month = pl.col("month") == month
    spent = spend.opened(facts, facts.once(paid).filter(of_month), cut)
    won = (
        facts.once(arrivals)
        .filter(of_month)
        .join(facts.customers.select("customer", "name"), on="customer", how="left")
        .with_columns(
            object=pl.lit("accounts"),
            external_id="customer",
            contribution=pl.col("value") * pl.col("pct") / 12,
            note=pl.format(
                "won in {}: {} of ARR, as gross margin of one month",
                "arrived",
                in_words(pl.col("value"), facts.currency),
            ),
        )
    )
    return pl.concat([spent, measures.opened(won, cut)])
