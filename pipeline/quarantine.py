"""Values that were set aside: what they are, what was expected of them, and reading them again.

A cell in quarantine is empty in its record. ``retry`` reads the kept text again with the connector's own parsing, under
this program and the present mapping; what parses now is written into the record, unless the record holds a value by
now (a newer one), and leaves the quarantine. A later clean delivery of the record takes the cell out by itself, and so
does the end of its column's mapping.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import polars as pl
from sqlalchemy import delete

from connectors.schema import KEYS, TABLES, UTC
from pipeline import bulk
from pipeline.normalise import normalise
from pipeline.privacy import PERSONAL, is_digest
from pipeline.reader import Reader
from pipeline.records import SourceInfo
from pipeline.tables import RENAMED, table
from pipeline.transaction import Transaction

# (CRM, table, column, raw texts, currencies row by row) -> typed column; None: it cannot be told without the CRM.
Parse: TypeAlias = Callable[[str, str, str, pl.Series, pl.Series], "pl.Series | None"]
Outcome = Literal["restored", "superseded", "unreadable", "impossible"]

_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "id": pl.String,  # ours, short, stands for the cell
    "crm": pl.String,
    "table": pl.String,
    "external_id": pl.String,
    "field": pl.String,
    "digest": pl.String,
    "raw": pl.String,
    "reason": pl.String,
    "first_seen": UTC,
    "last_seen": UTC,
}
ENTRIES: Final = pl.Schema(_COLUMNS)
_STORED: Final = pl.Schema({name: dtype for name, dtype in _COLUMNS.items() if name != "id"})
_KEY: Final = ("crm", "table", "external_id", "field", "digest")
_DECIMALS: Final[Mapping[str, str]] = {
    "amount": "an amount of money", "unit_price": "an amount of money", "arr": "an amount of money",
    "probability": "a number between 0 and 1",
}  # fmt: skip


@dataclass(frozen=True)
class Retried:
    """What became of one cell. ``why``: in words, where it stays in quarantine."""

    entry: Mapping[str, Any]
    outcome: Outcome
    why: str | None = None


def entries(reader: Reader, company: str) -> pl.DataFrame:
    """Everything in quarantine, of every CRM of the company, in schema ``ENTRIES``, sorted by table and record."""
    found = bulk.read(reader.connection, table("quarantine"), _STORED, {"company": company})
    ids = [
        hashlib.sha256("\n".join((company, *row)).encode()).hexdigest()[:10]
        for row in found.select(_KEY).iter_rows()
    ]
    named = found.with_columns(pl.Series("id", ids, dtype=pl.String)).select(list(ENTRIES))
    return named.sort("table", "external_id", "field", "raw", "id")


def expected(name: str, field: str) -> str:
    """What a field holds, in words."""
    dtype = TABLES.get(name, pl.Schema()).get(field)
    if field in ("", *KEYS.get(name, ())):
        return f"a record with {' and '.join(KEYS.get(name, ('external_id',)))}"
    if dtype is None:
        return "a value of this field's kind"
    if field in _DECIMALS:
        return _DECIMALS[field]
    if isinstance(dtype, pl.Datetime):
        return "a date and time between the years 1 and 9999"
    words = {pl.Date: "a date between the years 1 and 9999", pl.Int64: "a whole number", pl.Float64: "a number",
             pl.Boolean: "true or false", pl.String: "a text known here"}  # fmt: skip
    return next((text for kind, text in words.items() if dtype == kind), "a value of this field's kind")


def obstacle(entry: Mapping[str, Any]) -> str | None:
    """Why a cell cannot be read again here; None: it can be tried."""
    name, field, raw = str(entry["table"]), str(entry["field"]), entry["raw"]
    if not entry["external_id"]:
        return "it is a record without an id, so there is no record to write it into; correct it in the CRM"
    if name == "deal_changes":
        return "it is part of a deal's history, which is read as a whole; `boardline sync --once --full` tries again"
    if KEYS.get(name) != ("external_id",):
        return f"{name} are read as a whole at every sync, which tries again by itself"
    if field not in TABLES[name] or field == "custom":
        return "it is a whole record, not a value of one field; correct it in the CRM"
    if raw is None or (name in PERSONAL and is_digest(str(raw))):
        return "its text is withheld by privacy.contacts; a full sync reads it again"
    return None


def retry(
    tx: Transaction,
    company: str,
    chosen: pl.DataFrame,
    infos: Mapping[str, SourceInfo],
    parse: Parse,
    now: datetime,
) -> list[Retried]:
    """Read the chosen ``entries`` again; what parses is written and leaves the quarantine, in this transaction.

    ``infos``: CRM -> what it showed at the last sync.
    """
    results = [
        Retried(row, "impossible", why) for row in chosen.iter_rows(named=True) if (why := obstacle(row))
    ]
    known = [row for row in chosen.iter_rows(named=True) if not obstacle(row)]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in known:
        groups.setdefault((row["crm"], row["table"], row["field"]), []).append(row)
    for (crm, name, field), rows in groups.items():
        info = infos.get(crm)
        if info is None or not info.measurable(name, field):
            why = "the field is not mapped, or not visible, any more; a full sync drops or renews it"
            results += [Retried(row, "impossible", why) for row in rows]
        else:
            results += _column(tx, company, info, name, field, pl.DataFrame(rows, schema=ENTRIES), parse, now)
    _release(tx, company, [one.entry for one in results if one.outcome in ("restored", "superseded")])
    return results


def _column(
    tx: Transaction,
    company: str,
    info: SourceInfo,
    name: str,
    field: str,
    rows: pl.DataFrame,
    parse: Parse,
    now: datetime,
) -> list[Retried]:
    """All chosen cells of one column of one table."""
    column = RENAMED.get(name, {}).get(field, field)
    money = "currency" in TABLES[name] and field != "currency"
    columns = ["external_id", column, *(["currency"] if money else [])]
    stored = tx.stored(name, company, info.source, rows["external_id"], columns).rename({column: "now"})
    cells = rows.join(stored, on="external_id", how="left", maintain_order="left")
    there = cells.select(pl.col("external_id").is_in(stored["external_id"].to_list())).to_series()
    if not money:
        cells = cells.with_columns(currency=pl.lit(None, pl.String))
    typed = parse(info.source, name, field, cells["raw"], cells["currency"].fill_null(info.home_currency))
    if typed is None and rows.height > 1:  # one cell that cannot be told must not stand for all
        single = [_column(tx, company, info, name, field, one, parse, now) for one in rows.iter_slices(1)]
        return [result for results in single for result in results]
    if typed is None:
        return [
            Retried(row, "impossible", "only the CRM can tell how it is meant; a full sync reads it again")
            for row in rows.iter_rows(named=True)
        ]
    read = _clean(name, field, cells["external_id"], typed, info.home_currency)
    done, results = [], []
    for row, new, old, exists in zip(rows.iter_rows(named=True), read, cells["now"], there, strict=True):
        if not exists:
            results.append(Retried(row, "impossible", "the record is not in the store; a sync brings both"))
        elif old is not None:
            results.append(Retried(row, "superseded", "the record holds a newer value"))
        elif new is None:
            results.append(
                Retried(row, "unreadable", f"{row['reason']}; {expected(name, field)} is expected")
            )
        else:
            results.append(Retried(row, "restored"))
            done.append((row["external_id"], new))
    fixed = pl.DataFrame(done, schema={"external_id": pl.String, column: TABLES[name][field]}, orient="row")
    tx.update(name, company, info.source, fixed, now)
    return results


def _clean(name: str, field: str, ids: pl.Series, typed: pl.Series, home_currency: str) -> pl.Series:
    """The values as a sync would store them: the same normalising, which refuses what a database cannot hold."""
    schema = TABLES[name]
    frame = pl.DataFrame({"external_id": ids, field: typed.cast(schema[field])}).select(
        pl.col(column) if column in ("external_id", field) else pl.lit(None, dtype).alias(column)
        for column, dtype in schema.items()
    )
    rows, _ = normalise(name, frame, home_currency)
    return ids.to_frame("external_id").join(rows, on="external_id", how="left", maintain_order="left")[field]


def drop(tx: Transaction, company: str, crm: str, name: str, columns: Iterable[str]) -> None:
    """Take out what was set aside of columns that are no longer read, and of their history: no record holds them, and
    nothing would ever deliver them clean."""
    quarantine = table("quarantine")
    tables = (name, "deal_changes") if name == "deals" else (name,)  # the one log that a CRM hands over
    tx.connection.execute(
        delete(quarantine).where(
            quarantine.c.company == company,
            quarantine.c.crm == crm,
            quarantine.c.table.in_(tables),
            quarantine.c.field.in_(list(columns)),
        )
    )


def _release(tx: Transaction, company: str, rows: list[Mapping[str, Any]]) -> None:
    quarantine = table("quarantine")
    for row in rows:
        tx.connection.execute(
            delete(quarantine).where(
                quarantine.c.company == company, *(quarantine.c[column] == row[column] for column in _KEY)
            )
        )
