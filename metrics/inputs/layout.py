"""What an input file is made of: its columns, its key, its checks; and the fault that is told of a bad one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from connectors.errors import ConfigurationError
from metrics.period import Calendar

TOLD: Final = 10  # faults of a file that its error names


@dataclass(frozen=True)
class Reading:
    """What the words of a file are read by: the company's calendar, and the currency of amounts that name none."""

    calendar: Calendar
    currency: str


@dataclass(frozen=True)
class Cell:
    """How the text of a cell becomes a value.

    ``read``: trimmed text, null where it is empty -> the value, null where the text is none of its kind. ``fault`` is
    said of such text, or the first of ``hints`` (pattern, what is said) that it matches; ``example`` is what to write
    instead.
    """

    read: Callable[[pl.Expr, Reading], pl.Expr] = field(repr=False)
    fault: str
    example: str
    hints: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of a file. ``needed``: no cell may be empty; ``optional``: the header may leave it out."""

    name: str
    cell: Cell
    needed: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Check:
    """What must hold between the cells of a row: ``wrong`` is true of a bad one, which ``says`` then describes.

    Both speak of the values by the names of their columns.
    """

    wrong: pl.Expr = field(repr=False)
    says: pl.Expr = field(repr=False)


@dataclass(frozen=True)
class Input:
    """One kind of input file.

    ``columns``: as they stand in the file. ``key``: those that tell one figure from another (with ``as_of`` in it no
    row supersedes another; empty: every row stands for itself). ``unkeyed``: the column without which a row stands for
    itself. ``schema``: of ``Facts.input``. ``shape``: the file's values as the schema's columns, all but
    ``account_id``. ``example``: a row of a template.
    """

    kind: str
    title: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    schema: pl.Schema = field(repr=False)
    shape: Callable[[pl.DataFrame, Reading], pl.DataFrame] = field(repr=False)
    example: tuple[str, ...]
    checks: tuple[Check, ...] = field(default=(), repr=False)
    unkeyed: str | None = None

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def of_customers(self) -> bool:
        """Whether its rows are matched to accounts."""
        return "account_id" in self.schema

    def empty(self) -> pl.DataFrame:
        """No rows."""
        return pl.DataFrame(schema=self.schema)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file; ``line`` null: with the file as a whole."""

    line: int | None
    text: str

    def __str__(self) -> str:
        return self.text if self.line is None else f"line {self.line}: {self.text}"


class InputFault(ConfigurationError):
    """An input file that cannot be used. ``faults``: up to ten of its ``total`` faults, in the order of lines.

    ``told`` is the same for the page of a report: the file by its name, its first fault, and how many more.
    ``reason`` says it of a number.
    """

    def __init__(self, kind: str, path: Path, faults: Sequence[Fault], total: int | None = None) -> None:
        self.kind = kind
        self.path = path
        self.faults = tuple(faults[:TOLD])
        self.total = len(faults) if total is None else total
        super().__init__(self._text())

    @property
    def told(self) -> str:
        others = self.total - 1
        more = f" (and {others} more: see boardline check)" if others else ""
        return f"{_placed(self.path.name, self.faults[0])}{more}"

    @property
    def reason(self) -> str:
        return f"needs inputs: {self.kind}, and its file is faulty: {self.told}"

    def _text(self) -> str:
        where = f"inputs.{self.kind}: {self.path}"
        if self.total == 1:
            return _placed(where, self.faults[0])
        more = self.total - len(self.faults)
        told = "; ".join(str(fault) for fault in self.faults)
        return f"{where} has {self.total} faults: {told}{f'; and {more} more' if more else ''}"


def _placed(where: str, fault: Fault) -> str:
    return f"{where}: {fault.text}" if fault.line is None else f"{where} line {fault.line}: {fault.text}"
