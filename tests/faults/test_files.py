"""An SQLite store whose file may not be written, is taken away, is swapped, or does not fit on the disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from connectors.errors import ConfigurationError
from pipeline.failures import StoreError
from pipeline.store import Store
from tests.faults import child
from tests.faults.conftest import OwnServer
from tests.faults.scripted import assert_no_half_page, contents, work
from tests.faults.test_connection import watched

NOBODY = 65534
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do this")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can reach, and write in."""
    with tempfile.TemporaryDirectory(prefix="boardline-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a sync leaves that nothing disturbs."""
    with Store.open(f"sqlite:///{tmp_path / 'undisturbed.db'}") as store:
        work(store)
        return contents(store)


def made(path: Path, mode: int = 0o666) -> str:
    """An empty store that everybody may write; returns its address."""
    Store.open(f"sqlite:///{path}").close()
    path.chmod(mode)
    return f"sqlite:///{path}"


def told_nobody(url: str, folder: Path) -> str:
    """What a user without any right of his own reads after a sync."""
    told = folder / "told"
    told.touch()
    assert child.run(child.sync_as, NOBODY, url, str(told)) == 0
    return told.read_text()


# -- permissions


@ROOT
def test_without_a_fault_another_user_syncs(open_folder: Path, expected: dict[str, Any]) -> None:
    url = made(open_folder / "b.db")
    assert told_nobody(url, open_folder) == "done"
    with Store.open(url) as store:
        assert contents(store) == expected


@ROOT
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("file", "ConfigurationError: store {}: the file is read-only; make it writable"),
        (
            "folder",
            "ConfigurationError: store {}: its folder is read-only, where SQLite keeps files beside it; ",
        ),
        ("log", "ConfigurationError: store {}: the file, or one that SQLite keeps beside it, is read-only; "),
    ],
)
def test_what_may_not_be_written_is_named(
    open_folder: Path, expected: dict[str, Any], fault: str, words: str
) -> None:
    path = open_folder / "b.db"
    url = made(path, 0o644 if fault == "file" else 0o666)
    if fault == "folder":
        open_folder.chmod(0o755)
    keeper = sqlite3.connect(path)
    if fault == "log":
        keeper.execute("SELECT count(*) FROM runs").fetchone()  # has SQLite keep its log, which is root's
        for beside in ("b.db-wal", "b.db-shm"):
            (open_folder / beside).chmod(0o644)
    told = told_nobody(url, open_folder)
    keeper.close()
    assert told.startswith(words.format(path)), told
    assert "\n" not in told
    path.chmod(0o666)
    open_folder.chmod(0o777)
    assert told_nobody(url, open_folder) == "done", "with the permission it goes on"
    with Store.open(url) as store:
        assert contents(store) == expected


# -- another file under the name


def taken_away(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def swapped(path: Path) -> None:
    taken_away(path)
    shutil.copy(path.with_name("older.db"), path)


@pytest.mark.parametrize("fault", [taken_away, swapped])
def test_a_file_that_goes_in_the_middle_of_a_sync(
    tmp_path: Path, expected: dict[str, Any], fault: Callable[[Path], None]
) -> None:
    """No page goes to a file that nobody finds again, none is left out of the one put there."""
    path = tmp_path / "b.db"
    url = made(path)
    shutil.copy(path, tmp_path / "older.db")
    with watched(url, 150, lambda: fault(path)) as (store, _):
        with pytest.raises(
            StoreError, match=r"b\.db: the file was moved, deleted or replaced while it was in use; "
        ):
            work(store)
        if fault is taken_away:
            with pytest.raises(ConfigurationError, match="no such file"):
                store.renew()
            assert not path.exists(), "no empty store was made in its place"
            path.with_name("moved.db").rename(path)
        assert [summary.status for summary in work(store)][-1] == "ok", (
            "the next sync takes the file that is there"
        )
        assert_no_half_page(store)
        assert contents(store) == expected


def test_a_file_restored_between_two_syncs(tmp_path: Path, expected: dict[str, Any]) -> None:
    """A backup put in the place of a store that a daemon has open: the next pass goes on from the backup."""
    path = tmp_path / "b.db"
    url = made(path)
    shutil.copy(path, tmp_path / "older.db")
    with Store.open(url) as store:
        work(store)
        swapped(path)
        work(store)
        assert contents(store) == expected
        with sqlite3.connect(path) as restored:
            assert restored.execute("SELECT count(*) FROM deals").fetchone()[0] > 0


# -- no space


def limited(store: Store, pages: int) -> None:
    """The file may grow to so many pages."""
    store.engine.dispose()
    event.listen(
        store.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages}")
    )


def test_a_full_disk_stops_anywhere_between_two_pages(tmp_path: Path, expected: dict[str, Any]) -> None:
    full = 0
    path = tmp_path / "b.db"
    url = made(path)
    with Store.open(url) as store, store.reading() as reader:
        size = int(reader.connection.exec_driver_sql("PRAGMA page_count").scalar_one())
    for more in range(0, 400, 4):
        with Store.open(url) as store:
            limited(store, size + more)
            problem = problem_of(store)
            assert_no_half_page(store)
            if problem is None:
                assert contents(store) == expected
                break
            full += 1
            assert problem.startswith(
                f"{store.place}: the disk is full; nothing of this step was kept, free some space"
            )
    else:
        raise AssertionError("it never fitted")
    assert full > 2


def problem_of(store: Store) -> str | None:
    """What a person reads after a sync; None: it went well."""
    try:
        work(store)
    except StoreError as error:
        return str(error)
    return None


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many MiB; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="boardline-disk-"))
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=777", "tmpfs", str(folder)],
            capture_output=True,
        )
        if done.returncode:
            folder.rmdir()
            pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, shutil.disk_usage(folder).free - left))
    return ballast


@ROOT
@pytest.mark.parametrize("left", [0, 64, 300, 500])
def test_a_real_full_disk(small_disk: Callable[[int], Path], expected: dict[str, Any], left: int) -> None:
    disk = small_disk(8)
    url = made(disk / "b.db")
    ballast = fill(disk, left * 1024)
    with (
        pytest.raises(
            StoreError, match="the disk is full; nothing of this step was kept, free some space and go on"
        ),
        Store.open(url) as store,
    ):
        work(store)
    ballast.unlink()
    with Store.open(url) as store:
        assert_no_half_page(store)
        assert [summary.status for summary in work(store)][-1] == "ok"
        assert contents(store) == expected


@ROOT
def test_the_servers_disk_is_full(
    small_disk: Callable[[int], Path], own_server: OwnServer, expected: dict[str, Any]
) -> None:
    disk = small_disk(48)
    place = disk / "space"
    place.mkdir()
    shutil.chown(place, own_server.server.system_user)
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    url = own_server.database("TABLESPACE small")
    try:
        with Store.open(url) as store:
            ballast = fill(disk, 100 * 1024)
            with pytest.raises(
                StoreError, match="the server's disk is full; nothing of this step was kept, free"
            ) as raised:
                work(store)
            assert type(raised.value) is StoreError, "it is not tried again"
            ballast.unlink()
            assert_no_half_page(store)
            assert [summary.status for summary in work(store)][-1] == "ok"
            found = contents(store)
            assert {name: len(rows) for name, rows in found.items()} == {
                name: len(rows) for name, rows in expected.items()
            }
    finally:
        with psycopg.connect(own_server.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {url.split('/')[3].split('?')[0]} WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")
