"""Search on the simulated HubSpot portal: operators, case, paging, and the lag of its index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.simulator.hubspot import (
    HubSpotPortal,
    record_id,
)
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_client import DEALS, Client, Json, search_filter, since
from tests.contract.simulator_hubspot_world import NOW, at, company


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A portal on 1 March whose clock nobody moves."""
    with Simulator(HubSpotPortal(company(), now=NOW)) as simulator:
        yield Client(simulator)


SEARCHES: list[tuple[str, Json, list[int]]] = [
    ("deals", {}, [1, 2, 4, 5]),
    ("deals", {"limit": 2, "after": 1}, [2, 4]),
    ("deals", {"sorts": [{"propertyName": "dealname", "direction": "DESCENDING"}]}, [5, 4, 2, 1]),
    ("deals", {"sorts": ["-hs_object_id"]}, [5, 4, 2, 1]),
    ("deals", search_filter("hs_lastmodifieddate", "GTE", value=since("2026-02-10")), [1]),
    ("deals", search_filter("hs_lastmodifieddate", "GTE", value="2026-02-01T23:00:00.000Z"), [1, 2]),
    ("deals", search_filter("hs_lastmodifieddate", "GT", value="2026-02-01T23:00:00Z"), [1]),
    ("deals", search_filter("createdate", "BETWEEN", value=since("2026-01-10"), highValue="2026-01-11"), [1, 2, 4, 5]),
    ("deals", search_filter("hs_object_id", "GT", value=record_id("deal", 2)), [4, 5]),
    ("deals", search_filter("dealname", "EQ", value="deal 1"), [1]),  # text compares without case
    ("deals", search_filter("dealname", "IN", values=["Deal 1"]), []),  # IN wants text in lower case
    ("deals", search_filter("dealname", "IN", values=["deal 1", "deal 4"]), [1, 4]),
    ("deals", search_filter("dealtype", "EQ", value="new business"), []),  # options compare with case
    ("deals", search_filter("dealtype", "EQ", value="New Business"), [1, 2, 4, 5]),
    ("deals", search_filter("dealname", "CONTAINS_TOKEN", value="dea*"), [1, 2, 4, 5]),
    ("deals", search_filter("dealname", "NOT_CONTAINS_TOKEN", value="5"), [1, 2, 4]),
    ("deals", search_filter("contract_arr", "HAS_PROPERTY"), [1]),
    ("deals", search_filter("contract_arr", "NOT_HAS_PROPERTY"), [2, 4, 5]),
    ("deals", search_filter("amount", "GTE", value="10000.5"), [1, 2, 4, 5]),
    ("deals", search_filter("amount", "NOT_IN", values=["10000.5"]), []),
    ("deals", search_filter("associations.company", "EQ", value=record_id("account", 2)), [2]),
    ("deals", search_filter("associations.contacts", "IN", values=[record_id("lead", 1)]), [1]),
    ("contacts", search_filter("lastmodifieddate", "GTE", value=since("2026-02-01")), [1]),
    ("contacts", {"query": "b.example"}, [2]),
    ("contacts", {"filters": [{"propertyName": "email", "operator": "NEQ", "value": "li@acme.example"}]}, [2, 2]),
    ("companies", search_filter("numberofemployees", "LT", value="61"), [1]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "ids"), SEARCHES)
def test_search_finds(client: Client, kind: str, body: Json, ids: list[int]) -> None:
    assert client.matches(kind, body) == ids


def test_search_pages_by_offset_without_links_history_or_limit_headers(client: Client) -> None:
    body = {"limit": 3, "properties": ["dealname", "nonsense"], "propertiesWithHistory": ["amount"]}
    reply = client.call("POST", f"{DEALS}/search", json=body)
    found = reply.json()
    assert (found["total"], found["paging"]) == (4, {"next": {"after": "3"}})
    assert set(found["results"][0]["properties"]) == {
        "dealname",
        "createdate",
        "hs_lastmodifieddate",
        "hs_object_id",
    }
    assert "propertiesWithHistory" not in found["results"][0]
    assert not [name for name in reply.headers if name.lower().startswith("x-hubspot-ratelimit")]
    assert "paging" not in client.post(f"{DEALS}/search", {"limit": 3, "after": "3"})


def test_search_sees_a_change_only_after_the_index_lag() -> None:
    portal = HubSpotPortal(company(), now=at("2026-02-15", 10), index_lag_seconds=7_200)
    with Simulator(portal) as simulator:
        client = Client(simulator)
        changed = search_filter("hs_lastmodifieddate", "GTE", value=since("2026-02-15"))
        assert client.matches("deals", changed) == []
        assert client.get(f"{DEALS}/{record_id('deal', 1)}")["updatedAt"] == "2026-02-15T09:00:00Z"
        portal.advance(at("2026-02-15", 11))
        assert client.matches("deals", changed) == [1]
