"""The simulated HubSpot portal over real sockets: records, settings, and the same strictness as the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.simulator.hubspot import (
    HubSpotPortal,
    record_id,
    stage_id,
)
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_client import DEALS, Client, Json, inputs, search_filter
from tests.contract.simulator_hubspot_world import NOW, company


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A portal on 1 March whose clock nobody moves."""
    with Simulator(HubSpotPortal(company(), now=NOW)) as simulator:
        yield Client(simulator)


def _filters(groups: int, each: int) -> Json:
    one = {"propertyName": "amount", "operator": "GT", "value": "0"}
    return {"filterGroups": [{"filters": [one] * each}] * groups}


# (method, path, body or None, status, what the answer must say)
STRICT: list[tuple[str, str, Json | None, int, str]] = [
    ("GET", f"{DEALS}?limit=100", None, 200, "results"),
    ("GET", f"{DEALS}?limit=101", None, 400, "VALIDATION_ERROR"),
    ("GET", f"{DEALS}?limit=0", None, 400, "VALIDATION_ERROR"),
    ("GET", f"{DEALS}?limit=ten", None, 400, "VALIDATION_ERROR"),
    ("GET", f"{DEALS}?after=x", None, 400, "VALIDATION_ERROR"),
    ("GET", f"{DEALS}?limit=50&propertiesWithHistory=amount", None, 200, "propertiesWithHistory"),
    ("GET", f"{DEALS}?limit=51&propertiesWithHistory=amount", None, 400, "VALIDATION_ERROR"),
    ("GET", f"{DEALS}?associations=planets", None, 400, "Unable to infer object type"),
    ("GET", "/crm/v3/objects/planets", None, 404, "HTTP ERROR 404"),
    ("GET", f"{DEALS}/1", None, 404, "HTTP ERROR 404"),
    ("GET", "/crm/objects/2025-09/deals", None, 404, "HTTP ERROR 404"),
    ("GET", "/crm/v3/objects/leads", None, 403, "crm.objects.leads.read"),
    ("GET", "/crm/v3/objects/0-136", None, 403, "MISSING_SCOPES"),
    ("GET", "/crm/v3/properties/deals/nothing", None, 404, "Properties.PROPERTY_NOT_FOUND"),
    ("GET", "/crm/v3/pipelines/deals/other", None, 404, "HTTP ERROR 404"),
    ("GET", f"{DEALS}?properties={'x' * 17_000}", None, 414, "414 Request-URI Too Large"),
    ("POST", f"{DEALS}/batch/read", inputs(100), 207, "OBJECT_NOT_FOUND"),
    ("POST", f"{DEALS}/batch/read", inputs(101), 400, "batch request is 100"),
    ("POST", f"{DEALS}/batch/read", inputs(50, propertiesWithHistory=["amount"]), 207, "numErrors"),
    ("POST", f"{DEALS}/batch/read", inputs(51, propertiesWithHistory=["amount"]), 400, "histories is 50"),
    ("POST", f"{DEALS}/batch/read", {}, 400, "[inputs]"),
    ("POST", f"{DEALS}/batch/read", {"inputs": [{"key": 1}]}, 400, "[id]"),
    ("POST", "/crm/v4/associations/deals/companies/batch/read", inputs(1000), 207, "NO_ASSOCIATIONS_FOUND"),
    ("POST", "/crm/v4/associations/deals/companies/batch/read", inputs(1001), 400, "VALIDATION_ERROR"),
    ("POST", f"{DEALS}/search", {"limit": 200}, 200, "total"),
    ("POST", f"{DEALS}/search", {"limit": 201}, 400, "VALIDATION_ERROR"),
    ("POST", f"{DEALS}/search", {"limit": 100, "after": "9900"}, 200, "total"),
    ("POST", f"{DEALS}/search", {"limit": 100, "after": "9901"}, 400, "10000"),
    ("POST", f"{DEALS}/search", {"after": "x"}, 400, "Invalid input JSON"),
    ("POST", f"{DEALS}/search", _filters(5, 3), 200, "total"),
    ("POST", f"{DEALS}/search", _filters(6, 1), 400, "filterGroups"),
    ("POST", f"{DEALS}/search", _filters(1, 7), 400, "VALIDATION_ERROR"),
    ("POST", f"{DEALS}/search", _filters(4, 5), 400, "VALIDATION_ERROR"),
    ("POST", f"{DEALS}/search", {"sorts": ["amount", "closedate"]}, 400, "one sort"),
    ("POST", f"{DEALS}/search", {"sorts": [{"propertyName": "amount", "direction": "UP"}]}, 400, "Direction"),
    ("POST", f"{DEALS}/search", {"query": "x" * 3_001}, 400, "3000"),
    ("POST", f"{DEALS}/search", search_filter("archivedAt", "GT", value="1"), 400, "archivedAt"),
    ("POST", f"{DEALS}/search", search_filter("amount", "ABOUT", value="1"), 400, "Operator"),
    ("POST", f"{DEALS}/search", search_filter("amount", "EQ", value="much"), 400, "amount"),
    ("POST", f"{DEALS}/search", search_filter("amount", "EQ"), 400, "requires a value"),
    ("POST", f"{DEALS}/search", search_filter("amount", "IN", value="1"), 400, "requires values"),
    ("POST", f"{DEALS}/search", search_filter("amount", "BETWEEN", value="1"), 400, "requires a highValue"),
    ("POST", f"{DEALS}/search", search_filter("closedate", "GT", value="soon"), 400, "closedate"),
    ("POST", f"{DEALS}/search", search_filter("hs_lastmodifieddate", "GTE", value="0"), 500, "internal error"),
    ("POST", f"{DEALS}/search", {"filterGroups": [{"filters": [{"value": "1"}]}]}, 400, "propertyName, operator"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "says"), STRICT)
def test_answers_as_strictly_as_hubspot(
    client: Client, method: str, path: str, body: Json | None, status: int, says: str
) -> None:
    reply = client.call(method, path, json=body)
    assert (reply.status_code, says in reply.text) == (status, True), reply.text
    if status >= 400 and "json" in reply.headers["Content-Type"]:
        found = reply.json()
        assert found["status"] == "error"
        assert found["correlationId"] == reply.headers["X-HubSpot-Correlation-Id"]


def test_body_that_is_no_json_is_refused(client: Client) -> None:
    reply = client.call("POST", f"{DEALS}/search", data=b"{not json")
    assert reply.status_code == 400
    assert reply.json()["message"].startswith("Invalid input JSON on line 1")


@pytest.mark.parametrize(
    "path", ["/crm/v3/objects/deals", "/crm/objects/2026-03/deals", "/crm/objects/2026-09/0-3"]
)
def test_lists_page_by_ascending_id(client: Client, path: str) -> None:
    whole = client.ids(path)
    assert whole == [record_id("deal", key) for key in (1, 2, 4, 5)]  # deal 3 is in the bin
    page = client.get(path, limit=3, properties="dealname")
    following = page["paging"]["next"]
    assert int(following["after"]) == int(whole[2]) + 1
    rest = client.get(following["link"])
    assert [record["id"] for record in page["results"] + rest["results"]] == whole
    assert "paging" not in rest
    assert rest["results"][0]["properties"]["dealname"] == "Deal 5"


def test_properties_asked_for_and_those_that_always_come(client: Client) -> None:
    path = f"{DEALS}/{record_id('deal', 1)}"
    plain = client.get(path)["properties"]
    assert set(plain) == {
        *("amount", "closedate", "createdate", "dealname", "dealstage"),
        *("hs_lastmodifieddate", "hs_object_id", "pipeline"),
    }
    asked = client.get(path, properties=["contract_arr,nonsense", "hs_next_step"])["properties"]
    assert asked == {
        "contract_arr": "12000",
        "hs_next_step": None,
        "createdate": "2026-01-10T09:00:00Z",
        "hs_lastmodifieddate": "2026-02-15T09:00:00Z",
        "hs_object_id": record_id("deal", 1),
    }


def test_a_value_taken_away_is_empty_text_and_one_never_set_is_null(client: Client) -> None:
    found = client.get(f"{DEALS}/{record_id('deal', 3)}", archived="true", properties="amount,hs_next_step")
    assert (found["properties"]["amount"], found["properties"]["hs_next_step"]) == ("", None)
    assert (found["archived"], found["archivedAt"]) == (True, "2026-02-02T09:00:00Z")


def test_history_newest_first_with_its_sources(client: Client) -> None:
    found = client.get(
        f"{DEALS}/{record_id('deal', 1)}",
        propertiesWithHistory="dealstage,closedate,hs_is_closed,hs_deal_stage_probability,nonsense",
    )
    history = found["propertiesWithHistory"]
    assert set(history) == {"dealstage", "closedate", "hs_is_closed", "hs_deal_stage_probability"}
    assert [(entry["value"], entry["timestamp"][:10]) for entry in history["dealstage"]] == [
        (stage_id("Closed Won"), "2026-02-15"),
        (stage_id("Proof of Concept"), "2026-01-20"),
        (stage_id("Discovery"), "2026-01-10"),
    ]
    assert history["closedate"][0]["sourceId"] == "close-date-automation"
    assert history["hs_is_closed"][0]["sourceType"] == "CALCULATED"
    assert found["properties"]["dealstage"] == history["dealstage"][0]["value"]
    odds = [entry["value"] for entry in history["hs_deal_stage_probability"]]
    assert [float(value) for value in odds] == [1.0, 0.4, 0.1]
    assert len(odds[-1]) > 20  # the float's own digits, as HubSpot prints them


def test_history_keeps_twenty_versions(client: Client) -> None:
    body = {"inputs": [{"id": record_id("deal", 2)}], "propertiesWithHistory": ["hs_next_step"]}
    found = client.post(f"{DEALS}/batch/read", body)["results"][0]["propertiesWithHistory"]["hs_next_step"]
    assert [entry["value"] for entry in found] == [f"Step {number}" for number in range(23, 3, -1)]


def test_bin_lists_one_version_and_batch_read_all(client: Client) -> None:
    listed = client.get(DEALS, archived="true", propertiesWithHistory="amount")["results"]
    assert [record["id"] for record in listed] == [record_id("deal", 3)]
    assert [entry["value"] for entry in listed[0]["propertiesWithHistory"]["amount"]] == [""]
    body = {"inputs": [{"id": record_id("deal", 3)}], "propertiesWithHistory": ["amount"]}
    whole = client.post(f"{DEALS}/batch/read?archived=true", body)["results"][0]["propertiesWithHistory"]
    assert [entry["value"] for entry in whole["amount"]] == ["", "10000.5"]


def test_batch_read_names_what_is_missing(client: Client) -> None:
    ids = [record_id("deal", 1), record_id("deal", 3), "17", record_id("deal", 1)]
    found = client.post(f"{DEALS}/batch/read", {"inputs": [{"id": one} for one in ids]}, status=207)
    assert [record["id"] for record in found["results"]] == [record_id("deal", 1)]
    assert (found["status"], found["numErrors"]) == ("COMPLETE", 1)
    assert found["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert found["errors"][0]["context"] == {"ids": [record_id("deal", 3), "17"]}


def test_leads_are_contacts_and_a_converted_one_is_the_same_record(client: Client) -> None:
    names = "email,company,lifecyclestage,associatedcompanyid,hs_lead_status,hs_email_bounce,buying_role"
    dates = "hs_v2_date_entered_lead,hs_v2_date_entered_marketingqualifiedlead,hs_v2_date_entered_opportunity"
    people = client.get("/crm/v3/objects/contacts", properties=f"{names},{dates},notes_last_contacted")
    found = {record["id"]: record["properties"] for record in people["results"]}
    assert set(found) == {record_id("contact", 2), record_id("lead", 1), record_id("lead", 2)}
    converted = found[record_id("lead", 1)]
    expected = {
        "email": "li@acme.example",  # the contact's, not the lead's
        "company": "Acme",
        "lifecyclestage": "opportunity",
        "associatedcompanyid": record_id("account", 1),
        "hs_lead_status": "Working",
        "hs_email_bounce": "1",
        "buying_role": "champion",
        "hs_v2_date_entered_lead": "2026-01-05T09:00:00Z",
        "hs_v2_date_entered_marketingqualifiedlead": "2026-01-08T17:00:00Z",
        "hs_v2_date_entered_opportunity": "2026-01-10T17:00:00Z",
        "notes_last_contacted": "2026-02-20T17:00:00Z",
    }
    assert {name: converted[name] for name in expected} == expected
    waiting = found[record_id("lead", 2)]
    assert (waiting["lifecyclestage"], waiting["associatedcompanyid"]) == ("lead", None)
    assert found[record_id("contact", 2)]["hs_v2_date_entered_lead"] is None


def test_owners_who_left_are_archived(client: Client) -> None:
    active = client.get("/crm/v3/owners")["results"]
    assert [(one["id"], one["email"]) for one in active] == [(record_id("user", 1), "ada@example.com")]
    left = client.get("/crm/v3/owners", archived="true")["results"]
    assert [(one["id"], "userId" in one) for one in left] == [(record_id("user", 2), False)]


def test_pipeline_without_retired_stages(client: Client) -> None:
    (pipeline,) = client.get("/crm/pipelines/2026-09/deals")["results"]
    assert pipeline["id"] == "default"
    stages = {stage["id"]: stage["metadata"] for stage in pipeline["stages"]}
    assert stage_id("Old Stage") not in stages
    assert stages[stage_id("Closed Won")] == {"isClosed": "true", "probability": "1.0"}
    assert stages[stage_id("Discovery")] == {"isClosed": "false", "probability": "0.1"}
    assert client.get(f"{DEALS}/{record_id('deal', 2)}")["properties"]["dealstage"] == stage_id("Old Stage")


def test_property_definitions(client: Client) -> None:
    listed = client.get("/crm/v3/properties/deals")["results"]
    found = {one["name"]: one for one in listed}
    assert found["hs_is_closed_won"]["calculated"] is True
    assert found["contract_arr"]["hubspotDefined"] is False
    assert found["amount"]["currencyPropertyName"] == "deal_currency_code"
    assert [one["value"] for one in found["dealtype"]["options"]] == ["New Business"]
    assert client.get("/crm/v3/properties/deals/dealtype") == found["dealtype"]
    everything = client.get(f"{DEALS}/{record_id('deal', 1)}", properties=",".join(found))["properties"]
    assert set(everything) == set(found)


def test_account_and_currencies(client: Client) -> None:
    account = client.get("/account-info/v3/details")
    assert (account["timeZone"], account["companyCurrency"]) == ("America/New_York", "USD")
    assert (account["additionalCurrencies"], account["utcOffset"]) == (["EUR"], "-05:00")
    assert client.get("/settings/v3/currencies/company-currency")["currencyCode"] == "USD"
    rates = client.get("/settings/v3/currencies/exchange-rates", fromCurrencyCode="EUR")["results"]
    assert [(one["effectiveAt"], one["conversionRate"]) for one in rates] == [
        ("2026-01-01T00:00:00Z", 1.1),
        ("2026-02-01T00:00:00Z", 1.125),
    ]
    (current,) = client.get("/settings/currencies/2026-03/exchange-rates/current")["results"]
    assert current["conversionRate"] == 1.125
