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
from metrics.deals import in_some_currency
from metrics.facts import Facts
from metrics.kpi import EVIDENCE, MEASURE, Kpi
from metrics.words import UNKNOWN, in_percent
from pipeline.company import Company, QualitySettings
from pipeline.quality import Completeness, cells_over, completeness_over, opened_at
from pipeline.required import in_words, measurable
from pipeline.scores import named, weights_of

# What the score is made of, beside the fields that completeness asks for.
_SCORED: Final = ("completeness", "duplicates", "stages", "contacts", "outdated_months")
_COMPARED: Final = ("name", "domain", "parent_id")  # what tells that two accounts are one


def configured(kpi: Kpi, company: Company) -> Kpi:
    """Cleanliness as the company's settings make it: other weights, or another time, are another definition."""
    own, usual = company.quality, QualitySettings()
    if all(getattr(own, name) == getattr(usual, name) for name in _SCORED):
        return kpi
    weights = f"{own.completeness} completeness, {own.duplicates} duplicates, {own.stages} stages"
    told = f"{weights}, {own.contacts} contacts ({own.outdated_months} months)"
    return replace(kpi, definition=f"{kpi.id}/1 own weights: {told}")


def completed(kpi: Kpi, company: Company) -> Kpi:
    """Completeness as the company's settings make it: by amount it is no quotient of cells any more."""
    own, told, formula = company.quality, [], kpi.definition.removeprefix(f"{kpi.id}/1: ")
    if own.completeness_by == "amount":
        told.append("by amount")
        formula = f"{formula}, each deal at its amount"
        kpi = replace(kpi, parts=(None, None))
    weighed = {name: own.field_weights.get(name, 1) for name in company.required_deal_fields}
    if len(set(weighed.values())) > 1:
        told.append("own weights")
        formula = (
            f"{formula}, {', '.join(f'{in_words(name)} {weight:g}' for name, weight in weighed.items())}"
        )
    if own.required_from:
        told.append("by stage")
        gates = (f"{in_words(name)} from {stage} on" for name, stage in own.required_from.items())
        formula = f"{formula}, {', '.join(gates)}"
    return replace(kpi, definition=f"{kpi.id}/1 {', '.join(told)}: {formula}") if told else kpi


def filled_cells(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Filled required cells of open deals over all of them; n: required cells. Cut by owner or size.

    Beside it, or in its place (`quality.completeness_by: amount`), the same with each deal at its amount.
    """
    rows: list[dict[str, object]] = []
    if cut is None:
        rows = [
            _row(month, None, scored.have, scored.want, scored.required, scored.reason)
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
                _row(month, name, groups[name].have, groups[name].want, groups[name].required or 0, None)
                if name in groups
                else _row(month, name, 0, 0, 0, "no open deals in it")
                for name in every
            ]
    cells = measures.measure(pl.LazyFrame(rows, schema=MEASURE))
    return _doubted(_by_value(facts, cells, cut), _guessed(facts))


def _by_value(facts: Facts, cells: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    """The measure with the share by value beside it, or in its place."""
    keys = ["month", "segment"]
    valued = cells.join(
        _valued_cells(facts, cut).lazy(), on=keys, how="left", nulls_equal=True, maintain_order="left"
    )
    there, alike = pl.col("value").is_not_null(), pl.col("value")
    by_value = pl.col("_have") / pl.when(pl.col("_want") > 0).then("_want")
    if facts.company.quality.completeness_by == "cells":
        told = pl.when(there).then(pl.format("by value {}", in_percent(by_value)))
        return measures.measure(valued.with_columns(reason=pl.coalesce("reason", told)))
    none = pl.lit(None, dtype=pl.Float64)
    others = pl.format("cells alike {}", in_percent(alike))
    return measures.measure(
        valued.with_columns(
            value=pl.when(there).then(by_value),
            numerator=none,
            denominator=none,
            reason=pl.when(there & by_value.is_null())
            .then(pl.lit("no open deal has an amount to weigh it with"))
            .otherwise(pl.coalesce("reason", others)),
        )
    )


def _valued_cells(facts: Facts, cut: str | None) -> pl.DataFrame:
    """month, segment, _have, _want: the weights of the filled, and of all, required cells, times their deals' amounts.

    An amount is that of D at the rate of D, in the report's currency; a blank or negative one, or one in a currency
    without a rate, weighs nothing.
    """
    fields = [name for name in facts.company.required_deal_fields if measurable(facts.info, name)]
    weights = weights_of(facts.company, fields)
    names = {moment: month for month, moment in facts.moments.items()}
    cells = cells_over(facts.open_deals, facts.raw_frames, facts.company, fields).with_columns(
        month=pl.col("at").replace_strict(names, return_dtype=pl.String),
    )
    dated = in_some_currency(cells, facts.home_currency).join(
        facts.periods.select("month", "day"), on="month"
    )
    of_cell = {name: pl.col(f"cell {name}") for name in weights}
    heavy = (cell.cast(pl.Float64).fill_null(0) * weights[name] for name, cell in of_cell.items())
    whole = (cell.is_not_null().cast(pl.Float64) * weights[name] for name, cell in of_cell.items())
    rows = facts.rates.convert(dated, "amount", "day", "_value").with_columns(
        pl.col("_value").fill_null(0).clip(lower_bound=0),
        _heavy=pl.sum_horizontal(pl.lit(0.0), *heavy),
        _whole=pl.sum_horizontal(pl.lit(0.0), *whole),
    )
    group = pl.lit(None, dtype=pl.String)
    if cut == "size":
        rows, group = _with_size(facts, rows), pl.col("segment").fill_null(UNKNOWN)
    elif cut is not None:
        rows = named(rows.with_columns(group="owner_id"), facts.raw_frames, cut)
        group = pl.col("group")
    return rows.group_by("month", segment=group).agg(
        _have=(pl.col("_value") * pl.col("_heavy")).sum(),
        _want=(pl.col("_value") * pl.col("_whole")).sum(),
    )


def _split(facts: Facts, cut: str) -> Mapping[str, Completeness]:
    """Month -> completeness with its parts: by owner, or by the size that all numbers of a deal are cut by (R15)."""
    if cut == "owner":
        return facts.completeness_by(cut)
    moments = facts.moments
    done = completeness_over(
        _with_size(facts, facts.open_deals),
        facts.raw_frames,
        facts.company,
        facts.info,
        [*moments.values()],
        "segment",
    )
    return {month: done[moment] for month, moment in moments.items()}


def _with_size(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of deals with their size, as all numbers of a deal are cut by it, for ``segment``."""
    sizes = facts.deals.select("external_id", segment="size")
    return rows.drop("segment").join(sizes, on="external_id", how="left", maintain_order="left")


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
    return _doubted(measures.measure(pl.LazyFrame(rows, schema=MEASURE)), (*_guessed(facts), *of_now))


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


def _doubted(measure: pl.LazyFrame, guessed: Sequence[str]) -> pl.LazyFrame:
    """The measure, each defined value with what of it is today's."""
    if not guessed:
        return measure
    note = f"not reconstructed, today's values stand in: {', '.join(guessed)} (see history_coverage)"
    there = measure.filter(pl.col("value").is_not_null()).select("month", "segment", note=pl.lit(note))
    return measures.explained(measure, there)


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
    month: str, segment: str | None, have: float, want: float, cells: int, reason: str | None
) -> dict[str, object]:
    return {
        "month": month,
        "segment": segment,
        "value": have / want if want else None,
        "numerator": have,
        "denominator": want,
        "n": cells,
        "reason": reason,
    }
