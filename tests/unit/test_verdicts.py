"""Small companies on either side of a threshold (definition book, 7b): their status, and the sentence that says why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from metrics import playbook
from metrics.compute import compute, settled
from metrics.judge import Judge
from metrics.kpi import KpiValue, Status
from pipeline.company import Company
from tests.unit.books import Books, at, only

MONTH = "2026-06"
NOW = at("2026-06-30", 23)


def judged(books: Books, book: str, kpi: str, **settings: Any) -> KpiValue:
    facts = books.facts(MONTH, now=NOW, **settings)
    return only(compute(facts, [kpi], judge=Judge(playbook.load(book))))


def base(customers: int, arr: int = 1000, start: str = "2024-06-01") -> Books:
    """Customers of 1,000 ARR each, live for five years."""
    books = Books()
    for number in range(customers):
        books.account(f"c{number}")
        books.won(f"d{number}", f"c{number}", start, arr, 60)
    return books


def moved(customers: int, by: int) -> Books:
    """The base of a year ago, and what its first customer added or lost (whole units)."""
    books = base(customers)
    kind = "Expansion" if by > 0 else "Downgrade"
    left, number = abs(by), 0
    while left:
        step = min(left, 900)  # a customer keeps something
        books.won(f"m{number}", f"c{number}", "2026-03-01", step, 12, type=kind)
        left, number = left - step, number + 1
    return books


def churned(customers: int, gone: int) -> Books:
    books = base(customers)
    for number in range(gone):
        books.won(f"x{number}", f"c{number}", "2026-03-01", 1000, 12, type="Churn")
    return books


def decided(won: int, lost: int) -> Books:
    books = Books()
    books.account("a")
    for number in range(won + lost):
        last = "Won" if number < won else "Lost"
        books.deal(
            f"d{number}", "2026-03-01", (("2026-03-02", "Discovery"), ("2026-05-05", last)),
            account_id="a", close_date="2026-05-05", arr=100, term_months=12,
        )  # fmt: skip
    return books


def covered(pipeline: int, quota: int = 1000) -> Books:
    books = Books()
    books.account("a")
    books.deal(
        "p", "2026-01-05", stage="Discovery", account_id="a", close_date="2026-06-20", amount=pipeline * 100
    )
    books.quota("2026-04-01", quota)
    return books


def grown(then: int, now: int, months: int) -> Books:
    """Ten customers; ARR went from one amount to the other in the last months, in whole units."""
    books = Books()
    started = (date(2026, 6, 30) - timedelta(days=30 * months - 15)).isoformat()
    for number in range(10):
        books.account(f"c{number}")
        books.won(f"d{number}", f"c{number}", "2023-01-01", then // 10, 60)
    books.won("more", "c0", started, now - then, 60, type="Expansion")
    return books


def filled(cells: int) -> Books:
    """Ten open deals with six required cells each, of which some are filled."""
    books = Books()
    books.account("a")
    names = ("account_id", "owner_id", "next_step", "amount", "close_date")
    values: dict[str, Any] = {
        "account_id": "a", "owner_id": "o", "next_step": "call", "amount": 100, "close_date": "2026-09-17",
    }  # fmt: skip
    left = cells - 10  # every deal has a stage
    for number in range(10):
        here = names[: max(0, min(5, left))]
        left -= len(here)
        books.deal(f"d{number}", "2026-06-02", stage="Discovery", **{name: values[name] for name in here})
    return books


Case = tuple[str, str, Books, Status, str | None]
CASES: list[Case] = [
    # 100 customers with 100,000 a year before; 110 % is not "above 110 %".
    ("supply_chain", "nrr", moved(100, 10_001), "on_target", "is 110.001%, above 110.0%: healthy."),
    ("supply_chain", "nrr", moved(100, 10_000), "watch", "is 110.0%, at most 110.0%: set a baseline"),
    ("hr_tech", "nrr", moved(100, -1), "off_target", "is 99.999%, below 100.0%: the existing base shrinks"),
    ("hr_tech", "nrr", moved(100, 0), "watch", "is 100.0%, below 105.0%: below the target"),
    ("hr_tech", "nrr", moved(100, 4_999), "watch", "is 104.999%, below 105.0%"),
    ("hr_tech", "nrr", moved(100, 5_000), "on_target", "is 105.0%, at least 105.0%."),
    ("dev_tools", "nrr", moved(100, -1), "off_target", "is 99.999%, below 100.0%: a leak: churn of small teams"),
    ("dev_tools", "nrr", moved(100, 0), "no_target", None),
    ("dev_tools", "nrr", moved(100, 20_000), "no_target", None),
    ("dev_tools", "nrr", moved(100, 20_001), "watch", "is 120.001%, above 120.0%: shift to new logos"),
    ("hr_tech", "grr", moved(100, -20_000), "no_target", None),
    ("hr_tech", "grr", moved(100, -20_001), "off_target", "is 79.999%, below 80.0%: product-market fit or impl"),
    ("supply_chain", "grr", moved(100, -20_000), "no_target", None),
    ("supply_chain", "grr", moved(100, -20_001), "off_target", "is 79.999%, below 80.0%: more than 20% of ARR was"),
    ("dev_tools", "grr", moved(100, -20_001), "no_target", None),
    ("supply_chain", "logo_churn", churned(100, 20), "no_target", None),
    ("supply_chain", "logo_churn", churned(100, 21), "off_target", "is 21.0%, above 20.0%: more than 20% of customers"),
    ("hr_tech", "logo_churn", churned(100, 21), "no_target", None),
    ("supply_chain", "win_rate", decided(20, 80), "no_target", None),
    ("supply_chain", "win_rate", decided(19, 81), "off_target", "is 19.0%, below 20.0%: product-market fit or sales"),
    ("hr_tech", "win_rate", decided(1, 99), "no_target", None),
    ("dev_tools", "win_rate", decided(1, 99), "no_target", None),
    ("supply_chain", "pipeline_coverage", covered(2999), "off_target", "is 2.999×, below 3.00×: it signals future"),
    ("supply_chain", "pipeline_coverage", covered(3000), "on_target", "is 3.00×, at most 5.00×."),
    ("supply_chain", "pipeline_coverage", covered(5000), "on_target", "is 5.00×, at most 5.00×."),
    ("supply_chain", "pipeline_coverage", covered(5001), "watch", "is 5.001×, above 5.00×: this much suggests stale"),
    ("hr_tech", "pipeline_coverage", covered(1), "no_target", None),
    ("dev_tools", "pipeline_coverage", covered(1), "no_target", None),
    # 100,000 x 1.15^3 = 152,087.50
    ("dev_tools", "arr_growth_mom", grown(100_000, 152_087, 2), "off_target", "over three months, below 15.0%"),
    ("dev_tools", "arr_growth_mom", grown(100_000, 152_088, 2), "on_target", "over three months, at least 15.0%"),
    # At $1M the year counts and no longer the month.
    ("dev_tools", "arr_growth_mom", grown(900_000, 1_000_000, 2), "no_target", None),
    ("dev_tools", "arr_growth_yoy", grown(500_000, 999_990, 9), "no_target", None),
    ("dev_tools", "arr_growth_yoy", grown(1_000_000, 1_799_990, 9), "off_target", "is 79.999%, below 80.0%"),
    ("dev_tools", "arr_growth_yoy", grown(1_000_000, 1_800_000, 9), "on_target", "is 80.0%, at least 80.0%."),
    ("dev_tools", "arr_growth_yoy", grown(4_000_000, 4_999_990, 9), "off_target", "a company of $1M to $5M ARR"),
    ("dev_tools", "arr_growth_yoy", grown(4_000_000, 5_000_000, 9), "no_target", None),
    ("supply_chain", "arr_growth_yoy", grown(4_000_000, 4_000_010, 9), "no_target", None),
    ("supply_chain", "field_completeness", filled(48), "on_target", "is 80.0%, at least 80.0%."),
    ("supply_chain", "field_completeness", filled(47), "off_target", "is 78.3%, below 80.0%: fix this before chasing"),
    ("hr_tech", "field_completeness", filled(10), "no_target", None),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case[0]} {case[1]} {index}" for index, case in enumerate(CASES)]
)
def test_a_company_on_either_side(case: Case) -> None:
    book, kpi, books, status, sentence = case
    value = judged(books, book, kpi)
    assert value.status == status, (value.value, value.reasons)
    if sentence is None:
        assert value.verdict is None
    else:
        assert value.verdict is not None
        assert value.verdict.startswith(f"{value.title} ({value.period})")
        assert sentence in value.verdict


def test_amounts_of_a_playbook_are_converted() -> None:
    """$1M is 800,000 EUR at 0.8: a company of 900,000 EUR is judged by the year. Without a rate nothing is guessed."""
    company = Company(name="test", currency="EUR")
    books = grown(500_000, 900_000, 9)
    for deal in books.rows["deals"]:
        deal["currency"] = "EUR"
    assert judged(books, "dev_tools", "arr_growth_yoy", company=company).status == "no_target"
    books.rate("USD", "2020-01-01", "0.8")
    assert judged(books, "dev_tools", "arr_growth_yoy", company=company).status == "on_target"
    assert judged(books, "dev_tools", "arr_growth_mom", company=company).status == "no_target"


def test_a_target_of_the_clients_own_comes_from_the_file(tmp_path: Any) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(
        "period,segment,metric,value,source,as_of\n"
        "2026-Q2,,pipeline_coverage,3.5,board,2026-01-01\n"
        "2026-Q2,size=Enterprise,win_rate,0.3,board,2026-01-01\n"
        "2026-Q1,,arr,5,board,2026-01-01\n"
        "2026-Q2,,avg_deal_size,2,board,2026-01-01\n"
    )
    books = covered(3000)
    value = judged(books, "hr_tech", "pipeline_coverage", inputs={"targets": path})
    assert (value.status, value.verdict) == (
        "off_target", "Pipeline coverage (2026-Q2) is 3.00×, below the client's target of 3.50×.",
    )  # fmt: skip
    assert value.target == "the client's own: 3.50×"
    shipped = judged(covered(5001), "supply_chain", "pipeline_coverage", inputs={"targets": path})
    assert shipped.status == "watch", "the playbook's own line comes first"
    size = judged(decided(20, 80), "hr_tech", "avg_deal_size", inputs={"targets": path})
    assert (size.status, size.target) == ("off_target", "the client's own: $2"), "won for $1 each"


def test_a_faulty_targets_file_leaves_the_playbooks_verdicts(tmp_path: Any) -> None:
    path = tmp_path / "targets.csv"
    path.write_text("period,segment\n")
    value = judged(moved(100, -1), "hr_tech", "nrr", inputs={"targets": path})
    assert (value.status, value.target) == ("off_target", "105–120%, red below 100%")


@pytest.mark.parametrize(
    ("asked_on", "back"),
    [
        ("2026-06-30", 3),
        ("2026-07-29", 2),
        ("2026-08-28", 2),
        ("2026-08-29", 1),
        ("2026-09-27", 1),
        ("2026-09-28", 0),
    ],
)
def test_which_month_had_been_over_for_ninety_days(asked_on: str, back: int) -> None:
    """30 June + 90 days = 28 September; 31 May + 90 = 29 August; 30 April + 90 = 29 July; 31 March + 90 = 29 June."""
    facts = Books().facts(MONTH, now=at(asked_on))
    assert settled(facts, MONTH, 90) == back


@pytest.mark.parametrize(
    ("spent", "size", "status", "sentence"),
    [  # new ARR of 1,200 at a margin of 80 % is 80 a month, of each size
        (1440, "Enterprise", "no_target", None),
        (
            1448, "Enterprise", "off_target",
            "CAC payback by size: Enterprise (2025-Q3..2026-Q2) is 18.1 months, above 18 months: "
            "a warning sign for enterprise deals.",
        ),
        (1448, "SMB", "no_target", None),
    ],
)  # fmt: skip
def test_the_payback_of_enterprise_customers_warns_above_18_months(
    tmp_path: Any, spent: int, size: str, status: Status, sentence: str | None
) -> None:
    books = base(1)
    for band in ("Enterprise", "SMB"):
        for number in range(10):  # fewer would be a low sample
            books.account(f"{band} {number}", segment=band)
            books.won(f"new {band} {number}", f"{band} {number}", "2026-05-01", 120, 36)
    months = [*(f"2025-{number:02d}" for number in range(4, 13)), "2026-01", "2026-02", "2026-03"]
    rows = [f"{month},,people,0,size={band}" for month in months for band in ("Enterprise", "SMB")]
    rows += [f"2026-02,x,people,{spent},size={band}" for band in ("enterprise", "smb")]
    files = {"spend": ["month,channel,kind,amount,segment", *rows], "margin": ["quarter,stream,pct"]}
    files["margin"] += [
        f"{quarter},subscription,80%" for quarter in ("2025-Q3", "2025-Q4", "2026-Q1", "2026-Q2")
    ]
    inputs = {}
    for kind, lines in files.items():
        inputs[kind] = tmp_path / f"{kind}.csv"
        inputs[kind].write_text("\n".join(lines))
    facts = books.facts(MONTH, now=NOW, inputs=inputs)
    values = compute(facts, ["cac_payback_months"], ("size",), Judge(playbook.load("hr_tech")))
    value = only(values, segment={"size": size})
    assert value.value == pytest.approx(spent / 80)
    assert (value.status, value.verdict) == (status, sentence), value.reasons


@pytest.mark.parametrize(
    ("settings", "status", "sentence"),
    [
        ({}, "on_target", "is 9.5%, at most 10.0%."),
        (
            {"error_over": "forecast"},
            "off_target",
            "is 10.5%, above 10.0%: the board sees this number first.",
        ),
    ],
)
def test_the_same_miss_passes_or_fails_by_what_it_is_divided_by(
    settings: dict[str, Any], status: Status, sentence: str
) -> None:
    """Section 9: forecast 380, won 420; 40 / 420 passes a limit of 10 %, 40 / 380 does not."""
    books = Books()
    books.account("a")
    for name, amount, last in (("won", 340, "Won"), ("half", 80, "Won")):
        books.deal(
            name, "2026-04-02", (("2026-04-02", "Discovery"), ("2026-05-05" if name == "half" else "2026-04-10", last)),
            account_id="a", close_date="2026-05-05" if name == "half" else "2026-04-10", amount=amount * 100,
        )  # fmt: skip
    facts = books.facts(MONTH, now=at("2026-07-20"), forecast=settings)
    value = only(
        compute(facts, ["forecast_accuracy_error"], judge=Judge(playbook.load("supply_chain"))), month=MONTH
    )
    assert value.status == status
    assert value.verdict is not None
    assert sentence in value.verdict
