"""Spend on sales and marketing against what it brought: cost per lead, and what both acquisition numbers share.

Source: definition book, section 5, rulings 2, 5, 6, 34. The exact reading:

1. A row of the spend file is converted once, at the rate of its month's last day (of ``known_at``'s day, where that is
   earlier), rounded half-even. A month with a row in a currency without a rate is unknown, never a partial sum.
2. Channels are motions: a channel that is a lead source of the source map counts for its motion, any other for itself.
   Spend without a channel is ``unallocated``, a row of its own; it is in the total and is spread over nobody.
3. A month with rows is complete: a channel without one had no spend in it. A month without rows is missing, and so is
   one without a kind (people, program) that other months have; then nothing is computed, and the month is named.
   A channel without any row in all the months of a number is unknown, which is not 0: write 0 for what cost nothing.
4. A row counts for a size where its segment names one; what names none is ``unallocated``, and spread over nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from metrics import leads, measures
from metrics.currency import in_words
from metrics.deals import source_map
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import UNKNOWN, stated
from pipeline.company import Company

UNALLOCATED: Final = "unallocated"
NO_FILE: Final = "needs spend: name a file under inputs: spend: in the configuration"
PROGRAM: Final = "program"


def channel(text: pl.Expr, company: Company) -> pl.Expr:
    """A channel, motion or lead source as the motion it stands for, in lower case; null where it is blank."""
    key = stated(text).str.to_lowercase()
    motions = {word: motion.strip().lower() for word, motion in source_map(company).items()}
    return key.replace_strict(motions, default=key, return_dtype=pl.String)


def rows(facts: Facts) -> pl.DataFrame:
    """The spend file: kind, value (in the report's currency, null without a rate), currency (its own), line, spent (the
    first of the month), channel, size (as the customers' is written; null where the row names none)."""
    given = facts.input("spend").with_columns(
        on=pl.min_horizontal(pl.col("month").dt.month_end(), pl.lit(facts.calendar.known_day))
    )
    valued = facts.rates.convert(given, "amount", "on", "value")
    known = [
        *facts.accounts["size"].drop_nulls().unique(),
        *(band.name for band in facts.company.size_bands),
    ]
    names = {name.strip().lower(): name for name in known}
    return valued.select(
        "kind",
        "value",
        "currency",
        "line",
        spent="month",
        channel=channel(pl.col("channel"), facts.company),
        size=pl.col("segment").str.to_lowercase().replace_strict(names, default=pl.col("segment")),
    )


def needs(facts: Facts, windows: pl.DataFrame, kinds: Sequence[str]) -> pl.DataFrame:
    """month, why: numbers whose window (``windows``: month, spent) lacks spend; ``kinds``: those that it must have."""
    if not facts.has_input("spend"):
        return facts.periods.select("month", why=pl.lit(NO_FILE))
    given = facts.once(rows)
    unrated = given.filter(pl.col("value").is_null() & pl.col("kind").is_in(kinds))
    faults = [
        windows.join(unrated, on="spent")
        .group_by("month")
        .agg(names=pl.col("currency").unique().sort().str.join(", "))
        .select("month", why=pl.format("the spend file has amounts in {}, without an exchange rate", "names"))
    ]
    lacking: dict[str, list[str]] = {}
    for what, present in (
        ("spend", given),
        *((f"{kind} spend", given.filter(pl.col("kind") == kind)) for kind in kinds),
    ):
        absent = windows.join(present.select("spent").unique(), on="spent", how="anti")
        if what != "spend":  # a month without any spend has been told
            absent = absent.join(given.select("spent").unique(), on="spent", how="semi")
        for month, days in absent.sort("spent").group_by("month").agg("spent").iter_rows():
            lacking.setdefault(month, []).append(f"{in_months(days)} {what}")
    told = [(month, f"needs {' and '.join(parts)}") for month, parts in lacking.items()]
    faults.append(pl.DataFrame(told, schema={"month": pl.String, "why": pl.String}, orient="row"))
    return pl.concat(faults).group_by("month").agg(pl.col("why").sort().str.join("; "))


def in_months(days: Sequence[date]) -> str:
    """First days of months, ascending, in words: ``March 2026``, ``October 2025 to January 2026 and March 2026``."""
    runs: list[list[date]] = []
    for day in days:
        last = runs[-1][-1] if runs else None
        if last is not None and (day.year - last.year) * 12 + day.month - last.month == 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    names = [
        month_name(run[0]) if len(run) == 1 else f"{month_name(run[0])} to {month_name(run[-1])}"
        for run in runs
    ]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def month_name(day: date) -> str:
    """``March 2026``, in English whatever the machine's language."""
    return str(pl.Series([day]).dt.strftime("%B %Y").item())


# What programme spend is divided by: the leads of a month, how they are called, and what is said where there are none.
_DIVIDED_BY: Final[dict[str, tuple[Callable[[Facts], pl.DataFrame], str, str]]] = {
    "lead": (leads.created, "leads", "no lead was created in the month"),
    "mql": (leads.qualified, "MQLs", "no lead became an MQL in the month"),
}


def configured(kpi: Kpi, company: Company) -> Kpi:
    """Cost per lead as the company's settings make it: per MQL is another definition."""
    if company.acquisition.cost_per == "lead":
        return kpi
    return replace(
        kpi, definition=f"{kpi.id}/1 mql: programme spend of the month / leads that became MQLs in it"
    )


def cost_per_lead(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Programme spend of the month over the leads created (or MQLs) in it, in minor units and not rounded; n: these."""
    if cut not in (None, "motion"):
        return measures.nothing()
    windows = facts.periods.select("month", spent=pl.format("{}-01", "month").str.to_date())
    step, what, none = _DIVIDED_BY[facts.company.acquisition.cost_per]
    paid = facts.once(rows).filter(pl.col("kind") == PROGRAM).join(windows, on="spent")
    parts = pl.concat(
        [
            paid.select(
                "month",
                spend="value",
                lead=pl.lit(0),
                motion=pl.col("channel").fill_null(UNALLOCATED),
                paid=True,
            ),
            facts.once(step).select(
                "month",
                spend=pl.lit(0, pl.Int64),
                lead=pl.lit(1),
                motion=channel(pl.col("motion"), facts.company),
                paid=False,
            ),
        ]
    )
    totals = measures.summed(
        facts.periods,
        parts,
        cut,
        spend=pl.col("spend").sum(),
        n=pl.col("lead").sum().cast(pl.Int64),
        paid=pl.col("paid").sum(),
    )
    measure = over(totals.with_columns(brought="n"), cut, what, pl.lit(none))
    over_since = pl.col("day") < pl.col("spent").dt.month_end()
    running = facts.periods.join(windows, on="month").filter(over_since)
    note = running.select("month", note=pl.lit(f"the month is not over: all its spend, its {what} so far"))
    return measures.noted(measures.unknown(measure, needs(facts, windows, (PROGRAM,)).lazy()), note.lazy())


def over(totals: pl.LazyFrame, cut: str | None, what: str, none: pl.Expr) -> pl.LazyFrame:
    """Spend over what it brought, as a measure, with the reasons of channels that have only one of the two.

    ``totals``: month, segment, spend, brought, n, paid (rows of spend behind it). ``what``: what it brought, in words;
    ``none``: the reason where it brought nothing.
    """
    segment, unpaid = pl.col("segment"), (pl.col("paid") == 0) & (cut is not None)
    split = "size" if cut == "size" else "channel"
    reason = (
        pl.when(segment == UNALLOCATED)
        .then(pl.lit(f"this spend belongs to no {split}"))
        .when(unpaid & (pl.col("brought") <= 0))
        .then(none)
        .when(segment == UNKNOWN)
        .then(pl.lit(f"the {cut} of these {what} is unknown, so no spend can be theirs"))
        .when(unpaid)
        .then(pl.format(f"needs spend of the {split} {{}}: write 0 for what cost nothing", segment))
        .when(pl.col("brought") <= 0)
        .then(none)
    )
    spend, brought = pl.col("spend").cast(pl.Float64), pl.col("brought").cast(pl.Float64)
    return measures.measure(
        totals.with_columns(
            value=pl.when(reason.is_null()).then(spend / brought),
            numerator=pl.when(~unpaid).then(spend),
            denominator=brought,
            reason=reason,
        )
    )


def spend_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the rows of programme spend of the month."""
    first = date.fromisoformat(f"{month}-01")
    return opened(
        facts, facts.once(rows).filter((pl.col("spent") == first) & (pl.col("kind") == PROGRAM)), cut
    )


def opened(facts: Facts, paid: pl.DataFrame, cut: str | None = None) -> pl.DataFrame:
    """Rows of ``rows`` as evidence; by motion each belongs to its channel, by size to the one it names."""
    name = pl.concat_str(
        pl.col("channel").fill_null(UNALLOCATED), "kind", "size", separator=", ", ignore_nulls=True
    )
    identity = pl.concat_str(
        pl.col("spent").dt.strftime("%Y-%m"),
        pl.col("channel").fill_null(UNALLOCATED),
        "kind",
        "currency",
        "size",
        separator=" ",
        ignore_nulls=True,
    )
    note = pl.format(
        "{} of {}, line {} of the spend file",
        in_words(pl.col("value"), facts.currency),
        pl.col("spent").dt.strftime("%B %Y"),
        "line",
    )
    return measures.opened(
        paid.with_columns(
            object=pl.lit("spend"), external_id=identity, name=name,
            contribution=pl.col("value"), note=note, motion=pl.col("channel").fill_null(UNALLOCATED),
            size=pl.col("size").fill_null(UNALLOCATED),
        ),
        cut,
    )  # fmt: skip
