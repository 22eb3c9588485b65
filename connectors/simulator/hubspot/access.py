"""Who may call: the private app's static token, OAuth grants, and the limits on how often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from connectors.simulator.faults import Reply
from connectors.simulator.hubspot.endpoint import Bucket
from connectors.simulator.hubspot.replies import answer, error, expired, too_many, unauthorised

# Known to everyone: they open a simulator on loopback and nothing else.
ACCESS_TOKEN: Final = "pat-na1-5130a70e-0000-4000-8000-b0a4d11e0001"  # noqa: S105
CLIENT_ID: Final = "5130a70e-0000-4000-8000-000000000c1d"
CLIENT_SECRET: Final = "5130a70e-0000-4000-8000-0000005ec2e7"  # noqa: S105
REFRESH_TOKEN: Final = "na1-5130a70e-0000-4000-8000-0000002ef2e5"  # noqa: S105
TOKEN_SECONDS: Final = 1_800

_BURST, _BURST_OAUTH, _BURST_SECONDS = 190, 110, 10.0
_SEARCHES, _SEARCH_SECONDS = 5, 1.0
_DAILY: Final = 625_000


class Grant(NamedTuple):
    """An access token that is known: OAuth grants run out, the private app's does not."""

    oauth: bool
    expires: float  # on the portal's stop-watch; infinity for the static token


class Access:
    """Knows the tokens and counts the calls. ``clock`` is a stop-watch in seconds, not the simulated time."""

    def __init__(self, *, portal: int, scopes: frozenset[str], clock: Callable[[], float]) -> None:
        self.scopes = scopes
        self._portal = portal
        self._clock = clock
        self._grants: dict[str, Grant] = {ACCESS_TOKEN: Grant(oauth=False, expires=float("inf"))}
        self._numbers = count(1)
        self._calls: dict[str, deque[float]] = {}
        self._today = 0

    def check(self, authorization: str | None) -> tuple[str, Reply | None]:
        """The token of an ``Authorization`` header, and the 401 to answer if it is no good."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "", unauthorised(found=False)
        grant = self._grants.get(token)
        if grant is None:
            return token, unauthorised(found=True)
        late = self._clock() - grant.expires
        if late >= 0:
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            return token, expired(int(late), moment)
        return token, None

    def revoke(self) -> None:
        """OAuth access tokens stop working; the private app's token has no expiry and stays."""
        self._grants = {token: grant for token, grant in self._grants.items() if not grant.oauth}

    # ---- limits

    def admit(self, token: str, bucket: Bucket) -> Reply | None:
        """Count one call; the 429 to answer when it is one too many."""
        self._today += 1
        if bucket == "free":
            return None
        if bucket == "search":
            return (
                None if self._fits("search", _SEARCHES, _SEARCH_SECONDS) else too_many("SEARCH", self._portal)
            )
        allowed = self._fits(token, self._burst(token), _BURST_SECONDS)
        return None if allowed else too_many("TEN_SECONDLY_ROLLING", self._portal)

    def headers(self, token: str, bucket: Bucket, counting: bool) -> Mapping[str, str]:
        """The rate-limit headers of an answer: none on search, no daily ones for OAuth."""
        if bucket == "search" or token not in self._grants:
            return {}
        most = self._burst(token)
        spent = len(self._calls.get(token, ())) if counting else 1
        headers = {
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(most - spent, 0)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(_BURST_SECONDS * 1000)),
        }
        if not self._grants[token].oauth:
            headers["X-HubSpot-RateLimit-Daily"] = str(_DAILY)
            headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(_DAILY - self._today, 0))
        return headers

    def _burst(self, token: str) -> int:
        grant = self._grants.get(token)
        return _BURST_OAUTH if grant and grant.oauth else _BURST

    def _fits(self, name: str, most: int, seconds: float) -> bool:
        now = self._clock()
        calls = self._calls.setdefault(name, deque())
        while calls and calls[0] <= now - seconds:
            calls.popleft()
        if len(calls) >= most:
            return False
        calls.append(now)
        return True

    # ---- OAuth

    def token(self, form: bytes) -> Reply:
        """The token endpoint: a refresh token for a new access token of thirty minutes."""
        given = {name: values[-1] for name, values in parse_qs(form.decode(errors="replace")).items()}
        kind = given.get("grant_type")
        if kind != "refresh_token":
            return _oauth_error(
                "BAD_GRANT_TYPE" if kind else "MISSING_GRANT_TYPE", f"unknown grant type {kind}"
            )
        if given.get("client_id") != CLIENT_ID:
            return _oauth_error("BAD_CLIENT_ID", "missing or unknown client id")
        if given.get("client_secret") != CLIENT_SECRET:
            return _oauth_error("BAD_CLIENT_SECRET", "missing or invalid client secret")
        if given.get("refresh_token") != REFRESH_TOKEN:
            return _oauth_error("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        # Real access tokens are long; a client must not cut them.
        token = f"CNsim{next(self._numbers):08d}{'x' * 300}"
        self._grants[token] = Grant(oauth=True, expires=self._clock() + TOKEN_SECONDS)
        return answer(
            {
                "token_type": "bearer",
                "refresh_token": REFRESH_TOKEN,
                "access_token": token,
                "expires_in": TOKEN_SECONDS,
                "hub_id": self._portal,
                "scopes": sorted(self.scopes),
            }
        )

    def introspect(self, form: bytes) -> Reply:
        """What a token is good for, and for how long."""
        given = {name: values[-1] for name, values in parse_qs(form.decode(errors="replace")).items()}
        token = given.get("token", "")
        if given.get("client_id") != CLIENT_ID or given.get("client_secret") != CLIENT_SECRET:
            return _oauth_error("BAD_CLIENT_SECRET", "missing or invalid client secret")
        grant = self._grants.get(token)
        if grant is None or not grant.oauth or self._clock() >= grant.expires:
            known = token == REFRESH_TOKEN
            kind = {"token_type": "refresh_token"} if known else {}
            return answer({"active": known, **kind})
        return answer({"active": True, "token_type": "access_token", **self._details(grant)})

    def access_token(self, token: str) -> Reply:
        """The version 1 look-up of an access token."""
        grant = self._grants.get(token)
        if grant is None or not grant.oauth or self._clock() >= grant.expires:
            return error(400, "Unable to find token information", "VALIDATION_ERROR")
        return answer({"token": token, "token_type": "access", **self._details(grant)})

    def _details(self, grant: Grant) -> dict[str, object]:
        return {
            "hub_id": self._portal,
            "scopes": sorted(self.scopes),
            "expires_in": int(grant.expires - self._clock()),
            "client_id": CLIENT_ID,
        }


def _oauth_error(status: str, message: str) -> Reply:
    code = "invalid_grant" if status == "BAD_REFRESH_TOKEN" else "invalid_request"
    reply = error(400, message, error=code, error_description=message)
    return reply._replace(body=reply.body.replace(b'"status":"error"', f'"status":"{status}"'.encode()))
