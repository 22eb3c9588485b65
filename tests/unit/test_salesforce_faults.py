"""Every error of Salesforce and of the wire becomes the error that says what to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.errors import (
    BoardlineError,
    ConfigurationError,
    CredentialError,
    QuotaExhausted,
    Retriable,
    SourceError,
    UnreachableError,
)
from connectors.sources.salesforce import faults

PAYLOADS = Path(__file__).parents[2] / "../shared/data/payloads/salesforce"
HTML = b"<html><body>Down for maintenance</body></html>"


def _body(code: str, message: str = "said so") -> bytes:
    return json.dumps([{"errorCode": code, "message": message}]).encode()


CASES: list[tuple[int, bytes, type[BoardlineError]]] = [
    (401, _body("INVALID_SESSION_ID"), faults.ExpiredSessionError),
    (401, b"", faults.ExpiredSessionError),
    (401, HTML, faults.ExpiredSessionError),
    (403, _body("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), QuotaExhausted),
    (403, _body("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (…) Limit exceeded."), Retriable),
    (403, _body("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), Retriable),
    (403, _body("API_DISABLED_FOR_ORG"), CredentialError),
    (400, _body("INSUFFICIENT_ACCESS_OR_READONLY"), CredentialError),
    (403, HTML, CredentialError),
    (400, _body("INVALID_FIELD"), faults.MissingFieldError),
    (400, _body("INVALID_TYPE"), faults.MissingObjectError),
    (404, _body("NOT_FOUND"), faults.MissingObjectError),
    (404, HTML, faults.MissingObjectError),
    (400, _body("MALFORMED_QUERY"), SourceError),
    (400, _body("QUERY_TIMEOUT"), SourceError),
    (400, _body("INVALID_QUERY_LOCATOR"), faults.LostLocatorError),
    (400, _body("TXN_SECURITY_METERING_ERROR"), Retriable),
    (500, _body("UNKNOWN_EXCEPTION"), Retriable),
    (503, _body("SERVER_UNAVAILABLE"), Retriable),
    (503, HTML, Retriable),
    (502, b"", Retriable),
    (429, b"", Retriable),
    (420, b"", Retriable),
    (406, HTML, Retriable),
    (200, HTML, Retriable),
    (302, b"", ConfigurationError),
    (410, _body("UNSUPPORTED_API_VERSION"), ConfigurationError),
]


@pytest.mark.parametrize(("status", "body", "expected"), CASES)
def test_answers(status: int, body: bytes, expected: type[BoardlineError]) -> None:
    error = faults.answered(status, {}, body, "acme.my.salesforce.com")
    assert type(error) is expected
    assert "acme.my.salesforce.com" in str(error)
    assert "\n" not in str(error)
    assert "<html>" not in str(error)


def test_the_pause_asked_for_is_kept() -> None:
    short = faults.answered(429, {"Retry-After": "7"}, b"", "h")
    assert isinstance(short, Retriable)
    assert short.retry_after == 7
    long = faults.answered(503, {"Retry-After": "3600"}, b"", "h")
    assert isinstance(long, QuotaExhausted)
    assert long.resume_at is not None
    odd = faults.answered(429, {"Retry-After": "soon"}, b"", "h")
    assert isinstance(odd, Retriable)
    assert odd.retry_after is None


def test_the_daily_allowance_names_a_time_to_go_on() -> None:
    error = faults.answered(403, {}, _body("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), "h")
    assert isinstance(error, QuotaExhausted)
    assert error.resume_at is not None


REFUSED = requests.ConnectionError("[Errno 111] Connection refused")
UNRESOLVED = requests.ConnectionError("NameResolutionError: Failed to resolve 'acmee.my.salesforce.com'")


@pytest.mark.parametrize(
    ("error", "reached", "expected"),
    [
        (REFUSED, False, UnreachableError),
        (REFUSED, True, Retriable),
        (UNRESOLVED, False, UnreachableError),
        (UNRESOLVED, True, Retriable),
        (requests.ReadTimeout(), False, Retriable),
        (requests.ConnectTimeout(), False, Retriable),
        (requests.ConnectionError("Connection reset by peer"), False, Retriable),
        (requests.exceptions.ChunkedEncodingError(), True, Retriable),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), False, ConfigurationError),
        (requests.exceptions.SSLError("EOF occurred"), False, Retriable),
    ],
)
def test_the_wire(error: requests.RequestException, reached: bool, expected: type[BoardlineError]) -> None:
    found = faults.broken(error, "acmee.my.salesforce.com", reached)
    assert type(found) is expected
    assert "acmee.my.salesforce.com" in str(found)


RECORDED = {
    "REQUEST_LIMIT_EXCEEDED": QuotaExhausted,
    "REQUEST_LIMIT_EXCEEDED (concurrent)": Retriable,
    "INVALID_SESSION_ID": faults.ExpiredSessionError,
    "MALFORMED_QUERY": SourceError,
    "INVALID_FIELD": faults.MissingFieldError,
    "QUERY_TIMEOUT": SourceError,
    "INVALID_QUERY_LOCATOR": faults.LostLocatorError,
    "NOT_FOUND": faults.MissingObjectError,
    "TXN_SECURITY_METERING_ERROR": Retriable,
}


def test_recorded_errors() -> None:
    if not PAYLOADS.exists():
        pytest.skip("the recorded payloads are not here")
    catalogue: list[dict[str, Any]] = json.loads((PAYLOADS / "errors_catalogue.json").read_text())
    found = {
        entry["code"]: type(
            faults.answered(entry["http_status"], {}, json.dumps(entry["body"]).encode(), "host")
        )
        for entry in catalogue
        if entry["code"] in RECORDED
    }
    assert found == RECORDED
