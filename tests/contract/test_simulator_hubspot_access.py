"""Who may call the simulated HubSpot portal, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hubspot
import pytest
import requests
from hubspot.crm.deals.exceptions import ApiException

from connectors.simulator.faults import FaultPlan
from connectors.simulator.hubspot import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    SCOPES,
    HubSpotPortal,
    record_id,
)
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_client import DEALS, Client, Json, inputs, search_filter
from tests.contract.simulator_hubspot_world import NOW, company


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A portal on 1 March whose clock nobody moves."""
    with Simulator(HubSpotPortal(company(), now=NOW)) as simulator:
        yield Client(simulator)


@pytest.mark.parametrize(("authorization", "status"), [(None, 401), ("Bearer wrong", 401), ("Basic x", 401)])
def test_wrong_token(client: Client, authorization: str | None, status: int) -> None:
    reply = client.call("GET", DEALS, headers={"Authorization": authorization})
    assert reply.status_code == status
    assert reply.json()["category"] == "INVALID_AUTHENTICATION"


def test_missing_scopes() -> None:
    scopes = SCOPES - {"crm.objects.contacts.read", "settings.currencies.read"}
    with Simulator(HubSpotPortal(company(), now=NOW, scopes=scopes)) as simulator:
        client = Client(simulator)
        for path in ("/crm/v3/objects/contacts", "/crm/v3/objects/meetings", "/crm/v3/properties/contacts"):
            reply = client.call("GET", path)
            assert (reply.status_code, reply.json()["category"]) == (403, "MISSING_SCOPES")
        needed = reply.json()["errors"][0]["context"]["requiredGranularScopes"]
        assert needed == ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
        pair = client.call("POST", "/crm/v4/associations/deals/contacts/batch/read", json=inputs(1))
        assert pair.status_code == 403
        assert client.call("GET", "/settings/v3/currencies/exchange-rates").status_code == 403
        assert client.ids(DEALS)


def _refresh(client: Client, path: str, **change: str) -> requests.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    }
    return client.call("POST", path, data={**form, **change})


class Stopwatch:
    """A clock that tests move by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/2026-03/token"])
def test_oauth_tokens_are_long_and_run_out(path: str) -> None:
    clock = Stopwatch()
    portal = HubSpotPortal(company(), now=NOW, clock=clock)
    with Simulator(portal) as simulator:
        given = _refresh(Client(simulator), path).json()
        token = given["access_token"]
        assert (given["expires_in"], len(token) >= 300) == (1_800, True)
        client = Client(simulator, token)
        reply = client.call("GET", DEALS)
        assert reply.status_code == 200
        assert reply.headers["X-HubSpot-RateLimit-Max"] == "110"
        assert "X-HubSpot-RateLimit-Daily" not in reply.headers
        assert client.get(f"/oauth/v1/access-tokens/{token}")["hub_id"] == given["hub_id"]
        clock.seconds += 1_800
        late = client.call("GET", DEALS)
        assert (late.status_code, late.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
        second = Client(simulator, _refresh(client, path).json()["access_token"])
        assert second.call("GET", DEALS).status_code == 200
        portal.revoke_tokens()
        assert second.call("GET", DEALS).json()["category"] == "INVALID_AUTHENTICATION"
        assert Client(simulator).call("GET", DEALS).status_code == 200  # a private app's token never expires


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"refresh_token": "other"}, "BAD_REFRESH_TOKEN"),
        ({"client_secret": "other"}, "BAD_CLIENT_SECRET"),
        ({"client_id": "other"}, "BAD_CLIENT_ID"),
        ({"grant_type": "password"}, "BAD_GRANT_TYPE"),
    ],
)
def test_a_refused_grant_is_a_400(client: Client, change: dict[str, str], status: str) -> None:
    reply = _refresh(client, "/oauth/v1/token", **change)
    assert (reply.status_code, reply.json()["status"]) == (400, status)


def test_rate_limits() -> None:
    clock = Stopwatch()
    portal = HubSpotPortal(company(), now=NOW, clock=clock)
    with Simulator(portal, rate_limits=True) as simulator:
        client = Client(simulator)
        seen = [client.call("POST", f"{DEALS}/search", json={}).status_code for _ in range(6)]
        assert seen == [200] * 5 + [429]
        refused = client.call("POST", "/crm/v3/objects/contacts/search", json={})  # one bucket for all types
        assert refused.json()["category"] == "RATE_LIMITS"
        assert "policyName" not in refused.json()
        clock.seconds += 1.0
        assert client.call("POST", f"{DEALS}/search", json={}).status_code == 200
        replies = [client.call("GET", f"{DEALS}/1") for _ in range(191)]
        assert [reply.status_code for reply in replies] == [404] * 190 + [429]
        assert replies[0].headers["X-HubSpot-RateLimit-Remaining"] == "189"
        assert replies[-1].json()["policyName"] == "TEN_SECONDLY_ROLLING"
        free = "/crm/v4/associations/deals/companies/batch/read"
        assert client.call("POST", free, json=inputs(1)).status_code == 207
        clock.seconds += 10.0
        assert client.call("GET", f"{DEALS}/1").status_code == 404


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("429", 429, {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}),
        ("quota", 429, {"errorType": "RATE_LIMIT", "policyName": "DAILY"}),
        ("500", 500, {"status": "error", "message": "internal error"}),
        ("503", 503, {"status": "error"}),
    ],
)
def test_faults_have_hubspot_bodies(kind: str, status: int, says: Json) -> None:
    portal = HubSpotPortal(company(), now=NOW)
    with Simulator(portal, faults=FaultPlan.parse(f"{kind}@1")) as simulator:
        client = Client(simulator)
        reply = client.call("GET", DEALS)
        assert reply.status_code == status
        assert says.items() <= reply.json().items()
        assert client.call("GET", DEALS).status_code == 200


def test_the_official_client_reads_it(client: Client) -> None:
    api = hubspot.HubSpot(access_token=ACCESS_TOKEN, retry=False)
    api.config["host"] = client.simulator.url
    api.config["ssl_ca_cert"] = client.simulator.ca_bundle
    deals = api.crm.deals
    page = deals.basic_api.get_page(limit=2, properties=["amount,dealstage"], associations=["companies"])
    assert [deal.id for deal in page.results] == [record_id("deal", 1), record_id("deal", 2)]
    assert page.results[0].properties["amount"] == "10000.5"
    assert page.paging.next.after == str(int(record_id("deal", 2)) + 1)
    found: Callable[..., Any] = deals.search_api.do_search
    assert found(search_filter("hs_object_id", "GT", value=record_id("deal", 2))).total == 2
    with pytest.raises(ApiException) as caught:
        deals.basic_api.get_page(limit=101)
    assert caught.value.status == 400
