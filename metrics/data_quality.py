"""Completeness and cleanliness month by month, as ``pipeline.quality`` scores them (definition book, rulings 35 to 37).

Deals are read at D of each month as known now; duplicates and contacts are always those of now.
"""

from __future__ import annotations

import polars as pl

from metrics import measures
from metrics.facts import Facts
from metrics.kpi import EVIDENCE, MEASURE
from metrics.words import UNKNOWN


def filled_cells(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Filled required cells of open deals over all of them; n: required cells. Cut by owner only."""
    rows: list[dict[str, object]] = []
    if cut is None:
        rows = [
            _row(month, None, scored.filled, scored.required, scored.reason)
            for month, scored in facts.completeness.items()
        ]
    else:
        for month, scored in facts.completeness_by(cut).items():
            rows += [_row(month, group.group, group.filled, group.required, None) for group in scored.groups]
            if UNKNOWN not in {group.group for group in scored.groups}:
                rows.append(_row(month, UNKNOWN, 0, 0, "no open deals"))
    return measures.measure(pl.LazyFrame(rows, schema=MEASURE))


def scores(facts: Facts) -> pl.LazyFrame:
    """Cleanliness, 0 to 100; numerator and denominator are left out, the score has four."""
    rows = [
        {"month": month, "segment": None, "value": score.score, "numerator": None, "denominator": None, "n": None,
         "reason": score.reason}
        for month, score in facts.cleanliness.items()
    ]  # fmt: skip
    return measures.measure(pl.LazyFrame(rows, schema=MEASURE))


def fields_behind(facts: Facts, month: str) -> pl.DataFrame:
    """Evidence: every required field with the number of its cells that are filled."""
    scored = facts.completeness[month]
    rows = [
        {"object": score.object, "external_id": None, "name": score.field, "contribution": float(score.filled),
         "note": f"{score.filled} of {score.required}" if score.measurable else "cannot be seen in this CRM"}
        for score in scored.fields
    ]  # fmt: skip
    return measures.opened(pl.DataFrame(rows, schema=EVIDENCE))


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
