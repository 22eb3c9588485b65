"""One page into the store: data, tombstones, merges, rejects, findings and the cursor, in the caller's transaction.

Every step is idempotent: the same page again changes nothing, and pages that overlap end alike in any order. What is
gone from the CRM stays as a tombstone. Pages of ``stages`` and ``exchange_rates`` always hold the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from connectors.schema import KEYS, UTC
from connectors.source import Page, Stream
from pipeline import comparison, mapping
from pipeline.asof import LOGS
from pipeline.company import Company
from pipeline.forget import without_forgotten
from pipeline.merges import REFERENCES, follow, merge_children, redirects
from pipeline.records import SourceInfo
from pipeline.rule import judge, rules
from pipeline.transaction import Transaction

WHOLE: Final = ("stages", "exchange_rates")  # small, and read whole on every run


@dataclass(frozen=True)
class LoadCounts:
    """What one page did: rows it held, rows new or changed, records found gone, values set aside."""

    rows: int = 0
    changed: int = 0
    deleted: int = 0
    quarantined: int = 0

    def __add__(self, other: LoadCounts) -> LoadCounts:
        return LoadCounts(
            self.rows + other.rows,
            self.changed + other.changed,
            self.deleted + other.deleted,
            self.quarantined + other.quarantined,
        )


def load(
    tx: Transaction,
    company: Company,
    info: SourceInfo,
    stream: Stream,
    page: Page,
    now: datetime,
    *,
    part: bool = False,
) -> LoadCounts:
    """Write a normalised page. The last page of a stream also renews the findings about what the stream fills.

    ``part``: the pages are only a part of a stream that was never read whole, so no place to go on from is kept.
    """
    page = without_forgotten(tx, company.name, info.source, page, now)
    where = _Place(tx, company.name, info, now)
    changed = deleted = 0
    for name, frame in page.frames.items():
        more, gone = where.rows(name, frame)
        changed, deleted = changed + more, deleted + gone
    for name, tombstones in _by_table(page.tombstones):
        deleted += where.tombstones(name, tombstones, page.frames.get(name))
    for name, ids in (page.live_ids or {}).items():
        deleted += where.missing(name, pl.DataFrame({KEYS[name][0]: ids}))
    changed += where.merged(page)
    delivered = {name: frame[KEYS[name][0]].cast(pl.String) for name, frame in page.frames.items()}
    quarantined = tx.save_rejects(company.name, info.source, page.rejects, delivered, now)
    if page.last:
        renew_findings(tx, company, info, stream.tables, now)
    if not part:
        tx.save_cursor(company.name, info.source, stream.name, page.cursor, complete=page.last, now=now)
        if page.last:
            begun = mapping.pending(tx.coverage(company.name, info.source), stream.tables, now)
            tx.save_coverage(company.name, info.source, begun, now)
    if changed or deleted:
        tx.mark_computed(company.name, info.source, None)
    rows = sum(
        frame.height
        for name, frame in page.frames.items()
        if name == stream.tables[0] or name != "deal_changes"
    )
    return LoadCounts(rows, changed + deleted, deleted, quarantined)


def renew_findings(
    tx: Transaction, company: Company, info: SourceInfo, tables: tuple[str, ...], now: datetime
) -> None:
    """Judge the records of these tables again, from the store as it stands in this transaction."""
    chosen = [rule for rule in rules().values() if rule.object in tables]
    if chosen:
        needed = sorted({name for rule in chosen for name in rule.tables})
        found = judge(chosen, tx.frames(company.name, needed, info.source), company, info, now)
        tx.save_findings(company.name, info.source, [rule.id for rule in chosen], found, now)


@dataclass(frozen=True)
class _Place:
    """Whose rows are written, and when."""

    tx: Transaction
    company: str
    info: SourceInfo
    now: datetime

    @property
    def source(self) -> str:
        return self.info.source

    def rows(self, name: str, frame: pl.DataFrame) -> tuple[int, int]:
        """Upsert one frame; returns (rows new or changed, of which no longer live or gone)."""
        moved = follow(name, frame, lambda parents: redirects(self.tx, parents, self.company, self.source))
        moved = self._with_known_references(name, moved)
        dying = self._dying(name, moved)
        self._notice(name, moved)
        changed = self.tx.upsert(name, self.company, self.source, moved, self.now)
        gone = self.missing(name, moved.select(KEYS[name])) if name in WHOLE else 0
        return changed - dying, dying + gone

    def _with_known_references(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Deleted records keep what they pointed at: CRMs forget the associations of what they have archived."""
        columns = list(REFERENCES.get(name, {}))
        if not columns:
            return frame
        blank = pl.any_horizontal(pl.col(column).is_null() for column in columns)
        lost = frame.filter(pl.col("deleted_at").is_not_null() & blank)
        if lost.is_empty():
            return frame
        known = self.tx.stored(
            name, self.company, self.source, lost["external_id"], ("external_id", *columns)
        )
        joined = frame.join(known, on="external_id", how="left", suffix="_known", maintain_order="left")
        gone = pl.col("deleted_at").is_not_null()
        return joined.with_columns(
            pl.when(gone).then(pl.coalesce(column, f"{column}_known")).otherwise(column).alias(column)
            for column in columns
        ).select(frame.columns)

    def _notice(self, name: str, frame: pl.DataFrame) -> None:
        """Log what is about to change of fields whose past the CRM does not hand over."""
        fields = self.info.compared.get(name)
        if not fields:
            return
        columns = [*KEYS[name], "modified_at", *sorted(fields)]
        if name in WHOLE:
            before = self.tx.columns(name, self.company, self.source, columns)
        else:
            before = self.tx.stored(name, self.company, self.source, frame["external_id"], columns)
        found = [comparison.changes(name, before, frame, fields, self.now)]
        if (seen := self.info.complete_at) is not None:
            found.append(comparison.arrivals(name, before, frame, fields, seen, self.now))
        self.tx.append_changes(LOGS[name], self.company, self.source, pl.concat(found), self.now)

    def _dying(self, name: str, frame: pl.DataFrame) -> int:
        """How many records that were live are delivered as deleted."""
        if "deleted_at" not in frame.columns or "external_id" not in frame.columns:
            return 0
        deleted = frame.filter(pl.col("deleted_at").is_not_null())
        stored = self.tx.stored(
            name, self.company, self.source, deleted["external_id"], ("external_id", "deleted_at")
        )
        return stored["deleted_at"].null_count()

    def tombstones(self, name: str, tombstones: pl.DataFrame, delivered: pl.DataFrame | None) -> int:
        """Mark records as gone or merged. One that changed after its deletion was restored and stays."""
        latest = tombstones.sort("deleted_at", "merged_into", nulls_last=False).unique(
            "external_id", keep="last"
        )
        columns = ("external_id", "modified_at", "deleted_at", "merged_into")
        stored = self.tx.stored(name, self.company, self.source, latest["external_id"], columns)
        pair = stored.join(
            latest.select("external_id", at="deleted_at", into="merged_into"), on="external_id"
        )
        if delivered is not None:
            back = delivered.filter(pl.col("deleted_at").is_null()).select("external_id", "modified_at")
            seen = pair.join(back, on="external_id", how="semi")["external_id"].to_list()
        else:
            seen = []
        restored = (pl.col("modified_at") > pl.col("at")).fill_null(value=pl.col("external_id").is_in(seen))
        then = pl.coalesce("at", "deleted_at", pl.lit(self.now, UTC))
        into = pl.coalesce("into", "merged_into")
        due = pair.filter(~restored | pl.col("into").is_not_null()).filter(
            then.ne_missing(pl.col("deleted_at")) | into.ne_missing(pl.col("merged_into"))
        )
        rows = due.select("external_id", deleted_at=then, merged_into=into)
        self._notice(name, rows.with_columns(modified_at=pl.lit(None, UTC)))
        self.tx.update(name, self.company, self.source, rows, self.now)
        return due["deleted_at"].null_count()

    def missing(self, name: str, live: pl.DataFrame) -> int:
        """Mark stored records that the CRM no longer lists as gone now."""
        keys = list(live.columns)
        stored = self.tx.columns(name, self.company, self.source, [*keys, "deleted_at"])
        gone = stored.filter(pl.col("deleted_at").is_null()).join(live, on=keys, how="anti").select(keys)
        marks = {"deleted_at": pl.lit(self.now, UTC)}
        if name in ("owners", "stages"):
            marks["active"] = pl.lit(value=False)
        rows = gone.with_columns(**marks)
        self._notice(name, rows.with_columns(modified_at=pl.lit(None, UTC)))
        return self.tx.update(name, self.company, self.source, rows, self.now)

    def merged(self, page: Page) -> int:
        """Follow the merges of this page in everything that is stored."""
        parents = {name for name, frame in page.frames.items() if _merges(frame)}
        parents |= set(page.tombstones.filter(pl.col("merged_into").is_not_null())["table"])
        return sum(
            merge_children(self.tx, name, self.company, self.source, self.now, self._notice)
            for name in sorted(parents)
        )


def _merges(frame: pl.DataFrame) -> bool:
    return "merged_into" in frame.columns and frame["merged_into"].null_count() < frame.height


def _by_table(tombstones: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    parts: Mapping[tuple[object, ...], pl.DataFrame] = tombstones.partition_by(
        "table", as_dict=True, include_key=False, maintain_order=True
    )
    for (name,), part in parts.items():
        yield str(name), part
