"""The one place that reads input files: text -> lines of cells under known columns, with what is wrong with them.

The csv module does the parsing; here stands what a person is told when a file is not what it should be.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from connectors.spelling import nearest
from metrics.inputs.layout import Fault, Input, InputFault

COMMENT: Final = "#"
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
_CLOSE: Final = 0.65  # likeness from which on a name is taken for a misspelt one
_SAVE: Final = "save it as CSV UTF-8 (comma delimited)"
_NOT_TEXT: Final = (  # how a file begins -> what it is
    (b"PK\x03\x04", "is an Excel workbook or another zip file"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook"),
    (b"%PDF", "is a PDF"),
    (b"\xff\xfe", "is text in UTF-16"),
    (b"\xfe\xff", "is text in UTF-16"),
)


@dataclass(frozen=True)
class Sheet:
    """``cells``: line (on which the row begins) and one text column per column of the input, trimmed, null where empty.

    Rows in ``faults`` are not among them.
    """

    cells: pl.DataFrame
    faults: tuple[Fault, ...]


def read(kind: Input, path: Path) -> Sheet:
    """The rows of a file. Raises ``InputFault`` where it cannot be read as a table with the columns of its kind."""
    lines = _lines(kind, path, _text(kind, path))
    number, names = next(lines, (1, []))
    if not names:
        raise _refused(kind, path, "is empty; its first line must be " + ",".join(kind.header), None)
    places = _places(kind, path, number, names)
    columns: dict[str, list[str | None]] = {name: [] for name in kind.header}
    starts: list[int] = []
    faults: list[Fault] = []
    for number, cells in lines:
        if len(cells) < len(names) or any(cells[len(names) :]):
            faults.append(
                Fault(
                    number,
                    f"has {len(cells)} cells, but the header names {len(names)} columns; "
                    "put a cell that holds commas in double quotes",
                )
            )
            continue
        starts.append(number)
        for name, column in columns.items():
            column.append(cells[places[name]] or None if name in places else None)
    schema = {"line": pl.Int64, **dict.fromkeys(columns, pl.String)}
    return Sheet(pl.DataFrame({"line": starts, **columns}, schema=schema), tuple(faults))


def example(kind: Input) -> str:
    """A file with one row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([kind.header, kind.example])
    return text.getvalue()


def template(kind: Input) -> str:
    """A file to be filled in: the header, and an example that does not count."""
    header, row = example(kind).splitlines()
    return f"{header}\n{COMMENT} {row}\n"


def _text(kind: Input, path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise _refused(
            kind, path, f"cannot be read: {problem.strerror or problem}; correct inputs: {kind.kind}", None
        ) from problem
    for start, what in _NOT_TEXT:
        if data.startswith(start):
            raise _refused(kind, path, f"{what}, not CSV in UTF-8; {_SAVE}", None)
    if b"\0" in data:
        raise _refused(kind, path, f"is not text; {_SAVE}", None)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise _refused(kind, path, f"is not text in UTF-8; {_SAVE}", line) from problem
    if text.lstrip()[:1] == "<":
        raise _refused(kind, path, f"is a web page or XML, not CSV; {_SAVE}", None)
    return text


def _lines(kind: Input, path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row begins, and its trimmed cells; blank rows and comments are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            trimmed = [cell.strip() for cell in cells]
            if any(trimmed) and not trimmed[0].startswith(COMMENT):
                yield begins, trimmed
            begins = reader.line_num + 1
    except csv.Error as problem:
        raise _refused(
            kind,
            path,
            "is not valid CSV: a quote in the row that begins here is not closed, or not doubled inside a cell "
            f"({problem}); correct it",
            begins,
        ) from problem


def _places(kind: Input, path: Path, line: int, names: list[str]) -> dict[str, int]:
    """Column -> its place in the file; ``names`` loses the empty ones at its end, which spreadsheets leave there."""
    while names and not names[-1]:
        names.pop()
    for mark, word in _SEPARATORS.items():
        if len(names) == 1 and mark in names[0]:
            raise _refused(
                kind, path, f"its cells are separated by {word}; save it with commas between them", line
            )
    given = [name.lower() for name in names]
    faults = [Fault(line, text) for text in _of_header(kind, given)]
    if faults:
        raise InputFault(kind.kind, path, faults)
    return {name: place for place, name in enumerate(given)}


def _of_header(kind: Input, given: Sequence[str]) -> Iterator[str]:
    """What is wrong with the names of the columns."""
    missing = [column.name for column in kind.columns if not column.optional and column.name not in given]
    for place, name in enumerate(given, 1):
        if not name:
            yield f"column {place} has no name; name it, or take it out"
        elif name in given[: place - 1]:
            yield f"column {name!r} is there twice; keep one of them"
        elif name not in kind.header:
            unused = [known for known in kind.header if known not in given]
            close = nearest(name, unused, _CLOSE)
            if close in missing:
                missing.remove(close)
            yield f"unknown column {name!r}; " + (
                f"did you mean {close!r}?" if close else f"known are {', '.join(kind.header)}"
            )
    if missing:
        yield f"missing column {', '.join(missing)}; the first line must name them"


def _refused(kind: Input, path: Path, text: str, line: int | None) -> InputFault:
    return InputFault(kind.kind, path, [Fault(line, text)])
