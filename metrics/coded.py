"""The rows of ARR in numbers: what names a customer, a product or a contract is long, and there are many months.

Texts are turned into the numbers of a sorted list once; the bridge counts with these, and a text is read again where
somebody looks at it. Months become categories, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

KINDS = pl.Enum(["module", "seat"])


@dataclass(frozen=True)
class Coded:
    """``rows``: those of ``metrics.lines.rows`` that the bridge looks at, with numbers for customer, product,
    product_name and contract; the series hold the texts by their numbers."""

    rows: pl.DataFrame
    customers: pl.Series
    products: pl.Series
    product_names: pl.Series

    def customer_codes(self, customers: pl.Series) -> pl.Series:
        """The numbers of customers; null for one that never had ARR."""
        return _codes(customers, self.customers)

    def named(self, moved: pl.DataFrame) -> pl.DataFrame:
        """A frame of the bridge with texts again."""
        texts = {"customer": self.customers, "product": self.products, "product_name": self.product_names}
        given = [texts[name].gather(moved[name]).alias(name) for name in texts if name in moved.columns]
        return moved.with_columns(*given, pl.col("month", "kind").cast(pl.String))


def coded(rows: pl.DataFrame) -> Coded:
    """``rows``: from ``metrics.lines.rows``."""
    lists = {
        name: rows[name].drop_nulls().unique().sort() for name in ("customer", "product", "product_name")
    }
    contracts = rows["contract"].unique()
    lean = rows.select(
        *(_codes(rows[name], lists[name]).alias(name) for name in lists),
        _codes(rows["contract"], contracts).alias("contract"),
        pl.col("kind").cast(KINDS),
        "quantity",
        "arr",
        "currency",
        "start",
        "end",
        "signed",
        "leaves_signed",
        "stepped",
    )
    return Coded(lean, *lists.values())


def months(periods: pl.DataFrame, known: Sequence[str]) -> pl.DataFrame:
    """Periods with the month as a category among ``known``, which are in their order."""
    return periods.with_columns(pl.col("month").cast(pl.Enum(list(known))))


def categories(texts: pl.Series, *more: str) -> pl.Series:
    """Texts as categories in the order of the alphabet; ``more``: others that there are."""
    named = sorted({*texts.drop_nulls().unique(), *more})
    return texts.cast(pl.Enum(named))


def _codes(texts: pl.Series, known: pl.Series) -> pl.Series:
    numbers = pl.DataFrame({"text": known}).with_row_index("code")
    return pl.DataFrame({"text": texts}).join(numbers, on="text", how="left", maintain_order="left")["code"]
