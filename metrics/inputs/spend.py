"""Spend on sales and marketing, by month and channel: what CAC payback and cost per lead are made of.

- month: `2026-04`, or any day of it
- channel: where the money went: a motion, or a lead source that `source_map` gives to one, counts for that motion, any
  other word for itself; `expansion` is what selling to customers cost, which CAC leaves out; empty, or `unallocated`,
  where it belongs to no channel (it is kept apart, not spread)
- kind: `people` (salaries, commissions) or `program` (campaigns, events, tools)
- amount: major units of the currency; a credit is negative
- currency: ISO code; the report's currency where it is empty
- segment: the size of the customers that it was to win, as `size=Enterprise`; empty where that cannot be told. CAC
  payback by size needs it, and takes in only what names a size; all other numbers take every row

Key: month, channel, kind, currency and segment, so amounts in several currencies add up. A month with rows is
complete: a channel without one spent nothing in it, but a channel needs one row at least (of 0, if it cost nothing) to
have a number. A month without rows is missing, and numbers that need it name it. A month is split by size where one of
its rows names a size: a size without one spent nothing in it. Who splits a figure later writes 0 for the whole one.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Cell, Column, Input, Reading

SPEND: Final = pl.Schema(
    {
        "month": pl.Date,  # its first day
        "channel": pl.String,  # in lower case; null: unallocated
        "kind": pl.String,  # people | program
        "amount": pl.Int64,  # minor units
        "currency": pl.String,
        "segment": pl.String,  # a size; null: of none, or of several
        "line": pl.Int64,
    }
)
_KINDS: Final = {"people": "people", "program": "program", "programme": "program"}
_UNALLOCATED: Final = "unallocated"
_SIZE: Final = r"^(?i:size)\s*=\s*(\S.*)$"


def _of_size(text: pl.Expr, _: Reading) -> pl.Expr:
    return cells.words(text.str.extract(_SIZE, 1))


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values.with_columns(
        amount=cells.minor(pl.col("amount"), pl.col("currency")),
        channel=pl.when(pl.col("channel") != _UNALLOCATED).then("channel"),
    )


INPUT: Final = Input(
    kind="spend",
    title="Sales and marketing spend",
    columns=(
        Column("month", cells.MONTH),
        Column("channel", cells.LOWER, needed=False),
        Column("kind", cells.one_of(_KINDS, "is neither people nor program", "program")),
        Column("amount", cells.AMOUNT),
        cells.CURRENCY_OF,
        Column(
            "segment",
            Cell(_of_size, "is not of the form size=name", "size=Enterprise"),
            needed=False,
            optional=True,
        ),
        *cells.ORIGIN,
    ),
    key=("month", "channel", "kind", "currency", "segment"),
    schema=SPEND,
    shape=shape,
    example=(
        "2026-04",
        "paid search",
        "program",
        "12000.00",
        "USD",
        "size=Enterprise",
        "finance",
        "2026-05-06",
    ),
)
