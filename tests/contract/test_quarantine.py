"""Values set aside are read again by the connectors' own parsing, on both databases."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from connectors import registry
from connectors.schema import REJECTS
from connectors.source import Capabilities, FieldState
from pipeline import quarantine
from pipeline.quarantine import Retried
from pipeline.store import Store
from tests.rows import NOW, frame

SHOWN = Capabilities(
    home_currency="EUR",
    fields={
        "deals": {"close_date": FieldState("mapped", "CloseDate"), "pilot": FieldState("hidden", "Pilot__c")}
    },
    links={"deals": "https://crm.example/{id}"},
    history=frozenset(),
)


def parse(crm: str, name: str, column: str, raw: pl.Series, currency: pl.Series) -> pl.Series | None:
    return registry.source(crm).parse(name, column, raw, currency, "America/New_York")


def held(store: Store, cells: list[tuple[str, str | None, str, str | None]], crm: str = "salesforce") -> None:
    """Records and rejected cells (table, id, field, raw)."""
    rejects = pl.DataFrame([(*cell, "not understood then") for cell in cells], schema=REJECTS, orient="row")
    with store.transaction() as tx:
        tx.save_source("acme", crm, SHOWN, "mark", NOW)
        tx.save_rejects("acme", crm, rejects, {}, NOW)


def deals(store: Store, *rows: dict[str, Any], crm: str = "salesforce", company: str = "acme") -> None:
    with store.transaction() as tx:
        tx.upsert("deals", company, crm, frame("deals", rows), NOW)


def retry(store: Store, company: str = "acme", crm: str = "salesforce") -> list[Retried]:
    with store.transaction() as tx:
        info = tx.source_info(company, crm)
        assert info is not None
        return quarantine.retry(tx, company, quarantine.entries(tx, company), {crm: info}, parse, NOW)


def outcomes(results: list[Retried]) -> dict[str, str]:
    return {f"{one.entry['table']}.{one.entry['field']}": one.outcome for one in results}


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_what_parses_now_is_written_and_leaves_the_quarantine(store: Store, crm: str) -> None:
    deals(store, {"external_id": "d1", "currency": "JPY"}, {"external_id": "d2", "currency": None}, crm=crm)
    held(
        store,
        [
            ("deals", "d1", "amount", "1200.5"),
            ("deals", "d2", "amount", "1200.5"),
            ("deals", "d1", "close_date", "2026-03-31"),
            ("deals", "d1", "term_months", "12.0"),
            ("deals", "d1", "created_at", "2026-01-02T03:04:05.000+00:00"),
        ],
        crm,
    )
    results = retry(store, crm=crm)
    assert {one.outcome for one in results} == {"restored"}
    rows = store.frame("acme", "deals", crm)
    assert rows["amount"].to_list() == [
        1200,
        120050,
    ]  # yen have no cents; a blank currency is the home currency
    assert rows["close_date"].to_list() == [date(2026, 3, 31), None]
    assert rows["term_months"].to_list() == [12, None]
    assert rows["created_at"][0].isoformat() == "2026-01-02T03:04:05+00:00"
    assert store.quarantine("acme").is_empty()
    assert retry(store, crm=crm) == []


def test_a_newer_value_stays(store: Store) -> None:
    deals(store, {"external_id": "d1", "close_date": "2026-06-30"})
    held(store, [("deals", "d1", "close_date", "2026-03-31")])
    assert outcomes(retry(store)) == {"deals.close_date": "superseded"}
    assert store.frame("acme", "deals")["close_date"].to_list() == [date(2026, 6, 30)]
    assert store.quarantine("acme").is_empty()


@pytest.mark.parametrize(
    "raw", ["31.03.2026", "next week", "10000-01-01", "0000-00-00", "9" * 400, "\x00", "2026-02-30"]
)
def test_what_does_not_parse_stays_with_its_reason(store: Store, raw: str) -> None:
    deals(store, {"external_id": "d1"})
    raw = raw.replace("\x00", "?")
    held(store, [("deals", "d1", "close_date", raw)])
    (result,) = retry(store)
    assert result.outcome == "unreadable"
    assert "a date between the years 1 and 9999 is expected" in str(result.why)
    assert store.quarantine("acme")["raw"].to_list() == [raw]
    assert store.frame("acme", "deals")["close_date"].to_list() == [None]


def test_what_cannot_be_read_again_says_why(store: Store) -> None:
    deals(store, {"external_id": "d1"})
    held(
        store,
        [
            ("deals", None, "external_id", '{"Name": "x"}'),
            ("deals", "gone", "close_date", "2026-03-31"),
            ("deals", "d1", "pilot", "true"),
            ("deals", "d1", "", "{}"),
            ("deal_changes", "d1", "amount", "5"),
            ("stages", "s1", "sort_order", "5"),
            ("contacts", "c1", "last_activity_at", None),
        ],
    )
    results = retry(store)
    assert {one.outcome for one in results} == {"impossible"}
    why = {
        (one.entry["table"], one.entry["external_id"], one.entry["field"]): str(one.why) for one in results
    }
    assert "without an id" in why["deals", "", "external_id"]
    assert "not in the store" in why["deals", "gone", "close_date"]
    assert "not visible" in why["deals", "d1", "pilot"]
    assert "whole record" in why["deals", "d1", ""]
    assert "--full" in why["deal_changes", "d1", "amount"]
    assert "at every sync" in why["stages", "s1", "sort_order"]
    assert "withheld" in why["contacts", "c1", "last_activity_at"]
    assert store.quarantine("acme").height == 7


def test_a_day_that_depends_on_hubspots_kind_of_property_is_left_to_hubspot(store: Store) -> None:
    with store.transaction() as tx:
        people = frame("contacts", [{"external_id": "c1"}, {"external_id": "c2"}])
        tx.upsert("contacts", "acme", "hubspot", people, NOW)
    cells = [
        ("contacts", "c1", "last_activity_at", "2026-03-31T00:00:00Z"),
        ("contacts", "c2", "last_activity_at", "2026-03-31"),
    ]
    held(store, cells, "hubspot")  # type: ignore[arg-type]
    found = {str(one.entry["external_id"]): one.outcome for one in retry(store, crm="hubspot")}
    assert found == {"c1": "impossible", "c2": "restored"}


def test_another_companys_cell_is_not_touched(store: Store) -> None:
    for company in ("acme", "globex"):
        deals(store, {"external_id": "d1"}, company=company)
    held(store, [("deals", "d1", "close_date", "2026-03-31")])
    rejects = pl.DataFrame([("deals", "d1", "close_date", "2026-03-31", "x")], schema=REJECTS, orient="row")
    with store.transaction() as tx:
        tx.save_source("globex", "salesforce", SHOWN, "mark", NOW)
        tx.save_rejects("globex", "salesforce", rejects, {}, NOW)
    retry(store)
    assert store.frame("globex", "deals")["close_date"].to_list() == [None]
    assert store.quarantine("globex").height == 1
    with store.reading() as reader:
        mine = quarantine.entries(reader, "globex")["id"][0]
    assert len(mine) == 10
