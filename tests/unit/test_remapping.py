"""What a change of what is read means for rows that are stored: which tables are read again, and which stay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from connectors.source import Capabilities, FieldState
from pipeline import mapping
from pipeline.company import Company
from pipeline.records import SourceInfo

COMPANY = Company(name="acme", timezone="Europe/Berlin")
DEALS = {"amount": FieldState("mapped", "Amount")}
CONTRACTS = {"amount": FieldState("mapped", "Value__c"), "status": FieldState("mapped", "StatusCode")}
Fields = Mapping[str, Mapping[str, FieldState]]


def shown(**fields: Mapping[str, FieldState]) -> Capabilities:
    return Capabilities("EUR", fields, {}, frozenset())


def last_pass(fields: Fields, fingerprint: str | None = None) -> SourceInfo:
    marks = fingerprint or mapping.marks(shown(**fields), COMPANY)
    return SourceInfo(
        "acme", "salesforce", "EUR", {}, fields, frozenset(), (), marks, datetime(2026, 1, 1, tzinfo=UTC)
    )


def without_contracts(marks: str) -> str:
    """As a program that knew of no contracts wrote them."""
    known = orjson.loads(marks)
    return orjson.dumps({t: m for t, m in known.items() if t not in ("contracts", "subscriptions")}).decode()


def test_tables_that_the_program_did_not_know_are_no_change_of_the_mapping() -> None:
    now = shown(deals=DEALS)
    before = last_pass({"deals": DEALS}, without_contracts(mapping.marks(now, COMPANY)))
    assert mapping.plan(before, now, COMPANY) == mapping.Remapping()
    assert mapping.behind(before, COMPANY, {}) == ()


def test_another_time_zone_reads_everything_again_all_the_same() -> None:
    now = shown(deals=DEALS)
    there = last_pass({"deals": DEALS}, without_contracts(mapping.marks(now, COMPANY)))
    elsewhere = COMPANY.model_copy(update={"timezone": "UTC"})
    assert "deals" in mapping.plan(there, now, elsewhere).reread
    assert "time zone" in mapping.behind(there, elsewhere, {})[0]
    nothing_noted = last_pass({"deals": DEALS}, "{}")
    assert {"deals", "contracts"} <= mapping.plan(nothing_noted, now, COMPANY).reread


def test_what_is_asked_for_from_now_on_is_read_from_its_beginning() -> None:
    plan = mapping.plan(last_pass({"deals": DEALS}), shown(deals=DEALS, contracts=CONTRACTS), COMPANY)
    assert plan.reread == {"contracts"}
    assert plan.notes == ("contracts: read from now on",)
    assert plan.emptied == {}


def test_what_is_not_asked_for_any_more_stays_as_it_is() -> None:
    plan = mapping.plan(last_pass({"deals": DEALS, "contracts": CONTRACTS}), shown(deals=DEALS), COMPANY)
    assert plan == mapping.Remapping()


def test_another_field_for_a_column_of_a_contract_is_read_again() -> None:
    other = {**CONTRACTS, "amount": FieldState("mapped", "Total__c")}
    plan = mapping.plan(last_pass({"contracts": CONTRACTS}), shown(contracts=other), COMPANY)
    assert plan.reread == {"contracts"}
    assert plan.notes == ("contracts.amount is read from Total__c now (was Value__c); read again",)
    gone = {**CONTRACTS, "amount": FieldState("hidden", "Value__c")}
    emptied = mapping.plan(last_pass({"contracts": CONTRACTS}), shown(contracts=gone), COMPANY)
    assert emptied.emptied == {"contracts": ("amount",)}
    assert emptied.reread == frozenset()
