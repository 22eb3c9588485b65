"""The simulated HubSpot portal while its clock moves: pending events, merges, the recycle bin."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.simulator.company import Company, Parameters
from connectors.simulator.hubspot import (
    HubSpotPortal,
    record_id,
)
from connectors.simulator.hubspot.properties import OBJECT_TYPES
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_client import DEALS, Client, search_filter, since
from tests.contract.simulator_hubspot_world import NOW, company

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def moving() -> Iterator[Client]:
    """A portal of one test's own."""
    with Simulator(HubSpotPortal(company(), now=NOW)) as simulator:
        yield Client(simulator)


def test_the_clock_brings_what_was_pending(moving: Client) -> None:
    moving.simulator.advance(APRIL)
    assert moving.ids(DEALS) == [record_id("deal", key) for key in (1, 2, 3, 4)]  # 3 restored, 5 purged
    assert moving.ids(DEALS, archived="true") == []
    lost = moving.get(f"{DEALS}/{record_id('deal', 4)}", properties="hs_is_closed_lost,closed_lost_reason")
    assert (lost["properties"]["hs_is_closed_lost"], lost["properties"]["closed_lost_reason"]) == (
        "true",
        "price",
    )
    assert record_id("account", 5) in moving.ids("/crm/v3/objects/companies")
    gone = moving.post(f"{DEALS}/batch/read", {"inputs": [{"id": record_id("deal", 5)}]}, status=207)
    assert gone["errors"][0]["context"]["ids"] == [record_id("deal", 5)]
    changed = search_filter("hs_lastmodifieddate", "GTE", value=since("2026-03-01"))
    assert moving.matches("deals", changed) == [3, 4]


def test_a_merge_makes_a_new_record_and_touches_no_deal(moving: Client) -> None:
    before = moving.get(f"{DEALS}/{record_id('deal', 2)}")["updatedAt"]
    moving.simulator.advance(APRIL)
    merged = record_id("account", 1, merges=1)
    companies = moving.ids("/crm/v3/objects/companies")
    assert merged in companies
    assert not {record_id("account", 1), record_id("account", 2)} & set(companies)
    for old in (record_id("account", 1), record_id("account", 2)):
        found = moving.get(f"/crm/v3/objects/companies/{old}", properties="hs_merged_object_ids,name")
        assert (found["id"], found["properties"]["name"]) == (merged, "Acme")
        assert found["properties"]["hs_merged_object_ids"] == (
            f"{record_id('account', 1)};{record_id('account', 2)}"
        )
    history = moving.get(f"/crm/v3/objects/companies/{merged}", propertiesWithHistory="hs_merged_object_ids")
    assert history["propertiesWithHistory"]["hs_merged_object_ids"][0]["sourceType"] == "MERGE_OBJECTS"
    pair = "/crm/v4/associations/deals/companies/batch/read"
    linked = moving.post(pair, {"inputs": [{"id": record_id("deal", key)} for key in (1, 2)]})
    assert [one["to"][0]["toObjectId"] for one in linked["results"]] == [int(merged)] * 2
    deal = moving.get(f"{DEALS}/{record_id('deal', 2)}", properties="hs_primary_associated_company")
    assert (deal["updatedAt"], deal["properties"]["hs_primary_associated_company"]) == (before, merged)
    people = moving.get("/crm/v3/objects/contacts", properties="associatedcompanyid")["results"]
    assert {one["properties"]["associatedcompanyid"] for one in people} == {merged, None}
    by_old_id = {"inputs": [{"id": record_id("account", 1)}]}
    moving.post(
        "/crm/v4/associations/companies/deals/batch/read", by_old_id, status=207
    )  # nothing by the old id
    assert record_id("contact", 2) not in {
        one["toObjectId"]
        for one in moving.get(f"/crm/v4/objects/deals/{record_id('deal', 1)}/associations/contacts")[
            "results"
        ]
    }


def test_moving_the_clock_ends_where_a_fresh_portal_begins(tmp_path: Path) -> None:
    later = int(APRIL.timestamp())
    moved = HubSpotPortal(company(), now=NOW, directory=tmp_path / "moved")
    fresh = HubSpotPortal(company(), now=later, directory=tmp_path / "fresh")
    moved.advance(later)
    names = ("companies", "contacts", "deals", "line_items", "meetings", "products")
    with Simulator(moved) as one, Simulator(fresh) as other:
        for name in names:
            pages = [
                Client(simulator).get(
                    f"/crm/v3/objects/{name}",
                    limit=50,
                    associations="companies,contacts,deals",
                    propertiesWithHistory="hubspot_owner_id,associatedcompanyid,dealstage,hs_merged_object_ids",
                )["results"]
                for simulator in (one, other)
            ]
            stripped = [str(page).replace(one.url, "").replace(other.url, "") for page in pages]
            assert pages[0]
            assert stripped[0] == stripped[1]


def test_the_bin_is_emptied_after_ninety_days(moving: Client) -> None:
    gone = record_id("account", 3)
    assert gone in moving.ids("/crm/v3/objects/companies", archived="true")
    moving.simulator.advance(datetime(2026, 5, 12, tzinfo=UTC))
    assert moving.ids("/crm/v3/objects/companies", archived="true") == []


def _contents(portal: HubSpotPortal) -> dict[str, set[Any]]:
    """Everything in a portal's store that answers are made of."""
    database = sqlite3.connect(portal.store.path)
    records = ("id", "root", "created", "modified", "archived", "properties")
    found: dict[str, set[Any]] = {
        name: set(database.execute(f"SELECT {', '.join(records)} FROM {name}")) for name in OBJECT_TYPES
    }
    found["link"] = set(database.execute("SELECT owner, a_type, a, b_type, b, is_primary FROM link"))
    database.close()
    return found


def test_a_generated_company_moves_month_by_month_to_the_state_of_a_fresh_portal(tmp_path: Path) -> None:
    world = Company(Parameters("supply_chain", date(2026, 6, 1), seed=3, accounts=25, deals=200, months=14))
    moments = [world.as_of + days * 86_400 for days in (-200, -90, -30, 0, 31, 60)]
    moved = HubSpotPortal(world, now=moments[0], directory=tmp_path / "moved")
    merged = False
    for moment in moments[1:]:
        moved.advance(moment)
        fresh = HubSpotPortal(world, now=moment, directory=tmp_path / str(moment))
        expected, found = _contents(fresh), _contents(moved)
        fresh.close()
        for table, rows in expected.items():
            assert found[table] == rows, f"{table} at {moment}"
        merged = merged or any(str(row[0])[1] == "1" for row in found["companies"])
    moved.close()
    assert all(expected.values())
    assert merged  # the company does merge accounts, so the comparison covers it
