"""A sync that is killed anywhere and run again ends like one that was never killed."""

from __future__ import annotations

import itertools
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pipeline.store import Store
from pipeline.tables import METADATA
from tests.faults import child
from tests.faults.scripted import assert_no_half_page, contents, work

_NUMBERS = itertools.count(1)
Fresh = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """Makes the address of one more empty store whose tables are there already."""
    if request.param == "sqlite":
        made = tmp_path / "template.db"
        Store.open(f"sqlite:///{made}").close()

        def copy() -> str:
            path = tmp_path / f"{next(_NUMBERS)}.db"
            shutil.copy(made, path)
            return f"sqlite:///{path}"

        return copy
    url: str = request.getfixturevalue("postgres_url")
    server: str = request.getfixturevalue("postgres_server")
    template = url.split("/")[3].split("?")[0]
    Store.open(url).close()

    def clone() -> str:
        name = f"killed_{next(_NUMBERS)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return server.replace("/postgres?", f"/{name}?")

    return clone


def never_killed(url: str, folder: Path) -> tuple[list[str], dict[str, list[tuple[Any, ...]]]]:
    """The boundaries of a sync that nobody kills, in order, and what the store holds after it."""
    names = folder / "boundaries"
    assert child.run(child.sync_until, url, 0, str(names)) == 0
    with Store.open(url) as store:
        return names.read_text().splitlines(), contents(store)


def killed_and_resumed(url: str, at: int, folder: Path) -> tuple[str, dict[str, list[tuple[Any, ...]]]]:
    """What a kill at that boundary left, as one text, and what is there when the sync was run again."""
    assert child.run(child.sync_until, url, at, str(folder / "none")) == -signal.SIGKILL, f"boundary {at}"
    with Store.open(url) as store:
        assert_no_half_page(store)
        left = repr(contents(store))
        assert all(summary.status == "ok" for summary in work(store))
        return left, contents(store)


def kill_at(fresh: Fresh, folder: Path, every: int) -> None:
    names, expected = never_killed(fresh(), folder)
    states: set[str] = set()
    chosen = range(1, len(names) + 1, every)
    for at in chosen:
        left, found = killed_and_resumed(fresh(), at, folder)
        states.add(left)
        for table, rows in expected.items():
            assert found[table] == rows, f"{table} after a kill at boundary {at}: {names[at - 1]}"
    commits = names.count("after COMMIT")
    print(
        f"\n{len(chosen)} kills at {len(names)} boundaries with {commits} commits left {len(states)} states"
    )
    assert commits > 30
    assert len(states) >= min(len(chosen), commits) * 0.6, "the kills met too few different states"


def test_killed_here_and_there(fresh: Fresh, tmp_path: Path) -> None:
    kill_at(fresh, tmp_path, every=71)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_every_statement(fresh: Fresh, tmp_path: Path) -> None:
    kill_at(fresh, tmp_path, every=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_killed_again_and_again(fresh: Fresh, tmp_path: Path, seed: int) -> None:
    """Ten tries die early, then each somewhere; some get pages further, until one gets through."""
    names, expected = never_killed(fresh(), tmp_path)
    url, chance, kills = fresh(), random.Random(seed), 0
    # A pass asks every stream again, also those that are read: only a try that may die late can end.
    while child.run(
        child.sync_until, url, chance.randint(1, 150 if kills < 10 else len(names)), str(tmp_path / "names")
    ):
        kills += 1
    with Store.open(url) as store:
        assert_no_half_page(store)
        assert contents(store) == expected
    print(f"\n{kills} kills")
    assert kills >= 10


@pytest.mark.parametrize(
    "every", [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.timeout(3600)
def test_killed_while_the_tables_are_made(tmp_path: Path, every: int) -> None:
    """The schema is made in one transaction: all of it is there, or nothing of it is."""
    names = tmp_path / "names"
    assert child.run(child.open_until, f"sqlite:///{tmp_path / 'never.db'}", 0, str(names)) == 0
    boundaries = names.read_text().splitlines()
    tables: set[int] = set()
    for at in range(1, len(boundaries) + 1, every):
        path = tmp_path / f"{at}.db"
        assert child.run(child.open_until, f"sqlite:///{path}", at, str(names)) == -signal.SIGKILL
        with sqlite3.connect(path) as raw:
            tables.add(raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        with Store.open(f"sqlite:///{path}") as store, store.reading() as reader:
            context = MigrationContext.configure(reader.connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []
    assert len(boundaries) > 50
    assert len(tables) <= 2, "half of the tables were there"
