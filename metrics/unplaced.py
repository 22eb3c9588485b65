"""Rows of the opening list whose customer is no account of the CRM, named where a number leans on them.

With ``arr.deals_from`` they are in no ARR, for what deals change about them could not be told; with ``arr.source:
opening_arr`` they count, as customers of no size, industry or motion. Either way a board that reads ARR, or what is
made of it, reads whom it is missing or guessing, and what they are worth a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from metrics import opening
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.kpi import Kpi
from metrics.words import UNKNOWN

_FILE: Final = "opening_arr"
_NAMED: Final = 5  # customers that a sentence names


def told(facts: Facts, kpi: Kpi, cut: str | None) -> Mapping[tuple[str, str | None], tuple[str, ...]]:
    """Month and segment -> the sentence, of a KPI that is made of ARR.

    Rows that began by D and had not ended a year before it: what retention and growth compare lies in between. Of a cut
    it is the bucket ``unknown`` that holds what has no account; what is left out is missing from the whole.
    """
    if _FILE not in kpi.inputs or not facts.company.arr.reads_list:
        return {}
    counted = facts.company.arr.deals_from is None
    if cut is not None and not (counted and cut != "product"):
        return {}
    segment = None if cut is None else UNKNOWN
    return {(month, segment): (text,) for month, text in facts.once(_sentences).items()}


def amounts(facts: Facts) -> str | None:
    """``Acme $12,000.00, Globex $3,000.00``: every such customer at the rate of its start; None where there is none."""
    rows = _rows(facts).with_columns(on=pl.col("start"))
    return None if rows.is_empty() else _named(facts, rows)


def _rows(facts: Facts) -> pl.DataFrame:
    """A faulty list has none to tell: every number that needs it names the fault."""
    try:
        return facts.opening_list.filter(~pl.col("placed"))
    except InputFault:
        return opening.none()


def _sentences(facts: Facts) -> Mapping[str, str]:
    """Month -> who stands behind no account, and what that means."""
    rows = _rows(facts)
    counted = facts.company.arr.deals_from is None
    what = "counted without an account" if counted else "left out, for no account matches"
    found = {}
    for month, day in facts.periods.select("month", "day").iter_rows():
        year_ago = pl.lit(day).dt.offset_by("-12mo")
        mine = rows.filter((pl.col("start") <= day) & (pl.col("own_end") > year_ago))
        if not mine.is_empty():
            named = _named(facts, mine.with_columns(on=pl.lit(day)))
            found[month] = f"customers of the opening list {what}: {named}"
    return found


def _named(facts: Facts, rows: pl.DataFrame) -> str:
    valued = facts.rates.convert(rows, "arr", "on", "value").sort(
        "value", "line", descending=[True, False], nulls_last=True
    )
    words = in_words(pl.col("value"), facts.currency).fill_null(pl.format("in {} without a rate", "currency"))
    names = valued.select(pl.format("{} {}", "customer_key", words)).to_series().to_list()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    if len(names) == 1:
        return str(names[0])
    total = valued.select(in_words(pl.col("value").sum(), facts.currency)).item()
    return f"{', '.join(names[:_NAMED])}{more}, {total} in all"
