"""The cells of a deal that must be filled (definition book, section 6, ruling 35): the company's required fields."""

from __future__ import annotations

import polars as pl

from connectors.schema import TABLES
from pipeline.emptiness import filled
from pipeline.records import SourceInfo


def measurable(info: SourceInfo | None, name: str) -> bool:
    """Whether this CRM shows a required field; a name that is no column of ours is one of the company's own fields."""
    return info is None or info.measurable("deals", name if name in TABLES["deals"] else f"custom.{name}")


def cell(name: str) -> pl.Expr:
    """Whether a required field of a deal is filled: not blank, no placeholder, not 0."""
    dtype = TABLES["deals"].get(name)
    if dtype is not None:
        return filled(pl.col(name), dtype)
    return filled(pl.col("custom").str.json_path_match(f"$['{name}']"), pl.String())


def in_words(name: str) -> str:
    """A field as people call it: ``owner_id`` is the owner."""
    return name.removesuffix("_id").replace("_", " ")
