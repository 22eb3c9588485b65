"""Completeness and cleanliness month by month, as ``pipeline.quality`` scores them (kpis.md rulings 35 to 37).

Deals are read at D of each month as known now; duplicates and contacts are always those of now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from metrics import measures
from metrics.facts import Facts
from metrics.kpi import EVIDENCE, MEASURE
from metrics.words import UNKNOWN
from pipeline.quality import cleanliness, completeness
from pipeline.scores import Part


def moments(facts: Facts) -> Iterator[tuple[str, datetime]]:
    """month, the last known instant of its D."""
    for month, day in facts.periods.select("month", "day").iter_rows():
        yield month, facts.calendar.moment(day)


def filled_cells(facts: Facts, cut: str | None) -> pl.DataFrame:
    """Filled required cells of open deals over all of them; n: required cells. Cut by owner only."""
    rows: list[dict[str, object]] = []
    for month, moment in moments(facts):
        if cut is None:
            scored = facts.completeness[month]
            rows.append(_row(month, None, scored.filled, scored.required, scored.reason))
        else:
            scored = completeness(facts.raw_frames, facts.company, facts.info, moment, cut, facts.known_at)
            rows += [_row(month, group.group, group.filled, group.required, None) for group in scored.groups]
            if UNKNOWN not in {group.group for group in scored.groups}:
                rows.append(_row(month, UNKNOWN, 0, 0, "no open deals"))
    return measures.measure(pl.DataFrame(rows, schema=MEASURE))


@dataclass(frozen=True)
class Score:
    """Cleanliness of one month; ``value`` null, with ``reason``, where a part has no base."""

    value: float | None
    parts: tuple[Part, ...]
    reason: str | None


def cleanliness_by_month(facts: Facts) -> dict[str, Score]:
    """Month -> ``pipeline.quality.cleanliness`` at its D as known now.

    The parts about duplicates and contacts are those of now in every month, so they are judged once; the other months
    are scored without accounts and contacts, and those two parts put in.
    """
    empty_ones = {table: facts.raw(table).clear() for table in ("accounts", "contacts")}
    of_deals = {**facts.raw_frames, **empty_ones}
    now = cleanliness(facts.raw_frames, facts.company, facts.info, facts.known_at)
    lasting = {part.id: part for part in now.parts if part.id in ("duplicates", "contacts")}
    found = {}
    for month, moment in moments(facts):
        done = facts.completeness[month]
        scored = cleanliness(of_deals, facts.company, facts.info, moment, facts.known_at, complete=done)
        parts = tuple(lasting.get(part.id, part) for part in scored.parts)
        missing = [f"{part.label.lower()}: {part.reason}" for part in parts if part.share is None]
        shares = [(part.weight, part.share) for part in parts if part.share is not None]
        value = None if missing else sum(weight * (1 - share) for weight, share in shares)
        found[month] = Score(value, parts, "; ".join(missing) or None)
    return found


def scores(facts: Facts) -> pl.DataFrame:
    """Cleanliness, 0 to 100; numerator and denominator are left out, the score has four."""
    rows = [
        {"month": month, "segment": None, "value": score.value, "numerator": None, "denominator": None, "n": None,
         "reason": score.reason}
        for month, score in cleanliness_by_month(facts).items()
    ]  # fmt: skip
    return measures.measure(pl.DataFrame(rows, schema=MEASURE))


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
    scored = cleanliness_by_month(facts)[month]
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
