"""Our ARR against a billing export: sums that tie, and the cause of each difference."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from metrics.compute import compute
from metrics.facts import Facts
from metrics.reconciliation import AGREES, gaps, reconcile
from tests.unit.books import Books, at, only
from tests.unit.test_kpi_cases import written


def against(books: Books, folder: Path, rows: list[list[str]], now: str = "2026-06-30") -> Facts:
    path = written(folder, "billing", rows)
    return books.facts("2026-05", "2026-06", now=at(now), inputs={"billing": path})


def causes(facts: Facts) -> dict[str, tuple[int, int, int, str]]:
    found = reconcile(facts).filter(month="2026-06")
    return {row[0]: row[1:] for row in found.select("name", "ours", "theirs", "difference", "cause").rows()}


def month(*rows: tuple[str, str]) -> list[list[str]]:
    return [[customer, "2026-06", arr, "USD"] for customer, arr in rows]


def test_every_cause(tmp_path: Path) -> None:
    books = Books()
    for account in (
        "same",
        "ended",
        "coming",
        "faulty",
        "nothing",
        "absent",
        "new",
        "before",
        "less",
        "more",
        "cut",
    ):
        books.account(account)
    books.account("expired")
    books.won("same", "same", "2026-01-01", 10)
    books.won("ended", "ended", "2025-05-20", 10)
    books.won("coming", "coming", "2026-08-01", 10, close_date="2026-06-01")
    books.won("faulty", "faulty", "2026-01-01", 10, -12)
    books.won("absent", "absent", "2026-01-01", 10)
    books.won("new", "new", "2026-06-10", 10)
    books.won("before", "before", "2026-01-01", 10)
    books.won("before more", "before", "2026-06-10", 5, type="Expansion")
    books.won("less", "less", "2026-01-01", 10)
    books.won("more", "more", "2026-01-01", 10)
    books.won("cut", "cut", "2026-01-01", 10)
    books.won("cut too", "cut", "2026-01-01", 7, -12)
    books.won("expired", "expired", "2025-06-20", 10)
    books.deal("waiting", stage="Proposal", type="Renewal", account_id="expired")
    rows = month(
        ("same", "10"), ("ended", "10"), ("coming", "10"), ("faulty", "10"), ("nothing", "10"), ("before", "10"),
        ("less", "9.99"), ("more", "11"), ("cut", "17"), ("Stranger Inc", "3"),
    )  # fmt: skip
    assert causes(against(books, tmp_path, rows)) == {
        "same": (1000, 1000, 0, AGREES),
        "ended": (0, 1000, -1000, "our last contract ended 2026-05-20"),
        "coming": (0, 1000, -1000, "our contract is signed and starts 2026-08-01"),
        "faulty": (0, 1000, -1000, "a won deal is left out of our ARR: dates reversed"),
        "nothing": (0, 1000, -1000, "no won deal of this customer brings ARR"),
        "absent": (1000, 0, 1000, "not in the export"),
        "new": (1000, 0, 1000, "our contract started 2026-06-10: not billed yet"),
        "before": (1500, 1000, 500, "the export still has our ARR of the month before"),
        "less": (1000, 999, 1, "less is billed than contracted"),
        "more": (1000, 1100, -100, "more is billed than contracted"),
        "cut": (1000, 1700, -700, "more is billed, and a won deal is left out of our ARR: dates reversed"),
        "expired": (
            1000,
            0,
            1000,
            "our contract expired 2026-06-20 with its renewal open, and is not billed any more",
        ),
        "Stranger Inc": (0, 300, -300, "no account of the CRM matches this customer of the export"),
    }


def test_it_ties_to_the_cent_and_is_said_beside_arr(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    books.account("A2", parent_id="A")
    books.account("B")
    books.rate("EUR", "2025-01-01", "1.005")
    books.won("a", "A", "2026-01-01", 100, currency="EUR")
    books.won("a2", "A2", "2026-01-01", 1)
    books.won("b", "B", "2026-01-01", 50)
    rows = [
        ["A", "2026-06", "60.00", "EUR"],
        ["A2", "2026-06", "40.01", "EUR"],
        ["B", "2026-06-15", "50.00", "USD"],
        ["B", "2026-05", "49.00", "USD"],
        ["B", "2026-06", "3.00", "CHF"],
    ]
    facts = against(books, tmp_path, rows)
    # 60.00 x 1.005 = 60.30; 40.01 x 1.005 = 40.21005 -> 40.21
    table = reconcile(facts).filter(month="2026-06")
    assert table.select("customer", "ours", "theirs", "difference", "cause").rows() == [
        ("A", 10_150, 10_051, 99, "billed in EUR, contracted in EUR, USD"),
        ("B", 5_000, 5_000, 0, "billed in CHF, which has no exchange rate"),
    ]
    assert gaps(facts).rows() == [
        ("2026-05", 15_150, 4_900, 10_250, 2, 0),
        ("2026-06", 15_150, 15_051, 99, 2, 1),
    ]
    value = only(compute(facts, ["arr"]), month="2026-06")
    assert (value.value, value.reasons) == (
        15_150,
        ("$0.99 more than the billing export's $150.51; 1 of 2 customers agree",),
    )
    parts = compute(facts, ["arr"], ("size",))
    assert all(not part.reasons for part in parts)


def test_a_month_that_the_export_does_not_cover_is_not_compared(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    books.won("a", "A", "2026-01-01", 10)
    facts = against(books, tmp_path, [["A", "2026-05", "10", "USD"]])
    assert gaps(facts)["month"].to_list() == ["2026-05"]
    told = {value.month: value.reasons for value in compute(facts, ["arr"])}
    assert told == {
        "2026-05": ("the billing export has the same total; 1 of 1 customers agree",),
        "2026-06": (),
    }


def test_a_faulty_export_takes_nothing_from_arr(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    books.won("a", "A", "2026-01-01", 10)
    facts = against(books, tmp_path, [["A", "June", "10", "USD"]])
    value = only(compute(facts, ["arr"]), month="2026-06")
    assert value.value == 1_000
    assert value.reasons[0].startswith("not compared with the billing export: ")
    assert "billing.csv line 2" in value.reasons[0]


def test_without_an_export_there_is_nothing_to_compare() -> None:
    books = Books()
    books.account("A")
    books.won("a", "A", "2026-01-01", 10)
    facts = books.facts("2026-06")
    assert reconcile(facts).is_empty()
    assert gaps(facts).is_empty()
    assert only(compute(facts, ["arr"])).reasons == ()
    assert reconcile(facts).schema["theirs"] == pl.Int64
