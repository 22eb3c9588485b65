"""The portal's records as the handlers read them: pages, look-ups, searches and associations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from connectors.simulator.hubspot.lineage import Lineage
from connectors.simulator.hubspot.properties import ObjectType
from connectors.simulator.hubspot.search import has_token


class Row(NamedTuple):
    """One record as stored; instants in epoch seconds, ``archived`` None while it is live."""

    id: int
    root: int
    created: int
    modified: int
    archived: int | None
    properties: str


class Records:
    """Reads the record and link tables of a store. The caller holds the store's lock."""

    def __init__(self, db: sqlite3.Connection, lineage: Lineage) -> None:
        self._db = db
        self._lineage = lineage
        db.create_function("has_token", 2, has_token, deterministic=True)

    def page(self, kind: ObjectType, start: int, limit: int, binned_since: int | None) -> list[Row]:
        """Live records with id >= ``start``; with ``binned_since`` those archived after that instant."""
        live = "archived IS NULL" if binned_since is None else "archived > :since"
        query = f"SELECT * FROM {kind} WHERE id >= :start AND {live} ORDER BY id LIMIT :limit"  # noqa: S608
        return self._rows(query, {"start": start, "limit": limit, "since": binned_since})

    def find(
        self, kind: ObjectType, ids: Iterable[int], now: int, binned_since: int | None
    ) -> dict[int, Row]:
        """Records by id, keyed by the id asked for: a merged-away id finds the successor it has ``now``."""
        wanted = {identifier: self._lineage.successor(identifier, now) or identifier for identifier in ids}
        live = "archived IS NULL" if binned_since is None else f"archived > {binned_since}"
        marks = ",".join(map(str, set(wanted.values())))
        query = f"SELECT * FROM {kind} WHERE id IN ({marks}) AND {live}"  # noqa: S608  # numbers only
        found = {row.id: row for row in self._rows(query, {})}
        return {asked: found[now] for asked, now in wanted.items() if now in found}

    def search(
        self, kind: ObjectType, where: str, parameters: Mapping[str, Any], order: str, window: tuple[int, int]
    ) -> tuple[int, list[Row]]:
        """How many live records meet ``where``, and those of the window (offset, limit)."""
        condition = f"FROM {kind} WHERE archived IS NULL AND ({where})"
        total = self._db.execute(f"SELECT count(*) {condition}", parameters).fetchone()[0]
        offset, limit = window
        query = f"SELECT * {condition} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
        return total, self._rows(query, parameters)

    def linked(
        self, kind: ObjectType, to: ObjectType, roots: Sequence[int]
    ) -> dict[int, list[tuple[int, bool, bool]]]:
        """Live records of type ``to`` linked to each root: (id, primary, root is the link's own side)."""
        marks = ",".join(map(str, roots))
        query = f"""
            SELECT source, id, max(is_primary), max(own) FROM (
                SELECT a AS source, t.id, is_primary, 1 AS own FROM link JOIN {to} t ON t.root = link.b
                WHERE a IN ({marks}) AND a_type = :kind AND b_type = :to AND t.archived IS NULL
                UNION ALL
                SELECT b, t.id, is_primary, 0 FROM link JOIN {to} t ON t.root = link.a
                WHERE b IN ({marks}) AND b_type = :kind AND a_type = :to AND t.archived IS NULL
            ) GROUP BY source, id ORDER BY source, id"""  # noqa: S608  # numbers and own table names
        found: dict[int, list[tuple[int, bool, bool]]] = {}
        for root, identifier, primary, own in self._db.execute(query, {"kind": kind, "to": to}):
            found.setdefault(root, []).append((identifier, bool(primary), bool(own)))
        return found

    def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        return [Row(*values) for values in self._db.execute(query, parameters)]
