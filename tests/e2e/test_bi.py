"""The SQL of docs/bi.md, word by word, over connections that cannot write, on a synced company on both databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from pipeline import views
from pipeline.store import Store
from tests.databases import new_database
from tests.e2e.process import boardline, site

PAGE = (Path(__file__).parents[2] / "docs" / "bi.md").read_text()
QUESTIONS = [block.replace("'acme'", "'demo'") for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)]
GRANTS = re.findall(r"```sql grants\n(.*?)```", PAGE, re.DOTALL)
INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")  # as SQLite keeps it
Ask = Callable[[str], list[tuple[Any, ...]]]


@contextmanager
def reading_sqlite(path: Path) -> Iterator[Ask]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield lambda sql: connection.execute(sql).fetchall()


@contextmanager
def reading_postgres(url: str) -> Iterator[Ask]:
    with psycopg.connect(url.replace("postgres:@", "bi_reader:@"), autocommit=True) as connection:
        yield lambda sql: connection.execute(sql.encode()).fetchall()


def grant(url: str) -> None:
    """What the page says, with this server's names for the database and its owner."""
    database = make_url(url).database
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS bi_reader")  # of an earlier test; roles belong to the server
        for statement in "".join(GRANTS).split(";")[:-1]:
            named = statement.replace("DATABASE boardline", f"DATABASE {database}")
            connection.execute(named.replace("ROLE boardline ", "ROLE postgres ").encode())


def questions(ask: Ask) -> list[list[tuple[Any, ...]]]:
    return [ask(sql) for sql in QUESTIONS]


def comparable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows in the order in which they came."""
    return [tuple(map(plain, row)) for row in rows]


def plain(value: Any) -> Any:
    """A value without what the two drivers do differently: days as text, numbers to the cent.

    The instants among the answers are our own clock's, and the syncs were one after the other.
    """
    if isinstance(value, datetime) or (isinstance(value, str) and INSTANT.fullmatch(value)):
        return "an instant"
    if isinstance(value, str | None):
        return value
    return value.isoformat() if isinstance(value, date) else round(float(value), 2) + 0.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[tuple[Path, str]]:
    """One generated company, synced into both databases; the PostgreSQL one can be read by bi_reader alone."""
    folder = tmp_path_factory.mktemp("bi")
    with new_database(postgres_server) as url:
        with site("salesforce", folder / "sqlite") as place:
            other = place.configure(folder / "postgres", url)
            for config in (place.config, other):
                done = boardline("sync", "--once", "-c", config)
                assert done.status == 0, done.err
        grant(url)
        yield folder / "sqlite" / "boardline.db", url


def test_the_five_questions_are_answered_alike_on_both_databases(both: tuple[Path, str]) -> None:
    path, url = both
    with reading_sqlite(path) as ask:
        on_sqlite = questions(ask)
    with reading_postgres(url) as ask:
        on_postgres = questions(ask)
    for sql, one, two in zip(QUESTIONS, on_sqlite, on_postgres, strict=True):
        assert one, f"nobody answers\n{sql}"
        assert comparable(one) == comparable(two), sql
    assert sum(len(rows) > 1 for rows in on_sqlite) > 8  # there is an order to speak of
    the_bridge_ties(on_sqlite[0])


def the_bridge_ties(rows: list[tuple[Any, ...]]) -> None:
    for month, _, *movements, closing_arr in rows:
        assert sum(movements) == pytest.approx(closing_arr, abs=0.005), month
    for before, after in pairwise(rows):
        assert after[2] == pytest.approx(before[-1], abs=0.005), after[0]


def test_the_reader_cannot_write_and_outlives_an_upgrade(both: tuple[Path, str]) -> None:
    path, url = both
    with reading_sqlite(path) as ask, pytest.raises(sqlite3.OperationalError, match="readonly"):
        ask("DELETE FROM deals")
    with reading_postgres(url) as ask:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            ask("DELETE FROM deals")
        ask("SELECT set_config('default_transaction_read_only', 'off', false)")
        for sql in ("DELETE FROM deals", "SELECT email FROM contacts"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ask(sql)
        with Store.open(url) as store, store.transaction() as tx:  # what every upgrade does
            views.drop(tx.connection)
            views.create(tx.connection)
        assert ask("SELECT COUNT(*) FROM pipeline_today")
