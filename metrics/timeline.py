"""The state of deals at many moments at once, from their change log.

The value of a field at T is that of its last change up to T; where the log begins later, what it says was
there before; where it says nothing, the CRM's current value ("not reconstructed", definition book, R1). A field that
did not change after T has its current value, so T = now gives exactly what the CRM shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

# Deal columns whose past the change log may hold, and how their text is read.
FIELDS: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "pipeline": pl.String,
    "stage": pl.String,
    "amount": pl.Int64,
    "close_date": pl.Date,
    "probability": pl.Float64,
    "forecast_category": pl.String,
    "owner_id": pl.String,
}


def typed(column: str, field: str) -> pl.Expr:
    """The text of a change as a value of the field; text that does not parse is null."""
    text = pl.when(pl.col(column) != "").then(pl.col(column))
    dtype = FIELDS[field]
    if dtype == pl.Date:
        return text.str.to_date("%Y-%m-%d", strict=False)
    return text.cast(dtype, strict=False)


def steps(changes: pl.DataFrame, field: str) -> pl.DataFrame:
    """The changes of one field, one row per deal and instant (the last of that instant), in order of time.

    Columns: deal_id, changed_at, old (of the first change of the instant), new (typed values).
    """
    return (
        changes.filter(pl.col("field") == field)
        .sort("deal_id", "changed_at", "seq")
        .group_by("deal_id", "changed_at", maintain_order=True)
        .agg(pl.col("old_value").first(), pl.col("new_value").last())
        .select(
            "deal_id",
            "changed_at",
            typed("old_value", field).alias("old"),
            typed("new_value", field).alias("new"),
        )
        .sort("changed_at")
    )


def value_at(rows: pl.DataFrame, changes: pl.DataFrame, field: str) -> pl.DataFrame:
    """``rows`` with ``field`` replaced by its value at the row's instant ``at``.

    ``rows``: external_id, at (UTC) and the current value in the column ``field``; order is not kept.
    """
    moves = steps(changes, field)
    if moves.is_empty():
        return rows
    # A stage is never blank at creation: where the log does not know the one before, its first one counts.
    before = pl.coalesce("old", "new") if field == "stage" else pl.col("old")
    ends = moves.group_by("deal_id").agg(_last=pl.col("changed_at").max(), _before=before.first())
    joined = (
        rows.sort("at")
        .join_asof(
            moves.select("deal_id", "changed_at", _new="new", _found=pl.lit(True)),
            left_on="at",
            right_on="changed_at",
            by_left="external_id",
            by_right="deal_id",
            strategy="backward",
            check_sortedness=False,
        )
        .join(ends, left_on="external_id", right_on="deal_id", how="left")
    )
    unchanged = pl.col("_last").is_null() | (pl.col("at") >= pl.col("_last"))
    value = pl.when(unchanged).then(field).when(pl.col("_found")).then("_new").otherwise("_before")
    return joined.with_columns(value.alias(field)).select(rows.columns)


def states(
    deals: pl.DataFrame, changes: pl.DataFrame, moments: pl.DataFrame, fields: tuple[str, ...]
) -> pl.DataFrame:
    """Deals as they stood at each moment.

    ``deals``: canonical rows with the CRM's current values. ``moments``: a frame with the column ``at`` (UTC
    instants) and whatever else identifies them. Returns one row per moment and deal that
    was created by then, or nobody knows when.
    """
    there = pl.col("created_at").is_null() | (pl.col("created_at") <= pl.col("at"))
    rows = moments.join(deals, how="cross").filter(there)
    for field in fields:
        rows = value_at(rows, changes, field)
    return rows


def stage_entries(deals: pl.DataFrame, changes: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """Every known entry of a deal into a stage, in order of time.

    Columns: external_id, pipeline, entered_at, stage, then the columns of ``stages`` for it (null where unknown).
    What a deal was in before its first known change counts as entered on its creation; a deal without any
    change has entered its current stage on its creation (``known`` is false in both cases).
    """
    moves = steps(changes, "stage").rename({"deal_id": "external_id"})
    base = deals.select("external_id", "pipeline", "created_at", current="stage")
    logged = base.join(moves, on="external_id").select(
        "external_id", "pipeline", entered_at="changed_at", stage="new", known=pl.lit(True)
    )
    earlier = (
        base.join(
            moves.group_by("external_id", maintain_order=True).agg(pl.col("old").first()), on="external_id"
        )
        .filter(pl.col("old").is_not_null())
        .select("external_id", "pipeline", entered_at="created_at", stage="old", known=pl.lit(False))
    )
    unlogged = base.join(moves, on="external_id", how="anti").select(
        "external_id", "pipeline", entered_at="created_at", stage="current", known=pl.lit(False)
    )
    entries = pl.concat([logged, earlier, unlogged]).filter(pl.col("stage").is_not_null())
    return with_stage(entries, stages).sort("entered_at", "external_id", maintain_order=True)


def with_stage(rows: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """``rows`` (pipeline, stage) with what the company's sales process says about the stage.

    ``stages``: the frame of ``stage_table``. A stage unknown in the deal's pipeline is looked up in the others
    (deals move between pipelines); one unknown everywhere leaves the columns null.
    """
    traits = [column for column in stages.columns if column not in ("pipeline", "stage")]
    elsewhere = stages.sort("pipeline").unique("stage", keep="first", maintain_order=True)
    joined = rows.join(stages, on=["pipeline", "stage"], how="left", nulls_equal=True).join(
        elsewhere.drop("pipeline"), on="stage", how="left", suffix="_elsewhere"
    )
    return joined.with_columns(pl.coalesce(trait, f"{trait}_elsewhere") for trait in traits).select(
        *rows.columns, *traits
    )


def stage_table(stages: pl.DataFrame, qualified_stage: str | None = None) -> pl.DataFrame:
    """The sales process, one row per pipeline and stage.

    Columns: pipeline, stage, label, sort_order, outcome (open | won | lost), active, qualified. A stage is
    qualified when it is open and not before the second open stage in use of its pipeline, or the configured
    one; retired stages count as later ones (definition book, ruling 18).
    """
    table = stages.select(
        "pipeline",
        "stage",
        pl.coalesce("label", "stage").alias("label"),
        "sort_order",
        pl.when(pl.col("is_won")).then(pl.lit("won"))
        .when(pl.col("is_closed")).then(pl.lit("lost"))
        .otherwise(pl.lit("open")).alias("outcome"),
        (pl.col("active").fill_null(True) & pl.col("deleted_at").is_null()).alias("active"),
    )  # fmt: skip
    open_ones = table.filter(pl.col("outcome") == "open").sort("sort_order")
    second = (
        open_ones.filter("active")
        .group_by("pipeline", maintain_order=True)
        .agg(_from=pl.col("sort_order").slice(0, 2).last())  # the only one where there is no second
    )
    if qualified_stage is not None:
        chosen = open_ones.filter(pl.col("stage") == qualified_stage).select("pipeline", _chosen="sort_order")
        second = second.join(chosen, on="pipeline", how="full", coalesce=True).select(
            "pipeline", _from=pl.coalesce("_chosen", "_from")
        )
    return table.join(second, on="pipeline", how="left").select(
        pl.exclude("_from"),
        ((pl.col("outcome") == "open") & (pl.col("sort_order") >= pl.col("_from")))
        .fill_null(False)
        .alias("qualified"),
    )
