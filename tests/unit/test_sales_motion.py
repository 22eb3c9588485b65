"""What the numbers of the sales motion are made of: levers, cells, stages side by side, targets, evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any

import pytest

from metrics import stage_table, velocity
from metrics.compute import compute, registered
from metrics.facts import Facts
from pipeline.company import Company
from tests.unit.books import Books, at, only

MARCH = at("2026-03-31")


def sold(
    books: Books, key: str, qualified: str, closed: str, arr: int, stage: str = "Won", **values: Any
) -> None:
    """A decided new-business deal; ARR in whole units."""
    history = ((qualified, "Discovery"), (closed, stage))
    given: dict[str, Any] = {
        "account_id": "A",
        "close_date": closed,
        "arr": arr * 100,
        "term_months": 12,
    } | values
    books.deal(key, history=history, **given)


def two_quarters() -> Facts:
    """SMB wins every second deal of 900: 2 opportunities in 30 days, then 4 in 60. Enterprise comes in with one win."""
    books = Books()
    books.account("A", segment="SMB")
    sold(books, "won before", "2025-10-11", "2025-11-10", 900, motion="inbound")
    sold(books, "lost before", "2025-10-11", "2025-11-10", 900, "Lost", motion="inbound")
    sold(books, "won", "2026-01-10", "2026-03-11", 900, motion="inbound")
    sold(books, "lost", "2026-01-10", "2026-03-11", 900, "Lost", motion="inbound")
    for number in range(2):
        books.deal(f"open {number}", history=(("2026-01-10", "Discovery"),), account_id="A", motion="inbound")
    sold(books, "large", "2026-01-10", "2026-03-11", 6000, segment="Enterprise", motion="outbound")
    return books.facts("2025-12", "2026-03", now=MARCH)


def test_levers_share_the_change_of_a_cell_by_their_logarithms() -> None:
    facts = two_quarters()
    values = {value.month: value.value for value in compute(facts, ["sales_velocity"])}
    assert values == {"2025-12": 3000, "2026-03": 3000 + 10_000}  # 30 a day in both, and 1 x 6000 / 60
    changes = dict(velocity.levers(facts, "2026-03", "2025-12").select("lever", "change").iter_rows())
    assert changes == pytest.approx(
        {
            "opportunities": 3000 * log(2),
            "deal_size": 0,
            "win_rate": 0,
            "cycle_days": -3000 * log(2),
            "cells": 10_000,
        }
    )
    back = velocity.levers(facts, "2025-12", "2026-03")
    assert dict(back.select("lever", "change").iter_rows()) == pytest.approx(
        {lever: -change for lever, change in changes.items()}
    )
    assert back["share"].sum() == pytest.approx(1)


def test_nothing_has_no_levers() -> None:
    facts = two_quarters()
    same = velocity.levers(facts, "2026-03", "2026-03")
    assert same["change"].to_list() == [0, 0, 0, 0, 0]
    assert same["share"].to_list() == [None] * 5
    with pytest.raises(KeyError, match="do not cover 2025-09"):
        velocity.levers(facts, "2026-03", "2025-09")


def test_by_size_and_motion_velocity_adds_up_by_industry_it_need_not() -> None:
    books = Books()
    books.account("A", segment="SMB", industry="Retail")
    books.account("B", segment="SMB", industry="Energy")
    sold(books, "a", "2026-02-09", "2026-03-11", 900)  # Retail: 1 x 900 x 1 / 30 = 30 a day
    sold(books, "b", "2026-01-10", "2026-03-11", 900, "Lost", account_id="B")  # Energy: no win
    facts = books.facts("2026-03", now=MARCH)

    def parts(cut: str) -> dict[str, float | None]:
        return {value.segment[cut]: value.value for value in compute(facts, ["sales_velocity"], (cut,))}

    whole = only(compute(facts, ["sales_velocity"])).value
    assert whole == 3000  # 2 x 900 x 1/2 / 30
    assert parts("size") == {"SMB": 3000, "unknown": None}
    assert parts("motion") == {"unknown": 3000}
    assert parts("industry") == {"Energy": None, "Retail": 3000, "unknown": None}


def test_wins_without_arr_in_a_currency_without_rate_give_no_size() -> None:
    books = Books()
    books.account("A")
    sold(books, "franc", "2026-02-09", "2026-03-11", 900, currency="CHF")
    books.deal("open", "2026-02-01", history=(("2026-02-09", "Discovery"),), account_id="A")
    values = {value.id: value for value in compute(books.facts("2026-03", now=MARCH))}
    assert values["sales_velocity"].value is None
    assert values["cycle_days_weighted"].value is None
    assert "1 without ARR" in values["cycle_days_weighted"].reasons[0]
    assert values["cycle_days_median"].value == 30


@pytest.mark.parametrize(
    "name", ["win_rate_cohort", "sales_velocity", "cycle_days_weighted", "poc_conversion"]
)
def test_evidence_adds_up(name: str) -> None:
    books = Books()
    books.account("A", segment="SMB")
    sold(books, "won", "2026-02-09", "2026-03-11", 900, created="2026-02-01", pilot=True, pilot_start="2026-02-10",
         pilot_converted="2026-03-11")  # fmt: skip
    sold(books, "lost", "2026-02-09", "2026-03-11", 900, "Lost", created="2026-02-01", pilot=True)
    books.deal("open", "2026-02-01", history=(("2026-02-09", "Discovery"),), account_id="A")
    facts = books.facts("2026-03", now=MARCH)
    value = only(compute(facts, [name]))
    wanted = value.value if name == "sales_velocity" else value.numerator
    evidence = registered()[name].evidence(facts, "2026-03")
    assert wanted
    assert evidence["contribution"].sum() == (wanted if name == "sales_velocity" else pytest.approx(wanted))
    assert evidence["external_id"].is_unique().all()
    assert evidence["note"].null_count() == 0


def test_the_records_of_velocity_add_up_to_the_cent_however_it_is_cut() -> None:
    """A yield of 62.5 cents and three of 8 1/3: 87.5, so 88 (half-even), of which 62 are Enterprise's, the first."""
    books = Books()
    books.account("A", industry="Retail")
    sold(
        books, "won", "2026-01-10", "2026-03-11", 10, segment="SMB", motion="inbound"
    )  # 10 x 1/2 / 60 days a day
    sold(books, "lost", "2026-01-10", "2026-03-11", 10, "Lost", segment="SMB", motion="inbound")
    books.deal(
        "open", history=(("2026-01-10", "Discovery"),), account_id="A", segment="SMB", motion="inbound"
    )
    sold(books, "large", "2026-02-23", "2026-03-11", 10, segment="Enterprise", motion="outbound")  # 10 / 16
    facts = books.facts("2026-03", now=MARCH)
    kpi = registered()["sales_velocity"]
    assert only(compute(facts, [kpi.id])).value == 88
    assert kpi.evidence(facts, "2026-03")["contribution"].sum() == 88
    found = {}
    for cut in ("size", "motion", "industry", "owner"):
        records = kpi.evidence(facts, "2026-03", cut)
        for value in compute(facts, [kpi.id], (cut,)):
            mine = records.filter(segment=value.segment[cut])["contribution"].sum()
            assert mine == (value.value or 0), value.segment
            found[cut, value.segment[cut]] = value.value
    assert found == {
        ("size", "Enterprise"): 62, ("size", "SMB"): 26, ("size", "unknown"): None,
        ("motion", "inbound"): 25, ("motion", "outbound"): 63, ("motion", "unknown"): None,
        ("industry", "Retail"): 88, ("industry", "unknown"): None, ("owner", "unknown"): 88,
    }  # fmt: skip


def test_evidence_of_velocity_names_the_inputs_of_a_deal() -> None:
    facts = two_quarters()
    notes = dict(
        registered()["sales_velocity"].evidence(facts, "2026-03").select("external_id", "note").iter_rows()
    )
    assert notes["large"] == "Enterprise x outbound: qualified 2026-01-10; won 2026-03-11, $6,000.00, 60 days"
    assert notes["lost"] == "SMB x inbound: qualified 2026-01-10; lost 2026-03-11"
    assert notes["open 0"] == "SMB x inbound: qualified 2026-01-10"


def test_evidence_of_a_cycle_and_of_a_bottleneck_says_from_when_to_when() -> None:
    books = Books()
    books.account("A")
    sold(books, "won", "2026-02-09", "2026-03-11", 900)
    sold(books, "retro", "2026-03-10", "2026-03-11", 900, created="2026-03-10")
    for number in range(3):
        books.deal(f"open {number}", history=(("2026-03-01", "Discovery"),), account_id="A")
    facts = books.facts("2026-03", now=MARCH)
    cycle = registered()["cycle_days_median"].evidence(facts, "2026-03")
    assert cycle.select("external_id", "contribution", "note").rows() == [
        ("won", 30, "2026-02-09 to 2026-03-11"),
        ("retro", 0, "2026-03-10 to 2026-03-11, left out: entered when it was already closed"),
    ]
    stage = registered()["stage_days"].evidence(facts, "2026-03")
    assert stage.select("external_id", "contribution", "note").rows() == [
        ("open 0", 30, "in Discovery since 2026-03-01"),
        ("open 1", 30, "in Discovery since 2026-03-01"),
        ("open 2", 30, "in Discovery since 2026-03-01"),
        ("won", 30, "left Discovery 2026-03-11, went on"),
        ("retro", 1, "left Discovery 2026-03-11, went on"),
    ]


def test_days_are_those_of_the_company() -> None:
    """Four in the morning UTC is still the evening before in New York."""
    books = Books()
    books.account("A")
    books.deal("d", history=(("2026-01-05", "Prospecting"),), account_id="A", close_date="2026-03-11")
    books.change("d", "stage", datetime(2026, 2, 10, 4, tzinfo=UTC), "Prospecting", "Discovery")
    books.change("d", "stage", at("2026-03-11"), "Discovery", "Won")
    books.rows["deals"][0]["stage"] = "Won"
    for zone, days in (("America/New_York", 30), ("UTC", 29)):
        facts = books.facts("2026-03", now=MARCH, timezone=zone)
        assert only(compute(facts, ["cycle_days_median"])).value == days


def test_without_creation_dates_and_history_no_cycle_is_made_up() -> None:
    books = Books()
    books.account("A")
    books.won("d", "A", "2026-03-11", 100)
    books.rows["deals"][0]["created_at"] = None
    books.rows["deal_changes"].clear()
    values = {value.id: value for value in compute(books.facts("2026-03", now=MARCH))}
    assert values["cycle_days_median"].value is None
    assert "1 entered when it was already closed" in values["cycle_days_median"].reasons[0]
    assert values["win_rate_cohort"].value is None


def test_deals_without_stage_history_are_in_no_stage_and_counted() -> None:
    books = Books()
    books.account("A")
    for number in range(6):
        books.deal(f"open {number}", stage="Discovery", account_id="A")
    books.rows["deal_changes"].clear()
    value = only(compute(books.facts("2026-03", now=MARCH), ["stage_days"]))
    assert value.value is None
    assert value.reasons == (
        "no new-business deal was in a stage in use in four quarters; 6 deals without stage history left out",
    )


def side_by_side() -> Books:
    """Five deals that leave Discovery after 10 days, and three that sit in it at the end of March."""
    books = Books()
    books.account("A", segment="SMB")
    left = (("2026-01-01", "Discovery"), ("2026-01-11", "Proposal"), ("2026-01-16", "Lost"))
    for number in range(4):
        books.deal(f"gone {number}", account_id="A", history=left)
    back = (("2026-01-01", "Prospecting"), ("2026-01-05", "Proposal"), ("2026-01-11", "Discovery"))
    books.deal("skips", account_id="A", history=(*back, ("2026-01-21", "Won")))
    for key, since, amount, currency in (
        ("fresh", "2026-03-16", 1, "USD"),
        ("old", "2026-03-15", 20, "EUR"),  # 7 dollars at the end of March
        ("blank", "2026-01-15", None, "USD"),
    ):
        books.deal(key, history=((since, "Discovery"),), account_id="A", amount=amount, currency=currency)
    books.change("old", "amount", "2026-04-05", "7", "20")
    books.change("old", "currency", "2026-04-05", "USD", "EUR")
    return books


def test_stages_side_by_side() -> None:
    facts = side_by_side().facts("2026-03", now=at("2026-04-30"))
    rows = {row["stage"]: row for row in stage_table.table(facts).iter_rows(named=True)}
    assert list(rows) == ["Prospecting", "Discovery", "Proposal"]
    # Days in Discovery: 10 five times, then 15, 16 and 75; what is older than 15 is old.
    wanted = {"n": 8, "median_days": 10, "p75_days": 15.25, "target_days": None, "norm_days": 10, "left": 5,
              "went_on": 5, "conversion": 1, "conversion_of_quarter": 1, "skips": 1, "back_moves": 0, "open": 3,
              "older": 2, "older_value": 7}  # fmt: skip
    assert {name: rows["Discovery"][name] for name in wanted} == wanted
    # Proposal: 5 days four times and 6; back to Discovery once, and skipped on the way from there to the win.
    wanted = {"n": 5, "median_days": 5, "p75_days": 5, "left": 5, "went_on": 1, "conversion": 0.2, "skips": 1,
              "back_moves": 1, "open": 0, "older": 0, "older_value": 0}  # fmt: skip
    assert {name: rows["Proposal"][name] for name in wanted} == wanted
    first = {"n": 1, "median_days": 4, "norm_days": None, "left": 1, "went_on": 1, "older": 0}
    assert {name: rows["Prospecting"][name] for name in first} == first


def test_a_target_of_the_targets_file_says_which_stage_is_slow(tmp_path: Path) -> None:
    file = tmp_path / "targets.csv"
    file.write_text(
        "period,segment,metric,value,source,as_of\n"
        "2026-Q1,,stage_days:discovery,20,CRO,2026-01-01\n"
        "2026-Q1,,stage_days: Proposal ,2,CRO,2026-01-01\n"
        "2026-Q1,size=SMB,stage_days:Discovery,1,CRO,2026-01-01\n"
        "2025-Q4,,stage_days:Discovery,1,CRO,2026-01-01\n"
    )
    company = Company.model_validate({"name": "test", "currency": "USD", "inputs": {"targets": file}})
    facts = side_by_side().facts("2026-03", now=at("2026-04-30"), company=company)
    value = only(compute(facts, ["stage_days"]))
    assert value.value == 5  # 5 / 2 is slower than 10 / 20
    assert (
        "bottleneck Proposal (p75 5 days; 1 of the 5 that left it went on); target 2 days"
        in value.reasons[-1]
    )
    by_size = {value.segment["size"]: value.value for value in compute(facts, ["stage_days"], ("size",))}
    assert by_size == {"SMB": 10, "unknown": None}
    rows = {row["stage"]: row for row in stage_table.table(facts).iter_rows(named=True)}
    assert (rows["Discovery"]["target_days"], rows["Discovery"]["norm_days"], rows["Discovery"]["older"]) == (
        20,
        20,
        1,
    )


def test_a_pilot_stage_is_known_by_its_name_from_the_qualified_stage_on() -> None:
    books = Books()
    books.rows["stages"][0] |= {"stage": "Trial Signup", "label": "Trial Signup"}
    books.rows["stages"][3] |= {"stage": "s4", "label": "Technical POC"}
    books.account("A")
    books.deal("poc", history=(("2026-01-01", "Trial Signup"), ("2026-01-10", "s4"), ("2026-02-09", "Won")),
               account_id="A", close_date="2026-02-09")  # fmt: skip
    books.deal("signed up", history=(("2026-01-01", "Trial Signup"), ("2026-02-09", "Won")), account_id="A",
               close_date="2026-02-09")  # fmt: skip
    values = {
        value.id: value
        for value in compute(books.facts("2026-03", now=MARCH), ["poc_days", "poc_conversion"])
    }
    assert (values["poc_days"].value, values["poc_conversion"].n) == (30, 1)


def test_a_meeting_that_is_still_to_come_is_none() -> None:
    books = Books()
    books.account("A")
    sold(books, "won", "2026-03-01", "2026-03-11", 900)
    books.meeting("won", "2026-03-05", None)
    assert only(compute(books.facts("2026-03", now=MARCH), ["cycle_days_weighted"])).value == 6
    books.rows["meetings"][0]["deleted_at"] = at("2026-03-20")
    assert only(compute(books.facts("2026-03", now=MARCH), ["cycle_days_weighted"])).value == 10
    later = {"deleted_at": None, "starts_at": at("2026-03-11", 9), "ends_at": at("2026-03-11", 14)}
    books.rows["meetings"][0] |= later
    assert only(compute(books.facts("2026-03", now=MARCH), ["cycle_days_weighted"])).value == 0
    noon = books.facts("2026-03", now=at("2026-03-11"))  # won at noon, and still in the meeting
    assert only(compute(noon, ["cycle_days_weighted"])).value == 10
