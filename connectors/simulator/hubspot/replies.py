"""The portal's answers: JSON bodies, HubSpot's wording of errors, and the refusal that carries one."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from connectors.simulator.faults import ErrorKind, Reply

_JSON: Final = "application/json;charset=utf-8"
_SCOPES_PAGE: Final = "https://developers.hubspot.com/scopes"
_numbers = itertools.count(1)

NOT_FOUND_PAGE: Final = (
    b'<html>\n<head>\n<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>\n'
    b"<title>Error 404 Not Found</title>\n</head>\n<body><h2>HTTP ERROR 404</h2>\n"
    b"<p>Resource not found</p>\n</body>\n</html>\n"
)
_TOO_LONG_PAGE: Final = (
    b"<html>\r\n<head><title>414 Request-URI Too Large</title></head>\r\n<body>\r\n"
    b"<center><h1>414 Request-URI Too Large</h1></center>\r\n</body>\r\n</html>\r\n"
)


class Refused(Exception):  # a refusal is an answer, not a failure of ours
    """Raised by a handler to answer with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def answer(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, orjson.dumps(value), _JSON, {"X-HubSpot-Correlation-Id": _correlation()})


def error(status: int, message: str, category: str | None = None, **more: Any) -> Reply:
    """An error in HubSpot's usual shape; the correlation id is in the body and in the header."""
    correlation = _correlation()
    body = {"status": "error", "message": message, "correlationId": correlation, **more}
    if category:
        body["category"] = category
    return Reply(status, orjson.dumps(body), _JSON, {"X-HubSpot-Correlation-Id": correlation})


def invalid(message: str, **more: Any) -> Refused:
    """A 400 for input that is well-formed JSON but not acceptable."""
    return Refused(error(400, message, "VALIDATION_ERROR", **more))


def invalid_json(problem: str) -> Refused:
    """A 400 for a body that cannot be read as the request it should be."""
    return Refused(error(400, f"Invalid input JSON on line 1, column 1: {problem}", "VALIDATION_ERROR"))


def not_found() -> Reply:
    """The 404 page (HTML) of objects and paths that are not there."""
    return Reply(404, NOT_FOUND_PAGE, "text/html;charset=iso-8859-1", {"X-HubSpot-NotFound": "true"})


def too_long() -> Reply:
    """The 414 page that the front end answers when the URL is too long."""
    return Reply(414, _TOO_LONG_PAGE, "text/html")


def unauthorised(found: bool) -> Reply:
    """401 for a token that is missing, unknown or revoked."""
    message = (
        "The OAuth token used to make this call is invalid or has been revoked."
        if found
        else "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can "
        "find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    return error(401, message, "INVALID_AUTHENTICATION")


def expired(seconds_ago: int, expire_time: str) -> Reply:
    """401 for an access token past its time."""
    message = f"The OAuth token used to make this call expired {seconds_ago} second(s) ago."
    return error(401, message, "EXPIRED_AUTHENTICATION", context={"expire time": [expire_time]})


def missing_scopes(scopes: Iterable[str]) -> Reply:
    """403 for an app that was not granted what the call needs."""
    message = (
        "This app hasn't been granted all required scopes to make this call. "
        f"Read more about required scopes here: {_SCOPES_PAGE}."
    )
    detail = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": sorted(scopes)},
    }
    return error(403, message, "MISSING_SCOPES", errors=[detail], links={"scopes": _SCOPES_PAGE})


def too_many(policy: str, portal: int) -> Reply:
    """429: ``TEN_SECONDLY_ROLLING``, ``DAILY``, or ``SEARCH``, which names no policy."""
    if policy == "SEARCH":
        return error(429, "You have reached your secondly limit.", "RATE_LIMITS")
    return error(
        429,
        f"You have reached your {policy.lower()} limit.",
        errorType="RATE_LIMIT",
        policyName=policy,
        groupName=f"publicapi:private-app-api-calls-{policy.lower().replace('_rolling', '')}:{portal}",
    )


def fault_body(kind: ErrorKind, portal: int) -> Reply:
    """HubSpot's own body for a fault of the plan."""
    if kind == "429":
        return too_many("TEN_SECONDLY_ROLLING", portal)
    if kind == "quota":
        return too_many("DAILY", portal)
    if kind == "not_found":
        return not_found()
    messages = {"500": "internal error", "502": "Bad Gateway", "503": "Service temporarily unavailable"}
    return error(int(kind), messages[kind])


def with_headers(reply: Reply, headers: Mapping[str, str]) -> Reply:
    """The reply with further headers."""
    return reply._replace(headers={**reply.headers, **headers})


def _correlation() -> str:
    return str(uuid.UUID(int=next(_numbers) | 0x019D_AB0B_66AD_7FBE << 64))
