"""A contract that no deal makes, as a row: what the opening list and the CRM's own contracts have in common.

Both are rows of their source with ``problem`` (why one is no contract, null where it is one) and what the ledger takes
of a contract: ``contracts`` gives the columns of ``metrics.arr.NATURAL``, ``parts`` those of ``metrics.lines.PARTS``.
"""

from __future__ import annotations

from typing import Final

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from metrics.lines import PARTS

_Type = DataType | DataTypeClass

_COMMON: Final[dict[str, _Type]] = {
    "currency": pl.String,
    "start": pl.Date,
    "arr": pl.Int64,
    "kind": pl.String,
    "quantity": pl.Float64,
    "contract": pl.String,
    "made_of": pl.String,
    "row": pl.String,
    "deal_id": pl.String,
    "customer": pl.String,
    "deal_type": pl.String,
    "own_end": pl.Date,
    "signed": pl.Date,
    "product": pl.String,
    "product_name": pl.String,
    "start_assumed": pl.Boolean,
    "terminated": pl.Boolean,
    "problem": pl.String,
}


def schema(**own: _Type) -> pl.Schema:
    """The columns of a source's rows: its own, and those that all have."""
    return pl.Schema({**own, **_COMMON})


def shaped(rows: pl.DataFrame, columns: pl.Schema) -> pl.DataFrame:
    """The rows in a ``schema``; a column that the source does not know is null."""
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in columns.items()
    )


def contracts(described: pl.DataFrame) -> pl.DataFrame:
    """The rows that are contracts, with the columns that ``metrics.settlement.settle`` takes.

    One that was terminated before it began never was one.
    """
    return described.filter(pl.col("problem").is_null() & (pl.col("start") < pl.col("own_end"))).select(
        "contract",
        "made_of",
        "customer",
        "deal_type",
        "currency",
        "start",
        "own_end",
        "signed",
        "arr",
        "deal_id",
        pl.col("start_assumed", "terminated").fill_null(value=False),
        term=pl.lit(None, dtype=pl.Int64),
        term_assumed=pl.lit(value=False),
        totals=pl.lit(value=False),
    )


def parts(described: pl.DataFrame) -> pl.DataFrame:
    """What those contracts are made of: the columns of ``metrics.lines.PARTS``."""
    nothing = pl.lit(None, dtype=pl.Date)
    return (
        described.filter(pl.col("problem").is_null()).with_columns(begins=nothing, ends=nothing).select(PARTS)
    )
