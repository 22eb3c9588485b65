"""What stands beside numbers whose ARR comes from elsewhere: evidence, what is left out, caveats, faulty lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.source import FieldState
from metrics import caveats
from metrics.compute import bridge_detail, compute, registered
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.left_out import left_out
from pipeline.company import ArrSettings, Company
from pipeline.records import SourceInfo
from tests.unit.books import NOW, Books, at, only
from tests.unit.test_kpi_cases import written

INFO = SourceInfo("test", "salesforce", "USD", {}, {}, frozenset(), (), "", at("2026-06-30"))
BRIDGED = ("arr", "carr", "arr_new_logo", "nrr", "grr", "logo_churn", "arr_growth_mom")


def kpi(name: str) -> Kpi:
    return registered()[name]


def notes(facts: Facts, month: str) -> dict[str, str]:
    found = kpi("arr").evidence(facts, month)
    return dict(found.select("external_id", "note").rows())


def listed(books: Books, folder: Path, rows: list[list[str]], **arr: Any) -> Facts:
    path = written(folder, "opening_arr", rows)
    settings = arr or {"source": "opening_arr"}
    return books.facts("2025-06", "2026-06", inputs={"opening_arr": path}, arr=settings)


def test_fallbacks_are_flagged_where_the_number_is_opened() -> None:
    books = Books()
    for account in "ABCD":
        books.account(account)
    books.won("plain", "A", "2025-01-01", 10)
    books.won("no start", "B", "2025-01-01", 10, start_date=None)
    books.won("no term", "C", "2025-01-01", 10, None)
    books.won("old", "D", "2023-01-01", 10)
    facts = books.facts("2025-06", arr={"auto_renew": True})
    assert notes(facts, "2025-06") == {
        "plain": "2025-01-01 to 2027-01-01; renewed by itself",
        "no start": "2025-01-01 to 2027-01-01; start assumed: close date; renewed by itself",
        "no term": "2025-01-01 to 2027-01-01; term assumed: 12 months; renewed by itself",
        "old": "2023-01-01 to 2027-01-01; renewed by itself",
    }


def test_what_goes_on_under_a_delta_renewal_says_so_and_is_opened_as_its_own_deal() -> None:
    books = Books()
    books.account("A")
    books.won("base", "A", "2024-06-01", 100)
    books.won("renewal", "A", "2025-06-01", 10, type="Renewal")
    facts = books.facts("2025-06", arr={"renewal": "delta"})
    found = kpi("arr").evidence(facts, "2025-06")
    assert found.select("external_id", "contribution", "note").rows() == [
        ("base", 10_000.0, "2025-06-01 to 2026-06-01; goes on under its renewal"),
        ("renewal", 1_000.0, "2025-06-01 to 2026-06-01"),
    ]


def test_contracts_of_a_list_are_opened_by_their_line(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    facts = listed(
        books,
        tmp_path,
        [["A", "", "10", "USD", "2025-01-01"], ["Z", "", "7", "USD", "2025-01-01", "2025-08-01"]],
    )
    found = kpi("arr").evidence(facts, "2025-06")
    assert found.rows() == [
        ("opening_arr", "line 2", "A", 1_000.0, "2025-01-01 to open"),
        ("opening_arr", "line 3", "Z", 700.0, "2025-01-01 to 2025-08-01"),
    ]
    accounts = kpi("arr_churn").evidence(facts, "2026-06")
    assert accounts.is_empty()
    assert bridge_detail(facts).filter(customer="Z (not in the CRM)", month="2025-06")["name"].to_list() == [
        "Z"
    ]


def test_rows_of_a_list_that_do_not_count_are_listed(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    rows = [
        ["A", "", "10", "USD", "2024-01-01"],
        ["A", "", "20", "USD", "2025-02-01"],
        ["Z", "", "30", "USD", "2024-01-01"],
        ["A", "", "40", "CHF", "2024-02-01"],
    ]
    facts = listed(books, tmp_path, rows, deals_from="2025-01-01")
    found = left_out(facts).select("object", "external_id", "name", "reason", "amount", "value")
    assert found.rows() == [
        ("opening_arr", "line 5", "A", "currency without an exchange rate", 4_000, None),
        (
            "opening_arr",
            "line 4",
            "Z",
            "no account matches it: what deals change about it could not be told",
            3_000,
            3_000,
        ),
        (
            "opening_arr",
            "line 3",
            "A",
            "starts on or after 2025-01-01, from when the deals count",
            2_000,
            2_000,
        ),
    ]


LOST = [
    ["A", "", "10", "USD", "2024-01-01"],
    ["Yeti", "", "12000", "USD", "2024-01-01"],
    ["Zorg", "", "3000", "USD", "2024-06-01", "2025-05-01"],
]


def test_customers_of_a_list_without_an_account_are_named_where_arr_is_printed(tmp_path: Path) -> None:
    """Left out of ARR, and of what is made of it, as long as they could have been in either end of it."""
    books = Books()
    books.account("A")
    books.deal("open", stage="Discovery", account_id="A")
    facts = listed(books, tmp_path, LOST, deals_from="2025-01-01")
    both = (
        "customers of the opening list left out, for no account matches: Yeti $12,000.00, Zorg $3,000.00, $15,000.00"
        " in all"
    )
    alone = "customers of the opening list left out, for no account matches: Yeti $12,000.00"
    values = compute(facts, ["arr", "nrr", "arr_churn", "win_rate"])
    assert only(values, id="arr", month="2025-06").value == 10_00
    for kpi_id in ("arr", "nrr", "arr_churn"):
        assert both in only(values, id=kpi_id, month="2025-06").reasons
        assert alone in only(values, id=kpi_id, month="2026-06").reasons
    assert not any("Yeti" in reason for reason in only(values, id="win_rate", month="2025-06").reasons)
    assert (
        "(Yeti $12,000.00, Zorg $3,000.00, $15,000.00 in all a year)"
        in said(facts)["Customers of the opening list"]
    )


def test_those_that_count_without_an_account_are_named_in_the_whole_and_in_unknown(tmp_path: Path) -> None:
    books = Books()
    books.account("A", segment="SMB")
    facts = listed(books, tmp_path, LOST)
    alone = "customers of the opening list counted without an account: Yeti $12,000.00"
    assert alone in only(compute(facts, ["arr"]), month="2026-06").reasons
    parts = {one.segment["size"]: one for one in compute(facts, ["arr"], ("size",)) if one.month == "2026-06"}
    assert (parts["unknown"].value, parts["SMB"].value) == (12_000_00, 10_00)
    assert alone in parts["unknown"].reasons
    assert alone not in parts["SMB"].reasons
    assert left_out(facts).select("external_id", "name", "kpis", "value").rows() == [
        ("line 3", "Yeti", "ARR by segment", 12_000_00),
        ("line 4", "Zorg", "ARR by segment", 3_000_00),
    ]


def test_deals_that_a_list_stands_for_are_not_listed_as_faulty(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    books.won("old and faulty", "A", "2024-01-01", None, -12)
    books.won("new and faulty", "A", "2025-03-01", None, -12)
    facts = listed(books, tmp_path, [["A", "", "10", "USD", "2024-01-01"]], deals_from="2025-01-01")
    assert left_out(facts)["external_id"].to_list() == ["new and faulty"]
    alone = listed(books, tmp_path, [["A", "", "10", "USD", "2024-01-01"]])
    assert left_out(alone).is_empty()


def test_trust_is_measured_over_the_deals_that_can_count(tmp_path: Path) -> None:
    """Deals before the list gives way may lack every field: nothing stands on them."""
    books = Books()
    for number in range(12):
        books.account(f"a{number}")
        books.won(f"old{number}", f"a{number}", "2024-01-01", None, None)
        books.won(f"new{number}", f"a{number}", "2025-03-01", 10)
    rows = [[f"a{number}", "", "10", "USD", "2024-01-01", "2025-01-01"] for number in range(12)]
    facts = listed(books, tmp_path, rows, deals_from="2025-01-01")
    assert only(compute(facts, ["arr"]), month="2025-06").status == "no_target"
    assert only(compute(books.facts("2025-06"), ["arr"]), month="2025-06").status == "unreliable"


def test_a_faulty_list_costs_the_numbers_of_arr_and_no_other(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2026-05-10", 10, history=[("2026-04-02", "Discovery"), ("2026-05-10", "Won")])
    facts = listed(books, tmp_path, [["A", "", "ten", "USD", "2024-01-01"]])
    values = {(value.id, value.month): value for value in compute(facts)}
    for name in BRIDGED:
        assert values[name, "2026-06"].value is None
        assert "opening_arr.csv line 2" in values[name, "2026-06"].reasons[0]
    assert values["win_rate", "2026-06"].value == 1
    assert left_out(facts).is_empty()
    assert bridge_detail(facts).is_empty()


def said(facts: Facts) -> dict[str, str]:
    return {caveat.title: caveat.text for caveat in caveats.of(facts, INFO, [])}


def test_a_list_that_nothing_reads_is_a_caveat(tmp_path: Path) -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2025-01-01", 10)
    path = written(tmp_path, "opening_arr", [["A", "", "10", "USD", "2024-01-01"]])
    unread = books.facts("2025-06", inputs={"opening_arr": path})
    assert "no number counts it" in said(unread)["Opening list not read"]
    facts = listed(books, tmp_path, [["Z", "", "10", "USD", "2024-01-01"]])
    assert "Opening list not read" not in said(facts)
    assert (
        "1 of 1 customers of opening_arr.csv matches no account: Z"
        in said(facts)["Customers of the opening list"]
    )


def test_line_items_of_no_kind_are_a_caveat() -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2025-01-01", 10)
    books.line("w", "Seat", None, 1, 10)
    title = "Line items without a kind"
    assert title in said(books.facts("2025-06", arr={"source": "line_items"}))
    assert title not in said(books.facts("2025-06"))
    books.line("w", "Setup", "one_time", 1, 10)
    assert title not in said(books.facts("2025-06", arr={"source": "line_items"}))


@pytest.mark.parametrize(
    ("settings", "kpi_id", "period", "definition"),
    [
        ({}, "nrr", "2024-07..2025-06", "nrr/1: trailing 12 months, cohort point to point, constant rate"),
        (
            {"beside": ["flow"]},
            "nrr",
            "2024-07..2025-06",
            "nrr/1: trailing 12 months, cohort point to point, constant rate",
        ),
        (
            {"nrr": "flow"},
            "nrr",
            "2024-07..2025-06",
            "nrr/1 flow year: opening and the bridge's movements, 12 months, constant rate",
        ),
        (
            {"window": "quarter"},
            "grr",
            "2025-04..2025-06",
            "grr/1 min quarter: min rule per customer, 3 months, constant rate",
        ),
        (
            {"window": "month", "logo_churn": "event"},
            "logo_churn",
            "2025-06",
            "logo_churn/1 event month: customers of the opening that left, each time, 1 month, constant rate",
        ),
    ],
)
def test_another_way_of_retention_is_another_definition(
    settings: dict[str, Any], kpi_id: str, period: str, definition: str
) -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2024-01-01", 10, 36)
    value = only(compute(books.facts("2025-06", retention=settings), [kpi_id]))
    assert (value.period, value.definition) == (period, definition)


def test_what_stands_beside_a_ratio_is_said_with_it() -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2024-01-01", 100, 36)
    books.won("less", "A", "2025-06-10", 15, 12, type="Downgrade")
    wanted = {"beside": ["flow", "month", "event"]}
    values = {value.id: value for value in compute(books.facts("2025-06", retention=wanted))}
    assert values["nrr"].reasons[-1] == (
        "beside it: 85.0 % by flow of movements; 85.0 % by 1 month; "
        "points: seat 0, module 0, other 0, reactivation 0, contraction -15.0, churn 0"
    )
    assert values["grr"].reasons[-1] == "beside it: 85.0 % by flow of movements; 85.0 % by 1 month"
    assert values["logo_churn"].reasons[-1] == "beside it: 0.0 % by events; 0.0 % by 1 month"
    assert Company().retention.beside == ()


def test_contracted_step_ups_are_told_with_other_expansion() -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2024-01-01", None, 36, amount=None)
    books.line("w", "Seat", "seat", 10, 100, term_months=12)
    books.line("w", "Seat", "seat", 10, 108, start_date="2025-01-01")
    facts = books.facts("2025-01", "2025-02", arr={"source": "line_items", "basis": "arr"})
    told = {value.month: value.reasons for value in compute(facts, ["arr_expansion_other"])}
    assert told == {"2025-01": ("of it contracted before (escalator): $8.00",), "2025-02": ()}


def kept_books() -> Books:
    """Four accounts with contracts of the CRM's own, good and not."""
    books = Books()
    for account in "ABCD":
        books.account(account)
    books.won("deal", "A", "2025-01-01", 10, motion="inbound")
    books.contract("good", "A", "2025-01-01", "2025-12-31", 12, name="0001", deal_id="deal")
    books.contract("early", "B", "2025-01-01", "2025-12-31", 24, terminated_date="2025-08-01")
    books.contract("no start", "C", None, "2025-12-31", 36, signed_date="2025-01-01")
    books.contract("draft", "D", "2025-01-01", "2025-12-31", 48, status="Draft")
    books.contract("blank", "D", "2025-01-01", "2025-12-31", None)
    books.contract("nobody's", None, "2025-02-01", "2026-01-31", 60)
    return books


def test_the_crms_own_contracts_are_opened_as_what_they_are() -> None:
    facts = kept_books().facts("2025-06", arr={"source": "contract"})
    found = kpi("arr").evidence(facts, "2025-06").sort("external_id")
    assert found.rows() == [
        ("contracts", "early", "early", 2_400.0, "2025-01-01 to 2025-08-01"),
        ("contracts", "good", "0001", 1_200.0, "2025-01-01 to 2026-01-01"),
        (
            "contracts",
            "no start",
            "no start",
            3_600.0,
            "2025-01-01 to 2026-01-01; start assumed: day it was signed",
        ),
    ]
    whose = dict(facts.customers.select("customer", "motion").rows())
    assert (whose["A"], whose["B"]) == ("inbound", None)


def test_contracts_in_force_that_do_not_count_are_listed_and_drafts_are_not() -> None:
    facts = kept_books().facts("2025-06", arr={"source": "contract"})
    found = left_out(facts).select("object", "external_id", "kpis", "reason", "amount", "value")
    assert found.rows() == [
        ("contracts", "nobody's", "ARR", "no account", 6_000, 6_000),
        ("contracts", "blank", "ARR", "no amount", None, None),
    ]


def test_trust_in_contracts_is_measured_over_those_in_force() -> None:
    books = Books()
    for number in range(10):
        books.account(f"a{number}")
        amount = 12 if number < 8 else None
        books.contract(f"c{number}", f"a{number}", "2025-01-01", "2025-12-31", amount)
        books.contract(f"later{number}", f"a{number}", "2025-07-01", "2025-12-31", None)
        books.contract(f"draft{number}", f"a{number}", "2025-01-01", "2025-12-31", None, status="Draft")
    facts = books.facts("2025-06", "2025-07", arr={"source": "contract"})
    values = {value.month: value for value in compute(facts, ["nrr", "arr"]) if value.id == "arr"}
    assert values["2025-06"].status == "no_target"  # 8 of 10 is enough
    assert values["2025-07"].status == "unreliable"
    assert values["2025-07"].reasons == (
        "amount is known of 40% of the 20 contracts behind this number, less than 80%",
    )


def test_a_past_moment_says_that_contracts_are_todays() -> None:
    books = kept_books()
    hidden = {
        "contracts": {
            "status": FieldState("hidden", "StatusCode"),
            "amount": FieldState("mapped", "Value__c"),
        }
    }
    info = replace(INFO, fields=hidden, refreshed_at=at("2025-12-31"), complete_at=None)
    company = Company(name="test", currency="USD", arr=ArrSettings(source="contract"))
    facts = Facts(company, ["2025-06"], at("2025-06-30"), books.frames(), info)
    value = only(compute(facts, ["arr"]))
    assert value.value == 7_200
    assert value.status == "unreliable"
    assert value.reasons[0] == "contracts.status cannot be seen (StatusCode)"
    assert (
        "not reconstructed, today's values stand in: contracts.account_id, contracts.amount"
        in value.reasons[1]
    )
    today = Facts(company, ["2025-06"], at("2025-12-31"), books.frames(), info)
    assert not any("not reconstructed" in reason for reason in only(compute(today, ["arr"])).reasons)


def test_what_has_not_been_read_is_not_zero() -> None:
    company = Company(name="test", currency="USD", arr=ArrSettings(source="cpq"))
    facts = Facts(company, ["2025-06"], NOW, Books().frames(), replace(INFO, fields={"deals": {}}))
    assert "subscriptions of a CPQ package have not been read yet" in only(compute(facts, ["arr"])).reasons[0]


def test_subscriptions_of_no_kind_are_a_caveat() -> None:
    books = Books()
    books.account("A")
    books.won("w", "A", "2025-01-01", 10)
    books.contract("c", "A", "2025-01-01", "2025-12-31", None)
    books.subscription("s", "c", "Seat", 1, 12)
    title = "Subscriptions without a kind"
    assert title in said(books.facts("2025-06", arr={"source": "cpq"}))
    assert title not in said(books.facts("2025-06"))
    books.subscription("t", "c", "Analytics", 1, 12, kind="module")
    assert title not in said(books.facts("2025-06", arr={"source": "cpq"}))
