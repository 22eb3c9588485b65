"""What holds for a run of neighbouring months, counted month by month without being written out once for each.

A run has two columns, ``first`` and ``last``: the numbers (from 0) of its first and last month; where ``last`` is
below ``first`` it holds in none. A million runs of a year each are twelve million rows; here each is a step up and a
step down, and the sums of a month are those of all the steps up to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def counted(runs: pl.DataFrame, months: int, by: Sequence[str], *amounts: str) -> pl.DataFrame:
    """The sums of ``amounts`` over the runs that hold in each month, where one of them is not 0.

    Columns: those of ``by`` (one at least), number (of the month), the amounts.
    """
    held = runs.filter(pl.col("first") <= pl.col("last"))
    ups = held.group_by(*by, number=pl.col("first")).agg(pl.col(amounts).sum())
    downs = held.group_by(*by, number=pl.col("last") + 1).agg(-pl.col(amounts).sum())
    steps = pl.concat([ups, downs]).group_by(*by, "number").agg(pl.col(amounts).sum())
    # With a place for what ends after the last month every run's steps add up to 0, so one running sum does for all.
    numbers = pl.int_range(months + 1, eager=True, dtype=pl.Int64).alias("number").to_frame()
    keys = steps.select(by).unique().with_row_index("_key")
    placed = steps.join(keys, on=list(by), nulls_equal=True).select("_key", "number", *amounts)
    whole = keys.select("_key").join(numbers, how="cross", maintain_order="left_right")
    sums = whole.join(placed, on=["_key", "number"], how="left", maintain_order="left").with_columns(
        pl.col(amounts).fill_null(0).cum_sum()
    )
    return (
        sums.filter(pl.any_horizontal(pl.col(amounts) != 0))
        .join(keys, on="_key")
        .select(*by, "number", *amounts)
    )


def written_out(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs once for each of their months, in the column ``number``."""
    held = runs.filter(pl.col("first") <= pl.col("last"))
    return (
        held.with_columns(number=pl.int_ranges("first", pl.col("last") + 1))
        .drop("first", "last")
        .explode("number")
    )
