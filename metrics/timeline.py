"""What holds at many moments at once, and the way of deals through the sales process.

How the value of a field at a moment is found is told in ``pipeline.asof``.
"""

from __future__ import annotations

import polars as pl

from connectors.schema import TABLES
from pipeline import asof


def in_force(
    rows: pl.DataFrame, points: pl.Series, since: str = "since", until: str = "until"
) -> pl.DataFrame:
    """One row per row and point at which it holds (since <= point < until; no end: for ever), in the column ``at``."""
    instants = points.unique().sort()
    ordered = pl.lit(instants)
    first = ordered.search_sorted(pl.col(since), side="left").cast(pl.Int64)
    end = ordered.search_sorted(pl.col(until), side="left").cast(pl.Int64)
    after = pl.when(pl.col(until).is_null()).then(instants.len()).otherwise(end)
    held = rows.with_columns(_first=first, _after=after).filter(pl.col("_first") < pl.col("_after"))
    spread = held.with_columns(_at=pl.int_ranges("_first", "_after")).drop("_first", "_after").explode("_at")
    return spread.with_columns(at=instants.gather(spread["_at"])).drop("_at")


def stage_entries(deals: pl.DataFrame, changes: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """Every known entry of a deal into a stage, deal by deal in order of time.

    Columns: deal (its row in ``deals``, counted from 0), external_id, pipeline, entered_at, stage, known, then the
    columns of ``stages`` for it (null where unknown). What a deal was in before its first known change counts as
    entered on its creation; a deal without any change has entered its current stage on its creation (``known`` is
    false in both cases).
    """
    numbered = deals.select("external_id", "pipeline", "created_at", "stage").with_row_index("deal")
    moves = _moves(numbered, changes)
    first = moves.filter(pl.col("deal").ne_missing(pl.col("deal").shift(1)) & pl.col("old").is_not_null())
    unlogged = numbered.join(moves.select("deal"), on="deal", how="anti")
    entries = pl.concat(
        [
            moves.select("deal", entered_at="changed_at", stage="new", known=pl.lit(value=True)),
            first.select(
                "deal",
                entered_at=numbered["created_at"].gather(first["deal"]),
                stage="old",
                known=pl.lit(value=False),
            ),
            unlogged.select("deal", "stage", entered_at="created_at", known=pl.lit(value=False)).select(
                "deal", "entered_at", "stage", "known"
            ),
        ]
    )
    placed = entries.filter(pl.col("stage").is_not_null()).sort(
        "deal", "entered_at", nulls_last=False, maintain_order=True
    )
    own = placed["deal"]
    named = placed.with_columns(
        external_id=numbered["external_id"].gather(own), pipeline=numbered["pipeline"].gather(own)
    )
    return with_stage(named.select("deal", "external_id", "pipeline", "entered_at", "stage", "known"), stages)


def _moves(numbered: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """The changes of stage, deal by deal in order of time: deal, changed_at, old (the first of an instant), new (the
    last of it)."""
    log = (
        changes.filter(pl.col("field") == "stage")
        .select("changed_at", "seq", "old_value", "new_value", external_id="deal_id")
        .join(numbered.select("external_id", "deal"), on="external_id")
        .drop("external_id")
        .sort("deal", "changed_at", "seq")
    )
    deal, at = pl.col("deal"), pl.col("changed_at")
    begins = deal.ne_missing(deal.shift(1)) | at.ne_missing(at.shift(1))
    ends = deal.ne_missing(deal.shift(-1)) | at.ne_missing(at.shift(-1))
    started = pl.when(begins).then(pl.int_range(pl.len())).forward_fill()
    return (
        log.with_columns(old=pl.col("old_value").gather(started))
        .filter(ends)
        .select(
            "deal",
            "changed_at",
            old=asof.typed(pl.col("old"), TABLES["deals"]["stage"]),
            new=asof.typed(pl.col("new_value"), TABLES["deals"]["stage"]),
        )
    )


def with_stage(rows: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """``rows`` (pipeline, stage), in their order, with what the company's sales process says about the stage.

    ``stages``: the frame of ``stage_table``. A stage unknown in the deal's pipeline is looked up in the others
    (deals move between pipelines); one unknown everywhere leaves the columns null.
    """
    place = ["pipeline", "stage"]
    traits = [column for column in stages.columns if column not in place]
    elsewhere = stages.sort("pipeline").unique("stage", keep="first", maintain_order=True)
    found = (
        rows.select(place)
        .unique()
        .join(stages, on=place, how="left", nulls_equal=True)
        .join(elsewhere.drop("pipeline"), on="stage", how="left", suffix="_elsewhere")
        .select(*place, *(pl.coalesce(trait, f"{trait}_elsewhere").alias(trait) for trait in traits))
    )
    return rows.join(found, on=place, how="left", nulls_equal=True, maintain_order="left").select(
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
