"""HubSpot's property history -> ``deal_changes``. Pure and by columns.

HubSpot lists the versions of a property newest first; of two within one millisecond the first listed was
written later. Values are read like the deal's own. Only real changes remain: writing the same value again is
none. Of a property that was written more than twenty times HubSpot has forgotten the oldest versions; such a
deal is named among the rejects, because its first row does not tell the value at creation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from connectors.schema import REJECTS, TABLES, UTC
from connectors.sources.hubspot import values
from connectors.sources.hubspot.mapping import HISTORY, HISTORY_KEPT, Kind, TableMap
from connectors.sources.hubspot.parse import Reading, Record, column, empty_rejects, texts

_VERSIONS = pl.Schema(
    {
        "deal_id": pl.String,
        "currency": pl.String,
        "listed": pl.Int64,
        "kept": pl.Int64,
        "raw": pl.String,
        "timestamp": pl.String,
        "created": pl.String,
    }
)


def tracked(mapping: TableMap) -> dict[str, tuple[str, Kind]]:
    """The deal columns with history that this portal shows: column -> (property, how it reads)."""
    return {name: mapping.columns[name] for name in HISTORY if name in mapping.columns}


def changes(
    records: Sequence[Record], mapping: TableMap, reading: Reading
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The whole history of the deals given, as ``deal_changes``, and rejects.

    The records must have been read with the history of all properties of ``tracked``.
    """
    spec = mapping.columns.get("currency")
    currency = column(texts(records, spec[0]), "currency", reading) if spec else None
    codes: Sequence[str | None] = currency.to_list() if currency is not None else [None] * len(records)
    frames: list[pl.DataFrame] = [pl.DataFrame(schema=TABLES["deal_changes"])]
    rejects: list[pl.DataFrame] = [empty_rejects()]
    for name, (source, kind) in tracked(mapping).items():
        versions = _versions(records, source, codes)
        read = versions.with_columns(
            value=_canonical_text(versions, name, kind, reading),
            changed_at=values.instants(versions.get_column("timestamp")),
        )
        frames.append(_real_changes(read, name))
        rejects.extend((_unreadable(read, name, source), _forgotten(read, name, source)))
    return pl.concat(frames), pl.concat(rejects)


def _versions(records: Sequence[Record], source: str, codes: Sequence[str | None]) -> pl.DataFrame:
    """One row per version of one property, in HubSpot's order (``listed`` 0 is the newest)."""
    rows: list[tuple[str, str | None, int, int, object, object, object]] = []
    for record, code in zip(records, codes, strict=True):
        history: Mapping[str, Sequence[Mapping[str, object]]] = record.get("propertiesWithHistory") or {}
        listed = history.get(source) or ()
        rows.extend(
            (
                str(record["id"]),
                code,
                place,
                len(listed),
                each.get("value"),
                each.get("timestamp"),
                record.get("createdAt"),
            )
            for place, each in enumerate(listed)
        )
    return pl.DataFrame(rows, schema=_VERSIONS, orient="row", strict=False)


def _canonical_text(versions: pl.DataFrame, name: str, kind: Kind, reading: Reading) -> pl.Series:
    read = column(versions.get_column("raw"), kind, reading, versions.get_column("currency"))
    return read.cast(pl.String).alias(name)  # a date casts to its ISO form


def _real_changes(read: pl.DataFrame, name: str) -> pl.DataFrame:
    ordered = read.filter(pl.col("changed_at").is_not_null()).sort(
        ["deal_id", "changed_at", "listed"], descending=[False, False, True]
    )
    return (
        ordered.with_columns(before=pl.col("value").shift(1).over("deal_id"))
        .filter(pl.col("value").ne_missing(pl.col("before")))
        .select(
            "deal_id",
            pl.lit(name).alias("field"),
            pl.col("changed_at").cast(UTC),
            (pl.int_range(pl.len()).over("deal_id", "changed_at")).cast(pl.Int64).alias("seq"),
            pl.col("before").alias("old_value"),
            pl.col("value").alias("new_value"),
            pl.lit("crm_history").alias("origin"),
        )
    )


def _unreadable(read: pl.DataFrame, name: str, source: str) -> pl.DataFrame:
    raw = values.filled(read.get_column("raw"))
    lost = (raw.is_not_null() & read.get_column("value").is_null()) | read.get_column("changed_at").is_null()
    reason = pl.format(
        "{}: a former value, of {}, does not read as this field",
        pl.lit(source),
        pl.col("timestamp").fill_null("an unknown time"),
    )
    return _rejected(read.filter(lost), name, pl.col("raw"), reason)


def _forgotten(read: pl.DataFrame, name: str, source: str) -> pl.DataFrame:
    """Deals of which HubSpot has dropped the oldest versions: the oldest it has came after the creation."""
    born = values.instants(read.get_column("created")).alias("born")
    oldest = read.with_columns(born).filter(
        (pl.col("kept") >= HISTORY_KEPT)
        & (pl.col("listed") == pl.col("kept") - 1)
        & (pl.col("changed_at") > pl.col("born").dt.offset_by("1m"))
    )
    reason = pl.format(
        "{}: HubSpot keeps only the last {} values; what it was before {} is unknown",
        pl.lit(source),
        pl.col("kept"),
        pl.col("timestamp"),
    )
    return _rejected(oldest, name, pl.col("raw"), reason)


def _rejected(rows: pl.DataFrame, name: str, raw: pl.Expr, reason: pl.Expr) -> pl.DataFrame:
    return rows.select(
        pl.lit("deal_changes").alias("table"),
        pl.col("deal_id").alias("external_id"),
        pl.lit(name).alias("field"),
        raw.alias("raw"),
        reason.alias("reason"),
    ).cast(dict(REJECTS.items()))
