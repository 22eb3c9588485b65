"""Completeness and cleanliness: pure functions over canonical frames.

``as_of`` is the moment the deals are read at (its local day is D), ``known_at`` (None: the same moment) the one up to
which the CRM was listened to. Duplicate and contact figures are always those of ``known_at`` (kpis.md section 6,
rulings 35 to 37).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from connectors.schema import TABLES
from pipeline.company import Company
from pipeline.emptiness import filled
from pipeline.records import SourceInfo
from pipeline.rule import Frames, judge, rules
from pipeline.states import deals_at, live, open_deals

UNKNOWN: Final = "unknown"
_STAGE_RULES: Final = ("invalid_stage", "overdue_close_date")


@dataclass(frozen=True)
class FieldScore:
    """How many of the cells of one field that should be filled are; ``ratio`` null: nothing to measure."""

    object: str
    field: str
    filled: int
    required: int
    ratio: float | None
    measurable: bool


@dataclass(frozen=True)
class GroupScore:
    """The same for the records of one owner, segment or field; ``findings`` counts open faults."""

    group: str
    filled: int | None
    required: int | None
    ratio: float | None
    findings: int = 0


@dataclass(frozen=True)
class Completeness:
    """Filled required cells of open deals / required cells; ``ratio`` null, with ``reason``, where there are none."""

    filled: int
    required: int
    ratio: float | None
    fields: tuple[FieldScore, ...]
    groups: tuple[GroupScore, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Part:
    """One part of the cleanliness score: ``share`` = faulty / total, null with ``reason`` where it has no base."""

    id: str
    label: str
    weight: int  # percent
    faulty: int
    total: int
    share: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Cleanliness:
    """The score (0 to 100) and its parts; null, with ``reason``, when one part has no base."""

    score: float | None
    parts: tuple[Part, ...]
    reason: str | None = None


def completeness(
    frames: Frames,
    company: Company,
    info: SourceInfo | None,
    as_of: datetime,
    by: str | None = None,
    known_at: datetime | None = None,
) -> Completeness:
    """Filled required cells of the deals open at ``as_of`` (ruling 35); ``by`` owner or segment also splits them.

    Stage, amount and close date are those of ``as_of``, the other fields those of ``known_at``. Fields that the CRM
    hides or the company has not mapped are listed as not measurable and do not count. A close date that is the end
    of the month of creation and was never another one is a default, and empty. ``frames``: deals, deal_changes,
    stages, owners.
    """
    then = deals_at(frames["deals"], frames["deal_changes"], as_of, known_at or as_of)
    deals = open_deals(then, frames["stages"], company, as_of)
    fields = company.required_deal_fields
    measured = [name for name in fields if _measurable(info, name)]
    cells = deals.select(
        "external_id",
        _group(by).alias("group"),
        *(_cell(name).alias(f"cell {name}") for name in measured),
    )
    if "close_date" in measured:
        defaults = _default_close_dates(deals, frames["deal_changes"], company, as_of)
        spoilt = pl.col("external_id").is_in(defaults.implode())
        cells = cells.with_columns(pl.col("cell close_date") & ~spoilt)
    scores = tuple(_field_score(cells, name, name in measured) for name in fields)
    have, want = sum(score.filled for score in scores), sum(score.required for score in scores)
    reason = None if want else "no open deals" if measured else "none of the required fields can be seen"
    groups = _split(cells, frames, by) if by in ("owner", "segment") else ()
    return Completeness(have, want, _ratio(have, want), scores, groups, reason)


def cleanliness(
    frames: Frames,
    company: Company,
    info: SourceInfo | None,
    as_of: datetime,
    known_at: datetime | None = None,
    complete: Completeness | None = None,
    standing: pl.DataFrame | None = None,
) -> Cleanliness:
    """35 % completeness + 25 % (1 - duplicates) + 20 % (1 - stage faults) + 20 % (1 - outdated contacts), 0 to 100.

    A part without a base (no open deals, no contacts, a field that cannot be seen) makes the score null: what is
    not there cannot be called clean. ``complete`` (of the same moment) and ``standing`` (``standing_faults`` of
    ``known_at``) save work, if at hand. ``frames``: accounts, contacts, deals, deal_changes, stages, owners.
    """
    known = known_at or as_of
    whole = complete or completeness(frames, company, info, as_of, known_at=known)
    found = faults(frames, company, info, as_of, known, standing)
    then = deals_at(frames["deals"], frames["deal_changes"], as_of, known)
    opened = open_deals(then, frames["stages"], company, as_of).height
    contacts = live(frames["contacts"], known).height
    records = contacts + live(frames["accounts"], known).height

    def faulty(*names: str) -> int:
        return found.filter(pl.col("rule").is_in(names))["external_id"].n_unique()

    def seen(*names: str) -> bool:
        return all(rules()[name].measurable(info) for name in names)

    duplicates = faulty("duplicate_accounts") + faulty("duplicate_contacts")
    stages, outdated = faulty(*_STAGE_RULES), faulty("outdated_contacts")
    empty = whole.required - whole.filled
    no_stage = None if seen(*_STAGE_RULES) else "the stage or close date of deals cannot be seen"
    no_activity = None if seen("outdated_contacts") else "the last activity of contacts cannot be seen"
    parts = (
        _part("completeness", "Empty required fields", 35, empty, whole.required, whole.reason),
        _part("duplicates", "Duplicate accounts and contacts", 25, duplicates, records),
        _part("stages", "Open deals with a stage fault or overdue", 20, stages, opened, no_stage),
        _part("contacts", "Outdated contacts", 20, outdated, contacts, no_activity),
    )
    missing = [part for part in parts if part.share is None]
    if missing:
        return Cleanliness(None, parts, "; ".join(f"{part.label.lower()}: {part.reason}" for part in missing))
    return Cleanliness(sum(part.weight * (1 - (part.share or 0.0)) for part in parts), parts)


def faults(
    frames: Frames,
    company: Company,
    info: SourceInfo | None,
    as_of: datetime,
    known_at: datetime | None = None,
    standing: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What every rule finds, in schema ``pipeline.rule.JUDGED``: deals as of ``as_of``, the rest as at ``known_at``."""
    known = known_at or as_of
    then = {**frames, "deals": deals_at(frames["deals"], frames["deal_changes"], as_of, known)}
    of_deals = [rule for rule in rules().values() if rule.object == "deals"]
    others = standing_faults(frames, company, info, known) if standing is None else standing
    return pl.concat([judge(of_deals, then, company, info, as_of), others])


def standing_faults(
    frames: Frames, company: Company, info: SourceInfo | None, known_at: datetime
) -> pl.DataFrame:
    """What the rules about accounts and contacts find: the same for every month that is known at one moment."""
    return judge(
        [rule for rule in rules().values() if rule.object != "deals"], frames, company, info, known_at
    )


# -- cells


def _measurable(info: SourceInfo | None, name: str) -> bool:
    return info is None or info.measurable("deals", name if name in TABLES["deals"] else f"custom.{name}")


def _cell(name: str) -> pl.Expr:
    dtype = TABLES["deals"].get(name)
    if dtype is not None:
        return filled(pl.col(name), dtype)
    return filled(pl.col("custom").str.json_path_match(f"$['{name}']"), pl.String())


def _default_close_dates(
    deals: pl.DataFrame, changes: pl.DataFrame, company: Company, as_of: datetime
) -> pl.Series:
    """Ids of deals whose close date is the end of the month they were created in and never was another one."""
    created = pl.col("created_at").dt.convert_time_zone(company.timezone).dt.date()
    candidates = deals.filter(pl.col("close_date") == created.dt.month_end()).select(
        "external_id", default="close_date"
    )
    told = (
        changes.filter(pl.col("field") == "close_date", pl.col("changed_at") <= as_of)
        .join(candidates, left_on="deal_id", right_on="external_id")
        .with_columns(pl.col("default").dt.strftime("%Y-%m-%d"))
    )
    earlier = pl.col("old_value").is_not_null() & (pl.col("old_value") != pl.col("default"))
    other = told.filter(pl.col("new_value").ne_missing(pl.col("default")) | earlier)
    return candidates.join(other, left_on="external_id", right_on="deal_id", how="anti")["external_id"]


def _field_score(cells: pl.DataFrame, name: str, measurable: bool) -> FieldScore:
    if not measurable:
        return FieldScore("deals", name, 0, 0, None, measurable=False)
    have = int(cells[f"cell {name}"].sum())
    return FieldScore("deals", name, have, cells.height, _ratio(have, cells.height), measurable=True)


def _part(id_: str, label: str, weight: int, faulty: int, total: int, reason: str | None = None) -> Part:
    if reason is None and not total:
        reason = "there are none"
    return Part(id_, label, weight, faulty, total, None if reason else faulty / total, reason)


def _ratio(have: int, want: int) -> float | None:
    return have / want if want else None


def _group(by: str | None) -> pl.Expr:
    return (
        pl.col("owner_id")
        if by == "owner"
        else pl.col("segment")
        if by == "segment"
        else pl.lit(None, pl.String)
    )


def owner_names(frames: Frames) -> pl.DataFrame:
    name = pl.col("name")
    return frames["owners"].select(
        owner_id="external_id", owner=pl.when(name.fill_null("") != "").then(name).otherwise("external_id")
    )


def named(rows: pl.DataFrame, frames: Frames, by: str | None) -> pl.DataFrame:
    """``group`` as people read it; blank is "unknown"."""
    if by == "owner":
        rows = rows.join(owner_names(frames), left_on="group", right_on="owner_id", how="left").with_columns(
            group=pl.coalesce("owner", "group")
        )
    blank = pl.col("group").fill_null("").str.strip_chars() == ""
    return rows.with_columns(group=pl.when(blank).then(pl.lit(UNKNOWN)).otherwise("group"))


def _split(cells: pl.DataFrame, frames: Frames, by: str | None) -> tuple[GroupScore, ...]:
    columns = [name for name in cells.columns if name.startswith("cell ")]
    have = pl.sum_horizontal(pl.lit(0, pl.Int64), *(pl.col(name).cast(pl.Int64) for name in columns))
    rows = (
        named(cells, frames, by)
        .group_by("group")
        .agg(filled=have.sum(), required=pl.len().cast(pl.Int64) * len(columns))
        .sort("group")
    )
    return tuple(GroupScore(group, have, want, _ratio(have, want)) for group, have, want in rows.iter_rows())
