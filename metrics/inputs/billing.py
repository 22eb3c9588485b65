"""What was billed, as annual recurring revenue by customer and month: held against the ARR of the CRM.

- customer_key: the customer
- month: `2026-04`, or any day of it; the ARR is that of its end
- arr: annual recurring revenue in major units of the currency
- currency: ISO code; the report's currency where it is empty

Key: customer_key, month and currency.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Column, Input, Reading

BILLING: Final = pl.Schema(
    {
        "account_id": pl.String,  # a live account; null: none matches
        "customer_key": pl.String,
        "month": pl.Date,  # its first day
        "arr": pl.Int64,  # minor units
        "currency": pl.String,
        "line": pl.Int64,
    }
)


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values.with_columns(arr=cells.minor(pl.col("arr"), pl.col("currency")))


INPUT: Final = Input(
    kind="billing",
    title="Billing",
    columns=(
        cells.CUSTOMER,
        Column("month", cells.MONTH),
        Column("arr", cells.AMOUNT),
        cells.CURRENCY_OF,
        *cells.ORIGIN,
    ),
    key=("customer_key", "month", "currency"),
    schema=BILLING,
    shape=shape,
    example=("acme.com", "2026-04", "48000.00", "USD", "billing", "2026-05-02"),
)
