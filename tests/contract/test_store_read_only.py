"""A store that cannot be written can still be read: without permission, beside a log, on a full disk.

Permissions mean nothing to root, so each reading is done in a child process as somebody else.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.errors import BoardlineError, ConfigurationError
from pipeline.store import Store

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOBODY = 65534
READ = f"""
import os, sys
sys.path[:0] = [{str(Path(__file__).parents[2])!r}]
import polars, pipeline.store, pipeline.migrate  # as root: the modules may lie where nobody else can read
from connectors.errors import BoardlineError
if os.geteuid() == 0:
    os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    with pipeline.store.Store.open(sys.argv[1], writes=len(sys.argv) > 2) as store:
        print("runs", len(store.runs("acme")))
except BoardlineError as error:
    print(type(error).__name__, error.exit_status, error)
"""


@pytest.fixture
def file() -> Iterator[Path]:
    """A store with one run, in a folder that everybody may look into, as nobody may into pytest's own."""
    with tempfile.TemporaryDirectory(prefix="boardline-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "boardline.db"
        with Store.open(f"sqlite:///{path}") as store, store.transaction() as tx:
            tx.start_run("acme", "salesforce", "deals", NOW)
        yield path
        folder.chmod(0o755)


def read(path: Path, *, writes: bool = False) -> str:
    arguments = [sys.executable, "-c", READ, f"sqlite:///{path}", *(["writes"] if writes else [])]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def locked_away(path: Path) -> None:
    for entry in path.parent.iterdir():
        entry.chmod(0o444)
    path.parent.chmod(0o555)


def test_a_read_only_file_in_a_read_only_folder_is_read(file: Path) -> None:
    locked_away(file)
    before = sorted(file.parent.iterdir())
    assert read(file) == "runs 1"
    assert sorted(file.parent.iterdir()) == before


def test_a_read_only_file_is_not_written(file: Path) -> None:
    locked_away(file)
    assert "the file is read-only; make it writable" in read(file, writes=True)


def test_a_file_in_a_folder_that_is_read_only(file: Path) -> None:
    file.chmod(0o666)
    file.parent.chmod(0o555)
    assert read(file) == "runs 1"


def test_what_another_process_has_in_its_log_is_seen(file: Path) -> None:
    with Store.open(f"sqlite:///{file}") as writer:
        with writer.transaction() as tx:
            tx.start_run("acme", "salesforce", "accounts", NOW)
        assert file.with_name("boardline.db-wal").stat().st_size
        locked_away(file)
        assert read(file) == "runs 2"
        file.parent.chmod(0o755)


def test_an_older_schema_says_what_to_do(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    locked_away(file)
    answer = read(file)
    assert answer.startswith("ConfigurationError 2")
    assert "older" in answer
    assert "make it writable and run `boardline sync --once`" in answer


def test_nothing_there_is_not_created_by_reading(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sync --once"):
        Store.open(f"sqlite:///{tmp_path / 'none.db'}", writes=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_read_and_named(file: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can make a small disk")
    try:
        path = disk / "boardline.db"
        path.write_bytes(file.read_bytes())
        with pytest.raises(OSError, match="space"):
            (disk / "ballast").write_bytes(bytes(4 << 20))
        with Store.open(f"sqlite:///{path}", writes=False) as store:
            assert len(store.runs("acme")) == 1
        for _ in range(2):
            with pytest.raises(BoardlineError, match="the disk is full") as refused:
                Store.open(f"sqlite:///{path}").begin_delivery("acme", "2026-05", "b", 1, "k", "{}", NOW)
            assert refused.value.exit_status == 1
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do this")
def test_a_folder_that_nobody_else_may_look_into(file: Path) -> None:
    file.parent.chmod(0o700)
    assert read(file) == (
        f"ConfigurationError 2 store {file}: this user may not look into its folder; "
        "change the permissions or store.url"
    )
