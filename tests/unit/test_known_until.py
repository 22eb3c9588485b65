"""What was not read is not known: the last complete read bounds every number, and what it cannot tell is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from connectors.errors import ConfigurationError
from connectors.source import Capabilities, FieldState
from metrics.compute import compute, pipeline_by_stage, registered
from metrics.facts import Facts
from metrics.inputs import other_settings, settings_of
from pipeline import mapping
from pipeline.company import Company
from pipeline.records import SourceInfo
from pipeline.unkept import PASTLESS
from tests.unit.books import Books, at

COMPANY = Company(name="test", timezone="America/New_York")
READ = at("2026-02-20")


def info(read: datetime = READ, **columns: FieldState) -> SourceInfo:
    shown = Capabilities("USD", {"deals": columns}, {}, frozenset({"stage"}))
    marks = mapping.marks(shown, COMPANY)
    return SourceInfo(
        "test",
        "salesforce",
        "USD",
        {},
        {"deals": columns},
        frozenset({"stage"}),
        (),
        marks,
        read,
        complete_at=read,
    )


def books() -> Books:
    made = Books()
    made.account("A")
    made.won("first", "A", "2025-03-01", 120_000)
    return made


def facts(
    months: list[str],
    as_of: datetime,
    shown: SourceInfo,
    company: Company = COMPANY,
    made: Books | None = None,
) -> Facts:
    return Facts(company, months, as_of, (made or books()).frames(), shown)


def test_a_store_that_was_not_synced_for_months_tells_of_its_last_read() -> None:
    """The contract ends on 1 March: whether it was renewed nobody has read, so nobody calls it churn."""
    known = facts(["2026-02"], at("2026-03-31"), info())
    assert known.known_at == READ
    (arr,) = compute(known, ["arr"])
    assert (arr.value, arr.known_at) == (12_000_000, READ)
    with pytest.raises(ConfigurationError, match="last read on 2026-02-20, so nothing is known of 2026-03"):
        facts(["2026-03"], at("2026-03-31"), info())
    with pytest.raises(ConfigurationError, match="lies in the future"):
        facts(["2026-04"], at("2026-03-31"), info())


def test_a_moment_before_the_last_read_is_the_one_that_was_asked_for() -> None:
    assert facts(["2026-01"], at("2026-02-01"), info()).known_at == at("2026-02-01")
    assert facts(["2026-01"], at("2026-03-01"), replace(info(), complete_at=None)).known_at == at(
        "2026-03-01"
    )


def test_a_configured_field_that_cannot_be_seen_makes_what_stands_in_for_it_unreliable() -> None:
    made = Books()
    made.account("A")
    made.won("first", "A", "2025-03-01", None, amount=120_000_00)
    hidden = info(arr=FieldState("hidden", "NoSuch__c"))
    (arr,) = compute(facts(["2026-02"], READ, hidden, made=made), ["arr"])
    assert (arr.value, arr.status) == (12_000_000, "unreliable")
    assert arr.reasons[0] == "deals.arr cannot be seen (NoSuch__c); amounts by their terms stand in for it"
    (arr,) = compute(facts(["2026-02"], READ, info(arr=FieldState("unmapped")), made=made), ["arr"])
    assert "cannot be seen" not in " ".join(arr.reasons)


def test_what_the_store_was_read_under_is_compared_with_what_is_configured() -> None:
    read = info(arr=FieldState("mapped", "ARR__c"), term_months=FieldState("unmapped"))
    fields = {"deals": {"arr": "ARR__c"}}
    assert mapping.behind(read, COMPANY, fields) == ()
    changed = {"deals": {"arr": "Amount", "term_months": "Term__c"}}
    assert mapping.behind(read, COMPANY, changed) == (
        "deals.arr is read from Amount now, the store holds ARR__c",
        "deals.term_months is read from Term__c now, the store holds nothing",
    )
    moved = COMPANY.model_copy(update={"timezone": "UTC"})
    assert mapping.behind(read, moved, fields) == (
        "the time zone or the home currency is another one than the stored rows were read under",
    )
    assert mapping.behind(info(arr=FieldState("hidden", "ARR__c")), COMPANY, fields) == ()


def test_another_crm_field_is_another_setting() -> None:
    before = settings_of(COMPANY, info(arr=FieldState("mapped", "ARR__c")))
    after = settings_of(COMPANY, info(arr=FieldState("mapped", "Amount")))
    assert other_settings(before, after) == ("fields: deals.arr",)
    assert other_settings(settings_of(COMPANY), after) == (), "a number of before fields were kept with it"


def test_money_without_any_rate_is_refused_not_nought() -> None:
    yen = Company(name="test", currency="JPY")
    with pytest.raises(ConfigurationError, match="no exchange rate for JPY, and its deals are in USD"):
        compute(facts(["2026-02"], READ, info(), yen), ["arr"])


def test_unconverted_pilots_in_a_won_stage_are_open_in_the_table_of_stages() -> None:
    made = books()
    made.deal("trial", "2026-01-02", stage="Won", amount=500, pilot=True)
    table = pipeline_by_stage(facts(["2026-02"], READ, info(), made=made)).filter(stage="Won")
    assert table.select("label", "outcome", "deals", "amount").rows() == [
        ("Won", "won", 1, 0),
        ("Won: pilots, not converted", "open", 1, 500),
    ]


def test_completeness_of_the_past_says_which_fields_are_of_today() -> None:
    made = books()
    made.deal("open", "2026-01-02", stage="Discovery", amount=500, close_date="2026-03-01")
    now = facts(["2026-02"], READ, info(), made=made)
    (value,) = compute(now, ["field_completeness"])
    assert value.value == pytest.approx(3 / 6)
    assert not any("not reconstructed" in reason for reason in value.reasons)
    then = facts(["2026-01"], at("2026-01-31"), info(), made=made)
    (value,) = compute(then, ["field_completeness"])
    assert any(
        "not reconstructed, today's values stand in: deals.amount, deals.close_date, deals.owner_id" in reason
        for reason in value.reasons
    )


def test_what_records_without_a_past_were_then_is_not_told_by_what_they_are_now() -> None:
    """Line items, owners and contacts that were there on 31 January, and were written again since (R1)."""
    made = books()
    made.line("first", "Seat", "seat", 10, 120_000)
    unkept = frozenset({"line_items", "owners", "contacts"})
    then = Facts(COMPANY, ["2026-01"], at("2026-01-31"), made.frames(), info(), unkept)
    told = {
        (value.id, *value.segment): [reason for reason in value.reasons if "stand in" in reason]
        for value in compute(then, ["nrr", "win_rate", "data_cleanliness"], cuts=(None, "owner"))
    }

    def standing_in(*names: str) -> list[str]:
        return [f"not reconstructed, today's values stand in: {', '.join(names)} (see history_coverage)"]

    compared = ("deals.account_id", "deals.type", "deals.arr", "deals.term_months", "deals.start_date")
    assert told["nrr",] == standing_in(*compared, "line_items")
    assert told["nrr", "owner"] == standing_in(*compared, "line_items", "owners")
    assert told["win_rate",] == standing_in("deals.close_date", "deals.type")
    assert told["win_rate", "owner"] == standing_in("deals.close_date", "deals.type", "owners")
    assert "contacts" in told["data_cleanliness",][0]
    assert "owners" not in told["data_cleanliness",][0]


def test_numbers_name_tables_that_have_no_past() -> None:
    assert {table for kpi in registered().values() for table in kpi.reads} <= set(PASTLESS)
