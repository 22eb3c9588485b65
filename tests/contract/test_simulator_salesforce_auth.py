"""Every way into the simulated org, the ways that are shut, and how sessions end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin

from connectors.simulator.salesforce import SalesforceOrg
from connectors.simulator.salesforce.auth import Credentials
from connectors.simulator.server import Simulator
from tests.contract.simulator_salesforce_world import NOW, Client, small_world

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def client() -> Iterator[Client]:
    credentials = Credentials(public_key=PUBLIC, access_token="fixed-token")
    with Simulator(SalesforceOrg(small_world(), now=NOW, credentials=credentials)) as simulator:
        yield Client(simulator)


def works(client: Client) -> bool:
    reply = client.query("SELECT Id FROM Account")
    if reply.status_code == 200:
        return True
    assert reply.status_code == 401
    assert reply.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    return False


def test_nobody_comes_in_without_a_token(client: Client) -> None:
    assert not works(client)
    client.session.headers["Authorization"] = "Bearer wrong"
    assert not works(client)


def test_a_fixed_token_never_expires(client: Client) -> None:
    client.session.headers["Authorization"] = "OAuth fixed-token"
    assert works(client)
    client.simulator.advance(client.simulator.now + timedelta(days=30))
    assert works(client)


def test_client_credentials(client: Client) -> None:
    answer = client.login().json()
    assert set(answer) == {
        "access_token", "instance_url", "id", "issued_at", "signature", "token_type", "scope",
    }  # fmt: skip
    assert answer["instance_url"] == client.simulator.url
    assert works(client)


def test_client_credentials_by_basic_authorization(client: Client) -> None:
    reply = client.session.post(
        f"{client.simulator.url}/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=("simulator-client", "simulator-secret"),
        timeout=10,
    )
    assert reply.status_code == 200
    assert reply.json()["token_type"] == "Bearer"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, "invalid_client_id"),
        (
            {"grant_type": "client_credentials", "client_id": "simulator-client", "client_secret": "y"},
            "invalid_client",
        ),
        ({"grant_type": "client_credentials"}, "invalid_client_id"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "invalid_grant"),
        ({"grant_type": "nonsense"}, "unsupported_grant_type"),
        ({"grant_type": JWT_GRANT, "assertion": "nonsense"}, "invalid_grant"),
        (
            {"grant_type": "refresh_token", "client_id": "simulator-client", "refresh_token": "x"},
            "invalid_grant",
        ),
    ],
)
def test_refused_grants_are_objects(client: Client, form: dict[str, str], error: str) -> None:
    reply = client.login(**form)
    assert reply.status_code == 400
    assert reply.json()["error"] == error
    assert reply.json()["error_description"]


def assertion(key: rsa.RSAPrivateKey = KEY, **changes: object) -> str:
    claims = {
        "iss": "simulator-client",
        "sub": "integration@example.com",
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
        **changes,
    }
    return jwt.encode(claims, key, algorithm="RS256")


def test_jwt_bearer(client: Client) -> None:
    answer = client.login(grant_type=JWT_GRANT, assertion=assertion()).json()
    assert "refresh_token" not in answer
    assert works(client)


@pytest.mark.parametrize(
    ("claims", "description"),
    [
        ({"key": OTHER_KEY}, "invalid assertion"),
        ({"expires_in": -10}, "assertion has expired"),
        ({"expires_in": 86_400}, "invalid assertion"),
        ({"aud": "https://example.com"}, "audience is invalid"),
        ({"iss": "somebody"}, "client identifier invalid"),
        ({"sub": "somebody@example.com"}, "user hasn't approved this consumer"),
    ],
)
def test_refused_assertions(client: Client, claims: dict[str, Any], description: str) -> None:
    lifetime = claims.get("expires_in", 180)  # from now on, not from when the tests were collected
    token = assertion(
        **{"exp": int(time.time()) + lifetime, **{k: v for k, v in claims.items() if k != "expires_in"}}
    )
    reply = client.login(grant_type=JWT_GRANT, assertion=token)
    assert (reply.status_code, reply.json()["error_description"]) == (400, description)


def refresh(client: Client, token: str) -> requests.Response:
    return client.login(grant_type="refresh_token", client_id="simulator-client", refresh_token=token)


def test_refresh_tokens_work_once_and_rotate(client: Client) -> None:
    second = refresh(client, "simulator-refresh").json()["refresh_token"]
    assert works(client)
    third = refresh(client, second).json()["refresh_token"]
    assert len({"simulator-refresh", second, third}) == 3


def test_using_a_refresh_token_twice_ends_the_grant(client: Client) -> None:
    second = refresh(client, "simulator-refresh").json()["refresh_token"]
    reply = refresh(client, "simulator-refresh")
    assert reply.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert refresh(client, second).status_code == 400


class Rerouted(requests.Session):
    """Sends what a library addresses to Salesforce's login host to the simulator instead."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = simulator.ca_bundle or True
        self._base = simulator.url

    def request(
        self, method: str | bytes, url: str | bytes, *args: object, **kwargs: object
    ) -> requests.Response:
        path = str(url).split(".salesforce.com", 1)[1]
        return super().request(method, self._base + path, *args, **kwargs)  # type: ignore[arg-type]


def log_in_by_soap(client: Client, **changes: str) -> tuple[str, str]:
    details = {
        "username": "integration@example.com",
        "password": "simulator-password",
        "security_token": "TOKEN",
        "sf_version": "62.0",
        **changes,
    }
    library: Any = SalesforceLogin
    token, host = library(session=Rerouted(client.simulator), **details)
    return str(token), str(host)


def test_soap_login_through_simple_salesforce(client: Client) -> None:
    token, host = log_in_by_soap(client)
    assert client.simulator.url == f"https://{host}"
    client.session.headers["Authorization"] = f"Bearer {token}"
    assert works(client)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "wrong"}, "INVALID_LOGIN"),
        ({"security_token": "wrong"}, "INVALID_LOGIN"),
        ({"sf_version": "30.0"}, "UNSUPPORTED_API_VERSION"),
        ({"sf_version": "65.0"}, "soapenv:Client"),  # login() is gone
    ],
)
def test_refused_soap_logins(client: Client, changes: dict[str, str], code: str) -> None:
    with pytest.raises(SalesforceAuthenticationFailed) as refused:
        log_in_by_soap(client, **changes)
    assert refused.value.code == code


def test_sessions_end_when_idle(client: Client) -> None:
    client.login()
    for _ in range(3):
        client.simulator.advance(client.simulator.now + timedelta(hours=1, minutes=59))
        assert works(client)  # each use prolongs it
    client.simulator.advance(client.simulator.now + timedelta(hours=2))
    assert not works(client)


def test_the_daily_allowance_ends_and_comes_back() -> None:
    org = SalesforceOrg(small_world(), now=NOW, daily_limit=2)
    with Simulator(org, tls=False, rate_limits=True) as simulator:
        client = Client(simulator)
        client.login()
        assert [client.get("limits").status_code for _ in range(2)] == [200, 200]
        refused = client.get("limits")
        assert refused.status_code == 403
        assert refused.json() == [
            {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]
        assert refused.headers["Sforce-Limit-Info"] == "api-usage=2/2"

        simulator.advance(datetime(2026, 3, 2, tzinfo=UTC))
        client.login()
        assert client.get("limits").status_code == 200
