"""Which of a number's input files say something else than when it was published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from metrics.facts import Facts
from metrics.happened import Then
from metrics.inputs import InputFault, Reading, kinds, table
from metrics.kpi import Kpi
from metrics.render.numbers import day as in_words

_QUOTAS: Final = "targets"  # the file that stands in for the CRM's quotas


def of_files(facts: Facts, kpi: Kpi, then: Then, settings: Sequence[str]) -> Iterator[str]:
    """``targets.csv was revised as of 10 June 2026 (line 7)``, for each file that the KPI is made from.

    A file without a row given since, whose digest is another one (``settings``: keys of the configuration that differ,
    ``inputs: KIND`` among them), was rewritten. Quotas that changed in the CRM count as a revised target.
    """
    for kind in kpi.inputs:
        path = getattr(facts.company.inputs, kind)
        if kind == "opening_arr" and not facts.company.arr.reads_list:
            continue
        other = f"inputs: {kind}" in settings
        if path is None:
            if other:
                yield f"the file {kind} is no longer given"
            continue
        try:
            given = table.read(kinds()[kind], path, Reading(facts.calendar, facts.currency))
        except InputFault as fault:
            yield fault.told
            continue
        known = then.known_at.astimezone(facts.company.zone).date()
        # A row of the very day may have come after the number; that the file is another one tells.
        new = pl.col("as_of") >= known if other else pl.col("as_of") > known
        later = given.filter(new, pl.col("as_of") <= facts.calendar.known_day).sort("as_of", "line")
        if not later.is_empty():
            lines = later["line"].to_list()
            more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
            yield f"{path.name} was revised as of {in_words(later['as_of'][-1])} (line {lines[-1]}{more})"
        elif other:
            yield f"{path.name} was rewritten without a later as_of"
    if _QUOTAS in kpi.inputs and _quotas(facts, then):
        yield "quotas were changed in the CRM"


def _quotas(facts: Facts, then: Then) -> bool:
    """Whether a quota of the number's quarter was entered, changed or deleted since."""
    quarter = facts.calendar.quarter(then.day)
    heard = then.recorded.of("quotas").filter(pl.col("recorded_at") > then.known_at)["external_id"]
    dated = pl.any_horizontal(
        pl.col(stamp) > then.known_at for stamp in ("created_at", "modified_at", "deleted_at")
    ).fill_null(value=False)
    mine = facts.raw("quotas").filter(
        pl.col("start_date").is_between(quarter.first, quarter.last),
        dated | pl.col("external_id").is_in(heard.implode()),
    )
    return not mine.is_empty()
