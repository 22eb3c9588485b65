"""Who the customer is: the ultimate parent of an account, after merges, as far up as live accounts go.

A company may have every account stand for itself (``arr.customer: account``). Definition book, R6 and ruling 16.
Parent and merge links have no history and are taken as they are known now.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import polars as pl

from metrics.words import stated
from pipeline.company import SizeBand

_DEEPEST: Final = 64  # levels of merging or of hierarchy; a longer chain is a circle


def customers(
    accounts: pl.DataFrame, as_of: datetime, grain: Literal["ultimate_parent", "account"] = "ultimate_parent"
) -> pl.DataFrame:
    """Every account ever seen and what became of it.

    Columns: account_id, live_id (itself or the survivor it was merged into; null where it is gone), customer
    (ultimate parent of live_id, or live_id itself). Rows whose ``live_id`` is null belong to no customer.
    """
    gone = pl.col("deleted_at").is_not_null() & (pl.col("deleted_at") <= as_of)
    links = accounts.select(
        account_id="external_id",
        next=pl.when(gone).then("merged_into").otherwise("external_id"),
        parent_id=pl.when(pl.col("parent_id") != pl.col("external_id")).then("parent_id"),
    )
    survivors = _follow(links.select("account_id", "next"))
    if grain == "account":
        return survivors.select("account_id", "live_id", customer="live_id")
    live = links.join(survivors, on="account_id").filter(pl.col("account_id") == pl.col("live_id"))
    parents = (
        live.select("account_id", "parent_id")
        .join(survivors.rename({"account_id": "parent_id", "live_id": "parent"}), on="parent_id", how="left")
        .select("account_id", parent=pl.when(pl.col("parent") != pl.col("account_id")).then("parent"))
    )
    tops = _climb(parents)
    return survivors.join(tops.rename({"account_id": "live_id"}), on="live_id", how="left").select(
        "account_id", "live_id", "customer"
    )


def size_band(segment: pl.Expr, employees: pl.Expr, bands: tuple[SizeBand, ...]) -> pl.Expr:
    """The mapped segment where it is filled, else the band of the number of employees, else null."""
    by_number = pl.lit(None, dtype=pl.String)
    for band in sorted(bands, key=lambda band: band.employees_from):
        by_number = pl.when(employees >= band.employees_from).then(pl.lit(band.name)).otherwise(by_number)
    return pl.coalesce(stated(segment), pl.when(employees > 0).then(by_number))


def _follow(links: pl.DataFrame) -> pl.DataFrame:
    """account_id, live_id: merged-away accounts redirected to the last survivor, null where there is none."""
    walk = links.select("account_id", live_id="next")
    for _ in range(_DEEPEST):
        ahead = walk.join(
            links.rename({"account_id": "live_id", "next": "_next"}),
            on="live_id",
            how="left",
            maintain_order="left",
        )
        moved = ahead.select("account_id", live_id="_next")
        if moved.equals(walk):
            return walk
        walk = moved
    final = links.filter(pl.col("account_id") == pl.col("next"))["account_id"]
    return walk.with_columns(live_id=pl.when(pl.col("live_id").is_in(final.implode())).then("live_id"))


def _climb(parents: pl.DataFrame) -> pl.DataFrame:
    """account_id, customer: the top of each account's hierarchy. In a circle it is the smallest id of the circle."""
    step = parents.rename({"account_id": "customer"})
    walk = parents.select("account_id", customer="account_id")
    for _ in range(_DEEPEST):
        ahead = walk.join(step, on="customer", how="left", maintain_order="left")
        if ahead["parent"].is_null().all():
            return walk
        walk = ahead.select("account_id", customer=pl.coalesce("parent", "customer"))
    smallest = walk.with_columns(least="customer")
    for _ in range(_DEEPEST):
        ahead = smallest.join(step, on="customer", how="left", maintain_order="left")
        smallest = ahead.select(
            "account_id",
            pl.coalesce("parent", "customer").alias("customer"),
            pl.min_horizontal("least", pl.coalesce("parent", "customer")).alias("least"),
        )
    return smallest.select("account_id", customer="least")
