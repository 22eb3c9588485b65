"""Records over HTTP: listing, single read, batch read with history, and search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from connectors.simulator.faults import Reply
from connectors.simulator.hubspot.endpoint import VERSION, Call, Endpoint, Scopes, reading
from connectors.simulator.hubspot.links import labels
from connectors.simulator.hubspot.lives import Version
from connectors.simulator.hubspot.properties import (
    DEFAULTS,
    TYPE_IDS,
    Catalogue,
    ObjectType,
    object_type,
    own_properties,
)
from connectors.simulator.hubspot.records import Row
from connectors.simulator.hubspot.replies import (
    Refused,
    answer,
    invalid,
    invalid_json,
    missing_scopes,
    not_found,
)
from connectors.simulator.hubspot.search import MAX_RESULTS, parse
from connectors.simulator.hubspot.store import Store
from connectors.simulator.hubspot.translate import instant

BIN_SECONDS: Final = 90 * 86_400  # how long a deleted record can be seen
_LIST_LIMIT, _HISTORY_LIMIT = 100, 50
_INLINE: Final = 100  # associations of one record in a listing, before they page
_VERSIONS: Final = {"contacts": 45}  # kept versions of a property; 20 for every other type
_PATHS: Final = ("/crm/v3/objects/{type}", f"/crm/objects/{VERSION}/{{type}}")


class Objects:
    """Serves records of every type from the store. ``index_lag`` seconds pass before search sees a change."""

    def __init__(self, store: Store, catalogue: Catalogue, *, portal: int, index_lag: int) -> None:
        self._store = store
        self._catalogue = catalogue
        self._portal = portal
        self._index_lag = index_lag

    def endpoints(self) -> list[Endpoint]:
        """Lists, single reads, batch reads and searches, under versioned and dated paths."""

        def paths(suffix: str) -> tuple[str, ...]:
            return tuple(path + suffix for path in _PATHS)

        return [
            Endpoint("GET", paths(""), self.list_page, self._scopes),
            Endpoint("POST", paths("/search"), self.search, self._scopes, "search"),
            Endpoint("POST", paths("/batch/read"), self.batch_read, self._scopes),
            Endpoint("GET", paths("/{id}"), self.get, self._scopes),
            Endpoint("GET", paths("/{id}/associations/{to}"), self.associations, self._scopes),
        ]

    def _scopes(self, call: Call) -> Scopes:
        if call.params["type"].lower() in ("leads", "0-136"):  # sold with higher plans only
            raise Refused(missing_scopes(["crm.objects.leads.read"]))
        return [reading(call.object_type())]

    def list_page(self, call: Call) -> Reply:
        """One page of live records, or of the recycle bin, by ascending id."""
        kind = call.object_type()
        history = self._known(kind, call.names("propertiesWithHistory"))
        limit = call.whole("limit", 10)
        most = _HISTORY_LIMIT if call.names("propertiesWithHistory") else _LIST_LIMIT
        if not 0 < limit <= most:
            raise invalid(f"Invalid page size {limit}: it must be between 1 and {most}")
        archived = call.flag("archived")
        rows = self._store.records.page(kind, call.whole("after", 0), limit + 1, self._bin(archived))
        page = rows[:limit]
        properties = self._wanted(kind, call.names("properties"), history)
        body: dict[str, Any] = {
            "results": [self._record(kind, row, properties, history, 1 if archived else None) for row in page]
        }
        self._attach(body["results"], kind, page, call)
        if len(rows) > limit:
            after = str(page[-1].id + 1)
            query = [(key, value) for key, value in call.query.items() if key != "after"]
            link = f"{call.origin}{call.path}?{urlencode([*query, ('after', after)])}"
            body["paging"] = {"next": {"after": after, "link": link}}
        return answer(body)

    def get(self, call: Call) -> Reply:
        """One record; the id of a record that was merged away answers with the one it lives on in."""
        kind = call.object_type()
        row = self._one(kind, call)
        history = self._known(kind, call.names("propertiesWithHistory"))
        record = self._record(kind, row, self._wanted(kind, call.names("properties"), history), history, None)
        self._attach([record], kind, [row], call)
        return answer(record)

    def batch_read(self, call: Call) -> Reply:
        """Records by id, with 207 and an error entry for ids that are not there."""
        kind = call.object_type()
        body = _body(call)
        ids = _inputs(body)
        history = self._known(kind, body.get("propertiesWithHistory") or [])
        if body.get("propertiesWithHistory") and len(ids) > _HISTORY_LIMIT:
            raise invalid(
                "The maximum number of inputs supported in a batch request for property histories is "
                f"{_HISTORY_LIMIT}. Please reduce the number of items and try again"
            )
        if len(ids) > _LIST_LIMIT:
            raise invalid(
                f"The maximum number of inputs supported in a batch request is {_LIST_LIMIT}. "
                "Please reduce the number of items and try again"
            )
        numeric = [int(identifier) for identifier in ids if identifier.isdigit()]
        rows = self._store.records.find(kind, numeric, self._store.now, self._bin(call.flag("archived")))
        unique = {row.id: row for row in rows.values()}
        properties = self._wanted(kind, body.get("properties") or [], history)
        results = [self._record(kind, row, properties, history, None) for row in unique.values()]
        missing = [
            identifier for identifier in ids if not identifier.isdigit() or int(identifier) not in rows
        ]
        return batch_answer(results, [_missing(kind, missing)] if missing else [], self._store.now)

    def search(self, call: Call) -> Reply:
        """Live records that meet the filters, as the index knows them."""
        kind = call.object_type()
        wanted = parse(kind, _body(call), self._catalogue.of(kind))
        where = f"({wanted.where}) AND modified <= {self._store.now - self._index_lag}"
        total, rows = self._store.records.search(
            kind, where, wanted.parameters, wanted.order, (wanted.after, wanted.limit)
        )
        properties = self._wanted(kind, wanted.properties, [])
        body: dict[str, Any] = {
            "total": total,
            "results": [self._record(kind, row, properties, [], None) for row in rows],
        }
        following = wanted.after + len(rows)
        if following < total and following <= MAX_RESULTS:
            body["paging"] = {"next": {"after": str(following)}}
        return answer(body)

    def associations(self, call: Call) -> Reply:
        """The version 3 list of one record's associations, paged."""
        kind, to = call.object_type(), call.object_type("to")
        row = self._one(kind, call)
        entries = self._entries(kind, to, [row]).get(row.root, [])
        return answer(_window(entries, call.query.get("after"), f"{call.origin}{call.path}"))

    def _one(self, kind: ObjectType, call: Call) -> Row:
        asked = call.params["id"]
        numeric = [int(asked)] if asked.isdigit() else []
        rows = self._store.records.find(kind, numeric, self._store.now, self._bin(call.flag("archived")))
        if not rows:
            raise Refused(not_found())
        return next(iter(rows.values()))

    def _bin(self, archived: bool) -> int | None:
        return self._store.now - BIN_SECONDS if archived else None

    def _known(self, kind: ObjectType, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._catalogue.of(kind)]

    def _wanted(self, kind: ObjectType, names: Sequence[str], history: Sequence[str]) -> list[str]:
        if not names and not history:
            return list(DEFAULTS[kind])
        return sorted({*own_properties(kind), *self._known(kind, names), *history})

    def _record(
        self,
        kind: ObjectType,
        row: Row,
        properties: Sequence[str],
        history: Sequence[str],
        keep: int | None,
    ) -> dict[str, Any]:
        values: Mapping[str, str | None] = orjson.loads(row.properties)
        record: dict[str, Any] = {
            "id": str(row.id),
            "properties": {name: values.get(name) for name in properties},
        }
        if history:
            kept = keep or _VERSIONS.get(kind, 20)
            found = self._store.history(kind, row)
            record["propertiesWithHistory"] = {
                name: [_version(version) for version in found.get(name, ())[:kept]] for name in history
            }
        record |= {
            "createdAt": instant(row.created),
            "updatedAt": instant(row.modified),
            "archived": row.archived is not None,
        }
        if row.archived is not None:
            record["archivedAt"] = instant(row.archived)
        page = f"record/{TYPE_IDS[kind]}/{row.id}"
        record["url"] = f"https://app.hubspot.com/contacts/{self._portal}/{page}"
        return record

    def _attach(
        self, records: Sequence[dict[str, Any]], kind: ObjectType, rows: Sequence[Row], call: Call
    ) -> None:
        for name in call.names("associations"):
            to = object_type(name)
            if to is None:
                raise invalid(f"Unable to infer object type from: {name}")
            entries = self._entries(kind, to, [row for row in rows if row.archived is None])
            for record, row in zip(records, rows, strict=True):
                if listed := entries.get(row.root):
                    version = f"/crm/objects/{call.params['version']}" if call.dated else "/crm/v3/objects"
                    link = f"{call.origin}{version}/{kind}/{row.id}/associations/{to}"
                    found = record.setdefault("associations", {})
                    found[to.replace("_", " ")] = _window(listed, None, link)

    def _entries(
        self, kind: ObjectType, to: ObjectType, rows: Sequence[Row]
    ) -> dict[int, list[dict[str, str]]]:
        linked = self._store.records.linked(kind, to, [row.root for row in rows])
        return {
            root: [
                {"id": str(identifier), "type": label.name}
                for identifier, primary, own in found
                for label in labels(kind, to, primary=primary, own_side=own)
            ]
            for root, found in linked.items()
        }


def batch_answer(results: Sequence[Any], errors: Sequence[Any], now: int) -> Reply:
    """A batch answer: 200, or 207 when some inputs have errors."""
    body: dict[str, Any] = {"status": "COMPLETE", "results": results}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    body |= {"startedAt": instant(now), "completedAt": instant(now)}
    return answer(body, 207 if errors else 200)


def _window(entries: Sequence[dict[str, str]], after: str | None, link: str) -> dict[str, Any]:
    start = int(after) if after and after.isdigit() else 0
    window: dict[str, Any] = {"results": list(entries[start : start + _INLINE])}
    if start + _INLINE < len(entries):
        following = str(start + _INLINE)
        window["paging"] = {"next": {"after": following, "link": f"{link}?after={following}"}}
    return window


def _body(call: Call) -> Mapping[str, Any]:
    body: Any = call.body
    if not isinstance(body, dict):
        raise invalid_json("the request must be an object")
    return body


def _inputs(body: Mapping[str, Any]) -> list[str]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise invalid_json("Cannot build BatchReadInput, some of required attributes are not set [inputs]")
    if not all(isinstance(item, dict) and isinstance(item.get("id"), str | int) for item in inputs):
        raise invalid_json("Cannot build SimplePublicObjectId, some of required attributes are not set [id]")
    return list(dict.fromkeys(str(item["id"]) for item in inputs))


def _missing(kind: ObjectType, ids: Sequence[str]) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": f"Could not get some {kind.upper()} objects, they may be deleted or not exist. "
        f"Check that ids are valid.",
        "context": {"ids": list(ids)},
    }


def _version(version: Version) -> dict[str, str]:
    entry = {"value": version.value, "timestamp": instant(version.at), "sourceType": version.source}
    if version.source_id:
        entry["sourceId"] = version.source_id
    return entry
