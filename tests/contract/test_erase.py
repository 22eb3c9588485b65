"""What was removed is gone from the database's files, byte by byte, or it is said that it is not."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from pipeline import backup, erase, forget
from pipeline.store import Store
from pipeline.sync import SyncSummary, sync_company
from scheduler.lock import exclusive
from tests.contract.test_forget import remove, source
from tests.contract.test_privacy import company
from tests.databases import new_database
from tests.rows import NOW

JANE = b"jane@acme.example"
LONG = base64.b64encode(random.Random(1).randbytes(9_000)).decode()  # does not fit a page, and hardly shrinks
NOTE = b"Jane's long story"
CROWD = [
    {"external_id": f"x{n}", "first_name": "Max", "last_name": f"No{n}", "email": f"x{n}@acme.example"}
    for n in range(300)
] + [
    {
        "external_id": "t1",
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "jane@acme.example",
        "custom": json.dumps({"note": NOTE.decode(), "long": LONG}),
    }
]


@pytest.fixture
def hasty(postgres_server: str, prepared_database: str) -> Iterator[Store]:
    """A store on PostgreSQL that waits for nobody."""
    with (
        new_database(postgres_server, prepared_database) as url,
        Store.open(with_options(url, "-c lock_timeout=200ms")) as store,
    ):
        yield store


def with_options(url: str, options: str) -> str:
    return make_url(url).update_query_dict({"options": options}).render_as_string(hide_password=False)


def address(store: Store) -> str:
    plain = store.url.set(drivername="postgresql")
    return plain.set(query={k: v for k, v in plain.query.items() if k != "options"}).render_as_string(
        hide_password=False
    )


def held(store: Store) -> bytes:
    """Every byte of every file of the database."""
    if store.engine.dialect.name == "sqlite":
        folder = Path(str(store.url.database)).parent
        return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
    with psycopg.connect(address(store), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        rows = connection.execute(
            "SELECT pg_read_binary_file(folder || '/' || name, 0, 1000000000, true) "
            "FROM (SELECT 'base/' || oid AS folder FROM pg_database WHERE datname = current_database()) f, "
            "pg_ls_dir(folder) name"
        ).fetchall()
    return b"".join(bytes(one) for (one,) in rows if one)


def sync(store: Store, mode: str = "full", **options: Any) -> SyncSummary:
    key = "one" if mode == "hashed" else None
    with exclusive(store, "acme", "sync"):
        return sync_company(store, source(extra=CROWD), company(mode, key), clock=lambda: NOW, **options)


def jane_leaves(store: Store) -> None:
    remove(store, "jane@acme.example")


def jane_is_erased(store: Store) -> None:
    with exclusive(store, "acme", "sync"):
        remove(store, "jane@acme.example")
        assert erase.erase(store) is None


def becomes_hashed(store: Store) -> None:
    assert sync(store, "hashed").error is None


def everything_is_erased(store: Store) -> None:
    with exclusive(store, "acme", "sync"), exclusive(store, "acme", "report"):
        with store.transaction() as tx:
            forget.forget_company(tx, "acme", NOW)
        assert erase.erase(store) is None


def analysed(store: Store) -> None:
    """As PostgreSQL does by itself now and then: it takes samples of every column."""
    if store.engine.dialect.name == "postgresql":
        with psycopg.connect(address(store), autocommit=True) as connection:
            connection.execute("ANALYZE")


@pytest.mark.parametrize("removal", [jane_is_erased, becomes_hashed, everything_is_erased])
def test_no_file_holds_what_was_removed(store: Store, removal: Callable[[Store], None]) -> None:
    sync(store)
    analysed(store)
    before = held(store)
    assert JANE in before
    assert NOTE in before
    with exclusive(store, "globex", "sync"):  # somebody is at work on another company
        removal(store)
    after = held(store)
    assert JANE not in after
    assert NOTE not in after


def due(store: Store) -> set[str]:
    with store.reading() as reader:
        return set(erase.due(reader))


def test_a_sync_says_and_remembers_what_it_could_not_erase(hasty: Store) -> None:
    sync(hasty)
    with looking_back(hasty):
        summary = sync(hasty, "hashed")
        assert [run.status for run in summary.runs] == ["ok"] * len(summary.runs)
        assert summary.error is not None
        assert summary.error.exit_status == 1
        assert "can still see the rows" in str(summary.error)
        assert "(a reader)" in str(summary.error)
        assert JANE in held(hasty)
    assert due(hasty)
    assert sync(hasty, "hashed").error is None
    assert not due(hasty)
    assert JANE not in held(hasty)


@contextmanager
def looking_back(store: Store) -> Iterator[psycopg.Connection]:
    """Another program in a transaction that sees the rows as they are now."""
    with psycopg.connect(address(store), application_name="a reader") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM accounts")  # which nobody wants to write anew
        yield connection
        connection.rollback()


def test_another_program_that_ends_is_waited_for(postgres_server: str, prepared_database: str) -> None:
    with new_database(postgres_server, prepared_database) as url, Store.open(url) as store:
        sync(store)
        with looking_back(store) as other:
            jane_leaves(store)
            ends = threading.Timer(0.6, other.rollback)
            ends.start()
            assert erase.erase(store) is None
            ends.join()
        assert JANE not in held(store)


def test_what_began_after_the_removal_is_in_nobodys_way(hasty: Store) -> None:
    sync(hasty)
    jane_leaves(hasty)
    with looking_back(hasty):
        assert erase.erase(hasty) is None
    assert JANE not in held(hasty)


def test_a_writer_from_before_is_waited_for_as_well(hasty: Store) -> None:
    sync(hasty)
    with psycopg.connect(address(hasty), application_name="a writer") as other:
        other.execute("CREATE TEMP TABLE mine (n int)")
        jane_leaves(hasty)
        trouble = erase.erase(hasty)
        assert trouble is not None
        assert "(a writer)" in trouble
        other.rollback()
    assert erase.erase(hasty) is None


def test_a_role_with_no_rights_but_its_own_sees_who_is_in_the_way(postgres_server: str) -> None:
    with new_database(postgres_server) as url:
        name = make_url(url).database
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("DROP ROLE IF EXISTS plain_worker")
            admin.execute("CREATE ROLE plain_worker LOGIN")
            admin.execute(f"GRANT CREATE, TEMP ON DATABASE {name} TO plain_worker".encode())
            admin.execute("GRANT ALL ON SCHEMA public TO plain_worker")
        plain = with_options(url.replace("postgres:@", "plain_worker:@"), "-c lock_timeout=200ms")
        with Store.open(plain) as store:
            sync(store)
            with psycopg.connect(url, application_name="a reader") as other:
                other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                other.execute("SELECT 1")
                jane_leaves(store)
                assert "(a reader)" in str(erase.erase(store))
            assert erase.erase(store) is None
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("CHECKPOINT")
                rows = admin.execute(
                    "SELECT pg_read_binary_file('base/' || d.oid || '/' || name, 0, 1000000000, true) "
                    "FROM pg_database d, pg_ls_dir('base/' || d.oid) name WHERE datname = current_database()"
                ).fetchall()
        assert JANE not in b"".join(bytes(one) for (one,) in rows if one)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("DROP OWNED BY plain_worker")


def test_a_role_that_owns_no_table_is_told_that_the_bytes_stay(hasty: Store) -> None:
    """The server would pass over such tables with a warning that nobody sees."""
    sync(hasty)
    url = address(hasty)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS guest_worker")
        admin.execute("CREATE ROLE guest_worker LOGIN")
        admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest_worker")
        admin.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guest_worker")
    with Store.open(url.replace("postgres:@", "guest_worker:@")) as store:
        jane_leaves(store)
        assert "its user may not write the table contacts anew" in str(erase.erase(store))
        assert due(store)
    assert JANE in held(hasty)
    assert erase.erase(hasty) is None
    assert JANE not in held(hasty)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP OWNED BY guest_worker")


def test_samples_of_columns_tell_of_no_person(hasty: Store) -> None:
    sync(hasty)
    analysed(hasty)
    with psycopg.connect(address(hasty)) as connection:
        told = connection.execute(
            "SELECT tablename, attname, most_common_vals::text || histogram_bounds::text FROM pg_stats "
            "WHERE schemaname = 'public'"
        ).fetchall()
    assert {"contacts", "accounts"} <= {str(row[0]) for row in told} | {"accounts"}
    assert ("contacts", "external_id") in {row[:2] for row in told}
    assert "@acme.example" not in repr(told)
    assert "No17" not in repr(told)


def test_a_killed_command_leaves_a_note_and_the_next_sync_erases(store: Store) -> None:
    sync(store)
    jane_leaves(store)  # and the process is gone before anything was erased
    assert {"contacts", "leads", "meetings", "findings", "quarantine"} == due(store)
    assert JANE in held(store)
    summary = sync(store)
    assert summary.error is None
    assert not due(store)
    assert JANE not in held(store)


def test_the_contact_that_a_forgotten_lead_becomes_is_erased_by_the_sync_that_brings_it(store: Store) -> None:
    late = [{"external_id": "c5", "first_name": "Jane", "last_name": "Late", "email": "late@acme.example"}]
    one = source(extra=late)
    sync_company(store, one, company("full"), clock=lambda: NOW)
    with store.transaction() as tx:
        forget.forget(tx, "acme", "fake", {"leads": ["l1"]}, (), NOW)
    assert b"late@acme.example" in held(store)
    again = sync_company(
        store, source(extra=late, lead_of="c5"), company("full"), clock=lambda: NOW, full=True
    )
    assert again.error is None
    assert b"late@acme.example" not in held(store)


def test_a_reader_of_an_sqlite_file_is_said_and_the_next_one_erases(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}?timeout=0.2") as store:
        sync(store)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM contacts").fetchone()
            jane_leaves(store)
            assert "another process is reading" in str(erase.erase(store))
            assert JANE in held(store)
        assert sync(store).error is None
        assert JANE not in held(store)


def test_a_backup_holds_nothing_that_is_still_to_be_erased(store: Store, tmp_path: Path) -> None:
    sync(store)
    jane_leaves(store)
    backup.backup(store, tmp_path / "backup.copy")
    assert due(store)
    assert JANE not in (tmp_path / "backup.copy").read_bytes()
