"""HubSpot's error answers, recorded ones among them, become the errors our callers act on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import CredentialError, QuotaExhausted, Retriable, SourceError
from connectors.sources.hubspot.faults import (
    ExpiredTokenError,
    MissingScopeError,
    RateLimited,
    Reply,
    judge,
    retry_after,
)

NOW = datetime(2026, 6, 15, 20, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parents[2] / "../shared/data/payloads/hubspot"


def reply(status: int, body: Any = None, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def verdict(given: Reply) -> Any:
    return judge("HubSpot GET /x", given, now=NOW, zone="America/New_York")


@pytest.mark.parametrize("status", [200, 201, 204, 207])
def test_success_is_no_error(status: int) -> None:
    assert verdict(reply(status)) is None


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (
            reply(401, {"message": "expired", "category": "EXPIRED_AUTHENTICATION"}),
            ExpiredTokenError,
            "crm.auth",
        ),
        (reply(403, {"message": "no"}), CredentialError, "refuses"),
        (reply(400, {"message": "Invalid page size 500"}), SourceError, "Invalid page size 500"),
        (reply(404, b"<html>gone</html>", content_type="text/html"), SourceError, "text/html"),
        (reply(414, b"<html>"), SourceError, "HTTP 414"),
        (reply(302, b"", location="https://elsewhere"), SourceError, "HTTP 302"),
        *[
            (reply(status, b"<html>x</html>", content_type="text/html"), Retriable, f"HTTP {status}")
            for status in (423, 477, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526)
        ],
        (reply(530, b""), Retriable, "malformed token"),
    ],
)
def test_kinds(given: Reply, kind: type[Exception], says: str) -> None:
    error = verdict(given)
    assert type(error) is kind
    assert says in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (reply(429, {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}), 1.0),
        (reply(429, {"message": "ten_secondly_rolling", "policyName": "TEN_SECONDLY_ROLLING"}), 10.0),
        (
            reply(
                429,
                {"policyName": "TEN_SECONDLY_ROLLING"},
                x_hubspot_ratelimit_interval_milliseconds="4000",
            ),
            4.0,
        ),
        (reply(429, b"error code: 1015", content_type="text/plain"), 10.0),
    ],
)
def test_a_burst_limit_without_advice_waits_for_its_window(given: Reply, wait: float) -> None:
    error = verdict(given)
    assert type(error) is RateLimited
    assert error.retry_after == wait


def test_the_servers_advice_is_followed() -> None:
    error = verdict(reply(429, {"policyName": "TEN_SECONDLY_ROLLING"}, retry_after="3"))
    assert (type(error), error.retry_after) == (Retriable, 3.0)
    assert retry_after({"retry-after": "Mon, 15 Jun 2026 20:00:30 GMT"}, NOW) == 30.0
    assert retry_after({"retry-after": "Mon, 15 Jun 2026 19:00:30 GMT"}, NOW) == 0.0
    assert retry_after({"retry-after": "soon"}, NOW) is None


def test_the_daily_limit_comes_back_at_midnight_of_the_portal() -> None:
    error = verdict(reply(429, {"policyName": "DAILY", "message": "You have reached your daily limit."}))
    assert isinstance(error, QuotaExhausted)
    assert error.resume_at == datetime(2026, 6, 16, 4, 0, tzinfo=UTC)
    assert error.exit_status == 4


def test_a_portal_on_the_move_is_left_alone() -> None:
    error = verdict(reply(477, {"message": "migrating"}, retry_after="86400"))
    assert isinstance(error, QuotaExhausted)
    assert error.resume_at == datetime(2026, 6, 16, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize("key", ["requiredGranularScopes", "requiredScopes"])
def test_missing_scopes_are_named(key: str) -> None:
    body = {
        "category": "MISSING_SCOPES",
        "message": "This app hasn't been granted all required scopes",
        "errors": [{"message": "One or more are required.", "context": {key: ["crm.objects.deals.read"]}}],
    }
    error = verdict(reply(403, body))
    assert isinstance(error, MissingScopeError)
    assert error.scopes == ("crm.objects.deals.read",)


@pytest.mark.parametrize(
    "body", [{}, {"errors": None}, {"errors": ["text"]}, {"message": None, "context": 1}]
)
def test_every_field_of_an_error_is_optional(body: dict[str, Any]) -> None:
    for status in (400, 401, 403, 429, 500):
        assert "\n" not in str(verdict(reply(status, body)))


def test_recorded_errors() -> None:
    path = PAYLOADS / "errors_catalogue.json"
    if not path.exists():
        pytest.skip("the recorded payloads are not here")
    kinds = {}
    for entry in json.loads(path.read_text()):
        body = entry["body"]
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kinds[entry["code"]] = type(verdict(Reply(entry["http_status"], {}, raw))).__name__
    assert kinds == {
        "429 general, ten-secondly": "RateLimited",
        "429 general, secondly (2018)": "RateLimited",
        "429 search": "RateLimited",
        "401 expired oauth": "ExpiredTokenError",
        "403 missing scopes (granular)": "MissingScopeError",
        "403 missing scopes (old, requiredScopes)": "MissingScopeError",
        "207 associations v4": "NoneType",
        "404 v3 object as HTML": "SourceError",
        "429 Cloudflare forms": "RateLimited",
    }
