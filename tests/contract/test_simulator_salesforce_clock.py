"""The simulated org over time: records change, history grows, the recycle bin empties."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from connectors.simulator.company import Company, Parameters
from connectors.simulator.salesforce import SalesforceOrg, record_id
from connectors.simulator.salesforce.fields import CATALOGUE
from connectors.simulator.server import Simulator
from connectors.simulator.world import World
from tests.contract.simulator_salesforce_world import NOW, Client, SmallWorld, at, event, life, small_world

DAY = 86_400
HISTORY = (
    "SELECT StageName, Amount, PrevAmount, CloseDate, Probability, ForecastCategory, CreatedDate, SystemModstamp"
    " FROM OpportunityHistory WHERE OpportunityId = '{}' ORDER BY CreatedDate, Id"
)


@pytest.fixture
def client() -> Iterator[Client]:
    with Simulator(SalesforceOrg(small_world(), now=NOW), tls=False) as simulator:
        client = Client(simulator)
        client.login()
        yield client


def move(client: Client, day: str) -> None:
    client.simulator.advance(datetime.fromisoformat(day).replace(tzinfo=UTC))
    client.login()  # the session has idled away


def test_history_has_a_row_per_change_with_the_values_after_it(client: Client) -> None:
    rows = client.records(HISTORY.format(record_id("deal", 1)))
    assert [tuple(row.values()) for row in rows] == [
        (
            "Discovery", 12000.5, None, "2026-04-30", 10.0, "Pipeline",
            "2025-06-01T09:00:00.000+0000", "2025-07-01T09:00:00.000+0000",
        ),
        (
            "Negotiation", 12000.5, 12000.5, "2026-04-30", 80.0, "Forecast",
            "2025-07-01T09:00:00.000+0000", "2025-09-01T09:00:00.000+0000",
        ),
        (
            "Closed Won", 12000.5, 12000.5, "2025-09-01", 100.0, "Closed",
            "2025-09-01T09:00:00.000+0000", "2025-09-01T09:00:00.000+0000",
        ),
    ]  # fmt: skip


def test_field_history_of_a_lookup_has_two_rows(client: Client) -> None:
    rows = client.records(
        "SELECT Field, DataType, OldValue, NewValue FROM OpportunityFieldHistory"
        f" WHERE OpportunityId = '{record_id('deal', 1)}' ORDER BY CreatedDate, Id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("created", "Text", None, None),
        ("NextStep", "Text", None, "Call legal"),
        ("Owner", "Text", "Ada Able", "Bo Best"),
        ("Owner", "EntityId", record_id("user", 1), record_id("user", 2)),
    ]


def test_field_history_older_than_18_months_is_in_query_all_only(client: Client) -> None:
    soql = "SELECT Id FROM OpportunityFieldHistory WHERE Field = 'NextStep'"
    move(client, "2027-02-01")
    assert (len(client.records(soql)), len(client.records(soql, "queryAll"))) == (0, 1)
    move(client, "2027-07-15")
    assert (len(client.records(soql)), len(client.records(soql, "queryAll"))) == (0, 0)


def test_a_deal_changes_when_its_time_comes(client: Client) -> None:
    soql = "SELECT StageName, Amount, CurrencyIsoCode, SystemModstamp FROM Opportunity WHERE Name = 'Deal 2'"
    assert client.records(soql)[0]["StageName"] == "Discovery"

    move(client, "2026-03-11")

    assert client.records(soql) == [
        {
            "StageName": "Proof of Concept",
            "Amount": 99.99,
            "CurrencyIsoCode": "EUR",
            "SystemModstamp": "2026-03-10T09:00:00.000+0000",
        }
    ]
    rows = client.records(HISTORY.format(record_id("deal", 2)))
    assert [(row["StageName"], row["Amount"], row["PrevAmount"]) for row in rows] == [
        ("Discovery", 12000.5, None),
        ("Proof of Concept", 99.99, 12000.5),
    ]
    assert rows[0]["SystemModstamp"] == rows[1]["CreatedDate"] == "2026-03-10T09:00:00.000+0000"


def test_later_records_come_into_being(client: Client) -> None:
    soql = "SELECT Name FROM Account WHERE CreatedDate > 2026-03-01T00:00:00Z"
    assert client.records(soql) == []
    move(client, "2026-03-16")
    assert client.records(soql) == [{"Name": "Later Ltd"}]


def test_the_recycle_bin_empties_after_fifteen_days(client: Client) -> None:
    soql = "SELECT Name FROM Opportunity WHERE IsDeleted = true"
    assert client.records(soql, "queryAll") == [{"Name": "Deal 3"}]
    move(client, "2026-03-12")  # it was deleted at nine that day
    assert client.records(soql, "queryAll") == [{"Name": "Deal 3"}]
    move(client, "2026-03-13")
    assert client.records(soql, "queryAll") == []


def test_deleting_an_account_takes_its_children_along_and_restoring_brings_them_back(client: Client) -> None:
    def alive(resource: str, deleted: str) -> dict[str, list[str]]:
        return {
            name: [
                r["Id"]
                for r in client.records(f"SELECT Id FROM {name} WHERE {column} AND {deleted}", resource)
            ]
            for name, column in (
                ("Contact", f"AccountId = '{record_id('account', 4)}'"),
                ("Opportunity", f"AccountId = '{record_id('account', 4)}'"),
                ("OpportunityHistory", f"OpportunityId = '{record_id('deal', 5)}'"),
            )
        }

    before = alive("query", "IsDeleted = false")
    assert [len(ids) for ids in before.values()] == [1, 1, 1]
    move(client, "2026-04-06")
    assert alive("queryAll", "IsDeleted = true") == before
    assert alive("query", "IsDeleted = false") == {name: [] for name in before}
    move(client, "2026-04-08")
    assert alive("query", "IsDeleted = false") == before
    (deal,) = client.records("SELECT SystemModstamp FROM Opportunity WHERE Name = 'Deal 5'")
    assert deal["SystemModstamp"] == "2026-04-07T09:00:00.000+0000"


def test_the_clock_moves_for_other_processes_too(client: Client) -> None:
    url = f"{client.simulator.url}/__simulator__/"
    moved = client.session.post(url + "clock", json={"now": "2026-03-11T00:00:00Z"}, timeout=10)
    assert (moved.status_code, moved.json()["now"]) == (200, "2026-03-11T00:00:00Z")
    assert moved.headers["Date"] == "Wed, 11 Mar 2026 00:00:00 GMT"
    assert (
        client.session.post(url + "clock", json={"now": "2026-03-10T00:00:00Z"}, timeout=10).status_code
        == 400
    )
    assert client.session.post(url + "clock", data=b"nonsense", timeout=10).status_code == 400
    client.login()
    client.query("SELECT Id FROM Account")
    state = client.session.get(url + "state", timeout=10).json()
    assert state["requests"]["GET /services/data/v{version}/query"] == 1


def disk(world: World, *moments: int) -> dict[str, list[tuple[Any, ...]]]:
    """All tables of an org that was loaded at the first moment and moved on to the others."""
    org = SalesforceOrg(world, now=moments[0])
    try:
        for moment in moments[1:]:
            org.advance(moment)
        store = org._store
        return {name: store.rows(f'SELECT * FROM "{name}" ORDER BY _key') for name in CATALOGUE}
    finally:
        org.close()


@pytest.mark.parametrize("steps", [(NOW + 90 * DAY,), tuple(NOW + day * DAY for day in range(0, 91, 5))])
def test_moving_on_gives_what_loading_later_gives_small(steps: tuple[int, ...]) -> None:
    world = small_world()
    assert disk(world, at("2025-05-01"), *steps) == disk(world, NOW + 90 * DAY)


def test_moving_on_gives_what_loading_later_gives() -> None:
    company = Company(Parameters("supply_chain", date(2026, 7, 1), seed=3, accounts=30, deals=200, months=18))
    later = company.as_of + 45 * DAY
    assert disk(company, company.as_of - 200 * DAY, company.as_of, later) == disk(company, later)


def test_a_record_deleted_before_its_account_stays_deleted_after_a_restore() -> None:
    world = SmallWorld(
        [
            life("account", 1, event("2025-02-01", "create", name="A"), event("2025-03-01", "delete", hour=10),
                 event("2025-03-02", "restore")),
            life("contact", 1, event("2025-02-01", "create", account=1, last_name="Own"),
                 event("2025-03-01", "delete", hour=9)),
            life("contact", 2, event("2025-02-01", "create", account=1, last_name="Cascaded")),
        ]
    )  # fmt: skip
    for moments in ((at("2025-03-03"),), (at("2025-02-15"), at("2025-03-01", 12), at("2025-03-03"))):
        rows = disk(world, *moments)["Contact"]
        names = list(CATALOGUE["Contact"].fields)
        deleted = {row[1 + names.index("LastName")]: row[1 + names.index("IsDeleted")] for row in rows}
        assert deleted == {"Own": 1, "Cascaded": 0}


def test_a_purge_leaves_no_trace_of_a_record_or_its_children() -> None:
    world = SmallWorld(
        [
            life("account", 1, event("2025-02-01", "create", name="A"), event("2025-03-01", "purge")),
            life("deal", 1, event("2025-02-01", "create", name="D", account=1, stage="Discovery")),
            life("line_item", 1, event("2025-02-01", "create", deal=1, quantity=1.0)),
        ]
    )
    for moments in ((at("2025-03-03"),), (at("2025-02-15"), at("2025-03-03"))):
        rows = disk(world, *moments)
        left = {name: len(found) for name, found in rows.items() if found and name.startswith(("Acc", "Opp"))}
        assert left == {"OpportunityStage": 6}


def test_the_generated_company_is_served_whole() -> None:
    company = Company(Parameters("hr_tech", date(2026, 7, 1), seed=5, accounts=30, deals=200, months=18))
    expected = 0
    for record in company.lives():
        happened = [entry for entry in record.events if entry.at <= company.as_of]
        gone = happened and happened[-1].op in ("delete", "purge", "merge")
        expected += bool(record.kind == "deal" and happened and not gone)
    with Simulator(SalesforceOrg(company, now=company.as_of), tls=False) as simulator:
        client = Client(simulator)
        client.login()
        assert client.query("SELECT COUNT() FROM Opportunity").json()["totalSize"] == expected
