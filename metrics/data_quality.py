"""Completeness and cleanliness month by month, as ``pipeline.quality`` scores them (definition book, rulings 35 to 37).

Deals are read at D of each month as known now; duplicates and contacts are always those of now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import polars as pl

from connectors.schema import TABLES
from metrics import measures
from metrics.facts import Facts
from metrics.kpi import EVIDENCE, MEASURE, Kpi
from metrics.words import UNKNOWN
from pipeline.company import Company, QualitySettings
from pipeline.quality import Completeness, cells_over, completeness_over, opened_at
from pipeline.required import in_words
from pipeline.scores import named

_COMPARED: Final = ("name", "domain", "parent_id")  # what tells that two accounts are one


def configured(kpi: Kpi, company: Company) -> Kpi:
    """Cleanliness as the company's settings make it: other weights, or another time, are another definition."""
    own = company.quality
    if own == QualitySettings():
        return kpi
    weights = f"{own.completeness} completeness, {own.duplicates} duplicates, {own.stages} stages"
    told = f"{weights}, {own.contacts} contacts ({own.outdated_months} months)"
    return replace(kpi, definition=f"{kpi.id}/1 own weights: {told}")


def filled_cells(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Filled required cells of open deals over all of them; n: required cells. Cut by owner or size."""
    rows: list[dict[str, object]] = []
    if cut is None:
        rows = [
            _row(month, None, scored.filled, scored.required, scored.reason)
            for month, scored in facts.completeness.items()
        ]
    else:
        found = {
            month: {group.group: group for group in scored.groups}
            for month, scored in _split(facts, cut).items()
        }
        every = sorted({UNKNOWN, *(name for groups in found.values() for name in groups)})
        for month, groups in found.items():
            rows += [
                _row(month, name, groups[name].filled, groups[name].required, None)
                if name in groups
                else _row(month, name, 0, 0, "no open deals in it")
                for name in every
            ]
    return _doubted(rows, _guessed(facts))


def _split(facts: Facts, cut: str) -> Mapping[str, Completeness]:
    """Month -> completeness with its parts: by owner, or by the size that all numbers of a deal are cut by (R15)."""
    if cut == "owner":
        return facts.completeness_by(cut)
    sizes = facts.deals.select("external_id", segment="size")
    opened = facts.open_deals.drop("segment").join(sizes, on="external_id", how="left", maintain_order="left")
    moments = facts.moments
    done = completeness_over(
        opened, facts.raw_frames, facts.company, facts.info, [*moments.values()], "segment"
    )
    return {month: done[moment] for month, moment in moments.items()}


def scores(facts: Facts) -> pl.LazyFrame:
    """Cleanliness, 0 to 100; numerator and denominator are left out, the score has four."""
    rows = [
        {"month": month, "segment": None, "value": score.score, "numerator": None, "denominator": None, "n": None,
         "reason": score.reason}
        for month, score in facts.cleanliness.items()
    ]  # fmt: skip
    of_now = [
        f"accounts.{field}"
        for field in _COMPARED
        if facts.info is not None and not facts.info.reconstructed("accounts", field, facts.known_at)
    ]
    return _doubted(rows, (*_guessed(facts), *of_now))


def _of_the_past(facts: Facts) -> bool:
    return facts.info is not None and facts.known_at < facts.info.refreshed_at


def _guessed(facts: Facts) -> tuple[str, ...]:
    """The required fields whose value at a past ``known_at`` nobody has kept (R1): today's stands in for it."""
    info = facts.info
    if info is None or not _of_the_past(facts):
        return ()
    kept = TABLES["deals"]
    return tuple(
        f"deals.{field}"
        for field in facts.company.required_deal_fields
        if field not in kept or not info.reconstructed("deals", field, facts.known_at)
    )


def _doubted(rows: Sequence[Mapping[str, object]], guessed: Sequence[str]) -> pl.LazyFrame:
    """The rows as a measure, each defined value with what of it is today's."""
    measure = measures.measure(pl.LazyFrame(rows, schema=MEASURE))
    if not guessed:
        return measure
    note = f"not reconstructed, today's values stand in: {', '.join(guessed)} (see history_coverage)"
    return measure.with_columns(
        reason=pl.when(pl.col("value").is_not_null()).then(pl.lit(note)).otherwise("reason")
    )


def cells_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: every open deal with the number of its required fields that are filled, the emptiest first."""
    fields = [score.field for score in facts.completeness[month].fields if score.measurable]
    opened = opened_at(facts.raw_frames, facts.company, [facts.moments[month]], facts.known_at)
    cells = cells_over(opened, facts.raw_frames, facts.company, fields)
    blank = pl.concat_list(pl.when(~pl.col(f"cell {name}")).then(pl.lit(in_words(name))) for name in fields)
    names = blank.list.drop_nulls().list.join(", ") if fields else pl.lit("")
    filled = pl.sum_horizontal(pl.lit(0), *(pl.col(f"cell {name}").cast(pl.Int64) for name in fields))
    rows = cells.with_columns(object=pl.lit("deals"), contribution=filled, _blank=names).with_columns(
        note=pl.when(pl.col("_blank") != "")
        .then(pl.format("blank: {}", "_blank"))
        .otherwise(pl.lit("all filled"))
    )
    if cut == "owner":
        rows = named(rows.with_columns(group="owner_id"), facts.raw_frames, cut).with_columns(owner="group")
    elif cut is not None:
        traits = facts.deals.select("external_id", cut)
        rows = rows.join(traits, on="external_id", how="left", maintain_order="left")
    return measures.opened(rows, cut).sort("contribution", maintain_order=True)


def parts_behind(facts: Facts, month: str) -> pl.DataFrame:
    """Evidence: the four parts of the score with what each contributes."""
    scored = facts.cleanliness[month]
    rows = [
        {"object": "score", "external_id": part.id, "name": part.label,
         "contribution": None if part.share is None else part.weight * (1 - part.share),
         "note": part.reason or f"{part.faulty} of {part.total}, weight {part.weight}"}
        for part in scored.parts
    ]  # fmt: skip
    return measures.opened(pl.DataFrame(rows, schema=EVIDENCE))


def _row(
    month: str, segment: str | None, have: int | None, want: int | None, reason: str | None
) -> dict[str, object]:
    return {
        "month": month,
        "segment": segment,
        "value": have / want if have is not None and want else None,
        "numerator": have,
        "denominator": want,
        "n": want,
        "reason": reason,
    }
