"""Contracts that renew by themselves (definition book, R5: an option).

A new or renewal contract that no renewal replaced goes on after its end for the same term, again and again, until the
next new or renewal contract of the customer starts on its end or later, or until a renewal is lost: one lost at most
the grace after an end, or at any time before it since the contract's start, ends the contract there. Otherwise it
ends with the first of its terms that ends after the day that is known. A contract without a term of its own (from an
opening list) ends when it says.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from metrics.basis import after


def prolonged(ledger: pl.DataFrame, known_day: date, grace_days: int, lost: pl.DataFrame) -> pl.DataFrame:
    """The contracts with ``own_end`` moved, and ``auto_renewed`` where it was.

    ``ledger``: contract, customer, start, term, own_end, natural_end (before a renewal replaced it), base; ``lost``:
    customer, lost (the day a renewal was lost).
    """
    known, grace = pl.lit(known_day), timedelta(days=grace_days)
    running = ledger.filter(
        pl.col("base")
        & (pl.col("term") > 0)
        & (pl.col("own_end") == pl.col("natural_end"))
        & (pl.col("own_end") <= known)
    ).select("contract", "customer", "start", "term", "own_end")
    bases = ledger.filter("base").select("customer", _next="start").unique()
    following = (
        running.join(bases, on="customer")
        .filter(pl.col("_next") >= pl.col("own_end"))
        .group_by("contract")
        .agg(pl.col("_next").min())
    )
    announced = (
        running.join(lost, on="customer")
        .filter(pl.col("lost") > pl.col("start"))
        .group_by("contract")
        .agg(pl.col("lost").min())
    )
    ends = (
        running.join(following, on="contract", how="left")
        .join(announced, on="contract", how="left")
        .select(
            "contract",
            _until=pl.min_horizontal(
                "_next",
                _first_end(known),
                pl.when(pl.col("lost").is_not_null()).then(
                    _first_end(pl.col("lost") - grace - timedelta(days=1))
                ),
            ),
        )
    )
    return (
        ledger.join(ends, on="contract", how="left")
        .with_columns(
            own_end=pl.coalesce("_until", "own_end"),
            auto_renewed=(pl.col("_until") > pl.col("own_end")).fill_null(value=False),
        )
        .drop("_until")
    )


def _first_end(day: pl.Expr) -> pl.Expr:
    """The first end of a term (start + k terms, k >= 1) that lies after ``day``."""
    start, term = pl.col("start"), pl.col("term")
    passed = (day.dt.year() - start.dt.year()) * 12 + day.dt.month().cast(pl.Int32) - start.dt.month()
    count = pl.max_horizontal(pl.lit(1), passed.cast(pl.Int64) // term)
    end = after(start, count * term)
    return pl.when(end > day).then(end).otherwise(after(start, (count + 1) * term))
