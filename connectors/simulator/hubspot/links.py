"""Associations: which record is linked to which, and HubSpot's numbers and names for each kind of link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from connectors.simulator.hubspot.ids import root_of
from connectors.simulator.hubspot.properties import SINGULAR, ObjectType
from connectors.simulator.hubspot.translate import State
from connectors.simulator.world import Kind


class Link(NamedTuple):
    """``a`` (the side that knows of the link) to ``b``; ``owner`` is the record whose life says so."""

    owner: int
    a_type: ObjectType
    a: int
    b_type: ObjectType
    b: int
    is_primary: int


class Label(NamedTuple):
    """One association type of a pair of object types. ``name`` is its name in inline associations."""

    type_id: int
    label: str | None
    name: str


def _primary(pair: str, primary: int, plain: int) -> tuple[Label, ...]:
    return Label(primary, "Primary", pair), Label(plain, None, f"{pair}_unlabeled")


# (from, to) -> the labelled type of a primary link, if there is one, then the plain type.
LABELS: Final[dict[tuple[ObjectType, ObjectType], tuple[Label, ...]]] = {
    ("deals", "companies"): _primary("deal_to_company", 5, 341),
    ("companies", "deals"): _primary("company_to_deal", 6, 342),
    ("contacts", "companies"): _primary("contact_to_company", 1, 279),
    ("companies", "contacts"): _primary("company_to_contact", 2, 280),
    ("deals", "contacts"): (Label(3, None, "deal_to_contact"),),
    ("contacts", "deals"): (Label(4, None, "contact_to_deal"),),
    ("deals", "line_items"): (Label(19, None, "deal_to_line_item"),),
    ("line_items", "deals"): (Label(20, None, "line_item_to_deal"),),
    ("meetings", "contacts"): (Label(200, None, "meeting_event_to_contact"),),
    ("contacts", "meetings"): (Label(199, None, "contact_to_meeting_event"),),
    ("meetings", "companies"): (Label(188, None, "meeting_event_to_company"),),
    ("companies", "meetings"): (Label(187, None, "company_to_meeting_event"),),
    ("meetings", "deals"): (Label(212, None, "meeting_event_to_deal"),),
    ("deals", "meetings"): (Label(211, None, "deal_to_meeting_event"),),
    ("companies", "companies"): (
        Label(14, "Child Company", "child_to_parent_company"),
        Label(13, "Parent Company", "parent_to_child_company"),
    ),
}

# kind -> (the neutral field, the kind it names, the other object type, whether the link is primary)
_FIELDS: Final[dict[Kind, tuple[tuple[str, Kind, ObjectType, int], ...]]] = {
    "account": (("parent", "account", "companies", 0),),
    "contact": (("account", "account", "companies", 1),),
    "lead": (("account", "account", "companies", 1), ("deal", "deal", "deals", 0)),
    "deal": (("account", "account", "companies", 1),),
    "line_item": (("deal", "deal", "deals", 0),),
    "meeting": (
        ("account", "account", "companies", 0),
        ("deal", "deal", "deals", 0),
        ("contact", "contact", "contacts", 0),
    ),
}
_TYPES: Final[dict[Kind, ObjectType]] = {
    "account": "companies",
    "contact": "contacts",
    "lead": "contacts",
    "deal": "deals",
    "line_item": "line_items",
    "meeting": "meetings",
}


def links_of(kind: Kind, root: int, state: State) -> Iterator[Link]:
    """The associations one neutral record brings about, between the roots it names."""
    if kind == "contact_role":
        deal, contact = state.get("deal"), state.get("contact")
        if deal and contact:
            yield Link(root, "deals", root_of("deal", deal), "contacts", root_of("contact", contact), 0)
        return
    own = _TYPES.get(kind)
    for field, other, name, primary in _FIELDS.get(kind, ()):
        if own and (key := state.get(field)):
            yield Link(root, own, root, name, root_of(other, key), primary)


def labels(kind: ObjectType, to: ObjectType, *, primary: bool, own_side: bool) -> tuple[Label, ...]:
    """The association types of one link, seen from a record of type ``kind``."""
    known = LABELS.get((kind, to), ())
    if kind == to == "companies":
        return known[:1] if own_side else known[1:]
    return known if primary else known[-1:]


def type_entry(label: Label) -> dict[str, Any]:
    """An association type as version 4 answers carry it."""
    return {"category": "HUBSPOT_DEFINED", "typeId": label.type_id, "label": label.label}


def nothing_linked(kind: ObjectType, to: ObjectType, identifier: str) -> dict[str, Any]:
    """The 207 entry of a source without associations: normal, and no failure."""
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {SINGULAR[to]} is associated with {SINGULAR[kind]} {identifier}.",
        "context": {
            "fromObjectId": [identifier],
            "fromObjectType": [SINGULAR[kind]],
            "toObjectType": [SINGULAR[to]],
        },
    }
