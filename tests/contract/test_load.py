"""Pages into the store, on both databases: idempotent, in any order, all of a page or nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import text

from connectors.schema import REJECTS, TABLES, TOMBSTONES
from connectors.source import Page, Stream
from pipeline.company import Company
from pipeline.load import LoadCounts, load
from pipeline.normalise import normalise_page
from pipeline.store import Store
from pipeline.transaction import Transaction
from tests.contract.fake_source import ACCOUNTS, CAPABILITIES, CONTACTS, DEALS, OWNERS, RATES, STAGES
from tests.rows import NOW, frame

LATER = NOW + timedelta(days=1)
COMPANIES = itertools.count(1)


def put(store: Store, stream: Stream, page: Page, now: datetime = NOW, company: str = "acme") -> LoadCounts:
    with store.transaction() as tx:
        return put_in(tx, stream, page, now, company)


def put_in(tx: Transaction, stream: Stream, page: Page, now: datetime, company: str) -> LoadCounts:
    tx.save_source(company, "fake", CAPABILITIES, "print", NOW)
    info = tx.source_info(company)
    assert info is not None
    return load(tx, Company(name=company), info, stream, normalise_page(page, "EUR"), now)


def page(last: bool = False, gone: Sequence[dict[str, Any]] = (), **frames: Sequence[dict[str, Any]]) -> Page:
    empty = dict.fromkeys(TOMBSTONES)
    tombstones = pl.DataFrame([{**empty, **row} for row in gone], schema=TOMBSTONES)
    content = {name: frame(name, rows) for name, rows in frames.items()}
    return Page(content, {"at": "here"}, last, tombstones=tombstones)


def rejects(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{**dict.fromkeys(REJECTS), **row} for row in rows], schema=REJECTS)


def content(store: Store, company: str = "acme") -> dict[str, Any]:
    """All that a company has in the store, our clocks left out."""
    kept: dict[str, Any] = {name: store.frame(company, name).to_dicts() for name in TABLES}
    clocks = ("first_seen", "last_seen", "resolved_at")
    kept["findings"] = store.findings(company).drop(clocks).to_dicts()
    kept["quarantine"] = store.quarantine(company).drop("first_seen", "last_seen").to_dicts()
    kept["cursors"] = {name: (state.cursor, state.complete) for name, state in store.cursors(company).items()}
    return kept


def by_id(store: Store, table: str, *columns: str) -> dict[str, Any]:
    rows = store.frame("acme", table).select("external_id", *columns)
    return {row[0]: row[1] if len(columns) == 1 else row[1:] for row in rows.iter_rows()}


def test_the_same_page_again_changes_nothing(store: Store) -> None:
    one = page(
        last=True,
        deals=[
            {"external_id": "d", "amount": 5, "stage": "old"},
            {"external_id": "gone", "deleted_at": "2026-01-01"},
        ],
        deal_changes=[
            {"deal_id": "d", "field": "stage", "changed_at": "2026-01-01", "seq": 0, "new_value": "old"}
        ],
    )
    assert put(store, DEALS, one) == LoadCounts(rows=2, changed=3)
    before = content(store)
    assert put(store, DEALS, one, LATER) == LoadCounts(rows=2)
    assert content(store) == before


def test_a_deletion_is_counted_once_and_a_restored_record_lives_again(store: Store) -> None:
    alive = {"external_id": "d", "modified_at": "2026-01-01"}
    put(store, DEALS, page(deals=[alive]))
    dead = page(gone=[{"table": "deals", "external_id": "d", "deleted_at": datetime(2026, 1, 2, tzinfo=UTC)}])
    assert put(store, DEALS, dead) == LoadCounts(changed=1, deleted=1)
    assert put(store, DEALS, dead) == LoadCounts()
    assert by_id(store, "deals", "deleted_at") == {"d": datetime(2026, 1, 2, tzinfo=UTC)}

    assert put(store, DEALS, page(deals=[{**alive, "modified_at": "2026-01-03"}])).changed == 1
    assert by_id(store, "deals", "deleted_at") == {"d": None}
    assert put(store, DEALS, dead) == LoadCounts(), "a tombstone older than the restored version is stale"


def test_a_record_delivered_as_deleted_counts_as_deleted(store: Store) -> None:
    put(store, DEALS, page(deals=[{"external_id": "d"}]))
    dead = page(deals=[{"external_id": "d", "deleted_at": "2026-01-02"}])
    assert put(store, DEALS, dead) == LoadCounts(rows=1, changed=1, deleted=1)


def test_a_tombstone_of_an_unknown_record_is_no_record(store: Store) -> None:
    assert put(store, DEALS, page(gone=[{"table": "deals", "external_id": "x"}])) == LoadCounts()
    assert store.frame("acme", "deals").is_empty()


def merged(external_id: str, into: str) -> dict[str, Any]:
    at = datetime(2026, 2, 1, tzinfo=UTC)
    return {"table": "accounts", "external_id": external_id, "deleted_at": at, "merged_into": into}


ACCOUNT_PAGE = page(accounts=[{"external_id": name} for name in "abc"])
CHILD_PAGES = (
    (CONTACTS, page(contacts=[{"external_id": "p", "account_id": "a"}])),
    (DEALS, page(deals=[{"external_id": "d", "account_id": "a"}, {"external_id": "e", "account_id": "c"}])),
    (ACCOUNTS, page(accounts=[{"external_id": "child", "parent_id": "a"}])),
)
MERGE_PAGES = ((ACCOUNTS, page(gone=[merged("a", "b")])), (ACCOUNTS, page(gone=[merged("b", "c")])))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_children_follow_a_chain_of_merges_in_any_order(store: Store, order: tuple[int, ...]) -> None:
    put(store, ACCOUNTS, ACCOUNT_PAGE)
    steps = (CHILD_PAGES, (MERGE_PAGES[0],), (MERGE_PAGES[1],))
    for number in order:
        for stream, one in steps[number]:
            put(store, stream, one)
    assert by_id(store, "deals", "account_id") == {"d": "c", "e": "c"}
    assert by_id(store, "contacts", "account_id") == {"p": "c"}
    accounts = by_id(store, "accounts", "parent_id", "merged_into")
    assert accounts == {"a": (None, "b"), "b": (None, "c"), "c": (None, None), "child": ("c", None)}
    for stream, one in (*CHILD_PAGES, *MERGE_PAGES):
        assert put(store, stream, one, LATER).changed == 0


def test_a_circle_of_merges_moves_nothing(store: Store) -> None:
    put(store, ACCOUNTS, ACCOUNT_PAGE)
    put(store, DEALS, page(deals=[{"external_id": "d", "account_id": "a"}]))
    put(store, ACCOUNTS, page(gone=[merged("a", "b"), merged("b", "a")]))
    assert by_id(store, "deals", "account_id") == {"d": "a"}


def test_an_account_merged_into_its_child_is_not_its_parent(store: Store) -> None:
    put(store, ACCOUNTS, page(accounts=[{"external_id": "a"}, {"external_id": "b", "parent_id": "a"}]))
    put(store, ACCOUNTS, page(gone=[merged("a", "b")]))
    assert by_id(store, "accounts", "parent_id") == {"a": None, "b": None}


def test_what_a_complete_listing_lacks_is_gone(store: Store) -> None:
    put(store, OWNERS, page(owners=[{"external_id": name, "active": True} for name in "xyz"]))
    listing = replace(page(last=True), live_ids={"owners": pl.Series(["x", "z", "new"])})
    assert put(store, OWNERS, listing, LATER) == LoadCounts(changed=1, deleted=1)
    assert by_id(store, "owners", "active", "deleted_at") == {
        "x": (True, None),
        "y": (False, LATER),
        "z": (True, None),
    }
    assert put(store, OWNERS, listing, LATER + timedelta(days=1)) == LoadCounts()


def test_an_empty_listing_is_believed(store: Store) -> None:
    put(store, DEALS, page(deals=[{"external_id": "d"}]))
    nothing = replace(page(last=True), live_ids={"deals": pl.Series([], dtype=pl.String)})
    assert put(store, DEALS, nothing).deleted == 1


def test_a_stage_that_left_the_layout_stays_inactive(store: Store) -> None:
    stage = {"pipeline": "p", "active": True, "is_closed": False}
    put(store, STAGES, page(last=True, stages=[{**stage, "stage": "one"}, {**stage, "stage": "two"}]))
    assert put(store, STAGES, page(last=True, stages=[{**stage, "stage": "two"}]), LATER).deleted == 1
    rows = store.frame("acme", "stages").select("stage", "active", "deleted_at").rows()
    assert rows == [("one", False, LATER), ("two", True, None)]
    back = page(last=True, stages=[{**stage, "stage": "one"}, {**stage, "stage": "two"}])
    assert put(store, STAGES, back, LATER).changed == 1
    assert store.frame("acme", "stages")["deleted_at"].null_count() == 2


def test_a_rate_that_was_withdrawn_is_gone(store: Store) -> None:
    rates = [{"currency": "USD", "start_date": f"2026-0{month}-01"} for month in (1, 2)]
    put(store, RATES, page(exchange_rates=rates))
    assert put(store, RATES, page(exchange_rates=rates[:1])).deleted == 1


def test_rejects_stay_until_the_record_comes_clean(store: Store) -> None:
    bad = rejects(
        {"table": "deals", "external_id": "d", "field": "amount", "raw": "1,5x", "reason": "no number"},
        {"table": "deals", "field": "external_id", "raw": "{}", "reason": "no id"},
        {"table": "deals", "field": "external_id", "raw": "{1}", "reason": "no id"},
    )
    dirty = replace(page(deals=[{"external_id": "d"}]), rejects=bad)
    assert put(store, DEALS, dirty).quarantined == 3
    put(store, DEALS, dirty, LATER)
    held = store.quarantine("acme")
    assert held.height == 3
    assert held["first_seen"].unique().to_list() == [NOW]
    put(store, DEALS, page(deals=[{"external_id": "other"}]))
    assert store.quarantine("acme").height == 3
    put(store, DEALS, page(deals=[{"external_id": "d", "amount": 15}]))
    assert sorted(store.quarantine("acme")["raw"]) == ["{1}", "{}"]


def test_findings_are_renewed_with_the_last_page(store: Store) -> None:
    filled = {"amount": 1, "owner_id": "o", "account_id": "a", "next_step": "call"}
    overdue = {
        "external_id": "d",
        "stage": "new",
        "close_date": "2026-11-01",
        "created_at": "2026-01-01",
    } | filled
    put(store, DEALS, page(deals=[overdue]))
    assert store.findings("acme").is_empty(), "the stream is not at its end"
    put(store, DEALS, page(last=True))
    first = store.findings("acme").to_dicts()
    assert [(one["rule"], one["external_id"], one["first_seen"]) for one in first] == [
        ("overdue_close_date", "d", NOW)
    ]

    put(store, DEALS, page(last=True, deals=[{**overdue, "close_date": "2026-12-24"}]), LATER)
    assert store.findings("acme").is_empty()
    resolved = store.findings("acme", open_only=False).to_dicts()
    assert [(one["first_seen"], one["resolved_at"]) for one in resolved] == [(NOW, LATER)]

    put(store, DEALS, page(last=True, deals=[overdue]), LATER + timedelta(days=1))
    assert store.findings("acme")["first_seen"].to_list() == [NOW]


def test_history_is_only_ever_added_to(store: Store) -> None:
    change = {"deal_id": "d", "field": "stage", "seq": 0, "origin": "crm_history"}
    early = {**change, "changed_at": "2026-01-01", "old_value": None, "new_value": "a"}
    late = {**change, "changed_at": "2026-01-02", "old_value": "a", "new_value": "b"}
    put(store, DEALS, page(deal_changes=[early, late]))
    put(store, DEALS, page(deal_changes=[{**late, "old_value": None}]))  # the CRM has forgotten the first one
    assert store.frame("acme", "deal_changes").select("old_value", "new_value").rows() == [
        (None, "a"),
        ("a", "b"),
    ]


class Crash(BaseException):
    """The process is killed here."""


def dying(name: str) -> Callable[..., Any]:
    """A method of ``Transaction`` that counts down, and kills instead of working when it comes to nought."""

    def method(self: Fragile, *arguments: Any, **named: Any) -> Any:
        if self.left == 0:
            raise Crash
        self.left -= 1
        return getattr(Transaction, name)(self, *arguments, **named)

    return method


class Fragile(Transaction):
    """Dies before the n-th step it is asked for."""

    left = 0
    upsert, update, save_cursor = dying("upsert"), dying("update"), dying("save_cursor")
    save_findings, save_rejects = dying("save_findings"), dying("save_rejects")
    frame, columns, stored = dying("frame"), dying("columns"), dying("stored")


def test_killed_between_any_two_statements_a_page_is_there_wholly_or_not_at_all(store: Store) -> None:
    put(store, ACCOUNTS, page(accounts=[{"external_id": "a"}, {"external_id": "b", "name": "bee"}]))
    put(store, DEALS, page(deals=[{"external_id": "d", "account_id": "a", "amount": 1}]))
    before = content(store)
    full = replace(
        page(last=True, accounts=[{"external_id": "new", "name": "bee"}], gone=[merged("a", "b")]),
        rejects=rejects(
            {"table": "accounts", "external_id": "new", "field": "employees", "raw": "many", "reason": "no"}
        ),
        live_ids={"accounts": pl.Series(["b", "new"])},
    )
    survived = 0
    for number in itertools.count():

        def attempt(left: int = number) -> None:
            with store.transaction() as tx:
                fragile = Fragile(tx.connection)
                fragile.left = left
                put_in(fragile, ACCOUNTS, full, LATER, "acme")

        try:
            attempt()
        except Crash:
            assert content(store) == before
            survived += 1
        else:
            break
    assert survived >= 8
    after = content(store)
    assert after["deals"][0]["account_id"] == "b"
    assert after["findings"] != []
    assert put(store, ACCOUNTS, full, LATER) == LoadCounts(rows=1, quarantined=1)
    assert content(store) == after


VERSIONS = st.lists(
    st.tuples(st.sampled_from("pqrs"), st.integers(0, 5), st.sampled_from([None, "a", "b", "c"])),
    min_size=1,
    max_size=12,
)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Versions of contacts, cut into pages in any order and with repetitions; and the newest version of each."""
    versions: dict[tuple[str, int], dict[str, Any]] = {}
    for name, age, account in draw(VERSIONS):
        modified = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=age)
        row = {
            "external_id": name,
            "modified_at": modified,
            "account_id": account,
            "title": f"{name}{age}{account}",
        }
        versions.setdefault((name, age), row)
    rows = list(versions.values())
    order = draw(st.permutations(rows + draw(st.lists(st.sampled_from(rows), max_size=5))))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    edges = [0, *cuts, len(order)]
    pages = [list(order[start:end]) for start, end in itertools.pairwise(edges)]
    newest = {row["external_id"]: row for row in sorted(rows, key=lambda row: row["modified_at"])}
    return pages, [newest[name] for name in sorted(newest)]


def test_any_order_and_any_batches_give_equal_tables(store: Store) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(batches(), st.integers(0, 4))
    def check(drawn: tuple[list[list[dict[str, Any]]], list[dict[str, Any]]], merge_at: int) -> None:
        pages, expected = drawn
        company = f"company {next(COMPANIES)}"
        put(store, ACCOUNTS, ACCOUNT_PAGE, company=company)
        for number, rows in enumerate([*pages, []]):
            if number == min(merge_at, len(pages)):
                put(store, ACCOUNTS, page(gone=[merged("a", "b")]), company=company)
            put(store, CONTACTS, page(contacts=rows), company=company)
        turned = [
            {**row, "account_id": "b" if row["account_id"] == "a" else row["account_id"]} for row in expected
        ]
        assert_frame_equal(store.frame(company, "contacts"), frame("contacts", turned))

    check()


def test_findings_and_quarantine_of_another_company_are_left_alone(store: Store) -> None:
    blank = page(last=True, deals=[{"external_id": "d", "created_at": "2026-01-01"}])
    put(store, DEALS, blank, company="globex")
    put(store, DEALS, page(last=True), LATER)
    assert sorted(store.findings("globex")["rule"]) == ["blank_required_fields", "invalid_stage"]
    with store.reading() as reader:
        assert reader.connection.execute(text("SELECT count(*) FROM findings")).scalar() == 2
