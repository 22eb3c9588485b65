"""HubSpot's answers that are no answer -> our errors, named by what the caller does next. Pure.

Every field of an error body is optional and the body may be a proxy's HTML page, so the status decides and the
body only refines. Messages are one line, and whoever calls removes secrets from the body first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from connectors.errors import BoardlineError, CredentialError, QuotaExhausted, Retriable, SourceError

PARK_FROM: Final = 900.0  # seconds; whoever asks for a longer wait is left alone until then
_ROLLING: Final = 10.0  # seconds of HubSpot's rolling window
_LOCKED: Final = 2.0  # seconds to leave a locked record alone
_PASSING: Final = frozenset({408, 423, 425, 477, *range(500, 600)})


@dataclass(frozen=True)
class Reply:
    """An HTTP answer: ``headers`` with lower-case names, ``body`` without secrets."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}


class MissingScopeError(CredentialError):
    """403: the token lacks a scope. ``scopes`` is HubSpot's hint, which has been seen to be wrong."""

    def __init__(self, message: str, scopes: tuple[str, ...]) -> None:
        super().__init__(message)
        self.scopes = scopes


class ExpiredTokenError(CredentialError):
    """401: the token is wrong or its time is over; an OAuth token can be refreshed."""


def judge(what: str, reply: Reply, *, now: datetime, zone: str) -> BoardlineError | None:
    """The error a reply stands for; None for success.

    ``what`` names the request. ``now`` is HubSpot's clock and ``zone`` the portal's time zone, in which the
    daily allowance is renewed at midnight.
    """
    if 200 <= reply.status <= 299:
        return None
    body = reply.json()
    told = _message(body, reply)
    asked = retry_after(reply.headers, now)
    if reply.status == 401:
        return ExpiredTokenError(
            f"HubSpot does not accept the token ({told}); check crm.auth, and renew the key where it is revoked"
        )
    if reply.status == 403:
        return _forbidden(what, body, told)
    if asked is not None and asked > PARK_FROM and reply.status in (429, 477, 503):
        return QuotaExhausted(
            f"{what}: HubSpot asks to be left alone for {asked / 3600:.1f} hours ({told})",
            now + timedelta(seconds=asked),
        )
    if reply.status == 429:
        return _too_many(what, reply, body, told, asked, now, zone)
    if reply.status in _PASSING:
        wait = _LOCKED if asked is None and reply.status == 423 else asked
        hint = "; a malformed token gets this answer too" if reply.status == 530 else ""
        return Retriable(f"HTTP {reply.status}: {told}{hint}", wait)
    return SourceError(f"{what}: HubSpot answered HTTP {reply.status}: {told}")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds of a Retry-After header, given in seconds or as a date; None without one."""
    text = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        moment = http_date(text)
    return max(0.0, (moment - now).total_seconds()) if moment else None


def http_date(text: str | None) -> datetime | None:
    """An HTTP date as an aware UTC instant; None when it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def next_midnight(now: datetime, zone: str) -> datetime:
    """The next midnight of a time zone, in UTC."""
    local = now.astimezone(ZoneInfo(zone))
    return datetime.combine(local.date() + timedelta(days=1), time(), local.tzinfo).astimezone(UTC)


def _too_many(
    what: str,
    reply: Reply,
    body: Mapping[str, Any],
    told: str,
    asked: float | None,
    now: datetime,
    zone: str,
) -> BoardlineError:
    policy = f"{body.get('policyName') or ''} {body.get('message') or ''}".lower()
    if "daily" in policy:
        resume = next_midnight(now, zone)
        return QuotaExhausted(
            f"{what}: HubSpot's calls for today are used up ({told}); they come back at midnight ({zone})",
            resume,
        )
    if asked is None:
        secondly = "secondly" in policy and "ten_secondly" not in policy
        asked = 1.0 if secondly else _interval(reply.headers)
        return RateLimited(f"HTTP 429: {told}", asked)
    return Retriable(f"HTTP 429: {told}", asked)


class RateLimited(Retriable):
    """429 without a Retry-After: the wait is our own estimate, so the retry policy may cap it."""


def _interval(headers: Mapping[str, str]) -> float:
    text = headers.get("x-hubspot-ratelimit-interval-milliseconds", "")
    return int(text) / 1000 if text.isdigit() else _ROLLING


def _forbidden(what: str, body: Mapping[str, Any], told: str) -> BoardlineError:
    if body.get("category") != "MISSING_SCOPES":
        return CredentialError(f"{what}: HubSpot refuses this ({told}); check what the token may read")
    scopes: list[str] = []
    for detail in body.get("errors") or ():
        context = detail.get("context") if isinstance(detail, dict) else None
        for key in ("requiredGranularScopes", "requiredScopes"):
            scopes += (context or {}).get(key) or ()
    return MissingScopeError(f"{what}: the token lacks a scope ({', '.join(scopes) or told})", tuple(scopes))


def _message(body: Mapping[str, Any], reply: Reply) -> str:
    """HubSpot's message in one line of bearable length, with its correlation id for their support."""
    text = str(body.get("message") or "").strip()
    for detail in body.get("errors") or ():
        if isinstance(detail, dict) and detail.get("message") and detail["message"] not in text:
            text = f"{text} {detail['message']}"
    if not text:
        kind = reply.headers.get("content-type", "").partition(";")[0]
        text = f"no message, {kind or 'no content type'}"
    text = " ".join(text.split())
    text = text if len(text) <= 300 else f"{text[:297]}…"
    correlation = body.get("correlationId")
    return f"{text} [correlation id {correlation}]" if correlation else text
