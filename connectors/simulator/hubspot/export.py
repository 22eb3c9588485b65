"""HubSpot's own CSV exports as a portal: one file per object, columns headed by property labels.

A file is recognised by its headers, else by its name; other files are left out with a warning. A label (or
internal name) that is known fills that property, any other becomes a custom property. Owners, pipelines and
stages are those the rows mention. An export holds no history, no deleted records and no rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Final

import orjson
import structlog

from connectors.errors import ConfigurationError
from connectors.simulator.csv_file import rows
from connectors.simulator.hubspot.cells import cell
from connectors.simulator.hubspot.ids import record_id, stage_id
from connectors.simulator.hubspot.links import LABELS, Link
from connectors.simulator.hubspot.properties import (
    SINGULAR,
    Catalogue,
    ObjectType,
    Property,
    own_properties,
)
from connectors.simulator.hubspot.records import Row
from connectors.simulator.hubspot.store import Pipeline, Store
from connectors.simulator.hubspot.translate import PIPELINE, Properties, instant
from connectors.simulator.world import Event, Life, Stage

log = structlog.get_logger(__name__)

_RECORD_ID: Final = "record id"
_ASSOCIATED: Final = re.compile(r"associated (?P<what>.+?)( ids?)?( \(primary\))?")
_TELLING: Final[dict[ObjectType, frozenset[str]]] = {
    "deals": frozenset({"deal name", "deal stage"}),
    "contacts": frozenset({"first name", "last name"}),
    "meetings": frozenset({"meeting name", "meeting start time"}),
    "line_items": frozenset({"unit price", "quantity"}),
    "companies": frozenset({"company name"}),
}
_ALIASES: Final = {
    "owner": "hubspot_owner_id",
    "associated company (primary)": "",
    "product": "hs_product_id",
    "last activity date": "notes_last_updated",
    "company domain": "domain",
}


@dataclass
class Export:
    """What the files of one directory hold, as a world that a portal can open and rows to fill it with."""

    directory: Path
    catalogue: Catalogue
    now: int = 0
    name: str = "HubSpot export"
    timezone: str = "UTC"
    home_currency: str = "USD"
    start: date = date(1970, 1, 1)
    end: date = date(9999, 12, 31)
    stages: tuple[Stage, ...] = ()
    records: dict[ObjectType, dict[int, Properties]] = field(default_factory=dict)
    related: list[tuple[ObjectType, int, str, str]] = field(default_factory=list)  # (type, id, header, cell)
    owners: dict[str, int] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Stage]] = field(default_factory=dict)  # label -> stage label -> stage

    def lives(self) -> Iterator[Life]:
        """The owners the rows name; the records themselves have no lives."""
        for name, key in self.owners.items():
            person, _, email = name.partition(" (")
            first, _, last = person.partition(" ")
            values = {
                "first_name": first,
                "last_name": last,
                "email": email.rstrip(")") or None,
                "active": True,
            }
            yield Life("user", key, (Event(0, "create", values),))

    def layout(self) -> list[Pipeline]:
        """The pipelines the deals mention."""
        return [
            Pipeline(pipeline_id(label), label, tuple(found.values()))
            for label, found in self.pipelines.items()
        ] or [Pipeline(PIPELINE, "Sales Pipeline", ())]

    def pour(self, store: Store) -> None:
        """Write every record and association into a portal's store."""
        for kind, records in self.records.items():
            store.fill(kind, (self._row(kind, key, values) for key, values in records.items()))
        store.link(self._links())

    @cached_property
    def _stages_by_id(self) -> dict[str, Stage]:
        return {stage_id(stage.name): stage for stage in self.stages}

    def _row(self, kind: ObjectType, key: int, values: Properties) -> Row:
        created_name, modified_name, own = own_properties(kind)
        created = _seconds(values.get(created_name)) or self.now
        modified = _seconds(values.get(modified_name)) or created
        values |= {created_name: instant(created), modified_name: instant(modified), own: str(key)}
        if kind == "deals":
            self._add_stage_facts(values)
        return Row(key, key, created, modified, None, orjson.dumps(values).decode())

    def _add_stage_facts(self, values: Properties) -> None:
        stage = self._stages_by_id.get(values.get("dealstage") or "")
        closed, won = (stage.closed, stage.won) if stage else (False, False)
        for name, value in (
            ("hs_is_closed", closed),
            ("hs_is_closed_won", closed and won),
            ("hs_is_closed_lost", closed and not won),
        ):
            values.setdefault(name, str(value).lower())

    def _links(self) -> Iterator[Link]:
        names = {kind: self._by_name(kind) for kind in self.records}
        seen: set[tuple[int, int]] = set()
        for kind, key, header, text in self.related:
            match = _ASSOCIATED.fullmatch(header)
            to = _plural(match["what"]) if match else None
            if to is None or to not in self.records or (kind, to) not in LABELS:
                continue
            primary = to == "companies" and kind in ("deals", "contacts")
            for part in filter(None, (piece.strip() for piece in text.split(";"))):
                other = int(part) if part.isdigit() else names[to].get(part.casefold())
                if other in self.records[to] and other is not None and (key, other) not in seen:
                    first = primary and not any(
                        link[0] == key for link in seen if link[1] in self.records[to]
                    )
                    seen |= {(key, other), (other, key)}
                    yield Link(key, kind, key, to, other, int(first))

    def _by_name(self, kind: ObjectType) -> dict[str, int]:
        names: dict[str, int] = {}
        repeated: set[str] = set()
        for key, values in self.records[kind].items():
            name = (values.get("name") or values.get("dealname") or values.get("email") or "").casefold()
            if name in names:
                repeated.add(name)
            names[name] = key
        return {name: key for name, key in names.items() if name and name not in repeated}


def read_export(directory: Path) -> Export:
    """Read every CSV export in ``directory``.

    Raises ``ConfigurationError`` naming the directory when no file there is an export, or the file and line
    of broken CSV and of a record id that is missing, no number, or there twice.
    """
    export = Export(directory, Catalogue())
    for path in sorted(directory.glob("*.csv")):
        lines = rows(path)
        _, header = next(lines, (1, []))
        headers = [cell.strip().casefold() for cell in header]
        kind = _recognise(path, set(headers))
        if kind is None:
            log.warning("not a HubSpot export, left out", file=path.name)
            continue
        _read_rows(export, kind, path, lines, headers)
    if not export.records:
        raise ConfigurationError(
            f"{directory}: no CSV file there is a HubSpot export; export companies, contacts and deals with "
            "their Record ID"
        )
    export.stages = tuple(stage for found in export.pipelines.values() for stage in found.values())
    stamps = [path.stat().st_mtime for path in directory.glob("*.csv")]
    latest = [_seconds(values.get(own_properties(kind)[1])) or 0 for kind, values in _all(export)]
    export.now = max(int(max(stamps)), *latest) if latest else int(max(stamps))
    return export


def pipeline_id(label: str) -> str:
    """The id of a pipeline by its label: HubSpot's first one is called ``default``."""
    return PIPELINE if label == "Sales Pipeline" else stage_id(label)


def _all(export: Export) -> Iterator[tuple[ObjectType, Properties]]:
    for kind, records in export.records.items():
        for values in records.values():
            yield kind, values


def _recognise(path: Path, headers: set[str]) -> ObjectType | None:
    if not headers & {_RECORD_ID, "hs_object_id"}:
        return None
    for kind, telling in _TELLING.items():
        if telling <= headers:
            return kind
    stem = path.stem.casefold().replace("-", "_").replace(" ", "_")
    for kind, singular in SINGULAR.items():
        if kind in stem or singular in stem:
            return kind
    return None


def _read_rows(
    export: Export,
    kind: ObjectType,
    path: Path,
    lines: Iterator[tuple[int, list[str]]],
    headers: Sequence[str],
) -> None:
    doubles = [header for header in headers if header and headers.count(header) > 1]
    if doubles:
        raise ConfigurationError(
            f"{path}, line 1: the column {doubles[0]!r} is there twice; rename or remove one"
        )
    columns = {header: _property(export.catalogue, kind, header) for header in headers}
    records = export.records.setdefault(kind, {})
    identifier = _RECORD_ID if _RECORD_ID in columns else "hs_object_id"
    for number, cells in lines:
        row = dict(zip_longest(headers, cells, fillvalue=""))
        text = row[identifier].strip()
        if not text.isdigit() or int(text) in records:
            problem = "appears twice" if text.isdigit() else "is no number"
            raise ConfigurationError(
                f"{path}, line {number}: Record ID {text!r} {problem}; export the records again with their Record ID"
            )
        key = int(text)
        values: Properties = {}
        for header, found in columns.items():
            raw = row[header].strip()
            if found is None:
                export.related.append((kind, key, header, raw))
            elif raw and found.name != "hs_object_id":
                values[found.name] = _resolve(export, found, raw)
        if kind == "deals":
            _place(export, values)
        records[key] = values


def _property(catalogue: Catalogue, kind: ObjectType, header: str) -> Property | None:
    """The property a column fills; None for a column of associations. Unknown headers define one."""
    if _ASSOCIATED.fullmatch(header) and header != "associated company id":
        return None
    known = catalogue.of(kind)
    for found in known.values():
        if header in (found.name, found.label.casefold(), _ALIASES.get(header, "")):
            return found
    if header in _ALIASES and _ALIASES[header] in known:
        return known[_ALIASES[header]]
    name = re.sub(r"[^a-z0-9]+", "_", header).strip("_") or "unnamed"
    name = name if name[0].isalpha() else f"p_{name}"
    added = Property(
        name if name not in known else f"{name}_export", header.capitalize(), "string", custom=True
    )
    catalogue.add(kind, added)
    return added


def _resolve(export: Export, found: Property, raw: str) -> str:
    if found.references == "OWNER":
        key = export.owners.setdefault(raw, len(export.owners) + 1)
        return record_id("user", key)
    return cell(found, raw)


def _place(export: Export, values: Properties) -> None:
    """Turn a deal's stage and pipeline labels into ids, and note the stage."""
    pipeline = values.get("pipeline") or "Sales Pipeline"
    values["pipeline"] = pipeline_id(pipeline)
    label = values.get("dealstage")
    if label is None:
        return
    label = label.removesuffix(f" ({pipeline})")
    values["dealstage"] = stage_id(label)
    stages = export.pipelines.setdefault(pipeline, {})
    if label not in stages:
        won = values.get("hs_is_closed_won") == "true" or bool(re.search(r"\bwon\b", label, re.IGNORECASE))
        lost = values.get("hs_is_closed_lost") == "true" or bool(re.search(r"\blost\b", label, re.IGNORECASE))
        closed = won or lost or values.get("hs_is_closed") == "true"
        odds = 1.0 if won else 0.0 if closed else float(values.get("hs_deal_stage_probability") or 0.5)
        category = "closed" if won else "omitted" if closed else "pipeline"
        stages[label] = Stage(label, len(stages), odds, category, closed=closed, won=won)


def _plural(what: str) -> ObjectType | None:
    for kind, singular in SINGULAR.items():
        if what in (
            kind,
            singular,
            singular.replace("_", " "),
            "meeting" if kind == "meetings" else singular,
        ):
            return kind
    return None


def _seconds(text: str | None) -> int | None:
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) if text else None
    except ValueError:
        return None
