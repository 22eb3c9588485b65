"""Refusals in Salesforce's words: a list of ``{"message", "errorCode"}`` and a status."""

from __future__ import annotations

from typing import Final

import orjson

from connectors.simulator.faults import ErrorKind, Reply

JSON: Final = "application/json;charset=UTF-8"
_CONTEXT_BEFORE = 35  # characters shown before and after the place of a SOQL error
_CONTEXT_AFTER = 35


class ApiError(Exception):
    """A request refused: what the body says and under which status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def reply(self) -> Reply:
        body = orjson.dumps([{"message": self.message, "errorCode": self.code}])
        return Reply(self.status, body, JSON)


def at(soql: str, position: int, code: str, text: str) -> ApiError:
    """A SOQL error that points at the place: an excerpt, a caret below it, row, column and the reason."""
    row = soql.count("\n", 0, position) + 1
    line_start = soql.rfind("\n", 0, position) + 1
    line_end = soql.find("\n", position)
    line = soql[line_start : line_end if line_end >= 0 else None]
    column = position - line_start
    start = 0
    if column > _CONTEXT_BEFORE:
        start = line.find(" ", column - _CONTEXT_BEFORE, column) + 1 or column - _CONTEXT_BEFORE
    end = line.rfind(" ", column, column + _CONTEXT_AFTER)
    excerpt = line[start : end if end > column else column + _CONTEXT_AFTER]
    caret = " " * (column - start) + "^"
    return ApiError(code, f"\n{excerpt}\n{caret}\nERROR at Row:{row}:Column:{column + 1}\n{text}")


SESSION_EXPIRED: Final = ApiError("INVALID_SESSION_ID", "Session expired or invalid", 401)
NOT_FOUND: Final = ApiError("NOT_FOUND", "The requested resource does not exist", 404)
TOTAL_LIMIT: Final = ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403)
CONCURRENT_LIMIT: Final = ApiError(
    "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", 403
)
BAD_LOCATOR: Final = ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
URI_TOO_LONG: Final = Reply(
    414,
    b"<html><head><title>414 URI Too Long</title></head><body><h1>URI Too Long</h1></body></html>",
    "text/html",
)
_BODIES: Final[dict[ErrorKind, Reply]] = {
    "429": Reply(429, b"", "text/html"),  # from the edge: no JSON, no Retry-After
    "quota": TOTAL_LIMIT.reply(),
    "500": ApiError(
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345",
        500,
    ).reply(),
    "502": Reply(502, b"", "text/html"),
    "503": ApiError("SERVER_UNAVAILABLE", "Server temporarily unavailable. Please retry.", 503).reply(),
    "not_found": NOT_FOUND.reply(),
}


def error_body(kind: ErrorKind) -> Reply:
    """Salesforce's body for a fault."""
    return _BODIES[kind]
