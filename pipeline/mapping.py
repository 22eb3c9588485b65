"""What a change of the configuration, or of what the CRM shows, means for rows that are stored already.

A column that is read from another CRM field now is read again, and so is a table whose amounts or times are understood
in another way; a column that is no longer read is emptied where it is, without a question to the CRM. Everything else
(deal types, ARR, segments, stages that count as qualified) is decided when numbers are computed: nothing is refetched
for it. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson
import polars as pl

from connectors.schema import TABLES, UTC
from connectors.source import Capabilities, FieldState
from pipeline.asof import FIELDS
from pipeline.company import Company
from pipeline.comparison import ORIGIN
from pipeline.reader import COVERAGE
from pipeline.records import SourceInfo

_UNSAID: Final = FieldState("mapped")  # a column of which the source says nothing is simply there
_CUSTOM: Final = "custom."


@dataclass(frozen=True)
class Remapping:
    """What has to happen before the next page is read.

    ``reread``: tables whose streams are read from their beginning. ``emptied``: table -> columns that are no longer
    read. ``restarted``: table -> columns whose past begins anew. ``notes``: one line per change, for people.
    """

    reread: frozenset[str] = frozenset()
    emptied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    restarted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def marks(capabilities: Capabilities, company: Company) -> str:
    """Stands for how records become rows beside the mapping of columns: JSON, table -> digest."""
    return orjson.dumps(
        {table: _mark(table, capabilities, company) for table in TABLES}, option=orjson.OPT_SORT_KEYS
    ).decode()


def _mark(table: str, capabilities: Capabilities, company: Company) -> str:
    parts: list[object] = [company.timezone]
    if "currency" in TABLES[table] or table == "deal_changes":
        parts.append(capabilities.home_currency)
    if table == "deal_changes":
        parts.append(sorted(capabilities.history))
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]


def behind(info: SourceInfo, company: Company, fields: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """What the stored rows were read under and the configuration says otherwise now, one line each.

    ``fields``: table -> column -> CRM field, as configured. The next sync reads these again.
    """
    shown = Capabilities(info.home_currency, info.fields, info.links, info.history)
    lines = [
        f"{table}.{column} is read from {field} now, the store holds {was.crm_field or 'nothing'}"
        for table, columns in fields.items()
        for column, field in columns.items()
        if (was := info.state(table, column)) is not None
        and (was.crm_field is not None or was.state == "unmapped")
        and was.crm_field != field
    ]
    then, now = _parsed(info.fingerprint), _parsed(marks(shown, company))
    if not then or any(now.get(table, mark) != mark for table, mark in then.items()):
        lines.append("the time zone or the home currency is another one than the stored rows were read under")
    return tuple(lines)


def plan(before: SourceInfo | None, capabilities: Capabilities, company: Company) -> Remapping:
    """What the difference between the last pass's mapping and today's calls for; nothing on a first pass."""
    if before is None:
        return Remapping()
    then, now = _parsed(before.fingerprint), _parsed(marks(capabilities, company))
    reread: set[str] = set()
    restarted: dict[str, frozenset[str]] = {}
    emptied: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    for table in TABLES:
        if table in before.fields and table not in capabilities.fields:
            continue  # not read any more: its rows stay as they are, and are read again should that change
        if table in capabilities.fields and table not in before.fields and table not in FIELDS:
            reread.add(table)
            notes.append(f"{table}: read from now on")
            continue
        if then.get(table) != now[table] and (table in then or not then):  # else the table itself is new
            reread.add(table)
            restarted[table] = frozenset(FIELDS.get(table, ()))
            notes.append(f"{table}: currency, time zone or history are read differently; read again")
        changes = dict(_moved(before.fields.get(table, {}), capabilities.fields.get(table, {})))
        gone = tuple(
            column for column, (_, new) in changes.items() if new is None and column in TABLES[table]
        )
        if gone:
            emptied[table] = gone
        if len(gone) < len(changes):
            reread.add(table)
        restarted[table] = restarted.get(table, frozenset()) | changes.keys()
        notes += [_note(table, column, old, new) for column, (old, new) in changes.items()]
    return Remapping(
        frozenset(reread), emptied, {t: fields for t, fields in restarted.items() if fields}, tuple(notes)
    )


def _parsed(fingerprint: str) -> Mapping[str, str]:
    """The marks by table; a store of before marks were kept by table has none, and is read again."""
    try:
        found = orjson.loads(fingerprint)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _moved(
    before: Mapping[str, FieldState], after: Mapping[str, FieldState]
) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Column -> (CRM field before, CRM field now) where they differ; None: not read, or not visible."""
    for column in [*after, *(column for column in before if column not in after)]:
        absent = None if column.startswith(_CUSTOM) else _UNSAID
        old, new = _field(before.get(column, absent)), _field(after.get(column, absent))
        if old != new:
            yield column, (old, new)


def _field(state: FieldState | None) -> str | None:
    if state is None or state.state != "mapped":
        return None
    return state.crm_field or ""


def _note(table: str, column: str, old: str | None, new: str | None) -> str:
    name = f"{table}.{column}"
    if new is None:
        return f"{name} is no longer read (was {old or 'read'})"
    return (
        f"{name} is read from {new or 'the CRM'} now ({f'was {old}' if old else 'was not read'}); read again"
    )


def coverage(
    crm: str, capabilities: Capabilities, before: pl.DataFrame, restarted: Mapping[str, frozenset[str]]
) -> pl.DataFrame:
    """From when on each field's past can be told (schema ``COVERAGE``).

    ``before``: the coverage of the last pass. A comparison that goes on keeps its beginning; one that begins, or whose
    field is another one now, has none until its table has been read to the end.
    """
    since = {
        (row["table"], row["field"]): row["reliable_from"]
        for row in before.filter(pl.col("origin") == ORIGIN).iter_rows(named=True)
    }
    rows = []
    for table, fields in FIELDS.items():
        states = capabilities.fields.get(table, {})
        for name in fields:
            state = states.get(name, _UNSAID)
            origin, reason = _origin(crm, table, name, state, capabilities)
            kept = None if name in restarted.get(table, ()) else since.get((table, name))
            rows.append(
                {
                    "table": table,
                    "field": name,
                    "crm_field": state.crm_field,
                    "origin": origin,
                    "reliable_from": kept if origin == ORIGIN else None,
                    "reason": reason,
                }
            )
    return pl.DataFrame(rows, schema=COVERAGE)


def _origin(
    crm: str, table: str, name: str, state: FieldState, capabilities: Capabilities
) -> tuple[str, str]:
    if state.state != "mapped":
        return "none", state.remedy or f"{crm} shows us no such field"
    if table == "deals" and name in capabilities.history:
        if capabilities.versions is None:
            return "crm_history", f"{crm} hands over every change since the deal was created"
        return "crm_history", (
            f"{crm} hands over the newest {capabilities.versions} values of each deal, and we keep them all: "
            "of a deal that had more before our first one, the earlier ones are not known"
        )
    return ORIGIN, f"{crm} keeps no past of it that we can read: compared at every sync"


def pending(coverage: pl.DataFrame, tables: tuple[str, ...], now: datetime) -> pl.DataFrame:
    """The rows of ``coverage`` whose comparison begins now, because their table has been read to its end."""
    return coverage.filter(
        pl.col("origin") == ORIGIN, pl.col("reliable_from").is_null(), pl.col("table").is_in(tables)
    ).with_columns(reliable_from=pl.lit(now, UTC))
