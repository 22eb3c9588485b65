"""Canonical rows for tests, written with only what matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipeline.tables import SCHEMAS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def frame(table: str, rows: Iterable[Mapping[str, Any]] = ()) -> pl.DataFrame:
    """A canonical frame: what a row does not name is null (``custom``: {}), unknown names are an error."""
    schema = SCHEMAS[table]
    filled = []
    for row in rows:
        unknown = row.keys() - schema.keys()
        assert not unknown, f"{table} has no {unknown}"
        empty = {name: "{}" if name == "custom" else None for name in schema}
        filled.append({**empty, **{name: _value(value, schema[name]) for name, value in row.items()}})
    return pl.DataFrame(filled, schema=schema)


def _value(value: Any, dtype: pl.DataType) -> Any:
    """Times and dates may be written as ISO text."""
    if not isinstance(value, str) or dtype == pl.String:
        return value
    moment = datetime.fromisoformat(value)
    if dtype == pl.Date:
        return moment.date()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
