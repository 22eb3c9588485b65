"""Records that are one and the same: clusters over shared keys, transitive, and the surplus in each.

Of a cluster one record is kept in mind as its representative, the one created first (ties by the order the caller
gives); every other one is surplus. definition book, ruling 36.
"""

from __future__ import annotations

import polars as pl


def surplus(members: pl.DataFrame) -> pl.DataFrame:
    """One row per surplus record.

    ``members``, one row per key of a member: external_id, record (what counts as one: the id itself, or its
    hierarchy), rank (of the member, unique), first (rank of the record), key, why (the key in words). Returns
    external_id (the first member of a surplus record that shares a key), other_id (the first member of another
    record with that key) and why.
    """
    shared = members.filter(pl.col("record").n_unique().over("key") > 1)
    if shared.is_empty():
        return pl.DataFrame(schema={"external_id": pl.String, "other_id": pl.String, "why": pl.String})
    heads = _clusters(shared)
    extra = shared.join(heads, on="record").filter(pl.col("first") != pl.col("head"))
    return (
        extra.join(_partners(shared), on=["key", "record"])
        .sort("rank", "partner_first", "partner_rank", "key")
        .unique("record", keep="first", maintain_order=True)
        .select("external_id", "other_id", "why")
    )


def _clusters(shared: pl.DataFrame) -> pl.DataFrame:
    """record -> head, the lowest ``first`` in its cluster; labels spread over shared keys until none moves."""
    links = shared.select("record", "key", head="first").unique()
    while True:
        spread = links.with_columns(moved=pl.col("head").min().over("key")).with_columns(
            moved=pl.col("moved").min().over("record")
        )
        if (spread["moved"] == spread["head"]).all():
            return links.select("record", "head").unique()
        links = spread.select("record", "key", head="moved")


def _partners(shared: pl.DataFrame) -> pl.DataFrame:
    """For each key and record: the first member of another record with that key."""
    firsts = shared.sort("first", "rank").unique(["key", "record"], keep="first", maintain_order=True)
    ends = firsts.group_by("key", maintain_order=True).agg(
        pl.col(name).get(place).alias(f"{name}_{place}")
        for name in ("record", "external_id", "first", "rank")
        for place in (0, 1)
    )
    mine = pl.col("record") == pl.col("record_0")
    return (
        shared.select("key", "record")
        .unique()
        .join(ends, on="key")
        .select(
            "key",
            "record",
            other_id=pl.when(mine).then("external_id_1").otherwise("external_id_0"),
            partner_first=pl.when(mine).then("first_1").otherwise("first_0"),
            partner_rank=pl.when(mine).then("rank_1").otherwise("rank_0"),
        )
    )
