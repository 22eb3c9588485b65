"""``db upgrade``, ``backup``, ``restore``, ``export`` and ``forget`` killed anywhere: all of it or nothing, and nothing
that looks whole and is not; the same command again ends as if it had never been killed."""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import psycopg
import pytest
from sqlalchemy import Table

from pipeline import backup, erase, export, inspection, migrate, restore
from pipeline.store import Store
from pipeline.sync import sync_company
from pipeline.tables import METADATA
from tests import store_contents
from tests.contract.test_erase import CROWD, JANE, held
from tests.contract.test_forget import source
from tests.contract.test_migrations import bare, make_old, tables_of
from tests.contract.test_privacy import company
from tests.faults import child
from tests.rows import NOW

_NUMBERS = itertools.count(1)
TABLES = METADATA.sorted_tables
Fresh = Callable[[], str]
Contents = dict[str, list[tuple[Any, ...]]]


def copies(request: pytest.FixtureRequest, kind: str, folder: Path, make: Callable[[str], None]) -> Fresh:
    """Makes the address of one more store like the one that ``make`` makes."""
    if kind == "sqlite":
        template = folder / "template.db"
        make(f"sqlite:///{template}")

        def copy() -> str:
            path = folder / f"{next(_NUMBERS)}" / "boardline.db"
            path.parent.mkdir()
            shutil.copy(template, path)
            return f"sqlite:///{path}"

        return copy
    url: str = request.getfixturevalue("postgres_url")
    server: str = request.getfixturevalue("postgres_server")
    make(url)

    def clone() -> str:
        name = f"commands_{next(_NUMBERS)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {url.split('/')[3].split('?')[0]}")
        return server.replace("/postgres?", f"/{name}?")

    return clone


def make_synced(url: str) -> None:
    with Store.open(url) as store:
        sync_company(store, source(extra=CROWD), company("full"), clock=lambda: NOW)


def everything(url: str) -> Contents:
    with Store.at(url) as store, store.reading() as reader:
        return store_contents.contents(reader.connection, TABLES)


def points(names: list[str], every: int) -> list[int]:
    """Where to kill: a few places, or all; always before and after the last commit."""
    few = range(1, len(names) + 1, max(1, len(names) // every if every else 1))
    last = max((n for n, name in enumerate(names, 1) if name == "before COMMIT"), default=len(names))
    return sorted({*few, last, min(last + 1, len(names)), len(names)})


@pytest.fixture(params=[pytest.param(3, id="some"), pytest.param(0, id="all", marks=pytest.mark.slow)])
def every(request: pytest.FixtureRequest) -> int:
    return int(request.param)


KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
pytestmark = pytest.mark.timeout(3600)


def kill_everywhere(
    fresh: Fresh, folder: Path, every: int, command: str, check: Callable[[str, Path, str], None]
) -> None:
    """``check(url, place, where)`` after each kill, with the store and the folder that the command wrote into."""

    def place() -> Path:
        made = folder / f"place{next(_NUMBERS)}"
        made.mkdir()
        if command == "restore":
            shutil.copy(folder / "backup.db", made / "backup.db")
        return made

    names = folder / "names"
    assert child.run(child.command_until, fresh(), 0, str(names), command, str(place())) == 0
    boundaries = names.read_text().splitlines()
    assert len(boundaries) > 3
    for at in points(boundaries, every):
        url, where = fresh(), place()
        died = child.run(child.command_until, url, at, str(folder / "none"), command, str(where))
        assert died == -signal.SIGKILL, boundaries[at - 1]
        check(url, where, f"killed at {at}: {boundaries[at - 1]}")


@KINDS
def test_upgrade(request: pytest.FixtureRequest, tmp_path: Path, kind: str, every: int) -> None:
    before: list[Contents] = []
    old: list[Table] = []

    def make(url: str) -> None:
        before.append(make_old(url, "0002"))
        with bare(url) as connection:
            old.extend(tables_of(connection))

    fresh = copies(request, kind, tmp_path, make)

    def check(url: str, _: Path, where: str) -> None:
        with Store.at(url) as store, store.reading() as reader:
            revision = migrate.revision(reader.connection)
            assert store_contents.contents(reader.connection, old) == before[0], where
        assert revision in ("0002", migrate.HEAD)
        with Store.open(url) as store, store.reading() as reader:
            assert store_contents.contents(reader.connection, old) == before[0], where
            assert inspection.inspect_store(store).revision == migrate.HEAD

    kill_everywhere(fresh, tmp_path, every, "upgrade", check)


@KINDS
def test_backup(request: pytest.FixtureRequest, tmp_path: Path, kind: str, every: int) -> None:
    fresh = copies(request, kind, tmp_path, make_synced)
    expected = everything(fresh())

    def check(url: str, place: Path, where: str) -> None:
        file = place / "backup.db"
        if file.exists():
            assert everything(f"sqlite:///{file}") == expected, where
        with Store.at(url) as store:
            backup.backup(store, file, force=True)
        assert everything(f"sqlite:///{file}") == expected == everything(url), where
        assert {path.name for path in place.iterdir()} <= {"backup.db", "backup.db-wal", "backup.db-shm"}, (
            where
        )

    kill_everywhere(fresh, tmp_path, every, "backup", check)


@KINDS
def test_restore(request: pytest.FixtureRequest, tmp_path: Path, kind: str, every: int) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with Store.open(other) as store:
        sync_company(store, source(), company("full", name="globex"), clock=lambda: NOW)
        backup.backup(store, tmp_path / "backup.db")
    after = everything(other)
    fresh = copies(request, kind, tmp_path, make_synced)
    before = everything(fresh())

    def check(url: str, place: Path, where: str) -> None:
        assert everything(url) in (before, after), where
        with Store.at(url) as store:
            restore.restore(store, place / "backup.db", force=True)
            assert inspection.inspect_store(store).faults == []
        assert everything(url) == after, where

    kill_everywhere(fresh, tmp_path, every, "restore", check)


@KINDS
def test_export(request: pytest.FixtureRequest, tmp_path: Path, kind: str, every: int) -> None:
    fresh = copies(request, kind, tmp_path, make_synced)

    def whole(folder: Path) -> bool:
        manifest = folder / export.MANIFEST
        if not manifest.exists():
            return False
        files = {entry["file"]: entry["rows"] for entry in orjson.loads(manifest.read_bytes())["files"]}
        found = {path.name: pl.read_parquet(path).height for path in folder.glob("*.parquet")}
        assert found == files
        return True

    def check(url: str, place: Path, where: str) -> None:
        folder = place / "out"
        whole(folder)
        with Store.at(url) as store:
            export.export(store, folder, export.Wanted(), force=True)
        assert whole(folder), where
        assert [path for path in folder.iterdir() if path.name.startswith(".")] == [], where

    kill_everywhere(fresh, tmp_path, every, "export", check)


@KINDS
def test_forget(request: pytest.FixtureRequest, tmp_path: Path, kind: str, every: int) -> None:
    fresh = copies(request, kind, tmp_path, make_synced)
    before = everything(fresh())

    def check(url: str, _: Path, where: str) -> None:
        with Store.at(url) as store:
            with store.reading() as reader:
                due = erase.due(reader)
            found = everything(url)
            gone = "c1" not in {row[2] for row in found["contacts"]}
            assert gone or found == before, where
            if gone and not due:
                assert JANE not in held(store), where
        with Store.open(url) as store:  # nobody names the person again: the next sync ends it
            child.COMMANDS["forget"](store, tmp_path, lambda *_: None)
            assert JANE not in held(store), where
            with store.reading() as reader:
                assert erase.due(reader) == {}

    kill_everywhere(fresh, tmp_path, every, "forget", check)
