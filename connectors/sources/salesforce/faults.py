"""Salesforce's errors, and the wire's, as one of ours: by error code first, by HTTP status second.

``answered`` turns an answer into an error, ``broken`` a failed transport. Neither message holds a secret:
they are made of codes, host names and Salesforce's own sentence.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson
import requests

from connectors import transport
from connectors.errors import (
    BoardlineError,
    ConfigurationError,
    CredentialError,
    QuotaExhausted,
    Retriable,
    SourceError,
)

_PATIENCE: Final = 300.0  # seconds; asked to wait longer, we stop and say when to go on
_QUOTA_PAUSE: Final = timedelta(
    hours=1
)  # the daily allowance is a rolling window: some is free again by then
_EDGE: Final = frozenset({406, 408, 420, 429})  # what Salesforce's edge says when it is busy
_GONE: Final = frozenset({"INVALID_TYPE", "INVALID_TYPE_FOR_OPERATION", "NOT_FOUND"})
_BUSY: Final = frozenset(
    {
        "SERVER_UNAVAILABLE",
        "UNKNOWN_EXCEPTION",
        "UNABLE_TO_LOCK_ROW",
        "TXN_SECURITY_METERING_ERROR",
        "APEX_ERROR",
    }
)
_REFUSED: Final[dict[str, str]] = {
    "API_DISABLED_FOR_ORG": "enable the API for this org (edition or permission 'API Enabled')",
    "API_CURRENTLY_DISABLED": "enable the API for this org",
    "FORBIDDEN": "give the user access, or lift the restriction on the connected app",
    "OPERATION_TOO_LARGE": "give the user 'View All Data', so that sharing need not be worked out row by row",
}


class ExpiredSessionError(BoardlineError):
    """The access token is no longer valid. Caught by the client, which signs in once more."""

    exit_status = 3


class LostLocatorError(BoardlineError):
    """The rest of a query's result is gone. Caught by the scan, which asks again from where it stands."""


class MissingObjectError(BoardlineError):
    """This org, or this user, has no such object."""


class MissingFieldError(BoardlineError):
    """A field was withdrawn between the description and the query. Caught by the scan."""


class UnknownWatermarkError(BoardlineError):
    """``/updated`` cannot answer for this object; the server's clock stands in."""


def answered(status: int, headers: Mapping[str, str], body: bytes, host: str) -> BoardlineError:
    """The error that an answer of the data API stands for. ``status`` is 300 or more, or the body is no JSON."""
    code, message = _code(body)
    what = f"{host}: {code or f'HTTP {status}'}" + (f", {message}" if message else "")
    coded = _by_code(code, message, what)
    if coded is not None:
        return coded
    if status in _EDGE or status >= 500 or status < 300:
        return _wait(headers, what)
    if status == 401:
        return ExpiredSessionError(what)
    if status == 403:
        return CredentialError(f"{what}; check the user's permissions and the connected app's policies")
    if status < 400:
        return ConfigurationError(
            f"crm.url: {host} sends us elsewhere ({headers.get('Location', 'no address given')}); "
            "use the org's own address, such as https://acme.my.salesforce.com"
        )
    if status == 410:
        return ConfigurationError(
            f"crm.options.api_version: {what}; this version of the API has been retired"
        )
    if status == 404:
        return MissingObjectError(what)
    return SourceError(what)


def _by_code(code: str, message: str, what: str) -> BoardlineError | None:
    if code == "INVALID_SESSION_ID":
        return ExpiredSessionError(what)
    if code == "REQUEST_LIMIT_EXCEEDED":
        if "concurrent" in message.lower():
            return Retriable(what)
        return QuotaExhausted(
            f"{what} The org's daily API calls are spent; what was read is kept, the rest follows later.",
            datetime.now(UTC) + _QUOTA_PAUSE,
        )
    if code in _BUSY:
        return Retriable(what)
    if code in _REFUSED:
        return CredentialError(f"{what}; {_REFUSED[code]}")
    if code.startswith("INSUFFICIENT_ACCESS"):
        return CredentialError(f"{what}; give the user read access")
    if code in _GONE:
        return MissingObjectError(what)
    if code == "INVALID_FIELD":
        return MissingFieldError(what)
    if code == "INVALID_QUERY_LOCATOR":
        return LostLocatorError(what)
    if code in ("EXCEEDED_ID_LIMIT", "INVALID_REPLICATION_DATE"):
        return UnknownWatermarkError(what)
    if code in ("UNSUPPORTED_API_VERSION", "INVALID_API_VERSION"):
        return ConfigurationError(f"crm.options.api_version: {what}")
    return None


def broken(error: requests.RequestException, host: str, reached: bool) -> BoardlineError:
    """The error that a failed call stands for; ``reached``: this connection has had an answer before."""
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return ConfigurationError(
            f"crm.url: {host} is no usable address; write https://acme.my.salesforce.com"
        )
    return transport.failed(error, host, reached=reached)


def _wait(headers: Mapping[str, str], what: str) -> BoardlineError:
    """A passing fault, with the pause the other side asked for; a very long one stops the run."""
    asked = _seconds(headers.get("Retry-After", ""))
    if asked is not None and asked > _PATIENCE:
        return QuotaExhausted(
            f"{what}; Salesforce asks for a pause of {asked / 60:.0f} minutes",
            datetime.now(UTC) + timedelta(seconds=asked),
        )
    return Retriable(what, asked)


def _seconds(text: str) -> float | None:
    if re.fullmatch(r"\d+", text.strip()):
        return float(text)
    with contextlib.suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return None


def _code(body: bytes) -> tuple[str, str]:
    """Error code and sentence of a body: a list of errors, an OAuth object, or neither (a proxy's page)."""
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", "the answer is no JSON" if body.strip() else "the answer is empty"
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return "", ""
    code = first.get("errorCode") or first.get("error") or ""
    message = first.get("message") or first.get("error_description") or ""
    return str(code), " ".join(str(message).split())[:300]
