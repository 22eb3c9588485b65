"""The cells of a deal that must be filled (definition book, section 6, ruling 35): the company's required fields."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from connectors.schema import TABLES
from pipeline.company import Company
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


def ungated(
    deals: pl.DataFrame, stages: pl.DataFrame, company: Company, columns: Mapping[str, str]
) -> pl.DataFrame:
    """The deals with null in the column of every required field that their stage does not ask for yet.

    ``deals``: with pipeline and stage; ``columns``: field -> its column. A field of `quality.required_from` is asked
    for from that stage of the deal's pipeline on, by its name or label. It is of every deal of a pipeline without that
    stage, and of one in a stage that the layout does not know.
    """
    gates = {name: stage for name, stage in company.quality.required_from.items() if name in columns}
    if not gates:
        return deals
    order = stages.select("pipeline", "stage", _order="sort_order")
    placed = deals.join(order, on=["pipeline", "stage"], how="left", nulls_equal=True, maintain_order="left")
    for name, wanted in gates.items():
        word = wanted.strip().lower()
        called = pl.any_horizontal(pl.col(text).str.to_lowercase() == word for text in ("stage", "label"))
        of_gate = stages.filter(called).group_by("pipeline").agg(_from=pl.col("sort_order").min())
        placed = placed.join(of_gate, on="pipeline", how="left", nulls_equal=True, maintain_order="left")
        early = (pl.col("_order") < pl.col("_from")).fill_null(value=False)
        column = columns[name]
        placed = placed.with_columns(pl.when(~early).then(pl.col(column)).alias(column)).drop("_from")
    return placed.drop("_order")


def in_words(name: str) -> str:
    """A field as people call it: ``owner_id`` is the owner."""
    return name.removesuffix("_id").replace("_", " ")
