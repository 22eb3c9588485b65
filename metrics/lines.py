"""The rows of ARR: what each contract is made of (readings 2 and 3 of ``metrics.arr``)."""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.arr import REDUCING
from metrics.deals import annualised
from pipeline.company import Company

ROWS: Final = (
    "deal_id", "customer", "deal_type", "row", "product", "product_name", "kind", "quantity", "arr", "currency",
    "start", "end", "signed", "leaves_signed", "unresolved",
)  # fmt: skip


def rows(ledger: pl.DataFrame, lines: pl.DataFrame, deals: pl.DataFrame, company: Company) -> pl.DataFrame:
    """The rows of ARR of every contract (ruling 6): its recurring line items, and a remainder.

    ``ledger``: from ``metrics.arr.contracts``; ``lines``: live canonical line items; ``deals``: described. Columns:
    those of the ledger that say whose and when, and row, product (identity), product_name, kind (seat | module | null),
    quantity, arr (minor units of ``currency``). The rows of a contract add up to its ARR.
    """
    items = _items(ledger, lines, deals, company)
    listed = items.group_by("deal_id").agg(_listed=pl.col("arr").sum())
    text = pl.lit(None, dtype=pl.String)
    rest = (
        ledger.join(listed, on="deal_id", how="left")
        .with_columns(
            arr=pl.col("arr") - pl.col("_listed").fill_null(0),
            row="deal_id",
            product=text,
            product_name=text,
            kind=text,
            quantity=pl.lit(None, dtype=pl.Float64),
        )
        .filter((pl.col("arr") != 0) | pl.col("_listed").is_null())
    )
    return pl.concat([items.select(ROWS), rest.select(ROWS)]).sort("customer", "start", "row")


def _items(ledger: pl.DataFrame, lines: pl.DataFrame, deals: pl.DataFrame, company: Company) -> pl.DataFrame:
    """One row per recurring line item of a contract, annualised and signed."""
    recurring = (pl.col("kind") != "one_time") | pl.col("kind").is_null()
    amount = pl.coalesce("amount", (pl.col("quantity") * pl.col("unit_price")).round(0, mode="half_to_even"))
    items = lines.filter(recurring).select(
        "deal_id",
        "quantity",
        row="external_id",
        product=pl.coalesce("product_id", "product", "product_family"),
        product_name=pl.coalesce("product", "product_family", "product_id"),
        kind=pl.when(pl.col("kind").is_in(["seat", "module"])).then("kind"),
        _amount=amount.cast(pl.Int64),
        _currency="currency",
    )
    priced = (
        items.join(ledger.drop("arr"), on="deal_id")
        .join(deals.select(deal_id="external_id", _term="term"), on="deal_id", how="left")
        .filter(
            pl.col("_amount").is_not_null() & (pl.coalesce("_currency", "currency") == pl.col("currency"))
        )
    )
    against = pl.col("deal_type").is_in(REDUCING) & (pl.col("_amount").sum().over("deal_id") > 0)
    sign = pl.when(against).then(-1).otherwise(1).cast(pl.Int64)
    return priced.with_columns(
        arr=annualised(pl.col("_amount"), pl.col("_term"), company) * sign, quantity=pl.col("quantity") * sign
    )
