"""A CRM that gives no answer at all is told of in the same words, whichever CRM it is and whatever its driver says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from connectors import registry
from connectors.errors import BoardlineError, ConfigurationError, UnreachableError
from connectors.retry import RetryPolicy
from connectors.source import SourceSettings

AUTH = {
    "salesforce": {"flow": "client_credentials", "client_id": "id", "client_secret": "shh-very-secret"},
    "hubspot": {"flow": "token", "token": "shh-very-secret"},
}
CRMS = tuple(AUTH)


@dataclass(frozen=True)
class Place:
    """An address where no answer comes from, and the authority that one may trust there."""

    url: str
    ca_bundle: str | None = None


def problem(crm: str, place: Place, attempts: int = 1) -> BoardlineError:
    """What a person is told who points this CRM's source there."""
    settings = SourceSettings(
        company="acme",
        url=place.url,
        auth=AUTH[crm],
        ca_bundle=place.ca_bundle,
        retry=RetryPolicy(attempts=attempts, first=0.001, longest=0.002),
        timeout=(0.2, 0.2),
    )
    source = registry.source(crm).open(settings)
    try:
        with pytest.raises(BoardlineError) as caught:
            source.capabilities()
    finally:
        source.close()
    return caught.value


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port of this machine whose callers are served one by one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                with contextlib.suppress(OSError), server.accept()[0] as caller:
                    serve(caller)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"https://localhost:{server.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def no_host(_: Path) -> Iterator[Place]:
    yield Place("https://nobody.invalid")


@contextlib.contextmanager
def closed_port(_: Path) -> Iterator[Place]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield Place(f"https://localhost:{reserved.getsockname()[1]}")


@contextlib.contextmanager
def silence(_: Path) -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the call, says nothing
        yield Place(f"https://localhost:{server.getsockname()[1]}")


@contextlib.contextmanager
def no_tls(_: Path) -> Iterator[Place]:
    def serve(caller: socket.socket) -> None:
        caller.recv(100)
        caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(serve) as url:
        yield Place(url)


@contextlib.contextmanager
def hanging_up(_: Path) -> Iterator[Place]:
    def serve(caller: socket.socket) -> None:
        caller.recv(100)

    with listening(serve) as url:
        yield Place(url)


def certified(
    name: str, *, trusted: bool = True, expired: bool = False
) -> Callable[[Path], contextlib.AbstractContextManager[Place]]:
    """A server with a certificate for this name."""

    @contextlib.contextmanager
    def place(folder: Path) -> Iterator[Place]:
        authority = trustme.CA()
        ended = datetime.now(UTC) - timedelta(days=1) if expired else None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name, not_after=ended).configure_cert(context)
        bundle = folder / "authority.pem"
        (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(bundle))

        def serve(caller: socket.socket) -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(caller, server_side=True).close()

        with listening(serve) as url:
            yield Place(url, str(bundle))

    return place


NOT_REACHED = "{host} cannot be reached: {cause}; check crm.url and the network"


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize(
    ("situation", "causes"),
    [
        # A machine without a name server cannot know whether there is such a host.
        (no_host, ("there is no such host", "its name cannot be looked up now")),
        (closed_port, ("the connection is refused",)),
        (no_tls, ("what answers there speaks no TLS",)),
    ],
)
def test_a_wrong_address_is_told_at_once(
    crm: str, situation: Callable[[Path], contextlib.AbstractContextManager[Place]], causes: tuple[str, ...],
    tmp_path: Path,
) -> None:  # fmt: skip
    with situation(tmp_path) as place:
        error = problem(crm, place, attempts=50)
    assert type(error) is UnreachableError
    host = place.url.removeprefix("https://")
    assert str(error) in [NOT_REACHED.format(host=host, cause=cause) for cause in causes]


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize(
    ("situation", "cause"), [(silence, "no answer in time"), (hanging_up, "the connection")]
)
def test_what_may_pass_is_tried_again_and_ends_with_a_remedy(
    crm: str,
    situation: Callable[[Path], contextlib.AbstractContextManager[Place]],
    cause: str,
    tmp_path: Path,
) -> None:
    with situation(tmp_path) as place:
        error = problem(crm, place, attempts=2)
    assert type(error) is UnreachableError
    text = str(error)
    assert f" {place.url.removeprefix('https://')}: {cause}" in text
    assert text.endswith(" (gave up after 2 attempts); check crm.url and the network")


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.parametrize(
    ("situation", "told"),
    [
        (
            certified("localhost", trusted=False),
            "crm.url: the certificate of {host} is not trusted; check the address, or name the PEM file of the "
            "authority that signed it (your proxy's, for example) in crm.ca_bundle",
        ),
        (
            certified("example.com"),
            "crm.url: the certificate that {host} shows is another host's; correct the address",
        ),
        (
            certified("localhost", expired=True),
            "crm.url: the certificate of {host} has expired; have it renewed there, or set the clock of this machine",
        ),
    ],
    ids=["untrusted", "another host's", "expired"],
)
def test_what_is_wrong_with_a_certificate(
    crm: str, situation: Callable[[Path], contextlib.AbstractContextManager[Place]], told: str, tmp_path: Path
) -> None:
    with situation(tmp_path) as place:
        error = problem(crm, place, attempts=50)
    assert type(error) is ConfigurationError
    assert str(error) == told.format(host=place.url.removeprefix("https://"))


@pytest.mark.parametrize("crm", CRMS)
def test_a_proxy_that_is_not_there(crm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with closed_port(tmp_path) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("https", "http"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        error = problem(crm, Place("https://acme.example"), attempts=50)
    assert type(error) is UnreachableError
    assert str(error) == (
        "acme.example cannot be reached: the proxy on the way to it does not answer; "
        "check HTTPS_PROXY and the network"
    )
