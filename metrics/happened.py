"""What a happening is, and how it is told from what was known before (see ``metrics.happenings``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import polars as pl

from connectors.schema import UTC
from metrics.facts import Facts
from pipeline.recorded import Recorded
from pipeline.tables import KEYS

_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "object": pl.String,
    "external_id": pl.String,
    "cause": pl.String,
    "field": pl.String,  # of ``changed`` and of what a stage or a date says; null where none is kept
    "old": pl.String,  # as in the logs (``pipeline.asof.as_text``)
    "new": pl.String,
    "at": UTC,  # when on the CRM's clock; null where nobody keeps it
    "through": pl.String,  # the deal that it happened to, where the record is its customer
    "bears": pl.Boolean,  # false: that deal begins after all that the number is about
}
HAPPENED: Final = pl.Schema(_COLUMNS)


@dataclass(frozen=True)
class Then:
    """What a published number knew.

    ``known_at``: the moment of the CRM's clock that it is known at; ``taken_at``: when it was computed, by our clock: a
    pass that began at ``known_at`` had been heard to its end by then. ``day``: the last day it is about (D); ``seen``:
    object and external_id of all records behind the numbers published with it.
    """

    known_at: datetime
    taken_at: datetime
    day: date
    seen: pl.DataFrame
    recorded: Recorded = field(default_factory=Recorded)


def frame(rows: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Happenings from rows, by the expressions for their columns; the rest is null."""
    return rows.select(
        columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in HAPPENED.items()
    )


def later(rows: pl.DataFrame, then: Then, table: str, *stamps: str) -> pl.DataFrame:
    """``rows`` with the column ``later``: dated after ``then`` by one of the stamps, or heard of after it."""
    keys = list(KEYS[table])
    heard = then.recorded.of(table).filter(pl.col("recorded_at") > then.taken_at).select(*keys, later_=True)
    dated = pl.any_horizontal(pl.col(stamp) > then.known_at for stamp in stamps).fill_null(value=False)
    joined = rows.join(heard, on=keys, how="left", maintain_order="left")
    return joined.with_columns(later=dated | pl.col("later_").is_not_null()).drop("later_")


def log_since(facts: Facts, then: Then, log: str) -> pl.DataFrame:
    rows = later(facts.raw(log), then, log, "changed_at")
    return rows.filter("later", pl.col("changed_at") <= facts.known_at).sort("changed_at", "seq")


def became(changes: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """What became of each field: first old, last new value, and when it last changed."""
    net = changes.group_by(*keys, "field", maintain_order=True).agg(
        old=pl.col("old_value").first(), new=pl.col("new_value").last(), at=pl.col("changed_at").last()
    )
    return net.filter(pl.col("old").ne_missing(pl.col("new")))
