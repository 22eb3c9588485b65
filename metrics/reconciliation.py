"""Our ARR against a billing export, customer by customer, with the reason for each difference as far as it can be told.

Contract start and end are the weakest fields of a CRM, so what was billed is the second opinion (definition book,
section 2). Both sides are in the report's currency at the rate of D, each row converted once: the sum of ``ours`` is
ARR to the cent, the sum of ``theirs`` the export.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import measures
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.settlement import OPEN_END

AGREES: Final = "agrees"
RECONCILIATION: Final = pl.Schema(
    {
        "month": pl.String,
        "customer": pl.String,  # null: no account matches the export's customer
        "name": pl.String,
        "ours": pl.Int64,
        "theirs": pl.Int64,
        "difference": pl.Int64,  # ours less theirs
        "cause": pl.String,
    }
)


def reconcile(facts: Facts) -> pl.DataFrame:
    """Every customer with ARR or billing at the end of a month that the export covers, in minor units.

    Columns ``RECONCILIATION``, the largest difference of each month first. The months are those of the facts of which
    the export holds a row; a currency without a rate is not in ``theirs`` and is named in ``cause``. Raises
    ``InputFault`` where the export, or the opening list that ARR is read from, has a fault.
    """
    theirs = _theirs(facts)
    covered = theirs["month"].unique()
    ours = (
        facts.positions.filter((pl.col("point") == "now") & pl.col("month").is_in(covered.implode()))
        .group_by("month", "customer")
        .agg(ours=pl.col("value").sum())
    )
    both = ours.join(theirs, on=["month", "customer"], how="full", coalesce=True, nulls_equal=True)
    names = facts.customers.select("customer", _name="name")
    sides = (
        both.join(names, on="customer", how="left")
        .with_columns(
            pl.col("ours", "theirs").fill_null(0),
            name=pl.coalesce("_name", "billed_as", "customer"),
            in_export=pl.col("lines").is_not_null(),
        )
        .with_columns(difference=pl.col("ours") - pl.col("theirs"))
        .filter((pl.col("ours") != 0) | pl.col("in_export"))
    )
    return (
        _explained(facts, sides)
        .select(pl.col(name).cast(dtype) for name, dtype in RECONCILIATION.items())
        .sort("month", pl.col("difference").abs(), "name", descending=[False, True, False])
    )


def gaps(facts: Facts) -> pl.DataFrame:
    """One row per month that the export covers: month, ours (ARR), theirs, difference, customers, agreeing.

    Raises ``ArithmeticError`` should ours not be ARR to the cent, which would be a fault of this module.
    """
    table = (
        reconcile(facts)
        .group_by("month")
        .agg(
            pl.col("ours", "theirs", "difference").sum(),
            customers=pl.len().cast(pl.Int64),
            agreeing=(pl.col("difference") == 0).sum().cast(pl.Int64),
        )
        .sort("month")
    )
    arr = facts.positions.filter(point="now").group_by("month").agg(arr=pl.col("value").sum())
    off = table.join(arr, on="month", how="left").filter(pl.col("ours") != pl.col("arr").fill_null(0))
    if not off.is_empty():
        raise ArithmeticError(f"the reconciliation is not ARR in {', '.join(off['month'])}")
    return table


def noted(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """ARR with the gap to the billing export as a note, where there is an export of the month.

    ARR does not need the export: a faulty one is noted and takes nothing away.
    """
    if not facts.has_input("billing"):
        return measure
    try:
        compared = gaps(facts).lazy()
    except InputFault as fault:
        if fault.kind != "billing":
            raise
        told = f"not compared with the billing export: {fault.reason}"
        return measures.noted(measure, facts.periods.lazy().select("month", note=pl.lit(told)))
    amount = in_words(pl.col("difference").abs(), facts.currency)
    theirs = in_words(pl.col("theirs"), facts.currency)
    way = pl.when(pl.col("difference") > 0).then(pl.lit("more")).otherwise(pl.lit("less"))
    counted = pl.format("{} of {} customers agree", "agreeing", "customers")
    note = (
        pl.when(pl.col("difference") == 0)
        .then(pl.format("the billing export has the same total; {}", counted))
        .otherwise(pl.format("{} {} than the billing export's {}; {}", amount, way, theirs, counted))
    )
    return measures.noted(measure, compared.select("month", note=note))


def _theirs(facts: Facts) -> pl.DataFrame:
    """The export by month and customer: month, customer, theirs, lines, billed_as, currencies, without_rate."""
    accounts = facts.accounts.select("account_id", "customer")
    billed = (
        facts.input("billing")
        .with_columns(first="month")
        .drop("month")
        .join(facts.periods.select("month", "day", first=pl.col("day").dt.month_start()), on="first")
        .join(accounts, on="account_id", how="left")
    )
    own = pl.when(pl.col("customer").is_null()).then("customer_key")
    return (
        facts.rates.convert(billed, "arr", "day", "value")
        .group_by("month", "customer", own.alias("_own"))
        .agg(
            theirs=pl.col("value").sum(),
            lines=pl.len(),
            billed_as=pl.col("customer_key").min(),
            currencies=pl.col("currency").unique().sort().str.join(", "),
            without_rate=pl.col("currency").filter(pl.col("value").is_null()).unique().sort().str.join(", "),
        )
        .drop("_own")
    )


def _explained(facts: Facts, sides: pl.DataFrame) -> pl.DataFrame:
    """Adds ``cause``."""
    keys = ["month", "customer"]
    known = (
        sides.join(_spans(facts), on=keys, how="left")
        .join(_before(facts), on=keys, how="left")
        .join(_left_out(facts), on="customer", how="left")
        .join(_waiting(facts), on=keys, how="left")
    )
    absent = ~pl.col("in_export")
    what = "a contract" if facts.company.arr.contracts else "a won deal"
    none = pl.col("ours") == 0
    return known.with_columns(
        cause=pl.when(pl.col("without_rate") != "")
        .then(pl.format("billed in {}, which has no exchange rate", "without_rate"))
        .when(pl.col("difference") == 0)
        .then(pl.lit(AGREES))
        .when(pl.col("customer").is_null())
        .then(pl.lit("no account of the CRM matches this customer of the export"))
        .when(absent & pl.col("unresolved"))
        .then(
            pl.format("our contract expired {} with its renewal open, and is not billed any more", "expired")
        )
        .when(absent & (pl.col("begun") >= pl.col("first_day")))
        .then(pl.format("our contract started {}: not billed yet", "begun"))
        .when(absent)
        .then(pl.lit("not in the export"))
        .when(none & pl.col("problem").is_not_null())
        .then(pl.format(f"{what} is left out of our ARR: {{}}", "problem"))
        .when(none & pl.col("coming").is_not_null())
        .then(pl.format("our contract is signed and starts {}", "coming"))
        .when(none & pl.col("ended").is_not_null())
        .then(pl.format("our last contract ended {}", "ended"))
        .when(none)
        .then(pl.lit(f"no {what.split(' ', 1)[1]} of this customer brings ARR"))
        .when(pl.col("theirs") == pl.col("before"))
        .then(pl.lit("the export still has our ARR of the month before"))
        .when(pl.col("currencies") != pl.col("contracted"))
        .then(pl.format("billed in {}, contracted in {}", "currencies", "contracted"))
        .when((pl.col("difference") < 0) & pl.col("problem").is_not_null())
        .then(pl.format(f"more is billed, and {what} is left out of our ARR: {{}}", "problem"))
        .when(pl.col("difference") < 0)
        .then(pl.lit("more is billed than contracted"))
        .otherwise(pl.lit("less is billed than contracted"))
    )


def _spans(facts: Facts) -> pl.DataFrame:
    """What the contracts of each customer live at D tell: their latest start, currency, and whether they expired."""
    live = facts.positions.filter(point="now").join(
        facts.contracts.select("contract", "expires"), on="contract", how="left"
    )
    return (
        live.group_by("month", "customer")
        .agg(
            begun=pl.col("start").min(),
            unresolved=pl.col("unresolved").any(),
            expired=pl.col("expires").filter("unresolved").max(),
            contracted=pl.col("currency").unique().sort().str.join(", "),
        )
        .join(facts.periods.select("month", first_day=pl.col("day").dt.month_start()), on="month")
    )


def _before(facts: Facts) -> pl.DataFrame:
    """Our ARR at the end of the month before, at the rate of D."""
    return (
        facts.positions.filter(point="prev").group_by("month", "customer").agg(before=pl.col("value").sum())
    )


def _left_out(facts: Facts) -> pl.DataFrame:
    """customer, problem: why won deals, contracts or rows of the list do not count (the most frequent reason first)."""
    deals = facts.problems.select("customer", "problem")
    listed, kept = (
        frame.filter(pl.col("problem").is_not_null()).select("customer", "problem")
        for frame in (facts.opening_list, facts.agreements)
    )
    return (
        pl.concat([deals, listed, kept])
        .filter(pl.col("customer").is_not_null())
        .group_by("customer")
        .agg(pl.col("problem").mode().sort().first())
    )


def _waiting(facts: Facts) -> pl.DataFrame:
    """month, customer, coming (start of what is signed and not live yet), ended (the last end before D)."""
    at = facts.periods.select("month", "day").join(
        facts.contracts.select("customer", "start", "end", "signed"), how="cross"
    )
    coming = (pl.col("signed") <= pl.col("day")) & (pl.col("day") < pl.col("start"))
    ended = (pl.col("end") <= pl.col("day")) & (pl.col("end") != OPEN_END)
    return at.group_by("month", "customer").agg(
        coming=pl.col("start").filter(coming).min(), ended=pl.col("end").filter(ended).max()
    )
