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
    late = changes.filter(pl.col("field") == field, pl.col("changed_at") > rows["at"].min()).select(of)
    late = late.rename(dict(zip(of, keys, strict=True)))
    numbers = rows.select(keys).unique().join(late, on=keys, how="semi").with_row_index("who")
    if numbers.is_empty():
        return rows
    log = _log(numbers, changes, field, table)
    ends = log.group_by("who").agg(pl.col("before").first(), last=pl.col("changed_at").max())
    moved = (
        rows.select(*keys, "at")
        .with_row_index("row")
        .join(numbers, on=keys)
        .select("row", "at", "who")
        .join(ends, on="who")
        .filter(pl.col("last") > pl.col("at"))
        .sort("at")
    )
    if moved.is_empty():
        return rows
    then = moved.join_asof(
        log.select("who", "changed_at", "new_value", known=pl.lit(value=True)).sort("changed_at"),
        left_on="at",
        right_on="changed_at",
        by="who",
        check_sortedness=False,
    ).select(
        "row",
        moved=pl.lit(value=True),
        then=typed(pl.when(pl.col("known")).then("new_value").otherwise("before"), rows.schema[field]),
    )
    joined = rows.with_row_index("row").join(then, on="row", how="left", maintain_order="left")
    value = pl.when(pl.col("moved")).then(pl.col("then")).otherwise(pl.col(field))
    return joined.with_columns(value.alias(field)).drop("row", "moved", "then")


def _log(numbers: pl.DataFrame, changes: pl.DataFrame, field: str, table: str = "deals") -> pl.DataFrame:
    """The changes of a field of the records in ``numbers``, in order of these and of time.

    ``numbers``: the key of ``table``, and who: a number that stands for it, for keys are long. One row per record and
    instant. Columns: who, changed_at, new_value (the last of the instant), before (what stood there before the first
    known change of the record).
    """
    keys, of = list(_KEYS[table]), list(CHANGES[LOGS[table]])
    log = (
        changes.filter(pl.col("field") == field)
        .select(*of, "changed_at", "seq", "old_value", "new_value")
        .join(numbers.select(*keys, "who"), left_on=of, right_on=keys)
        .drop(of, strict=False)
        .sort("who", "changed_at", "seq")
    )
    who, at = pl.col("who"), pl.col("changed_at")
    begins = pl.when(who.ne_missing(who.shift(1))).then(pl.int_range(pl.len())).forward_fill()
    last = who.ne_missing(who.shift(-1)) | at.ne_missing(at.shift(-1))
    return (
        log.with_columns(before=_before(field).gather(begins))
        .filter(last)
        .select("who", "changed_at", "new_value", "before")
    )


def steps(
    rows: pl.DataFrame,
    changes: pl.DataFrame,
    fields: Sequence[str],
    also: pl.DataFrame | None = None,
    mark: str | None = None,
) -> pl.DataFrame:
    """The deals once for each instant at which one of the fields changed, as they stood from then on.

    ``rows``: deals, each once, with the CRM's values of now; ``also``: further instants (external_id, at). In order of
    the deals and of time. Added: who (the number of the deal) and at; null: how it stood before all that. ``mark``: a
    field; added: changed, whether it changed at that instant.
    """
    numbered = rows.with_row_index("who")
    logs = {field: _log(numbered, changes, field) for field in fields}
    told = {field: _told(log, rows[field]) for field, log in logs.items() if not log.is_empty()}
    instants = [
        numbered.select("who", at=pl.lit(None, UTC)),
        *(
            known.select("who", "at", pl.int_range(pl.len(), dtype=pl.UInt32).alias(field))
            for field, known in told.items()
        ),
    ]
    if also is not None:
        instants.append(
            numbered.select("who", "external_id").join(also, on="external_id").select("who", "at")
        )
    # What a field was told last is carried from instant to instant as a number, and of each instant the last row
    # knows what all of them told.
    found = pl.concat(instants, how="diagonal").sort("who", "at", nulls_last=False)
    carried = found.with_columns(pl.col(field).forward_fill() for field in told)
    who, at = pl.col("who"), pl.col("at")
    last = who.ne_missing(who.shift(-1)) | at.ne_missing(at.shift(-1))
    done = carried.filter(last)
    stood = [_stood(done, rows[field], known) for field, known in told.items()]
    kept = [rows[name].gather(done["who"]) for name in rows.columns if name not in told]
    stands = done.select("who", "at", *kept, *stood)
    if mark is None:
        return stands
    changed = _changed(done, mark, told[mark]) if mark in told else pl.lit(value=False)
    return stands.with_columns(changed=changed)


def _told(log: pl.DataFrame, now: pl.Series) -> pl.DataFrame:
    """who, at, value: what a field was before its first known change (at null), and from each of its changes on.

    ``log``: from ``_log``; ``now``: the CRM's present values, which the last change of a record led to.
    """
    who = pl.col("who")
    values = log.select(
        "who",
        at="changed_at",
        value=pl.when(who == who.shift(-1))
        .then(typed(pl.col("new_value"), now.dtype))
        .otherwise(now.gather(log["who"])),
    )
    first = log.filter(who.ne_missing(who.shift(1))).select(
        "who", at=pl.lit(None, UTC), value=typed(pl.col("before"), now.dtype)
    )
    return pl.concat([first, values])


def _stood(instants: pl.DataFrame, now: pl.Series, told: pl.DataFrame) -> pl.Series:
    """The value of a field from each instant on: what was told last of the record, else that of now.

    ``instants``: who and, in the column of the field, the row of ``told`` last come to, be it of another one.
    """
    row = instants[now.name]
    mine = (told["who"].gather(row) == instants["who"]).fill_null(value=False)
    known, never = told["value"].gather(row), now.gather(instants["who"])
    return known.zip_with(mine, never).alias(now.name)


def _changed(instants: pl.DataFrame, field: str, told: pl.DataFrame) -> pl.Series:
    """Whether a field changed at each of the instants: what was told of it last was told then."""
    row = instants[field]
    same = (told["who"].gather(row) == instants["who"]) & (told["at"].gather(row) == instants["at"])
    return same.fill_null(value=False).alias("changed")


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
