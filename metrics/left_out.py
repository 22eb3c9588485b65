"""Records that are there and that some number does not count, each with the reason and what it is worth."""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics import agreements, opening
from metrics.facts import Facts
from metrics.inputs import InputFault

_PLACELESS: Final = "no account matches it: counted in ARR, but in no size, industry or motion"


def left_out(facts: Facts) -> pl.DataFrame:
    """Deals, contracts, and rows of an opening list, that some KPI leaves out though they are there, with the reason.

    Columns: object, external_id, name, owner_id, kpis (what they are missing from), reason, amount (deal currency,
    minor units), currency, value (the same in the report's currency at the rate of the outcome day, null without one).
    """
    unmade = facts.problems.with_columns(kpis=pl.lit("ARR"), reason="problem")
    lost = facts.deals.filter((pl.col("outcome") == "lost") & pl.col("deal_type").is_null()).with_columns(
        kpis=pl.lit("win rate"), reason=pl.lit("unmapped deal type")
    )
    pilots = facts.deals.filter("pilot_in_won_stage").with_columns(
        kpis=pl.lit("ARR, win rate"), reason=pl.lit("pilot in a won stage, not converted")
    )
    zero = facts.deals.filter(
        (pl.col("outcome") == "won") & (pl.col("deal_type") == "new") & (pl.col("arr_value") == 0)
    ).with_columns(kpis=pl.lit("average deal size"), reason=pl.lit("won with a value of zero"))
    open_ones = facts.deals.filter(
        (pl.col("outcome") == "open") & ~pl.col("currency").is_in(facts.rates.currencies)
    ).with_columns(kpis=pl.lit("pipeline"), reason=pl.lit("currency without an exchange rate"))
    columns = (
        "external_id",
        "name",
        "owner_id",
        "kpis",
        "reason",
        "arr_value",
        "arr",
        "amount",
        "currency",
        "outcome_day",
    )
    deals = pl.concat([frame.select(columns) for frame in (unmade, lost, pilots, zero, open_ones)])
    rows = deals.with_columns(
        object=pl.lit("deals"),
        amount=pl.coalesce("arr_value", "arr", "amount"),
        _on=pl.col("outcome_day").fill_null(facts.calendar.known_day),
    )
    return (
        facts.rates.convert(
            pl.concat([rows, _listed_out(facts), _kept_out(facts)], how="diagonal"), "amount", "_on", "value"
        )
        .select("object", "external_id", "name", "owner_id", "kpis", "reason", "amount", "currency", "value")
        .sort("reason", "external_id")
    )


def _listed_out(facts: Facts) -> pl.DataFrame:
    """The rows of an opening list that are no contracts; a faulty list has none to tell."""
    try:
        listed = facts.opening_list
    except InputFault:  # every number that needs it names the fault
        listed = opening.none()
    counted = pl.col("problem").is_null()
    return listed.filter(~counted | ~pl.col("placed")).select(
        "currency",
        object=pl.lit("opening_arr"),
        external_id=pl.format("line {}", "line"),
        name="customer_key",
        kpis=pl.when(counted).then(pl.lit("ARR by segment")).otherwise(pl.lit("ARR")),
        reason=pl.when(counted).then(pl.lit(_PLACELESS)).otherwise("problem"),
        amount="arr",
        _on="start",
    )


def _kept_out(facts: Facts) -> pl.DataFrame:
    """The contracts of the CRM's own that do not count, but for those that are not in force."""
    table = agreements.TABLE.get(facts.company.arr.source)
    faulty = pl.col("problem").is_not_null() & ~pl.col("problem").str.starts_with(agreements.NOT_IN_FORCE)
    return facts.agreements.filter(faulty).select(
        "external_id",
        "name",
        "currency",
        "amount",
        object=pl.lit(table, dtype=pl.String),
        kpis=pl.lit("ARR"),
        reason="problem",
        _on=pl.col("start").fill_null(facts.calendar.known_day),
    )
