"""A Salesforce org over a generated company or an export: the objects, who may see what, and the routes."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web

from connectors.simulator.faults import ErrorKind, Reply
from connectors.simulator.salesforce import errors
from connectors.simulator.salesforce.auth import Credentials, Sessions
from connectors.simulator.salesforce.bulk import BulkJobs
from connectors.simulator.salesforce.errors import ApiError
from connectors.simulator.salesforce.export import Export
from connectors.simulator.salesforce.fields import CATALOGUE, Table
from connectors.simulator.salesforce.lives import Lives
from connectors.simulator.salesforce.rest import Ask, Rest, answer
from connectors.simulator.salesforce.store import DAY, Store
from connectors.simulator.world import World

OLDEST: Final = 31  # API versions served; older ones are retired
NEWEST: Final = 67
OPTIONAL: Final = frozenset(("CurrencyType", "DatedConversionRate", "ForecastingQuota"))
_LONGEST_URI: Final = 16_384  # bytes of address and headers
_CONCURRENT: Final = 25
_MULTI_CURRENCY: Final = ("CurrencyType", "DatedConversionRate")

Resource = Callable[[Ask], Reply]


class Content(Protocol):
    """What fills an org."""

    notes: list[str]

    @property
    def multi_currency(self) -> bool: ...

    def fill(self, store: Store, now: int) -> None: ...

    def advance(self, store: Store, now: int) -> None: ...


class SalesforceOrg:
    """One org, its clock at ``now`` (epoch seconds); a ``Crm`` for the simulator.

    ``directory`` is where its file is kept (None: a temporary one, removed on close). ``hidden`` are fields
    that the integration user may not see, by object; ``absent_objects`` those that the org does not have.
    ``daily_limit`` is the number of API calls in 24 hours, enforced when ``rate_limits`` is on.
    ``bulk_polls`` is how often a query job says InProgress. Sessions die ``session_seconds`` after their
    last use, on the simulated clock.
    """

    def __init__(
        self,
        world: World | Export,
        *,
        now: int,
        directory: Path | None = None,
        credentials: Credentials | None = None,
        hidden: Mapping[str, Collection[str]] | None = None,
        absent_objects: Collection[str] = (),
        daily_limit: int = 100_000,
        session_seconds: int = 7_200,
        rotate_refresh_tokens: bool = True,
        bulk_polls: int = 1,
    ) -> None:
        self.now = now
        self.rate_limits = False
        self.daily_limit = daily_limit
        self.used = 0
        self._day = now // DAY
        self._running = 0
        self._owned = tempfile.mkdtemp(prefix="boardline-salesforce-") if directory is None else None
        place = Path(self._owned) if self._owned else directory
        assert place is not None  # noqa: S101  # one of the two is set
        self._file = place / "salesforce.db"
        self._file.unlink(missing_ok=True)
        self._content: Content = world if isinstance(world, Export) else Lives(world)
        tables = world.tables if isinstance(world, Export) else CATALOGUE
        self._store = Store(self._file, tables)
        try:
            self._content.fill(self._store, now)
        except BaseException:
            self.close()
            raise
        self.sessions = Sessions(credentials or Credentials(), session_seconds, rotate_refresh_tokens)
        seen = _visible(tables, hidden or {}, absent_objects, multi_currency=self._content.multi_currency)
        self._rest = Rest(self._store, seen, self.sessions, now)
        self._bulk = BulkJobs(self._store, seen, place, bulk_polls)

    @classmethod
    def from_export(
        cls,
        directory: Path,
        *,
        now: int,
        default_currency: str = "USD",
        credentials: Credentials | None = None,
    ) -> SalesforceOrg:
        """The org of which ``directory`` holds an export: sfdx data-tree JSON, or one CSV file per object.

        Records without a creation date get ``now``. ``ConfigurationError`` names the file, and the line,
        that cannot be read.
        """
        return cls(Export.read(directory, default_currency), now=now, credentials=credentials)

    @property
    def credentials(self) -> Credentials:
        return self.sessions.credentials

    @property
    def notes(self) -> list[str]:
        """What of an export could not be served; empty for a generated company."""
        return list(self._content.notes)

    # the simulator's side

    def advance(self, now: int) -> None:
        """Let everything up to ``now`` happen."""
        with self._store.lock:
            self._content.advance(self._store, now)
            self.now = now
            if now // DAY != self._day:
                self._day, self.used = now // DAY, 0

    def error_body(self, kind: ErrorKind) -> Reply:
        return errors.error_body(kind)

    def revoke_tokens(self) -> None:
        self.sessions.revoke()

    def close(self) -> None:
        """Remove the org's file."""
        self._store.close()
        if self._owned:
            shutil.rmtree(self._owned, ignore_errors=True)
        else:
            with suppress(FileNotFoundError):
                self._file.unlink()

    # the API

    def routes(self) -> Iterable[web.RouteDef]:
        rest, bulk = self._rest, self._bulk
        resources: list[tuple[str, str, Resource]] = [
            ("GET", "/query", lambda ask: rest.query(ask, self.now, everything=False)),
            ("GET", "/queryAll", lambda ask: rest.query(ask, self.now, everything=True)),
            ("GET", "/query/{locator}", rest.more),
            ("GET", "/queryAll/{locator}", rest.more),
            ("GET", "/sobjects", rest.objects),
            ("GET", "/sobjects/{object}", rest.basic),
            ("GET", "/sobjects/{object}/describe", rest.describe),
            ("GET", "/sobjects/{object}/updated", lambda ask: rest.updated(ask, self.now)),
            ("GET", "/sobjects/{object}/deleted", lambda ask: rest.deleted(ask, self.now)),
            ("GET", "/sobjects/{object}/{id}", lambda ask: rest.record(ask, self.now)),
            ("GET", "/limits", self._limits),
            ("GET", "", self._resources),
            ("POST", "/jobs/query", lambda ask: bulk.create(ask, self.now)),
            ("GET", "/jobs/query", bulk.list),
            ("GET", "/jobs/query/{job}", lambda ask: bulk.status(ask, self.now)),
            ("PATCH", "/jobs/query/{job}", lambda ask: bulk.change(ask, self.now)),
            ("DELETE", "/jobs/query/{job}", bulk.delete),
            ("GET", "/jobs/query/{job}/results", bulk.results),
            ("GET", "/jobs/query/{job}/resultPages", bulk.result_pages),
        ]
        yield web.post("/services/oauth2/token", self._token)
        yield web.post("/services/Soap/u/{version}", self._soap)
        yield web.get("/services/data", self._versions)
        yield web.get("/services/data/", self._versions)
        for method, path, resource in resources:
            handler = self._api(resource)
            for spelling in (path, f"{path}/"):  # both are answered, as by the real one
                yield web.route(
                    method, "/services/data/v{version}" + spelling, handler, **_NO_HEAD.get(method, {})
                )

    def _api(self, resource: Resource) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if _size(request) > _LONGEST_URI:
                return errors.URI_TOO_LONG.response()
            try:
                self._running += 1
                reply = await self._serve(request, resource)
            except ApiError as error:
                reply = error.reply()
            finally:
                self._running -= 1
            response = reply.response()
            response.headers["Sforce-Limit-Info"] = f"api-usage={self.used}/{self.daily_limit}"
            response.headers.setdefault(
                "Cache-Control", "no-cache,must-revalidate,max-age=0,no-store,private"
            )
            return response

        return handle

    async def _serve(self, request: web.Request, resource: Resource) -> Reply:
        session = self.sessions.find(request.headers.get("Authorization", ""), self.now)
        if session is None:
            raise errors.SESSION_EXPIRED
        version = _version(request.match_info["version"])
        if self.rate_limits:
            if self.used >= self.daily_limit:
                raise errors.TOTAL_LIMIT
            if self._running > _CONCURRENT:
                raise errors.CONCURRENT_LIMIT
        self.used += 1
        body = await request.read() if request.can_read_body else b""
        ask = Ask(session, version, dict(request.match_info), request.query, request.headers, body)
        return await asyncio.get_running_loop().run_in_executor(None, self._at_one_moment, resource, ask)

    def _at_one_moment(self, resource: Resource, ask: Ask) -> Reply:
        """Answer while the clock stands still, so that no request is half old, half new."""
        with self._store.lock:
            return resource(ask)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        basic = request.headers.get("Authorization", "")
        return self.sessions.grant(form, basic, _base(request), self.now).response()

    async def _soap(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode(errors="replace")
        version = request.match_info["version"]
        return self.sessions.soap_login(version, body, _base(request), self.now).response()

    async def _versions(self, request: web.Request) -> web.StreamResponse:
        served = [
            {"label": f"API {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(OLDEST, NEWEST + 1)
        ]
        return answer(served).response()

    def _resources(self, ask: Ask) -> Reply:
        return answer(
            {name: f"{ask.root}/{name}" for name in ("limits", "query", "queryAll", "sobjects", "jobs")}
        )

    def _limits(self, ask: Ask) -> Reply:
        def limit(most: int, used: int = 0) -> dict[str, int]:
            return {"Max": most, "Remaining": max(most - used, 0)}

        return answer(
            {
                "DailyApiRequests": limit(self.daily_limit, self.used),
                "DailyBulkV2QueryJobs": limit(10_000),
                "DailyBulkV2QueryFileStorageMB": limit(976_562),
                "ConcurrentAsyncGetReportInstances": limit(200),
            }
        )


_NO_HEAD: Final = {"GET": {"allow_head": False}}


def _visible(
    tables: Mapping[str, Table],
    hidden: Mapping[str, Collection[str]],
    absent: Collection[str],
    *,
    multi_currency: bool,
) -> dict[str, Table]:
    """The objects and fields as the integration user sees them."""
    single = not multi_currency or "CurrencyType" in absent
    gone = {*absent, *(_MULTI_CURRENCY if single else ())}
    currency = {"CurrencyIsoCode"} if single else set()
    return {
        name: table.without({*hidden.get(name, ()), *currency})
        for name, table in tables.items()
        if name not in gone
    }


def _version(text: str) -> str:
    match = re.fullmatch(r"(\d{1,3})\.0", text)
    number = int(match[1]) if match else NEWEST + 1
    if number > NEWEST:
        raise errors.NOT_FOUND
    if number < OLDEST:
        raise ApiError("UNSUPPORTED_API_VERSION", "The requested API version has been retired", 410)
    return text


def _size(request: web.Request) -> int:
    return len(request.raw_path) + sum(len(name) + len(value) + 4 for name, value in request.raw_headers)


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
