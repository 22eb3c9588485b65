"""Months pass in a simulated portal, each synced as an increment: the store stays what a full sync would make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.schema import KEYS, TABLES
from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from connectors.simulator.hubspot import HubSpotPortal, record_id
from connectors.simulator.server import Simulator
from connectors.source import Source
from pipeline.company import Company
from pipeline.merges import REFERENCES
from pipeline.store import Store
from pipeline.sync import sync_company
from tests.contract.hubspot_source_store import connect, different, fresh, sync
from tests.contract.test_source_hubspot_endings import DEAL, at, life, on, served

ACME: Final = Company(name="acme", timezone="America/New_York")
MONTH: Final = timedelta(days=31)

Row = dict[str, Any]
Rows = dict[str, dict[tuple[Any, ...], Row]]


# Leads whose deal came later; a lead whose deal was deleted.
@pytest.mark.parametrize("seed", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_three_months_of_increments_end_where_a_full_sync_does(tmp_path: Path, seed: int) -> None:
    world = World(Parameters("hr_tech", date(2026, 6, 1), seed=seed, accounts=120, deals=1_000, months=24))
    with (
        Simulator(HubSpotPortal(world, now=world.as_of)) as simulator,
        Store.open(f"sqlite:///{tmp_path / 'grown.sqlite'}") as grown,
    ):
        source = connect(simulator)
        _sync(grown, source, simulator.now)
        for month in range(3):
            simulator.advance(simulator.now + MONTH)
            _sync(grown, source, simulator.now)
            with Store.open(f"sqlite:///{tmp_path / f'whole{month}.sqlite'}") as whole:
                _sync(whole, anew := connect(simulator), simulator.now)
                anew.close()
                assert _differences(grown, whole) == []
        source.close()


def test_a_lead_learns_of_a_deal_that_came_without_a_stamp_of_its_own() -> None:
    with served(
        life("lead", 1, on(-9, "create", first_name="Li", email="li@x.example")),
        life("lead", 2, on(-8, "create", first_name="Mo", email="mo@x.example")),
        life("deal", 1, on(3, "create", **DEAL)),
        life("contact_role", 1, on(3, "create", deal=1, lead=1, contact=1)),
        life("contact", 1, on(-7, "create", first_name="Li", account=1, lead=1)),
    ) as simulator:
        store = fresh(simulator)
        person = (record_id("lead", 1),)
        assert store.live("leads")[person]["converted_deal_id"] is None
        simulator.advance(at(5))
        source = connect(simulator)
        sync(source, store)
        source.close()
        row = store.live("leads")[person]
        assert row["converted_deal_id"] == record_id("deal", 1)
        assert row["modified_at"] < at(0), "the contact itself was not touched"
        assert different(store, fresh(simulator)) == {}


@pytest.mark.parametrize(("deals", "followed"), [(0, False), (1, True)])
def test_without_a_changed_deal_one_search_is_all_it_costs(deals: int, followed: bool) -> None:
    created = [life("deal", key, on(3, "create", **DEAL)) for key in range(1, deals + 1)]
    with served(life("deal", 9, on(-20, "create", **DEAL)), *created) as simulator:
        store = fresh(simulator)
        simulator.advance(at(5))
        simulator.requests.clear()
        source = connect(simulator, options={"relist_hours": 1_000})
        sync(source, store, ["contacts"])
        source.close()
        asked = [request.path for request in simulator.requests.latest]
        assert asked.count("/crm/v3/objects/deals/search") == 1
        assert ("/crm/v4/associations/deals/contacts/batch/read" in asked) == followed
        assert "/crm/v3/objects/contacts/batch/read" not in asked


# ---- comparing


def _sync(store: Store, source: Source, now: datetime) -> None:
    summary = sync_company(store, source, ACME, clock=lambda: now.astimezone(UTC))
    assert (summary.status, summary.error) == ("ok", None)


def _rows(store: Store) -> Rows:
    """Every canonical row by table and key, in the columns of the CRM."""
    return {
        table: {
            tuple(row[name] for name in KEYS[table]): row
            for row in store.frame(ACME.name, table).select(list(schema)).iter_rows(named=True)
        }
        for table, schema in TABLES.items()
    }


def _live(rows: Rows, table: str) -> dict[tuple[Any, ...], Row]:
    """Rows that are not deleted; of changes those that the CRM tells of deals that are not."""
    if table == "deal_changes":
        deals = {key[0] for key, row in rows["deals"].items() if row["deleted_at"] is None}
        told = {key: row for key, row in rows[table].items() if row["origin"] == "crm_history"}
        return {key: row for key, row in told.items() if key[0] in deals}
    return {key: row for key, row in rows[table].items() if row["deleted_at"] is None}


def _differences(grown: Store, whole: Store) -> list[tuple[str, tuple[Any, ...], Any, Any]]:
    """(table, key, row of the grown store, row of the whole one) wherever live rows differ."""
    left, right = _rows(grown), _rows(whole)
    assert all(_live(right, table) for table in ("accounts", "contacts", "leads", "deals", "deal_changes"))
    found: list[tuple[str, tuple[Any, ...], Any, Any]] = []
    for table in TABLES:
        mine, theirs = _live(left, table), _live(right, table)
        for key in {*mine, *theirs}:
            one, other = mine.get(key), theirs.get(key)
            if one != other and not _names_a_deleted_record(table, one, other, left):
                found.append((table, key, one, other))
    return found


def _names_a_deleted_record(
    table: str, one: Mapping[str, Any] | None, other: Mapping[str, Any] | None, known: Rows
) -> bool:
    """Whether the rows differ only in references to what was deleted, which HubSpot drops and the store keeps."""
    if one is None or other is None:
        return False
    references = REFERENCES.get(table, {})
    differing = [name for name in one if one[name] != other[name]]
    return all(
        name in references and known[references[name]].get((one[name],), {}).get("deleted_at") is not None
        for name in differing
    )
