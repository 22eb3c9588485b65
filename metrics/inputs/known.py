"""What an input file says at a moment: the latest version of each figure, its customers matched to accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from metrics.inputs import accounts, table
from metrics.inputs.kinds import kinds
from metrics.inputs.layout import Input, InputFault, Reading
from pipeline.company import Inputs

_NAMED: Final = 5  # customers without an account that a sentence names


@dataclass(frozen=True)
class Known:
    """The rows of a file as known on a day.

    ``rows``: in the schema of the kind. ``customers``: one row per customer of the file, see ``accounts.match``; empty
    for files without customers. ``later``: rows whose as_of is still to come.
    """

    file: str
    rows: pl.DataFrame
    customers: pl.DataFrame
    later: int = 0

    @classmethod
    def none(cls, kind: str) -> Known:
        """No file."""
        return cls("", kinds()[kind].empty(), pl.DataFrame(schema=accounts.MATCHED))

    def unmatched(self) -> str | None:
        """``3 of 40 customers of usage.csv match no account: ...``, or None where all match."""
        lost = self.customers.filter(pl.col("account_id").is_null())
        if lost.is_empty():
            return None
        named = [
            key if why is None else f"{key} ({why})"
            for key, why in lost.select("customer_key", "why").head(_NAMED).iter_rows()
        ]
        more = [f"{lost.height - _NAMED} more"] if lost.height > _NAMED else []
        return (
            f"{lost.height} of {self.customers.height} customers of {self.file} "
            f"match{'es' if lost.height == 1 else ''} no account: {', '.join([*named, *more])}"
        )

    def shared(self) -> str | None:
        """Which accounts the file writes in several ways: their figures add up, or None where it does not."""
        written = (
            self.customers.filter(pl.col("account_id").is_not_null())
            .group_by("account_id", maintain_order=True)
            .agg("customer_key")
            .filter(pl.col("customer_key").list.len() > 1)
        )
        if written.is_empty():
            return None
        named = [" = ".join(names) for names in written["customer_key"].head(_NAMED)]
        more = [f"{written.height - _NAMED} more"] if written.height > _NAMED else []
        return f"one account, written in several ways, whose figures add up: {', '.join([*named, *more])}"


class Files:
    """A company's input files as known at a moment, each read when it is first asked for."""

    def __init__(self, named: Inputs, reading: Reading, known: Callable[[], accounts.Accounts]) -> None:
        self._named = named
        self._reading = reading
        self._known = known
        self._read: dict[str, Known | InputFault] = {}

    def has(self, kind: str) -> bool:
        """Whether a file of that kind is named."""
        return getattr(self._named, kind) is not None

    def known(self, kind: str) -> Known:
        """What it says; nothing where none is named. Raises ``InputFault``."""
        read = self._once(kind)
        if isinstance(read, InputFault):
            raise read
        return read

    def faults(self) -> tuple[InputFault, ...]:
        """Those of all that are named."""
        return tuple(read for kind in kinds() if isinstance(read := self._once(kind), InputFault))

    def _once(self, kind: str) -> Known | InputFault:
        if kind not in self._read:
            path = getattr(self._named, kind)
            try:
                self._read[kind] = (
                    load(kind, path, self._reading, self._known()) if path else Known.none(kind)
                )
            except InputFault as fault:
                self._read[kind] = fault
        return self._read[kind]


def load(name: str, path: Path, reading: Reading, known: accounts.Accounts | None = None) -> Known:
    """The file of a kind as known on the local day of the calendar's ``known_at``.

    ``known``: the accounts of that moment; without them (nothing was synced yet) no customer is matched or missed.
    Raises ``InputFault``.
    """
    kind = kinds()[name]
    values = table.read(kind, path, reading)
    day = reading.calendar.known_day
    given = values.filter(pl.col("as_of").is_null() | (pl.col("as_of") <= day))
    rows = kind.shape(_latest(kind, given), reading).sort("line")
    customers = pl.DataFrame(schema=accounts.MATCHED)
    if kind.of_customers:
        if known is None:
            rows = rows.with_columns(account_id=pl.lit(None, pl.String))
        else:
            customers = accounts.match(rows["customer_key"], known)
            rows = rows.join(customers.select("customer_key", "account_id"), on="customer_key", how="left")
    shaped = rows.select(pl.col(column).cast(dtype) for column, dtype in kind.schema.items()).sort("line")
    return Known(path.name, shaped, customers, values.height - given.height)


def _latest(kind: Input, rows: pl.DataFrame) -> pl.DataFrame:
    """Of the rows with one key the one given last; undated ones come before all dated."""
    if not kind.key or rows.is_empty():
        return rows
    comparable, names = table.keyed(kind, rows)
    latest = comparable.sort("as_of", nulls_last=False, maintain_order=True).unique(names, keep="last")
    alone = rows.filter(pl.col(kind.unkeyed).is_null()) if kind.unkeyed else rows.clear()
    return pl.concat([latest.select(rows.columns), alone])
