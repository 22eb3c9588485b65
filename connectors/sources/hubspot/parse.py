"""Records as HubSpot answers them -> canonical frames, and the values that did not parse. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from connectors.schema import REJECTS, TABLES, TOMBSTONES
from connectors.sources.hubspot import values
from connectors.sources.hubspot.mapping import Kind, ObjectMap, TableMap

Record = Mapping[str, Any]
Links = Mapping[str, str]  # record id -> id of the record it is linked to

_READ: Final[dict[Kind, Callable[[pl.Series], pl.Series]]] = {
    "text": values.filled,
    "number": values.numbers,
    "integer": values.integers,
    "months": values.months,
    "probability": values.probabilities,
    "boolean": values.booleans,
    "outcome": values.outcomes,
    "forecast": values.forecast_categories,
    "instant": values.instants,
}
_REASON: Final[dict[Kind, str]] = {
    "money": "is no amount",
    "number": "is no number",
    "integer": "is no whole number",
    "months": "is no whole number of months",
    "probability": "is no share between 0 and 1",
    "boolean": "is neither true nor false",
    "forecast": "is none of HubSpot's own forecast categories",
    "instant": "is no date and time",
    "day": "is no date",
    "local_day": "is no date",
}


@dataclass(frozen=True)
class Reading:
    """How this company's values are to be read."""

    timezone: str
    home_currency: str


def column(raw: pl.Series, kind: Kind, reading: Reading, currency: pl.Series | None = None) -> pl.Series:
    """One property's texts as one canonical column; ``currency`` belongs to amounts, row by row."""
    if kind == "money":
        codes = currency if currency is not None else pl.repeat(None, len(raw), dtype=pl.String, eager=True)
        return values.minor_units(raw, values.exponents(codes, reading.home_currency))
    if kind == "currency":
        return values.filled(raw).str.strip_chars().str.to_uppercase()
    if kind == "day":
        return values.days(raw, reading.timezone)
    if kind == "local_day":
        return values.local_days(raw, reading.timezone)
    return _READ[kind](raw)


def texts(records: Sequence[Record], name: str) -> pl.Series:
    """One property of all records, as text."""
    return pl.Series(
        name, [record["properties"].get(name) for record in records], dtype=pl.String, strict=False
    )


def ids(records: Iterable[Record]) -> list[str]:
    """The records' ids, always text (newer paths answer numbers)."""
    return [str(record["id"]) for record in records]


def frame(
    records: Sequence[Record],
    mapping: TableMap,
    about: ObjectMap,
    reading: Reading,
    links: Mapping[str, Links] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records as rows of ``mapping.table``, and rejects.

    ``links``: column -> record id -> linked id. An archived record is a row with ``deleted_at``.
    """
    identity = ids(records)
    own = pl.Series("external_id", identity, dtype=pl.String)
    columns: dict[str, pl.Series] = {"external_id": own, **_stamps(records, about)}
    rejects: list[pl.DataFrame] = []
    raw = {name: texts(records, name) for name in mapping.properties()}
    spec = mapping.columns.get("currency")
    currency = column(raw[spec[0]], "currency", reading) if spec else None
    for name, (source, kind) in mapping.columns.items():
        columns[name] = column(raw[source], kind, reading, currency)
        rejects.append(_rejects(mapping.table, own, name, kind, raw[source], columns[name]))
    for name, linked in (links or {}).items():
        columns[name] = pl.Series(name, [linked.get(each) for each in identity], dtype=pl.String)
    columns["custom"] = _custom(mapping.custom, raw, len(identity))
    return _canonical(mapping.table, columns, len(identity)), pl.concat([empty_rejects(), *rejects])


def _stamps(records: Sequence[Record], about: ObjectMap) -> dict[str, pl.Series]:
    def top(name: str) -> pl.Series:
        raw = pl.Series(name, [record.get(name) for record in records], dtype=pl.String, strict=False)
        return values.instants(raw)

    archived = pl.Series("archived", [bool(record.get("archived")) for record in records], dtype=pl.Boolean)
    created = values.instants(texts(records, about.created))
    modified = values.instants(texts(records, about.modified))
    frame = pl.DataFrame(
        {
            "created": created,
            "modified": modified,
            "createdAt": top("createdAt"),
            "updatedAt": top("updatedAt"),
            "archivedAt": top("archivedAt"),
            "archived": archived,
        }
    ).select(
        created_at=pl.coalesce("created", "createdAt"),
        modified_at=pl.coalesce("modified", "updatedAt"),
        deleted_at=pl.when("archived").then(pl.coalesce("archivedAt", "updatedAt")),
    )
    return {name: frame.get_column(name) for name in frame.columns}


def _custom(custom: Mapping[str, str], raw: Mapping[str, pl.Series], height: int) -> pl.Series:
    if not custom:
        return pl.repeat("{}", height, dtype=pl.String, eager=True)
    named = pl.DataFrame({name: values.filled(raw[source]) for name, source in sorted(custom.items())})
    return named.select(pl.struct(pl.all()).struct.json_encode()).to_series()


def _canonical(table: str, columns: Mapping[str, pl.Series], height: int) -> pl.DataFrame:
    schema = TABLES[table]
    full = {
        name: columns[name].alias(name)
        if name in columns
        else pl.repeat(None, height, dtype=kind, eager=True)
        for name, kind in schema.items()
    }
    return pl.DataFrame(full).cast(dict(schema.items()))


def _rejects(
    table: str, own: pl.Series, name: str, kind: Kind, raw: pl.Series, read: pl.Series
) -> pl.DataFrame:
    reason = _REASON.get(kind)
    lost = values.filled(raw).is_not_null() & read.is_null() if reason else None
    if lost is None or not lost.any():
        return empty_rejects()
    return reject_rows(table, own.filter(lost), name, raw.filter(lost), f"{raw.name}: {reason}")


def reject_rows(table: str, own: pl.Series, name: str, raw: pl.Series, reason: str) -> pl.DataFrame:
    """Rejected values of one field, one row each."""
    return (
        pl.DataFrame({"external_id": own, "raw": raw})
        .select(
            pl.lit(table).alias("table"),
            "external_id",
            pl.lit(name).alias("field"),
            "raw",
            pl.lit(reason).alias("reason"),
        )
        .cast(dict(REJECTS.items()))
    )


def empty_rejects() -> pl.DataFrame:
    return pl.DataFrame(schema=REJECTS)


def tombstones(rows: Sequence[tuple[str, str, Any, str | None]]) -> pl.DataFrame:
    """(table, id, deleted_at, merged_into) as a frame."""
    return pl.DataFrame(list(rows), schema=TOMBSTONES, orient="row")
