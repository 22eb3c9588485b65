"""Whatever text lies in quarantine, reading it again with the connector's own parsing gives a value or nothing."""

from __future__ import annotations

import polars as pl
import pytest

from connectors import registry
from connectors.schema import KEYS, TABLES

TEXTS = (
    "", " ", "\x00", "\x01", "NaN", "inf", "-Infinity", "1e999", "1e-400", "9" * 400, "2026-02-30", "0000-00-00",
    "99999-01-01", "2026-13-01T25:00:00Z", "253402300800000", "-62135596800001", "-", "-0", "١٢", "5%", "£", "€5",
    "1,234.56", "1.234,56", "0x1F", "1_000", "12 apples", "=1+1", "null", "true-ish", "[]", "{}", "'", "é😀", None,
)  # fmt: skip
RECORDS = [name for name in TABLES if KEYS[name] == ("external_id",)]


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
@pytest.mark.parametrize("table", RECORDS)
def test_no_text_is_too_odd(crm: str, table: str) -> None:
    parse = registry.source(crm).parse
    for field in set(TABLES[table]) - {"external_id", "custom"}:
        for texts in (TEXTS, *((one,) for one in TEXTS)):
            raw = pl.Series("raw", texts, dtype=pl.String)
            currency = pl.Series("currency", ["USD"] * len(texts), dtype=pl.String)
            typed = parse(table, field, raw, currency, "Europe/Berlin")
            assert typed is None or len(typed) == len(texts), (field, texts)
