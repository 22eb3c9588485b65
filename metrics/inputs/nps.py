"""What customers say in surveys: a quarter of the health score.

- customer_key: the customer
- date: the day of the survey
- score: the net promoter score of that customer, -100 to 100 (share of promoters less share of detractors), not the
  answer of one person from 0 to 10

Key: customer_key and date.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Check, Column, Input, Reading

NPS: Final = pl.Schema(
    {
        "account_id": pl.String,  # a live account; null: none matches
        "customer_key": pl.String,
        "date": pl.Date,
        "score": pl.Float64,  # -100..100
        "line": pl.Int64,
    }
)


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values


INPUT: Final = Input(
    kind="nps",
    title="Net promoter score",
    columns=(
        cells.CUSTOMER,
        Column("date", cells.DAY),
        Column("score", cells.NUMBER),
        *cells.ORIGIN,
    ),
    key=("customer_key", "date"),
    schema=NPS,
    shape=shape,
    example=("acme.com", "2026-03-31", "35", "survey", "2026-04-02"),
    checks=(
        Check(
            ~pl.col("score").is_between(-100, 100),
            pl.lit("score is outside -100 to 100; write a net promoter score, for example 35"),
        ),
    ),
)
