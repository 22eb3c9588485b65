"""Reads a store from outside, to compare two of them table by table."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from connectors.schema import KEYS, TABLES

# Our own clock and bookkeeping: they say when we looked, not what the CRM holds.
OURS = {"recorded_at", "first_seen", "last_seen", "resolved_at"}
COMPARED = (*TABLES, "findings", "quarantine")


def rows(database: Path, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every row of a table by its key, without our clock's columns."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
    keys = _keys(table)
    seen: Counter[tuple[Any, ...]] = Counter()
    for row in sorted(found, key=lambda row: row.get("changed_at") or ""):
        if row.get("origin") == "comparison":  # noticed by us, when we looked: the first, the second time ...
            same = tuple(row[key] for key in keys if key not in ("changed_at", "seq"))
            row["changed_at"], row["seq"] = "noticed", seen[same]
            seen[same] += 1
    content = {
        tuple(row[key] for key in keys): {k: v for k, v in row.items() if k not in OURS} for row in found
    }
    assert len(content) == len(found), f"{table}: the key is not unique"
    return content


def _keys(table: str) -> tuple[str, ...]:
    if table == "findings":
        return ("company", "rule", "object", "external_id", "other_id", "resolved_at")
    if table == "quarantine":
        return ("company", "table", "external_id", "field")
    return ("company", *KEYS[table])


def snapshot(database: Path) -> dict[str, dict[tuple[Any, ...], dict[str, Any]]]:
    """All compared tables. Findings that were resolved are history of ours; only open ones are compared."""
    content = {table: rows(database, table) for table in COMPARED}
    content["findings"] = {key[:-1]: row for key, row in content["findings"].items() if key[-1] is None}
    return content


def differences(left: Path, right: Path) -> list[str]:
    """What differs between two stores, in words; empty when they are equal."""
    found = []
    one, two = snapshot(left), snapshot(right)
    for table in COMPARED:
        for key in one[table].keys() | two[table].keys():
            a, b = one[table].get(key), two[table].get(key)
            if a != b:
                changed = (
                    {k: (a[k], b[k]) for k in a if a[k] != b[k]}
                    if a and b
                    else {"only": "left" if a else "right"}
                )
                found.append(f"{table} {key}: {changed}")
    return sorted(found)
