"""How many people of a customer use the product, week by week: half of the health score.

- customer_key: the customer
- week: any day of the week; weeks begin on Monday
- active: people who used the product in that week
- licensed: seats the customer pays for

Key: customer_key and week.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Column, Input, Reading

USAGE: Final = pl.Schema(
    {
        "account_id": pl.String,  # a live account; null: none matches
        "customer_key": pl.String,
        "week": pl.Date,  # its Monday
        "active": pl.Int64,
        "licensed": pl.Int64,
        "line": pl.Int64,
    }
)


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values


INPUT: Final = Input(
    kind="usage",
    title="Product usage",
    columns=(
        cells.CUSTOMER,
        Column("week", cells.WEEK),
        Column("active", cells.COUNT),
        Column("licensed", cells.COUNT),
        *cells.ORIGIN,
    ),
    key=("customer_key", "week"),
    schema=USAGE,
    shape=shape,
    example=("acme.com", "2026-04-06", "42", "60", "product analytics", "2026-04-13"),
)
