"""The portal's private disk: records, associations and lives in one SQLite file.

A life is kept whole. A record is what its life says at the portal's clock, written out for listing and
searching; when the clock moves, the records with something due are written anew. Associations are kept
between roots (a record's id before any merge), so that a merge re-points them by itself.
"""

from __future__ import annotations

import marshal
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from connectors.simulator.hubspot.ids import kind_of, root_of
from connectors.simulator.hubspot.lineage import Lineage
from connectors.simulator.hubspot.links import Link, links_of
from connectors.simulator.hubspot.lives import (
    MERGED_IDS,
    QUIET,
    Standing,
    Version,
    person_events,
    stand,
    versions,
)
from connectors.simulator.hubspot.properties import OBJECT_TYPES, PROPERTIES, ObjectType, own_properties
from connectors.simulator.hubspot.records import Records, Row
from connectors.simulator.hubspot.translate import OBJECT_OF, TRANSLATIONS, Properties, State, instant
from connectors.simulator.world import Event, Kind, Life, Stage

_CHUNK: Final = 2_000
_OPTIONS: Final = 1_000  # different values remembered per enumeration
_OPEN: Final = {
    kind: tuple(found.name for found in PROPERTIES[kind] if found.open_options) for kind in OBJECT_TYPES
}
_PLAIN: Final[frozenset[Kind]] = frozenset({"line_item", "contact_role", "meeting"})
_SCHEMA: Final = """
CREATE TABLE life (root INTEGER PRIMARY KEY, next_at INTEGER, events BLOB NOT NULL);
CREATE TABLE link (owner INTEGER, a_type TEXT, a INTEGER, b_type TEXT, b INTEGER, is_primary INTEGER);
"""
_RECORDS: Final = """
CREATE TABLE {0} (id INTEGER PRIMARY KEY, root INTEGER, created INTEGER, modified INTEGER, archived INTEGER,
                  properties TEXT NOT NULL);
"""


class Pipeline(NamedTuple):
    """One deal pipeline and its stages, also the retired ones."""

    id: str
    label: str
    stages: tuple[Stage, ...]


class Store:
    """Everything the portal knows, as of ``now``. One thread at a time: hold ``lock`` around several calls.

    ``directory`` None keeps the file in a temporary directory of its own, removed by ``close``.
    """

    def __init__(
        self, directory: Path | None, *, now: int, pipelines: Sequence[Pipeline], home_currency: str
    ) -> None:
        self.lock = threading.RLock()
        self.now = now
        self.pipelines = pipelines
        self.stages: Mapping[str, Stage] = {
            stage.name: stage for pipeline in pipelines for stage in pipeline.stages
        }
        self.home_currency = home_currency
        self.products: dict[int, State] = {}
        self.users: dict[int, tuple[Event, ...]] = {}
        self.rates: list[Event] = []
        self.values_in_use: dict[tuple[str, str], dict[str, None]] = {}
        self.imported = False  # whether the records come from an export
        self._lineage = Lineage()
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="boardline-hubspot-")
        home = directory or Path(self._temporary.name if self._temporary else ".")
        home.mkdir(parents=True, exist_ok=True)
        self.path = home / "portal.sqlite"
        self.path.unlink(missing_ok=True)
        self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            self._db.execute(f"PRAGMA {pragma}")
        self.records = Records(self._db, self._lineage)
        self._db.executescript(_SCHEMA + "".join(_RECORDS.format(name) for name in OBJECT_TYPES))

    # ---- writing

    def load(self, lives: Iterable[Life]) -> None:
        """Take in every life, then write out the records as of ``now``.

        A record of a kind that is never merged and to which nothing more happens needs no life: it is
        written out at once. Who was merged with whom is only known at the end; links are put right then.
        """
        with self.lock:
            self._db.execute("BEGIN")
            rest = iter(lives)
            while batch := list(islice(rest, _CHUNK)):
                self._take_in(batch)
            self._lineage.settle()
            for chunk in self._identities():
                self._write(self._standings(chunk), resolve=False)
            self._db.execute("CREATE TEMP TABLE moved (old INTEGER PRIMARY KEY, new INTEGER)")
            self._db.executemany("INSERT INTO moved VALUES (?, ?)", self._lineage.moved(self.now))
            for side in ("a", "b"):
                self._db.execute(
                    f"UPDATE link SET {side} = (SELECT new FROM moved WHERE old = {side}) "  # noqa: S608
                    f"WHERE {side} IN (SELECT old FROM moved)"
                )
            self._seal()
            self._db.execute("COMMIT")

    def _take_in(self, batch: Sequence[Life]) -> None:
        plain: list[tuple[int, Kind, Standing]] = []
        stored: list[tuple[int, int | None, bytes]] = []
        for life in batch:
            first = life.events[0]
            if life.kind in _PLAIN and len(life.events) == 1 and first.at <= self.now:
                standing = Standing(first.values, first.at, first.at, None, "live")
                plain.append((root_of(life.kind, life.key), life.kind, standing))
            elif (row := self._learn(life)) is not None:
                stored.append(row)
        self._write(plain, resolve=False)
        self._db.executemany("INSERT INTO life VALUES (?, ?, ?)", stored)

    def _seal(self) -> None:
        """Build the indexes, once everything is in."""
        self._db.execute("CREATE INDEX life_next ON life (next_at) WHERE next_at IS NOT NULL")
        self._db.execute("CREATE INDEX link_owner ON link (owner)")
        self._db.execute("CREATE INDEX link_a ON link (a, b_type)")
        self._db.execute("CREATE INDEX link_b ON link (b, a_type)")
        for name in OBJECT_TYPES:
            self._db.execute(f"CREATE UNIQUE INDEX {name}_root ON {name} (root)")
            self._db.execute(f"CREATE INDEX {name}_modified ON {name} (modified, id)")
            self._db.execute(f"CREATE INDEX {name}_archived ON {name} (archived) WHERE archived IS NOT NULL")

    def fill(self, kind: ObjectType, rows: Iterable[Row]) -> None:
        """Store records that have no life (an export's)."""
        self.imported = True
        with self.lock:
            listed = list(rows)
            for row in listed:
                self._note_values(kind, orjson.loads(row.properties))
            self._db.executemany(f"INSERT INTO {kind} VALUES (?, ?, ?, ?, ?, ?)", listed)  # noqa: S608

    def link(self, links: Iterable[Link]) -> None:
        """Store associations between such records."""
        with self.lock:
            self._db.executemany("INSERT INTO link VALUES (?, ?, ?, ?, ?, ?)", links)

    def advance(self, now: int) -> None:
        """Let everything happen up to and including ``now``."""
        with self.lock:
            before, self.now = self.now, now
            due = self._db.execute("SELECT root, events FROM life WHERE next_at <= ?", (now,)).fetchall()
            touched = {self._lineage.identity(root) for root, _ in due}
            for survivor in self._lineage.merged_between(before, now):
                touched |= {survivor, *self._dependents(survivor)}
            self._db.execute("BEGIN")
            self._db.executemany(
                "UPDATE life SET next_at = ? WHERE root = ?",
                [(_next(_events(blob), now), root) for root, blob in due],
            )
            ordered = iter(sorted(touched))
            while chunk := list(islice(ordered, _CHUNK)):
                self._erase(chunk)
                stored = [(root, self._stored(root)) for root in chunk]
                self._write(self._standings(stored), resolve=True)
            moved = [(new, old) for old, new in self._lineage.moved(now, since=before)]
            for side in ("a", "b"):
                self._db.executemany(f"UPDATE link SET {side} = ? WHERE {side} = ?", moved)  # noqa: S608
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file, and remove it when it was temporary."""
        with self.lock:
            self._db.close()
            if self._temporary:
                self._temporary.cleanup()

    def _learn(self, life: Life) -> tuple[int, int | None, bytes] | None:
        kind, key, events = life
        if kind == "user":
            self.users[key] = events
        elif kind == "rate":
            self.rates.append(events[0])
        if kind in ("user", "rate", "quota"):
            return None
        if kind == "product":
            self.products[key] = events[0].values
        root = root_of(kind, key)
        for event in events:
            if event.op == "merge":
                self._lineage.merge(event.at, root, root_of(kind, event.values["into"]))
            if kind == "contact" and (lead := event.values.get("lead")):
                self._lineage.pair(key, lead)
            elif kind == "lead" and (contact := event.values.get("contact")):
                self._lineage.pair(contact, key)
        blob = marshal.dumps([(at, op, dict(values)) for at, op, values in events])
        return root, _next(events, self.now), blob

    def _identities(self) -> Iterator[list[tuple[int, bytes | None]]]:
        last = 0
        while rows := self._db.execute(
            "SELECT root, events FROM life WHERE root > ? ORDER BY root LIMIT ?", (last, _CHUNK)
        ).fetchall():
            last = rows[-1][0]
            yield [row for row in rows if self._lineage.identity(row[0]) == row[0]]

    def _dependents(self, root: int) -> set[int]:
        # Those without a life are written once for all: they name no other record in their properties.
        linked = "SELECT owner FROM link WHERE b = ?1 UNION SELECT owner FROM link WHERE a = ?1"
        query = f"SELECT root FROM life WHERE root IN ({linked})"  # noqa: S608  # own text
        return {self._lineage.identity(owner) for (owner,) in self._db.execute(query, (root,))}

    def _stored(self, root: int) -> bytes | None:
        found = self._db.execute("SELECT events FROM life WHERE root = ?", (root,)).fetchone()
        return found[0] if found else None

    def _erase(self, roots: Sequence[int]) -> None:
        keys = [(root,) for root in roots]
        for name in OBJECT_TYPES:
            self._db.executemany(f"DELETE FROM {name} WHERE root = ?", keys)  # noqa: S608  # own table names
        self._db.executemany("DELETE FROM link WHERE owner = ?", keys)

    def _standings(self, chunk: Sequence[tuple[int, bytes | None]]) -> Iterator[tuple[int, Kind, Standing]]:
        for root, blob in chunk:
            kind = kind_of(root)
            standing = stand(self._life(root, kind, blob), self.now, QUIET.get(kind, frozenset()))
            if standing is not None and standing.status in ("live", "archived"):
                yield root, kind, standing

    def _write(self, records: Iterable[tuple[int, Kind, Standing]], *, resolve: bool) -> None:
        rows: dict[ObjectType, list[Row]] = {}
        links: list[Link] = []
        for root, kind, standing in records:
            if kind != "contact_role":
                name = OBJECT_OF[kind]
                rows.setdefault(name, []).append(self._row(kind, name, root, standing))
            if kind != "contact_role" or standing.status == "live":
                links += links_of(kind, root, standing.state)
        if resolve:
            links = [link._replace(a=self._resolve(link.a), b=self._resolve(link.b)) for link in links]
        for name, listed in rows.items():
            self._db.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?)", listed)  # noqa: S608
        self._db.executemany("INSERT INTO link VALUES (?, ?, ?, ?, ?, ?)", links)

    def _row(self, kind: Kind, name: ObjectType, root: int, standing: Standing) -> Row:
        identifier = self._lineage.current(root, self.now)
        created, modified, own = own_properties(name)
        properties: Properties = TRANSLATIONS[kind][1](standing.state, self)
        properties[created] = instant(standing.created)
        properties[modified] = instant(standing.modified)
        properties[own] = str(identifier)
        properties["hs_merged_object_ids"] = standing.state.get(MERGED_IDS)
        self._note_values(name, properties)
        text = orjson.dumps(properties).decode()
        return Row(identifier, root, standing.created, standing.modified, standing.archived, text)

    def _note_values(self, name: ObjectType, properties: Mapping[str, str | None]) -> None:
        for option in _OPEN[name]:
            if value := properties.get(option):
                known = self.values_in_use.setdefault((name, option), {})
                if value not in known and len(known) < _OPTIONS:
                    known[value] = None

    def current_id(self, kind: Kind, key: int) -> str:
        """The id the record of that key has now, merges followed."""
        if kind in ("user", "product"):  # never merged
            return str(root_of(kind, key))
        return str(self._lineage.current(self._resolve(root_of(kind, key)), self.now))

    def _resolve(self, root: int) -> int:
        return self._lineage.survivor(self._lineage.identity(root), self.now)

    def _life(self, root: int, kind: Kind, blob: bytes | None) -> tuple[Event, ...]:
        events = _events(blob) if blob else ()
        if kind == "lead":
            contact = self._lineage.contact_root(root)
            other = self._stored(contact) if contact else None
            events = person_events(events or None, _events(other) if other else None)
        if absorbed := self._lineage.absorptions(root):
            marks = [Event(at, "set", {MERGED_IDS: ids}) for at, ids in absorbed]
            events = tuple(sorted((*events, *marks), key=lambda event: event.at))
        return events

    # ---- reading

    def history(self, kind: ObjectType, row: Row) -> dict[str, list[Version]]:
        """Every property's values, newest first. One without a life has what it was made with."""
        blob = self._stored(row.root)
        if blob is None:
            current: dict[str, str | None] = orjson.loads(row.properties)
            source = "IMPORT" if self.imported else "CRM_UI"
            return {
                name: [Version(value, row.created, source, None)] for name, value in current.items() if value
            }
        neutral = kind_of(row.root)
        translate = TRANSLATIONS[neutral][1]
        found = versions(self._life(row.root, neutral, blob), self.now, translate, self)
        created, modified, own = own_properties(kind)
        for name, value, at in (
            (created, instant(row.created), row.created),
            (modified, instant(row.modified), row.modified),
            (own, str(row.id), row.created),
        ):
            found[name] = [Version(value, at, "CALCULATED" if name == modified else "CRM_UI", None)]
        return found


def _events(blob: bytes) -> tuple[Event, ...]:
    return tuple(map(Event._make, marshal.loads(blob)))  # noqa: S302  # our own bytes


def _next(events: Iterable[Event], now: int) -> int | None:
    return next((event.at for event in events if event.at > now), None)
