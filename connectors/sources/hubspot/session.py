"""One connection to one portal: hubspot-api-client's transport, our limits, retries and errors.

The client's REST object is held and reused (its API objects open a new pool on every access), sends each request
exactly once and hands back the raw answer, so that patience is in one place (``connectors.retry``) and JSON is
parsed by orjson. Its exceptions never leave this module.
"""

from __future__ import annotations

import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import orjson
import structlog
from hubspot.crm.objects import ApiClient, Configuration
from hubspot.crm.objects.exceptions import ApiException
from urllib3.exceptions import HTTPError

from connectors import transport
from connectors.address import is_loopback
from connectors.errors import BoardlineError, CredentialError, Retriable
from connectors.sources.hubspot.faults import ExpiredTokenError, RateLimited, Reply, http_date, judge
from connectors.sources.hubspot.paths import TOKEN
from connectors.sources.hubspot.settings import HubSpotSettings

log = structlog.get_logger(__name__)

Query = Sequence[tuple[str, str]]

Bucket = Literal["standard", "search", "free"]  # which limit a request counts towards

_SEARCHES_PER_SECOND: Final = 5
_MARGIN: Final = 0.1  # seconds by which HubSpot's stop-watch may lag ours
_REFRESH_EARLY: Final = 300.0  # seconds before an access token's end
_NAME: Final = "boardline"


class Session:
    """Sends requests and returns parsed JSON objects, or raises errors of ``connectors.errors``.

    ``sent`` is called for every request that goes out. ``zone`` is the portal's time zone, once it is known.
    ``clock`` and ``sleep`` are those of the process (monotonic seconds).
    """

    def __init__(
        self,
        settings: HubSpotSettings,
        *,
        sent: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.zone = "UTC"
        self._settings = settings
        self._sent = sent
        self._clock = clock
        self._sleep = sleep
        self._retry = settings.source.retry
        self._pace = Pace(self._retry.longest)
        self._date: datetime | None = None
        self._token = settings.credentials.get("token")
        self._refresh_token = settings.credentials.get("refresh_token")
        self._token_ends = float("inf") if self._token else 0.0
        self._client = ApiClient(_configuration(settings))
        self._rest = self._client.rest_client

    @property
    def now(self) -> datetime:
        """HubSpot's clock as of the latest answer; before the first one, ours."""
        return self._date or datetime.now(UTC)

    def get(self, path: str, query: Query = ()) -> dict[str, Any]:
        """GET a JSON object."""
        return self._call(f"HubSpot GET {path}", lambda: self._authorised("GET", path, query, None))

    def post(self, path: str, body: Mapping[str, Any], query: Query = ()) -> dict[str, Any]:
        """POST a JSON object to an endpoint that only reads (search, batch read), so it may be repeated."""
        return self._call(f"HubSpot POST {path}", lambda: self._authorised("POST", path, query, body))

    def close(self) -> None:
        """Drop the connections; calling it again does nothing."""
        self._rest.pool_manager.clear()
        self._client.close()

    def _call(self, what: str, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        def once() -> dict[str, Any]:
            try:
                return send()
            except RateLimited as error:
                error.retry_after = min(error.retry_after or 0.0, self._retry.longest)
                raise

        return self._retry.call(what, once)

    # ---- authorisation

    def _authorised(
        self, method: str, path: str, query: Query, body: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        if self._clock() >= self._token_ends:
            self._refresh()
        try:
            return self._send(method, path, query, body)
        except ExpiredTokenError:
            if self._settings.flow != "oauth":
                raise
            log.info("access token refused, refreshing it", company=self._settings.company)
            self._refresh()
            return self._send(method, path, query, body)

    def _refresh(self) -> None:
        keys = self._settings.credentials
        form = {
            "grant_type": "refresh_token",
            "client_id": keys["client_id"],
            "client_secret": keys["client_secret"],
            "refresh_token": self._refresh_token,
        }
        reply = self._exchange("POST", TOKEN, form=form)
        if reply.status in (400, 401, 403):
            told = reply.json().get("message") or f"HTTP {reply.status}"
            raise CredentialError(
                f"HubSpot refuses the refresh token ({told}); connect the app again and renew "
                f"client_id, client_secret and refresh_token in {self._settings.company}: crm.auth"
            )
        answer = self._parsed(f"HubSpot POST {TOKEN}", reply)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise Retriable("the token endpoint answered without an access token")
        self._token = token
        self._refresh_token = answer.get("refresh_token") or self._refresh_token
        lasts = float(answer.get("expires_in") or 1800)
        self._token_ends = self._clock() + max(lasts - _REFRESH_EARLY, lasts / 2)

    # ---- one request

    def _send(self, method: str, path: str, query: Query, body: Mapping[str, Any] | None) -> dict[str, Any]:
        bucket = bucket_of(path)
        wait = self._pace.wait(self._clock(), bucket)
        if wait > 0:
            log.debug("waiting for HubSpot's rate limit", seconds=round(wait, 2))
            self._sleep(wait)
        self._pace.sent(self._clock(), bucket)
        reply = self._exchange(method, path, query=query, body=body, token=self._token)
        self._pace.answered(reply, bucket)
        return self._parsed(f"HubSpot {method} {path}", reply)

    def _parsed(self, what: str, reply: Reply) -> dict[str, Any]:
        fault = judge(what, reply, now=self.now, zone=self.zone)
        if fault is not None:
            raise fault
        try:
            value = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            kind = reply.headers.get("content-type", "no content type").partition(";")[0]
            raise Retriable(f"the answer is no JSON but {kind}, {len(reply.body)} bytes") from None
        if not isinstance(value, dict):
            raise Retriable(f"the answer is no JSON object but a {type(value).__name__}")
        return value

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> Reply:
        self._sent()
        headers = {"User-Agent": _NAME, "Accept": "application/json", "Accept-Encoding": "gzip"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url = self._settings.url + path
        try:
            raw = self._rest.request(
                method,
                url,
                query_params=list(query) or None,
                headers=headers,
                body=body,
                post_params=dict(form or {}),
                _preload_content=False,
                _request_timeout=self._settings.source.timeout,
            )
            reply = self._reply(raw.status, raw.headers, raw.data)
        except ApiException as error:
            if not error.status:  # the client's way of reporting TLS trouble
                raise self._failed(error) from None
            reply = self._reply(error.status, dict(error.headers or ()), error.body or b"")
        except (HTTPError, OSError) as error:
            raise self._failed(error) from None
        self._date = http_date(reply.headers.get("date")) or self._date
        return reply

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer; where it is an error that quotes our secrets, without them."""
        if not 200 <= status <= 299:
            for secret in (*self._settings.credentials.values(), self._token, self._refresh_token):
                if secret:
                    body = body.replace(secret.encode(), b"***")
        return Reply(status, {name.lower(): value for name, value in headers.items()}, body)

    def _failed(self, error: Exception) -> BoardlineError:
        return transport.failed(error, urlsplit(self._settings.url).netloc, reached=self._date is not None)


def bucket_of(path: str) -> Bucket:
    """Batch reads of associations count towards no limit, searches towards one of their own."""
    if path.endswith("/search"):
        return "search"
    return "free" if path.startswith("/crm/") and "associations" in path else "standard"


class Pace:
    """Keeps below the limits that HubSpot announces. Pure but for what it remembers; seconds throughout.

    Other endpoints announce what is left of a rolling window in headers; when nothing is, the oldest of our own
    requests in it must leave it first. Search announces nothing and allows five
    requests a second for the whole account, which one client waiting for its answers hardly reaches: it is
    slowed down to that from its first refusal on.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._remaining: int | None = None
        self._interval = 10.0
        self._sent: deque[float] = deque()
        self._searches: deque[float] = deque(maxlen=_SEARCHES_PER_SECOND)
        self._refused = False

    def wait(self, now: float, bucket: Bucket) -> float:
        """How long to wait before the next request."""
        if bucket == "search":
            full = self._refused and len(self._searches) == _SEARCHES_PER_SECOND
            return max(0.0, self._searches[0] + 1.0 + _MARGIN - now) if full else 0.0
        if bucket == "standard" and self._remaining == 0 and self._sent:
            return min(max(0.0, self._sent[0] + self._interval + _MARGIN - now), self._longest)
        return 0.0

    def sent(self, now: float, bucket: Bucket) -> None:
        """A request goes out."""
        if bucket == "search":
            self._searches.append(now)
        elif bucket == "standard":
            self._sent.append(now)
            while self._sent[0] <= now - self._interval:
                self._sent.popleft()

    def answered(self, reply: Reply, bucket: Bucket) -> None:
        """Read the announced limits."""
        headers = reply.headers
        self._refused = self._refused or (bucket == "search" and reply.status == 429)
        left = headers.get("x-hubspot-ratelimit-remaining", "")
        interval = headers.get("x-hubspot-ratelimit-interval-milliseconds", "")
        if interval.isdigit():
            self._interval = int(interval) / 1000
        if left.isdigit():
            self._remaining = int(left)


def _configuration(settings: HubSpotSettings) -> Configuration:
    configuration = Configuration(host=settings.url, ssl_ca_cert=settings.source.ca_bundle)
    configuration.retries = False  # exactly one attempt, no redirects
    configuration.connection_pool_maxsize = 1  # one request at a time
    parts = urlsplit(settings.url)
    host = parts.hostname or ""
    if not is_loopback(host) and not urllib.request.proxy_bypass(host):
        configuration.proxy = urllib.request.getproxies().get(parts.scheme)
    return configuration
