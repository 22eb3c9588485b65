"""The store's tables, the same on SQLite and PostgreSQL.

Canonical tables mirror ``connectors.schema.TABLES`` column by column (a test compares them) and add

- ``company`` and ``crm`` (the source: salesforce, hubspot), which lead every primary key: companies never mix,
  and a company that moves to another CRM keeps the old one's rows;
- ``recorded_at``: our clock, when this version of the row was written. It moves only when a value changed.

Conventions: ids and words are text as the CRM has them; money is an integer in the minor unit of ``currency``;
instants are UTC with microseconds (SQLite: text ``YYYY-MM-DD HH:MM:SS.ffffff``); plain dates carry no zone;
JSON is text; ``deleted_at`` marks a tombstone and ``merged_into`` names the record that survived a merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
from sqlalchemy import MetaData, Table
from sqlmodel import SQLModel

from connectors.schema import KEYS as CANONICAL_KEYS
from connectors.schema import TABLES
from pipeline.tables import bi, history, published, records, work

__all__ = [
    "CHANGES",
    "KEYS",
    "METADATA",
    "RENAMED",
    "SCHEMAS",
    "bi",
    "history",
    "published",
    "records",
    "stored_schema",
    "table",
    "work",
]

# The canonical columns whose name the store changes because another column has it already.
RENAMED: Final[Mapping[str, Mapping[str, str]]] = {"leads": {"company": "company_name"}}

METADATA: Final[MetaData] = SQLModel.metadata

# The logs of what happened, and whose changes they hold: log -> the key of what changed.
CHANGES: Final[Mapping[str, tuple[str, ...]]] = {
    "deal_changes": ("deal_id",),
    "account_changes": ("account_id",),
    "stage_changes": ("pipeline", "stage"),
}


def _log(name: str) -> pl.Schema:
    """A log of our own, in the columns of ``deal_changes``."""
    of: dict[str, pl.DataType] = dict.fromkeys(CHANGES[name], pl.String())
    shared = {column: dtype for column, dtype in TABLES["deal_changes"].items() if column != "deal_id"}
    return pl.Schema({**of, **shared})


# Everything a company's facts are read from: what the CRM delivers, and the logs of our own comparison.
SCHEMAS: Final[Mapping[str, pl.Schema]] = {
    **TABLES,
    "account_changes": _log("account_changes"),
    "stage_changes": _log("stage_changes"),
}
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **CANONICAL_KEYS,
    **{name: (*CHANGES[name], "field", "changed_at", "seq") for name in CHANGES},
}


def table(name: str) -> Table:
    """The SQLAlchemy table of that name."""
    return METADATA.tables[name]


def stored_schema(name: str) -> pl.Schema:
    """The canonical schema of a table under the names the store uses."""
    renamed = RENAMED.get(name, {})
    return pl.Schema({renamed.get(column, column): dtype for column, dtype in SCHEMAS[name].items()})
