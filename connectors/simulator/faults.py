"""What goes wrong on the way, on purpose: a plan of faults, the same on every run.

A plan is written as text for the command line and for tests::

    429@3                   the third request is answered 429
    reset@7,truncate@9      several, in any order
    quota@5+                from the fifth request on, for ever
    503@2-4                 requests two to four
    slow@4=2.5              the fourth is answered after 2.5 seconds
    truncate@1~/query       the first request whose path contains /query
    random:0.05,seed:7      besides, one request in twenty draws a passing fault, never more than two running

Requests are counted from 1; calls to the simulator's own control endpoints are not counted.

Kinds: ``429``, ``quota`` (the CRM's way of saying that the allowance is spent), ``500``, ``502``, ``503``
(the CRM's own JSON body), ``500html``, ``502html``, ``503html`` (a proxy's page), ``reset`` (connection reset
before an answer), ``truncate`` (the request is served, but the connection closes half-way through the
answer), ``html`` (a page with status 200), ``slow``, ``expired`` (every access token is revoked, then the
request is served), ``change`` (the clock moves a day on, then the request is served).
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol

from aiohttp import web

from connectors.errors import ConfigurationError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ErrorKind = Literal["429", "quota", "500", "502", "503", "not_found"]

PASSING: Final = ("429", "500", "502html", "503", "503html", "reset", "truncate", "html", "slow", "expired")
KINDS: Final = frozenset({*PASSING, "quota", "500html", "502", "change"})
CHANGE_STEP: Final = 86_400  # seconds the clock moves on for a `change`
SLOW: Final = 1.0  # seconds, unless the plan says
_RUNNING: Final = 2  # random faults in a row at most, so that a patient client always gets through
_PAGE: Final = (
    b"<html><head><title>Down for maintenance</title></head>"
    b"<body><h1>We are down for maintenance.</h1><p>Sorry for the inconvenience.</p></body></html>"
)
_ENTRY: Final = re.compile(
    r"(?P<kind>[a-z0-9]+)@(?P<first>\d+)(?:(?P<on>\+)|-(?P<last>\d+))?(?:=(?P<seconds>\d+(?:\.\d+)?))?(?:~(?P<path>.+))?"
)


class Reply(NamedTuple):
    """A ready answer: a CRM's own wording of an error."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})

    def response(self) -> web.Response:
        """The reply as an aiohttp response."""
        kind, _, charset = self.content_type.partition(";charset=")
        headers = {**self.headers, "Content-Type": f"{kind};charset={charset or 'UTF-8'}"}
        return web.Response(status=self.status, body=self.body, headers=headers)


class Target(Protocol):
    """What a fault needs from a CRM."""

    @property
    def now(self) -> int: ...

    def advance(self, now: int) -> None: ...

    def error_body(self, kind: ErrorKind) -> Reply:
        """The CRM's own body for that error."""
        ...

    def revoke_tokens(self) -> None:
        """Every access token handed out so far stops working; refresh tokens live on."""
        ...


@dataclass(frozen=True)
class Fault:
    """One line of a plan: ``kind`` strikes the ``first`` to ``last`` (None: every later) matching request."""

    kind: str
    first: int
    last: int | None
    path: str = ""
    seconds: float = SLOW

    def strikes(self, number: int) -> bool:
        return number >= self.first and (self.last is None or number <= self.last)


@dataclass
class FaultPlan:
    """When which fault strikes. Holds the count of requests, so one plan serves one simulator."""

    faults: Sequence[Fault] = ()
    rate: float = 0.0
    seed: int = 0
    struck: list[tuple[int, str]] = field(default_factory=list)  # (request number, kind), as it happened

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._number = 0
        self._running = 0
        self._matched = [0] * len(self.faults)

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read the notation above; ``ConfigurationError`` names the part that is wrong."""
        faults: list[Fault] = []
        rate, seed = 0.0, 0
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, _, number = part.partition(":")
            try:
                if name == "random" and 0 <= (share := float(number)) <= 1:
                    rate = share
                elif name == "seed":
                    seed = int(number)
                else:
                    faults.append(_fault(part))
            except ValueError as error:
                raise ConfigurationError(f"fault plan: {part!r} is not understood ({error})") from error
        return cls(faults, rate, seed)

    def next(self, path: str) -> Fault | None:
        """Count one request and say what strikes it."""
        self._number += 1
        chosen: Fault | None = None
        for index, fault in enumerate(self.faults):
            if fault.path in path:
                self._matched[index] += 1
                if chosen is None and fault.strikes(self._matched[index]):
                    chosen = fault
        if chosen is None and self.rate:
            chosen = self._draw()
        if chosen is not None:
            self.struck.append((self._number, chosen.kind))
        return chosen

    def _draw(self) -> Fault | None:
        if self._random.random() >= self.rate or self._running >= _RUNNING:
            self._running = 0
            return None
        self._running += 1
        return Fault(self._random.choice(PASSING), self._number, self._number, seconds=0.05)


def _fault(part: str) -> Fault:
    match = _ENTRY.fullmatch(part)
    if match is None:
        raise ValueError("write kind@number, random:share or seed:number")
    if match["kind"] not in KINDS:
        raise ValueError(f"kinds are {', '.join(sorted(KINDS))}")
    first = int(match["first"])
    last = None if match["on"] else int(match["last"] or first)
    return Fault(match["kind"], first, last, match["path"] or "", float(match["seconds"] or SLOW))


async def strike(fault: Fault, request: web.Request, handler: Handler, crm: Target) -> web.StreamResponse:
    """Answer ``request`` in the way ``fault`` says."""
    kind = fault.kind
    if kind in ("429", "quota", "500", "502", "503"):
        return crm.error_body(kind).response()  # type: ignore[arg-type]  # narrowed by the test above
    if kind.endswith("html"):
        status = int(kind.removesuffix("html") or 200)
        return Reply(status, _PAGE, "text/html").response()
    if kind == "reset":
        return _reset(request)
    if kind == "truncate":
        return await _truncate(request, await handler(request))
    if kind == "slow":
        await asyncio.sleep(fault.seconds)
    elif kind == "expired":
        crm.revoke_tokens()
    else:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, crm.advance, crm.now + CHANGE_STEP)
    return await handler(request)


def _reset(request: web.Request) -> web.StreamResponse:
    """Close with a TCP reset: the other side loses what it had not read yet."""
    if request.transport is not None:
        raw: socket.socket | None = request.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def _truncate(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else _PAGE
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
    cut = web.StreamResponse(status=answer.status, headers=headers)
    cut.content_length = max(len(body), 2)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut
