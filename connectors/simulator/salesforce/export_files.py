"""Reading the files of an export: data-tree JSON and CSV, into records as they stand there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors.errors import ConfigurationError
from connectors.simulator.csv_file import rows
from connectors.simulator.salesforce.fields import CATALOGUE

_SHOWN: Final = 5  # of the columns of a header that we do not know
PRICE_ENTRY: Final = "PricebookEntry"  # read for the product of a line item only


@dataclass
class Record:
    """One record as exported: where it stands, its reference name in the tree, its values."""

    file: str
    where: str
    reference: str
    values: dict[str, Any]
    id: str = ""


def from_json(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path}, line {error.lineno}: this is not JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: this is not text in UTF-8 ({error.reason})") from error
    if isinstance(content, list) and all(isinstance(entry, dict) and "sobject" in entry for entry in content):
        return  # a plan
    records = content.get("records") if isinstance(content, dict) else None
    if not isinstance(records, list):
        raise ConfigurationError(f'{path}: expected {{"records": [...]}}, as "sf data export tree" writes it')
    yield from _tree(path, records, "", "")


def _tree(path: Path, records: list[Any], parent: str, reference: str) -> Iterator[tuple[str, Record]]:
    """The records of a tree, children after their parent."""
    for number, raw in enumerate(records, 1):
        attributes = raw.get("attributes") if isinstance(raw, dict) else None
        name = attributes.get("type") if isinstance(attributes, dict) else None
        if not isinstance(attributes, dict) or not isinstance(name, str):
            raise ConfigurationError(f"{path}: record {number} has no attributes.type")
        own = str(attributes.get("referenceId") or f"#{path.name}#{name}#{parent}#{reference}#{number}")
        children = {
            k: v["records"]
            for k, v in raw.items()
            if isinstance(v, dict) and isinstance(v.get("records"), list)
        }
        values = {k: v for k, v in raw.items() if k != "attributes" and not isinstance(v, (dict, list))}
        link = _link(name, parent)
        if link and not values.get(link):
            values[link] = f"@{reference}"
        yield name, Record(path.name, f"{path}, {own}", own, values)
        for nested in children.values():
            yield from _tree(path, nested, name, own)


def _link(child: str, parent: str) -> str | None:
    """The field by which a nested child points at its parent."""
    fields = CATALOGUE[child].fields.values() if child in CATALOGUE and parent else ()
    return next((spec.name for spec in fields if parent in spec.refers_to), None)


def object_of(path: Path) -> str:
    """The object a CSV file holds: its file name, in the org's spelling."""
    known = {name.lower(): name for name in (*CATALOGUE, PRICE_ENTRY)}
    return known.get(path.stem.lower(), path.stem)


def from_csv(path: Path) -> Iterator[tuple[str, Record]]:
    """Every record of a CSV file named after its object. Raises ``ConfigurationError`` naming the line."""
    name = object_of(path)
    lines = rows(path)
    _, first = next(lines, (1, []))
    header = _header(path, name, first)
    for number, cells in lines:
        values = {column: cell for column, cell in zip(header, cells, strict=False) if column and cell != ""}
        yield name, Record(path.name, f"{path}, line {number}", "", values)


def _header(path: Path, name: str, cells: list[str]) -> list[str]:
    """The columns by their field names; '' for those of parents (``Account.Name``), which are not kept."""
    if not any(cells):
        raise ConfigurationError(
            f"{path}: the first line must name the fields; export the file with its header"
        )
    table = CATALOGUE.get(name)
    header = []
    for cell in (cell.strip() for cell in cells):
        spec = table.find(cell) if table else None
        header.append("" if "." in cell else spec.name if spec else cell)
    doubles = [column for column, count in Counter(header).items() if column and count > 1]
    if doubles:
        raise ConfigurationError(f"{path}: the column {doubles[0]} is there twice; remove one")
    if table is not None and not any(column in table.fields for column in header):
        raise ConfigurationError(
            f"{path}, line 1: none of its columns is a field of {name} ({', '.join(cells[:_SHOWN])}); "
            "export the object with the API names of its fields, Id first"
        )
    if table is not None and "Id" not in header:
        raise ConfigurationError(
            f"{path}, line 1: there is no Id column, so no other file can refer to these; export {name} with its Id"
        )
    return header
