"""Associations on the simulated HubSpot portal: version 4, the dated releases, and inline in lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.simulator.hubspot import (
    HubSpotPortal,
    record_id,
)
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_client import DEALS, Client, Json
from tests.contract.simulator_hubspot_world import NOW, SmallWorld, company, event, life


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A portal on 1 March whose clock nobody moves."""
    with Simulator(HubSpotPortal(company(), now=NOW)) as simulator:
        yield Client(simulator)


def test_inline_associations_repeat_the_primary_company(client: Client) -> None:
    found = client.get(f"{DEALS}/{record_id('deal', 1)}", associations="companies,contacts,line_items")
    associations = found["associations"]
    assert associations["companies"]["results"] == [
        {"id": record_id("account", 1), "type": "deal_to_company"},
        {"id": record_id("account", 1), "type": "deal_to_company_unlabeled"},
    ]
    assert [one["id"] for one in associations["contacts"]["results"]] == [
        record_id("contact", 2),
        record_id("lead", 1),
    ]
    assert associations["line items"]["results"] == [
        {"id": record_id("line_item", 1), "type": "deal_to_line_item"}
    ]


@pytest.mark.parametrize(
    ("pair", "source", "target", "type_ids"),
    [
        ("deals/companies", ("deal", 1), ("account", 1), [5, 341]),
        ("contacts/companies", ("lead", 1), ("account", 1), [1, 279]),
        ("line_items/deals", ("line_item", 1), ("deal", 1), [20]),
        ("deals/line_items", ("deal", 1), ("line_item", 1), [19]),
        ("contacts/deals", ("contact", 2), ("deal", 1), [4]),
        ("meetings/contacts", ("meeting", 1), ("lead", 1), [200]),
        ("companies/companies", ("account", 2), ("account", 1), [14]),
        ("companies/companies", ("account", 1), ("account", 2), [13]),
    ],
)
def test_associations_version_4(
    client: Client, pair: str, source: Any, target: Any, type_ids: list[int]
) -> None:
    body = {"inputs": [{"id": record_id(*source)}]}
    found = client.post(f"/crm/v4/associations/{pair}/batch/read", body)["results"][0]
    assert found["from"] == {"id": record_id(*source)}
    assert [one["toObjectId"] for one in found["to"]] == [int(record_id(*target))]
    kinds = [one["typeId"] for one in found["to"][0]["associationTypes"]]
    assert kinds == type_ids
    known = client.get(f"/crm/v4/associations/{pair}/labels")["results"]
    assert set(kinds) <= {one["typeId"] for one in known}
    dated = client.post(f"/crm/associations/2026-09/{pair}/batch/read", body)["results"][0]
    assert dated["to"][0]["toObjectId"] == record_id(*target)  # text in the dated releases
    kind, to = pair.split("/")
    single = client.get(f"/crm/v4/objects/{kind}/{record_id(*source)}/associations/{to}")
    assert single["results"] == found["to"]


def test_sources_without_associations_are_a_207(client: Client) -> None:
    ids = [record_id("lead", 2), record_id("lead", 1)]
    body = {"inputs": [{"id": one} for one in ids]}
    found = client.post("/crm/v4/associations/contacts/companies/batch/read", body, status=207)
    assert [one["from"]["id"] for one in found["results"]] == [record_id("lead", 1)]
    (failure,) = found["errors"]
    assert failure["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
    assert failure["context"]["fromObjectId"] == [record_id("lead", 2)]
    assert failure["message"] == f"No company is associated with contact {record_id('lead', 2)}."


def test_associations_page_for_each_source() -> None:
    deals = [
        life("deal", key, event("2026-01-02", "create", name=f"D{key}", account=1)) for key in range(1, 8)
    ]
    world = SmallWorld([life("account", 1, event("2026-01-01", "create", name="One")), *deals])
    path = "/crm/v4/associations/companies/deals/batch/read"
    with Simulator(HubSpotPortal(world, now=NOW, association_page=3)) as simulator:
        client = Client(simulator)
        found: list[int] = []
        source: Json | None = {"id": record_id("account", 1)}
        while source:
            result = client.post(path, {"inputs": [source]})["results"][0]
            assert len(result["to"]) <= 3
            found += [one["toObjectId"] for one in result["to"]]
            following = result.get("paging")
            source = {**source, "after": following["next"]["after"]} if following else None
        assert found == [int(record_id("deal", key)) for key in range(1, 8)]
