"""What of a past moment nobody has kept: tables of which only today's rows are known (definition book, R1).

Deals, accounts and the sales process have a past (``pipeline.asof``). Of the other records we know when they came and
when they went, and nothing in between: a row that was there at a moment, and was written again since, may have been
another one then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, literal, or_, select

from connectors.schema import TABLES
from pipeline.asof import FIELDS
from pipeline.tables import table

PASTLESS: Final = tuple(name for name in TABLES if name not in FIELDS and name != "deal_changes")
_ZONES: Final = timedelta(hours=14)  # no local day is further ahead


def rewritten(connection: Connection, whose: Mapping[str, str], at: datetime) -> frozenset[str]:
    """The tables of ``PASTLESS`` with a row of then that was written since. ``whose``: company, and its CRM."""
    return frozenset(name for name in PASTLESS if _any(connection, table(name), whose, at))


def _any(connection: Connection, rows: Table, whose: Mapping[str, str], at: datetime) -> bool:
    mine = [rows.c[column] == value for column, value in whose.items()]
    query = select(literal(1)).where(*mine, rows.c.recorded_at > at, *_there(rows, at)).limit(1)
    return connection.execute(query).first() is not None


def _there(rows: Table, at: datetime) -> list[ColumnElement[Any]]:
    """Whether a row may have been there then. A rate counts from its first day on; of an owner nobody knows."""
    if "created_at" in rows.c:
        return [or_(rows.c.created_at.is_(None), rows.c.created_at <= at)]
    return [rows.c.start_date <= (at + _ZONES).date()] if "start_date" in rows.c else []
