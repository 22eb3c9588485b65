"""Published numbers as they lie in the store: the digest that stands for a snapshot, and whether it still does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import orjson
import polars as pl
from sqlalchemy import select

from pipeline import bulk
from pipeline.reader import SNAPSHOT_EVIDENCE, SNAPSHOT_VALUES, Reader
from pipeline.tables import table


def digest(
    currency: str, playbook: str, definitions: str, values: pl.DataFrame, evidence: pl.DataFrame
) -> str:
    """Stands for all numbers and the records behind them, whenever they were computed and in whatever order."""
    rows = [sorted(frame.rows(), key=repr) for frame in (values, evidence)]
    return hashlib.sha256(orjson.dumps([currency, playbook, definitions, *rows])).hexdigest()


def altered(reader: Reader) -> Iterator[tuple[str, str, str]]:
    """The snapshots that no longer hold what their digest says: company, month, digest. Those without any number at all
    are left to ``pipeline.invariants``."""
    snapshots = table("snapshots")
    ordered = select(snapshots).order_by(snapshots.c.company, snapshots.c.month, snapshots.c.digest)
    for row in reader.connection.execute(ordered).mappings().all():
        key = {name: row[name] for name in ("company", "month", "digest")}
        values = bulk.read(reader.connection, table("snapshot_values"), SNAPSHOT_VALUES, key)
        evidence = bulk.read(reader.connection, table("snapshot_evidence"), SNAPSHOT_EVIDENCE, key)
        held = digest(row["currency"], row["playbook"], row["definitions"], values, evidence)
        if held != row["digest"] and not values.is_empty():
            yield row["company"], row["month"], row["digest"]
