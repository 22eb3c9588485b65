"""CSV files of an export, read strictly: what is broken is refused with its line, never read as something else."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connectors.errors import ConfigurationError

_LARGEST_CELL: Final = 1 << 27  # characters
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row begins and its cells, the header first; blank lines are left out.

    Raises ``ConfigurationError`` for a file that is not UTF-8 or not separated by commas, for a quote that is not
    closed, and for a row with more cells than the header.
    """
    csv.field_size_limit(_LARGEST_CELL)
    line, width = 1, 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader((text.replace("\0", "") for text in file), strict=True)
            for cells in reader:
                if not width:
                    _check_separator(path, cells)
                    width = len(cells)
                if len(cells) > width:
                    raise ConfigurationError(
                        f"{path}, line {line}: {len(cells)} cells, but the header names {width}; "
                        "put cells with commas or line breaks in quotes"
                    )
                if cells:
                    yield line, cells
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: this is not text in UTF-8 ({error.reason}); export it as UTF-8"
        ) from error
    except csv.Error as error:
        raise ConfigurationError(
            f"{path}, line {line}: a quote in the row that begins here is not closed, or not doubled inside a cell "
            f"({error}); correct it, or export the file again"
        ) from error


def _check_separator(path: Path, header: list[str]) -> None:
    for mark, name in _OTHER_SEPARATORS.items():
        if len(header) == 1 and mark in header[0]:
            raise ConfigurationError(
                f"{path}, line 1: the file is separated by {name}; export it with commas between the cells"
            )
