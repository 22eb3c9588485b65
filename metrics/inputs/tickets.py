"""Support tickets, where they are kept outside the CRM: a quarter of the health score.

- ticket: the ticket's own number or id; may be empty or left out
- customer_key: the customer
- opened: the day it was opened
- closed: the day it was closed; empty: it is still open
- severity: in your words, such as `high`; may be empty

Key: ticket. A row without one stands for itself, so two tickets of one day are two, and a later version of such a row
cannot be told from another ticket: give the ticket where you supersede rows. What was open on a day is told by opened
and closed; whether a ticket was known then, by as_of.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Check, Column, Input, Reading

TICKETS: Final = pl.Schema(
    {
        "account_id": pl.String,  # a live account; null: none matches
        "customer_key": pl.String,
        "opened": pl.Date,
        "closed": pl.Date,  # null: still open
        "severity": pl.String,  # in lower case; null: not stated
        "line": pl.Int64,
    }
)


def shape(values: pl.DataFrame, _: Reading) -> pl.DataFrame:
    return values


INPUT: Final = Input(
    kind="tickets",
    title="Support tickets",
    columns=(
        Column("ticket", cells.text_like("4711"), needed=False, optional=True),
        cells.CUSTOMER,
        Column("opened", cells.DAY),
        Column("closed", cells.DAY, needed=False),
        Column("severity", cells.LOWER, needed=False),
        *cells.ORIGIN,
    ),
    key=("ticket",),
    unkeyed="ticket",
    schema=TICKETS,
    shape=shape,
    example=("4711", "acme.com", "2026-04-02", "2026-04-09", "high", "help desk", "2026-04-30"),
    checks=(
        Check(
            pl.col("closed") < pl.col("opened"),
            pl.format("closed {} is before opened {}; correct one of them", "closed", "opened"),
        ),
    ),
)
