"""One cell of a CSV export -> the property value HubSpot's API would give. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from connectors.simulator.hubspot.properties import Property

_DAY_FORMATS: Final = ("%Y-%m-%d", "%m/%d/%Y")
_MOMENT_FORMATS: Final = (
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    *_DAY_FORMATS,
)
_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})


def cell(found: Property, raw: str) -> str:
    """The value of a non-blank cell; text that does not fit the property's type stays as it is written."""
    if found.type == "datetime":
        return _moment(raw, _MOMENT_FORMATS, "%Y-%m-%dT%H:%M:%SZ")
    if found.type == "date":
        return _moment(raw, _DAY_FORMATS, "%Y-%m-%d")
    if found.type == "number":
        return _number(raw)
    if found.type == "bool":
        lowered = raw.casefold()
        return "true" if lowered in _TRUE else "false" if lowered in _FALSE else raw
    labels = {label.casefold(): value for label, value in found.options}
    return labels.get(raw.casefold(), raw)


def _moment(raw: str, formats: tuple[str, ...], write: str) -> str:
    try:
        return datetime.fromisoformat(raw).replace(tzinfo=UTC).strftime(write)
    except ValueError:
        pass  # not ISO: one of the export's own notations
    for notation in formats:
        try:
            return datetime.strptime(raw, notation).replace(tzinfo=UTC).strftime(write)
        except ValueError:
            continue
    return raw


def _number(raw: str) -> str:
    share = raw.endswith("%")
    plain = re.sub(r"[,\s$€£%]", "", raw)
    try:
        value = float(plain)
    except ValueError:
        return raw
    return repr(value / 100) if share else plain
