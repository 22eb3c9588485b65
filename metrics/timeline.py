"""What holds at many moments at once, and the way of deals through the sales process.

How the value of a field at a moment is found is told in ``pipeline.asof``.
"""

from __future__ import annotations

import polars as pl

from connectors.schema import TABLES
from pipeline import asof


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
            asof.typed(pl.col("old_value"), TABLES["deals"][field]).alias("old"),
            asof.typed(pl.col("new_value"), TABLES["deals"][field]).alias("new"),
        )
        .sort("changed_at")
    )


def in_force(
    rows: pl.DataFrame, points: pl.Series, since: str = "since", until: str = "until"
) -> pl.DataFrame:
    """One row per row and point at which it holds (since <= point < until; no end: for ever), in the column ``at``."""
    instants = points.unique().sort()
    ordered = pl.lit(instants)
    first = ordered.search_sorted(pl.col(since), side="left").cast(pl.Int64)
    end = ordered.search_sorted(pl.col(until), side="left").cast(pl.Int64)
    after = pl.when(pl.col(until).is_null()).then(instants.len()).otherwise(end)
    held = rows.with_columns(_at=pl.int_ranges(first, pl.max_horizontal(first, after)))
    index = pl.DataFrame({"at": instants, "_at": pl.int_range(instants.len(), dtype=pl.Int64, eager=True)})
    return held.filter(pl.col("_at").list.len() > 0).explode("_at").join(index, on="_at").drop("_at")


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
