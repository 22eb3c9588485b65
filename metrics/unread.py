"""Rows of the targets file that no number is held against: what they name is nowhere, or cannot be converted.

Only the CRM's records can tell, so the file itself has no fault; but a plan that silently counts for nothing is one
that nobody notices until the quarter is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from connectors import registry
from connectors.spelling import nearest
from metrics.client_targets import needs_rate
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.inputs.targets import QUOTA, STAGE_DAYS
from metrics.kpi_ids import UNITS
from metrics.words import CUTS, UNKNOWN

TABLES: Final = ("accounts", "deals", "exchange_rates", "line_items", "owners", "stages", "subscriptions")
_NAMED: Final = 8  # segments that a sentence lists


def targets(facts: Facts) -> tuple[str, ...]:
    """``targets.csv line 3: ...``, a sentence with the remedy for each such row; a faulty file has none to tell."""
    path = facts.company.inputs.targets
    if path is None:
        return ()
    try:
        rows = facts.input("targets").sort("line")
    except InputFault:
        return ()
    return tuple(
        f"{path.name} line {row['line']}: {text}"
        for row in rows.iter_rows(named=True)
        for text in (_stage(facts, row), _segment(facts, row), _currency(facts, row))
        if text
    )


def _stage(facts: Facts, row: dict[str, Any]) -> str | None:
    stage = str(row["metric"])
    if not stage.startswith(STAGE_DAYS) or facts.stages.is_empty():
        return None
    stage = stage.removeprefix(STAGE_DAYS)
    known = facts.once(_stages)
    if stage.lower() in {name.lower() for name in known}:
        return None
    return f"the CRM has no stage {stage!r}; {_instead(stage, known)}"


def _stages(facts: Facts) -> tuple[str, ...]:
    """Stages by their labels, and the names of those that are called otherwise."""
    table = facts.stages.sort("pipeline", "sort_order")
    return tuple(dict.fromkeys([*table["label"].drop_nulls(), *table["stage"].drop_nulls()]))


def _segment(facts: Facts, row: dict[str, Any]) -> str | None:
    cut, segment, metric = row["cut"], row["segment"], row["metric"]
    if cut is None:
        return None
    kpi_id = "pipeline_coverage" if metric == QUOTA else metric
    kpi = registry.units("metrics.kpis", "KPI")["stage_days" if kpi_id.startswith(STAGE_DAYS) else kpi_id]
    if cut not in kpi.cuts:
        ways = f"it can be cut by {', '.join(kpi.cuts)}" if kpi.cuts else "write it without a segment"
        return f"{kpi.id} cannot be cut by {cut}; {ways}"
    known = facts.once(_SEGMENTS[cut])
    if not known:
        return None  # nothing of the kind has been read yet
    # Targets of KPIs are found however they are spelt; quotas and days only as the segment is printed.
    names = {*known, UNKNOWN}
    if segment in names or (metric in UNITS and segment.lower() in {name.lower() for name in names}):
        return None
    return f"no record lies in {cut}={segment}; {_instead(segment, known)}"


def _instead(word: str, known: tuple[str, ...]) -> str:
    near = nearest(word, known)
    if near:
        return f"did you mean {near}?"
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f"write one of {', '.join(known[:_NAMED])}{more}"


def _currency(facts: Facts, row: dict[str, Any]) -> str | None:
    metric, currency = row["metric"], row["currency"]
    money = metric == QUOTA or UNITS.get(metric) == "currency"
    if not money or currency in facts.rates.currencies:
        return None
    return (
        f"{metric} in {currency}: {needs_rate(currency)} to {facts.currency}; add it in the CRM, or write the amount in"
        f" {facts.currency}"
    )


def _known(facts: Facts, cut: str) -> tuple[str, ...]:
    """The segments of a cut that anything lies in, as they are printed; sizes also by the company's own bands."""
    found: Iterator[str | None]
    if cut == "product":
        sold = (facts.live("line_items"), facts.live("subscriptions"))
        found = (name for frame in sold for column in ("product", "product_id") for name in frame[column])
    elif cut == "owner":
        found = iter(facts.owner_names["owner"])
    elif cut == "pipeline":
        found = iter(facts.pipelines["label"])
    else:
        records = [facts.deals[cut], *([] if cut == "motion" else [facts.accounts[cut]])]
        bands = [band.name for band in facts.company.size_bands] if cut == "size" else []
        own = list(facts.company.source_map) if cut == "motion" else []
        found = iter([*bands, *own, *(name for column in records for name in column.unique())])
    return tuple(sorted({name for name in found if name}))


_SEGMENTS: Final = {cut: partial(_known, cut=cut) for cut in CUTS}
