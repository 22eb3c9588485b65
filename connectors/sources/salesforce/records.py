"""Streams of records that Salesforce stamps: read in the order of their last change, resumable anywhere.

A pass begins by asking up to when changes are certainly visible (the watermark). The next pass starts there, less
an overlap. Positions only move over records stamped before the watermark: a record that changes while it is
being paged shows its new stamp at its old place, and a position taken from it would skip what lies between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
import structlog

from connectors.source import Cursor, Page
from connectors.sources.salesforce import soql
from connectors.sources.salesforce.catalogue import Catalogue, Selection
from connectors.sources.salesforce.client import SalesforceClient
from connectors.sources.salesforce.faults import MissingObjectError, UnknownWatermarkError
from connectors.sources.salesforce.mapping import Table
from connectors.sources.salesforce.parse import Context, conform, parse
from connectors.sources.salesforce.scan import Batch, scan
from connectors.sources.salesforce.soql import Position

log = structlog.get_logger(__name__)
# The recycle bin keeps 15 days and can be emptied at any time: every so often, only a listing of all ids tells
# what is gone.
_LISTING: Final = timedelta(days=7)


@dataclass(frozen=True)
class Pass:
    """One pass over a stream: where it began, how far it has come, what it must do at its end.

    ``start``: lower bound of an increment, None for everything. ``since``: what the caller asked to re-read.
    ``watermark``: where the next pass starts, less the overlap. ``listing``: name every live id at the end.
    ``listed``: the watermark of the last pass that did.
    """

    watermark: str
    start: str | None = None
    since: str | None = None
    stamp: str = ""
    id: str = ""
    listing: bool = False
    listed: str = ""

    def cursor(self) -> Cursor:
        """A cursor that resumes this pass."""
        return {"v": 1, "pass": {name: value for name, value in vars(self).items() if value}}

    def end(self) -> Cursor:
        """A cursor that starts the next increment."""
        complete = self.listing or self.start is None
        return {"v": 1, "watermark": self.watermark, "listed": self.watermark if complete else self.listed}

    @property
    def position(self) -> Position | None:
        if self.stamp:
            return Position(self.stamp, self.id)
        return Position(self.start) if self.start else None


def begin(cursor: Cursor | None, since: datetime | None, watermark: datetime, overlap: timedelta) -> Pass:
    """The pass to make, given where the last one stopped.

    A pass that was interrupted is resumed, unless it was after something else than ``since``; then one that covers
    both begins. The listing of live ids is due a week after the last one.
    """
    asked = soql.literal(since) if since else None
    if cursor is None:
        return Pass(soql.literal(watermark), start=asked, since=asked)
    if "pass" in cursor:
        interrupted = Pass(**cursor["pass"])
        if interrupted.start is None or asked is None or asked == interrupted.since:
            return replace(interrupted, listing=interrupted.listing or interrupted.start is None)
        again = replace(interrupted, start=min(interrupted.start, asked), since=asked, stamp="", id="")
        return replace(again, watermark=soql.literal(watermark))
    start = soql.literal(_moment(cursor["watermark"]) - overlap)
    listed = str(cursor.get("listed") or "")
    return Pass(
        soql.literal(watermark),
        start=min(start, asked) if asked else start,
        since=asked,
        listing=not listed or watermark - _moment(listed) > _LISTING,
        listed=listed,
    )


def _moment(literal: str) -> datetime:
    return datetime.strptime(literal, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def visible_until(
    client: SalesforceClient, catalogue: Catalogue, table: Table, overlap: timedelta
) -> datetime:
    """Changes stamped before this moment are committed and visible. At most the server's clock."""
    description = catalogue.require(table)
    if description.tracked:
        try:
            covered = client.covered(table.object)
            return min(covered, client.now())
        except (UnknownWatermarkError, MissingObjectError):
            log.info("no change log", object=table.object)  # the clock and the overlap stand in
    return client.now() - overlap


class RecordReader:
    """Reads one table; made anew for every pass."""

    def __init__(
        self, client: SalesforceClient, catalogue: Catalogue, context: Context, table: Table
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._context = context
        self._table = table
        self._selection: Selection = catalogue.select(table)
        self._live: list[pl.Series] = []

    def read(self, state: Pass) -> Iterator[Page]:
        """The pages of one pass; the last one carries the live ids when a complete listing is due."""
        complete = state.start is None and not state.stamp  # this very pass sees every record
        for batch in self._batches(state):
            moved = batch.position
            state = replace(state, stamp=moved.stamp, id=moved.id) if moved else state
            yield self._page(batch, state, last=batch.last and not state.listing, listed=complete)
        if state.listing:
            live = {self._table.name: self._list_ids()} if self._table.deletes else None
            yield Page({}, state.end(), last=True, live_ids=live)

    def _batches(self, state: Pass) -> Iterator[Batch[Position | None]]:
        def query(position: Position | None) -> str:
            return soql.changed(self._selection.paths(), self._table.object, position, self._conditions())

        def withdrawn() -> None:
            self._catalogue.forget(self._table.object)
            self._selection = self._catalogue.select(self._table)

        return scan(self._client, query, state.position, self._advance(state.watermark), withdrawn)

    @staticmethod
    def _advance(watermark: str) -> Callable[[list[dict[str, Any]], Position | None], Position | None]:
        def advance(records: list[dict[str, Any]], position: Position | None) -> Position | None:
            for record in reversed(records):
                stamp = f"{str(record.get('SystemModstamp'))[:19]}Z"
                if record.get("Id") and record.get("SystemModstamp") and stamp < watermark:
                    return max(Position(stamp, record["Id"]), position or Position(""), key=_order)
            return position

        return advance

    def _page(self, batch: Batch[Position | None], state: Pass, last: bool, listed: bool) -> Page:
        parsed = parse(self._table, self._selection, batch.records, self._context)
        frame = conform(self._table.name, parsed.frame)
        live = None
        if listed and self._table.deletes:
            self._live.append(frame.filter(pl.col("deleted_at").is_null())["external_id"])
            if last:
                live = {self._table.name: pl.concat(self._live).unique()}
        return Page(
            {self._table.name: frame},
            state.end() if last else state.cursor(),
            last,
            rejects=parsed.rejects,
            live_ids=live,
            total=batch.total if batch.fresh else None,
        )

    def _conditions(self) -> list[str]:
        return [f"{name} = false" for name in self._table.only if name in self._selection.extra]

    def _list_ids(self) -> pl.Series:
        conditions = self._conditions()
        if "IsDeleted" in self._selection.extra:
            conditions.append("IsDeleted = false")
        found: list[pl.Series] = []
        batches = scan(
            self._client,
            lambda after: soql.listed(["Id"], self._table.object, after, conditions),
            "",
            lambda records, after: records[-1]["Id"] if records else after,
        )
        for batch in batches:
            found.append(
                pl.Series("external_id", [record["Id"] for record in batch.records], dtype=pl.String)
            )
        return pl.concat(found).unique()


def _order(position: Position) -> tuple[str, str]:
    return position.stamp, position.id
