"""Everything that is read from the store, on one connection and therefore from one state of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeAlias, cast

import orjson
import polars as pl
from sqlalchemy import Connection, func, select

from connectors.schema import UTC
from connectors.source import FieldState
from pipeline import bulk, comparison, unkept
from pipeline.asof import LOGS
from pipeline.records import CursorState, DeliveryRecord, KeptSnapshot, Published, RunRecord, SourceInfo
from pipeline.tables import CHANGES, KEYS, RENAMED, SCHEMAS, stored_schema, table

_Columns: TypeAlias = "dict[str, pl.DataType | type[pl.DataType]]"

_FINDINGS: Final[_Columns] = {
    "rule": pl.String,
    "object": pl.String,
    "external_id": pl.String,
    "other_id": pl.String,  # "" where a rule is about one record alone
    "owner_id": pl.String,
    "severity": pl.String,
    "message": pl.String,
    "first_seen": UTC,
    "last_seen": UTC,
    "resolved_at": UTC,
}
_QUARANTINE: Final[_Columns] = {
    "table": pl.String,
    "external_id": pl.String,
    "field": pl.String,
    "raw": pl.String,
    "reason": pl.String,
    "first_seen": UTC,
    "last_seen": UTC,
}
_COVERAGE: Final[_Columns] = {
    "table": pl.String,
    "field": pl.String,
    "crm_field": pl.String,
    "origin": pl.String,  # crm_history | comparison | none
    "reliable_from": UTC,
    "reason": pl.String,
}
_SNAPSHOT_VALUES: Final[_Columns] = {
    "kpi": pl.String,
    "cut": pl.String,
    "segment": pl.String,
    "period": pl.String,
    "value": pl.String,
    "numerator": pl.String,
    "denominator": pl.String,
    "unit": pl.String,
    "n": pl.Int64,
    "status": pl.String,
    "target": pl.String,
    "reasons": pl.String,
    "definition": pl.String,
}
_SNAPSHOT_EVIDENCE: Final[_Columns] = {
    "kpi": pl.String,
    "line": pl.Int64,
    "object": pl.String,
    "external_id": pl.String,
    "contribution": pl.String,
    "note": pl.String,
}
SNAPSHOT_VALUES: Final = pl.Schema(_SNAPSHOT_VALUES)
SNAPSHOT_EVIDENCE: Final = pl.Schema(_SNAPSHOT_EVIDENCE)
COVERAGE: Final = pl.Schema(_COVERAGE)
FINDINGS: Final = pl.Schema(_FINDINGS)
QUARANTINE: Final = pl.Schema(_QUARANTINE)


_IDS_AT_ONCE: Final = 500  # in one IN list


def batched(values: Iterable[str], size: int) -> Iterator[list[str]]:
    """The values in lists of at most ``size`` (``itertools.batched`` came with Python 3.12)."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


class Reader:
    """Reads of one company at a time. ``source`` None: the CRM that the company was last synced from."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def frame(self, company: str, name: str, source: str | None = None) -> pl.DataFrame:
        """A table of ``pipeline.tables.SCHEMAS`` in its schema, tombstones included, sorted by its keys.

        Of a log those changes that count: what we noticed under an earlier mapping of a field is another field's past.
        """
        equal = self._whose(company, source)
        renamed = {stored: column for column, stored in RENAMED.get(name, {}).items()}
        if name not in CHANGES:
            found = bulk.read(self.connection, table(name), stored_schema(name), equal)
        else:
            schema = pl.Schema({**stored_schema(name), "recorded_at": UTC})
            found = self._counting(
                name, bulk.read(self.connection, table(name), schema, equal), company, source
            )
        return found.rename(renamed).select(list(SCHEMAS[name])).sort(KEYS[name])

    def _counting(self, name: str, changes: pl.DataFrame, company: str, source: str | None) -> pl.DataFrame:
        own = pl.col("origin") == comparison.ORIGIN
        if changes.filter(own).is_empty():
            return changes
        owner = next(owner for owner, log in LOGS.items() if log == name)
        since = (
            self.coverage(company, source)
            .filter(pl.col("table") == owner, pl.col("origin") == comparison.ORIGIN)
            .select("field", "reliable_from")
        )
        counts = (pl.col("recorded_at") >= pl.col("reliable_from")).fill_null(value=False)
        return changes.join(since, on="field", how="left").filter(~own | counts)

    def coverage(self, company: str, source: str | None = None) -> pl.DataFrame:
        """From when on the past of each field can be told, in schema ``COVERAGE``, sorted by table and field."""
        found = bulk.read(self.connection, table("history_coverage"), COVERAGE, self._whose(company, source))
        return found.sort("table", "field")

    def frames(
        self, company: str, names: Iterable[str], source: str | None = None
    ) -> dict[str, pl.DataFrame]:
        """Several canonical tables from the same state of the store."""
        return {name: self.frame(company, name, source) for name in names}

    def source_info(self, company: str, source: str | None = None) -> SourceInfo | None:
        """What the company's CRM showed at the last sync; None before the first one."""
        sources = table("sources")
        query = select(sources).where(sources.c.company == company).order_by(sources.c.refreshed_at.desc())
        if source is not None:
            query = query.where(sources.c.crm == source)
        row = self.connection.execute(query.limit(1)).mappings().first()
        if row is None:
            return None
        fields = {
            name: {column: FieldState(**state) for column, state in columns.items()}
            for name, columns in orjson.loads(row["fields"]).items()
        }
        return SourceInfo(
            company=company,
            source=row["crm"],
            home_currency=row["home_currency"],
            links=orjson.loads(row["links"]),
            fields=fields,
            history=frozenset(orjson.loads(row["history"])),
            notes=tuple(orjson.loads(row["notes"])),
            fingerprint=row["fingerprint"],
            refreshed_at=row["refreshed_at"],
            incomplete=row["complete_at"] is None,
            compared=self._compared(company, row["crm"]),
            computed_for=row["computed_for"],
            complete_at=row["complete_at"],
        )

    def rewritten(self, company: str, at: datetime, source: str | None = None) -> frozenset[str]:
        """Tables whose rows of a past moment are not told: see ``pipeline.unkept``."""
        return unkept.rewritten(self.connection, self._whose(company, source), at)

    def _compared(self, company: str, source: str) -> dict[str, dict[str, datetime]]:
        begun: dict[str, dict[str, datetime]] = {}
        for row in self.coverage(company, source).iter_rows(named=True):
            if row["origin"] == comparison.ORIGIN and row["reliable_from"] is not None:
                begun.setdefault(row["table"], {})[row["field"]] = row["reliable_from"]
        return begun

    def findings(self, company: str, *, open_only: bool = True, source: str | None = None) -> pl.DataFrame:
        """What the rules found, in schema ``FINDINGS``, sorted by rule and record."""
        found = bulk.read(self.connection, table("findings"), FINDINGS, self._whose(company, source))
        if open_only:
            found = found.filter(pl.col("resolved_at").is_null())
        return found.sort("rule", "object", "external_id", "other_id")

    def quarantine(self, company: str, source: str | None = None) -> pl.DataFrame:
        """Values set aside, in schema ``QUARANTINE``, sorted by table and record."""
        found = bulk.read(self.connection, table("quarantine"), QUARANTINE, self._whose(company, source))
        return found.sort("table", "external_id", "field", "raw")

    def runs(self, company: str | None = None, limit: int = 50) -> list[RunRecord]:
        """The latest runs, newest first."""
        runs = table("runs")
        query = select(runs).order_by(runs.c.id.desc()).limit(limit)
        if company is not None:
            query = query.where(runs.c.company == company)
        rows = self.connection.execute(query).mappings()
        return [
            RunRecord(**{"source" if name == "crm" else name: value for name, value in row.items()})
            for row in rows
        ]

    def last_sync(self, company: str) -> datetime | None:
        """When a stream of the company last came to a good end; None: never."""
        runs = table("runs")
        query = select(func.max(runs.c.finished_at)).where(runs.c.company == company, runs.c.status == "ok")
        return cast(datetime | None, self.connection.execute(query).scalar())

    def first_sync(self, company: str) -> datetime | None:
        """When a stream of the company first came to a good end; None: never."""
        runs = table("runs")
        query = select(func.min(runs.c.finished_at)).where(runs.c.company == company, runs.c.status == "ok")
        return cast(datetime | None, self.connection.execute(query).scalar())

    def cursors(self, company: str, source: str | None = None) -> dict[str, CursorState]:
        """Stream -> where reading it goes on."""
        cursors = table("cursors")
        query = select(cursors).where(
            *(cursors.c[column] == value for column, value in self._whose(company, source).items())
        )
        return {
            row["stream"]: CursorState(
                source=row["crm"],
                stream=row["stream"],
                cursor=orjson.loads(row["cursor"]),
                complete=row["complete"],
                updated_at=row["updated_at"],
            )
            for row in self.connection.execute(query.order_by(cursors.c.stream)).mappings()
        }

    def deliveries(self, company: str | None = None, month: str | None = None) -> list[DeliveryRecord]:
        """Board summaries handed over or about to be, oldest first."""
        deliveries = table("deliveries")
        query = select(deliveries).order_by(
            deliveries.c.month, deliveries.c.company, deliveries.c.destination, deliveries.c.version
        )
        if company is not None:
            query = query.where(deliveries.c.company == company)
        if month is not None:
            query = query.where(deliveries.c.month == month)
        return [DeliveryRecord(**row) for row in self.connection.execute(query).mappings()]

    def published(self, company: str) -> list[Published]:
        """The numbers that were posted last of each month, as they were then, oldest month first."""
        latest: dict[str, DeliveryRecord] = {}
        for delivery in self.deliveries(company):
            if delivery.status != "posted" or delivery.snapshot is None or delivery.posted_at is None:
                continue
            before = latest.get(delivery.month)
            if before is None or before.posted_at is None or before.posted_at <= delivery.posted_at:
                latest[delivery.month] = delivery
        return [found for delivery in latest.values() if (found := self._published(delivery)) is not None]

    def kept_snapshot(self, company: str, month: str, known_at: datetime) -> KeptSnapshot | None:
        """The first snapshot that was taken of a month as known at a moment, posted or not; None: there is none."""
        snapshots = table("snapshots")
        query = (
            select(snapshots)
            .filter_by(company=company, month=month, known_at=known_at)
            .order_by(snapshots.c.taken_at, snapshots.c.digest)
        )
        row = self.connection.execute(query).mappings().first()
        if row is None:
            return None
        key = {name: row[name] for name in ("company", "month", "digest")}
        return KeptSnapshot(
            month=row["month"],
            digest=row["digest"],
            known_at=row["known_at"],
            taken_at=row["taken_at"],
            currency=row["currency"],
            values=bulk.read(self.connection, table("snapshot_values"), SNAPSHOT_VALUES, key),
        )

    def _published(self, delivery: DeliveryRecord) -> Published | None:
        snapshots = table("snapshots")
        key = {"company": delivery.company, "month": delivery.month, "digest": str(delivery.snapshot)}
        row = self.connection.execute(select(snapshots).filter_by(**key)).mappings().first()
        if row is None or delivery.posted_at is None:
            return None
        return Published(
            month=delivery.month,
            digest=row["digest"],
            known_at=row["known_at"],
            taken_at=row["taken_at"],
            posted_at=delivery.posted_at,
            currency=row["currency"],
            definitions=orjson.loads(row["definitions"]),
            values=bulk.read(self.connection, table("snapshot_values"), SNAPSHOT_VALUES, key),
            evidence=bulk.read(self.connection, table("snapshot_evidence"), SNAPSHOT_EVIDENCE, key),
        )

    def stored(
        self, name: str, company: str, source: str, ids: Iterable[str], columns: Sequence[str]
    ) -> pl.DataFrame:
        """Some columns of the canonical records with these ids (tables whose key is one id), where stored."""
        target, schema = table(name), stored_schema(name)
        wanted = [target.c[column] for column in columns]
        rows: list[tuple[Any, ...]] = []
        for chunk in batched(ids, _IDS_AT_ONCE):
            query = select(*wanted).where(
                target.c.company == company, target.c.crm == source, target.c.external_id.in_(chunk)
            )
            rows += [tuple(row) for row in self.connection.execute(query)]
        return pl.DataFrame(rows, schema={column: schema[column] for column in columns}, orient="row")

    def columns(self, name: str, company: str, source: str, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of all rows of a canonical table, in no particular order."""
        schema = pl.Schema({column: stored_schema(name)[column] for column in columns})
        return bulk.read(self.connection, table(name), schema, {"company": company, "crm": source})

    def delivery(self, key: str) -> DeliveryRecord | None:
        """The delivery with that key."""
        deliveries = table("deliveries")
        row = self.connection.execute(select(deliveries).where(deliveries.c.key == key)).mappings().first()
        return None if row is None else DeliveryRecord(**row)

    def _whose(self, company: str, source: str | None) -> dict[str, str]:
        if source is None:
            sources = table("sources")
            query = select(sources.c.crm).where(sources.c.company == company)
            source = self.connection.execute(query.order_by(sources.c.refreshed_at.desc()).limit(1)).scalar()
        return {"company": company} if source is None else {"company": company, "crm": source}
