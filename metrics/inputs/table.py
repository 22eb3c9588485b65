"""From the cells of a file to values: every faulty cell, row and repetition is found, and all are told at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from metrics.inputs import csv_file
from metrics.inputs.layout import TOLD, Cell, Column, Fault, Input, InputFault, Reading

_FAULTS: Final = pl.Schema({"line": pl.Int64, "place": pl.Int64, "text": pl.String})
_ID: Final = r"^(?:[A-Za-z0-9]{15}|[A-Za-z0-9]{18})$"
_SHOWN: Final = 40  # characters of a faulty cell


def read(kind: Input, path: Path, reading: Reading) -> pl.DataFrame:
    """The values of a file, every version of them: line and the file's columns by their names.

    Raises ``InputFault`` with the faults of the file.
    """
    sheet = csv_file.read(kind, path)
    values = sheet.cells.select(
        "line",
        *(column.cell.read(pl.col(column.name), reading).alias(column.name) for column in kind.columns),
    )
    found = [_widths(sheet), *_of_cells(kind, sheet.cells, values)]
    sound = values.join(pl.concat(found).select("line").unique(), on="line", how="anti")
    found += [*_of_rows(kind, sound), _repeated(kind, sound)]
    faults = pl.concat(found).sort("line", "place")
    if not faults.is_empty():
        told = [Fault(line, text) for line, _, text in faults.head(TOLD).iter_rows()]
        raise InputFault(kind.kind, path, told, faults.height)
    return values


def keyed(kind: Input, values: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The rows that have a key, with what they are compared by added, and the names of that.

    Words are compared without case, but not what looks like an id of Salesforce, in which case matters.
    """
    rows = values.filter(pl.col(kind.unkeyed).is_not_null()) if kind.unkeyed else values
    names = {name: f"_{name}" for name in kind.key}
    texts = [name for name in kind.key if values.schema[name] == pl.String]
    compared = rows.with_columns(pl.col(name).alias(names[name]) for name in kind.key).with_columns(
        pl.when(pl.col(name).str.contains(_ID))
        .then(name)
        .otherwise(pl.col(name).str.to_lowercase())
        .alias(names[name])
        for name in texts
    )
    return compared, list(names.values())


def _widths(sheet: csv_file.Sheet) -> pl.DataFrame:
    return pl.DataFrame([(fault.line, 0, fault.text) for fault in sheet.faults], schema=_FAULTS, orient="row")


def _of_cells(kind: Input, cells: pl.DataFrame, values: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cells that are empty and must not be, and those that hold something else than they should."""
    for place, column in enumerate(kind.columns, 1):
        read = values[column.name].is_null()
        if column.needed:
            empty = cells.filter(cells[column.name].is_null())
            yield _faults(empty, place, pl.lit(f"{column.name} is empty{_instead(column.cell)}"))
        wrong = cells.filter(read & cells[column.name].is_not_null())
        yield _faults(wrong, place, _said(column))


def _said(column: Column) -> pl.Expr:
    text = pl.col(column.name)
    said = pl.lit(column.cell.fault)
    for pattern, hint in reversed(column.cell.hints):
        said = pl.when(text.str.contains(pattern)).then(pl.lit(hint)).otherwise(said)
    plain = text.str.replace_all(r"[\s\p{C}]+", " ")
    short = (
        pl.when(plain.str.len_chars() > _SHOWN)
        .then(pl.format("{}…", plain.str.slice(0, _SHOWN)))
        .otherwise(plain)
    )
    return pl.format("{} '{}' {}{}", pl.lit(column.name), short, said, pl.lit(_instead(column.cell)))


def _instead(cell: Cell) -> str:
    return f"; write for example {cell.example}"


def _of_rows(kind: Input, values: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Rows whose cells contradict each other."""
    for check in kind.checks:
        yield _faults(values.filter(check.wrong), len(kind.columns) + 1, check.says)


def _repeated(kind: Input, values: pl.DataFrame) -> pl.DataFrame:
    """Rows with the key and the as_of of an earlier one."""
    if not kind.key or values.is_empty():
        return pl.DataFrame(schema=_FAULTS)
    rows, names = keyed(kind, values)
    marked = rows.with_columns(first=pl.col("line").min().over([*names, "as_of"]))
    same = [*kind.key, *(() if "as_of" in kind.key else ("as_of",))]
    listed = f"{', '.join(same[:-1])} and {same[-1]}" if len(same) > 1 else same[0]
    return _faults(
        marked.filter(pl.col("line") > pl.col("first")),
        len(kind.columns) + 2,
        pl.format(
            "repeats line {} (the same {}); keep one of them, or give the newer figure a later as_of",
            "first",
            pl.lit(listed),
        ),
    )


def _faults(rows: pl.DataFrame, place: int, text: pl.Expr) -> pl.DataFrame:
    return rows.select("line", place=pl.lit(place, pl.Int64), text=text).cast(_FAULTS)
