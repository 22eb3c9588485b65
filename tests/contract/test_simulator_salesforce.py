"""The simulated Salesforce org over real sockets: what it answers, and how strictly it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceMalformedRequest

from connectors.simulator.salesforce import SalesforceOrg, record_id
from connectors.simulator.server import Simulator
from tests.contract.simulator_salesforce_world import LEADS, NOW, Client, small_world

HIDDEN = {"Opportunity": {"NextStep"}}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    org = SalesforceOrg(small_world(LEADS), now=NOW, hidden=HIDDEN, absent_objects={"ForecastingQuota"})
    with Simulator(org) as simulator:
        client = Client(simulator)
        client.login()
        yield client


def test_a_record_has_the_fields_and_notations_of_salesforce(client: Client) -> None:
    found = client.query(
        "SELECT Id, Name, StageName, Amount, CurrencyIsoCode, CloseDate, Probability, ForecastCategory,"
        " ForecastCategoryName, IsClosed, IsWon, OwnerId, AccountId, ARR__c, Term_Months__c, Pilot__c,"
        " Pilot_Start_Date__c, CreatedDate, SystemModstamp, Loss_Reason__c FROM Opportunity WHERE Name = 'Deal 1'"
    ).json()

    identifier = record_id("deal", 1)
    assert found == {
        "totalSize": 1,
        "done": True,
        "records": [
            {
                "attributes": {
                    "type": "Opportunity",
                    "url": f"/services/data/v62.0/sobjects/Opportunity/{identifier}",
                },
                "Id": identifier,
                "Name": "Deal 1",
                "StageName": "Closed Won",
                "Amount": 12000.50,
                "CurrencyIsoCode": "USD",
                "CloseDate": "2025-09-01",
                "Probability": 100.0,
                "ForecastCategory": "Closed",
                "ForecastCategoryName": "Closed",
                "IsClosed": True,
                "IsWon": True,
                "OwnerId": record_id("user", 2),
                "AccountId": record_id("account", 1),
                "ARR__c": 12000.0,
                "Term_Months__c": 12.0,
                "Pilot__c": True,
                "Pilot_Start_Date__c": "2025-06-10",
                "CreatedDate": "2025-06-01T09:00:00.000+0000",
                "SystemModstamp": "2025-09-01T09:00:00.000+0000",
                "Loss_Reason__c": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("soql", "names"),
    [
        ("Name = 'åcme, inc.'", []),  # case folds for ASCII only, as on our disk
        ("Name = 'ÅCME, INC.'", ["Åcme, Inc."]),
        (r"Name = 'O\'Neil \"Best\"'", ['O\'Neil "Best"']),
        ("Name LIKE '%ACME%'", []),
        ("Name LIKE '%cme%'", ["Åcme, Inc."]),
        (r"Name LIKE '%\%%'", []),
        ("Industry = null", ["Going", 'O\'Neil "Best"']),
        ("Industry != 'Retail'", ["Going", 'O\'Neil "Best"']),  # != finds empty ones too
        ("Industry NOT IN ('Retail')", ["Going", 'O\'Neil "Best"']),
        ("NOT (Industry = 'Retail')", ["Going", 'O\'Neil "Best"']),
        ("Industry IN ('retail', null)", ["Going", 'O\'Neil "Best"', "Åcme, Inc."]),
        ("NumberOfEmployees > 249 AND NumberOfEmployees <= 250", ["Åcme, Inc."]),
        ("NumberOfEmployees < 249", []),
        ("BillingCity = ''", []),
        ("BillingCity = null AND OwnerId = '005Hs0000000002'", ['O\'Neil "Best"']),
        ("Owner.Name = 'Ada Able'", ["Going", "Åcme, Inc."]),
        ("CreatedDate = 2025-02-01T09:00:00Z AND (Name = 'Going' OR Segment__c = 'Mid')", ["Going", "Åcme, Inc."]),
        ("CreatedDate > 2025-02-01T09:00:00Z", []),
        ("Id IN ('001Hs0000000001', '001Hs0000000004IAA')", ["Going", "Åcme, Inc."]),
    ],
)  # fmt: skip
def test_filters(client: Client, soql: str, names: list[str]) -> None:
    reply = client.query(f"SELECT Name FROM Account WHERE {soql} ORDER BY Name")
    assert reply.status_code == 200, reply.text
    assert sorted(record["Name"] for record in reply.json()["records"]) == sorted(names)


@pytest.mark.parametrize(
    ("soql", "status", "code"),
    [
        ("SELECT Id, Nonsense__c FROM Opportunity", 400, "INVALID_FIELD"),
        ("SELECT Id, NextStep FROM Opportunity", 400, "INVALID_FIELD"),  # hidden by field-level security
        ("SELECT Id FROM Opportunity WHERE NextStep = 'x'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity ORDER BY NextStep", 400, "INVALID_FIELD"),
        ("SELECT Id, Id FROM Account", 400, "INVALID_FIELD"),
        ("SELECT Id, Product2.Family FROM Opportunity", 400, "INVALID_FIELD"),
        ("SELECT Id, What.Name FROM Event", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Description LIKE 'x%'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Account ORDER BY Description", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Account ORDER BY BillingAddress", 400, "INVALID_FIELD"),
        ("SELECT Id FROM OpportunityFieldHistory WHERE NewValue = 'x'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE CloseDate > 2025-01-01T00:00:00Z", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE CloseDate > '2025-01-01'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE CreatedDate > 2025-01-01", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE CreatedDate > '2025-01-01T00:00:00Z'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE Amount > '5'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE Name = 5", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE IsWon = 'true'", 400, "INVALID_FIELD"),
        ("SELECT Id FROM Opportunity WHERE CloseDate > 2025-02-30", 400, "MALFORMED_QUERY"),
        ("SELECT Id FROM Opportunity WHERE Id = 'nonsense'", 400, "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Opportunity WHERE Amount LIKE '5%'", 400, "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Opportunity WHERE Amount > null", 400, "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Opportunities", 400, "INVALID_TYPE"),
        ("SELECT Id FROM ForecastingQuota", 400, "INVALID_TYPE"),  # absent from this org
        ("SELECT Id FROM", 400, "MALFORMED_QUERY"),
        ("", 400, "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Account", 400, "MALFORMED_QUERY"),
        ("SELECT FIELDS(CUSTOM) FROM Account LIMIT 201", 400, "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead LIMIT 10 OFFSET 2001", 400, "NUMBER_OUTSIDE_VALID_RANGE"),
    ],
)
def test_refused_queries(client: Client, soql: str, status: int, code: str) -> None:
    reply = client.query(soql)
    assert reply.status_code == status
    (error,) = reply.json()
    assert error["errorCode"] == code
    assert error["message"]


def test_message_of_a_wrong_literal(client: Client) -> None:
    message = client.query("SELECT Id FROM Opportunity WHERE CreatedDate > 2025-01-01").json()[0]["message"]
    assert message.endswith(
        "value of filter criterion for field 'CreatedDate' must be of type dateTime"
        " and should not be enclosed in quotes"
    )


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/services/data/v30.0/sobjects", 410, "UNSUPPORTED_API_VERSION"),
        ("/services/data/v99.0/sobjects", 404, "NOT_FOUND"),
        ("/services/data/v62/sobjects", 404, "NOT_FOUND"),
        ("/services/data/v62.0/nonsense", 404, "NOT_FOUND"),
        ("/services/data/v62.0/sobjects/Nonsense/describe", 404, "NOT_FOUND"),
        ("/services/data/v62.0/sobjects/ForecastingQuota/describe", 404, "NOT_FOUND"),
        ("/services/data/v62.0/sobjects/Account/001Hs00000000zz", 404, "NOT_FOUND"),
        ("/services/data/v62.0/query/01gHs0000000001AAA-2000", 400, "INVALID_QUERY_LOCATOR"),
        ("/services/data/v62.0/query/nonsense", 400, "INVALID_QUERY_LOCATOR"),
        ("/services/data/v62.0/jobs/query/750Hs0000000009IAA", 404, "NOT_FOUND"),
    ],
)
def test_refused_paths(client: Client, path: str, status: int, code: str) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (status, code)


def test_addresses_that_are_too_long(client: Client) -> None:
    reply = client.query(
        "SELECT Id FROM Account WHERE Name IN ('" + "', '".join("x" * 100 for _ in range(170)) + "')"
    )
    assert reply.status_code == 414
    assert reply.headers["Content-Type"].startswith("text/html")


def test_paging_gives_every_record_once(client: Client) -> None:
    first = client.query("SELECT Id FROM Lead").json()
    assert first["totalSize"] == LEADS
    assert (len(first["records"]), first["done"]) == (2000, False)

    second = client.get(first["nextRecordsUrl"]).json()
    third = client.get(second["nextRecordsUrl"]).json()
    assert (len(second["records"]), second["done"]) == (2000, False)
    assert (len(third["records"]), third["done"]) == (500, True)
    assert "nextRecordsUrl" not in third

    ids = {record["Id"] for page in (first, second, third) for record in page["records"]}
    assert ids == {record_id("lead", key) for key in range(1, LEADS + 1)}
    again = client.get(first["nextRecordsUrl"]).json()
    assert again == second


@pytest.mark.parametrize(
    ("wish", "size"), [("batchSize=200", 200), ("batchSize=1", 200), ("batchSize=9999", 2000)]
)
def test_page_size_is_a_wish(client: Client, wish: str, size: int) -> None:
    page = client.query("SELECT Id FROM Lead", Sforce_Query_Options=wish).json()
    assert len(page["records"]) == size


def test_locators_of_query_all_say_query(client: Client) -> None:
    page = client.query("SELECT Id FROM Lead", "queryAll").json()
    assert page["nextRecordsUrl"].startswith("/services/data/v62.0/query/")
    assert client.get(page["nextRecordsUrl"]).status_code == 200


def test_the_eleventh_cursor_evicts_the_first(client: Client) -> None:
    pages = [client.query("SELECT Id FROM Lead").json()["nextRecordsUrl"] for _ in range(11)]
    assert client.get(pages[0]).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    assert client.get(pages[1]).status_code == 200


def test_a_locator_dies_with_its_session(client: Client) -> None:
    page = client.query("SELECT Id FROM Lead").json()["nextRecordsUrl"]
    client.simulator.crm.revoke_tokens()
    assert client.get(page).status_code == 401
    client.login()
    reply = client.get(page)
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


def test_keyset_paging_reaches_everything(client: Client) -> None:
    """All leads carry one stamp, so only the id can tell them apart."""
    seen: list[str] = []
    where = ""
    while True:
        soql = f"SELECT Id, SystemModstamp FROM Lead{where} ORDER BY SystemModstamp, Id LIMIT 1000"
        records = client.records(soql)
        seen += [record["Id"] for record in records]
        if len(records) < 1000:
            break
        last = records[-1]
        stamp = last["SystemModstamp"].replace(".000+0000", "Z")
        where = f" WHERE SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > '{last['Id']}')"
    assert seen == [record_id("lead", key) for key in range(1, LEADS + 1)]


def test_no_order_is_promised_without_asking(client: Client) -> None:
    ids = [record["Id"] for record in client.records("SELECT Id FROM Lead")]
    assert ids != sorted(ids)


def test_nulls_come_first_unless_told(client: Client) -> None:
    def segments(order: str) -> list[Any]:
        return [
            r["Segment__c"]
            for r in client.records(f"SELECT Segment__c FROM Account ORDER BY Segment__c {order}")
        ]

    assert segments("") == segments("DESC") == [None, None, "Mid"]
    assert segments("NULLS LAST") == segments("DESC NULLS LAST") == ["Mid", None, None]


def test_parents_are_nested_and_null_when_missing(client: Client) -> None:
    (item,) = client.query(
        "SELECT Name, Product2.Family, Opportunity.Account.Name, Opportunity.Name FROM OpportunityLineItem"
    ).json()["records"]
    assert item["Product2"]["Family"] == "Platform"
    assert item["Product2"]["attributes"]["type"] == "Product2"
    assert item["Opportunity"]["Account"]["Name"] == "Åcme, Inc."
    assert item["Opportunity"]["Name"] == "Deal 1"

    managers = client.records("SELECT Name, Manager.Name FROM User ORDER BY Name")
    assert managers[0]["Manager"] is None
    assert managers[1]["Manager"]["Name"] == "Ada Able"


def test_compound_address(client: Client) -> None:
    found = client.records(
        "SELECT Name, BillingAddress FROM Account WHERE Name LIKE '_cme%' OR Name = 'Going'"
    )
    addresses = {record["Name"]: record["BillingAddress"] for record in found}
    assert addresses["Going"] is None
    assert addresses["Åcme, Inc."]["city"] == "Reno"


def test_query_all_shows_the_recycle_bin_and_old_events(client: Client) -> None:
    def names(resource: str) -> list[str]:
        return [r["Name"] for r in client.records("SELECT Name FROM Opportunity ORDER BY Name", resource)]

    assert names("query") == ["Deal 1", "Deal 2", "Deal 5"]
    assert names("queryAll") == ["Deal 1", "Deal 2", "Deal 3", "Deal 5"]  # 4 left the bin, 6 was purged

    events = "SELECT Subject, IsArchived FROM Event ORDER BY Subject"
    assert client.records(events) == [{"Subject": "New", "IsArchived": False}]
    assert [event["Subject"] for event in client.records(events, "queryAll")] == ["New", "Old"]


def test_a_merged_account_names_its_survivor(client: Client) -> None:
    (loser,) = client.records(
        "SELECT Id, IsDeleted, MasterRecordId FROM Account WHERE IsDeleted = true", "queryAll"
    )
    assert loser == {
        "Id": record_id("account", 3),
        "IsDeleted": True,
        "MasterRecordId": record_id("account", 1),
    }


def test_contact_roles_deleted_directly_vanish(client: Client) -> None:
    soql = "SELECT Id FROM OpportunityContactRole"
    expected = [{"Id": record_id("contact_role", 1)}]
    assert client.records(soql) == client.records(soql, "queryAll") == expected
    window = {"start": "2026-02-20T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    deleted = client.get("sobjects/OpportunityContactRole/deleted/", window).json()["deletedRecords"]
    assert deleted == [{"id": record_id("contact_role", 2), "deletedDate": "2026-02-26T09:00:00.000+0000"}]


def test_describe_tells_fields_and_hides_what_may_not_be_seen(client: Client) -> None:
    reply = client.get("sobjects/Opportunity/describe")
    described = reply.json()
    fields = {field["name"]: field for field in described["fields"]}

    assert (described["replicateable"], described["undeletable"], described["keyPrefix"]) == (
        True,
        True,
        "006",
    )
    assert "NextStep" not in fields
    assert fields["ARR__c"]["custom"]
    assert fields["Probability"]["type"] == "percent"
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert not fields["Description"]["filterable"]
    stages = [value["value"] for value in fields["StageName"]["picklistValues"]]
    assert stages == ["Discovery", "Proof of Concept", "Negotiation", "Closed Won", "Closed Lost"]
    name = fields["Name"]
    assert name["createable"]
    assert not name["nillable"]
    assert not name["defaultedOnCreate"]

    again = client.get("sobjects/Opportunity/describe", If_Modified_Since=reply.headers["Last-Modified"])
    assert (again.status_code, again.content) == (304, b"")


def test_the_catalogue_of_objects(client: Client) -> None:
    objects = {entry["name"]: entry for entry in client.get("sobjects").json()["sobjects"]}
    assert "ForecastingQuota" not in objects
    assert objects["Account"]["mergeable"]
    assert not objects["OpportunityContactRole"]["undeletable"]
    assert {"CurrencyType", "DatedConversionRate", "OpportunityHistory", "Event", "Organization"} <= set(
        objects
    )


def test_one_record_by_id(client: Client) -> None:
    record = client.get(f"sobjects/Account/{record_id('account', 1)}").json()
    assert record["Name"] == "Åcme, Inc."


def test_currencies(client: Client) -> None:
    types = client.records("SELECT IsoCode, ConversionRate, IsCorporate FROM CurrencyType ORDER BY IsoCode")
    assert types == [
        {"IsoCode": "EUR", "ConversionRate": 0.78125, "IsCorporate": False},
        {"IsoCode": "USD", "ConversionRate": 1.0, "IsCorporate": True},
    ]
    soql = (
        "SELECT IsoCode, StartDate, NextStartDate, ConversionRate FROM DatedConversionRate ORDER BY StartDate"
    )
    assert [tuple(rate.values()) for rate in client.records(soql)] == [
        ("EUR", "2025-01-01", "2026-01-01", 0.8),
        ("EUR", "2026-01-01", "9999-12-31", 0.78125),
    ]


@pytest.mark.parametrize("absent", [{"CurrencyType"}])
def test_an_org_with_one_currency_has_no_currency_fields(absent: set[str]) -> None:
    with Simulator(SalesforceOrg(small_world(), now=NOW, absent_objects=absent), tls=False) as simulator:
        client = Client(simulator)
        client.login()
        assert (
            client.query("SELECT IsoCode FROM DatedConversionRate").json()[0]["errorCode"] == "INVALID_TYPE"
        )
        assert client.query("SELECT CurrencyIsoCode FROM Account").json()[0]["errorCode"] == "INVALID_FIELD"
        (organization,) = client.records(
            "SELECT Name, DefaultCurrencyIsoCode, TimeZoneSidKey FROM Organization"
        )
        assert organization == {
            "Name": "Small Software Inc",
            "DefaultCurrencyIsoCode": "USD",
            "TimeZoneSidKey": "America/New_York",
        }


def test_updated_and_deleted_windows(client: Client) -> None:
    window = {"start": "2026-02-15T00:00:00Z", "end": "2026-02-28T00:00:59Z"}
    deleted = client.get("sobjects/Opportunity/deleted/", window).json()
    assert deleted == {
        "deletedRecords": [{"id": record_id("deal", 3), "deletedDate": "2026-02-25T09:00:00.000+0000"}],
        "earliestDateAvailable": "2026-02-14T00:00:00.000+0000",
        "latestDateCovered": "2026-02-28T00:00:00.000+0000",  # seconds are cut off
    }
    updated = client.get("sobjects/Account/updated/", window).json()
    assert updated == {"ids": [], "latestDateCovered": "2026-02-28T00:00:00.000+0000"}


@pytest.mark.parametrize(
    ("path", "start", "end", "code"),
    [
        ("Account/updated", "2026-01-29T00:00:00Z", "2026-02-28T00:00:00Z", "INVALID_REPLICATION_DATE"),
        ("Account/deleted", "2026-02-13T23:59:00Z", "2026-02-28T00:00:00Z", "INVALID_REPLICATION_DATE"),
        ("Account/updated", "2026-02-28T00:00:00Z", "2026-02-28T00:00:30Z", "INVALID_REPLICATION_DATE"),
        ("Account/updated", "2026-02-20T00:00:00", "2026-02-28T00:00:00Z", "INVALID_FIELD"),
        (
            "OpportunityStage/updated",
            "2026-02-20T00:00:00Z",
            "2026-02-28T00:00:00Z",
            "INVALID_TYPE_FOR_OPERATION",
        ),
    ],
)
def test_refused_windows(client: Client, path: str, start: str, end: str, code: str) -> None:
    reply = client.get(f"sobjects/{path}/", {"start": start, "end": end})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)


def test_limits_count_the_calls(client: Client) -> None:
    before = client.get("limits")
    used, most = before.headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")
    assert before.json()["DailyApiRequests"] == {"Max": int(most), "Remaining": int(most) - int(used)}
    after = client.get("limits").headers["Sforce-Limit-Info"]
    assert after == f"api-usage={int(used) + 1}/{most}"


def test_simple_salesforce_reads_it(client: Client) -> None:
    token = str(client.session.headers["Authorization"]).removeprefix("Bearer ")
    instance = client.simulator.url.removeprefix("https://")
    salesforce: Any = Salesforce(instance=instance, session_id=token, session=client.session, version="62.0")

    everything = salesforce.query_all("SELECT Id FROM Lead")
    assert len(everything["records"]) == LEADS
    assert salesforce.Account.describe()["name"] == "Account"
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        salesforce.query("SELECT Nonsense FROM Account")
    wrong: Any = Salesforce(instance=instance, session_id="wrong", session=client.session, version="62.0")
    with pytest.raises(SalesforceExpiredSession):
        wrong.query("SELECT Id FROM Account")
