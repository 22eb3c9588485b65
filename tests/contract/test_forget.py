"""A person or a company leaves the store for good, and no other does, on both databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from sqlalchemy import text

from connectors.schema import REJECTS
from connectors.source import Page, Stream
from pipeline import forget
from pipeline.erase import scrub
from pipeline.person import Person, find_person
from pipeline.privacy import Privacy
from pipeline.store import Store
from pipeline.sync import sync_company
from pipeline.tables import METADATA
from tests.contract.fake_source import ACCOUNTS, CONTACTS, DEALS, OWNERS, FakeSource, page
from tests.contract.test_privacy import LEADS, MEETINGS, company
from tests.rows import NOW, frame

JANE = ("jane@acme.example", "Jane Doe", "Jane", "jane")
CONTACT = {"first_name": "Jane", "last_name": "Doe", "email": "jane@acme.example", "created_at": "2026-01-01"}
EMPTY = {"contracts", "line_items", "quotas", "stages", "subscriptions"}  # what the fake has no rows of
OTHERS = {"external_id": "c9", "first_name": "Bob", "last_name": "Roe", "email": "bob@acme.example",
          "account_id": "a1", "created_at": "2026-01-02"}  # fmt: skip


def source(
    name: str = "fake", extra: Sequence[dict[str, Any]] = (), lead_of: str | None = None
) -> FakeSource:
    """Jane is contact c1, its duplicate c2 and lead l1; c3 was merged into c1. The same ids in every company."""
    people = [
        {"external_id": "c1", **CONTACT, "custom": '{"note":"ask Jane Doe"}'},
        {"external_id": "c2", **CONTACT, "email": "Jane@acme.example"},
        {
            "external_id": "c3",
            **CONTACT,
            "email": "old@acme.example",
            "merged_into": "c1",
            "deleted_at": "2026-02-01",
        },
        OTHERS,
        *extra,
    ]
    leads = [{"external_id": "l1", "last_name": "Doe", "company": "Acme", "converted_contact_id": "c1"}]
    if lead_of:
        leads[0]["converted_contact_id"] = lead_of
    meetings = [
        {"external_id": "m1", "contact_id": "c1", "subject": "Lunch with Jane", "starts_at": "2026-03-01"},
        {"external_id": "m2", "contact_id": "c9", "subject": "Bob and JANE DOE", "starts_at": "2026-03-02"},
        {"external_id": "m3", "contact_id": "c9", "subject": "Bob", "starts_at": "2026-03-03"},
    ]
    script: dict[Stream, list[Page]] = {
        OWNERS: [page(owners=frame("owners", [{"external_id": "o1", "name": "Olga"}]))],
        ACCOUNTS: [page(accounts=frame("accounts", [{"external_id": "a1", "name": "Acme"}]))],
        CONTACTS: [page(contacts=frame("contacts", people))],
        LEADS: [page(leads=frame("leads", leads))],
        DEALS: [
            page(
                deals=frame("deals", [{"external_id": "d1", "account_id": "a1", "created_at": "2026-01-01"}])
            )
        ],
        MEETINGS: [page(meetings=frame("meetings", meetings))],
    }
    return FakeSource(script, name=name)


def sync(store: Store, owner: str = "acme", one: FakeSource | None = None, **options: Any) -> None:
    summary = sync_company(store, one or source(), company("full", name=owner), clock=lambda: NOW, **options)
    assert summary.status == "ok", summary.error


def rows_of(store: Store, owner: str, skip: Sequence[str] = ("runs",)) -> dict[str, list[str]]:
    """Every row of a company in every table that has one."""
    with store.reading() as reader:
        return {
            one.name: sorted(
                repr(tuple(row)) for row in reader.connection.execute(one.select().where(one.c.company == owner))
            )
            for one in METADATA.sorted_tables
            if "company" in one.c and one.name not in skip
        }  # fmt: skip


def person(store: Store, named: str, owner: str = "acme") -> Person:
    with store.reading() as reader:
        return find_person(reader, owner, named, Privacy())


def remove(store: Store, named: str, owner: str = "acme") -> dict[str, int]:
    with store.transaction() as tx:
        found = find_person(tx, owner, named, Privacy())
        removed: dict[str, int] = {}
        for crm, ids in found.ids.items():
            for name, number in forget.forget(tx, owner, crm, ids, found.words, NOW).items():
                removed[name] = removed.get(name, 0) + number
        return removed


@pytest.mark.parametrize("named", ["jane@acme.example", " JANE@acme.example", "c1", "c3", "l1"])
def test_a_person_is_found_by_address_or_any_record(store: Store, named: str) -> None:
    sync(store)
    found = person(store, named)
    assert found.ids == {"fake": {"contacts": ["c1", "c2", "c3"], "leads": ["l1"]}}
    assert {"Jane Doe", "jane@acme.example"} <= set(found.words)


@pytest.mark.parametrize("named", ["nobody@acme.example", "c", "Jane", "", "%", "c_"])
def test_nobody_is_found_by_anything_else(store: Store, named: str) -> None:
    sync(store)
    assert person(store, named).records == 0


def test_a_shared_mailbox_joins_nobody_unless_it_is_named(store: Store) -> None:
    shared = [
        {"external_id": "s1", "first_name": "Ann", "last_name": "Poe", "email": "info@acme.example"},
        {"external_id": "s2", "first_name": "Tim", "last_name": "Moe", "email": "info@acme.example"},
    ]
    sync(store, one=source(extra=shared))
    assert person(store, "s1").ids == {"fake": {"contacts": ["s1"]}}
    assert person(store, "info@acme.example").ids == {"fake": {"contacts": ["s1", "s2"]}}


def test_placeholders_for_an_address_join_nobody(store: Store) -> None:
    blank = [{"external_id": "b1", "email": "n/a"}, {"external_id": "b2", "email": "n/a"}]
    sync(store, one=source(extra=blank))
    assert person(store, "b1").ids == {"fake": {"contacts": ["b1"]}}


def test_the_plan_counts_what_is_then_removed(store: Store) -> None:
    sync(store)
    found = person(store, "c1")
    with store.reading() as reader:
        planned = forget.count(
            reader, forget.person_steps(reader, "acme", "fake", found.ids["fake"], found.words)
        )
    assert remove(store, "c1") == planned
    assert planned["contacts"] == 3
    assert planned["meetings"] == 2
    assert planned["findings"] >= 1


def test_nothing_tells_of_a_forgotten_person_and_all_else_is_as_it_was(store: Store) -> None:
    sync(store)
    before = rows_of(store, "acme")
    remove(store, "jane@acme.example")
    after = rows_of(store, "acme")
    assert not [word for word in JANE if word in repr(after)]
    for name in ("owners", "accounts", "deals", "stages", "cursors", "sources"):
        assert after[name] == before[name]
    assert store.frame("acme", "contacts")["external_id"].to_list() == ["c9"]
    met = store.frame("acme", "meetings")
    assert met["external_id"].to_list() == ["m1", "m2", "m3"]  # a meeting counts, whoever was there
    assert met["subject"].to_list() == [None, None, "Bob"]
    assert met["contact_id"].to_list() == [None, "c9", "c9"]


def test_words_within_other_words_are_somebody_else(store: Store) -> None:
    others = [
        {"external_id": "n1", "first_name": "Jane", "last_name": "Doerr", "email": "mary.jane@acme.example"},
        {
            "external_id": "n2",
            "first_name": "Mary Jane",
            "last_name": "Doerr",
            "email": "mary.jane@acme.example",
        },
    ]
    one = source(extra=others)
    said = [
        "Jane Doerr",
        "maryjane@acme.example",
        "mary.jane@acme.example",
        "(jane doe)",
        "to JANE@ACME.EXAMPLE!",
    ]
    subjects = [{"external_id": f"s{n}", "contact_id": "n1", "subject": text} for n, text in enumerate(said)]
    raws = [
        '{"id": "c12"}',
        '{"id": "c1"}',
        '{"email": "mary.jane@acme.example"}',
        '{"email": "jane@acme.example"}',
    ]
    rejects = pl.DataFrame(
        [("contacts", None, "external_id", raw, "x") for raw in raws], schema=REJECTS, orient="row"
    )
    script = {**one.script, MEETINGS: [replace(page(meetings=frame("meetings", subjects)), rejects=rejects)]}
    sync(store, one=FakeSource(script))
    remove(store, "jane@acme.example")
    assert store.frame("acme", "meetings")["subject"].to_list() == [*said[:3], None, None]
    assert store.frame("acme", "meetings")["contact_id"].to_list() == ["n1"] * 5
    assert sorted(store.quarantine("acme")["raw"]) == sorted([raws[0], raws[2]])
    assert {"n1", "n2"} <= set(store.frame("acme", "contacts")["external_id"])


def test_a_forgotten_person_does_not_come_back(store: Store) -> None:
    sync(store)
    remove(store, "c1")
    after = rows_of(store, "acme", ("runs", "cursors", "findings"))
    sync(store, full=True)
    assert rows_of(store, "acme", ("runs", "cursors", "findings")) == after
    assert not [word for word in JANE if word in repr(rows_of(store, "acme"))]


def test_a_lead_that_was_forgotten_takes_along_the_contact_it_becomes(store: Store) -> None:
    sync(store, one=source(lead_of="c5"))
    remove(store, "l1")
    sync(store, one=source(lead_of="c5", extra=[{"external_id": "c5", "last_name": "Doe"}]), full=True)
    assert "c5" not in store.frame("acme", "contacts")["external_id"].to_list()
    sync(store, one=source(lead_of="c5", extra=[{"external_id": "c5", "last_name": "Doe"}]), full=True)
    assert "c5" not in store.frame("acme", "contacts")["external_id"].to_list()


def test_a_rejected_cell_of_a_forgotten_person_does_not_come_back(store: Store) -> None:
    sync(store)
    remove(store, "c1")
    cells = pl.DataFrame(
        {"table": "contacts", "external_id": "c1", "field": "last_activity_at", "raw": "Jane", "reason": "x"}
    )
    again = source()
    script = {**again.script, CONTACTS: [replace(again.script[CONTACTS][0], rejects=cells)]}
    sync(store, one=FakeSource(script), full=True)
    assert store.quarantine("acme").is_empty()


def test_both_crms_of_a_company_forget(store: Store) -> None:
    sync(store, one=source("old"))
    sync(store, one=source("new"))
    remove(store, "jane@acme.example")
    assert not [word for word in JANE if word in repr(rows_of(store, "acme"))]


def test_companies_with_the_same_ids_never_mix(store: Store) -> None:
    for owner in ("acme", "globex"):
        sync(store, owner)
    other = rows_of(store, "globex")
    remove(store, "jane@acme.example")
    assert rows_of(store, "globex") == other
    sync(store, "acme", full=True)
    assert rows_of(store, "globex") == other
    sync(store, "globex", full=True)
    same = ("cursors", "runs")  # a full pass writes the place anew
    assert rows_of(store, "globex", same) == {name: rows for name, rows in other.items() if name not in same}
    assert not [word for word in JANE if word in repr(rows_of(store, "acme"))]
    assert "Jane" in repr(rows_of(store, "globex"))


def test_everything_of_one_company_goes_and_nothing_of_another(store: Store) -> None:
    for owner in ("acme", "globex", "acm_"):
        sync(store, owner)
    fill_the_rest(store, "acme")
    fill_the_rest(store, "globex")
    others = {owner: rows_of(store, owner, ()) for owner in ("globex", "acm_")}
    with store.reading() as reader:
        planned = forget.count(reader, forget.company_steps("acme"))
    empty = {one.name for one in METADATA.sorted_tables if "company" in one.c and one.name not in planned}
    assert empty == EMPTY
    with store.transaction() as tx:
        assert forget.run(tx, forget.company_steps("acme"), NOW) == planned
    assert not any(rows_of(store, "acme", ()).values())
    assert {owner: rows_of(store, owner, ()) for owner in others} == others


def fill_the_rest(store: Store, owner: str) -> None:
    """A row in every table that a sync of the fake leaves empty."""
    with store.transaction() as tx:
        for one in METADATA.sorted_tables:
            if "company" not in one.c or one.name in EMPTY:
                continue
            found = tx.connection.execute(one.select().where(one.c.company == owner)).first()
            if found is None:
                tx.connection.execute(one.insert().values({c.name: _some(c, owner) for c in one.c}))


def _some(column: Any, owner: str) -> Any:
    if column.name == "company":
        return owner
    if column.name == "key":
        return f"{owner}-key"
    kinds: dict[type, Any] = {str: "x", int: 1, float: 1.0, bool: True}
    if column.name == "rate":
        return 1
    if "Date" in type(column.type).__name__:
        return NOW.date()
    return NOW if "Instant" in type(column.type).__name__ else kinds.get(column.type.python_type, "x")


def test_the_bytes_are_gone_from_an_sqlite_file(tmp_path: Path) -> None:
    crowd = [
        {"external_id": f"x{n}", "first_name": "Max", "last_name": f"No{n}", "email": f"x{n}@acme.example"}
        for n in range(500)
    ]
    with Store.open(f"sqlite:///{tmp_path / 'boardline.db'}") as store:
        sync(store, one=source(extra=crowd))
        assert [word for word in JANE if word.encode() in everything_in(tmp_path)]
        remove(store, "jane@acme.example")
        scrub(store, ["contacts"])
        assert not [word for word in JANE if word.encode() in everything_in(tmp_path)]
        assert store.frame("acme", "contacts").height == 501
    assert not [word for word in JANE if word.encode() in everything_in(tmp_path)]
    with closing(sqlite3.connect(tmp_path / "boardline.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def test_postgres_writes_the_tables_anew(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        sync(store)
        with store.reading() as reader:
            place = reader.connection.execute(text("SELECT pg_relation_filepath('contacts')")).scalar()
        remove(store, "jane@acme.example")
        scrub(store, [*forget.PEOPLE, "meetings", "findings", "quarantine"])
        with psycopg.connect(postgres_url) as connection:
            row = connection.execute(
                "SELECT pg_relation_filepath('contacts'), pg_read_binary_file(pg_relation_filepath('contacts'))"
            ).fetchone()
        assert row is not None
        assert row[0] != place
        assert b"bob@acme.example" in bytes(row[1])
        assert b"jane@acme.example" not in bytes(row[1])
