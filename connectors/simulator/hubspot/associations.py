"""Associations, version 4: batch read with per-source paging, single read, and the labels of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from connectors.simulator.faults import Reply
from connectors.simulator.hubspot.endpoint import VERSION, Call, Endpoint, Scopes, reading
from connectors.simulator.hubspot.links import LABELS, labels, nothing_linked, type_entry
from connectors.simulator.hubspot.objects import batch_answer
from connectors.simulator.hubspot.properties import ObjectType
from connectors.simulator.hubspot.records import Row
from connectors.simulator.hubspot.replies import Refused, answer, invalid, invalid_json, not_found
from connectors.simulator.hubspot.store import Store

MAX_INPUTS: Final = 1_000
_PAGE: Final = 500  # associations of one source in an answer


class Associations:
    """Serves which records are linked to which."""

    def __init__(self, store: Store, *, page: int = _PAGE) -> None:
        self._store = store
        self._page = page

    def endpoints(self) -> list[Endpoint]:
        """The version 4 endpoints and their dated twins (which lack the single read)."""
        pair = "/{from}/{to}"
        return [
            Endpoint(
                "POST",
                (f"/crm/v4/associations{pair}/batch/read", f"/crm/associations/{VERSION}{pair}/batch/read"),
                self.batch_read,
                self._scopes,
                "free",
            ),
            Endpoint(
                "GET",
                (f"/crm/v4/associations{pair}/labels", f"/crm/associations/{VERSION}{pair}/labels"),
                self.labels,
                self._scopes,
            ),
            Endpoint("GET", ("/crm/v4/objects/{from}/{id}/associations/{to}",), self.single, self._scopes),
        ]

    def _scopes(self, call: Call) -> Scopes:
        return [reading(call.object_type("from")), reading(call.object_type("to"))]

    def batch_read(self, call: Call) -> Reply:
        """What each source is linked to; sources without associations are 207 entries."""
        kind, to = call.object_type("from"), call.object_type("to")
        inputs = _inputs(call.body)
        linked = self._linked(kind, to, list(inputs), text=call.dated)
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for identifier, after in inputs.items():
            if listed := linked.get(identifier):
                results.append({"from": {"id": identifier}, **self._window(listed, after, self._page, "to")})
            else:
                errors.append(nothing_linked(kind, to, identifier))
        return batch_answer(results, errors, self._store.now)

    def single(self, call: Call) -> Reply:
        """What one record is linked to; 404 for a record that is not there."""
        kind, to = call.object_type("from"), call.object_type("to")
        identifier = call.params["id"]
        if not self._find(kind, [identifier]):
            raise Refused(not_found())
        limit = call.whole("limit", _PAGE)
        if not 0 < limit <= _PAGE:
            raise invalid(f"limit must be between 1 and {_PAGE}: {limit}")
        listed = self._linked(kind, to, [identifier], text=False).get(identifier, [])
        return answer(self._window(listed, call.query.get("after"), limit, "results"))

    def labels(self, call: Call) -> Reply:
        """The association types between two object types."""
        known = LABELS.get((call.object_type("from"), call.object_type("to")), ())
        return answer({"results": [type_entry(label) for label in known]})

    def _linked(
        self, kind: ObjectType, to: ObjectType, ids: Sequence[str], *, text: bool
    ) -> dict[str, list[dict[str, Any]]]:
        rows = self._find(kind, ids)
        # An id that was merged away names no record here, though a read by it answers with its successor.
        roots = {row.root: str(asked) for asked, row in rows.items() if asked == row.id}
        found = self._store.records.linked(kind, to, list(roots))
        return {
            roots[root]: [
                {
                    "toObjectId": str(identifier) if text else identifier,
                    "associationTypes": [
                        type_entry(label) for label in labels(kind, to, primary=primary, own_side=own)
                    ],
                }
                for identifier, primary, own in listed
            ]
            for root, listed in found.items()
        }

    def _find(self, kind: ObjectType, ids: Sequence[str]) -> dict[int, Row]:
        numeric = [int(identifier) for identifier in ids if identifier.isdigit()]
        return self._store.records.find(kind, numeric, self._store.now, None)

    def _window(self, listed: Sequence[Any], after: str | None, limit: int, name: str) -> dict[str, Any]:
        start = int(after) if after and after.isdigit() else 0
        window: dict[str, Any] = {name: list(listed[start : start + limit])}
        if start + limit < len(listed):
            window["paging"] = {"next": {"after": str(start + limit)}}
        return window


def _inputs(body: Any) -> Mapping[str, str | None]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list):
        raise invalid_json("Cannot build BatchInput, some of required attributes are not set [inputs]")
    if not all(isinstance(item, dict) and isinstance(item.get("id"), str | int) for item in inputs):
        raise invalid_json("Cannot build PublicFetchAssociationsBatchRequest, [id] is not set")
    if len(inputs) > MAX_INPUTS:
        raise invalid(f"The maximum number of inputs supported in a batch request is {MAX_INPUTS}")
    return {str(item["id"]): item.get("after") for item in inputs}
