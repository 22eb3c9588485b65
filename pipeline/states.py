"""Which records are there at a moment, which deals are open, and what their tracked fields held.

Definition book, rulings 1, 3, 18 and 21: unknown stages are open, and so is a won pilot that has not been converted.
How the value of a field at a moment is found is told in ``pipeline.asof``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import polars as pl

from connectors.schema import UTC
from pipeline import asof
from pipeline.asof import PLACE
from pipeline.company import Company
from pipeline.emptiness import bare

_OF_THE_DAY: Final = ("amount", "close_date")  # read as of each moment, as where a deal stands (ruling 35)
# The columns that decide whether a deal is open.
_DECIDING: Final = (
    *("external_id", "created_at", "deleted_at", "is_closed", "is_won", "pilot", "pilot_converted"),
    *PLACE,
)


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
    """The deals of ``as_of`` as known at ``known_at``, in their own schema: place, amount and close date of ``as_of``.

    ``is_closed`` and ``is_won`` are the CRM's of now and therefore null where the stage was another one.
    """
    rows = _rows(live(deals, known_at), [as_of])
    return asof.set_back(_placed_then(rows, changes), changes, _OF_THE_DAY).select(deals.columns)


def open_over(
    deals: pl.DataFrame,
    changes: pl.DataFrame,
    stages: pl.DataFrame,
    layout_changes: pl.DataFrame,
    company: Company,
    moments: Sequence[datetime],
    known_at: datetime,
) -> pl.DataFrame:
    """The deals open at each of the moments, in the layout of then, as ``open_deals`` of ``deals_at`` gives them.

    Adds the column ``at``; in order of moments and, for each, of ``deals``. Only what decides whether a deal is open
    is multiplied by the moments; all else is put to the deals that are.
    """
    known = live(deals, known_at)
    rows = _placed_then(_rows(known.select(_DECIDING), moments), changes)
    opened = _open(rows, asof.layouts(stages, layout_changes, rows["at"]), company).join(
        known.select("external_id", pl.exclude(_DECIDING)), on="external_id", maintain_order="left"
    )
    return asof.set_back(opened, changes, _OF_THE_DAY)


def _rows(deals: pl.DataFrame, moments: Sequence[datetime]) -> pl.DataFrame:
    """One row per moment, in the column ``at``, and deal that was there."""
    at = pl.DataFrame({"at": sorted(set(moments))}, schema={"at": UTC})
    begun = pl.col("created_at").is_null() | (pl.col("created_at") <= pl.col("at"))
    going_on = pl.col("deleted_at").is_null() | (pl.col("deleted_at") > pl.col("at"))
    return at.join(deals, how="cross").filter(begun & going_on)


def _placed_then(rows: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with what decides whether they are open as it was at each row's own ``at``."""
    was = asof.set_back(rows, changes, PLACE)
    same = pl.all_horizontal(pl.col(name).eq_missing(rows[name]) for name in PLACE)
    return was.with_columns(pl.when(same).then(pl.col(name)).alias(name) for name in ("is_closed", "is_won"))


def open_deals(deals: pl.DataFrame, stages: pl.DataFrame, company: Company, as_of: datetime) -> pl.DataFrame:
    """The deals that are open, with what the layout says of their stage.

    Adds ``day`` (the local day of ``as_of``), ``stage_label`` (the stage as people read it), ``stage_known`` and
    ``stage_active`` (in use, as far as the CRM shows a layout).
    """
    return _open(_rows(deals, [as_of]), stages, company).drop("at")


def _open(rows: pl.DataFrame, stages: pl.DataFrame, company: Company) -> pl.DataFrame:
    """``open_deals`` of rows with a moment each, ``at``."""
    placed = _in_layout(rows, stages).with_columns(
        day=pl.col("at").dt.convert_time_zone(company.timezone).dt.date()
    )
    closed = pl.coalesce("layout_closed", "is_closed", pl.lit(value=False))
    won = pl.coalesce("layout_won", "is_won", pl.lit(value=False))
    converted = pl.col("pilot_converted").is_not_null() & (pl.col("pilot_converted") <= pl.col("day"))
    pending = won & pl.col("pilot").fill_null(value=False) & ~converted
    return placed.filter(~closed | pending).drop("layout_closed", "layout_won")


def _in_layout(deals: pl.DataFrame, stages: pl.DataFrame) -> pl.DataFrame:
    """Deals beside their stage: that of their own pipeline, else the one of that name where there is only one.

    ``stages`` may be a layout per moment ``at`` (see ``asof.layouts``).
    """
    then = ["at"] if "at" in stages.columns else []
    about = stages.select(
        *then,
        "pipeline",
        "stage",
        layout_label="label",
        layout_closed="is_closed",
        layout_won="is_won",
        layout_active=pl.col("active").fill_null(value=True) & pl.col("deleted_at").is_null(),
    )
    anywhere = about.unique([*then, "stage"], keep="none").drop("pipeline")
    facts = ("layout_label", "layout_closed", "layout_won", "layout_active")
    return (
        deals.join(about, on=[*then, "pipeline", "stage"], how="left", maintain_order="left")
        .join(anywhere, on=[*then, "stage"], how="left", suffix="_any", maintain_order="left")
        .with_columns(pl.coalesce(name, f"{name}_any").alias(name) for name in facts)
        .with_columns(
            stage_known=pl.col("layout_active").is_not_null(),
            stage_active=pl.col("layout_active").fill_null(value=stages.is_empty()),
            stage_label=pl.coalesce(
                pl.when(bare(pl.col("layout_label")).is_not_null()).then("layout_label"), pl.col("stage")
            ),
        )
        .drop(*(f"{name}_any" for name in facts), "layout_label", "layout_active")
    )
