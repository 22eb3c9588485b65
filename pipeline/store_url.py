"""The address of the store, ``store.url``: what is one, which options it may carry, and what in it is percent-encoded.

Nothing said here repeats a part of the address that may be a piece of a password.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final
from urllib.parse import parse_qsl

from psycopg import pq
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from connectors.errors import ConfigurationError
from connectors.spelling import nearest

_FORMS: Final = "write sqlite:///boardline.db or postgresql://user@host/name"
_LONGEST_WAIT: Final = 86_400  # seconds; SQLite counts milliseconds in 32 bits
_USERINFO: Final = re.compile(r"[^:/@]*(?::[^@]*)?@")  # user:password@, as SQLAlchemy tells it from the host
_SEVERAL: Final = frozenset({"host", "port"})  # of PostgreSQL: one for each server
_USUAL: Final = "sslmode, sslrootcert, connect_timeout, options"


def parse(url: str) -> URL:
    """A store URL as SQLAlchemy wants it. Raises ``ConfigurationError`` for anything but the two databases, for a
    password that comes apart, and for options that the database does not have."""
    scheme = url.partition("://")[0].strip()
    if scheme.split("+")[0] != "sqlite":
        _refuse_torn(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained: the cause quotes what stands where the port should, which may be a piece of a password.
        raise ConfigurationError(f"store.url is not a database URL; {_FORMS}") from None
    backend = parsed.drivername.split("+")[0]
    if backend in ("postgresql", "postgres"):
        _check_postgres(_options(url))
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(f"store.url: there is no store on {backend!r}; {_FORMS}")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError(
            "store.url: a store in memory forgets everything; name a file: sqlite:///boardline.db"
        )
    _check_sqlite(_options(url))
    return parsed.set(drivername="sqlite")


def is_encoded(url: str, place: int) -> bool:
    """Whether what stands at ``place`` is read percent-decoded: in the user, the password or the value of an option."""
    start = _after_scheme(url)
    if start is None or place < start:
        return False
    if (userinfo := _USERINFO.match(url, start)) and place < userinfo.end():
        return True
    query = url.find("?", userinfo.end() if userinfo else start)
    if query < 0 or place < query:
        return False
    option = max(query, url.rfind("&", query, place))
    return "=" in url[option:place]


def _after_scheme(url: str) -> int | None:
    at = url.find("://")
    return None if at < 0 else at + len("://")


def _refuse_torn(url: str) -> None:
    """With an ``@`` of its own a password ends too early: its rest is taken, and printed, as a host or a database."""
    start = _after_scheme(url)
    if start is None:
        return
    userinfo = _USERINFO.match(url, start)
    rest = url[userinfo.end() :] if userinfo else url[start:].partition("?")[0]
    if "@" in rest:
        raise ConfigurationError(
            "store.url: it cannot be told where the password ends and the host begins; percent-encode user name, "
            "password and options (an @ in them is %40), or put the password into a variable, ${NAME}, "
            "where it needs no encoding"
        )


def _options(url: str) -> list[tuple[str, str]]:
    """Every option with its value. SQLAlchemy leaves out those that have none."""
    start = _after_scheme(url) or 0
    userinfo = _USERINFO.match(url, start)
    query = url[userinfo.end() if userinfo else start :].partition("?")[2]
    return parse_qsl(query, keep_blank_values=True)


def _check_sqlite(options: list[tuple[str, str]]) -> None:
    for name, value in options:
        if name in ("mode", "immutable"):
            raise ConfigurationError(
                f"store.url: an SQLite store has no option {name!r}; take it out: commands that only read leave the "
                "store as it is, and read a file without write permission too"
            )
        if name != "timeout":
            raise ConfigurationError(
                f"store.url: an SQLite store has no option {name!r}; take it out, or write "
                "timeout, the seconds to wait for another writer"
            )
        _check_timeout(value)
    _refuse_repeated(options, frozenset())


def _check_timeout(value: str) -> None:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise ConfigurationError(
            f"store.url: timeout={value} is no time to wait; write seconds from 0 to {_LONGEST_WAIT}: ?timeout=30"
        )


def _check_postgres(options: list[tuple[str, str]]) -> None:
    known = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
    for name, value in options:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"it has {_USUAL} and more"
            raise ConfigurationError(
                f"store.url: PostgreSQL's client has no option {name!r} ({hint}); correct store.url"
            )
        if not value:
            raise ConfigurationError(
                f"store.url: the option {name} is empty; give it a value, or take it out"
            )
    _refuse_repeated(options, _SEVERAL)


def _refuse_repeated(options: list[tuple[str, str]], several: frozenset[str]) -> None:
    for name, times in Counter(name for name, _ in options).items():
        if times > 1 and name not in several:
            raise ConfigurationError(f"store.url: the option {name} is given {times} times; give it once")
