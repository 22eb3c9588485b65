"""What a handler gets and what an endpoint is: the seam between the portal's front door and its handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from multidict import MultiMapping

from connectors.simulator.faults import Reply
from connectors.simulator.hubspot.properties import ObjectType, object_type
from connectors.simulator.hubspot.replies import Refused, invalid, not_found

Bucket = Literal["standard", "search", "free"]
Scopes = Sequence[frozenset[str]]  # one of each set must have been granted
VERSION = r"{version:2026-0[39]}"  # the dated releases served


@dataclass(frozen=True)
class Call:
    """One request: path parameters, query, JSON body (None for GET), and the address it was sent to."""

    params: Mapping[str, str]
    query: MultiMapping[str]
    body: Any
    origin: str  # scheme and host
    path: str
    token: str = ""

    @property
    def dated(self) -> bool:
        """Whether the path names a dated release."""
        return "version" in self.params

    def object_type(self, parameter: str = "type") -> ObjectType:
        """The object type the path names; 404 for one that is not there."""
        found = object_type(self.params[parameter])
        if found is None:
            raise Refused(not_found())
        return found

    def names(self, parameter: str) -> list[str]:
        """A list parameter, given repeatedly or joined by commas, in order and without repeats."""
        joined = ",".join(self.query.getall(parameter, []))
        return list(dict.fromkeys(name.strip() for name in joined.split(",") if name.strip()))

    def whole(self, parameter: str, default: int) -> int:
        """A whole number from the query; 400 for anything else."""
        text = self.query.get(parameter)
        if text is None:
            return default
        if not text.lstrip("-").isdigit():
            raise invalid(f"Invalid value for query parameter {parameter}: {text!r}")
        return int(text)

    def flag(self, parameter: str) -> bool:
        """A true/false parameter of the query, false by default."""
        return self.query.get(parameter, "false").lower() == "true"


class Endpoint(NamedTuple):
    """One method on one or more path patterns. ``scopes`` says what the app must have been granted."""

    method: Literal["GET", "POST"]
    paths: tuple[str, ...]
    handle: Callable[[Call], Reply]
    scopes: Callable[[Call], Scopes]
    bucket: Bucket = "standard"


def reading(kind: ObjectType) -> frozenset[str]:
    """The scopes any of which allow reading records of a type."""
    named = {"meetings": "contacts"}.get(kind, kind)
    granted = {f"crm.objects.{named}.read"}
    if kind in ("line_items", "products"):
        granted.add("e-commerce")
    return frozenset(granted)


def schema_reading(kind: ObjectType) -> frozenset[str]:
    """The scopes any of which allow reading a type's properties or pipelines."""
    return reading(kind) | {f"crm.schemas.{kind}.read"}
