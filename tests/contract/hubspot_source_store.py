"""What the tests of the HubSpot source share: a small store, a simulated portal, and ways to read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.retry import RetryPolicy
from connectors.schema import KEYS
from connectors.simulator.hubspot import ACCESS_TOKEN
from connectors.simulator.server import Simulator
from connectors.source import Cursor, Page, Source, SourceSettings
from connectors.sources.hubspot import SOURCE
from scheduler import demo_config

TOKEN = {"flow": "token", "token": ACCESS_TOKEN}
FIELDS = demo_config.FIELDS["hubspot"]
HURRIED = RetryPolicy(attempts=8, first=0.001, longest=0.01)

Row = Mapping[str, Any]
Key = tuple[Any, ...]


def connect(simulator: Simulator, **changes: Any) -> Source:
    """A source for that portal; ``options`` and the like as in ``SourceSettings``."""
    settings: dict[str, Any] = {
        "company": "acme",
        "url": simulator.url,
        "auth": TOKEN,
        "ca_bundle": simulator.ca_bundle,
        "fields": FIELDS,
        "timezone": "America/New_York",
        "retry": HURRIED,
        **changes,
    }
    return SOURCE.open(SourceSettings(**settings))


@dataclass
class Store:
    """Keeps rows as the pipeline does: upserts, tombstones, and what a complete listing no longer has."""

    rows: dict[str, dict[Key, dict[str, Any]]] = field(default_factory=dict)
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def take(self, stream: str, page: Page) -> None:
        for table, frame in page.frames.items():
            stored = self.rows.setdefault(table, {})
            for row in frame.iter_rows(named=True):
                stored[tuple(row[name] for name in KEYS[table])] = row
        for gone in page.tombstones.iter_rows(named=True):
            stored = self.rows.get(gone["table"], {})
            if (key := (gone["external_id"],)) in stored:
                stored[key] |= {"deleted_at": gone["deleted_at"], "merged_into": gone["merged_into"]}
        for table, ids in (page.live_ids or {}).items():
            there = set(ids.to_list())
            for key, row in self.rows.get(table, {}).items():
                if row["deleted_at"] is None and key[0] not in there:
                    row["deleted_at"] = "gone"
        self.cursors[stream] = page.cursor

    def live(self, table: str) -> dict[Key, dict[str, Any]]:
        """The rows that are not deleted; of changes those of deals that are not."""
        rows = self.rows.get(table, {})
        if table != "deal_changes":
            return {key: row for key, row in rows.items() if row.get("deleted_at") is None}
        deals = {key[0] for key in self.live("deals")}
        return {key: row for key, row in rows.items() if key[0] in deals}

    def everything(self) -> dict[str, dict[Key, dict[str, Any]]]:
        return {table: self.live(table) for table in sorted(self.rows)}


def sync(source: Source, store: Store, only: Sequence[str] = (), since: datetime | None = None) -> list[Page]:
    """Read all streams (or ``only`` some) into the store, from its cursors on."""
    pages: list[Page] = []
    for stream in source.streams():
        if only and stream.name not in only:
            continue
        for page in source.read(stream, store.cursors.get(stream.name), since):
            store.take(stream.name, page)
            pages.append(page)
        assert pages[-1].last
    return pages


def fresh(simulator: Simulator, **changes: Any) -> Store:
    """What a first sync finds."""
    source = connect(simulator, **changes)
    store = Store()
    sync(source, store)
    source.close()
    return store


def rows(pages: Iterable[Page], table: str) -> Iterator[Row]:
    """All rows of a table, page by page."""
    for page in pages:
        if table in page.frames:
            yield from page.frames[table].iter_rows(named=True)


def different(one: Store, other: Store) -> dict[str, list[Any]]:
    """Where two stores' live rows differ: table -> some of the differing (key, row, other row)."""
    found: dict[str, list[Any]] = {}
    for table in sorted({*one.rows, *other.rows}):
        left, right = one.live(table), other.live(table)
        keys = [key for key in {*left, *right} if left.get(key) != right.get(key)]
        if keys:
            found[table] = [(key, left.get(key), right.get(key)) for key in sorted(keys)[:3]]
    return found
