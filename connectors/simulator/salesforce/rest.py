"""The REST resources: query and its pages, describe, updated, deleted, limits.

Every function takes an ``Ask`` and returns a ``Reply``; refusals are ``ApiError``.
"""
# ruff: noqa: S608  # statements are put together from the catalogue's names; values are bound

from __future__ import annotations

import hashlib
import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from connectors.simulator.clock import http_date, moment, parse_instant
from connectors.simulator.faults import Reply
from connectors.simulator.salesforce.auth import Session, Sessions
from connectors.simulator.salesforce.compile import Compiled, Compiler
from connectors.simulator.salesforce.errors import BAD_LOCATOR, JSON, NOT_FOUND, SESSION_EXPIRED, ApiError
from connectors.simulator.salesforce.fields import Field, Table
from connectors.simulator.salesforce.ids import PREFIXES, record_id
from connectors.simulator.salesforce.soql import parse
from connectors.simulator.salesforce.store import DAY, Store, visible

PAGE: Final = 2_000
SMALLEST_PAGE: Final = 200
_CURSORS: Final = 10  # open cursors of one user
_UPDATED_WINDOW: Final = 30 * DAY
_DELETED_WINDOW: Final = 15 * DAY
_MOST_IDS: Final = 600_000
_LOCATOR: Final = re.compile(r"(\w{15,18})-(\d+)")
_BATCH_SIZE: Final = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Ask:
    """One authenticated request: its API version (``62.0``), parameters, headers and body."""

    session: Session
    version: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def root(self) -> str:
        return f"/services/data/v{self.version}"


@dataclass(frozen=True)
class Cursor:
    """An open query: the records it found, in order. Their values are read when a page is asked for."""

    session: Session
    compiled: Compiled
    keys: array[int]


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON reply."""
    return Reply(status, orjson.dumps(value), JSON, headers or {})


def instant(seconds: int) -> str:
    """An instant as the REST API writes it."""
    return f"{moment(seconds):%Y-%m-%dT%H:%M:%S}.000+0000"


class Rest:
    """The resources over one store. ``tables`` are the objects and fields that the user may see."""

    def __init__(
        self, store: Store, tables: Mapping[str, Table], sessions: Sessions, schema_changed: int
    ) -> None:
        self._store = store
        self.tables = tables
        self._sessions = sessions
        self._schema_changed = schema_changed  # when describe answers last changed
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._opened = 0
        self._lock = threading.Lock()

    # query

    def query(self, ask: Ask, now: int, *, everything: bool) -> Reply:
        """``/query`` and ``/queryAll``."""
        soql = ask.query.get("q", "")
        if not soql.strip():
            raise ApiError("MALFORMED_QUERY", "A query string has to be specified")
        compiled = Compiler(self.tables, now, everything=everything, style="rest").compile(parse(soql))
        with self._store.lock:
            keys = array("q", self._store.keys(compiled.keys, compiled.parameters))
            if compiled.count:
                return answer({"totalSize": len(keys), "done": True, "records": []})
            cursor = Cursor(ask.session, compiled, keys)
            return self._page(ask, cursor, None, 0)

    def more(self, ask: Ask) -> Reply:
        """``/query/<locator>``: a further page."""
        match = _LOCATOR.fullmatch(ask.path["locator"])
        with self._lock:
            cursor = self._cursors.get(match[1]) if match else None
        if match is None or cursor is None or int(match[2]) > len(cursor.keys):
            raise BAD_LOCATOR
        if not self._sessions.alive(cursor.session):
            raise SESSION_EXPIRED  # a locator dies with the session that made it
        with self._store.lock:
            return self._page(ask, cursor, match[1], int(match[2]))

    def _page(self, ask: Ask, cursor: Cursor, name: str | None, start: int) -> Reply:
        wish = _BATCH_SIZE.search(ask.headers.get("Sforce-Query-Options", ""))
        size = min(max(int(wish[1]), SMALLEST_PAGE), PAGE) if wish else PAGE
        end = start + size
        records = self._records(cursor.compiled, cursor.keys[start:end], ask.root)
        reply: dict[str, Any] = {"totalSize": len(cursor.keys), "done": end >= len(cursor.keys)}
        if not reply["done"]:
            locator = name or self._keep(cursor)
            reply["nextRecordsUrl"] = f"{ask.root}/query/{locator}-{end}"
        reply["records"] = records
        return answer(reply)

    def _keep(self, cursor: Cursor) -> str:
        with self._lock:
            self._opened += 1
            name = "01g" + record_id("QueryJob", self._opened)[3:15] + "AAA"
            self._cursors[name] = cursor
            while len(self._cursors) > _CURSORS:
                self._cursors.popitem(last=False)
            return name

    def _records(self, compiled: Compiled, keys: array[int], root: str) -> list[dict[str, Any]]:
        rows = self._store.rows(compiled.page, (orjson.dumps(keys.tolist()).decode(),))
        shape = _Shape(compiled, root)
        return [shape.record(row) for row in rows]

    # objects

    def objects(self, ask: Ask) -> Reply:
        """``/sobjects``."""
        return answer(
            {
                "encoding": "UTF-8",
                "maxBatchSize": 200,
                "sobjects": [self._summary(table, ask.root) for table in self.tables.values()],
            }
        )

    def basic(self, ask: Ask) -> Reply:
        """``/sobjects/X``: the summary alone."""
        return answer({"objectDescribe": self._summary(self._table(ask), ask.root), "recentItems": []})

    def describe(self, ask: Ask) -> Reply:
        """``/sobjects/X/describe``, 304 when it has not changed since ``If-Modified-Since``."""
        table = self._table(ask)
        headers = {"Last-Modified": http_date(self._schema_changed)}
        since = ask.headers.get("If-Modified-Since")
        if since and parsedate_to_datetime(since).timestamp() >= self._schema_changed:
            return Reply(304, b"", JSON, headers)
        value = self._summary(table, ask.root)
        value["fields"] = [spec.describe(self._picklist(table, spec)) for spec in table.fields.values()]
        value["recordTypeInfos"] = [
            {
                "active": True,
                "available": True,
                "defaultRecordTypeMapping": True,
                "master": True,
                "name": "Master",
                "recordTypeId": "012000000000000AAA",
            }
        ]
        value["childRelationships"] = []
        etag = hashlib.sha256(orjson.dumps(value)).hexdigest()[:8]
        return answer(value, headers={**headers, "ETag": f'"{etag}"'})

    def _summary(self, table: Table, root: str) -> dict[str, Any]:
        path = f"{root}/sobjects/{table.name}"
        return {
            "activateable": False,
            "createable": table.createable,
            "custom": table.custom,
            "customSetting": False,
            "deletable": table.createable and "IsDeleted" in table.fields,
            "deprecatedAndHidden": False,
            "feedEnabled": False,
            "keyPrefix": PREFIXES.get(table.name),
            "label": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", table.name),
            "labelPlural": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", table.name) + "s",
            "layoutable": table.undeletable,
            "mergeable": table.name in ("Account", "Contact", "Lead"),
            "mruEnabled": table.undeletable,
            "name": table.name,
            "queryable": True,
            "replicateable": table.replicateable,
            "retrieveable": True,
            "searchable": table.undeletable,
            "triggerable": table.createable,
            "undeletable": table.undeletable,
            "updateable": table.createable,
            "urls": {"sobject": path, "describe": f"{path}/describe", "rowTemplate": f"{path}/{{ID}}"},
        }

    def _picklist(self, table: Table, spec: Field) -> list[str]:
        if spec.type != "picklist":
            return []
        if spec.name == "StageName":
            sql = "SELECT ApiName FROM OpportunityStage WHERE IsActive = 1 ORDER BY SortOrder"
            return [row[0] for row in self._store.rows(sql)]
        sql = f'SELECT DISTINCT "{spec.name}" FROM "{table.name}" WHERE "{spec.name}" IS NOT NULL ORDER BY 1 LIMIT 500'
        return [row[0] for row in self._store.rows(sql)]

    def record(self, ask: Ask, now: int) -> Reply:
        """``/sobjects/X/<id>``: one record with all its fields."""
        table = self._table(ask)
        identifier = ask.path["id"]
        if not identifier.isalnum():
            raise NOT_FOUND
        soql = f"SELECT {', '.join(table.fields)} FROM {table.name} WHERE Id = '{identifier}'"
        try:
            compiled = Compiler(self.tables, now, everything=False, style="rest").compile(parse(soql))
        except ApiError as error:
            raise NOT_FOUND from error
        with self._store.lock:
            keys = array("q", self._store.keys(compiled.keys, compiled.parameters))
            records = self._records(compiled, keys, ask.root)
        if not records:
            raise NOT_FOUND
        return answer(records[0])

    # replication

    def updated(self, ask: Ask, now: int) -> Reply:
        """``/sobjects/X/updated/?start=&end=``."""
        table = self._replicated(ask)
        start, end = self._window(ask, now, _UPDATED_WINDOW)
        sql = (
            f'SELECT t.Id FROM "{table.name}" t WHERE t.SystemModstamp >= ? AND t.SystemModstamp < ?'
            f" AND {visible(table, now, everything=False)} ORDER BY t.Id LIMIT ?"
        )
        ids = [row[0] for row in self._store.rows(sql, (start, end, _MOST_IDS + 1))]
        self._not_too_many(ids)
        return answer({"ids": ids, "latestDateCovered": instant(min(end, _minute(now)))})

    def deleted(self, ask: Ask, now: int) -> Reply:
        """``/sobjects/X/deleted/?start=&end=``."""
        table = self._replicated(ask)
        start, end = self._window(ask, now, _DELETED_WINDOW)
        records: list[dict[str, str]] = []
        if "IsDeleted" in table.fields:
            sql = (
                f'SELECT Id, _deleted_at FROM "{table.name}" WHERE IsDeleted = 1 AND _deleted_at >= ?'
                " AND _deleted_at < ? ORDER BY _deleted_at, Id LIMIT ?"
            )
            found = self._store.rows(sql, (start, end, _MOST_IDS + 1))
            self._not_too_many(found)
            records = [{"id": identifier, "deletedDate": instant(when)} for identifier, when in found]
        return answer(
            {
                "deletedRecords": records,
                "earliestDateAvailable": instant(_minute(now - _DELETED_WINDOW)),
                "latestDateCovered": instant(min(end, _minute(now))),
            }
        )

    def _window(self, ask: Ask, now: int, longest: int) -> tuple[int, int]:
        """Start and end, seconds cut off, as the real ones do."""
        try:
            start, end = (_minute(parse_instant(ask.query[name])) for name in ("start", "end"))
        except KeyError as error:
            raise ApiError("MISSING_ARGUMENT", f"{error.args[0]} is required") from error
        except ValueError as error:
            raise ApiError("INVALID_FIELD", f"invalid date: {error}") from error
        if start >= end:
            raise ApiError(
                "INVALID_REPLICATION_DATE", "startDate must be at least one minute greater than endDate"
            )
        if start < _minute(now - longest):
            text = "startDate before org replication enabled date" if longest == _DELETED_WINDOW else ""
            raise ApiError("INVALID_REPLICATION_DATE", text or "startDate cannot be more than 30 days ago")
        return start, end

    def _not_too_many(self, found: list[Any]) -> None:
        if len(found) > _MOST_IDS:
            raise ApiError("EXCEEDED_ID_LIMIT", f"Number of ids exceeds the limit of {_MOST_IDS}")

    def _replicated(self, ask: Ask) -> Table:
        table = self._table(ask)
        if not table.replicateable or "SystemModstamp" not in table.fields:
            raise ApiError("INVALID_TYPE_FOR_OPERATION", f"sObject type {table.name} is not replicable")
        return table

    def _table(self, ask: Ask) -> Table:
        wanted = ask.path["object"].lower()
        found = next((table for name, table in self.tables.items() if name.lower() == wanted), None)
        if found is None:
            raise NOT_FOUND
        return found


class _Shape:
    """Turns rows of a compiled query into records, parents nested."""

    def __init__(self, compiled: Compiled, root: str) -> None:
        self._type = compiled.table.name
        self._root = root
        self._names = [column.path[-1] for column in compiled.columns]
        kinds = [column.field.type for column in compiled.columns]
        self._booleans = [index for index, kind in enumerate(kinds) if kind == "boolean"]
        self._addresses = [index for index, kind in enumerate(kinds) if kind == "address"]
        self._nested = [(index, c.path) for index, c in enumerate(compiled.columns) if len(c.path) > 1]
        self._own = [index for index, c in enumerate(compiled.columns) if len(c.path) == 1]
        self._parents = list(enumerate(compiled.parents, len(compiled.columns)))
        self._parent_types = compiled.parents

    def record(self, row: tuple[Any, ...]) -> dict[str, Any]:
        values = list(row)
        for index in self._booleans:
            if values[index] is not None:
                values[index] = bool(values[index])
        for index in self._addresses:
            parsed = orjson.loads(values[index])
            values[index] = parsed if any(parsed.values()) else None
        record: dict[str, Any] = {"attributes": self._attributes(self._type, -1, values)}
        if not self._nested:
            record.update(zip(self._names, values, strict=False))
            return record
        record.update((self._names[index], values[index]) for index in self._own)
        self._nest(record, values)
        return record

    def _nest(self, record: dict[str, Any], values: list[Any]) -> None:
        holders: dict[tuple[str, ...], dict[str, Any] | None] = {(): record}
        for index, path in self._parents:
            above = holders[path[:-1]]
            if above is None:
                holders[path] = None
                continue
            there = values[index] is not None
            holders[path] = (
                {"attributes": self._attributes(self._parent_types[path], index, values)} if there else None
            )
            above[path[-1]] = holders[path]
        for index, path in self._nested:
            holder = holders[path[:-1]]
            if holder is not None:
                holder[path[-1]] = values[index]

    def _attributes(self, name: str, index: int, values: list[Any]) -> dict[str, str]:
        return {"type": name, "url": f"{self._root}/sobjects/{name}/{values[index]}"}


def _minute(seconds: int) -> int:
    return seconds // 60 * 60
