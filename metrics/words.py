"""How text from a CRM is read: what counts as empty, and the name of the bucket for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from pipeline.emptiness import bare

UNKNOWN: Final = "unknown"

# The ways a number can be cut (definition book, R15).
CUTS: Final = ("size", "industry", "motion", "product", "owner", "pipeline")


def by_segment(segment: Mapping[str, str]) -> str:
    """What follows a number's title: nothing for the whole company, `` by size: Enterprise`` for a segment of it."""
    return "".join(f" by {cut}: {name}" for cut, name in segment.items())


def segment_name(cut: str, name: str) -> str:
    """A segment where it stands alone: ``Enterprise``, but ``size unknown``, for the bucket is there in every cut."""
    return f"{cut} {UNKNOWN}" if name == UNKNOWN else name


def stated(text: pl.Expr) -> pl.Expr:
    """The text without outer blanks; null where it is empty or a placeholder such as n/a."""
    return pl.when(bare(text).is_not_null()).then(text.str.strip_chars())


def in_days(days: pl.Expr) -> pl.Expr:
    """A number of days as text, to one decimal: ``90 days``, ``103.3 days``."""
    return pl.format("{} days", days.cast(pl.Float64).round(1).cast(pl.String).str.strip_suffix(".0"))


def in_percent(ratio: pl.Expr) -> pl.Expr:
    """A ratio as text, to one decimal: 0.364 -> ``36.4%``."""
    return pl.format("{}%", (ratio * 100).round(1).cast(pl.String).str.strip_suffix(".0"))


def in_times(multiple: pl.Expr) -> pl.Expr:
    """A multiple as text, to two decimals: 2.25 -> ``2.25×``."""
    hundredths = (multiple * 100).round(0).cast(pl.Int64)
    sign = pl.when(hundredths < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    size = hundredths.abs()
    return pl.format("{}{}.{}×", sign, size // 100, (size % 100).cast(pl.String).str.zfill(2))


def when_any(count: pl.Expr, text: pl.Expr) -> pl.Expr:
    """The text where there is something to count, else null."""
    return pl.when(count > 0).then(text)
