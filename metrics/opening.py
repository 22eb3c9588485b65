"""Contracts from an opening list: what customers had before the CRM remembers, or all there is to know.

``inputs.opening_arr`` names the file. Each row is a contract [start, end) of one customer and, where it names one, one
product; without an end it runs until a renewal or a churn deal of the customer ends it. A list never counts twice with
the deals:

- ``arr.source: opening_arr``: only the list counts; won deals bring no ARR (an open renewal still keeps what has just
  expired, ruling 13);
- ``arr.deals_from: DAY`` with another source: contracts that start before that day come from the list, those that start
  on it or later from the deals. Every contract has one start, so it counts once. Deals that start earlier are in no
  ARR; rows of the list that start later are left out and listed. So are rows whose customer is no account of the CRM:
  what a deal adds to or takes from them could not be told.
- otherwise the list is not part of ARR.

A list has no day of signing: a contract is signed on its start, or on the day it is known where that is earlier. A
product is the CRM's product of the same name where there is exactly one; its quantity is not known, so a rise of it is
"other" expansion. Source: definition book, section 1, ruling 8.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from metrics import contract_rows
from metrics.contract_rows import contracts as contracts
from metrics.contract_rows import parts as parts
from metrics.settlement import OPEN_END
from pipeline.company import ArrSettings

ROWS: Final = contract_rows.schema(
    line=pl.Int64,
    customer_key=pl.String,
    placed=pl.Boolean,  # whether an account matches its customer
)


def none() -> pl.DataFrame:
    """No list, or one that ARR is not read from."""
    return pl.DataFrame(schema=ROWS)


def rows(
    listed: pl.DataFrame,
    accounts: pl.DataFrame,
    lines: pl.DataFrame,
    currencies: list[str],
    settings: ArrSettings,
    known_day: date,
) -> pl.DataFrame:
    """Every row of the list with ``problem``: why it is no contract, null where it is one.

    ``listed``: ``facts.input("opening_arr")``; ``accounts``: ``Facts.accounts``; ``lines``: live line items. Columns:
    those of ``ROWS``; customer is the account's, else named after the row's customer_key.
    """
    own = pl.format("{} (not in the CRM)", "customer_key")
    product = pl.col("product").str.strip_chars()
    named = (
        listed.join(accounts.select("account_id", "customer"), on="account_id", how="left")
        .with_columns(_key=product.str.to_lowercase(), _product=product)
        .join(_products(lines), on="_key", how="left")
    )
    contract = pl.format("opening_arr line {}", "line")
    described = named.select(
        "line",
        "customer_key",
        "currency",
        "start",
        "arr",
        "kind",
        contract=contract,
        made_of=contract,
        row=contract,
        customer=pl.coalesce("customer", own),
        deal_type=pl.lit("new"),
        own_end=pl.col("end").fill_null(OPEN_END),
        signed=pl.min_horizontal("start", pl.lit(known_day)),
        product=pl.coalesce("product_id", "_product"),
        product_name=pl.coalesce("product_name", "_product"),
        problem=_problem(currencies, settings),
        placed=pl.col("customer").is_not_null(),
    )
    return contract_rows.shaped(described, ROWS)


def _problem(currencies: list[str], settings: ArrSettings) -> pl.Expr:
    day = settings.deals_from
    takes_over = (
        pl.when(pl.col("customer").is_null())
        .then(pl.lit("no account matches it: what deals change about it could not be told"))
        .when(pl.col("start") >= pl.lit(day))
        .then(pl.lit(f"starts on or after {day}, from when the deals count"))
        if day is not None
        else pl.when(pl.lit(value=False)).then(pl.lit(""))
    )
    return takes_over.when(~pl.col("currency").is_in(currencies)).then(
        pl.lit("currency without an exchange rate")
    )


def _products(lines: pl.DataFrame) -> pl.DataFrame:
    """_key (a product's name in lower case), product_id, product_name, kind; only of names that mean one product."""
    key = pl.col("product").str.strip_chars().str.to_lowercase()
    identity = pl.coalesce("product_id", "product", "product_family")
    kind = pl.when(pl.col("kind").is_in(["seat", "module"])).then("kind")
    found = (
        lines.filter(pl.col("product").is_not_null())
        .group_by(_key=key)
        .agg(
            product_id=identity.drop_nulls().min(),
            product_name=pl.col("product").max(),
            kind=kind.drop_nulls().max(),
            _ids=identity.drop_nulls().n_unique(),
        )
    )
    return found.filter(pl.col("_ids") == 1).drop("_ids")
