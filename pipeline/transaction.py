"""Everything that is written to the store. All of a transaction is kept, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson
import polars as pl
from sqlalchemy import delete, insert, or_, select
from sqlalchemy import update as sql_update

from connectors.errors import ConfigurationError
from connectors.schema import KEYS, REJECTS, TABLES, UTC
from connectors.source import Capabilities, Cursor
from pipeline import bulk
from pipeline.bulk import Merge
from pipeline.reader import Reader
from pipeline.records import DeliveryRecord, DeliveryStatus, RunStatus
from pipeline.tables import RENAMED, table

_SOURCE = Merge(
    ("home_currency", "links", "fields", "history", "notes", "fingerprint", "refreshed_at"),
)
_COVERAGE = Merge(("crm_field", "origin", "reliable_from", "reason"), stamp=("updated_at",))
_CURSOR = Merge(("cursor", "complete", "updated_at"))
_FINDING = Merge(("owner_id", "severity", "message", "last_seen", "resolved_at"))
_QUARANTINED = Merge(("raw", "reason", "last_seen"))
_DUE = Merge(("due_since",))


class Transaction(Reader):
    """Writes, and reads that see them. Made by ``Store.transaction``; the end of its block commits."""

    # -- canonical rows

    def upsert(self, name: str, company: str, source: str, frame: pl.DataFrame, now: datetime) -> int:
        """Write canonical rows (unique keys); returns how many are new or differ from what was stored.

        An older version of a record (``modified_at``) never replaces a newer one; the first known ``old_value`` of
        a deal change is kept when a later page no longer knows it.
        """
        columns = [
            RENAMED.get(name, {}).get(column, column) for column in TABLES[name] if column not in KEYS[name]
        ]
        merge = Merge(
            compare=tuple(columns),
            stamp=("recorded_at",),
            known=("old_value",) if name == "deal_changes" else (),
            newest="modified_at" if "modified_at" in columns else None,
        )
        rows = frame.select(list(TABLES[name])).rename(RENAMED.get(name, {}))
        return bulk.upsert(self.connection, table(name), owned(rows, company, source, recorded_at=now), merge)

    def append_changes(self, log: str, company: str, source: str, frame: pl.DataFrame, now: datetime) -> int:
        """Add rows to a log; what is there already stays as it is. Returns how many were added."""
        rows = owned(frame, company, source, recorded_at=now)
        return bulk.upsert(self.connection, table(log), rows, Merge(()))

    def empty(self, name: str, company: str, source: str, columns: Iterable[str], now: datetime) -> None:
        """Take the values of some columns out of all rows of a canonical table."""
        target = table(name)
        filled = [target.c[RENAMED.get(name, {}).get(column, column)] for column in columns]
        self.connection.execute(
            sql_update(target)
            .where(target.c.company == company, target.c.crm == source)
            .where(or_(*(column.is_not(None) for column in filled)))
            .values({column.name: None for column in filled} | {"recorded_at": now})
        )

    def replace(self, name: str, company: str, frame: pl.DataFrame) -> None:
        """Make ``frame`` (all columns but the company) all that a computed table holds of a company."""
        target = table(name)
        self.connection.execute(delete(target).where(target.c.company == company))
        rows = frame.select(pl.lit(company).alias("company"), pl.all())
        bulk.upsert(self.connection, target, rows, Merge(()))

    def update(self, name: str, company: str, source: str, frame: pl.DataFrame, now: datetime) -> int:
        """Set the non-key columns of ``frame`` on stored canonical rows; returns how many there were."""
        rows = owned(frame, company, source, recorded_at=now)
        return bulk.update(self.connection, table(name), rows, ("company", "crm", *KEYS[name]))

    # -- source and cursors

    def save_source(
        self, company: str, source: str, capabilities: Capabilities, fingerprint: str, now: datetime
    ) -> None:
        """Keep what the CRM shows us, for reports that never ask it."""
        fields = {
            name: {column: asdict(state) for column, state in columns.items()}
            for name, columns in capabilities.fields.items()
        }
        row = {
            "home_currency": capabilities.home_currency,
            "links": _json(dict(capabilities.links)),
            "fields": _json(fields),
            "history": _json(sorted(capabilities.history)),
            "notes": _json(list(capabilities.notes)),
            "fingerprint": fingerprint,
        }
        frame = owned(pl.DataFrame([row]), company, source, refreshed_at=now)
        bulk.upsert(self.connection, table("sources"), frame, _SOURCE)

    def mark_complete(self, company: str, source: str, at: datetime | None) -> None:
        """Note that every stream has been read to its end (``at``), or that this must happen anew (None)."""
        sources = table("sources")
        self.connection.execute(
            sql_update(sources)
            .where(sources.c.company == company, sources.c.crm == source)
            .values(complete_at=at)
        )

    def mark_computed(self, company: str, source: str, what: str | None) -> None:
        """Note what the tables for BI tools are computed from; None: they are out of date."""
        sources = table("sources")
        self.connection.execute(
            sql_update(sources)
            .where(sources.c.company == company, sources.c.crm == source)
            .values(computed_for=what)
        )

    def save_cursor(
        self, company: str, source: str, stream: str, cursor: Cursor, *, complete: bool, now: datetime
    ) -> None:
        """Keep the place to go on from."""
        row = {"stream": stream, "cursor": _json(dict(cursor)), "complete": complete}
        frame = owned(pl.DataFrame([row]), company, source, updated_at=now)
        bulk.upsert(self.connection, table("cursors"), frame, _CURSOR)

    def cursor_is(self, company: str, source: str, stream: str, cursor: Cursor | None) -> bool:
        """Whether that is the place kept for a stream; None: there is none."""
        cursors = table("cursors")
        mine = (cursors.c.company == company, cursors.c.crm == source, cursors.c.stream == stream)
        found = self.connection.execute(select(cursors.c.cursor).where(*mine)).scalar()
        return bool(found == (None if cursor is None else _json(dict(cursor))))

    def forget_cursors(self, company: str, source: str, streams: Iterable[str]) -> None:
        """Have these streams read in full next time."""
        cursors = table("cursors")
        self.connection.execute(
            delete(cursors).where(
                cursors.c.company == company, cursors.c.crm == source, cursors.c.stream.in_(list(streams))
            )
        )

    def save_coverage(self, company: str, source: str, coverage: pl.DataFrame, now: datetime) -> None:
        """Keep from when on the past of fields can be told (schema ``COVERAGE``)."""
        rows = owned(coverage, company, source, updated_at=now)
        bulk.upsert(self.connection, table("history_coverage"), rows, _COVERAGE)

    def note_privacy(self, company: str, source: str, mark: str) -> None:
        """Note how the people in the store are kept (see ``pipeline.privacy``)."""
        sources = table("sources")
        self.connection.execute(
            sql_update(sources)
            .where(sources.c.company == company, sources.c.crm == source)
            .values(privacy=mark)
        )

    def note_erasure(self, tables: Iterable[str], now: datetime) -> None:
        """Note that rows of these tables were removed whose bytes are still to be erased (``pipeline.erase``)."""
        names = sorted(set(tables))
        frame = pl.DataFrame({"table": names}, schema={"table": pl.String}).with_columns(
            pl.lit(now, UTC).alias("due_since")
        )
        bulk.upsert(self.connection, table("erasures"), frame, _DUE)

    # -- findings and quarantine

    def save_findings(
        self, company: str, source: str, rules: Iterable[str], found: pl.DataFrame, now: datetime
    ) -> None:
        """Make ``found`` (rule, object, external_id, other_id, owner_id, severity, message) what is open of ``rules``.

        A finding that is no longer there is resolved; one that returns is open again with its first date.
        """
        stamped = found.with_columns(
            pl.lit(now, UTC).alias("first_seen"),
            pl.lit(now, UTC).alias("last_seen"),
            pl.lit(None, UTC).alias("resolved_at"),
        )
        findings = table("findings")
        judged = pl.col("rule").is_in(list(rules))
        key = ["rule", "object", "external_id", "other_id"]
        gone = self.findings(company, source=source).filter(judged).join(found, on=key, how="anti")
        resolved = owned(gone.select(*key, pl.lit(now, UTC).alias("resolved_at")), company, source)
        bulk.update(self.connection, findings, resolved, ("company", "crm", *key))
        bulk.upsert(self.connection, findings, owned(stamped, company, source), _FINDING)

    def save_rejects(
        self,
        company: str,
        source: str,
        rejects: pl.DataFrame,
        delivered: Mapping[str, pl.Series],
        now: datetime,
    ) -> int:
        """Put rejected values (schema ``REJECTS``) aside and take out those of records delivered clean this time.

        ``delivered``: table -> ids in this page. Returns how many values the page had rejected.
        """
        rows = quarantine_rows(rejects)
        for name, ids in delivered.items():
            self._release(company, source, name, ids, rows.filter(pl.col("table") == name))
        stamped = rows.with_columns(pl.lit(now, UTC).alias("first_seen"), pl.lit(now, UTC).alias("last_seen"))
        bulk.upsert(self.connection, table("quarantine"), owned(stamped, company, source), _QUARANTINED)
        return rows.height

    def _release(self, company: str, source: str, name: str, ids: pl.Series, kept: pl.DataFrame) -> None:
        quarantine = table("quarantine")
        mine = (quarantine.c.company == company, quarantine.c.crm == source, quarantine.c.table == name)
        query = select(quarantine.c.external_id, quarantine.c.field, quarantine.c.digest).where(*mine)
        held = pl.DataFrame(
            [tuple(row) for row in self.connection.execute(query.where(quarantine.c.external_id != ""))],
            schema={"external_id": pl.String, "field": pl.String, "digest": pl.String},
            orient="row",
        )
        if held.is_empty():
            return
        clean = held.join(pl.DataFrame({"external_id": ids.unique()}), on="external_id", how="semi")
        for external_id, field, digest in clean.join(kept, on=held.columns, how="anti").iter_rows():
            self.connection.execute(
                delete(quarantine).where(
                    *mine,
                    quarantine.c.external_id == external_id,
                    quarantine.c.field == field,
                    quarantine.c.digest == digest,
                )
            )

    # -- runs

    def start_run(self, company: str, source: str, stream: str, now: datetime) -> int:
        """Note that a stream is being read; returns the run's id."""
        values = dict.fromkeys(("rows", "changed", "deleted", "quarantined", "requests"), 0)
        statement = insert(table("runs")).values(
            company=company, crm=source, stream=stream, started_at=now, status="running", **values
        )
        return int(self.connection.execute(statement.returning(table("runs").c.id)).scalar_one())

    def finish_run(self, run: int, status: RunStatus, now: datetime, **values: Any) -> None:
        """Note how a run ended: rows, changed, deleted, quarantined, requests, seconds, error, remedy."""
        runs = table("runs")
        held = {name: _held(value) for name, value in values.items()}
        self.connection.execute(
            sql_update(runs).where(runs.c.id == run).values(status=status, finished_at=now, **held)
        )

    def close_interrupted_runs(self, company: str, now: datetime) -> None:
        """Runs of a process that was killed are not running any more."""
        runs = table("runs")
        self.connection.execute(
            sql_update(runs)
            .where(runs.c.company == company, runs.c.status == "running")
            .values(status="stopped", finished_at=now, error="the process ended before the stream did")
        )

    # -- deliveries

    def save_snapshot(
        self, snapshot: Mapping[str, Any], values: pl.DataFrame, evidence: pl.DataFrame
    ) -> None:
        """Keep the numbers of one month as they are now; one that is kept already stays as it is.

        ``values`` and ``evidence``: rows of ``snapshot_values`` and ``snapshot_evidence`` without their snapshot's key.
        """
        key = {name: snapshot[name] for name in ("company", "month", "digest")}
        snapshots = table("snapshots")
        there = select(snapshots.c.digest).filter_by(**key)
        if self.connection.execute(there).first() is not None:
            return
        self.connection.execute(insert(snapshots).values(**snapshot))
        whose = [pl.lit(value).alias(name) for name, value in key.items()]
        for name, frame in (("snapshot_values", values), ("snapshot_evidence", evidence)):
            bulk.upsert(self.connection, table(name), frame.select(*whose, pl.all()), Merge(()))

    def begin_delivery(
        self,
        company: str,
        month: str,
        destination: str,
        version: int,
        key: str,
        content_hash: str,
        now: datetime,
        snapshot: str | None = None,
    ) -> DeliveryRecord:
        """Note, before posting, that a summary is about to be posted; an earlier note with this key stands.

        ``snapshot``: the digest of the numbers in it. Raises ``ConfigurationError`` where the same version was begun
        under another key.
        """
        earlier = self.delivery(key)
        if earlier is not None:
            return earlier
        same = [
            one
            for one in self.deliveries(company, month)
            if (one.destination, one.version) == (destination, version)
        ]
        if same:
            raise ConfigurationError(
                f"{company}: version {version} of {month} for {destination} was begun before, with another key"
            )
        record = DeliveryRecord(
            company,
            month,
            destination,
            version,
            key,
            "pending",
            content_hash,
            None,
            now,
            None,
            None,
            snapshot,
        )
        self.connection.execute(insert(table("deliveries")).values(asdict(record)))
        return record

    def finish_delivery(
        self,
        key: str,
        status: DeliveryStatus,
        now: datetime,
        *,
        location: str | None = None,
        error: str | None = None,
        content_hash: str | None = None,
        snapshot: str | None = None,
    ) -> None:
        """Note how a try to post ended; ``posted_at`` is set when it was posted, the last two when given.

        What was posted stays posted, whatever another try says. Raises ``ConfigurationError`` where no delivery with
        that key was begun.
        """
        deliveries = table("deliveries")
        values: dict[str, Any] = {"status": status, "location": _held(location), "error": _held(error)}
        values["posted_at"] = now if status == "posted" else None
        if content_hash is not None:
            values["content_hash"] = content_hash
        if snapshot is not None:
            values["snapshot"] = snapshot
        mine = sql_update(deliveries).where(deliveries.c.key == key)
        if status != "posted":
            mine = mine.where(deliveries.c.status != "posted")
        if not self.connection.execute(mine.values(values)).rowcount and self.delivery(key) is None:
            raise ConfigurationError(f"delivery {key}: it was never begun; nothing was noted")


def owned(frame: pl.DataFrame, company: str, source: str, **clocks: datetime) -> pl.DataFrame:
    """The rows with whose they are in front and our clocks behind: the columns of their table."""
    return frame.select(
        pl.lit(company).alias("company"),
        pl.lit(source).alias("crm"),
        pl.all(),
        *(pl.lit(moment, UTC).alias(name) for name, moment in clocks.items()),
    )


def _held(value: Any) -> Any:
    """A text that others wrote, without NUL, which PostgreSQL refuses."""
    return value.replace("\x00", "") if isinstance(value, str) else value


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def quarantine_rows(rejects: pl.DataFrame) -> pl.DataFrame:
    """Rejects as rows of the quarantine, one per cell; records without an id are told apart by their text."""
    rows = rejects.select(list(REJECTS)).select(
        pl.col("table"),
        pl.col("external_id").fill_null(""),
        pl.col("field").fill_null(""),
        "raw",
        "reason",
    )
    digests = [
        "" if external_id else hashlib.sha256(f"{field}\n{raw}\n{reason}".encode()).hexdigest()[:16]
        for external_id, field, raw, reason in rows.select(
            "external_id", "field", "raw", "reason"
        ).iter_rows()
    ]
    keyed = rows.with_columns(pl.Series("digest", digests, dtype=pl.String))
    return keyed.unique(["table", "external_id", "field", "digest"], keep="last", maintain_order=True)
