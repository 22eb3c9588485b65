"""Contracts that the CRM does not hold, mostly those from before it was used: the opening list of recurring revenue.

- customer_key: the customer
- product: what was sold; may be empty
- arr: annual recurring revenue in major units of the currency, 0 or more
- currency: ISO code; the report's currency where it is empty
- start: first day of the contract
- end: the day it ends, itself no longer covered; empty: it goes on

Key: customer_key, product and start. It is read where `arr: source` or `arr: deals_from` says so (docs/revenue.md).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Check, Column, Input, Reading

OPENING_ARR: Final = pl.Schema(
    {
        "account_id": pl.String,  # a live account; null: none matches
        "customer_key": pl.String,
        "product": pl.String,
        "arr": pl.Int64,  # minor units
        "currency": pl.String,
        "start": pl.Date,
        "end": pl.Date,  # exclusive; null: open
        "line": pl.Int64,
    }
)


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values.with_columns(arr=cells.minor(pl.col("arr"), pl.col("currency")))


INPUT: Final = Input(
    kind="opening_arr",
    title="Opening ARR",
    columns=(
        cells.CUSTOMER,
        Column("product", cells.text_like("Platform"), needed=False, optional=True),
        Column("arr", cells.AMOUNT),
        cells.CURRENCY_OF,
        Column("start", cells.DAY),
        Column("end", cells.DAY, needed=False),
        *cells.ORIGIN,
    ),
    key=("customer_key", "product", "start"),
    schema=OPENING_ARR,
    shape=shape,
    example=("acme.com", "Platform", "48000.00", "USD", "2024-02-01", "2027-02-01", "billing", "2026-01-05"),
    checks=(
        Check(
            pl.col("arr") < 0,
            pl.lit("arr is below 0; write what the customer pays a year, for example 48000.00"),
        ),
        Check(
            pl.col("end") <= pl.col("start"),
            pl.format("end {} is not after start {}; correct one of them", "end", "start"),
        ),
    ),
)
