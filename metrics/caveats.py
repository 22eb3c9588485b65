"""What a company's CRM cannot tell, said before anybody asks: what is missing, what it costs, what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from metrics import unplaced, unread
from metrics.board import Caveat
from metrics.facts import Facts
from metrics.kpi import KpiValue
from pipeline.records import SourceInfo

_HISTORY: Final = ("stage", "amount", "close_date")  # what earlier pipelines are rebuilt from
_NAMED: Final = 5  # rows of a file that a caveat names
_MANY: Final = 0.2  # share of deals from which on an unmapped type is worth a board's time


def of(facts: Facts, info: SourceInfo | None, headline: Sequence[KpiValue]) -> tuple[Caveat, ...]:
    """The caveats of one report; ``headline``: its values, of which the undefined ones are named."""
    if info is None:
        return (
            Caveat(
                "Never synced",
                "Nothing has been read from this company's CRM yet.",
                'Run "boardline sync --once", then this report again.',
            ),
        )
    if info.incomplete:
        return (
            Caveat(
                "Not read to the end",
                "The CRM has not been read to its end yet: every number here counts only what was read so far.",
                'Run "boardline sync --once" until it ends without an error, then this report again.',
            ),
        )
    if not facts.live("deals").height:
        return (
            Caveat(
                "No deals",
                "The CRM shows us no deal as of this moment.",
                'Check with "boardline check" which objects this user may read.',
            ),
        )
    quotas = tuple(_quotas(facts))
    return (
        *_money(facts),
        *_list(facts),
        *_history(facts, info),
        *_types(facts),
        *quotas,
        *_inputs(facts, headline),
        *_targets(facts),
        *_undefined(headline, bool(quotas)),
    )


def _money(facts: Facts) -> Iterator[Caveat]:
    """No terms, no recurring revenue."""
    deals = facts.deals
    won = deals.filter(pl.col("outcome") == "won")
    source = facts.company.arr.source
    if source == "line_items" and not facts.live("line_items")["kind"].is_not_null().any():
        yield Caveat(
            "Line items without a kind",
            "No line item says whether it is sold once, so services count as ARR too.",
            "Name the CRM's field for it under fields: line_items: {kind: ...} (seat, module, one_time, ...).",
        )
    if source == "field" and not deals["arr"].is_not_null().any() and not (deals["term_months"] > 0).any():
        yield Caveat(
            "No contract terms",
            f"None of the {deals.height:,} deals, {won.height:,} of them won, holds an ARR or a term, so every sale"
            " counts as one-time: ARR, its bridge, NRR and GRR say nothing about this company.",
            "Name the CRM's fields for ARR or term and start date under fields: deals: in the configuration.",
        )
    elif facts.company.arr.of_deals and won.height and won["start_assumed"].all():
        yield Caveat(
            "No contract start dates",
            "Contracts are taken to start on the day the deal closed.",
            "Name the CRM's field for the start date under fields: deals: in the configuration.",
        )
    if (
        source == "cpq"
        and not facts.agreements.is_empty()
        and not facts.agreements["kind"].is_not_null().any()
    ):
        yield Caveat(
            "Subscriptions without a kind",
            "No subscription says whether it is a seat or a module, so all expansion counts as other.",
            "Name the CRM's field for it under fields: subscriptions: {kind: ...} (seat, module, one_time, ...).",
        )
    foreign = sorted(set(deals["currency"].drop_nulls().unique()) - set(facts.rates.currencies))
    if foreign:
        yield Caveat(
            "Currencies without a rate",
            f"Amounts in {', '.join(foreign)} cannot be converted and are in no sum.",
            "Add exchange rates for them in the CRM.",
        )


def _list(facts: Facts) -> Iterator[Caveat]:
    """A list that is not read, or whose customers the CRM does not know."""
    if not facts.has_input("opening_arr") or any(f.kind == "opening_arr" for f in facts.input_faults):
        return
    if not facts.company.arr.reads_list:
        yield Caveat(
            "Opening list not read",
            "A list of contracts is given under inputs: opening_arr, but no number counts it.",
            "Say under arr: from which day the deals count (deals_from), or that only the list does"
            " (source: opening_arr).",
        )
        return
    unmatched = facts.unmatched("opening_arr")
    if unmatched:
        where = (
            "they count as customers without size, industry or motion"
            if facts.company.arr.source == "opening_arr"
            else "they are in no ARR, because what deals change about them could not be told"
        )
        yield Caveat(
            "Customers of the opening list",
            f"{unmatched} ({unplaced.amounts(facts)} a year); {where}.",
            "Write the account's id into customer_key.",
        )


def _history(facts: Facts, info: SourceInfo) -> Iterator[Caveat]:
    moves = facts.changes.filter(pl.col("old_value").is_not_null())["field"].unique().to_list()
    missing = [
        field for field in _HISTORY if field not in moves and (field == "stage" or field not in info.history)
    ]
    if missing:
        names = ", ".join(field.replace("_", " ") for field in missing)
        yield Caveat(
            "No history",
            f"The CRM holds no past values of {names}: earlier pipelines are drawn from today's values, and deals won"
            " or lost without a trace of their stages are judged by their dates alone.",
            "Switch on field history for deals, or let Boardline run: it records every change it sees from now on.",
        )


def _types(facts: Facts) -> Iterator[Caveat]:
    unmapped = facts.deals.filter(pl.col("deal_type").is_null())
    if unmapped.height and unmapped.height >= _MANY * facts.deals.height:
        yield Caveat(
            "Deals of unknown type",
            f"{unmapped.height:,} of {facts.deals.height:,} deals have a blank type or one that is not mapped; they are"
            " in the pipeline table, but in no ARR, win rate or coverage.",
            "Map the CRM's types under deal_types: in the configuration and fill the blank ones.",
        )


def _quotas(facts: Facts) -> Iterator[Caveat]:
    if any(fault.kind == "targets" for fault in facts.input_faults):
        return  # nobody knows what it holds
    if not facts.live("quotas").height and facts.input("targets").is_empty():
        yield Caveat(
            "No quotas",
            "Neither the CRM nor a targets file holds a quota, so pipeline coverage cannot be computed.",
            "Give a targets file under inputs: targets: in the configuration.",
        )


def _inputs(facts: Facts, headline: Sequence[KpiValue]) -> Iterator[Caveat]:
    """Faulty input files that no undefined number names already."""
    named = {reason for value in headline for reason in value.reasons}
    for fault in facts.input_faults:
        if fault.reason not in named:
            yield Caveat(
                f"Faulty input file: {fault.kind}",
                f"Numbers that need it are not computable: {fault.told}.",
                'Correct the file; "boardline check" lists its faults.',
            )


def _targets(facts: Facts) -> Iterator[Caveat]:
    """Targets that no number is held against."""
    lost = unread.targets(facts)
    if lost:
        more = f"; and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        yield Caveat(
            "Targets that count for nothing",
            f"In {'; '.join(lost[:_NAMED])}{more}.",
            'Correct the rows; "boardline check" lists all of them.',
        )


def _undefined(headline: Sequence[KpiValue], quotas: bool) -> Iterator[Caveat]:
    """The undefined numbers by their reason. ``quotas``: that there are none has been told already."""
    titles: dict[str, list[str]] = {}
    for value in headline:
        if value.value is None and not (quotas and value.id == "pipeline_coverage"):
            titles.setdefault("; ".join(value.reasons), []).append(value.title)
    for reason, names in titles.items():
        yield Caveat(f"Not computable: {', '.join(names)}", f"{reason[:1].upper()}{reason[1:]}.", "")
