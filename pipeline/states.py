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

# Read as of each moment, as where a deal stands (ruling 35).
_OF_THE_DAY: Final = ("amount", "currency", "close_date")
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
    """The deals of ``as_of`` as known at ``known_at``, in their own schema: place, money and close date of then.

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
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """The deals open at each of the moments, in the layout of then, as ``open_deals`` of ``deals_at`` gives them.

    Adds the column ``at``; in order of moments and, for each, of ``deals``. ``columns``: those of a deal that are
    wanted beside what decides whether it is open (None: all), for every one is written once for each moment.

    A deal's past is cut once into stretches in which it stood unchanged, and only those in which it may have been open
    are spread over the moments that they hold.
    """
    known = _as_sold(live(deals, known_at), company)
    moving = [name for name in _OF_THE_DAY if columns is None or name in columns]
    held = _stretches(known.select(*_DECIDING, *moving), changes, moving)
    layout = asof.layouts(stages, layout_changes, pl.Series(moments, dtype=UTC))
    if "at" in layout.columns:
        placed = _in_layout(_spread(held, moments), layout)
    else:
        placed = _spread(_unless_closed(_in_layout(held, layout)), moments)
    opened = _still_open(placed, company).sort("at", "who")
    wanted = known.columns if columns is None else [name for name in known.columns if name in columns]
    beside = [known[name].gather(opened["who"]) for name in wanted if name not in opened.columns]
    return opened.with_columns(beside).drop("who")


def _stretches(deals: pl.DataFrame, changes: pl.DataFrame, moving: Sequence[str]) -> pl.DataFrame:
    """The deals once for every stretch of time in which they stood unchanged, in one place and in the fields
    ``moving``: since, until (not included; null: to this moment), who (their number). ``is_closed`` and ``is_won`` are
    null where that is another place than now."""
    stood = asof.steps(deals, changes, (*PLACE, *moving))
    goes_on = pl.col("who") == pl.col("who").shift(-1)
    same = pl.all_horizontal(pl.col(name).eq_missing(deals[name].gather(stood["who"])) for name in PLACE)
    return stood.with_columns(
        *(pl.when(same).then(pl.col(name)).alias(name) for name in ("is_closed", "is_won")),
        since=pl.max_horizontal("at", "created_at"),
        until=pl.min_horizontal(pl.when(goes_on).then(pl.col("at").shift(-1)), "deleted_at"),
    ).drop("at")


def _spread(held: pl.DataFrame, moments: Sequence[datetime]) -> pl.DataFrame:
    """One row per stretch and moment in it (since <= moment < until), in the column ``at``."""
    at = pl.Series("at", sorted(set(moments)), dtype=UTC)
    first = pl.lit(at).search_sorted(pl.col("since"), side="left").cast(pl.Int64)
    end = pl.lit(at).search_sorted(pl.col("until"), side="left").cast(pl.Int64)
    first = pl.when(pl.col("since").is_null()).then(0).otherwise(first)
    end = pl.when(pl.col("until").is_null()).then(at.len()).otherwise(end)
    some = held.with_columns(_first=first, _end=end).filter(pl.col("_first") < pl.col("_end"))
    rows = some.with_columns(_at=pl.int_ranges("_first", "_end")).explode("_at")
    return rows.with_columns(at=at.gather(rows["_at"])).drop("since", "until", "_first", "_end", "_at")


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
    return _open(_rows(_as_sold(deals, company), [as_of]), stages, company).drop("at")


def _open(rows: pl.DataFrame, stages: pl.DataFrame, company: Company) -> pl.DataFrame:
    """``open_deals`` of rows with a moment each, ``at``."""
    return _still_open(_in_layout(rows, stages), company)


def paid() -> pl.Expr:
    """Whether something is paid for a deal, as it is known now."""
    return (pl.col("amount") > 0).fill_null(value=False)


def _as_sold(deals: pl.DataFrame, company: Company) -> pl.DataFrame:
    """The deals, of which those are no pilots that the company counts as won when they are paid for (R8)."""
    if company.sales.paid_pilot == "open":
        return deals
    return deals.with_columns(pilot=pl.col("pilot") & ~paid())


def _closed() -> pl.Expr:
    return pl.coalesce("layout_closed", "is_closed", pl.lit(value=False))


def _in_pilot() -> pl.Expr:
    """Won by its stage, but the pilot has still to convert, or had to at some moment."""
    won = pl.coalesce("layout_won", "is_won", pl.lit(value=False))
    return won & pl.col("pilot").fill_null(value=False)


def _unless_closed(placed: pl.DataFrame) -> pl.DataFrame:
    """The rows that may be open at some moment."""
    return placed.filter(~_closed() | _in_pilot())


def _still_open(placed: pl.DataFrame, company: Company) -> pl.DataFrame:
    """The rows, beside their stage, that are open at their moment ``at``; adds ``day``."""
    day = pl.col("at").dt.convert_time_zone(company.timezone).dt.date()
    dated = placed.with_columns(day=day)
    converted = pl.col("pilot_converted").is_not_null() & (pl.col("pilot_converted") <= pl.col("day"))
    pending = _in_pilot() & ~converted
    return dated.filter(~_closed() | pending).drop("layout_closed", "layout_won")


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
    place = [*then, "pipeline", "stage"]
    # Places are few, deals are many.
    known = (
        deals.select(place)
        .unique()
        .join(about, on=place, how="left")
        .join(anywhere, on=[*then, "stage"], how="left", suffix="_any")
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
    return deals.join(known, on=place, how="left", nulls_equal=True, maintain_order="left")
