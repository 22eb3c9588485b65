"""A record's life -> its state at an instant, and every value its properties ever had. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from connectors.simulator.hubspot.translate import Properties, References, Translate
from connectors.simulator.world import Event, Kind

Status = Literal["live", "archived", "merged", "purged"]
MERGED_IDS: Final = "merged_ids"  # the state's own field: ids of the records merged into this one

_SHARED: Final = ("first_name", "last_name", "email", "phone", "title", "owner")
_LEAD_ONLY: Final = ("company", "deal", "status", "source", "mql_at", "sql_at", "converted")
# A change of these alone is a change of associations, which leaves the record's last-modified date alone.
QUIET: Final[dict[Kind, frozenset[str]]] = {
    "deal": frozenset({"account"}),
    "line_item": frozenset({"deal"}),
    "meeting": frozenset({"account", "deal", "contact"}),
}


class Version(NamedTuple):
    """One value of one property and when it was written."""

    value: str
    at: int
    source: str
    source_id: str | None


class Standing(NamedTuple):
    """A record as it stands at an instant (instants in epoch seconds)."""

    state: Mapping[str, Any]
    created: int
    modified: int
    archived: int | None
    status: Status


def person_events(lead: Sequence[Event] | None, contact: Sequence[Event] | None) -> tuple[Event, ...]:
    """The one life of a person from the lives of the lead and of the contact it became.

    The contact rules from its creation on: what they share takes the contact's values (also empty ones),
    and only the lead's own marks (status, qualification dates) still come from the lead.
    """
    if lead is None:
        return tuple(contact or ())
    events = [
        Event(event.at, event.op, {**event.values, "entered_at": event.at, "account": None})
        if event.op == "create"
        else Event(event.at, event.op, {k: v for k, v in event.values.items() if k != "account"})
        for event in lead
    ]
    if not contact:
        return tuple(events)
    born = contact[0].at
    events = [_lead_mark(event) if event.at >= born and event.op != "create" else event for event in events]
    joined = Event(born, "set", {**dict.fromkeys(_SHARED), **contact[0].values})
    return tuple(sorted((*events, joined, *contact[1:]), key=lambda event: event.at))


def _lead_mark(event: Event) -> Event:
    values = {key: value for key, value in event.values.items() if key in _LEAD_ONLY}
    return Event(event.at, "set", values)


def stand(events: Iterable[Event], now: int, quiet: frozenset[str] = frozenset()) -> Standing | None:
    """The record at ``now``; None before it exists. Changes of ``quiet`` fields alone do not touch it."""
    state: dict[str, Any] = {}
    created = modified = None
    archived: int | None = None
    status: Status = "live"
    for event in events:
        if event.at > now:
            break
        if created is None:
            created = modified = event.at
        _apply(state, event.values)
        if event.op == "delete":
            archived, status = event.at, "archived"
        elif event.op in ("merge", "purge"):
            status = "merged" if event.op == "merge" else "purged"
        elif event.op == "restore":
            archived, status, modified = None, "live", event.at
        elif event.values.keys() - quiet:
            modified = event.at
    if created is None or modified is None:
        return None
    return Standing(state, created, modified, archived, status)


def _apply(state: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            if state.get(name) is not None:
                state[name] = ""
        else:
            state[name] = value


def versions(
    events: Iterable[Event], now: int, translate: Translate, refs: References
) -> dict[str, list[Version]]:
    """Every value of every property, newest first, as far as ``now``."""
    found: dict[str, list[Version]] = {}
    state: dict[str, Any] = {}
    before: Properties = {}
    for event in events:
        if event.at > now:
            break
        _apply(state, event.values)
        if event.op not in ("create", "set"):
            continue
        after = translate(state, refs)
        after["hs_merged_object_ids"] = state.get(MERGED_IDS)
        for name, value in after.items():
            if value != before.get(name):
                found.setdefault(name, []).append(_version(name, value or "", event, before, after))
        before = after
    return {name: listed[::-1] for name, listed in found.items()}


def _version(name: str, value: str, event: Event, before: Properties, after: Properties) -> Version:
    if name == "hs_merged_object_ids":
        return Version(value, event.at, "MERGE_OBJECTS", None)
    closing = after.get("hs_is_closed") == "true" and before.get("hs_is_closed") == "false"
    if name == "closedate" and closing:
        return Version(value, event.at, "AUTOMATION_PLATFORM", "close-date-automation")
    if name.startswith(("hs_is_closed", "hs_v2_", "hs_primary_")):
        return Version(value, event.at, "CALCULATED", None)
    return Version(value, event.at, "CRM_UI", "userId:1000001")
