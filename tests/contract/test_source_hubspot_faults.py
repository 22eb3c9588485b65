"""The HubSpot source where something is wrong: on the way, with the token, with the address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, date, timedelta
from typing import Any

import pytest
import trustme
from aiohttp import web

from connectors.errors import (
    BoardlineError,
    ConfigurationError,
    CredentialError,
    QuotaExhausted,
    StreamUnavailable,
    UnreachableError,
)
from connectors.simulator.company import Company, Parameters
from connectors.simulator.faults import FaultPlan
from connectors.simulator.hubspot import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    SCOPES,
    HubSpotPortal,
)
from connectors.simulator.server import Simulator
from connectors.source import Source
from tests.contract.hubspot_source_store import Store, connect, different, fresh, sync

WORLD = Company(Parameters("dev_tools", date(2026, 6, 1), seed=3, accounts=10, deals=70, months=12))
OAUTH = {
    "flow": "oauth",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "refresh_token": REFRESH_TOKEN,
}
SMALL_PAGES = {"page_size": 8}


@pytest.fixture(scope="module")
def portal() -> Iterator[HubSpotPortal]:
    portal = HubSpotPortal(WORLD, now=WORLD.as_of)
    yield portal
    portal.close()


@pytest.fixture(scope="module")
def calm(portal: HubSpotPortal) -> Store:
    with Simulator(portal, close_crm=False) as simulator:
        return fresh(simulator)


@pytest.mark.parametrize(
    "plan",
    [
        *[f"random:0.2,seed:{seed}" for seed in range(4)],
        "429@1-3,500@6,502html@9,503@12,reset@15,truncate@18,html@21,slow@24=0.05",
        "truncate@1~/deals,truncate@2~/batch/read,html@1~/associations,reset@1~/pipelines",
    ],
)
def test_passing_faults_change_nothing(portal: HubSpotPortal, calm: Store, plan: str) -> None:
    faults = FaultPlan.parse(plan)
    with Simulator(portal, faults=faults, close_crm=False) as simulator:
        assert different(fresh(simulator, options=SMALL_PAGES), calm) == {}
    assert faults.struck


def test_an_expired_access_token_is_refreshed(portal: HubSpotPortal, calm: Store) -> None:
    faults = FaultPlan.parse("expired@5,expired@20,expired@30-31")
    with Simulator(portal, faults=faults, close_crm=False) as simulator:
        assert different(fresh(simulator, auth=OAUTH, options=SMALL_PAGES), calm) == {}
        refreshes = [
            request for request in simulator.requests.latest if request.path == "/oauth/2026-03/token"
        ]
    assert len(refreshes) >= 3


def test_records_that_change_while_being_read_are_read_by_the_next_pass() -> None:
    faults = FaultPlan.parse("change@8,change@15,change@25,change@40,change@55")
    with Simulator(HubSpotPortal(WORLD, now=WORLD.as_of), faults=faults) as simulator:
        store = fresh(simulator, options=SMALL_PAGES)
        simulator.advance(simulator.now + timedelta(days=1))
        sync(connect(simulator), store)
        assert different(store, fresh(simulator)) == {}


def test_a_lasting_fault_ends_as_unreachable(portal: HubSpotPortal) -> None:
    faults = FaultPlan.parse("503@1+")
    with Simulator(portal, faults=faults, close_crm=False) as simulator:
        source = connect(simulator)
        with pytest.raises(UnreachableError, match=r"gave up after 8 attempts") as caught:
            source.capabilities()
        assert source.requests == 8
    _for_a_person(caught.value)


def test_a_spent_allowance_names_when_it_returns_and_loses_nothing(
    portal: HubSpotPortal, calm: Store
) -> None:
    faults = FaultPlan.parse("quota@12")
    with Simulator(portal, faults=faults, close_crm=False) as simulator:
        source, store = connect(simulator, options=SMALL_PAGES), Store()
        with pytest.raises(QuotaExhausted) as caught:
            sync(source, store)
        resume = caught.value.resume_at
        assert resume is not None
        assert resume.astimezone(UTC).strftime("%H:%M") in ("04:00", "05:00")  # midnight in New York
        assert resume > simulator.now
        sync(source, store)
        assert different(store, calm) == {}
    _for_a_person(caught.value)


# ---- permissions


@pytest.mark.parametrize(
    ("scope", "stream", "error"),
    [
        ("crm.objects.deals.read", "deals", CredentialError),
        ("crm.objects.deals.read", "stages", CredentialError),
        ("crm.objects.companies.read", "accounts", CredentialError),
        ("crm.objects.contacts.read", "contacts", CredentialError),
        ("crm.objects.owners.read", "owners", CredentialError),
        ("settings.currencies.read", "exchange_rates", StreamUnavailable),
        ("crm.objects.contacts.read", "meetings", StreamUnavailable),
        ("crm.objects.line_items.read", "line_items", StreamUnavailable),
    ],
)
def test_a_missing_scope_is_named(scope: str, stream: str, error: type[BoardlineError]) -> None:
    scopes = SCOPES - {scope, "e-commerce"}
    with Simulator(HubSpotPortal(WORLD, now=WORLD.as_of, scopes=scopes)) as simulator:
        source = connect(simulator)
        with pytest.raises(error, match=scope.replace(".", r"\.")) as caught:
            sync(source, Store(), [stream])
        assert type(caught.value) is error or issubclass(type(caught.value), error)
        _for_a_person(caught.value)


def test_capabilities_tell_what_a_missing_scope_hides() -> None:
    scopes = SCOPES - {"crm.objects.line_items.read", "e-commerce", "crm.objects.contacts.read"}
    with Simulator(HubSpotPortal(WORLD, now=WORLD.as_of, scopes=scopes)) as simulator:
        found = connect(simulator).capabilities()
    for table in ("line_items", "contacts", "leads", "meetings"):
        assert {state.state for state in found.fields[table].values()} == {"hidden"}
    assert found.fields["deals"]["amount"].state == "mapped"
    assert any("crm.objects.line_items.read" in note for note in found.notes)
    assert "contacts" not in found.records


@pytest.mark.parametrize(
    "auth",
    [
        {"flow": "token", "token": "pat-na1-wrong"},
        {**OAUTH, "client_secret": "wrong-secret"},
        {**OAUTH, "refresh_token": "wrong-refresh-token"},
    ],
    ids=["token", "client_secret", "refresh_token"],
)
def test_wrong_credentials_stop_at_once_and_do_not_show(portal: HubSpotPortal, auth: dict[str, str]) -> None:
    with Simulator(portal, close_crm=False) as simulator:
        source = connect(simulator, auth=auth)
        with pytest.raises(CredentialError, match=r"crm\.auth") as caught:
            source.capabilities()
        assert source.requests == 1
    _for_a_person(caught.value, *auth.values())


# ---- addresses


def test_nobody_there() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        source = _at(f"https://127.0.0.1:{port}")
        with pytest.raises(UnreachableError) as caught:
            source.capabilities()
    assert str(port) in str(caught.value)
    _for_a_person(caught.value)


def test_no_such_host() -> None:
    with pytest.raises(UnreachableError, match=r"api\.hubapi\.invalid") as caught:
        _at("https://api.hubapi.invalid").capabilities()
    _for_a_person(caught.value)


def test_somebody_else_there() -> None:
    with Simulator(_Elsewhere()) as simulator, pytest.raises(ConfigurationError, match=r"crm\.url") as caught:
        connect(simulator).capabilities()
    _for_a_person(caught.value)


def test_a_certificate_nobody_vouches_for(portal: HubSpotPortal, tmp_path: Any) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with Simulator(portal, close_crm=False) as simulator:
        for bundle in (None, str(other)):
            with pytest.raises(ConfigurationError, match=r"crm\.ca_bundle") as caught:
                connect(simulator, ca_bundle=bundle).capabilities()
            _for_a_person(caught.value)


class _Elsewhere(HubSpotPortal):
    """A server that is not HubSpot: it knows no path of it."""

    def __init__(self) -> None:
        super().__init__(WORLD, now=WORLD.as_of)

    def routes(self) -> list[web.RouteDef]:
        return []


def _at(url: str) -> Source:
    class Nowhere:
        ca_bundle = None

        def __init__(self) -> None:
            self.url = url

    return connect(Nowhere())  # type: ignore[arg-type]  # only its address is asked for


def _for_a_person(error: BaseException, *secrets: str) -> None:
    """One line, without secrets and without a driver's innards."""
    text = str(error)
    assert text
    assert "\n" not in text
    assert " object at 0x" not in text
    for secret in (ACCESS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, *secrets):
        if secret not in ("token", "oauth"):
            assert secret not in text
