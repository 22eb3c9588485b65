"""Reading HubSpot's objects: listings, batch reads, searches and associations, within HubSpot's limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from connectors.errors import SourceError
from connectors.sources.hubspot.parse import Record
from connectors.sources.hubspot.paths import Paths
from connectors.sources.hubspot.session import Query, Session
from connectors.sources.hubspot.settings import HubSpotSettings

T = TypeVar("T")

_LIST, _LIST_HISTORY = 100, 50  # records per listing or batch read; fewer with history
_SEARCH: Final = 200
_ASSOCIATIONS: Final = 1_000


@dataclass(frozen=True)
class Want:
    """What to read of an object: properties, those with their history, and associated object types."""

    object_type: str
    properties: tuple[str, ...]
    history: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Association:
    """One record at the other end, and the ids of the association types."""

    id: str
    types: frozenset[int]


@dataclass(frozen=True)
class Window:
    """A span of time, both ends included, on an object's last-modified property."""

    modified: str
    since: datetime
    until: datetime

    def filter(self) -> dict[str, str]:
        return {
            "propertyName": self.modified,
            "operator": "BETWEEN",
            "value": milliseconds(self.since),
            "highValue": milliseconds(self.until),
        }


def milliseconds(moment: datetime) -> str:
    """An instant as search filters take it. The epoch itself is answered with an error, so never that."""
    return str(max(1, int(moment.timestamp() * 1000)))


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items, in order."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


class Reader:
    """Asks a session for objects. Every method returns plain parsed records."""

    def __init__(self, session: Session, settings: HubSpotSettings) -> None:
        self._session = session
        self._paths = Paths(settings.options.api_version)
        self._url = settings.url
        self._page = settings.options.page_size
        self._url_limit = settings.options.url_limit

    def listing(
        self, want: Want, after: str | None = None, *, archived: bool = False
    ) -> tuple[list[Record], str | None]:
        """One page of live (or archived) records, and where the next page starts.

        With history, or with more properties than a URL holds, the records are read in two steps: their
        ids and associations, then everything else in batches.
        """
        query = self._query(want, after, archived)
        if not self._fits(want, query):
            return self._in_two_steps(want, after, archived)
        body = self._session.get(self._paths.objects(want.object_type), query)
        return _listed(body, want), _after(body)

    def _in_two_steps(self, want: Want, after: str | None, archived: bool) -> tuple[list[Record], str | None]:
        slim = Want(want.object_type, ("hs_object_id",), links=want.links)
        path = self._paths.objects(want.object_type)
        body = self._session.get(path, self._query(slim, after, archived))
        listed = {str(record["id"]): record for record in _listed(body, want)}
        read = self.batch(want, listed, archived=archived)
        return [with_links(record, listed.get(str(record["id"]))) for record in read], _after(body)

    def _query(self, want: Want, after: str | None, archived: bool) -> Query:
        most = _LIST_HISTORY if want.history else _LIST
        query = [("limit", str(min(self._page, most))), ("properties", ",".join(want.properties))]
        if want.history:
            query.append(("propertiesWithHistory", ",".join(want.history)))
        if want.links:
            query.append(("associations", ",".join(want.links)))
        if archived:
            query.append(("archived", "true"))
        if after is not None:
            query.append(("after", after))
        return query

    def _fits(self, want: Want, query: Query) -> bool:
        path = self._paths.objects(want.object_type)
        return len(f"{self._url}{path}?{urlencode(query)}") <= self._url_limit

    def batch(self, want: Want, ids: Iterable[str], *, archived: bool = False) -> list[Record]:
        """Records by id, without associations. Ids that are not there are left out; a merged one answers
        with the record it lives on in."""
        most = _LIST_HISTORY if want.history else _LIST
        path = self._paths.batch_read(want.object_type)
        query = (("archived", "true"),) if archived else ()
        found: dict[str, Record] = {}
        for chunk in chunks(ids, min(self._page, most)):
            inputs = {
                "inputs": [{"id": each} for each in chunk],
                "properties": list(want.properties),
                "propertiesWithHistory": list(want.history),
            }
            body = self._session.post(path, inputs, query)
            _check_parts(path, body)
            found.update((str(record["id"]), record) for record in _results(body))
        return list(found.values())

    def search_ids(
        self,
        object_type: str,
        filters: Sequence[Mapping[str, Any]],
        above: int = 0,
    ) -> tuple[int, list[str]]:
        """How many records meet the filters from an id on, and the ids of the first of them, ascending.

        By id instead of by offset: neither the cap of 10,000 results nor thousands of records changed in
        the same millisecond can hide any.
        """
        path = self._paths.search(object_type)
        keyset = {"propertyName": "hs_object_id", "operator": "GT", "value": str(above)}
        body = self._session.post(
            path,
            {
                "filterGroups": [{"filters": [*filters, keyset]}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": ["hs_object_id"],
                "limit": min(_SEARCH, 2 * self._page),
            },
        )
        found = [str(record["id"]) for record in _results(body)]
        if any(int(each) <= above for each in found) or found != sorted(found, key=int):
            raise SourceError(f"HubSpot POST {path}: the results are not in the order asked for")
        return int(body.get("total") or 0), found

    def every_id(self, object_type: str, filters: Sequence[Mapping[str, Any]]) -> list[str]:
        """The ids of all records that meet the filters."""
        listed: list[str] = []
        while True:
            total, found = self.search_ids(object_type, filters, int(listed[-1]) if listed else 0)
            listed += found
            if not found or len(found) >= total:
                return listed

    def count(self, object_type: str) -> int:
        """How many live records there are."""
        return self.search_ids(object_type, ())[0]

    def associations(self, source: str, target: str, ids: Iterable[str]) -> dict[str, list[Association]]:
        """What each record is associated with; every page of it. Absent: nothing."""
        path = self._paths.associations(source, target)
        found: dict[str, list[Association]] = {}
        for chunk in chunks(ids, _ASSOCIATIONS):
            inputs: list[dict[str, str]] = [{"id": each} for each in chunk]
            while inputs:
                body = self._session.post(path, {"inputs": inputs})
                _check_parts(path, body)
                inputs = []
                for result in _results(body):
                    source_id = str(result["from"]["id"])
                    found.setdefault(source_id, []).extend(map(_association, result.get("to") or ()))
                    if after := _after(result):
                        inputs.append({"id": source_id, "after": after})
        return found


def with_links(record: Record, listed: Record | None) -> Record:
    """A record from a batch read with what only its listing says: associations, and when it was archived."""
    extra = {
        key: listed[key] for key in ("associations", "archived", "archivedAt") if listed and key in listed
    }
    return {**record, **extra}


def _association(entry: Mapping[str, Any]) -> Association:
    types = frozenset(int(each["typeId"]) for each in entry.get("associationTypes") or ())
    return Association(str(entry["toObjectId"]), types)


def _results(body: Mapping[str, Any]) -> list[Any]:
    return list(body.get("results") or ())


def _listed(body: Mapping[str, Any], want: Want) -> list[Record]:
    """The records of a listing. One without associations has the key too, when they were asked for."""
    none: dict[str, Any] = {"associations": {}} if want.links else {}
    return [{**none, **record} for record in _results(body)]


def _after(body: Mapping[str, Any]) -> str | None:
    following = (body.get("paging") or {}).get("next") or {}
    after = following.get("after")
    return None if after is None else str(after)


def _check_parts(path: str, body: Mapping[str, Any]) -> None:
    """A batch answer may be partial. Ids that are not there, or not linked, are normal; the rest is a fault."""
    for error in body.get("errors") or ():
        normal = (
            error.get("category") == "OBJECT_NOT_FOUND"
            or error.get("subCategory") == "crm.associations.NO_ASSOCIATIONS_FOUND"
        )
        if not normal:
            told = error.get("message") or error.get("category") or "no message"
            raise SourceError(f"HubSpot POST {path}: part of the batch failed: {told}")
