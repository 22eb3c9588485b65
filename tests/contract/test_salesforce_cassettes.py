"""Recorded conversations with an org, replayed: the requests we send and the answers we understand are pinned.

``BOARDLINE_RECORD=1 pytest tests/contract/test_salesforce_cassettes.py -n 0`` records them anew from the simulated org.
The host is written as acme.my.salesforce.com; tokens, ids and secrets of the client are replaced.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
import vcr

from connectors.errors import CredentialError
from connectors.retry import RetryPolicy
from connectors.simulator.company import Company, Parameters
from connectors.simulator.faults import FaultPlan
from connectors.simulator.salesforce import SalesforceOrg
from connectors.simulator.server import Simulator
from connectors.source import Source, SourceSettings
from connectors.sources.salesforce import SOURCE
from connectors.sources.salesforce.client import SalesforceClient
from connectors.sources.salesforce.faults import LostLocatorError, MissingFieldError, MissingObjectError
from connectors.sources.salesforce.session import SalesforceSession
from connectors.sources.salesforce.settings import read_auth, read_options

HOST: Final = "acme.my.salesforce.com"
CASSETTES: Final = Path(__file__).parents[1] / "cassettes" / "salesforce"
RECORD: Final = os.environ.get("BOARDLINE_RECORD") == "1"
RETRY: Final = RetryPolicy(attempts=3, first=0.001, longest=0.01)
AUTH: Final = {
    "flow": "client_credentials",
    "client_id": "simulator-client",
    "client_secret": "simulator-secret",
}
_LOCAL: Final = re.compile(r"localhost:\d+")
_TOKEN: Final = re.compile(rb"00D\w{12}![\w.-]+")


def _request(request: Any) -> Any:
    request.uri = _LOCAL.sub(HOST, request.uri)
    request.headers = {"Host": HOST}
    return request


def _response(response: dict[str, Any]) -> dict[str, Any]:
    body = _TOKEN.sub(b"00D000000000001!TOKEN", response["body"]["string"])
    response["body"]["string"] = re.sub(rb"localhost:\d+", HOST.encode(), body)
    response["headers"].pop("Content-Length", None)
    return response


CAMERA: Final = vcr.VCR(
    cassette_library_dir=str(CASSETTES),
    record_mode="all" if RECORD else "none",
    match_on=("method", "scheme", "host", "path", "query"),
    before_record_request=_request,
    before_record_response=_response,
    filter_post_data_parameters=[("client_secret", "SECRET"), ("client_id", "CLIENT")],
    decode_compressed_response=True,
)


@pytest.fixture
def address() -> Iterator[tuple[str, str | None, Simulator | None]]:
    """Where the org is: the recorded host, or a simulator while recording."""
    if not RECORD:
        yield f"https://{HOST}", None, None
        return
    company = Company(Parameters("dev_tools", date(2026, 5, 1), accounts=12, deals=150, months=12))
    with Simulator(SalesforceOrg(company, now=company.as_of)) as simulator:
        yield simulator.url, simulator.ca_bundle, simulator


Address = tuple[str, str | None, Simulator | None]


@contextlib.contextmanager
def client(address: Address) -> Iterator[SalesforceClient]:
    url, bundle, _ = address
    session = SalesforceSession(url, (2.0, 10.0), bundle, lambda: None)
    found = SalesforceClient(session, url, read_auth(AUTH), read_options({"page_size": 200}), RETRY)
    yield found
    found.close()


def source(address: Address, **auth: str) -> Source:
    url, bundle, _ = address
    return SOURCE.open(SourceSettings("acme", url, {**AUTH, **auth}, ca_bundle=bundle, retry=RETRY))


def test_owners(address: Address) -> None:
    with CAMERA.use_cassette("owners.yaml") as tape:
        opened = source(address)
        (page,) = opened.read(opened.streams()[0], None)
        opened.close()
    assert page.last
    assert page.frames["owners"].height > 3
    assert set(page.frames["owners"]["external_id"].str.slice(0, 3)) == {"005"}
    assert page.cursor["watermark"] == "2026-05-01T04:00:00Z"
    assert tape.play_count == (0 if RECORD else opened.requests)
    asked = [request.query for request in tape.requests if request.path.endswith("/queryAll/")]
    assert any("ORDER BY SystemModstamp, Id" in value for query in asked for _, value in query)


def test_pages_and_a_lost_locator(address: Address) -> None:
    with CAMERA.use_cassette("pages.yaml"), client(address) as org:
        first = org.query("SELECT Id FROM OpportunityHistory ORDER BY Id")
        assert (len(first.records), first.total > 200) == (200, True)
        assert first.more is not None
        second = org.more(first.more)
        assert 0 < len(second.records) <= 200
        with pytest.raises(LostLocatorError):
            org.more("/services/data/v62.0/query/01gHs0000000000AAA-2000")


def test_refused_queries(address: Address) -> None:
    with CAMERA.use_cassette("refused.yaml"), client(address) as org:
        with pytest.raises(MissingFieldError, match="Gone__c"):
            org.query("SELECT Id, Gone__c FROM Account ORDER BY Id")
        with pytest.raises(MissingObjectError):
            org.describe("Nothing__c")


def test_an_expired_session(address: Address) -> None:
    if address[2] is not None:
        address[2].faults = FaultPlan.parse("expired@2")
    with CAMERA.use_cassette("expired.yaml", allow_playback_repeats=False) as tape, client(address) as org:
        assert org.count("SELECT COUNT() FROM Account") > 3
    paths = [request.path for request in tape.requests]
    assert paths == ["/services/oauth2/token", "/services/data/v62.0/query/"] * 2


def test_a_refused_sign_in(address: Address) -> None:
    with CAMERA.use_cassette("refused_sign_in.yaml"), pytest.raises(CredentialError, match="invalid_client"):
        source(address, client_secret="wrong").capabilities()


def test_cassettes_hold_no_secrets() -> None:
    for tape in CASSETTES.glob("*.yaml"):
        text = tape.read_text()
        assert not re.search(r"simulator-secret|simulator-client|localhost|Authorization|!AQ", text), (
            tape.name
        )
