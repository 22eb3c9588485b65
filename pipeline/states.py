"""Which records are there at a moment, which deals are open, and what their tracked fields held.

kpis.md R1 and rulings 1, 3, 18 and 21: the state at T is that of the last change up to T; where the log begins later,
what it says was there before; where it says nothing, the CRM's value of now. Unknown stages are open, and so is a won
pilot that has not been converted.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import polars as pl

from connectors.schema import TABLES
from pipeline.company import Company
from pipeline.emptiness import bare

TRACKED: Final = ("pipeline", "stage", "amount", "close_date")


def local_day(company: Company, moment: datetime) -> date:
    """The day it is in the company's time zone."""
    return moment.astimezone(company.zone).date()


def live(frame: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """The rows created by then and not deleted by then."""
    deleted = pl.col("deleted_at")
    rows = frame.filter(deleted.is_null() | (deleted > at))
    if "created_at" not in frame.columns:
        return rows
    return rows.filter(pl.col("created_at").is_null() | (pl.col("created_at") <= at))


def deals_at(deals: pl.DataFrame, changes: pl.DataFrame, as_of: datetime, known_at: datetime) -> pl.DataFrame:
    """The deals of ``as_of`` as known at ``known_at``, in their own schema, tracked fields as they were then.

    ``is_closed`` and ``is_won`` are the CRM's of now and therefore null where the stage was another one.
    """
    rows = live(live(deals, known_at), as_of)
    stage_now = rows.select("external_id", stage_now="stage", pipeline_now="pipeline")
    for field in TRACKED:
        rows = _field_at(rows, changes, field, as_of)
    same = (pl.col("stage").eq_missing(pl.col("stage_now"))) & (
        pl.col("pipeline").eq_missing(pl.col("pipeline_now"))
    )
    return (
        rows.join(stage_now, on="external_id", how="left", maintain_order="left")
        .with_columns(pl.when(same).then(pl.col(name)).alias(name) for name in ("is_closed", "is_won"))
        .select(deals.columns)
    )


def _field_at(rows: pl.DataFrame, changes: pl.DataFrame, field: str, as_of: datetime) -> pl.DataFrame:
    """``rows`` with one field set back, where it changed after ``as_of``."""
    mine = changes.filter(pl.col("field") == field)
    later = mine.filter(pl.col("changed_at") > as_of)
    if later.is_empty():
        return rows
    order = ("changed_at", "seq")
    after = later.group_by("deal_id").agg(pl.col("old_value").sort_by(order).first())
    earlier = mine.filter(pl.col("changed_at") <= as_of).join(after, on="deal_id", how="semi")
    before = earlier.group_by("deal_id").agg(pl.col("new_value").sort_by(order).last())
    then = after.join(before.with_columns(known=pl.lit(value=True)), on="deal_id", how="left").select(
        external_id="deal_id",
        moved=pl.lit(value=True),
        then=_typed(
            pl.when(pl.col("known")).then("new_value").otherwise("old_value"), TABLES["deals"][field]
        ),
    )
    joined = rows.join(then, on="external_id", how="left", maintain_order="left")
    value = pl.when(pl.col("moved")).then(pl.col("then")).otherwise(pl.col(field))
    return joined.with_columns(value.alias(field)).drop("moved", "then")


def _typed(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    given = pl.when(text != "").then(text)
    return (
        given.str.to_date("%Y-%m-%d", strict=False) if dtype == pl.Date else given.cast(dtype, strict=False)
    )


def open_deals(deals: pl.DataFrame, stages: pl.DataFrame, company: Company, as_of: datetime) -> pl.DataFrame:
    """The deals that are open, with what the layout says of their stage.

    Adds ``stage_label`` (the stage as people read it), ``stage_known`` and ``stage_active``.
    """
    day = local_day(company, as_of)
    placed = _in_layout(live(deals, as_of), stages)
    closed = pl.coalesce("layout_closed", "is_closed", pl.lit(value=False))
    won = pl.coalesce("layout_won", "is_won", pl.lit(value=False))
    converted = pl.col("pilot_converted").is_not_null() & (pl.col("pilot_converted") <= day)
    pending = won & pl.col("pilot").fill_null(value=False) & ~converted
    return placed.filter(~closed | pending).drop("layout_closed", "layout_won")


def _in_layout(deals: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """Deals beside their stage: that of their own pipeline, else the one of that name where there is only one."""
    about = stages.select(
        "pipeline",
        "stage",
        layout_label="label",
        layout_closed="is_closed",
        layout_won="is_won",
        layout_active=pl.col("active").fill_null(value=True) & pl.col("deleted_at").is_null(),
    )
    anywhere = about.unique("stage", keep="none").drop("pipeline")
    facts = ("layout_label", "layout_closed", "layout_won", "layout_active")
    return (
        deals.join(about, on=["pipeline", "stage"], how="left", maintain_order="left")
        .join(anywhere, on="stage", how="left", suffix="_any", maintain_order="left")
        .with_columns(pl.coalesce(name, f"{name}_any").alias(name) for name in facts)
        .with_columns(
            stage_known=pl.col("layout_active").is_not_null(),
            stage_active=pl.col("layout_active").fill_null(value=False),
            stage_label=pl.coalesce(
                pl.when(bare(pl.col("layout_label")).is_not_null()).then("layout_label"), pl.col("stage")
            ),
        )
        .drop(*(f"{name}_any" for name in facts), "layout_label", "layout_active")
    )
