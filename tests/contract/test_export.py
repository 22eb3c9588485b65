"""Exports: every table and view, from one state, every value exact."""

from __future__ import annotations

import csv
import errno
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import psycopg
import pytest
from sqlalchemy import insert, text

from connectors.errors import ConfigurationError
from connectors.source import Capabilities
from pipeline import dictionary, slices, views
from pipeline.export import BY_DAY, MANIFEST, NAMES, Format, Wanted, export
from pipeline.failures import StoreError
from pipeline.store import Store
from pipeline.tables import METADATA, table
from tests.rows import NOW, frame
from tests.store_contents import COMPANIES, contents, fill

TABLES = METADATA.sorted_tables


@pytest.fixture
def filled(store: Store) -> Store:
    with store.transaction() as tx:
        fill(tx.connection, TABLES)
    return store


def rows_of(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(found.rows(), key=repr)


def test_parquet_holds_every_value_of_every_table(filled: Store, tmp_path: Path) -> None:
    manifest = export(filled, tmp_path / "out", Wanted())
    with filled.reading() as reader:
        expected = contents(reader.connection, TABLES)
    for name, rows in expected.items():
        found = pl.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert found.schema == slices.schema_of(table(name))
        assert rows_of(found) == rows, name
    files = {entry["name"]: entry for entry in manifest["files"]}
    assert set(files) == set(NAMES) - {BY_DAY}
    assert {entry["name"] for entry in manifest["skipped"]} == {BY_DAY}
    assert files["deals"]["rows"] == 7 * len(COMPANIES)
    assert orjson.loads((tmp_path / "out" / MANIFEST).read_bytes()) == manifest
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        MANIFEST,
        *(entry["file"] for entry in manifest["files"]),
    }


def test_csv_tells_blank_from_missing_and_keeps_every_digit(filled: Store, tmp_path: Path) -> None:
    export(filled, tmp_path, Wanted(names=("exchange_rates", "deals"), format="csv"))
    with (tmp_path / "exchange_rates.csv").open(newline="") as file:
        rates = {row["rate"] for row in csv.DictReader(file)}
    assert "99999999999999999999999999.999999999999" in rates
    content = (tmp_path / "deals.csv").read_text()
    assert "9223372036854775807" in content
    assert ',"",' in content  # blank, where missing is nothing at all
    assert "2020-02-01T00:00:00.000002Z" in content


def test_only_what_is_named_and_only_those_companies(filled: Store, tmp_path: Path) -> None:
    manifest = export(filled, tmp_path, Wanted(names=("deals",), companies=COMPANIES[1:]))
    found = pl.read_parquet(tmp_path / "deals.parquet")
    assert set(found["company"]) == set(COMPANIES[1:])
    assert [entry["name"] for entry in manifest["files"]] == ["deals"]
    assert manifest["companies"] == list(COMPANIES[1:])


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(names=("songs",)), "no table or view 'songs'; known are"),
        (Wanted(companies=("nobody",)), "no company 'nobody'; it holds"),
        (Wanted(names=(BY_DAY,)), "name the day with --day"),
        (Wanted(days=(date(2026, 6, 30),)), "--day is for deals_as_of alone"),
    ],
)
def test_what_cannot_be_had_is_said(filled: Store, tmp_path: Path, wanted: Wanted, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        export(filled, tmp_path / "out", wanted)
    assert list((tmp_path / "out").glob("*")) == []


def test_a_file_is_no_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigurationError, match="this is a file"):
        export(store, tmp_path / "out", Wanted())


@pytest.fixture
def lived(store: Store) -> Store:
    """Two deals, one of which moved its stage and amount, and the days of one month."""
    change = {"deal_id": "a", "seq": 0, "origin": "crm_history", "changed_at": "2026-06-20"}
    with store.transaction() as tx:
        tx.save_source(
            "acme", "fake", Capabilities("USD", {}, {"deals": "https://x/{id}"}, frozenset()), "f", NOW
        )
        deal = {
            "currency": "USD",
            "stage": "won",
            "is_closed": False,
            "is_won": False,
            "created_at": "2026-06-01",
        }
        tx.upsert(
            "deals",
            "acme",
            "fake",
            frame("deals", [{"external_id": "a", "amount": 12345, **deal}, {"external_id": "b", **deal}]),
            NOW,
        )
        tx.upsert(
            "deal_changes",
            "acme",
            "fake",
            frame("deal_changes", [{**change, "field": "amount", "old_value": "999", "new_value": "12345"}]),
            NOW,
        )
        days = [date(2026, 6, 1) + timedelta(days=n) for n in range(30)]
        tx.connection.execute(
            insert(table("calendar_days")),
            [
                {
                    "company": "acme",
                    "day": day,
                    "ends_at": datetime(day.year, day.month, day.day, 23, tzinfo=UTC),
                }
                for day in days
            ],
        )
    return store


def test_deals_of_one_day(lived: Store, tmp_path: Path) -> None:
    wanted = Wanted(names=(BY_DAY, "pipeline_today"), days=(date(2026, 6, 10), date(2026, 6, 30)))
    export(lived, tmp_path, wanted)
    found = pl.read_parquet(tmp_path / f"{BY_DAY}.parquet").sort("day", "deal_id")
    assert found.select("day", "deal_id", "amount_minor", "amount", "is_open").rows() == [
        (date(2026, 6, 10), "a", 999, 9.99, True),
        (date(2026, 6, 10), "b", None, None, True),
        (date(2026, 6, 30), "a", 12345, 123.45, True),
        (date(2026, 6, 30), "b", None, None, True),
    ]


@pytest.mark.parametrize("day", [date(1990, 1, 1), date(2026, 5, 31), date(2026, 7, 1), date(2040, 6, 30)])
def test_a_day_that_the_store_does_not_know_is_no_empty_day(lived: Store, tmp_path: Path, day: date) -> None:
    wanted = Wanted(names=(BY_DAY,), days=(date(2026, 6, 30), day))
    words = rf"--day {day} is outside .*\(acme: 2026-06-01 to 2026-06-30\); name one of them"
    with pytest.raises(ConfigurationError, match=words):
        export(lived, tmp_path / "out", wanted)
    assert list(tmp_path.glob("out")) == []


def test_a_calendar_of_another_length_is_told_by_its_company(lived: Store, tmp_path: Path) -> None:
    """Globex came later and was last synced earlier: it had no deals before, but after that nobody knows."""
    with lived.transaction() as tx:
        tx.save_source("globex", "fake", Capabilities("USD", {}, {}, frozenset()), "f", NOW)
        days = [date(2026, 6, day) for day in range(10, 21)]
        ends = [datetime(day.year, day.month, day.day, 23, tzinfo=UTC) for day in days]
        tx.replace("calendar_days", "globex", pl.DataFrame({"day": days, "ends_at": ends}))
    export(lived, tmp_path / "early", Wanted(names=(BY_DAY,), days=(date(2026, 6, 1),)))
    late = Wanted(names=(BY_DAY,), days=(date(2026, 6, 21),))
    with pytest.raises(ConfigurationError, match=r"\(globex: 2026-06-10 to 2026-06-20\)"):
        export(lived, tmp_path / "late", late)
    export(lived, tmp_path / "late", replace(late, companies=("acme",)))
    with pytest.raises(ConfigurationError, match="outside"):
        export(
            lived,
            tmp_path / "other",
            Wanted(names=(BY_DAY,), companies=("globex",), days=(date(2026, 6, 1),)),
        )


def test_days_are_known_after_a_sync(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="knows no days yet; run `boardline sync --once`"):
        export(store, tmp_path, Wanted(names=(BY_DAY,), days=(date(2026, 6, 30),)))


def test_an_export_is_one_state_while_others_write(lived: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            change = {"deal_id": f"w{number}", "field": "stage", "changed_at": NOW, "seq": 0}
            with lived.transaction() as tx:
                tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": f"w{number}"}]), NOW)
                tx.upsert("deal_changes", "acme", "fake", frame("deal_changes", [change]), NOW)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(4):
            export(lived, tmp_path, Wanted(names=("deal_changes", "deals")), force=True)
            changes, deals = (
                pl.read_parquet(tmp_path / f"{name}.parquet").height for name in ("deal_changes", "deals")
            )
            assert deals == changes + 1  # deal b never changed
    finally:
        stop.set()
        writer.join()


def test_every_column_has_a_meaning_and_every_view_column_its_kind(postgres_url: str) -> None:
    with Store.open(postgres_url).reading() as reader:
        for name in METADATA.tables:
            for column in METADATA.tables[name].columns:
                assert dictionary.meaning(name, column.name).text
        for name in views.VIEWS:
            query = text(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = :name"
            )
            told = {row[0]: row[1] for row in reader.connection.execute(query, {"name": name})}
            assert list(told) == dictionary.view_columns(reader.connection, name)
            assert told == {column: dictionary.view_types(name, column)[1] for column in told}


def test_meanings_stand_in_the_database(postgres_url: str) -> None:
    Store.open(postgres_url).close()
    with psycopg.connect(postgres_url) as connection:
        for what in ("pipeline_today", "deals_as_of", "deals"):
            (said,) = connection.execute("SELECT obj_description(%s::regclass)", (what,)).fetchone() or (
                None,
            )
            assert said == dictionary.about()[what]
        query = "SELECT col_description('deals'::regclass, attnum) FROM pg_attribute WHERE attname = 'term_months'"
        assert connection.execute(query).fetchone() == ("Length of the contract [calendar months]",)


def test_a_folder_that_holds_an_export_is_left_alone_unless_forced(filled: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    mine = folder / "notes.txt"
    mine.write_text("mine")
    export(filled, folder, Wanted())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    smaller = Wanted(names=("deals", "owners"), format="csv")
    with pytest.raises(ConfigurationError, match=r"holds an export already .*another folder.*--force"):
        export(filled, folder, smaller)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    export(filled, folder, smaller, force=True)
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "deals.csv", "owners.csv", MANIFEST}
    assert mine.read_text() == "mine"


def test_what_an_older_program_exported_goes_with_the_rest(filled: Store, tmp_path: Path) -> None:
    """Its manifest names tables that this program does not know; nothing outside the folder is touched."""
    outside = tmp_path / "outside.parquet"
    outside.write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "former_table.parquet").write_text("old")
    files = [{"file": "former_table.parquet"}, {"file": "../outside.parquet"}]
    (folder / MANIFEST).write_bytes(orjson.dumps({"files": files}))
    export(filled, folder, Wanted(names=("deals",)), force=True)
    assert {path.name for path in folder.iterdir()} == {"deals.parquet", MANIFEST}
    assert outside.read_text() == "mine"


def test_a_manifest_of_something_else_is_not_overwritten(filled: Store, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"name": "my web page"}')
    with pytest.raises(ConfigurationError, match="--force"):
        export(filled, tmp_path, Wanted(names=("deals",)))
    assert (tmp_path / MANIFEST).read_text() == '{"name": "my web page"}'


def test_an_export_that_was_not_finished_is_named(filled: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "deals.parquet").write_text("half")
    with pytest.raises(ConfigurationError, match=r"that was not finished already \(1 files\)"):
        export(filled, folder, Wanted(names=("owners",)))
    assert [path.name for path in folder.iterdir()] == ["deals.parquet"]


def test_an_export_that_breaks_off_does_not_look_whole(filled: Store, tmp_path: Path) -> None:
    """A folder stands where a file should go: the earlier export is gone by then, and nobody takes what is left for
    one."""
    folder = tmp_path / "out"
    export(filled, folder, Wanted(names=("deals", "owners")))
    (folder / "runs.parquet").mkdir()
    with pytest.raises(StoreError, match="the export cannot be written"):
        export(filled, folder, Wanted(names=("deals", "owners", "runs")), force=True)
    assert not (folder / MANIFEST).exists()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    (folder / "runs.parquet").rmdir()
    export(filled, folder, Wanted(names=("runs",)), force=True)
    assert {path.name for path in folder.iterdir()} == {"runs.parquet", MANIFEST}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_failed_export_leaves_no_folder_that_it_made(filled: Store, tmp_path: Path, form: Format) -> None:
    mine = tmp_path / "exports"
    mine.mkdir()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for folder in (mine / "new" / "deep", mine / "new", mine):
        with pytest.raises(StoreError, match=r"the export cannot be written .*No space left"):
            export(filled, folder, Wanted(names=("deals",), format=form), on_progress=full)
        assert list(mine.iterdir()) == []


def test_csv_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    """Read back by polars: money to the minor unit, days, instants, and texts with everything that CSV minds."""
    texts = [
        'a "quoted", and', "two\nlines", "two\r\nlines", "=1+1", "+49 30 1", "-1", "@home", "", None, " spaced ",
        "\ttab", "NULL", "é😀", "semi;colon", "'", "\\", "\x01\x1f\x7f",
    ]  # fmt: skip
    rows = [
        {"external_id": f"d{n}", "name": one, "amount": (-1) ** n * (2**53 + n), "close_date": f"2026-02-{n + 1:02}",
         "created_at": "2026-01-31", "probability": 0.1 * (n % 10), "is_won": n % 2 == 0, "currency": "JPY"}
        for n, one in enumerate(texts)
    ]  # fmt: skip
    with store.transaction() as tx:
        tx.upsert("deals", "acme", "fake", frame("deals", rows), NOW)
    export(store, tmp_path, Wanted(names=("deals",), format="csv"))
    schema = slices.schema_of(table("deals"))
    plain = {name: pl.String if isinstance(dtype, pl.Datetime) else dtype for name, dtype in schema.items()}
    found = pl.read_csv(tmp_path / "deals.csv", schema=plain).with_columns(
        pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", time_zone="UTC")
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Datetime)
    )
    with store.reading() as reader:
        (expected,) = contents(reader.connection, [table("deals")]).values()
    assert rows_of(found) == expected
    assert sorted(map(repr, found["name"])) == sorted(map(repr, texts))
