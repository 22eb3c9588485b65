"""Bulk API 2.0 query jobs of the simulated org, from creation to deletion."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.simulator.salesforce import SalesforceOrg, record_id
from connectors.simulator.server import Simulator
from tests.contract.simulator_salesforce_world import LEADS, NOW, Client, small_world


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Simulator(SalesforceOrg(small_world(LEADS), now=NOW)) as simulator:
        client = Client(simulator)
        client.login()
        yield client


def create(client: Client, soql: str, operation: str = "query", **more: str) -> requests.Response:
    url = f"{client.simulator.url}/services/data/v{client.version}/jobs/query"
    return client.session.post(url, json={"operation": operation, "query": soql, **more}, timeout=10)


def send(client: Client, method: str, job: str, body: dict[str, str] | None = None) -> requests.Response:
    url = f"{client.simulator.url}/services/data/v{client.version}/jobs/query/{job}"
    return client.session.request(method, url, json=body, timeout=10)


def completed(client: Client, soql: str, operation: str = "query", **more: str) -> str:
    job = str(create(client, soql, operation, **more).json()["id"])
    states = [client.get(f"jobs/query/{job}").json()["state"] for _ in range(2)]
    assert states == ["InProgress", "JobComplete"]
    return job


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_job_tells_what_it_does(client: Client) -> None:
    made = create(client, "SELECT Id FROM Lead").json()
    assert made["state"] == "UploadComplete"
    assert (made["object"], made["apiVersion"], made["concurrencyMode"]) == ("Lead", 62.0, "Parallel")

    for _ in range(2):
        told = client.get(f"jobs/query/{made['id']}").json()
    assert (told["state"], told["numberRecordsProcessed"], told["retries"]) == ("JobComplete", LEADS, 0)


def test_pages_join_to_the_whole(client: Client) -> None:
    job = completed(client, "SELECT Id, LastName FROM Lead")
    ids: list[str] = []
    locator, pages = "", []
    while locator != "null":
        params = {"maxRecords": "1999", **({"locator": locator} if locator else {})}
        page = client.get(f"jobs/query/{job}/results", params)
        found = rows(page.text)
        assert page.headers["Sforce-NumberOfRecords"] == str(len(found))
        ids += [row["Id"] for row in found]
        pages.append((params, page.text))
        locator = page.headers["Sforce-Locator"]

    assert len(pages) == 3
    assert sorted(ids) == [record_id("lead", key) for key in range(1, LEADS + 1)]
    params, text = pages[1]
    assert client.get(f"jobs/query/{job}/results", params).text == text  # can be fetched again


def test_results_do_not_change_once_complete(client: Client) -> None:
    job = completed(client, "SELECT Name, StageName FROM Opportunity")
    before = client.get(f"jobs/query/{job}/results").text
    client.simulator.advance(client.simulator.now + timedelta(minutes=1))
    assert client.get(f"jobs/query/{job}/results").text == before


def test_cells(client: Client) -> None:
    soql = "SELECT Name, Amount, IsWon, Loss_Reason__c, CloseDate, CreatedDate, Account.Name FROM Opportunity"
    text = client.get(f"jobs/query/{completed(client, soql)}/results").text
    assert (
        text.splitlines()[0]
        == '"Name","Amount","IsWon","Loss_Reason__c","CloseDate","CreatedDate","Account.Name"'
    )
    (first,) = [row for row in rows(text) if row["Name"] == "Deal 1"]
    assert first == {
        "Name": "Deal 1",
        "Amount": "12000.5",
        "IsWon": "true",
        "Loss_Reason__c": "",
        "CloseDate": "2025-09-01",
        "CreatedDate": "2025-06-01T09:00:00.000Z",
        "Account.Name": "Åcme, Inc.",
    }
    quoted = client.get(f"jobs/query/{completed(client, 'SELECT Name FROM Account')}/results").text
    assert '"O\'Neil ""Best"""' in quoted


def test_delimiter_and_line_ending(client: Client) -> None:
    job = completed(client, "SELECT Id, Name FROM Account", columnDelimiter="PIPE", lineEnding="CRLF")
    body = client.get(f"jobs/query/{job}/results").content
    assert body.startswith(b'"Id"|"Name"\r\n')


def test_query_all_includes_the_recycle_bin(client: Client) -> None:
    job = completed(client, "SELECT Name FROM Opportunity", "queryAll")
    assert "Deal 3" in client.get(f"jobs/query/{job}/results").text


def test_an_empty_result_is_a_header(client: Client) -> None:
    job = completed(client, "SELECT Id FROM Lead WHERE Name = 'nobody'")
    page = client.get(f"jobs/query/{job}/results", {"maxRecords": "10"})
    assert page.text == '"Id"\n'
    assert (page.headers["Sforce-NumberOfRecords"], page.headers["Sforce-Locator"]) == ("0", "null")


def test_result_pages_list_addresses(client: Client) -> None:
    job = completed(client, "SELECT Id FROM Lead")
    listing = client.get(f"jobs/query/{job}/resultPages", {"maxRecords": "700"}).json()
    assert (len(listing["resultPages"]), listing["done"]) == (5, False)
    following = client.get(listing["nextRecordUrl"]).json()
    assert (len(following["resultPages"]), following["done"]) == (2, True)

    urls = [page["resultUrl"] for page in (*listing["resultPages"], *following["resultPages"])]
    ids = [row["Id"] for url in urls for row in rows(client.get(url).text)]
    assert sorted(ids) == [record_id("lead", key) for key in range(1, LEADS + 1)]


def test_jobs_keep_to_the_version_that_made_them(client: Client) -> None:
    job = completed(client, "SELECT Id FROM Account")
    assert client.get(f"/services/data/v61.0/jobs/query/{job}/results").status_code == 409
    assert client.get(f"/services/data/v57.0/jobs/query/{job}/resultPages").status_code == 404


def test_abort_and_delete(client: Client) -> None:
    job = str(create(client, "SELECT Id FROM Lead").json()["id"])
    early = client.get(f"jobs/query/{job}/results")
    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert send(client, "DELETE", job).status_code == 400
    assert send(client, "PATCH", job, {"state": "Aborted"}).json()["state"] == "Aborted"
    gone = send(client, "DELETE", job)
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.get(f"jobs/query/{job}").status_code == 404

    done = completed(client, "SELECT Id FROM Lead")
    refused = send(client, "PATCH", done, {"state": "Aborted"})
    assert refused.json()[0]["message"] == "Aborting already Completed Job not allowed"
    assert send(client, "DELETE", done).status_code == 204


@pytest.mark.parametrize(
    ("soql", "more", "code"),
    [
        ("SELECT COUNT() FROM Lead", {}, "API_ERROR"),
        ("SELECT Id FROM Lead LIMIT 5 OFFSET 5", {}, "API_ERROR"),
        ("SELECT BillingAddress FROM Account", {}, "API_ERROR"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 5", {}, "MALFORMED_QUERY"),
        ("SELECT Id FROM OpportunityStage", {}, "INVALIDENTITY"),
        ("SELECT Nonsense FROM Account", {}, "INVALID_FIELD"),
        ("SELECT Id FROM Nonsense", {}, "INVALID_TYPE"),
        ("SELECT Id FROM Account", {"operation": "insert"}, "INVALIDJOB"),
        ("SELECT Id FROM Account", {"columnDelimiter": "SPACE"}, "INVALIDJOB"),
        ("SELECT Id FROM Account", {"contentType": "JSON"}, "INVALIDJOB"),
    ],
)
def test_refused_jobs(client: Client, soql: str, more: dict[str, Any], code: str) -> None:
    reply = create(client, soql, **{"operation": "query", **more})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"locator": "!!"}, "INVALID_LOCATOR"),
        ({"locator": "OTk5OTk5"}, "INVALID_LOCATOR"),
        ({"maxRecords": "0"}, "INVALID_PARAMETER"),
    ],
)
def test_refused_pages(client: Client, params: dict[str, str], code: str) -> None:
    job = completed(client, "SELECT Id FROM Account")
    reply = client.get(f"jobs/query/{job}/results", params)
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)
