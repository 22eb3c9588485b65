"""Every released revision comes to this program's with every row in place, or stays whole as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, insert, inspect, text

from connectors.errors import BoardlineError, ConfigurationError
from pipeline import backup, database, export, guards, inspection, migrate, restore, views
from pipeline.store import Store
from pipeline.tables import METADATA, table
from tests.rows import NOW, frame
from tests.store_contents import COMPANIES, contents, fill

RELEASED = {
    "0001": 17,
    "0002": 28,
    "0003": 28,
    "0004": 29,
    "0005": 31,
}  # every older revision, and how many tables it has


@contextmanager
def bare(url: str) -> Iterator[Connection]:
    """A connection to a store in a transaction, with no look at its schema."""
    engine = database.connect(database.parse(url))
    try:
        with engine.connect() as connection:
            connection.execution_options(**{database.WRITE: True})
            with connection.begin():
                yield connection
    finally:
        engine.dispose()


def tables_of(connection: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(connection)
    return [each for each in found.sorted_tables if each.name != "alembic_version"]


def make_old(url: str, revision: str = "0001") -> dict[str, list[tuple[Any, ...]]]:
    """A store of an older revision with rows in every table; returns them."""
    with bare(url) as connection:
        migrate.upgrade(connection, url, revision)
        tables = tables_of(connection)
        fill(connection, tables)
        return contents(connection, tables)


@pytest.mark.parametrize("revision", RELEASED)
def test_every_row_of_every_released_revision_survives(store_url: str, revision: str) -> None:
    before = make_old(store_url, revision)
    assert len(before) == RELEASED[revision]
    assert {len(rows) for rows in before.values()} == {7 * len(COMPANIES)}
    with bare(store_url) as connection:
        old = tables_of(connection)
    with Store.at(store_url) as store:
        assert store.upgrade() == (revision, migrate.HEAD)
        assert store.upgrade() == (migrate.HEAD, migrate.HEAD)
        with store.reading() as reader:
            assert contents(reader.connection, old) == before
        assert inspection.inspect_store(store).revision == migrate.HEAD


@pytest.mark.parametrize("revision", RELEASED)
def test_an_upgraded_schema_is_a_new_one(
    request: pytest.FixtureRequest, store_url: str, revision: str
) -> None:
    make_old(store_url, revision)
    other = (
        store_url.replace("boardline.db", "new.db")
        if store_url.startswith("sqlite")
        else request.getfixturevalue("another_postgres_url")
    )
    with Store.open(store_url) as upgraded, Store.open(other) as new:
        shapes = []
        for store in (upgraded, new):
            with store.reading() as reader:
                shapes.append(shape(reader.connection))
        assert shapes[0] == shapes[1]


def shape(connection: Connection) -> dict[str, Any]:
    """Columns, keys, indexes, triggers and views, as the database has them."""
    seen = inspect(connection)
    found: dict[str, Any] = {"views": {}}
    where = f"{connection.dialect.name}_where"
    for name in sorted(seen.get_table_names()):
        found[name] = {
            "columns": [
                (str(c["name"]), str(c["type"]), c["nullable"], c.get("default"), c.get("comment"))
                for c in seen.get_columns(name)
            ],
            "key": seen.get_pk_constraint(name)["constrained_columns"],
            "foreign": [
                (f["constrained_columns"], f["referred_table"], f["options"])
                for f in seen.get_foreign_keys(name)
            ],
            "indexes": sorted(
                (str(i["name"]), i["column_names"], i["unique"], str(i.get("dialect_options", {}).get(where)))
                for i in seen.get_indexes(name)
            ),
            "unique": sorted(repr(u["column_names"]) for u in seen.get_unique_constraints(name)),
        }
    for name in seen.get_view_names():
        found["views"][name] = seen.get_view_definition(name)
    if connection.dialect.name == "sqlite":
        query = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    else:
        query = (
            "SELECT t.tgname, c.relname, pg_get_triggerdef(t.oid), pg_get_functiondef(t.tgfoid) FROM pg_trigger t "
            "JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal ORDER BY 1"
        )
    found["triggers"] = [tuple(row) for row in connection.execute(text(query))]
    assert {row[0] for row in found["triggers"]} == set(guards.names(connection.dialect.name))
    assert set(found["views"]) == set(views.VIEWS)
    assert set(METADATA.tables) < set(found)
    return found


@pytest.mark.parametrize("obstacle", ["stage_changes", "pipeline_today"])
def test_an_interrupted_upgrade_leaves_the_old_revision_whole(store_url: str, obstacle: str) -> None:
    """Something in the way, halfway through the tables or at the views: nothing of the upgrade stays."""
    before = make_old(store_url)
    with bare(store_url) as connection:
        connection.execute(text(f"CREATE TABLE {obstacle} (mine integer)"))
        whole = columns_of(connection)
    with Store.at(store_url) as store, pytest.raises(BoardlineError, match=obstacle):
        store.upgrade()
    with bare(store_url) as connection:
        assert migrate.revision(connection) == "0001"
        assert columns_of(connection) == whole
        old = [each for each in tables_of(connection) if each.name in before]
        assert contents(connection, old) == before
        connection.execute(text(f"DROP TABLE {obstacle}"))
    with Store.at(store_url) as store:
        assert store.upgrade() == ("0001", migrate.HEAD)


def columns_of(connection: Connection) -> dict[str, list[str]]:
    seen = inspect(connection)
    return {name: [str(c["name"]) for c in seen.get_columns(name)] for name in seen.get_table_names()}


def test_a_killed_upgrade_leaves_the_old_revision_whole(store_url: str) -> None:
    """The connection is gone before the commit, as when the process is killed."""
    before = make_old(store_url)
    engine = database.connect(database.parse(store_url))
    connection = engine.connect()
    connection.execution_options(**{database.WRITE: True})
    connection.begin()
    migrate.upgrade(connection, store_url)
    raw: Any = connection.connection.driver_connection
    raw.close()
    connection.invalidate()
    engine.dispose()
    with bare(store_url) as again:
        assert migrate.revision(again) == "0001"
        assert contents(again, tables_of(again)) == before
    Store.open(store_url).close()


@pytest.mark.parametrize("revision", RELEASED)
def test_an_older_store_is_backed_up_as_it_is_and_restored_upgraded(
    request: pytest.FixtureRequest, store_url: str, revision: str, tmp_path: Path
) -> None:
    before = make_old(store_url, revision)
    file = tmp_path / "old.db"
    with Store.at(store_url) as store:
        assert backup.backup(store, file).revision == revision
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)
    kept = file.read_bytes()
    for url in (f"sqlite:///{tmp_path / 'restored.db'}", request.getfixturevalue("another_postgres_url")):
        with Store.open(url) as store:
            assert restore.restore(store, file).revision == revision
            with store.reading() as reader, bare(store_url) as old:
                assert contents(reader.connection, tables_of(old)) == before
    assert file.read_bytes() == kept


def test_a_newer_store_is_refused_by_every_db_command(store: Store, tmp_path: Path) -> None:
    with store.transaction() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    words = r"newer Boardline wrote it .*9999.*upgrade Boardline"
    for work in (
        store.upgrade,
        lambda: inspection.inspect_store(store),
        lambda: backup.backup(store, tmp_path / "backup.db"),
        lambda: export.export(store, tmp_path / "out", export.Wanted()),
    ):
        with pytest.raises(ConfigurationError, match=words):
            work()
    assert not (tmp_path / "backup.db").exists()


def test_an_older_store_is_not_exported(store_url: str, tmp_path: Path) -> None:
    make_old(store_url)
    with Store.at(store_url) as store, pytest.raises(ConfigurationError, match="boardline db upgrade"):
        export.export(store, tmp_path / "out", export.Wanted())


def test_views_of_a_persons_own_on_ours_are_named(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        with store.transaction() as tx:
            tx.connection.execute(text("CREATE VIEW mine AS SELECT name FROM pipeline_today"))
            tx.connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        refused = pytest.raises(
            ConfigurationError, match="a view of yours stands on one of Boardline's; drop it"
        )
        with refused:
            store.upgrade()


@pytest.mark.parametrize("name", guards.PUBLISHED)
def test_published_numbers_cannot_be_changed_in_place(store: Store, name: str) -> None:
    with store.transaction() as tx:
        fill(tx.connection, [table(each) for each in ("snapshots", "snapshot_values", "snapshot_evidence")])
    frozen = pytest.raises(BoardlineError, match="published numbers are frozen: add a new snapshot instead")
    with frozen, store.transaction() as tx:
        tx.connection.execute(text(f"UPDATE {name} SET company = 'other'"))
    with store.transaction() as tx:
        # As when a company is forgotten: numbers and evidence go with their snapshot.
        done = tx.connection.execute(text("DELETE FROM snapshots WHERE company = 'acme'"))
        assert done.rowcount == 7
        left = tx.connection.execute(text(f"SELECT COUNT(*) FROM {name} WHERE company = 'acme'"))
        assert left.scalar_one() == 0


REPLACED = {
    "snapshots": "INSERT OR REPLACE INTO snapshots SELECT company, month, digest, known_at, taken_at, 'XXX', playbook, "
    "definitions, program FROM snapshots",
    "snapshot_values": "INSERT OR REPLACE INTO snapshot_values (company, month, digest, kpi, cut, segment, period, "
    "value, unit, status, definition) SELECT company, month, digest, kpi, cut, segment, period, '1', unit, status, "
    "definition FROM snapshot_values",
    "snapshot_evidence": "REPLACE INTO snapshot_evidence (company, month, digest, kpi, line, object, external_id) "
    "SELECT company, month, digest, kpi, line, object, 'other' FROM snapshot_evidence",
    "snapshots by number": "INSERT OR REPLACE INTO snapshots (rowid, company, month, digest, known_at, taken_at, "
    "currency, playbook, definitions, program) SELECT rowid, company, month, 'mine', known_at, taken_at, currency, "
    "playbook, definitions, program FROM snapshots LIMIT 1",
    "snapshots with another's key": "UPDATE OR REPLACE snapshots SET digest = (SELECT MAX(digest) FROM snapshots)",
}


@pytest.mark.parametrize("way", REPLACED)
def test_published_numbers_cannot_be_replaced(tmp_path: Path, way: str) -> None:
    """SQLite's OR REPLACE removes the row that is in the way and asks no guard of deletions."""
    tables = [table(each) for each in guards.PUBLISHED]
    with Store.open(f"sqlite:///{tmp_path / 'boardline.db'}") as store:
        with store.transaction() as tx:
            fill(tx.connection, tables)
            before = contents(tx.connection, tables)
        frozen = pytest.raises(
            BoardlineError, match="published numbers are frozen: add a new snapshot instead"
        )
        with frozen, store.transaction() as tx:
            tx.connection.execute(text(REPLACED[way]))
        with store.reading() as reader:
            assert contents(reader.connection, tables) == before


LOGGED = {
    "account_changes": ("UPDATE account_changes SET new_value = 'other'", True),
    "stage_changes": ("UPDATE stage_changes SET changed_at = recorded_at", True),
    "what we noticed": ("UPDATE deal_changes SET new_value = 'other' WHERE origin = 'comparison'", True),
    "another deal's": ("UPDATE deal_changes SET deal_id = 'other' WHERE origin = 'crm_history'", True),
    "another day's": ("UPDATE deal_changes SET seq = 7 WHERE origin = 'crm_history'", True),
    "the crm's own": ("UPDATE deal_changes SET old_value = 'known' WHERE origin = 'crm_history'", False),
    "what the crm tells now": (
        "UPDATE deal_changes SET new_value = 'other', origin = 'crm_history' WHERE origin = 'comparison'",
        False,
    ),
}


@pytest.mark.parametrize("what", LOGGED)
def test_what_happened_is_only_added_to(store: Store, what: str) -> None:
    statement, refused = LOGGED[what]
    seen = {"field": "stage", "changed_at": NOW, "seq": 0, "old_value": "a", "new_value": "b"}
    whose = {"account_changes": {"account_id": "a"}, "stage_changes": {"pipeline": "p", "stage": "s"}}
    with store.transaction() as tx:
        for name, key in whose.items():
            row = {
                "company": "acme",
                "crm": "fake",
                **key,
                **seen,
                "origin": "comparison",
                "recorded_at": NOW,
            }
            tx.connection.execute(insert(table(name)), [row])
        deals = [
            {
                "company": "acme",
                "crm": "fake",
                "deal_id": origin,
                **seen,
                "origin": origin,
                "recorded_at": NOW,
            }
            for origin in ("comparison", "crm_history")
        ]
        tx.connection.execute(insert(table("deal_changes")), deals)

    def alter() -> int:
        with store.transaction() as tx:
            return int(tx.connection.execute(text(statement)).rowcount)

    if refused:
        with pytest.raises(BoardlineError, match="what happened is only ever added to"):
            alter()
    else:
        assert alter() == 1
    with store.transaction() as tx:  # as when a company is forgotten
        assert tx.connection.execute(text("DELETE FROM deal_changes")).rowcount == 2


def test_a_view_of_a_persons_own_on_people_is_named_by_the_upgrade(postgres_url: str) -> None:
    make_old(postgres_url, "0002")
    with bare(postgres_url) as connection:
        connection.execute(text("CREATE VIEW mailing AS SELECT email FROM contacts"))
        connection.execute(text("CREATE VIEW harmless AS SELECT external_id FROM contacts"))
    with Store.at(postgres_url) as store:
        with pytest.raises(
            ConfigurationError, match=r"views of yours stand on contacts \(mailing\); drop them"
        ):
            store.upgrade()
        with bare(postgres_url) as connection:
            assert migrate.revision(connection) == "0002"
            connection.execute(text("DROP VIEW mailing"))
        assert store.upgrade() == ("0002", migrate.HEAD)


def test_numbers_do_not_stand_without_their_snapshot(store: Store) -> None:
    evidence = {"company": "acme", "month": "2026-10", "digest": "none", "kpi": "arr", "line": 1}
    orphan = insert(table("snapshot_evidence")).values(**evidence, object="deals", external_id="a")

    def add() -> None:
        with store.transaction() as tx:
            tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "a"}]), NOW)
            tx.connection.execute(orphan)

    with pytest.raises(BoardlineError, match=r"(?i)foreign key"):
        add()
    assert store.frame("acme", "deals").is_empty()
