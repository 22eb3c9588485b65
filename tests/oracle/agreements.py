"""What the CRM itself keeps as contracts, row by row: contracts, or the subscriptions of its CPQ package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.record import Record, Truth, add_months, day

EARLY = timedelta(days=3)


@dataclass(frozen=True)
class Kept:
    """One row that is in force: ``end`` is the first day after its last one."""

    customer: int
    type: str
    currency: str
    signed: date
    start: date
    end: date
    terminated: date | None
    arr: int
    product: int | None
    kind: str | None
    quantity: float | None


def kept(truth: Truth, source: str) -> Iterator[Kept]:
    """Those that count: activated, of an account, with an amount and a stretch of time."""
    if source == "contract":
        yield from _contracts(truth)
    elif source == "cpq":
        yield from _subscriptions(truth)


def _contracts(truth: Truth) -> Iterator[Kept]:
    for record in truth.live("contract"):
        customer = truth.customer(record["account"])
        if record["start_date"] is None or record["end_date"] is None:
            continue
        if record["status"] not in truth.ways["arr.in_force"] or customer is None or record["value"] is None:
            continue
        yield Kept(
            customer,
            "renewal" if _of_renewal(truth, record) else "new",
            record["currency"],
            _in_force_since(truth, record),
            day(record["start_date"]),
            day(record["end_date"]) + timedelta(days=1),
            day(record["terminated"]) if record["terminated"] else None,
            round(Fraction(record["value"] * 12, record["term_months"])),
            None,
            None,
            None,
        )


def _subscriptions(truth: Truth) -> Iterator[Kept]:
    rows = {record.key: record for record in truth.live("subscription")}
    first: dict[int, date] = {}
    for record in rows.values():
        start = day(record["start_date"])
        first[record["contract"]] = min(start, first.get(record["contract"], start))
    for record in rows.values():
        contract = truth.records["contract"][record["contract"]]
        customer = truth.customer(record["account"])
        if contract.gone or contract["status"] not in truth.ways["arr.in_force"] or customer is None:
            continue
        if record["unit_price"] is None:
            continue
        start, end = _span(record)
        amount = round(Fraction(record["quantity"]) * record["unit_price"])
        begins = start == first[record["contract"]]
        renews = (begins and _of_renewal(truth, contract)) or _renews(rows, record)
        yield Kept(
            customer,
            "renewal" if renews else "new",
            record["currency"],
            max(_in_force_since(truth, contract), truth.local_day(record.created)),
            start,
            end,
            _terminated(rows, record),
            round(Fraction(amount * 12) / _months(start, end)),
            record["product"],
            record["kind"],
            record["quantity"],
        )


def _in_force_since(truth: Truth, record: Record) -> date:
    """When it was activated; one that never was counts from the win of its deal, else from its own beginning."""
    if record["activated"] is not None:
        return truth.local_day(record["activated"])
    deal = truth.records["deal"][record["deal"]]
    won = None if deal.gone else truth.outcome(deal)[1]
    return won or truth.local_day(record.created)


def _of_renewal(truth: Truth, contract: Record) -> bool:
    deal = truth.records["deal"][contract["deal"]]
    return not deal.gone and truth.type_of(deal) == "renewal"


def _span(record: Record) -> tuple[date, date]:
    return day(record["start_date"]), day(record["end_date"]) + timedelta(days=1)


def _renews(rows: dict[int, Record], record: Record) -> bool:
    """It follows what it names and outlasts it, so it is no change of it."""
    named = rows.get(record["revises"])
    if named is None:
        return False
    (start, end), (_, before) = _span(record), _span(named)
    return start >= before - EARLY and end > before


def _terminated(rows: dict[int, Record], record: Record) -> date | None:
    """When it, or anything that it is a change of, was terminated."""
    found = [day(record["terminated"])] if record["terminated"] else []
    while (named := rows.get(record["revises"])) is not None and not _renews(rows, record):
        record = named
        if record["terminated"]:
            found.append(day(record["terminated"]))
    return min(found, default=None)


def _months(start: date, end: date) -> Fraction:
    """Calendar months from one day to another, a day over being 12/365 of one."""
    whole = 0
    while add_months(start, whole + 1) <= end:
        whole += 1
    return whole + Fraction(12 * (end - add_months(start, whole)).days, 365)
