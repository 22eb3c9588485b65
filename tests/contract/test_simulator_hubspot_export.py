"""The simulated portal over HubSpot's own CSV exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.errors import ConfigurationError
from connectors.simulator.hubspot import HubSpotPortal, record_id, stage_id
from connectors.simulator.hubspot.cells import cell
from connectors.simulator.hubspot.properties import Property, PropertyType
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_client import DEALS, Client
from tests.contract.simulator_hubspot_world import at

FILES = {
    "hubspot-crm-exports-all-deals-2026.csv": """\
Record ID,Deal Name,Deal Stage,Pipeline,Amount,Close Date,Create Date,Deal owner,Deal Type,Renewal Risk,Associated Company,Associated Company IDs,Associated Contact IDs
9001,Acme pilot,Negotiation (Sales Pipeline),Sales Pipeline,"$12,500.50",2026-04-30 16:00,2026-01-05 09:30,Ada Long,New Business,High,Acme,701,801;802
9002,Beta,Closed won (Sales Pipeline),Sales Pipeline,900,2026-02-01,2026-01-06 10:00,Bo Ek (bo@example.com),Renewal,,Beta GmbH,,
9003,Partner deal,Signed,Partner,100,,2026-01-07 10:00,Ada Long,,,,,
""",  # noqa: E501
    "companies.csv": """\
Record ID,Company name,Company Domain Name,Number of Employees,Company owner
701,Acme,acme.example,"1,200",Ada Long
702,Beta GmbH,beta.example,,
""",
    "people.csv": """\
Record ID,First Name,Last Name,Email,Lifecycle Stage,Associated Company IDs
801,Li,Wu,li@acme.example,Opportunity,701;702
802,Mo,,mo@acme.example,Lead,
""",
    "targets.csv": "month,amount\n2026-01,1000\n",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("export")
    for name, text in FILES.items():
        (directory / name).write_text(text, encoding="utf-8-sig")
    with Simulator(HubSpotPortal.from_export(directory, now=at("2026-03-01", 0))) as simulator:
        yield Client(simulator)


def test_deals_by_their_labels(client: Client) -> None:
    names = (
        "dealname,dealstage,pipeline,amount,closedate,dealtype,renewal_risk,hs_is_closed_won,hubspot_owner_id"
    )
    first, second, third = client.get(DEALS, properties=names)["results"]
    assert first["id"] == "9001"
    assert first["createdAt"] == "2026-01-05T09:30:00Z"
    wanted = {
        "dealname": "Acme pilot",
        "dealstage": stage_id("Negotiation"),
        "pipeline": "default",
        "amount": "12500.50",
        "closedate": "2026-04-30T16:00:00Z",
        "renewal_risk": "High",
        "hs_is_closed_won": "false",
    }
    assert {name: first["properties"][name] for name in wanted} == wanted
    assert second["properties"]["hs_is_closed_won"] == "true"
    assert second["properties"]["renewal_risk"] is None
    assert third["properties"]["pipeline"] == stage_id("Partner")
    owners = {one["id"]: one for one in client.get("/crm/v3/owners")["results"]}
    assert owners[second["properties"]["hubspot_owner_id"]]["email"] == "bo@example.com"
    assert owners[first["properties"]["hubspot_owner_id"]]["firstName"] == "Ada"
    assert set(owners) == {record_id("user", key) for key in (1, 2)}


def test_pipelines_and_custom_properties_are_those_of_the_rows(client: Client) -> None:
    pipelines = client.get("/crm/v3/pipelines/deals")["results"]
    assert {one["label"]: [stage["label"] for stage in one["stages"]] for one in pipelines} == {
        "Sales Pipeline": ["Negotiation", "Closed won"],
        "Partner": ["Signed"],
    }
    won = pipelines[0]["stages"][1]
    assert won["metadata"] == {"isClosed": "true", "probability": "1.0"}
    custom = client.get("/crm/v3/properties/deals/renewal_risk")
    assert (custom["label"], custom["hubspotDefined"]) == ("Renewal risk", False)


def test_associations_by_id_and_by_name(client: Client) -> None:
    body = {"inputs": [{"id": "9001"}, {"id": "9002"}, {"id": "9003"}]}
    found = client.post("/crm/v4/associations/deals/companies/batch/read", body, status=207)
    linked = {one["from"]["id"]: [to["toObjectId"] for to in one["to"]] for one in found["results"]}
    assert linked == {"9001": [701], "9002": [702]}
    people = client.post("/crm/v4/associations/deals/contacts/batch/read", {"inputs": [{"id": "9001"}]})
    assert [to["toObjectId"] for to in people["results"][0]["to"]] == [801, 802]
    companies = client.post("/crm/v4/associations/contacts/companies/batch/read", {"inputs": [{"id": "801"}]})
    kinds = {
        to["toObjectId"]: {one["typeId"] for one in to["associationTypes"]}
        for to in companies["results"][0]["to"]
    }
    assert kinds == {701: {1, 279}, 702: {279}}  # only the first is the primary company


def test_history_is_what_the_file_says(client: Client) -> None:
    found = client.get(f"{DEALS}/9001", propertiesWithHistory="dealstage")["propertiesWithHistory"]
    assert found["dealstage"] == [
        {"value": stage_id("Negotiation"), "timestamp": "2026-01-05T09:30:00Z", "sourceType": "IMPORT"}
    ]
    (match,) = client.post(
        f"{DEALS}/search", {"filters": [{"propertyName": "renewal_risk", "operator": "EQ", "value": "high"}]}
    )["results"]
    assert match["id"] == "9001"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Record ID,Deal Name,Deal Stage\nx1,A,B\n", "line 2: Record ID 'x1' is no number"),
        ("Record ID,Deal Name,Deal Stage\n1,A,B\n1,A,B\n", "line 3: Record ID '1' appears twice"),
        ("Name,Amount\nA,1\n", "no CSV file there is a HubSpot export"),
        ('Record ID,Deal Name,Deal Stage\n1,"A,B\n2,C,D\n', r"deals\.csv, line 2: a quote .* not closed"),
        (
            'Record ID,Deal Name,Deal Stage\n1,"A\nb",C\n2,"A"x,D\n',
            r"deals\.csv, line 4: a quote .* not doubled",
        ),
        (
            "Record ID;Deal Name;Deal Stage\n1;A;B\n",
            r"deals\.csv, line 1: .* separated by semicolons; .* commas",
        ),
        ("Record ID\tDeal Name\tDeal Stage\n1\tA\tB\n", "separated by tabs"),
        (
            "Record ID,Deal Name,Deal Stage,Deal name\n1,A,B,C\n",
            r"deals\.csv, line 1: .*'deal name' .* twice",
        ),
        ("Record ID,Deal Name,Deal Stage\n1,A,B,C\n", r"deals\.csv, line 2: 4 cells, .* names 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "deals.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=problem):
        HubSpotPortal.from_export(tmp_path)


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_bytes("Record ID,Deal Name,Deal Stage\n1,Ö,B\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"deals\.csv: this is not text in UTF-8"):
        HubSpotPortal.from_export(tmp_path)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("number", "€1,234.50", "1234.50"),
        ("number", "60%", "0.6"),
        ("number", "a few", "a few"),
        ("datetime", "04/30/2026 4:05 PM", "2026-04-30T16:05:00Z"),
        ("datetime", "2026-04-30", "2026-04-30T00:00:00Z"),
        ("date", "2026-04-30", "2026-04-30"),
        ("date", "soon", "soon"),
        ("bool", "Yes", "true"),
        ("bool", "maybe", "maybe"),
        ("string", "Yes", "Yes"),
    ],
)
def test_cells(kind: PropertyType, raw: str, value: str) -> None:
    assert cell(Property("p", "P", kind), raw) == value
