"""How text from a CRM is read: what counts as empty, and the name of the bucket for it."""

from __future__ import annotations

from typing import Final

import polars as pl

from pipeline.emptiness import bare

UNKNOWN: Final = "unknown"

# The ways a number can be cut (definition book, R15).
CUTS: Final = ("size", "industry", "motion", "product", "owner", "pipeline")


def stated(text: pl.Expr) -> pl.Expr:
    """The text without outer blanks; null where it is empty or a placeholder such as n/a."""
    return pl.when(bare(text).is_not_null()).then(text.str.strip_chars())
