"""``boardline db`` as a process: what it prints, what it returns, and what it refuses."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import filelock
import polars as pl
import pytest

from pipeline import migrate
from pipeline.database import connect, parse
from pipeline.store import Store
from tests.e2e.process import BOARDLINE, Site, boardline, clean_environment, site
from tests.e2e.tables import differences


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A company that was synced once."""
    with site("hubspot", tmp_path_factory.mktemp("db")) as place:
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        yield place


@pytest.fixture
def config(served: Site, tmp_path: Path) -> Path:
    """A configuration with a copy of that store."""
    path = served.configure(tmp_path / "copy")
    for file in served.folder.glob("boardline.db*"):
        if not file.name.endswith(".lock"):
            shutil.copy(file, path.parent / file.name)
    return path


def test_a_store_goes_to_postgres_and_back(
    config: Path, served: Site, postgres_url: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    server = served.configure(tmp_path / "server", postgres_url)
    done = boardline("db", "backup", "--to", first, "-c", config, "--json")
    assert done.status == 0, done.err
    rows = done.json()["rows"]
    assert rows["deals"] > 0
    done = boardline("db", "restore", first, "-c", server)
    assert done.status == 0, done.err
    assert "rows restored from" in done.out
    done = boardline("db", "backup", "--to", second, "-c", server, "--json")
    assert done.json()["rows"] == rows
    assert differences(first, second) == []
    done = boardline("db", "check", "-c", server)
    assert done.status == 0, done.out
    assert "The store is whole." in done.out
    again = boardline("sync", "--once", "--json", "-c", server)
    assert again.status == 0, again.err
    assert [run for run in again.json()["runs"] if run["changed"]] == []


def test_check_says_what_is_wrong_and_what_to_do(config: Path) -> None:
    done = boardline("db", "check", "-c", config, "--json")
    assert done.status == 0, done.err
    assert done.json()["faults"] == []
    assert done.json()["rows"]["deals"]["demo"] > 0
    with closing(sqlite3.connect(config.parent / "boardline.db")) as raw:
        raw.execute("DROP VIEW pipeline_today")
        raw.commit()
    done = boardline("db", "check", "-c", config)
    assert done.status == 1
    faults = [line for line in done.out.splitlines() if line.startswith("fault: ")]
    assert len(faults) == 1
    assert "the view pipeline_today is missing; " in faults[0]
    assert "Traceback" not in done.err


def test_upgrade_says_from_where_to_where(config: Path) -> None:
    done = boardline("db", "upgrade", "-c", config)
    assert done.status == 0, done.err
    assert "nothing to do" in done.out
    database = config.parent / "boardline.db"
    database.unlink()
    engine = connect(parse(f"sqlite:///{database}"))
    with Store(engine) as store, store.transaction() as tx:
        migrate.upgrade(tx.connection, "here", "0001")
    done = boardline("db", "upgrade", "-c", config, "--json")
    assert (done.json()["from"], done.json()["to"]) == ("0001", migrate.HEAD)


def test_export_writes_files_and_says_what_it_left_out(config: Path, tmp_path: Path) -> None:
    done = boardline("db", "export", "--out", tmp_path / "out", "-c", config)
    assert done.status == 0, done.err
    assert "deals_as_of was left out" in done.err
    assert pl.read_parquet(tmp_path / "out" / "deals.parquet").height > 0
    done = boardline(
        "db",
        "export",
        "--out",
        tmp_path / "csv",
        "--only",
        "deals",
        "--format",
        "csv",
        "--json",
        "-c",
        config,
    )
    assert [entry["file"] for entry in done.json()["files"]] == ["deals.csv"]
    again = ("db", "export", "--out", tmp_path / "csv", "--only", "owners", "-c", config)
    refused = boardline(*again)
    assert refused.status == 2
    assert (
        "holds an export already (2 files); name another folder, or replace all of them with --force"
        in refused.err
    )
    assert boardline(*again, "--force").status == 0
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {"owners.parquet", "manifest.json"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "--out", "{tmp}", "--format", "xlsx"), "--format: 'xlsx' is not known"),
        (("export", "--out", "{tmp}", "--only", "songs"), "no table or view 'songs'"),
        (("export", "--out", "{tmp}", "--only", "deals_as_of", "--day", "June"), "'June' is no day"),
        (("export", "--out", "{tmp}", "--company", "nobody"), "no company 'nobody'"),
        (("backup", "--to", "{tmp}/missing/b.db"), "does not exist"),
        (("restore", "{tmp}/missing.db"), "there is no such file"),
    ],
)
def test_refusals_are_one_line(config: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = boardline("db", *(each.format(tmp=tmp_path) for each in arguments), "-c", config)
    assert done.status == 2, done.out
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_a_store_that_is_at_work_is_not_replaced(config: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.db"
    assert boardline("db", "backup", "--to", backup, "-c", config).status == 0
    refused = boardline("db", "restore", backup, "-c", config)
    assert refused.status == 2
    assert "it holds rows already" in refused.err
    (lock,) = config.parent.glob("*.sync.lock")
    with filelock.FileLock(lock):
        busy = boardline("db", "restore", backup, "--force", "-c", config)
    assert busy.status == 1
    assert "busy with its sync" in busy.err
    done = boardline("db", "restore", backup, "--force", "-c", config)
    assert done.status == 0, done.err
    assert differences(backup, config.parent / "boardline.db") == []


def limited(*arguments: str | Path) -> tuple[int, str]:
    """Status and stderr of a command whose files may not grow beyond 50 kB, as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [BOARDLINE, *map(str, arguments)],
        preexec_fn=limit,
        capture_output=True,
        env=clean_environment(),
        timeout=120,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("kind", [pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"])
def test_what_does_not_fit_is_named_and_leaves_nothing(
    request: pytest.FixtureRequest, config: Path, served: Site, tmp_path: Path, kind: str
) -> None:
    if kind == "postgresql":
        assert boardline("db", "backup", "--to", tmp_path / "whole.db", "-c", config).status == 0
        config = served.configure(tmp_path / "server", request.getfixturevalue("postgres_url"))
        assert boardline("db", "restore", tmp_path / "whole.db", "-c", config).status == 0
    place = tmp_path / "small"
    place.mkdir()
    status, err = limited("db", "backup", "--to", place / "b.db", "-c", config)
    assert (status, err.count("\n")) == (1, 1), err
    assert err.startswith(f"boardline: {place / 'b.db'}: it cannot be written ("), err
    assert "so no backup was made; check the disk and its space" in err
    for form in ("csv", "parquet"):
        status, err = limited("db", "export", "--out", place, "--format", form, "-c", config)
        assert (status, err.count("\n")) == (1, 1), err
        assert err.startswith(f"boardline: {place}: the export cannot be written ("), err
    assert list(place.iterdir()) == []


def test_upgrade_mends_views_and_guards(config: Path) -> None:
    with closing(sqlite3.connect(config.parent / "boardline.db")) as raw:
        raw.execute("DROP VIEW pipeline_today")
        raw.execute("DROP TRIGGER snapshots_frozen")
        raw.commit()
    assert boardline("db", "check", "-c", config).status == 1
    done = boardline("db", "upgrade", "-c", config)
    assert "snapshots_frozen, pipeline_today made anew" in done.out
    assert boardline("db", "check", "-c", config).status == 0


def test_a_sync_computes_anew_what_is_not_whole(config: Path) -> None:
    with closing(sqlite3.connect(config.parent / "boardline.db")) as raw:
        before = raw.execute("SELECT COUNT(*) FROM arr_movements").fetchone()
        raw.execute("DELETE FROM arr_movements WHERE movement = 'closing'")
        raw.commit()
    done = boardline("db", "check", "-c", config)
    assert done.status == 1
    assert "which computes them anew" in done.out
    assert boardline("sync", "--once", "-c", config).status == 0
    assert boardline("db", "check", "-c", config).status == 0
    with closing(sqlite3.connect(config.parent / "boardline.db")) as raw:
        assert raw.execute("SELECT COUNT(*) FROM arr_movements").fetchone() == before
