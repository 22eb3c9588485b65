"""When a cell counts as empty (definition book, ruling 35)."""

from __future__ import annotations

from typing import Final

import polars as pl

# What people type where they have nothing to say; compared without case and outer blanks.
PLACEHOLDERS: Final = frozenset(
    ("", "0", "blank", "tbd", "tba", "n/a", "na", "none", "(none)", "-", "?", "unknown", "null", "test")
)


def bare(text: pl.Expr) -> pl.Expr:
    """The text in lower case without outer blanks; null where it is a placeholder or null."""
    plain = text.str.strip_chars().str.to_lowercase()
    return pl.when(~plain.is_in(list(PLACEHOLDERS))).then(plain)


def filled(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whether a cell holds something: not null, not 0, no placeholder. False and any date are something."""
    if dtype == pl.String:
        return bare(cell).is_not_null()
    if dtype.is_numeric():
        return cell.is_not_null() & (cell != 0)
    return cell.is_not_null()
