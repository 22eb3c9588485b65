"""The simulator's faults over real sockets, with the Salesforce org behind them, and the server itself."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator

import pytest
import requests

from connectors.errors import ConfigurationError
from connectors.simulator.faults import PASSING, FaultPlan
from connectors.simulator.salesforce import SalesforceOrg
from connectors.simulator.server import Simulator
from tests.contract.simulator_salesforce_world import NOW, Client, small_world

SOQL = "SELECT Id, Name FROM Account"


@pytest.fixture(scope="module")
def org() -> Iterator[SalesforceOrg]:
    org = SalesforceOrg(small_world(), now=NOW)
    yield org
    org.close()


def serve(org: SalesforceOrg, plan: str, *, tls: bool = False) -> Simulator:
    return Simulator(org, tls=tls, faults=FaultPlan.parse(plan), close_crm=False)


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("429", 429, ""),
        ("quota", 403, "TotalRequests Limit exceeded."),
        ("500", 500, "UNKNOWN_EXCEPTION"),
        ("502", 502, ""),
        ("503", 503, "SERVER_UNAVAILABLE"),
        ("500html", 500, "<html>"),
        ("502html", 502, "<html>"),
        ("503html", 503, "<html>"),
        ("html", 200, "<html>"),
    ],
)
def test_answers_that_are_none(org: SalesforceOrg, kind: str, status: int, body: str) -> None:
    with serve(org, f"{kind}@2") as simulator:
        client = Client(simulator)
        client.login()
        reply = client.query(SOQL)
        assert reply.status_code == status
        assert body in reply.text
        assert client.query(SOQL).json()["done"] is True
        assert simulator.requests.latest[1].fault == kind


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_broken_connections(org: SalesforceOrg, kind: str, tls: bool) -> None:
    with serve(org, f"{kind}@2", tls=tls) as simulator:
        client = Client(simulator)
        client.login()
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            client.query(SOQL)
        assert client.query(SOQL).json()["done"] is True


def test_a_slow_answer(org: SalesforceOrg) -> None:
    with serve(org, "slow@2=0.08") as simulator:
        client = Client(simulator)
        client.login()
        start = time.monotonic()
        assert client.query(SOQL).status_code == 200
        assert time.monotonic() - start >= 0.08


def test_tokens_expire_on_the_way(org: SalesforceOrg) -> None:
    with serve(org, "expired@3") as simulator:
        client = Client(simulator)
        client.login()
        assert [client.query(SOQL).status_code for _ in range(3)] == [200, 401, 401]
        client.login()
        assert client.query(SOQL).status_code == 200


def test_the_clock_moves_on_the_way() -> None:
    with Simulator(
        SalesforceOrg(small_world(), now=NOW), tls=False, faults=FaultPlan.parse("change@2-20")
    ) as simulator:
        client = Client(simulator)
        before = simulator.now
        for _ in range(20):
            client.login()
        assert (simulator.now - before).days == 19
        names = {account["Name"] for account in client.records(SOQL)}
        assert "Later Ltd" in names


def test_a_fault_for_some_paths_only(org: SalesforceOrg) -> None:
    with serve(org, "503@2~/query,429@1+~/limits") as simulator:
        client = Client(simulator)
        client.login()
        statuses = [
            client.query(SOQL).status_code,
            client.get("limits").status_code,
            client.query(SOQL).status_code,
        ]
        assert statuses == [200, 429, 503]
        assert client.get("limits").status_code == 429


def test_random_faults_repeat_and_let_through(org: SalesforceOrg) -> None:
    def struck(seed: int) -> list[tuple[int, str]]:
        plan = FaultPlan.parse(f"random:0.5,seed:{seed}")
        for _ in range(200):
            plan.next("/x")
        return plan.struck

    first = struck(1)
    assert first == struck(1) != struck(2)
    assert {kind for _, kind in first} <= set(PASSING)
    numbers = {number for number, _ in first}
    assert not any({n, n + 1, n + 2} <= numbers for n in numbers)
    assert len(numbers) > 40


@pytest.mark.parametrize(
    "text", ["429", "nonsense@3", "429@x", "random:2", "seed:x", "slow@1=", "429@3;reset@4"]
)
def test_plans_that_are_not_understood(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"fault plan: .* is not understood"):
        FaultPlan.parse(text)


def test_every_answer_carries_the_simulated_date_and_gzip_comes_when_asked(org: SalesforceOrg) -> None:
    with serve(org, "429@4") as simulator:
        client = Client(simulator)
        client.login()
        packed = client.get("sobjects")
        plain = client.get("sobjects", Accept_Encoding="identity")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert packed.json() == plain.json()
        refused = client.get("sobjects")
        assert refused.status_code == 429
        for reply in (packed, plain, refused, client.get("/nowhere")):
            assert reply.headers["Date"] == "Sun, 01 Mar 2026 00:00:00 GMT"


def test_the_certificate_is_verified(org: SalesforceOrg) -> None:
    with serve(org, "", tls=True) as simulator:
        session = requests.Session()
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(simulator.url, timeout=10)
        context = ssl.create_default_context(cafile=simulator.ca_bundle)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        assert context.cert_store_stats()["x509_ca"] == 1
        session.verify = simulator.ca_bundle or ""
        assert session.get(simulator.url + "/services/data", timeout=10).status_code == 200


def test_a_port_that_is_taken(org: SalesforceOrg) -> None:
    with (
        serve(org, "") as simulator,
        pytest.raises(ConfigurationError, match=f"cannot listen on port {simulator.port}"),
    ):
        Simulator(org, tls=False, port=simulator.port, close_crm=False).start()


def test_an_unknown_path_has_the_crms_own_body(org: SalesforceOrg) -> None:
    with serve(org, "") as simulator:
        reply = Client(simulator).get("/services/nowhere")
        assert reply.json() == [
            {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
        ]
        assert simulator.requests.counts == {"GET unknown": 1}
