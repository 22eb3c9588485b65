"""Gross margin by quarter and revenue stream: what turns new ARR into money that pays acquisition back.

- quarter: `2026-Q2` of the fiscal year that ends in 2026, or a month or a day of the quarter
- stream: `subscription` is the one that CAC payback takes; any other is kept beside it
- pct: `75%` or `0.75`; a bare 75 is refused, for it could be either

Key: quarter and stream.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Column, Input, Reading

MARGIN: Final = pl.Schema(
    {
        "quarter_first": pl.Date,  # first day of the fiscal quarter
        "stream": pl.String,  # in lower case
        "pct": pl.Float64,  # 0..1
        "line": pl.Int64,
    }
)


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values.rename({"quarter": "quarter_first"})


INPUT: Final = Input(
    kind="margin",
    title="Gross margin",
    columns=(
        Column("quarter", cells.QUARTER),
        Column("stream", cells.LOWER),
        Column("pct", cells.SHARE),
        *cells.ORIGIN,
    ),
    key=("quarter", "stream"),
    schema=MARGIN,
    shape=shape,
    example=("2026-Q2", "subscription", "75%", "finance", "2026-07-10"),
)
