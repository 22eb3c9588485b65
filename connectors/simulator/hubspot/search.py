"""The search endpoint's language: a request body -> SQL over the portal's store, or HubSpot's refusal. Pure.

What the public record leaves open is decided thus: NEQ, NOT_IN and NOT_CONTAINS_TOKEN leave out records
without a value; an unknown property in a filter or a sort is refused (which covers ``archivedAt``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from connectors.simulator.hubspot.properties import (
    ObjectType,
    Property,
    object_type,
    own_properties,
)
from connectors.simulator.hubspot.replies import Refused, error, invalid, invalid_json

MAX_RESULTS: Final = 10_000
_MAX_LIMIT: Final = 200
_MAX_GROUPS, _MAX_FILTERS, _MAX_TOTAL = 5, 6, 18
_MAX_QUERY: Final = 3_000
_COMPARE: Final = {"EQ": "=", "NEQ": "!=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_OPERATORS: Final = frozenset(
    {
        *_COMPARE,
        *("BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY"),
        *("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"),
    }
)
_QUERIED: Final[dict[ObjectType, tuple[str, ...]]] = {
    "companies": ("name", "domain", "phone"),
    "contacts": ("firstname", "lastname", "email", "phone", "company"),
    "deals": ("dealname", "dealstage", "pipeline", "dealtype"),
    "line_items": ("name",),
    "meetings": ("hs_meeting_title",),
    "products": ("name",),
}


@dataclass
class Search:
    """A request understood: an SQL condition with its parameters, an order, and the window asked for."""

    where: str
    order: str
    limit: int
    after: int
    properties: list[str]
    parameters: dict[str, Any] = field(default_factory=dict)


def parse(kind: ObjectType, body: Mapping[str, Any], known: Mapping[str, Property]) -> Search:
    """Check a request against the limits and translate it. Raises ``Refused`` with the error answer.

    ``known`` are the type's properties by name.
    """
    limit, after = _window(body)
    search = Search("1", "", limit, after, _strings(body, "properties"))
    groups = _groups(body)
    if groups:
        search.where = (
            " OR ".join(
                "(" + " AND ".join(_filter(kind, found, known, search.parameters) for found in group) + ")"
                for group in groups
                if group
            )
            or "1"
        )
    if query := body.get("query"):
        if len(str(query)) > _MAX_QUERY:
            raise invalid(f"query must be at most {_MAX_QUERY} characters")
        name = _parameter(search.parameters, f"%{str(query).lower()}%")
        matches = " OR ".join(f"lower({_text(found)}) LIKE {name}" for found in _QUERIED[kind])
        search.where = f"({search.where}) AND ({matches})"
    search.order = _order(kind, known, body.get("sorts") or [])
    return search


def _window(body: Mapping[str, Any]) -> tuple[int, int]:
    limit, after = body.get("limit", 10), body.get("after") or 0
    try:
        limit, after = int(limit), int(after)
    except (TypeError, ValueError):
        raise invalid_json("Cannot deserialize value of type `int`: not a valid Integer value") from None
    if not 0 < limit <= _MAX_LIMIT:
        raise invalid(f"limit must be between 1 and {_MAX_LIMIT}: {limit}")
    if after < 0 or after + limit > MAX_RESULTS:
        raise invalid(f"Paging beyond {MAX_RESULTS} results is not supported: after {after}, limit {limit}")
    return limit, after


def _strings(body: Mapping[str, Any], name: str) -> list[str]:
    values = body.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise invalid_json(f"{name} must be a list of strings")
    return values


def _groups(body: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    groups = body.get("filterGroups") or []
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise invalid_json("filterGroups must be a list of objects")
    listed = [group.get("filters") or [] for group in groups]
    if body.get("filters"):
        listed.append(body["filters"])
    if len(listed) > _MAX_GROUPS:
        raise invalid(f"A maximum of {_MAX_GROUPS} filterGroups is allowed, found {len(listed)}")
    if any(len(group) > _MAX_FILTERS for group in listed):
        raise invalid(f"A maximum of {_MAX_FILTERS} filters is allowed in each filterGroup")
    if sum(map(len, listed)) > _MAX_TOTAL:
        raise invalid(f"A maximum of {_MAX_TOTAL} filters is allowed in a search")
    return listed


def _filter(
    kind: ObjectType, given: Mapping[str, Any], known: Mapping[str, Property], parameters: dict[str, Any]
) -> str:
    name, operator = given.get("propertyName"), given.get("operator")
    if not name or not operator:
        lacking = [key for key in ("propertyName", "operator") if not given.get(key)]
        raise invalid_json(
            f"Cannot build Filter, some of required attributes are not set [{', '.join(lacking)}]"
        )
    if operator not in _OPERATORS:
        raise invalid_json(f"Cannot deserialize value of type `Operator` from String {operator!r}")
    _check_operands(operator, given)
    if str(name).startswith("associations."):
        return _associated(kind, str(name), operator, given, parameters)
    found = _defined(kind, known, str(name))
    if operator == "HAS_PROPERTY":
        return f"{_text(found.name)} IS NOT NULL"
    if operator == "NOT_HAS_PROPERTY":
        return f"{_text(found.name)} IS NULL"
    if operator.endswith("CONTAINS_TOKEN"):
        wanted = _parameter(parameters, str(given["value"]).lower())
        negate = "NOT " if operator.startswith("NOT") else ""
        return f"{negate}has_token({_text(found.name)}, {wanted})"
    column = _column(kind, found)
    if operator == "BETWEEN":
        low, high = (_operand(found, given[key], operator) for key in ("value", "highValue"))
        return f"{column} BETWEEN {_parameter(parameters, low)} AND {_parameter(parameters, high)}"
    if operator in ("IN", "NOT_IN"):
        marks = [_parameter(parameters, _operand(found, value, operator)) for value in given["values"]]
        return f"{column} {operator.replace('_', ' ')} ({', '.join(marks)})"
    return (
        f"{column} {_COMPARE[operator]} {_parameter(parameters, _operand(found, given['value'], operator))}"
    )


def _check_operands(operator: str, given: Mapping[str, Any]) -> None:
    problem = "Cannot construct instance of `Filter`, problem: operator "
    if operator in ("IN", "NOT_IN"):
        if not isinstance(given.get("values"), list) or not given["values"]:
            raise invalid_json(f"{problem}{operator} requires values")
    elif not operator.endswith("HAS_PROPERTY"):
        if given.get("value") is None:
            raise invalid_json(f"{problem}{operator} requires a value")
        if operator == "BETWEEN" and given.get("highValue") is None:
            raise invalid_json(f"{problem}BETWEEN requires a highValue")


def _associated(
    kind: ObjectType, name: str, operator: str, given: Mapping[str, Any], parameters: dict[str, Any]
) -> str:
    to = object_type(name.partition(".")[2])
    if to is None or operator not in ("EQ", "IN"):
        raise invalid(f"{name} {operator} is not a supported search filter")
    ids = given["values"] if operator == "IN" else [given["value"]]
    if not all(str(value).isdigit() for value in ids):
        raise invalid(f"{name} must be a record ID")
    marks = ", ".join(_parameter(parameters, int(value)) for value in ids)
    return (
        f"root IN (SELECT a FROM link JOIN {to} t ON t.root = b WHERE a_type = '{kind}' AND t.id IN ({marks})"  # noqa: S608
        f" UNION SELECT b FROM link JOIN {to} t ON t.root = a WHERE b_type = '{kind}' AND t.id IN ({marks}))"
    )


def _defined(kind: ObjectType, known: Mapping[str, Property], name: str) -> Property:
    if name in known:
        return known[name]
    raise invalid(
        "There was a problem with the request.",
        errors=[
            {"message": f"Property {name} does not exist on {kind}", "context": {"propertyName": [name]}}
        ],
    )


def _order(kind: ObjectType, known: Mapping[str, Property], sorts: Any) -> str:
    if not isinstance(sorts, list):
        raise invalid_json("sorts must be a list")
    if len(sorts) > 1:
        raise invalid("Only one sort rule is allowed in a search")
    if not sorts:
        return "created, id"
    rule = sorts[0]
    if isinstance(rule, str):
        rule = {
            "propertyName": rule.lstrip("-"),
            "direction": "DESCENDING" if rule[:1] == "-" else "ASCENDING",
        }
    if not isinstance(rule, dict) or not rule.get("propertyName"):
        raise invalid_json("Cannot build Sort, some of required attributes are not set [propertyName]")
    direction = rule.get("direction", "ASCENDING")
    if direction not in ("ASCENDING", "DESCENDING"):
        raise invalid_json(f"Cannot deserialize value of type `Direction` from String {direction!r}")
    column = _column(kind, _defined(kind, known, str(rule["propertyName"])))
    return f"{column} {'DESC' if direction == 'DESCENDING' else 'ASC'}, id"


def _text(name: str) -> str:
    return f"nullif(json_extract(properties, '$.{name}'), '')"


def _column(kind: ObjectType, found: Property) -> str:
    created, modified, own = own_properties(kind)
    columns = {created: "created", modified: "modified", own: "id"}  # bare, so that their indexes serve
    if found.name in columns:
        return columns[found.name]
    text = _text(found.name)
    if found.type == "datetime":
        return f"CAST(strftime('%s', {text}) AS INTEGER)"
    if found.type == "number":
        return f"CAST({text} AS REAL)"
    if found.type == "string":
        return f"lower({text})"
    return text


def _operand(found: Property, value: Any, operator: str) -> Any:
    """The value to compare with. Text compares without case, but IN takes its values as they are written."""
    text = str(value)
    if found.type == "datetime":
        return _milliseconds(found.name, text) / 1000  # instants are stored in seconds
    if found.type == "date":
        return _day(found.name, text)
    if found.type == "number":
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            raise invalid(f"{found.name} takes a number, not {text!r}") from None
    return text.lower() if found.type == "string" and operator not in ("IN", "NOT_IN") else text


def _milliseconds(name: str, text: str) -> int:
    if text.lstrip("-").isdigit():
        value = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise invalid(f"{name} takes epoch milliseconds or an ISO 8601 instant, not {text!r}") from None
        value = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if value == 0:
        raise Refused(error(500, "internal error"))  # as the real one does for the epoch itself
    return value


def _day(name: str, text: str) -> str:
    if text.lstrip("-").isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC).strftime("%Y-%m-%d")
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d")
    except ValueError:
        raise invalid(f"{name} takes a date or epoch milliseconds, not {text!r}") from None


def _parameter(parameters: dict[str, Any], value: Any) -> str:
    name = f"p{len(parameters)}"
    parameters[name] = value
    return f":{name}"


def has_token(text: str | None, wanted: str) -> bool | None:
    """CONTAINS_TOKEN: one of the words of ``text`` equals ``wanted``, which may hold ``*``; None for no text."""
    if text is None:
        return None
    words = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    sought = "".join(char if char.isalnum() or char == "*" else " " for char in wanted).split()
    return all(any(_matches(word, pattern) for word in words) for pattern in sought)


def _matches(word: str, pattern: str) -> bool:
    if "*" not in pattern:
        return word == pattern
    head, _, tail = pattern.partition("*")
    return word.startswith(head) and word.endswith(tail.lstrip("*")) and len(word) >= len(head) + len(tail)
