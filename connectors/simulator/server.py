"""Runs one simulated CRM as a real HTTP(S) server on loopback, in its own thread.

::

    with Simulator(SalesforceOrg(world, now=now)) as simulator:
        requests.get(simulator.url + "/services/data", verify=simulator.ca_bundle)
        simulator.advance(datetime(2026, 7, 1, tzinfo=UTC))

Other processes move the clock with ``POST /__simulator__/clock {"now": "2026-07-01T00:00:00Z"}`` and read the
counters with ``GET /__simulator__/state``. Every response carries a ``Date`` of the simulated clock.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self, runtime_checkable

import orjson
import structlog
from aiohttp import web

from connectors.errors import ConfigurationError
from connectors.simulator.clock import epoch, http_date, moment, parse_instant
from connectors.simulator.faults import FaultPlan, Handler, Target, strike
from connectors.simulator.tls import issue

log = structlog.get_logger(__name__)

CONTROL: Final = "/__simulator__/"
_GZIP_FROM: Final = 1_024  # bytes; smaller answers go uncompressed
_LINE: Final = 1 << 20  # longest request line or header taken, so that the CRM itself can refuse long ones
_REMEMBERED: Final = 10_000  # requests kept in the log


@runtime_checkable
class Crm(Target, Protocol):
    """A simulated CRM. Its handlers must not block the loop: what queries the disk runs in an executor.

    ``advance`` may be called from any thread and must leave no request half old, half new.
    """

    rate_limits: bool  # answer as the real limits do; set before serving

    def routes(self) -> Iterable[web.RouteDef]:
        """Everything it serves."""
        ...

    def close(self) -> None:
        """Let go of files and connections; called once, after the last request."""
        ...


class Request(NamedTuple):
    """One request as it was answered. ``route`` is the path's pattern, ``fault`` what struck it ('' = none)."""

    method: str
    path: str
    route: str
    status: int
    fault: str


@dataclass
class RequestLog:
    """What clients asked for: counts by ``METHOD route`` and the latest requests in order."""

    counts: Counter[str] = field(default_factory=Counter)
    latest: deque[Request] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, request: Request) -> None:
        self.counts[f"{request.method} {request.route}"] += 1
        self.latest.append(request)

    @property
    def total(self) -> int:
        return self.counts.total()

    def clear(self) -> None:
        """Start counting anew."""
        self.counts.clear()
        self.latest.clear()


class Simulator:
    """A context manager that serves ``crm`` (or what a factory of that name returns) until it is left.

    ``port`` 0 takes a free one. ``close_crm`` False leaves the CRM open, for a further simulator. Raises
    ``ConfigurationError`` when the port cannot be had.
    """

    def __init__(
        self,
        crm: Crm | Callable[[], Crm],
        *,
        tls: bool = True,
        port: int = 0,
        faults: FaultPlan | None = None,
        rate_limits: bool = False,
        close_crm: bool = True,
    ) -> None:
        self.crm: Crm = crm if isinstance(crm, Crm) else crm()
        self.crm.rate_limits = rate_limits
        self.faults = faults
        self.requests = RequestLog()
        self.port = port
        self._tls = tls
        self._close_crm = close_crm
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._bundle: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    @property
    def ca_bundle(self) -> str | None:
        """Path of the PEM file to trust; None without TLS."""
        return str(self._bundle) if self._bundle else None

    @property
    def now(self) -> datetime:
        """The simulated clock."""
        return moment(self.crm.now)

    def advance(self, to: datetime) -> None:
        """Let everything happen up to and including ``to``; earlier than the clock is a ``ValueError``."""
        self._advance(epoch(to))

    def _advance(self, to: int) -> None:
        if to < self.crm.now:
            raise ValueError(f"the clock stands at {self.now:%Y-%m-%dT%H:%M:%SZ} and only moves forward")
        self.crm.advance(to)

    def start(self) -> Self:
        """Serve; returns once requests are answered."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="boardline-simulator", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self.stop()
            number = self._failure.errno if isinstance(self._failure, OSError) else None
            cause = os.strerror(number).lower() if number else self._failure
            raise ConfigurationError(
                f"the simulator cannot listen on port {self.port}: {cause}; choose another port, or 0 for a free one"
            ) from self._failure
        return self

    def stop(self) -> None:
        """Stop serving, close the CRM and remove the certificate; calling it again does nothing."""
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None
        if self._close_crm:
            self.crm.close()
        if self._directory is not None:
            self._directory.cleanup()

    def join(self) -> None:
        """Wait until the server has stopped (for a simulator that runs alone)."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout=0.5)  # in slices, so that a signal handler gets its turn

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except OSError as error:  # start() tells the caller
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        context = None
        if self._tls:
            self._directory = tempfile.TemporaryDirectory(prefix="boardline-simulator-")
            context, self._bundle = issue(Path(self._directory.name))
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            shutdown_timeout=1.0,
            max_line_size=_LINE,
            max_field_size=_LINE,
            max_headers=256,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context)
            await site.start()
            self.port = runner.addresses[0][1]
            ready.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()
            await asyncio.sleep(0)  # lets TLS connections take their leave

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._answer], client_max_size=64 << 20)
        app.add_routes(
            [
                web.post(CONTROL + "clock", self._set_clock),
                web.get(CONTROL + "state", self._state),
                *self.crm.routes(),
            ]
        )
        app.on_response_prepare.append(self._stamp)
        return app

    async def _stamp(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = http_date(self.crm.now)
        response.headers.setdefault("Vary", "Accept-Encoding")

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
            return await handler(request)
        fault = self.faults.next(request.path) if self.faults else None
        serve = self._or_not_found(handler)
        response = await (strike(fault, request, serve, self.crm) if fault else serve(request))
        resource = request.match_info.route.resource
        self.requests.add(
            Request(
                request.method,
                request.path_qs,
                resource.canonical if resource else "unknown",
                response.status,
                fault.kind if fault else "",
            )
        )
        if not response.prepared and _wants_gzip(request, response):
            response.enable_compression(web.ContentCoding.gzip)
        return response

    def _or_not_found(self, handler: Handler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
                return self.crm.error_body("not_found").response()
            except web.HTTPException:
                raise
            except ConnectionResetError:  # whoever asked has gone in the middle; nobody reads this
                return web.Response(status=400)
            except Exception:
                log.exception("simulator failed", method=request.method, path=request.path)
                raise

        return serve

    async def _set_clock(self, request: web.Request) -> web.Response:
        try:
            to = parse_instant(orjson.loads(await request.read())["now"])
            await asyncio.get_running_loop().run_in_executor(None, self._advance, to)
        except (KeyError, TypeError, ValueError) as error:
            text = f'send {{"now": "2026-07-01T00:00:00Z"}}, not before the clock: {error}'
            return _json({"error": text}, 400)
        return self._report()

    async def _state(self, request: web.Request) -> web.Response:
        return self._report()

    def _report(self) -> web.Response:
        struck = self.faults.struck if self.faults else []
        return _json(
            {
                "now": f"{self.now:%Y-%m-%dT%H:%M:%SZ}",
                "requests": dict(self.requests.counts),
                "total": self.requests.total,
                "faults": [{"request": number, "kind": kind} for number, kind in struck],
            }
        )


def _wants_gzip(request: web.Request, response: web.StreamResponse) -> bool:
    length = response.content_length or 0
    return "gzip" in request.headers.get("Accept-Encoding", "") and length >= _GZIP_FROM


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
