"""What changed between two readings of a record, for fields whose past the CRM does not hand over.

The CRM's history comes first: a field that has one is never compared. Nor is a field before it was read to its end
under its present mapping, for a value read from another CRM field is no change. The change counts from the CRM's own
last-change stamp of the record, the latest moment at which it can have happened; where that stamp did not move
(calculated fields, stage layouts), from the moment at which we saw it. A deletion counts from the CRM's own time of it.
A record that is older than our last look at everything, and was not there then, counts from the moment we saw it.
"""

from __future__ import annotations

import datetime as clock
from collections.abc import Collection
from datetime import datetime
from typing import Final

import polars as pl

from connectors.schema import UTC
from pipeline.asof import FIELDS, LOGS, as_text
from pipeline.tables import CHANGES, KEYS, SCHEMAS

COMPARED: Final = tuple(FIELDS)
ORIGIN: Final = "comparison"
_NEVER: Final = datetime(1970, 1, 1, tzinfo=clock.UTC)  # since when a record was gone that had not come yet


def changes(
    table: str, before: pl.DataFrame, after: pl.DataFrame, fields: Collection[str], now: datetime
) -> pl.DataFrame:
    """The log rows (schema of the table's log) that turn ``before`` into ``after``.

    ``before``: stored rows; ``after``: rows about to be written; both with the table's key, ``modified_at`` and
    ``fields``. Rows that are only on one side, and versions older than the stored one, are no change.
    """
    keys, log = list(KEYS[table]), LOGS[table]
    empty = pl.DataFrame(schema=SCHEMAS[log])
    mine = [field for field in FIELDS[table] if field in fields and field in after.columns]
    pairs = after.select(*keys, "modified_at", *mine).join(before, on=keys, suffix="_before")
    stamp, earlier = pl.col("modified_at"), pl.col("modified_at_before")
    pairs = pairs.filter(~(stamp < earlier).fill_null(value=False)).with_columns(
        changed_at=pl.when((stamp > earlier).fill_null(value=False) & (stamp <= pl.lit(now, UTC)))
        .then(stamp)
        .otherwise(pl.lit(now, UTC))
    )
    if pairs.is_empty() or not mine:
        return empty
    found = [
        pairs.filter(pl.col(field).ne_missing(pl.col(f"{field}_before"))).select(
            *(pl.col(key).alias(name) for key, name in zip(keys, CHANGES[log], strict=True)),
            field=pl.lit(field),
            changed_at=pl.coalesce(field, "changed_at") if field == "deleted_at" else pl.col("changed_at"),
            seq=pl.lit(0, pl.Int64),
            old_value=as_text(pl.col(f"{field}_before"), SCHEMAS[table][field]),
            new_value=as_text(pl.col(field), SCHEMAS[table][field]),
            origin=pl.lit(ORIGIN),
        )
        for field in mine
    ]
    return pl.concat([empty, *found])


def arrivals(
    table: str,
    before: pl.DataFrame,
    after: pl.DataFrame,
    fields: Collection[str],
    seen: datetime,
    now: datetime,
) -> pl.DataFrame:
    """The log rows of records that came late: not stored, though all was read at ``seen`` and they are older than that.

    What the CRM had not told us by a moment was not known then: imports with dates of the past, records that somebody
    let us see, a stage that a layout has since. Until now they were gone, and such a stage was not in use.
    """
    log, field = LOGS[table], "active" if table == "stages" else "deleted_at"
    nothing = pl.DataFrame(schema=SCHEMAS[log])
    if field not in fields or field not in after.columns:
        return nothing
    new = after.join(before, on=list(KEYS[table]), how="anti")
    if new.is_empty():
        return nothing
    if table != "stages":
        created = pl.col("created_at")
        new = new.filter(created.is_null() | (created <= pl.lit(seen, UTC)))
    was = pl.lit("false") if table == "stages" else as_text(pl.lit(_NEVER, UTC), pl.Datetime("us", "UTC"))
    return new.select(
        *(pl.col(key).alias(name) for key, name in zip(KEYS[table], CHANGES[log], strict=True)),
        field=pl.lit(field),
        changed_at=pl.lit(now, UTC),
        seq=pl.lit(0, pl.Int64),
        old_value=was,
        new_value=as_text(pl.col(field), SCHEMAS[table][field]),
        origin=pl.lit(ORIGIN),
    )
