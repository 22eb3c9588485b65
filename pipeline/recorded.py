"""What came into the store after a moment, by our own clock.

A CRM's clock says when something happened; ours says when we heard of it. What is published was made from what had been
heard by then, so a change of long ago that came late explains a restatement as much as one of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import polars as pl
from sqlalchemy import func, select

from connectors.schema import UTC
from pipeline import bulk
from pipeline.reader import Reader
from pipeline.tables import CHANGES, KEYS, SCHEMAS, table

STAMPED: Final = (
    *CHANGES,
    "deals",
    "accounts",
    "leads",
    "line_items",
    "meetings",
    "quotas",
    "exchange_rates",
    "contracts",
    "subscriptions",
)


def _none(name: str) -> pl.DataFrame:
    keys = {key: SCHEMAS[name][key] for key in KEYS[name]}
    return pl.DataFrame(schema={**keys, "recorded_at": UTC})


@dataclass(frozen=True)
class Recorded:
    """``rows``: table -> its key and recorded_at, of rows written or changed since a moment.

    ``first_seen``: deal_id and first_seen, of deals of which nothing at all was known by then.
    """

    rows: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    first_seen: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"deal_id": pl.String, "first_seen": UTC})
    )

    def of(self, name: str) -> pl.DataFrame:
        """The rows of one table; none where nothing was written."""
        return self.rows[name] if name in self.rows else _none(name)


def recorded(reader: Reader, company: str, source: str, since: datetime) -> Recorded:
    """What was written after ``since`` of the tables ``STAMPED``."""
    mine = {"company": company, "crm": source}
    rows = {
        name: bulk.read(
            reader.connection, table(name), _none(name).schema, mine, later=("recorded_at", since)
        )
        for name in STAMPED
    }
    changes = table("deal_changes")
    first = func.min(changes.c.recorded_at)
    query = (
        select(changes.c.deal_id, first)
        .where(changes.c.company == company, changes.c.crm == source)
        .group_by(changes.c.deal_id)
        .having(first > since)
    )
    found = [tuple(row) for row in reader.connection.execute(query)]
    return Recorded(rows, pl.DataFrame(found, schema={"deal_id": pl.String, "first_seen": UTC}, orient="row"))
