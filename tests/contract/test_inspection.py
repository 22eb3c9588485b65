"""``db check`` finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url

from connectors.errors import ConfigurationError
from connectors.source import Capabilities
from pipeline import guards, migrate, views
from pipeline.inspection import Fault, Inspection, inspect_store
from pipeline.store import Store
from pipeline.tables import table
from pipeline.transaction import Transaction
from tests.contract.test_migrations import make_old
from tests.rows import NOW, frame


def faults(store: Store) -> list[Fault]:
    return inspect_store(store).faults


def run(store: Store, *statements: str) -> None:
    with store.transaction() as tx:
        for statement in statements:
            tx.connection.execute(text(statement))


def synced(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_source("acme", "fake", Capabilities("USD", {}, {}, frozenset()), "f", NOW)
        tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "a", "custom": "{}"}]), NOW)
        tx.save_cursor("acme", "fake", "deals", {"at": 1}, complete=True, now=NOW)
        tx.start_run("acme", "fake", "deals", NOW)


def keep_numbers(tx: Transaction, month: str) -> None:
    """A snapshot without values."""
    values = {
        "known_at": NOW,
        "taken_at": NOW,
        "currency": "USD",
        "playbook": "p",
        "definitions": "{}",
        "program": "0",
    }
    tx.connection.execute(
        insert(table("snapshots")).values(company="acme", month=month, digest="d", **values)
    )


def test_a_whole_store_has_no_fault(store: Store) -> None:
    synced(store)
    found = inspect_store(store)
    assert found.faults == []
    assert found.rows["deals"] == {"acme": 1}
    assert found.rows["accounts"] == {}
    assert (found.revision, found.expected) == (migrate.HEAD, migrate.HEAD)
    assert found.size > 0
    assert found.notes == ["acme: 1 runs are under way, or were killed"]
    assert found.database.split()[0] in ("SQLite", "PostgreSQL")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DROP VIEW pipeline_today", "the view pipeline_today is missing"),
        ("DROP TABLE quotas", "the table quotas is missing"),
        ("DROP INDEX runs_by_company", "index runs_by_company of runs is missing"),
        ("ALTER TABLE owners DROP COLUMN manager_id", "the column owners.manager_id is missing"),
        ("ALTER TABLE owners ADD COLUMN nickname TEXT", "the column owners.nickname is none of Boardline's"),
    ],
)
def test_what_is_missing_from_the_schema_is_named(store: Store, statement: str, what: str) -> None:
    run(store, statement)
    (fault,) = faults(store)
    assert fault.what == what
    assert "boardline db" in fault.remedy


def guard_of(store: Store, name: str) -> str:
    return f"{name} ON {guards.names('postgresql')[name]}" if on_postgres(store) else name


def on_postgres(store: Store) -> bool:
    return store.engine.dialect.name == "postgresql"


@pytest.mark.parametrize("name", [*guards.names("postgresql"), "snapshots_not_replaced"])
def test_a_missing_guard_is_named_and_made_anew(store: Store, name: str) -> None:
    if name not in guards.names(store.engine.dialect.name):
        assert on_postgres(store)
        return
    run(store, f"DROP TRIGGER {guard_of(store, name)}")
    (fault,) = faults(store)
    assert fault.what.startswith(f"the guard {name}, ")
    assert "boardline db upgrade" in fault.remedy
    assert store.mend() == [name]
    assert faults(store) == []
    assert store.mend() == []


IDLE: dict[str, list[tuple[str, ...]]] = {
    "sqlite": [
        ("CREATE TRIGGER snapshots_frozen BEFORE UPDATE ON snapshots BEGIN SELECT 1; END",),
        ("CREATE TRIGGER snapshots_frozen AFTER INSERT ON deals BEGIN SELECT RAISE(ABORT, 'frozen'); END",),
    ],
    "postgresql": [
        (
            "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER snapshots_frozen BEFORE UPDATE ON snapshots FOR EACH ROW EXECUTE FUNCTION mine()",
        ),
        (
            "CREATE TRIGGER snapshots_frozen BEFORE UPDATE ON snapshots FOR EACH ROW WHEN (NEW.company = 'x') "
            "EXECUTE FUNCTION boardline_frozen()",
        ),
        (
            "CREATE TRIGGER snapshots_frozen BEFORE UPDATE OF currency ON snapshots "
            "FOR EACH ROW EXECUTE FUNCTION boardline_frozen()",
        ),
        (
            "CREATE TRIGGER snapshots_frozen BEFORE UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION boardline_frozen()",
        ),
        (
            "CREATE TRIGGER snapshots_frozen BEFORE UPDATE ON snapshots "
            "FOR EACH ROW EXECUTE FUNCTION boardline_frozen()",
            "ALTER TABLE snapshots DISABLE TRIGGER snapshots_frozen",
        ),
    ],
}


@pytest.mark.parametrize("number", range(5))
def test_a_guard_that_does_nothing_is_named(store: Store, number: int) -> None:
    ways = IDLE[store.engine.dialect.name]
    run(store, f"DROP TRIGGER {guard_of(store, 'snapshots_frozen')}", *ways[number % len(ways)])
    assert [fault.what.split(",")[0] for fault in faults(store)] == ["the guard snapshots_frozen"]
    if "ON deals" not in " ".join(ways[number % len(ways)]):
        assert store.mend() == ["snapshots_frozen"]
        assert faults(store) == []


def test_a_guards_function_that_was_emptied_is_named(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        run(
            store,
            "CREATE OR REPLACE FUNCTION boardline_frozen() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NEW; END'",
        )
        assert [fault.what.split(",")[0] for fault in faults(store)] == [
            f"the guard {name}_frozen" for name in guards.PUBLISHED
        ]
        assert store.mend() == [f"{name}_frozen" for name in guards.PUBLISHED]
        assert faults(store) == []


@pytest.mark.parametrize("name", views.VIEWS)
def test_a_view_that_was_redefined_is_named_and_made_anew(store: Store, name: str) -> None:
    with store.transaction() as tx:
        definition = views.definitions(store.engine.dialect.name)
        views.drop(tx.connection)
        for each, query in definition.items():
            changed = f"SELECT * FROM ({query}) q WHERE company <> 'acme'" if each == name else query
            tx.connection.execute(text(f"CREATE VIEW {each} AS {changed}".replace(":", "\\:")))
    assert [fault.what for fault in faults(store)] == [f"the view {name} asks something else than it should"]
    assert store.mend() == [name]
    assert faults(store) == []


def test_looking_at_views_leaves_nothing_behind(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        assert faults(store) == []
        with store.reading() as reader:
            found = reader.connection.execute(
                text("SELECT count(*) FROM pg_class WHERE relpersistence = 't'")
            )
            assert found.scalar_one() == 0


def test_a_role_that_may_not_compare_views_is_told(postgres_url: str) -> None:
    Store.open(postgres_url).close()
    name = make_url(postgres_url).database
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS looker")
        admin.execute("CREATE ROLE looker LOGIN")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
        admin.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO looker")
        admin.execute(f"REVOKE TEMP ON DATABASE {name} FROM PUBLIC".encode())
    with Store.at(postgres_url.replace("postgres:@", "looker:@")) as store:
        found = inspect_store(store)
    assert found.faults == []
    assert [note for note in found.notes if note.startswith("what the views ask could not be compared (")]
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP OWNED BY looker")


def test_a_wrong_type_is_named(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        run(store, "ALTER TABLE quotas ALTER COLUMN amount TYPE TEXT")
        assert [fault.what for fault in faults(store)] == [
            "the column quotas.amount is TEXT instead of BIGINT"
        ]


def test_a_persons_own_table_is_none_of_our_business(store: Store) -> None:
    run(store, "CREATE TABLE my_notes (words TEXT)")
    assert faults(store) == []


def test_rows_that_cannot_be_true_are_named(store: Store) -> None:
    synced(store)
    with store.transaction() as tx:
        tx.save_cursor("acme", "other", "deals", {"at": 1}, complete=True, now=NOW)
        tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "m", "merged_into": "a"}]), NOW)
        tx.upsert(
            "deal_changes",
            "acme",
            "fake",
            frame("deal_changes", [{"deal_id": "zz", "field": "stage", "changed_at": NOW, "seq": 0}]),
            NOW,
        )
        finding = dict.fromkeys(("rule", "other_id", "severity", "message"), "x")
        stamps = {"first_seen": NOW, "last_seen": NOW}
        tx.connection.execute(
            insert(table("findings")).values(
                company="acme", crm="fake", object="deals", external_id="zz", **finding, **stamps
            )
        )
        tx.begin_delivery("acme", "2026-10", "board", 1, "key", "hash", NOW)
        tx.connection.execute(text("UPDATE deliveries SET snapshot = 'nowhere'"))
        keep_numbers(tx, "2026-10")
    found = inspect_store(store)
    assert [fault.what for fault in found.faults] == [
        "acme: 1 deliveries name published numbers that are not there",
        "acme: 1 snapshots of published numbers hold no number",
        "acme: 1 deals were merged away and are not marked as gone",
        "1 rows of cursors belong to acme of a CRM other that was never read",
        "acme: 1 open findings are about deals that are not there",
    ]
    assert all("boardline" in fault.remedy or "restore" in fault.remedy for fault in found.faults)
    assert "acme: the history of 1 deals is kept whose record the CRM does not show" in found.notes


WRONG = {
    "UPDATE exchange_rates SET rate = -1": "acme: 1 exchange rates are no positive numbers (EUR from 2026-01-01: -1",
    "UPDATE exchange_rates SET rate = 0": "acme: 1 exchange rates are no positive numbers (EUR from 2026-01-01: 0",
    "UPDATE stages SET probability = 7": "acme: 1 probabilities of stages are not between 0 and 1",
    "UPDATE deals SET probability = -0.1": "acme: 1 probabilities of deals are not between 0 and 1",
    "UPDATE cursors SET cursor = 'next page'": "acme: cursors.cursor holds what is no JSON",
    "UPDATE cursors SET cursor = '[1]'": "acme: cursors.cursor holds what is no JSON",
    "UPDATE sources SET links = '{'": "acme: sources.links holds what is no JSON",
    "UPDATE sources SET notes = '{}'": "acme: sources.notes holds what is no JSON",
    "UPDATE deals SET custom = ''": "acme: 1 custom fields of deals are no JSON",
    "UPDATE deals SET custom = '[]'": "acme: 1 custom fields of deals are no JSON",
    "UPDATE deals SET company = 'ghost'": "1 rows of deals belong to ghost of a CRM fake that was never read",
    "UPDATE deals SET crm = 'ghost'": "1 rows of deals belong to acme of a CRM ghost that was never read",
    "UPDATE calendar_days SET company = 'ghost'": "3 rows of calendar_days belong to ghost that was never read",
    "DELETE FROM calendar_days WHERE day = '2026-06-02'": "acme: calendar_days lacks 1 days",
    "DELETE FROM calendar_days": "acme: calendar_days was computed and holds nothing",
    "UPDATE arr_movements SET amount_minor = 99 WHERE movement = 'churn'":
        "acme: 1 lines of arr_movements do not add up to their closing",
    "DELETE FROM arr_movements WHERE movement = 'closing'":
        "acme: 1 lines of arr_movements do not add up to their closing",
    "DELETE FROM arr_movements WHERE month = '2026-06' AND movement IN ('opening', 'fx', 'churn')":
        "acme: 1 lines of arr_movements do not open as the month before closed",
    "DELETE FROM arr_movements": "acme: arr_movements of 1 months do not add up to the ARR in kpi_monthly",
    "DELETE FROM kpi_monthly WHERE kpi = 'nrr' AND month = '2026-06'": "acme: kpi_monthly lacks months of nrr",
    "DELETE FROM kpi_monthly": "acme: kpi_monthly was computed and holds nothing",
    "DELETE FROM quality_monthly WHERE measure = 'cleanliness' AND month = '2026-05'":
        "acme: quality_monthly lacks months of cleanliness",
    "DELETE FROM quality_monthly": "acme: quality_monthly was computed and holds nothing",
}  # fmt: skip


def computed(store: Store) -> None:
    """Two months of the tables for BI tools, as they are when they are whole."""
    bridge = {
        "2026-05": {"new_logo": 1000, "closing": 1000},
        "2026-06": {"opening": 1000, "fx": 10, "churn": -1010},
        "2026-07": {},
    }
    moves = [
        {"company": "acme", "month": month, "customer": "c", "product": "", "movement": movement,
         "amount_minor": amount, "amount": amount / 100, "currency": "USD", "known_at": NOW}
        for month, parts in bridge.items() for movement, amount in parts.items()
    ]  # fmt: skip
    texts = dict.fromkeys(("title", "period", "unit", "status", "definition"), "x")
    kpis = [
        {"company": "acme", "month": month, "kpi": kpi, "cut": "", "segment": "", "currency": "USD", "known_at": NOW,
         "value_minor": parts.get("closing", 0) if kpi == "arr" else None, **texts}
        for month, parts in bridge.items() for kpi in ("arr", "nrr")
    ]  # fmt: skip
    quality = [
        {"company": "acme", "month": month, "measure": measure, "field": "", "known_at": NOW}
        for month in bridge for measure in ("completeness", "cleanliness")
    ]  # fmt: skip
    days = [{"company": "acme", "day": date(2026, 6, day), "ends_at": NOW} for day in (1, 2, 3)]
    with store.transaction() as tx:
        for name, rows in (
            ("arr_movements", moves), ("kpi_monthly", kpis), ("quality_monthly", quality), ("calendar_days", days)
        ):  # fmt: skip
            tx.connection.execute(insert(table(name)), rows)
        tx.mark_computed("acme", "fake", "today")


def lived_in(store: Store) -> None:
    synced(store)
    computed(store)
    with store.transaction() as tx:
        tx.connection.execute(
            insert(table("stages")).values(company="acme", crm="fake", pipeline="p", stage="s", probability=1,
                                           recorded_at=NOW)
        )  # fmt: skip
        tx.connection.execute(
            insert(table("exchange_rates")).values(company="acme", crm="fake", currency="EUR", rate=Decimal("1.1"),
                                                   start_date=date(2026, 1, 1), recorded_at=NOW)
        )  # fmt: skip


@pytest.mark.parametrize("statement", WRONG)
def test_what_cannot_be_is_named(store: Store, statement: str) -> None:
    lived_in(store)
    assert faults(store) == []
    run(store, statement)
    found = [fault.what for fault in faults(store)]
    assert [what for what in found if what.startswith(WRONG[statement])], found
    assert all("boardline" in fault.remedy or "restore" in fault.remedy for fault in faults(store))


@pytest.mark.parametrize("rate", ["abc", "", "NaN", "1,1"])
def test_a_rate_that_is_no_number_is_named(tmp_path: Path, rate: str) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'boardline.db'}") as store:
        lived_in(store)
        run(store, f"UPDATE exchange_rates SET rate = '{rate}'")
        (fault,) = faults(store)
        assert fault.what == f"acme: 1 exchange rates are no positive numbers (EUR from 2026-01-01: {rate})"


def test_sums_that_no_number_holds_are_told_and_not_a_crash(store: Store) -> None:
    lived_in(store)
    run(store, f"UPDATE arr_movements SET amount_minor = {2**63 - 1} WHERE movement IN ('opening', 'fx')")
    assert any("do not add up to their closing" in fault.what for fault in faults(store))


def test_numbers_in_no_delivery_are_noted(store: Store) -> None:
    lived_in(store)
    with store.transaction() as tx:
        keep_numbers(tx, "2026-05")
    notes = inspect_store(store).notes
    assert any(note.startswith("acme: 1 snapshots of numbers are in no delivery") for note in notes)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount", "'a lot'"),
        ("amount", "12.5"),
        ("name", "7.0"),
        ("is_won", "2"),
        ("probability", "'half'"),
        ("close_date", "'tomorrow'"),
        ("close_date", "'2026-02-30'"),
        ("created_at", "'2026-01-01'"),
    ],
)
def test_values_of_the_wrong_kind_are_named(tmp_path: Path, column: str, value: str) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'boardline.db'}") as store:
        synced(store)
        with closing(sqlite3.connect(tmp_path / "boardline.db")) as raw:
            blob = "CAST('x' AS BLOB)" if column == "name" else value
            raw.execute(f"UPDATE deals SET {column} = {blob}")
            raw.commit()
        (fault,) = faults(store)
        assert f"deals.{column} are not of its kind" in fault.what


def test_run_numbers_that_would_come_twice_are_named(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        synced(store)
        run(
            store,
            "INSERT INTO runs SELECT 900, company, crm, stream, started_at, finished_at, status, rows, "
            "changed, deleted, quarantined, requests, seconds, error, remedy FROM runs",
        )
        (fault,) = faults(store)
        assert "runs up to 900 are there" in fault.what
        run(store, fault.remedy.split(": ", 1)[1])
        assert faults(store) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as store, store.transaction() as tx:
        tx.upsert(
            "deals",
            "acme",
            "fake",
            frame("deals", [{"external_id": f"{n}", "name": "x" * 200} for n in range(2000)]),
            NOW,
        )
    content = bytearray(path.read_bytes())
    content[-4096 * 20 : -4096 * 10] = b"\xff" * 4096 * 10
    path.write_bytes(content)
    with Store.at(f"sqlite:///{path}") as store:
        (fault,) = faults(store)
    assert "the database is damaged" in fault.what
    assert "boardline db restore" in fault.remedy


def test_an_older_store_is_a_fault_and_not_upgraded(store_url: str) -> None:
    make_old(store_url)
    with Store.at(store_url) as store:
        found = inspect_store(store)
        assert isinstance(found, Inspection)
        assert [fault.remedy for fault in found.faults] == [
            "run `boardline db backup`, then `boardline db upgrade`"
        ]
        with store.reading() as reader:
            assert migrate.revision(reader.connection) == "0001"


def test_checking_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "boardline.db"
    with Store.open(f"sqlite:///{path}") as store:
        synced(store)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with Store.at(f"sqlite:///{path}") as store:
        assert faults(store) == []
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_there_must_be_a_store(store_url: str, postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        Store.at(f"sqlite:///{tmp_path / 'nothing.db'}")
    with (
        Store.at(postgres_url) as store,
        pytest.raises(ConfigurationError, match="there is no store in it yet"),
    ):
        inspect_store(store)
