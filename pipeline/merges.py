"""Records that were merged away: whatever points at one is made to point at the survivor.

Both ends are covered: rows that arrive are turned before they are written, rows that are stored are turned when the
merge becomes known. So it does not matter which came first. ``merged_into`` itself stays as the CRM said it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import polars as pl
from sqlalchemy import select

from connectors.schema import UTC
from pipeline.tables import table
from pipeline.transaction import Transaction

# Table -> column -> the table whose records it points at.
REFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "accounts": {"parent_id": "accounts"},
    "contacts": {"account_id": "accounts"},
    "leads": {
        "converted_account_id": "accounts",
        "converted_contact_id": "contacts",
        "converted_deal_id": "deals",
    },
    "deals": {"account_id": "accounts"},
    "line_items": {"deal_id": "deals"},
    "contracts": {"account_id": "accounts", "deal_id": "deals"},
    "subscriptions": {"account_id": "accounts"},
    "meetings": {"account_id": "accounts", "contact_id": "contacts", "deal_id": "deals"},
}
_LONGEST: Final = 64  # steps of a chain of merges; a longer one is a circle


def redirects(tx: Transaction, name: str, company: str, source: str) -> dict[str, str]:
    """Merged id -> the survivor at the end of its chain, for one table."""
    records = table(name)
    query = select(records.c.external_id, records.c.merged_into).where(
        records.c.company == company, records.c.crm == source, records.c.merged_into.is_not(None)
    )
    steps = {str(old): str(new) for old, new in tx.connection.execute(query) if old != new}
    return {old: end for old in steps if (end := _end(steps, old)) is not None}


def _end(steps: Mapping[str, str], start: str) -> str | None:
    """Where a chain of merges ends; None in a circle."""
    place = start
    for _ in range(_LONGEST):
        if place not in steps:
            return place
        place = steps[place]
    return None


def follow(name: str, frame: pl.DataFrame, survivors: Callable[[str], Mapping[str, str]]) -> pl.DataFrame:
    """The frame with its references turned to the survivors (``survivors(table)``: merged id -> survivor)."""
    used = {c: t for c, t in REFERENCES.get(name, {}).items() if frame[c].null_count() < frame.height}
    ends = {parents: survivors(parents) for parents in set(used.values())}
    return _turned(name, frame, {column: ends[parents] for column, parents in used.items()})


def _turned(name: str, frame: pl.DataFrame, ends: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """Every column with its own redirects; an account that became its own parent has none."""
    frame = frame.with_columns(pl.col(column).replace(dict(map_)) for column, map_ in ends.items() if map_)
    if name != "accounts" or "parent_id" not in frame.columns:
        return frame
    own = pl.col("parent_id") == pl.col("external_id")
    return frame.with_columns(parent_id=pl.when(own.fill_null(value=False)).then(None).otherwise("parent_id"))


def merge_children(
    tx: Transaction,
    parents: str,
    company: str,
    source: str,
    now: datetime,
    notice: Callable[[str, pl.DataFrame], None],
) -> int:
    """Turn all stored references to merged records of one table, to the end of every chain; returns how many.

    ``notice(table, rows)`` hears of the rows (external_id, modified_at, references) before they are turned.
    """
    ends = redirects(tx, parents, company, source)
    turned = 0
    for name, columns in REFERENCES.items():
        mine = [column for column, target in columns.items() if target == parents]
        if not ends or not mine:
            continue
        before = tx.columns(name, company, source, ["external_id", *mine])
        after = _turned(name, before, dict.fromkeys(mine, ends))
        differs = pl.any_horizontal(pl.col(column).ne_missing(pl.col(f"{column}_before")) for column in mine)
        changed = after.join(before, on="external_id", suffix="_before").filter(differs)
        rows = changed.select("external_id", *mine)
        notice(name, rows.with_columns(modified_at=pl.lit(None, UTC)))
        turned += tx.update(name, company, source, rows, now)
    return turned
