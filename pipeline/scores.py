"""Completeness and cleanliness: pure functions over canonical frames.

``as_of`` is the moment the deals are read at (its local day is D), ``known_at`` (None: the same moment) the one up to
which the CRM was listened to. Duplicate and contact figures are always those of ``known_at`` (definition book,
section 6, rulings 35 to 37).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from connectors.schema import UTC
from pipeline import asof
from pipeline.company import Company
from pipeline.records import SourceInfo
from pipeline.required import cell, measurable, ungated
from pipeline.rule import Frames, judge, rules
from pipeline.rules import invalid_stage, overdue_close_date
from pipeline.states import deals_at, live, open_over

UNKNOWN: Final = "unknown"
_STAGE_RULES: Final = (invalid_stage, overdue_close_date)
# Columns of a deal that are read as of each moment.
_MOVING: Final = ("pipeline", "stage", "amount", "close_date", "is_closed", "is_won")


@dataclass(frozen=True)
class FieldScore:
    """How many of the cells of one field that should be filled are; ``ratio`` null: nothing to measure."""

    object: str
    field: str
    filled: int
    required: int
    ratio: float | None
    measurable: bool = True


@dataclass(frozen=True)
class GroupScore:
    """The same for the records of one owner, segment or field; ``findings`` counts open faults.

    ``ratio``: of the weighted cells, ``have`` and ``want``.
    """

    group: str
    filled: int | None
    required: int | None
    ratio: float | None
    findings: int = 0
    have: float = 0
    want: float = 0


@dataclass(frozen=True)
class Completeness:
    """Filled required cells of open deals / required cells; ``ratio`` null, with ``reason``, where there are none.

    Where the company weighs its fields (`quality.field_weights`) the ratio is that of ``have`` and ``want``: the same
    cells with their weights.
    """

    filled: int
    required: int
    ratio: float | None
    fields: tuple[FieldScore, ...]
    groups: tuple[GroupScore, ...] = ()
    reason: str | None = None
    have: float = 0
    want: float = 0


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
    opened = opened_at(frames, company, [as_of], known_at or as_of)
    return completeness_over(opened, frames, company, info, [as_of], by)[as_of]


def cleanliness(
    frames: Frames,
    company: Company,
    info: SourceInfo | None,
    as_of: datetime,
    known_at: datetime | None = None,
) -> Cleanliness:
    """35 % completeness + 25 % (1 - duplicates) + 20 % (1 - stage faults) + 20 % (1 - outdated contacts), 0 to 100.

    The weights are the company's choice (`quality:`); a part of weight 0 is not missed. Any other part without a base
    (no open deals, no contacts, a field that cannot be seen) makes the score null: what is not there cannot be called
    clean. ``frames``: accounts, contacts, deals, deal_changes, stages, owners.
    """
    known = known_at or as_of
    opened = opened_at(frames, company, [as_of], known)
    whole = completeness_over(opened, frames, company, info, [as_of])
    standing = standing_faults(frames, company, info, known)
    return cleanliness_over(opened, frames, company, info, whole, known, standing)[as_of]


def opened_at(
    frames: Frames,
    company: Company,
    moments: Sequence[datetime],
    known_at: datetime,
    *,
    for_scores: bool = False,
) -> pl.DataFrame:
    """The deals open at each of the moments: see ``pipeline.states.open_over``.

    ``for_scores``: with what ``completeness_over`` and ``cleanliness_over`` look at, and nothing else. Whether a field
    without a past is filled is then found out once for each deal (``cell NAME``), not once for each moment.
    """
    deals, columns = frames["deals"], None
    if for_scores:
        fixed = [name for name in company.required_deal_fields if name not in _MOVING]
        deals = deals.with_columns(_filled_cell(name) for name in fixed)
        columns = (*_MOVING, "currency", "owner_id", "segment", *(f"cell {name}" for name in fixed))
    return open_over(
        deals,
        frames["deal_changes"],
        frames["stages"],
        frames["stage_changes"],
        company,
        moments,
        known_at,
        columns,
    )


def _filled_cell(name: str) -> pl.Expr:
    return cell(name).fill_null(value=False).alias(f"cell {name}")


def completeness_over(
    opened: pl.DataFrame,
    frames: Frames,
    company: Company,
    info: SourceInfo | None,
    moments: Sequence[datetime],
    by: str | None = None,
) -> dict[datetime, Completeness]:
    """``completeness`` at each of the moments that ``opened`` (see ``opened_at``) holds."""
    fields = company.required_deal_fields
    measured = [name for name in fields if measurable(info, name)]
    cells = cells_over(opened, frames, company, measured).select(
        "at", _group(by).alias("group"), *(f"cell {name}" for name in measured)
    )
    sums = cells.group_by("at").agg(
        *(pl.col(f"cell {name}").sum() for name in measured),
        *(pl.col(f"cell {name}").count().alias(f"want {name}") for name in measured),
    )
    counts = {row["at"]: row for row in sums.iter_rows(named=True)}
    weights = weights_of(company, measured)
    groups = _split(cells, frames, by, weights) if by in ("owner", "segment") else {}
    found = {}
    for moment in moments:
        row = counts.get(moment, {})
        scores = tuple(_field_score(row, name, name in measured) for name in fields)
        have, want = sum(score.filled for score in scores), sum(score.required for score in scores)
        heavy = sum(score.filled * weights[score.field] for score in scores if score.measurable)
        whole = sum(score.required * weights[score.field] for score in scores if score.measurable)
        day = f"{moment.astimezone(company.zone):%Y-%m-%d}"
        none = f"no deal was open on {day}" if measured else "none of the required fields can be seen"
        reason = None if want and whole else "the fields that can be seen weigh nothing" if want else none
        parts = tuple(groups.get(moment, ()))
        found[moment] = Completeness(have, want, _ratio(heavy, whole), scores, parts, reason, heavy, whole)
    return found


def weights_of(company: Company, fields: Sequence[str]) -> dict[str, float]:
    """How much each required field weighs in completeness."""
    own = company.quality.field_weights
    return {name: own.get(name, 1) for name in fields}


def cells_over(opened: pl.DataFrame, frames: Frames, company: Company, fields: Sequence[str]) -> pl.DataFrame:
    """``opened`` with a column ``cell NAME`` for each required field: whether it is filled; null where the deal has not
    come so far that it must be (`quality.required_from`)."""
    cells = opened.with_columns(_filled_cell(name) for name in fields if f"cell {name}" not in opened.columns)
    if "close_date" in fields:
        default = _default_close_date(opened, frames["deal_changes"], company)
        cells = cells.with_columns(pl.col("cell close_date") & ~default)
    return ungated(cells, frames["stages"], company, {name: f"cell {name}" for name in fields})


def cleanliness_over(
    opened: pl.DataFrame,
    frames: Frames,
    company: Company,
    info: SourceInfo | None,
    complete: Mapping[datetime, Completeness],
    known_at: datetime,
    standing: pl.DataFrame,
) -> dict[datetime, Cleanliness]:
    """``cleanliness`` at each moment of ``complete`` (its completeness).

    ``opened``: see ``opened_at``. ``standing``: ``standing_faults`` at ``known_at``, the same for all of them.
    """
    contacts = live(frames["contacts"], known_at).height
    records = contacts + live(frames["accounts"], known_at).height
    found = dict(standing.group_by("rule").agg(pl.col("external_id").n_unique()).iter_rows())
    duplicates = found.get("duplicate_accounts", 0) + found.get("duplicate_contacts", 0)
    outdated = found.get("outdated_contacts", 0)
    no_pairs = _unseen("duplicate_contacts", "the e-mails and phones of contacts", info)
    no_activity = _unseen("outdated_contacts", "the last activity of contacts", info, why=False)
    seen = [rule.RULE.measurable(info) for rule in _STAGE_RULES]
    no_stage = None if all(seen) else "the stage or close date of deals cannot be seen"
    wrong = [rule.FAULTY for rule, visible in zip(_STAGE_RULES, seen, strict=True) if visible]
    faulty = pl.any_horizontal(pl.lit(value=False), *wrong).fill_null(value=False)
    counts = {
        at: (stages, deals)
        for at, stages, deals in opened.group_by("at").agg(faulty.sum(), deals=pl.len()).iter_rows()
    }
    scored, weights = {}, company.quality
    for moment, whole in complete.items():
        empty = whole.required - whole.filled
        stages, deals = counts.get(moment, (0, 0))
        scored[moment] = _score(
            _part(
                "completeness",
                "Empty required fields",
                weights.completeness,
                empty,
                whole.required,
                whole.reason,
                None if whole.ratio is None else 1 - whole.ratio,
            ),
            _part(
                "duplicates",
                "Duplicate accounts and contacts",
                weights.duplicates,
                duplicates,
                records,
                no_pairs,
            ),
            _part(
                "stages", "Open deals with a stage fault or overdue", weights.stages, stages, deals, no_stage
            ),
            _part("contacts", "Outdated contacts", weights.contacts, outdated, contacts, no_activity),
        )
    return scored


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
    layout = asof.layouts(frames["stages"], frames["stage_changes"], pl.Series([as_of], dtype=UTC))
    then = {
        **frames,
        "deals": deals_at(frames["deals"], frames["deal_changes"], as_of, known),
        "stages": layout.drop("at", strict=False),
    }
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


def _default_close_date(opened: pl.DataFrame, changes: pl.DataFrame, company: Company) -> pl.Series:
    """Whether a deal's close date is the end of the month it was created in and had by then never been another one."""
    month_end = pl.col("created_at").dt.convert_time_zone(company.timezone).dt.date().dt.month_end()
    suspects = opened.filter(pl.col("close_date") == month_end)
    told = changes.filter(pl.col("field") == "close_date").join(
        suspects.select(deal_id="external_id", default=pl.col("close_date").dt.strftime("%Y-%m-%d")).unique(),
        on="deal_id",
    )
    earlier = pl.col("old_value").is_not_null() & (pl.col("old_value") != pl.col("default"))
    other = told.filter(pl.col("new_value").ne_missing(pl.col("default")) | earlier)
    since = other.group_by(external_id="deal_id").agg(other_since=pl.col("changed_at").min())
    meant = (pl.col("other_since") <= pl.col("at")).fill_null(value=False)
    judged = opened.join(since, on="external_id", how="left", maintain_order="left")
    return judged.select((pl.col("close_date") == month_end).fill_null(value=False) & ~meant).to_series()


def _field_score(counts: Mapping[str, int], name: str, measurable: bool) -> FieldScore:
    if not measurable:
        return FieldScore("deals", name, 0, 0, None, measurable=False)
    have, want = counts.get(f"cell {name}", 0), counts.get(f"want {name}", 0)
    return FieldScore("deals", name, have, want, _ratio(have, want), measurable=True)


def _unseen(rule: str, what: str, info: SourceInfo | None, *, why: bool = True) -> str | None:
    """Why a part of the score has no base: a rule cannot see what it needs."""
    chosen = rules()[rule]
    if chosen.measurable(info):
        return None
    remedy = chosen.withheld(info) if why else None
    return f"{what} cannot be seen" + (f" ({remedy})" if remedy else "")


def _score(*parts: Part) -> Cleanliness:
    missing = [f"{part.label.lower()}: {part.reason}" for part in parts if part.share is None and part.weight]
    if missing:
        return Cleanliness(None, parts, "; ".join(missing))
    return Cleanliness(sum(part.weight * (1 - (part.share or 0.0)) for part in parts), parts)


def _part(
    id_: str,
    label: str,
    weight: int,
    faulty: int,
    total: int,
    reason: str | None = None,
    share: float | None = None,
) -> Part:
    """``share``: that of the faulty, where not every one of them weighs alike."""
    if reason is None and not total:
        reason = "there are none"
    if reason is None and share is None:
        share = faulty / total
    return Part(id_, label, weight, faulty, total, None if reason else share, reason)


def _ratio(have: float, want: float) -> float | None:
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


def _split(
    cells: pl.DataFrame, frames: Frames, by: str | None, weights: Mapping[str, float]
) -> dict[datetime, list[GroupScore]]:
    each = {name: pl.col(f"cell {name}").cast(pl.Int64) for name in weights}
    there = {name: cell.is_not_null().cast(pl.Int64) for name, cell in each.items()}
    have, asked = (pl.sum_horizontal(pl.lit(0, pl.Int64), *found.values()) for found in (each, there))
    heavy, whole = (
        pl.sum_horizontal(pl.lit(0.0), *(cell * weights[name] for name, cell in found.items()))
        for found in (each, there)
    )
    rows = (
        named(cells, frames, by)
        .group_by("at", "group")
        .agg(
            filled=have.sum(),
            required=asked.sum(),
            have=heavy.sum(),
            want=whole.sum(),
        )
        .sort("at", "group")
    )
    found: dict[datetime, list[GroupScore]] = {}
    for at, group, filled_, required, have_, want in rows.iter_rows():
        score = GroupScore(group, filled_, required, _ratio(have_, want), have=have_, want=want)
        found.setdefault(at, []).append(score)
    return found
