"""What a database driver's exception means for us: its recovery, and words for a person.

- ``StoreBusyError``         another writer was in the way; the same transaction may be tried again
- ``StoreUnreachableError``  no connection, or it was lost; the same transaction may be tried again
- ``StoreError``             no use in trying again (disk full, damaged)
- ``ConfigurationError``, ``CredentialError``  a person corrects the URL, a permission or a password

Of a transaction that failed nothing was kept. A connection lost at the very commit is the exception: nobody knows
then, so only what may happen twice is tried again.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Final, TypeAlias

import psycopg

from connectors.errors import BoardlineError, ConfigurationError, CredentialError, UnreachableError


class StoreError(BoardlineError):
    """The store failed at work. Nothing of the transaction was kept."""


class StoreBusyError(StoreError):
    """Another writer held what this one needed for too long, or both needed what the other held."""


class StoreUnreachableError(StoreError, UnreachableError):
    """The database server does not answer, or the connection to it was lost."""


PASSING: Final = (StoreBusyError, StoreUnreachableError)  # worth another try
_Meaning: TypeAlias = tuple[type[BoardlineError], str]
_KEPT: Final = "nothing of this step was kept"


def in_words(
    place: str, error: BaseException, secret: object = None, *, disk_full: bool = False
) -> BoardlineError:
    """The driver's exception as one of ours; ``place`` names file or host, ``secret`` is taken out of the text.

    ``disk_full``: there is no room left, which SQLite says of some of its files only.
    """
    text = " ".join(str(error).split())
    if secret:
        text = text.replace(str(secret), "***")
    meaning = (
        _sqlite(error, text.lower()) if isinstance(error, sqlite3.Error) else _postgres(error, text.lower())
    )
    if disk_full and meaning in (_DISK_FAILED, _NOT_OPENED):
        meaning = _FULL
    if meaning is not None:
        kind, explanation = meaning
        return kind(f"{place}: {explanation}")
    if isinstance(error, psycopg.Error) and error.sqlstate is None and (wrong := _OPTION.search(text)):
        return ConfigurationError(f"{place}: {wrong.group()}; correct the options in store.url")
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return StoreUnreachableError(
            f"{place}: the connection failed ({text}); check the server and store.url"
        )
    return StoreError(f"{place}: {text}; {_KEPT}")


def _sqlite(error: sqlite3.Error, text: str) -> _Meaning | None:
    name = getattr(error, "sqlite_errorname", "")
    by_name = (meaning for start, meaning in _SQLITE_NAMES.items() if name.startswith(start))
    by_text = (meaning for marks, meaning in _SQLITE_TEXTS.items() if any(mark in text for mark in marks))
    return next(by_name, None) or next(by_text, None)


def _postgres(error: BaseException, text: str) -> _Meaning | None:
    """By the server's code where it gave one: its texts are in its own language."""
    code = getattr(error, "sqlstate", None) or ""
    by_code = (meaning for start, meaning in _POSTGRES_CODES.items() if code.startswith(start))
    by_text = (meaning for marks, meaning in _POSTGRES_TEXTS.items() if any(mark in text for mark in marks))
    return next(by_code, None) or (None if code else next(by_text, None))


_READ_ONLY: Final = (
    ConfigurationError,
    "the file, or one that SQLite keeps beside it, is read-only; make it writable or name another one in store.url",
)
_LOCKED: Final = (StoreBusyError, f"another process kept it locked for too long; {_KEPT}, try again")
_FULL: Final = (StoreError, f"the disk is full; {_KEPT}, free some space and go on")
_DAMAGED: Final = (
    StoreError,
    "the database is damaged; move it away, then `boardline db restore` a backup or `boardline sync --once --full`",
)
_NO_DATABASE: Final = (
    ConfigurationError,
    "this file is not an SQLite database; correct store.url, or move the file away",
)
_NOT_OPENED: Final = (
    ConfigurationError,
    "the file, or one that SQLite keeps beside it, cannot be opened; check the permissions of file and folder, "
    "or correct store.url",
)
_DISK_FAILED: Final = (StoreError, f"the disk failed; {_KEPT}, check the disk and go on")

_SQLITE_NAMES: Final[dict[str, _Meaning]] = {
    "SQLITE_NOTADB": _NO_DATABASE,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_READONLY_DIRECTORY": (
        ConfigurationError,
        "its folder is read-only, where SQLite keeps files beside it; make it writable or name another in store.url",
    ),
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": _NOT_OPENED,
    "SQLITE_FULL": _FULL,
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_IOERR_SHMSIZE": _FULL,  # no room for what SQLite keeps beside the file
    "SQLITE_IOERR": _DISK_FAILED,
}
_SQLITE_TEXTS: Final[dict[tuple[str, ...], _Meaning]] = {
    ("file is not a database", "file is encrypted"): _NO_DATABASE,
    ("malformed",): _DAMAGED,
    ("readonly database", "read-only"): _READ_ONLY,
    ("unable to open",): _NOT_OPENED,
    ("disk is full",): _FULL,
    ("locked",): _LOCKED,
    ("disk i/o error",): _DISK_FAILED,
}

# What PostgreSQL's client, and the server before it lets anybody in, say of an option that they do not understand.
_OPTION: Final = re.compile(
    r"""invalid\ connection\ option\ "[^"]*"
    | invalid\ "?\w+"?\ value:\ "[^"]*"
    | invalid\ integer\ value\ "[^"]*"\ for\ connection\ option\ "\w+"
    | invalid\ port\ number:\ "[^"]*"
    | bad\ value\ for\ \w+:\ '[^']*'
    | unrecognized\ configuration\ parameter\ "[^"]*"
    | invalid\ value\ for\ parameter\ "[^"]*":\ "[^"]*"
    | invalid\ command-line\ argument\ for\ server\ process:\ \S+
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WRONG_PASSWORD: Final = (
    CredentialError,
    "the user name or password is wrong; correct the secret that store.url names",
)
_NO_PERMISSION: Final = (
    CredentialError,
    "the user lacks a permission; grant it CREATE and write on its schema",
)
_NO_SUCH_DATABASE: Final = (
    ConfigurationError,
    "there is no such database; create it, or correct store.url",
)
_NOT_READY: Final = (
    StoreUnreachableError,
    "the server is starting or shutting down; try again in a moment",
)
_CROWDED: Final = (
    StoreUnreachableError,
    "the server has no free connection; close some, or raise its max_connections",
)
_SERVER_FULL: Final = (StoreError, f"the server's disk is full; {_KEPT}, free some space there and go on")
_LOST: Final = (StoreUnreachableError, f"the connection was lost; {_KEPT}, try again")

_POSTGRES_CODES: Final[dict[str, _Meaning]] = {
    "28": _WRONG_PASSWORD,
    "3D000": _NO_SUCH_DATABASE,
    "42501": _NO_PERMISSION,
    "25006": (
        ConfigurationError,
        "the server takes no writes (a standby, or set to read-only); name the primary in store.url",
    ),
    "2BP01": (
        ConfigurationError,
        "a view of yours stands on one of Boardline's; drop it, run `boardline db upgrade`, and make it again",
    ),
    "53100": _SERVER_FULL,
    "53300": _CROWDED,
    "55P03": (StoreBusyError, f"another process kept rows locked for too long; {_KEPT}, try again"),
    "40P01": (StoreBusyError, f"two writers blocked each other; {_KEPT}, try again"),
    "40001": (StoreBusyError, f"another writer changed the same rows; {_KEPT}, try again"),
    "57P03": _NOT_READY,
    "57P04": _NO_SUCH_DATABASE,
    "57P": _LOST,
    "25P03": _LOST,
    "08": _LOST,
}
_POSTGRES_TEXTS: Final[dict[tuple[str, ...], _Meaning]] = {
    ("password authentication failed", "no password supplied", "authentication failed"): _WRONG_PASSWORD,
    ("no pg_hba.conf entry",): (
        CredentialError,
        "the server does not admit this user from here (pg_hba.conf)",
    ),
    ('role "',): (CredentialError, "the server does not know this user; correct the user in store.url"),
    ('database "',): _NO_SUCH_DATABASE,
    ("permission denied",): _NO_PERMISSION,
    ("could not translate host", "name or service not known", "failed to resolve host"): (
        ConfigurationError,
        "there is no such host; correct store.url",
    ),
    ("starting up", "shutting down", "recovery mode", "not yet accepting connections"): _NOT_READY,
    ("too many clients", "remaining connection slots"): _CROWDED,
    (
        "server closed the connection",
        "terminating connection",
        "connection is lost",
        "connection is closed",
        "consuming input failed",
        "no connection to the server",
    ): _LOST,
    ("connection refused", "no such file or directory"): (
        StoreUnreachableError,
        "the server does not answer; start it, or correct host and port in store.url",
    ),
    ("timeout expired", "connection timeout"): (
        StoreUnreachableError,
        "the server did not answer in time; try again later",
    ),
    ("no space left", "disk full"): _SERVER_FULL,
}
