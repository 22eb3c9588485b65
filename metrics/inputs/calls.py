"""The CRO's own forecast calls: what was said of a quarter, and when.

- quarter: `2026-Q2` of the fiscal year that ends in 2026, or a month or a day of the quarter
- as_of: the day of the call; needed
- category: `commit`, `best_case`, `most_likely`, `pipeline`, `closed`, or `total` for one number over all
- amount: major units of the currency
- currency: ISO code; the report's currency where it is empty

Key: quarter, category and as_of. No call supersedes another: what was said on each day stays.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Column, Input, Reading

CALLS: Final = pl.Schema(
    {
        "quarter_first": pl.Date,  # first day of the fiscal quarter
        "day": pl.Date,  # of the call
        "category": pl.String,
        "amount": pl.Int64,  # minor units
        "currency": pl.String,
        "line": pl.Int64,
    }
)
_CATEGORIES: Final = ("commit", "best_case", "most_likely", "pipeline", "closed", "total")


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values.with_columns(amount=cells.minor(pl.col("amount"), pl.col("currency"))).rename(
        {"quarter": "quarter_first", "as_of": "day"}
    )


INPUT: Final = Input(
    kind="calls",
    title="Forecast calls",
    columns=(
        Column("quarter", cells.QUARTER),
        Column("as_of", cells.DAY),
        Column(
            "category",
            cells.one_of(
                {name: name for name in _CATEGORIES}, f"is none of {', '.join(_CATEGORIES)}", "commit"
            ),
        ),
        Column("amount", cells.AMOUNT),
        cells.CURRENCY_OF,
        cells.SOURCE,
    ),
    key=("quarter", "category", "as_of"),
    schema=CALLS,
    shape=shape,
    example=("2026-Q2", "2026-04-20", "commit", "850000.00", "USD", "forecast meeting"),
)
