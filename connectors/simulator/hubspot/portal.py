"""A HubSpot portal over a world: what ``Simulator`` serves with ``--crm hubspot``.

Strict where the real one is known to be: every limit, 207 for partial batches, nothing archived in search,
merges that make new ids, associations that change without touching a deal. Unknown property names are
ignored, as they are there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import orjson
from aiohttp import web

from connectors.simulator.faults import ErrorKind, Reply
from connectors.simulator.hubspot.access import Access
from connectors.simulator.hubspot.associations import Associations
from connectors.simulator.hubspot.directory import Directory
from connectors.simulator.hubspot.endpoint import VERSION, Call, Endpoint, reading
from connectors.simulator.hubspot.export import read_export
from connectors.simulator.hubspot.objects import Objects
from connectors.simulator.hubspot.properties import OBJECT_TYPES, Catalogue
from connectors.simulator.hubspot.replies import (
    Refused,
    fault_body,
    invalid_json,
    missing_scopes,
    too_long,
    with_headers,
)
from connectors.simulator.hubspot.store import Pipeline, Store
from connectors.simulator.hubspot.translate import PIPELINE
from connectors.simulator.world import Kind, World

PORTAL_ID: Final = 24_680_135
URL_LIMIT: Final = 16_200  # characters of path and query; measured by others at about this
SCOPES: Final = frozenset(
    {
        "oauth",
        "settings.currencies.read",
        "crm.objects.owners.read",
        *(scope for kind in OBJECT_TYPES for scope in reading(kind)),
    }
)


class HubSpotPortal:
    """One portal. ``now`` is its clock (epoch seconds); what happens later waits for ``advance``.

    ``directory`` holds its database (None: a temporary one). ``scopes`` are what its apps were granted
    (None: everything needed). ``index_lag_seconds`` is how long a change stays unseen by search. ``clock``
    is the stop-watch behind rate limits and token expiry. ``association_page`` is how many associations of
    one record version 4 returns at once. ``pipelines`` and ``catalogue`` replace the world's one pipeline and
    the standard properties.
    """

    def __init__(
        self,
        world: World,
        *,
        now: int,
        directory: Path | None = None,
        scopes: Iterable[str] | None = None,
        rate_limits: bool = False,
        index_lag_seconds: int = 0,
        association_page: int = 500,
        clock: Callable[[], float] = time.monotonic,
        pipelines: Sequence[Pipeline] | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.rate_limits = rate_limits
        granted = SCOPES if scopes is None else frozenset(scopes)
        self.catalogue = catalogue or Catalogue()
        self.store = Store(
            directory,
            now=now,
            pipelines=pipelines or [Pipeline(PIPELINE, "Sales Pipeline", world.stages)],
            home_currency=world.home_currency,
        )
        self._access = Access(portal=PORTAL_ID, scopes=granted, clock=clock)
        self.objects = Objects(self.store, self.catalogue, portal=PORTAL_ID, index_lag=index_lag_seconds)
        self.directory = Directory(self.store, self.catalogue, portal=PORTAL_ID, timezone=world.timezone)
        self._associations = Associations(self.store, page=association_page)
        try:
            self.store.load(world.lives())
        except BaseException:
            self.store.close()
            raise

    @classmethod
    def from_export(cls, directory: Path, **options: Any) -> Self:
        """A portal over HubSpot's CSV exports in ``directory``; see ``export``. Options as for the class.

        Raises ``ConfigurationError`` when no file there is an export, or one cannot be read.
        """
        export = read_export(directory)
        options.setdefault("now", export.now)
        portal = cls(export, pipelines=export.layout(), catalogue=export.catalogue, **options)
        export.pour(portal.store)
        return portal

    # ---- what the simulator needs

    @property
    def now(self) -> int:
        """The portal's clock, in epoch seconds."""
        return self.store.now

    def advance(self, now: int) -> None:
        """Let everything happen up to and including ``now``, between two requests."""
        self.store.advance(now)

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def revoke_tokens(self) -> None:
        """OAuth access tokens stop working; the private app's static token never expires."""
        self._access.revoke()

    def error_body(self, kind: ErrorKind) -> Reply:
        """HubSpot's own body for a fault."""
        return fault_body(kind, PORTAL_ID)

    def current_id(self, kind: Kind, key: int) -> str:
        """The id of the HubSpot record that a neutral record is part of now."""
        return self.store.current_id(kind, key)

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint."""
        endpoints = [
            *self._associations.endpoints(),
            *self.objects.endpoints(),
            *self.directory.endpoints(),
        ]
        routes = [
            web.route(endpoint.method, path, self._door(endpoint))
            for endpoint in endpoints
            for path in endpoint.paths
        ]
        dated = f"/oauth/{VERSION}/token"
        for path in ("/oauth/v1/token", dated):
            routes.append(web.post(path, _form(self._access.token)))
        routes.append(web.post(f"{dated}/introspect", _form(self._access.introspect)))
        routes.append(web.get("/oauth/v1/access-tokens/{token}", self._token_details))
        return routes

    # ---- the front door

    def _door(self, endpoint: Endpoint) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            body = await request.read()
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(None, self._serve, endpoint, request, body)
            return reply.response()

        return handle

    def _serve(self, endpoint: Endpoint, request: web.Request, body: bytes) -> Reply:
        if len(request.raw_path) > URL_LIMIT:
            return too_long()
        token, refusal = self._access.check(request.headers.get("Authorization"))
        if refusal is not None:
            return refusal
        with self.store.lock:
            if self.rate_limits:
                refusal = self._access.admit(token, endpoint.bucket)
            reply = refusal or self._answer(endpoint, request, body, token)
            headers = self._access.headers(token, endpoint.bucket, self.rate_limits)
        return with_headers(reply, headers)

    def _answer(self, endpoint: Endpoint, request: web.Request, body: bytes, token: str) -> Reply:
        try:
            parsed = _json(body) if endpoint.method == "POST" else None
            origin = f"{request.scheme}://{request.host}"
            call = Call(request.match_info, request.query, parsed, origin, request.path, token)
            self._check_scopes(endpoint.scopes(call))
            return endpoint.handle(call)
        except Refused as refused:
            return refused.reply

    def _check_scopes(self, needed: Sequence[frozenset[str]]) -> None:
        lacking = [alternatives for alternatives in needed if not alternatives & self._access.scopes]
        if lacking:
            raise Refused(missing_scopes(frozenset().union(*lacking)))

    async def _token_details(self, request: web.Request) -> web.Response:
        return self._access.access_token(request.match_info["token"]).response()


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as problem:
        raise invalid_json(str(problem)) from problem


def _form(handle: Callable[[bytes], Reply]) -> Callable[[web.Request], Any]:
    async def serve(request: web.Request) -> web.Response:
        return handle(await request.read()).response()

    return serve
