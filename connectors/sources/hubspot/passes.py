"""The order in which the records of one object type are read, and how a pass goes on where it stopped.

A complete pass lists the live records, then the recycle bin. An increment reads the bin (HubSpot's search
never shows what was deleted), then what was modified in a fixed window of time, then the records that
point at something merged or at a deal that changed (see ``neighbours``). When the last complete listing is a
day old, the ids are listed as well, because a record that was deleted for good is seen nowhere else.

A window ends at HubSpot's own clock as the pass began. The next one starts earlier than that, by the delay
of the search index and an overlap, so that what the index had not shown yet is read then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

import polars as pl

from connectors.source import Cursor, Page
from connectors.sources.hubspot.neighbours import Neighbours
from connectors.sources.hubspot.parse import Record, ids
from connectors.sources.hubspot.reader import Reader, Window, chunks, with_links
from connectors.sources.hubspot.rows import Batch, Rows
from connectors.sources.hubspot.session import Session
from connectors.sources.hubspot.settings import Options

Phase = Literal["live", "bin", "search", "neighbours", "ids", "done"]
VERSION: Final = 2  # of the cursor; where it differs, everything is read again
_REQUESTS_PER_PAGE: Final = 5  # so that a page is worth a transaction


@dataclass(frozen=True)
class Position:
    """Where a pass stands: what the cursor holds. Instants are ISO texts of HubSpot's clock.

    ``started``: when the pass began, the end of its window. ``since``: the begin of the window; None in a
    complete pass. ``asked``: the ``since`` a caller gave. ``listed``: when the last complete listing began.
    ``stored_to``: when the pass before this one began. ``binned``: ids seen in the bin, so that a restored
    record is noticed when it leaves it.
    """

    phase: Phase
    started: str | None = None
    since: str | None = None
    asked: str | None = None
    after: str | None = None
    last_id: int = 0
    listed: str | None = None
    stored_to: str | None = None
    binned: tuple[str, ...] = ()

    @classmethod
    def load(cls, cursor: Cursor | None) -> Position | None:
        """The position of a cursor; None where there is none, or one of another version of this source."""
        if not cursor or cursor.get("version") != VERSION:
            return None
        fields = {name: cursor[name] for name in cls.__dataclass_fields__}
        return cls(**{**fields, "binned": tuple(fields["binned"])})

    def dump(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self), "binned": list(self.binned)}

    @property
    def complete(self) -> bool:
        """Whether this pass lists everything."""
        return self.since is None


def begin(cursor: Cursor | None, since: datetime | None, options: Options) -> tuple[Position, bool]:
    """Where to start, and whether that resumes a pass that was interrupted. Pure.

    ``since`` widens a window and never narrows it: the time between the last pass and ``since`` would
    otherwise never be read.
    """
    known = Position.load(cursor)
    asked = since.isoformat() if since else None
    if known is None:
        first: Phase = "live" if since is None else "bin"
        return Position(first, since=asked, asked=asked), False
    if known.phase != "done":
        if since is None or known.complete or asked == known.asked:
            return known, True
        lower = _instant(known.since)
    else:
        lower = _instant(known.started) - options.lag - options.overlap
    return (
        Position(
            "bin",
            since=(min(since, lower) if since else lower).isoformat(),
            asked=asked,
            listed=known.listed,
            stored_to=known.stored_to if known.phase != "done" else known.started,
            binned=known.binned,
        ),
        False,
    )


class Pass:
    """Reads one object type. ``total``: how many live records there are, where that is known."""

    def __init__(
        self,
        rows: Rows,
        neighbours: Neighbours,
        reader: Reader,
        session: Session,
        options: Options,
        total: int | None,
    ) -> None:
        self._rows = rows
        self._neighbours = neighbours
        self._reader = reader
        self._session = session
        self._options = options
        self._total = total
        self._size = _REQUESTS_PER_PAGE * options.page_size

    def pages(self, cursor: Cursor | None, since: datetime | None) -> Iterator[Page]:
        """The pages of ``Source.read``. A pass that was interrupted long ago is followed by an increment."""
        position, resumed = begin(cursor, since, self._options)
        page = yield from self._run(position, resumed)
        if resumed and self._session.now - _instant(page.cursor["started"]) > self._options.overlap:
            yield replace(page, last=False)
            position, _ = begin(page.cursor, since, self._options)
            page = yield from self._run(position, resumed=False)
        yield page

    def _run(self, position: Position, resumed: bool) -> Generator[Page, None, Page]:
        """One pass; returns its last page instead of yielding it."""
        live: dict[str, list[str]] | None = None
        if position.phase == "live":
            live = None if resumed else {}
            position = yield from self._live(position, live)
        if position.phase == "bin":
            position = yield from self._bin(position)
        if position.phase == "search":
            position = yield from self._search(position)
        if position.phase == "neighbours":
            position = yield from self._touched(position)
        return self._last(position, live)

    # ---- phases

    def _live(self, position: Position, live: dict[str, list[str]] | None) -> Generator[Page, None, Position]:
        while position.phase == "live":
            records, after = self._some(position.after)
            position = self._dated(replace(position, after=after, phase="live" if after else "bin"))
            if live is not None:
                for table, found in self._rows.live_ids(records).items():
                    live.setdefault(table, []).extend(found)
            yield self._page(self._rows.build(records), position, self._total)
        return position

    def _some(self, after: str | None) -> tuple[list[Record], str | None]:
        records: list[Record] = []
        while True:
            found, after = self._reader.listing(self._rows.want, after)
            records += found
            if after is None or len(records) >= self._size:
                return records, after

    def _bin(self, position: Position) -> Generator[Page, None, Position]:
        """The recycle bin from its start: it is small, and its pages are not in the order of deletion."""
        binned: list[str] = []
        waiting: list[Record] = []
        after: str | None = None
        while True:
            found, after = self._reader.listing(replace(self._rows.want, history=()), after, archived=True)
            position = self._dated(position)
            binned += ids(found)
            waiting += [record for record in found if self._is_new(record, position)]
            if waiting and (after is None or len(waiting) >= self._size):
                batch = self._rows.build_archived(self._with_history(waiting), position.stored_to)
                yield self._page(batch, position)
                waiting = []
            if after is None:
                break
        left = set(position.binned) - set(binned)
        if restored := self._reader.batch(self._rows.want, sorted(left, key=int)) if left else []:
            yield self._page(self._rows.build(restored), position)
        return replace(position, phase="ids" if position.complete else "search", binned=tuple(binned))

    @staticmethod
    def _is_new(record: Record, position: Position) -> bool:
        when = record.get("archivedAt")
        return position.since is None or when is None or _instant(str(when)) >= _instant(position.since)

    def _with_history(self, listed: Sequence[Record]) -> Sequence[Record]:
        """The bin's listing tells at most one version of each property; batch reads tell all."""
        if not self._rows.want.history:
            return listed
        by_id = {str(record["id"]): record for record in listed}
        read = self._reader.batch(self._rows.want, by_id, archived=True)
        return [with_links(record, by_id.get(str(record["id"]))) for record in read]

    def _search(self, position: Position) -> Generator[Page, None, Position]:
        window = self._window(position)
        total: int | None = None
        while position.phase == "search":
            left, found = self._reader.search_ids(self._rows.about.name, (window.filter(),), position.last_id)
            total = left if total is None else total
            if len(found) >= left:
                position = replace(position, phase="neighbours")
            if found:
                position = replace(position, last_id=int(found[-1]))
                yield self._page(
                    self._rows.build(self._reader.batch(self._rows.want, found)), position, total
                )
            elif position.phase == "search":  # the rest left the window meanwhile
                position = replace(position, phase="neighbours")
        return position

    def _touched(self, position: Position) -> Generator[Page, None, Position]:
        for chunk in chunks(self._neighbours.touched(self._window(position)), self._size):
            yield self._page(self._rows.build(self._reader.batch(self._rows.want, chunk)), position)
        return replace(position, phase="ids")

    def _last(self, position: Position, live: dict[str, list[str]] | None) -> Page:
        """The page that ends a pass, with the ids of what there is when that is due."""
        if live is None and self._due(position):
            live = self._listed_ids()
        listed = position.listed if live is None else position.started
        done = Position("done", started=position.started, listed=listed, binned=position.binned)
        series = {table: pl.Series(table, found, dtype=pl.String) for table, found in (live or {}).items()}
        return Page({}, done.dump(), last=True, live_ids=None if live is None else series)

    def _due(self, position: Position) -> bool:
        if position.complete or position.listed is None:
            return True
        return _instant(position.started) - _instant(position.listed) >= self._options.relist

    def _listed_ids(self) -> dict[str, list[str]]:
        want = self._rows.slim
        live: dict[str, list[str]] = {table: [] for table in self._rows.live_ids(())}
        after: str | None = None
        while True:
            found, after = self._reader.listing(want, after)
            for table, listed in self._rows.live_ids(found).items():
                live[table] += listed
            if after is None:
                return live

    # ---- small parts

    def _window(self, position: Position) -> Window:
        return Window(self._rows.about.modified, _instant(position.since), _instant(position.started))

    def _dated(self, position: Position) -> Position:
        """The pass begins at the time of HubSpot's first answer."""
        return position if position.started else replace(position, started=self._session.now.isoformat())

    @staticmethod
    def _page(batch: Batch, position: Position, total: int | None = None) -> Page:
        return Page(
            batch.frames,
            position.dump(),
            last=False,
            tombstones=batch.tombstones,
            rejects=batch.rejects,
            total=total,
        )


def _instant(text: str | None) -> datetime:
    if text is None:
        raise ValueError("a pass without its times")
    return datetime.fromisoformat(text)
