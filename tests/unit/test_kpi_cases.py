"""The definition book as data: worked examples and rulings, each a small set of books and the numbers it must give."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from metrics.compute import bridge, compute, evidence, registered
from metrics.facts import Facts
from metrics.kpi import KpiValue
from metrics.nrr_points import PARTS, points
from metrics.retention import variants
from tests.unit.books import Books, at, days_later

CASES = Path(__file__).parents[1] / "cases" / "kpis"
Case = dict[str, Any]
VARIANT = ("kpi", "how", "window", "month", "value")
HEADERS = {
    "opening_arr": ("customer_key", "product", "arr", "currency", "start", "end", "source", "as_of"),
    "billing": ("customer_key", "month", "arr", "currency", "source", "as_of"),
}


class Words(yaml.SafeLoader):
    """YAML in which a date stays the text it is."""


Words.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in yaml.load(path.read_text(encoding="utf-8"), Words)
    ]


def books_of(case: Case) -> Books:
    books = Books()
    _accounts(books, case)
    for key, account, start, arr, term, *more in case.get("won", ()):
        books.won(key, account, start, arr, term, **_in_cents(more[0] if more else {}))
    for key, account, start, cents, currency in case.get("won_in_cents", ()):
        books.won(key, account, start, None, currency=currency)
        books.rows["deals"][-1]["arr"] = cents
    for deal, product, kind, quantity, amount, *more in case.get("lines", ()):
        books.line(deal, product, kind, quantity, amount, **(more[0] if more else {}))
    for deal, product, kind, quantity, cents, currency in case.get("lines_in_cents", ()):
        books.line(deal, product, kind, quantity, 0, currency=currency)
        books.rows["line_items"][-1]["amount"] = cents
    for key, account, start, end, amount, *more in case.get("contracts", ()):
        books.contract(key, account, start, end, amount, **(more[0] if more else {}))
    for key, contract, product, quantity, price, *more in case.get("subscriptions", ()):
        books.subscription(key, contract, product, quantity, price, **(more[0] if more else {}))
    for currency, start, rate in case.get("rates", ()):
        books.rate(currency, start, rate)
    for start, amount, *currency in case.get("quotas", ()):
        books.quota(start, amount, *currency)
    _sales(books, case)
    _leads(books, case)
    return books


def _accounts(books: Books, case: Case) -> None:
    parents, merged = case.get("parents", {}), case.get("merged", {})
    traits = case.get("accounts", {})
    named = {account for _, account, *_ in case.get("won", ()) if account} | {
        *traits,
        "A",
        "B",
        "C",
        *parents,
        *merged,
    }
    for account in sorted({*named, *parents.values(), *merged.values()}):
        gone = {"deleted_at": at("2025-06-01"), "merged_into": merged[account]} if account in merged else {}
        size = {"segment": case["sizes"][account]} if account in case.get("sizes", {}) else {}
        known = gone | size | traits.get(account, {})
        books.account(account, parent_id=parents.get(account), **known)
    for key, values in case.get("contacts", ()):
        books.contact(str(key), **values)


def _sales(books: Books, case: Case) -> None:
    for count, outcome, size, arr, *more in case.get("closed", ()):
        for number in range(count):
            values = {"close_date": "2026-02-10", "segment": size, "arr": arr * 100, "term_months": 12}
            history = (("2026-01-05", "Discovery"), ("2026-02-10", outcome))
            books.deal(f"{outcome} {size} {number}", history=history, **values | (more[0] if more else {}))
    copies = [
        (f"{key} {number}", *rest) for count, key, *rest in case.get("copies", ()) for number in range(count)
    ]
    for key, stage, close, arr, history, *more in [*case.get("deals", ()), *copies]:
        extra = _in_cents(more[0] if more else {})
        values = {
            "close_date": close,
            "arr": None if arr is None else arr * 100,
            "term_months": 12,
            "account_id": "A",
        }
        books.deal(key, history=[tuple(entry) for entry in history], **values | extra)
        assert books.rows["deals"][-1]["stage"] == stage
    for key, amount, close, *more in case.get("open", ()):
        extra = _in_cents(more[0] if more else {})
        created = extra.pop("created", "2026-01-03")
        cents = None if amount is None else amount * 100
        books.deal(key, created, **{"stage": "Discovery", "amount": cents, "close_date": close} | extra)
    for deal, day, completed, *contact in case.get("meetings", ()):
        books.meeting(deal, day, completed, *contact)
    for contact, deal in case.get("became", ()):
        books.lead(f"lead of {deal}", "2020-01-02", converted_contact_id=contact, converted_deal_id=deal)
    for deal, field, day, old, new in case.get("changes", ()):
        books.change(deal, field, day, old, new)
    for row in books.rows["stages"]:
        row["probability"] = case.get("probabilities", {}).get(row["stage"], row["probability"])
    _past(books, case)


def _past(books: Books, case: Case) -> None:
    """Deals of earlier quarters: in a stage from the quarter's first day on, won or lost 50 days later."""
    for stage, amount, quarters, *more in case.get("past", ()):
        for first, (count, won) in quarters.items():
            ends = days_later(first, 50)
            for number in range(count):
                history = ((first, stage), (ends, "Won" if number < won else "Lost"))
                values = {"amount": amount * 100, "close_date": ends} | (more[0] if more else {})
                key = f"{stage} {values.get('segment')} {first} {number}"
                books.deal(key, first, history=history, **values)


def _leads(books: Books, case: Case) -> None:
    for count, created, dates in case.get("leads_alike", ()):
        for _ in range(count):
            books.lead(f"lead {len(books.rows['leads'])}", created, **dates)
    for key, created, source, *more in case.get("leads", ()):
        books.lead(key, created, source, **(more[0] if more else {}))


def _in_cents(values: dict[str, Any]) -> dict[str, Any]:
    known = dict(values)
    if isinstance(known.get("amount"), int) and known["amount"] < 1000:
        known["amount"] *= 100
    if isinstance(known.get("deleted_at"), str):
        known["deleted_at"] = at(known["deleted_at"])
    return known


def facts_of(case: Case, folder: Path) -> Facts:
    now = datetime.fromisoformat(case.get("now", "2026-12-31")).replace(hour=12, tzinfo=UTC)
    settings = dict(case.get("settings", {}))
    files = {kind: written(folder, kind, case[kind]) for kind in HEADERS if kind in case}
    for kind, text in case.get("files", {}).items():  # the lines of input files by their kind
        files[kind] = folder / f"{kind}.csv"
        files[kind].write_text(text, encoding="utf-8")
    return books_of(case).facts(*case["months"], now=now, inputs=files, **settings)


def written(folder: Path, kind: str, rows: list[list[str]]) -> Path:
    """An input file; a row may leave out its last cells."""
    header = HEADERS[kind]
    path = folder / f"{kind}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *([*row, *[""] * (len(header) - len(row))] for row in rows)])
    return path


def test_the_evidence_of_nrr_tells_what_moved_each_customer(tmp_path: Path) -> None:
    """Data A: of 100 to 130 by seats and a module; 20 that left and came back at 25."""
    case = next(
        each.values[0]
        for each in cases()
        if each.values[0]["name"] == "data A, the points of NRR sum to what it is less than 100"
    )
    facts = facts_of(case, tmp_path)
    records = evidence(facts, registered()["nrr"], "2025-12")
    notes = dict(records.select("external_id", "note").rows())
    assert notes["A"] == "$100.00 a year before, $130.00 now; seat $20.00; module $10.00"
    assert notes["G"] == "$20.00 a year before, $25.00 now; reactivation $25.00; churn -$20.00"
    assert notes["D"] == "$40.00 a year before, $40.00 now"


@pytest.mark.parametrize("case", cases())
def test_case(case: Case, tmp_path: Path) -> None:
    facts = facts_of(case, tmp_path)
    named = {
        kpi for part in ("expect", "parts", "reasons", "statuses", "totals") for kpi in case.get(part, {})
    }
    _totals(case, facts, {(value.id, value.month): value for value in compute(facts, sorted(named))})
    table = {row["month"]: row for row in bridge(facts).iter_rows(named=True)}
    for month, columns in case.get("bridge", {}).items():
        assert {name: table[month][name] for name in columns} == columns
    others = (
        {tuple(row[:4]): row[4] for row in variants(facts).select(VARIANT).rows()}
        if "variants" in case
        else {}
    )
    for *way, wanted in case.get("variants", ()):
        assert others[tuple(way)] == pytest.approx(wanted, abs=1e-12), way
    for _, month, amounts, opening in case.get("points", ()):
        _points(facts, month, amounts, opening)
    for cut, kpis in case.get("segments", {}).items():
        parts = {(value.id, value.segment[cut]): value.value for value in compute(facts, kpis, (cut,))}
        want = {(kpi, name): wanted for kpi, found in kpis.items() for name, wanted in found.items()}
        assert parts == pytest.approx(want, abs=1e-12)
    for cut, kpis in case.get("segment_reasons", {}).items():
        told = {(value.id, value.segment[cut]): value.reasons for value in compute(facts, kpis, (cut,))}
        for kpi, reasons in kpis.items():
            for segment, wanted in reasons.items():
                assert wanted in "; ".join(told[kpi, segment]), (kpi, segment, told)


def _points(facts: Facts, month: str, amounts: dict[str, int], opening: int) -> None:
    """The points of NRR in whole units of the opening (whole units), and that they sum to NRR - 1."""
    how, window = facts.company.retention.nrr, facts.company.retention.window
    found = points(facts, how, window).filter(pl.col("month") == month).collect().row(0, named=True)
    assert found["opening"] == opening * 100
    assert {part: found[part] for part in PARTS} == pytest.approx(
        {part: amount / opening for part, amount in amounts.items()}, abs=1e-12
    )
    nrr = next(value for value in compute(facts, ["nrr"]) if value.month == month)
    assert nrr.value == pytest.approx(1 + sum(found[part] for part in PARTS), abs=1e-12)


def _totals(case: Case, facts: Facts, found: dict[tuple[str, str], KpiValue]) -> None:
    """The values of the whole company; ``parts``: numerator, denominator, n; a reason of null: there is none."""
    for kpi, by_month in case["expect"].items():
        for month, wanted in by_month.items():
            got = found[kpi, month].value
            assert got == (wanted if wanted is None else pytest.approx(wanted, rel=1e-12, abs=1e-12)), (
                kpi,
                month,
            )
    for kpi, by_month in case.get("parts", {}).items():
        for month, wanted in by_month.items():
            value = found[kpi, month]
            parts = [value.numerator, value.denominator, value.n]
            assert parts == pytest.approx(wanted, abs=1e-12), (kpi, month)
    for kpi, by_month in case.get("reasons", {}).items():
        for month, wanted in by_month.items():
            told = "; ".join(found[kpi, month].reasons)
            for text in wanted if isinstance(wanted, list) else [wanted]:
                assert told == "" if text is None else text in told, (kpi, month, told)
    for kpi, by_month in case.get("statuses", {}).items():
        for month, status in by_month.items():
            assert found[kpi, month].status == status, (kpi, month, found[kpi, month].reasons)
    for kpi, wanted in case.get("totals", {}).items():
        assert sum(found[kpi, month].value or 0 for month in facts.months) == wanted, kpi


ENOUGH = 3  # hand-worked cases for each KPI
RULES = tuple(f"R{number}" for number in range(1, 16))  # of section 0


def expected_in(case: Case) -> set[str]:
    """The KPIs of which a case names the value, or that there is none."""
    cut = {kpi for kpis in case.get("segments", {}).values() for kpi in kpis}
    return {*case.get("expect", {}), *case.get("totals", {}), *cut}


def test_every_kpi_has_cases_worked_by_hand() -> None:
    counts = Counter(kpi for each in cases() for kpi in expected_in(each.values[0]))
    assert {kpi: counts[kpi] for kpi in registered() if counts[kpi] < ENOUGH} == {}
    assert set(counts) <= set(registered()), "a case speaks of a KPI that is not there"


def test_every_rule_of_the_book_has_a_case() -> None:
    names = [str(each.values[0]["name"]) for each in cases()]
    table = {rule: [name for name in names if re.search(rf"\b{rule}\b", name)] for rule in RULES}
    assert [rule for rule, found in table.items() if not found] == []
