"""The store on SQLite and on PostgreSQL: the same rows, the same counts, the same refusals."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import text

from connectors.errors import BoardlineError, ConfigurationError, CredentialError, UnreachableError
from connectors.schema import KEYS, TABLES
from connectors.source import Capabilities, FieldState
from pipeline import database, migrate
from pipeline.store import Store
from pipeline.tables import METADATA, stored_schema, table
from tests.rows import NOW, frame

LATER = NOW + timedelta(hours=1)
AWKWARD = [
    "",
    " ",
    "NULL",
    "\\N",
    '"',
    "a,b",
    "line\nbreak",
    "tab\t",
    "\\.",
    "é€😀",
    "'; DROP TABLE deals; --",
    "%s ?",
]


def write(store: Store, name: str, rows: pl.DataFrame, now: datetime = NOW, company: str = "acme") -> int:
    with store.transaction() as tx:
        return tx.upsert(name, company, "fake", rows, now)


def test_tables_mirror_the_canonical_schema() -> None:
    for name, schema in TABLES.items():
        columns = [column.name for column in table(name).columns]
        assert columns == ["company", "crm", *stored_schema(name), "recorded_at"]
        assert [column.name for column in table(name).primary_key] == ["company", "crm", *KEYS[name]]
        assert len(stored_schema(name)) == len(schema)


def test_migrated_schema_is_that_of_the_models(store: Store) -> None:
    with store.reading() as reader:
        context = MigrationContext.configure(reader.connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert migrate.revision(reader.connection) == migrate.HEAD


def test_head_is_the_newest_script() -> None:
    assert ScriptDirectory(str(migrate.FOLDER)).get_current_head() == migrate.HEAD


def test_awkward_texts_survive(store: Store) -> None:
    rows = frame("deals", [{"external_id": f"d{n:02}", "name": words} for n, words in enumerate(AWKWARD)])
    assert write(store, "deals", rows) == len(AWKWARD)
    assert_frame_equal(store.frame("acme", "deals"), rows)


INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    pl.String: TEXTS,
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.Float64: st.floats(allow_nan=False, allow_infinity=False),
    pl.Boolean: st.booleans(),
    pl.Date: st.dates(),
    pl.Datetime("us", "UTC"): INSTANTS,
    pl.Decimal(38, 12): st.integers(-(10**37), 10**37).map(lambda n: Decimal(n).scaleb(-12)),
}


@st.composite
def any_rows(draw: st.DrawFn, name: str) -> pl.DataFrame:
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    column: VALUES[dtype]
                    if column in KEYS[name] or column == "custom"
                    else st.none() | VALUES[dtype]
                    for column, dtype in TABLES[name].items()
                }
            ),
            max_size=4,
            unique_by=lambda row: tuple(row[key] for key in KEYS[name]),
        )
    )
    return pl.DataFrame(rows, schema=TABLES[name])


COMPANIES = itertools.count(1)


@pytest.mark.parametrize("name", list(TABLES))
def test_every_value_survives(store: Store, name: str) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(any_rows(name))
    def check(rows: pl.DataFrame) -> None:
        company = f"company {next(COMPANIES)}"  # its own rows: companies do not mix
        assert write(store, name, rows, company=company) == rows.height
        assert_frame_equal(store.frame(company, name), rows.sort(KEYS[name]))
        assert write(store, name, rows, LATER, company=company) == 0

    check()


def test_upsert_counts_what_truly_changed(store: Store) -> None:
    first = frame("deals", [{"external_id": "a", "amount": 1}, {"external_id": "b", "amount": None}])
    second = frame(
        "deals", [{"external_id": "a", "amount": 1}, {"external_id": "b", "amount": 2}, {"external_id": "c"}]
    )
    assert write(store, "deals", first) == 2
    assert write(store, "deals", first, LATER) == 0
    assert write(store, "deals", second, LATER) == 2
    with store.reading() as reader:
        rows = reader.connection.execute(text("SELECT external_id, recorded_at FROM deals"))
        stamps = {str(row[0]): row[1] for row in rows}
    assert stamps["a"] != stamps["b"] == stamps["c"]


def test_an_older_version_never_replaces_a_newer_one(store: Store) -> None:
    old = frame("deals", [{"external_id": "a", "modified_at": "2026-01-01", "amount": 1}])
    new = frame("deals", [{"external_id": "a", "modified_at": "2026-01-02", "amount": 2}])
    write(store, "deals", new)
    assert write(store, "deals", old) == 0
    assert_frame_equal(store.frame("acme", "deals"), new)


def test_a_later_page_corrects_old_values_but_forgets_none(store: Store) -> None:
    key = {"deal_id": "d", "field": "stage", "changed_at": "2026-01-01", "seq": 0, "origin": "crm_history"}
    write(store, "deal_changes", frame("deal_changes", [{**key, "old_value": "x", "new_value": "y"}]))
    assert (
        write(store, "deal_changes", frame("deal_changes", [{**key, "old_value": None, "new_value": "y"}]))
        == 0
    )
    assert (
        write(store, "deal_changes", frame("deal_changes", [{**key, "old_value": "w", "new_value": "y"}]))
        == 1
    )
    assert store.frame("acme", "deal_changes")["old_value"].to_list() == ["w"]


def test_companies_and_crms_are_kept_apart(store: Store) -> None:
    rows = frame("accounts", [{"external_id": "1", "name": "one", "source": "web"}])
    write(store, "accounts", rows)
    write(store, "accounts", rows.with_columns(name=pl.lit("other")), company="globex")
    with store.transaction() as tx:
        tx.upsert("accounts", "acme", "another", rows.with_columns(name=pl.lit("elsewhere")), NOW)
        tx.save_source("acme", "fake", Capabilities("EUR", {}, {}, frozenset()), "f", NOW)
    assert store.frame("acme", "accounts")["name"].to_list() == ["one"]
    assert store.frame("globex", "accounts")["name"].to_list() == ["other"]
    assert store.frame("acme", "accounts", "another")["name"].to_list() == ["elsewhere"]
    with store.transaction() as tx:
        tx.save_source("acme", "another", Capabilities("EUR", {}, {}, frozenset()), "f", LATER)
    assert store.frame("acme", "accounts")["name"].to_list() == ["elsewhere"]


def test_source_info_comes_back_whole(store: Store) -> None:
    fields = {"deals": {"amount": FieldState("hidden", "Amount", "grant it"), "arr": FieldState("unmapped")}}
    shown = Capabilities("USD", fields, {"deals": "https://x/{id}"}, frozenset({"stage"}), notes=("a", "b"))
    assert store.source_info("acme") is None
    with store.transaction() as tx:
        tx.save_source("acme", "fake", shown, "print", NOW)
    info = store.source_info("acme")
    assert info is not None
    assert (info.home_currency, info.fields, info.history, info.notes) == (
        "USD",
        fields,
        frozenset({"stage"}),
        ("a", "b"),
    )
    assert (info.refreshed_at, info.fingerprint) == (NOW, "print")
    assert info.link("deals", "7") == "https://x/7"
    assert not info.measurable("deals", "amount")
    assert info.measurable("deals", "stage")


def test_a_transaction_that_raises_keeps_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as tx:
            tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "a"}]), NOW)
            tx.save_cursor("acme", "fake", "deals", {"at": 1}, complete=True, now=NOW)
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        fail()
    assert store.frame("acme", "deals").is_empty()
    assert store.cursors("acme") == {}


def test_readers_keep_one_state_while_a_writer_commits(store: Store) -> None:
    write(store, "deals", frame("deals", [{"external_id": "a"}]))
    with store.reading() as reader:
        before = reader.frame("acme", "deals")
        write(store, "deals", frame("deals", [{"external_id": "b"}]))
        assert_frame_equal(reader.frame("acme", "deals"), before)
    assert store.frame("acme", "deals").height == 2


def test_two_writers_lose_nothing(store: Store) -> None:
    """Each writes the even or odd versions of the same deals in small transactions; the newest stands everywhere."""
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for version in range(first, 20, 2):
                moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=version)
                rows = [{"external_id": f"d{n}", "modified_at": moment, "amount": version} for n in range(50)]
                write(store, "deals", frame("deals", [*rows, {"external_id": f"own {version}"}]))
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    writers = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    deals = store.frame("acme", "deals")
    assert deals.filter(pl.col("external_id").str.starts_with("own")).height == 20
    assert deals["amount"].drop_nulls().unique().to_list() == [19]


def test_two_programs_starting_together_upgrade_once(store_url: str) -> None:
    results: list[object] = []

    def work() -> None:
        try:
            Store.open(store_url).close()
            results.append(None)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            results.append(error)

    starters = [threading.Thread(target=work) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert results == [None] * 4


def test_runs_and_first_and_last_sync(store: Store) -> None:
    assert (store.first_sync("acme"), store.last_sync("acme")) == (None, None)
    with store.transaction() as tx:
        good, killed = (tx.start_run("acme", "fake", name, NOW) for name in ("deals", "accounts"))
        tx.finish_run(good, "ok", LATER, rows=3, changed=2, deleted=1, quarantined=0, requests=4, seconds=1.5)
    with store.transaction() as tx:
        tx.close_interrupted_runs("acme", LATER)
    newest, oldest = store.runs("acme")
    assert (newest.id, newest.status, newest.source) == (killed, "stopped", "fake")
    assert (oldest.rows, oldest.changed, oldest.seconds, oldest.finished_at) == (3, 2, 1.5, LATER)
    assert (store.first_sync("acme"), store.last_sync("acme")) == (LATER, LATER)
    assert store.runs("globex") == []
    assert len(store.runs(limit=1)) == 1


def test_a_delivery_is_begun_once_and_finished(store: Store) -> None:
    first = store.begin_delivery("acme", "2026-10", "board", 1, "key-1", "hash", NOW)
    assert (first.status, first.created_at) == ("pending", NOW)
    store.finish_delivery("key-1", "posted", LATER, location="/reports/a.html")
    again = store.begin_delivery("acme", "2026-10", "board", 1, "key-1", "other", LATER)
    assert (again.status, again.location, again.posted_at, again.content_hash) == (
        "posted",
        "/reports/a.html",
        LATER,
        "hash",
    )
    with pytest.raises(ConfigurationError, match="another key"):
        store.begin_delivery("acme", "2026-10", "board", 1, "key-2", "hash", NOW)
    assert [one.key for one in store.deliveries("acme", "2026-10")] == ["key-1"]
    assert store.deliveries("globex") == []
    store.finish_delivery("key-1", "posted", LATER, location="/b", content_hash="new")
    assert store.deliveries("acme")[0].content_hash == "new"
    with pytest.raises(ConfigurationError, match="never begun"):
        store.finish_delivery("key-9", "posted", NOW)


# -- refusals


def test_a_newer_store_is_refused(store_url: str) -> None:
    with Store.open(store_url) as opened, opened.transaction() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for upgrade in (True, False):
        with pytest.raises(ConfigurationError, match=r"newer Boardline wrote it .*9999.*upgrade Boardline"):
            Store.open(store_url, upgrade=upgrade)


def test_a_foreign_database_is_left_alone(store_url: str) -> None:
    engine = database.connect(database.parse(store_url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE deals (id integer)"))
    with pytest.raises(ConfigurationError, match="tables of something else"):
        Store.open(store_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM deals")).scalar() == 0
    engine.dispose()


def test_an_old_schema_is_only_upgraded_when_asked(store_url: str) -> None:
    with pytest.raises(ConfigurationError, match="sync --once"):
        Store.open(store_url, upgrade=False)
    Store.open(store_url).close()
    Store.open(store_url, upgrade=False).close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://h/x", "there is no store on 'mysql'"),
        ("not a url", "not a database URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///{tmp}/missing/b.db", "folder .*missing does not exist"),
        ("sqlite:///{tmp}", "this is a folder"),
        ("sqlite:///{tmp}/text.db", "text.db: this file is not an SQLite database"),
    ],
)
def test_unusable_stores_say_why(tmp_path: Path, url: str, words: str) -> None:
    (tmp_path / "text.db").write_text("this is a letter to my aunt, not a database. " * 100)
    with pytest.raises(ConfigurationError, match=words):
        Store.open(url.format(tmp=tmp_path))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as opened:
        write(
            opened, "deals", frame("deals", [{"external_id": f"{n}", "name": "x" * 200} for n in range(2000)])
        )
    for leftover in tmp_path.glob("boardline.db-*"):
        leftover.unlink()
    content = bytearray(path.read_bytes())
    content[4096 * 30 :] = b"\xff" * (len(content) - 4096 * 30)
    path.write_bytes(content)
    with pytest.raises(BoardlineError, match=r"boardline\.db: the database is damaged") as raised:
        Store.open(f"sqlite:///{path}").frame("acme", "deals")
    assert raised.value.exit_status == 1


def test_a_locked_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as opened:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(database.StoreError, match="another process kept it locked"):
            write(opened, "deals", frame("deals", [{"external_id": "a"}]))
        other.execute("ROLLBACK")
        other.close()
        assert write(opened, "deals", frame("deals", [{"external_id": "a"}])) == 1


def test_a_full_disk_keeps_nothing_and_recovers(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'boardline.db'}") as opened:
        rows = frame("deals", [{"external_id": f"{n}", "name": "x" * 500} for n in range(5000)])
        with opened.reading() as reader:
            pages = reader.connection.execute(text("PRAGMA page_count")).scalar_one()

        def fill() -> None:
            with opened.transaction() as tx:
                tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 10}")
                tx.save_cursor("acme", "fake", "deals", {"at": 1}, complete=True, now=NOW)
                tx.upsert("deals", "acme", "fake", rows, NOW)

        with pytest.raises(database.StoreError, match="disk is full; nothing of this step was kept"):
            fill()
        assert opened.cursors("acme") == {}
        with opened.transaction() as tx:
            tx.connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        assert write(opened, "deals", rows) == 5000


def test_a_silent_server_is_named_without_the_password() -> None:
    with pytest.raises(UnreachableError) as raised:
        Store.open("postgresql://user:hunter2@127.0.0.1:1/board")
    assert "store board on 127.0.0.1:1" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_unknown_user_and_database_are_named(postgres_url: str) -> None:
    with pytest.raises(CredentialError, match="does not know this user"):
        Store.open(postgres_url.replace("postgres:@", "nobody:@"))
    with pytest.raises(ConfigurationError, match="there is no such database"):
        Store.open(postgres_url.replace("/boardline_", "/missing_"))


def test_a_wrong_password_is_refused_and_not_shown(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guarded")
        connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        (rules_file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(rules_file)
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
    with pytest.raises(CredentialError, match="user name or password is wrong") as raised:
        Store.open(postgres_url.replace("postgres:@", "guarded:hunter2@"))
    assert "hunter2" not in str(raised.value)
    assert raised.value.exit_status == 3
    with pytest.raises(CredentialError, match="lacks a permission"):  # it may log in, and own nothing
        Store.open(postgres_url.replace("postgres:@", "guarded:right@"))


def test_a_lost_connection_keeps_nothing_and_the_next_try_works(postgres_url: str) -> None:
    with Store.open(postgres_url) as opened:

        def lose() -> None:
            with opened.transaction() as tx:
                tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "a"}]), NOW)
                mine = tx.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
                with Store.open(postgres_url) as other, other.transaction() as killer:
                    killer.connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
                tx.save_cursor("acme", "fake", "deals", {"at": 1}, complete=True, now=NOW)

        with pytest.raises(UnreachableError, match="nothing of this step was kept"):
            lose()
        assert opened.frame("acme", "deals").is_empty()
        assert write(opened, "deals", frame("deals", [{"external_id": "a"}])) == 1


def test_rates_are_exact(store: Store) -> None:
    rate = Decimal("1.234567890123")
    rows = frame("exchange_rates", [{"currency": "USD", "start_date": date(2026, 1, 1), "rate": rate}])
    write(store, "exchange_rates", rows)
    assert store.frame("acme", "exchange_rates")["rate"].to_list() == [rate]
