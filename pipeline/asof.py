"""State as of a moment: one mechanism for deals, accounts and the sales process, for one record or a million.

Definition book, R1: the value of a field at T is that of its last change up to T; where the log begins later, what it
says was there before; where it says nothing, the CRM's value of now ("not reconstructed"). A field that did not change
after T has the CRM's value of now, so T = now gives exactly what the CRM shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import polars as pl

from connectors.schema import TABLES, UTC
from pipeline.tables import CHANGES

# What is not a value of a record: who it is, when it was touched, and what a layout says of it today.
_NO_VALUE: Final = (
    *("external_id", "created_at", "modified_at", "merged_into", "custom"),
    *("is_closed", "is_won"),
)
# Table with a past -> its fields. A stage is what the layout says of it, so there the flags are values. The past of
# ``deleted_at`` tells of records that came back out of the bin.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "deals": tuple(column for column in TABLES["deals"] if column not in _NO_VALUE),
    "accounts": tuple(column for column in TABLES["accounts"] if column not in _NO_VALUE),
    "stages": tuple(
        column
        for column in TABLES["stages"]
        if column not in ("pipeline", "stage", "modified_at", "deleted_at")
    ),
}
PLACE: Final = ("pipeline", "stage")  # where a deal stands
LOGS: Final[Mapping[str, str]] = {
    "deals": "deal_changes",
    "accounts": "account_changes",
    "stages": "stage_changes",
}
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "deals": ("external_id",),
    "accounts": ("external_id",),
    "stages": ("pipeline", "stage"),
}


INSTANT: Final = "%Y-%m-%d %H:%M:%S%.6f"  # how a log writes an instant, in UTC


def as_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A value as the text of a change: the inverse of ``typed``."""
    return value.dt.strftime(INSTANT) if isinstance(dtype, pl.Datetime) else value.cast(pl.String)


def typed(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The text of a change as a value; text that does not parse is null."""
    given = pl.when(text != "").then(text)
    if dtype == pl.Date:
        return given.str.to_date("%Y-%m-%d", strict=False)
    if dtype == pl.Boolean:
        return given == "true"
    if isinstance(dtype, pl.Datetime):
        return given.str.to_datetime(INSTANT, time_unit="us", strict=False).dt.replace_time_zone("UTC")
    return given.cast(dtype, strict=False)


def value_at(rows: pl.DataFrame, changes: pl.DataFrame, field: str, table: str = "deals") -> pl.DataFrame:
    """``rows``, in their order, with ``field`` as it was at each row's own instant ``at`` (UTC).

    ``rows``: the key of ``table``, ``at``, and the CRM's value of now in the column ``field``. ``changes``: the log of
    ``table`` (``deal_changes``, ``account_changes``, ``stage_changes``). Only rows whose field changed after ``at``
    are worked on.
    """
    keys, of = list(_KEYS[table]), list(CHANGES[LOGS[table]])
    mine = changes.filter(pl.col("field") == field)
    mine = mine.join(rows.select(keys).unique(), left_on=of, right_on=keys, how="semi")
    if mine.is_empty():
        return rows
    log = (
        mine.sort("changed_at", "seq")
        .with_columns(before=_before(field).first().over(of))
        .unique([*of, "changed_at"], keep="last", maintain_order=True)
    )
    ends = log.group_by(of).agg(pl.col("before").first(), last=pl.col("changed_at").max())
    moved = (
        rows.select(*keys, "at")
        .with_row_index("row")
        .join(ends, left_on=keys, right_on=of)
        .filter(pl.col("last") > pl.col("at"))
        .sort("at")
    )
    if moved.is_empty():
        return rows
    then = moved.join_asof(
        log.select(*of, "changed_at", "new_value", known=pl.lit(value=True)),
        left_on="at",
        right_on="changed_at",
        by_left=keys,
        by_right=of,
        check_sortedness=False,
    ).select(
        "row",
        moved=pl.lit(value=True),
        then=typed(pl.when(pl.col("known")).then("new_value").otherwise("before"), rows.schema[field]),
    )
    joined = rows.with_row_index("row").join(then, on="row", how="left", maintain_order="left")
    value = pl.when(pl.col("moved")).then(pl.col("then")).otherwise(pl.col(field))
    return joined.with_columns(value.alias(field)).drop("row", "moved", "then")


def _before(field: str) -> pl.Expr:
    """What stood there before the first known change. A stage is never blank: then its first one counts."""
    return pl.coalesce("old_value", "new_value") if field == "stage" else pl.col("old_value")


def set_back(
    rows: pl.DataFrame, changes: pl.DataFrame, fields: Sequence[str], table: str = "deals"
) -> pl.DataFrame:
    """``value_at`` for several fields; those that have not changed since the first of the instants cost nothing."""
    if rows.is_empty():
        return rows
    moved = set(changes.filter(pl.col("changed_at") > rows["at"].min())["field"].unique())
    for field in fields:
        if field in moved:
            rows = value_at(rows, changes, field, table)
    return rows


def layouts(stages: pl.DataFrame, changes: pl.DataFrame, moments: pl.Series) -> pl.DataFrame:
    """``stages`` as they were laid out at each of the moments, in the column ``at``.

    Without that column, and as they are, where nothing has changed since the first of them.
    """
    fields = FIELDS["stages"]
    if moments.is_empty() or changes.filter(pl.col("changed_at") > moments.min()).is_empty():
        return stages
    return set_back(
        moments.unique().alias("at").to_frame().join(stages, how="cross"), changes, fields, "stages"
    )


def known_then(frames: Mapping[str, pl.DataFrame], known_at: datetime) -> dict[str, pl.DataFrame]:
    """The frames with accounts, deals and the sales process as they were known at a moment.

    Where deals stood is left as it is: each reader of it asks for moments of its own. ``frames``: canonical tables and
    the logs; a log that is missing is empty.
    """
    then = dict(frames)
    for table, fields in FIELDS.items():
        log = frames.get(LOGS[table])
        if table in then and log is not None:
            rows = then[table].with_columns(at=pl.lit(known_at, UTC))
            kept = PLACE if table == "deals" else ()
            wanted = [field for field in fields if field not in kept]
            then[table] = set_back(rows, log, wanted, table).drop("at")
    if "stages" in then:
        gone = pl.col("deleted_at")
        then["stages"] = then["stages"].with_columns(deleted_at=pl.when(gone <= known_at).then(gone))
    return then
