"""What was published is kept as it was, on both databases, and what has become of it is told with the records."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from connectors.source import Capabilities
from metrics import compute
from metrics.board import BoardReport
from metrics.deliver import deliver
from metrics.facts import Facts
from metrics.playbook import load
from metrics.render import render_forms
from metrics.report import report_of
from metrics.restatement import restatements
from pipeline.company import Company
from pipeline.failures import StoreError
from pipeline.inspection import inspect_store
from pipeline.records import SourceInfo
from pipeline.store import Store
from tests.unit.books import Books, at
from tests.unit.test_deliver import Board

BOOK = load("hr_tech")
MONTH, POSTED = "2026-05", at("2026-06-05")


def books(**globex: Any) -> Books:
    """Two customers; ``globex`` says what is otherwise about the second one's contract."""
    made = Books()
    for name in ("acme", "globex"):
        made.account(name)
    made.won("first", "acme", "2026-01-10", 120_000)
    made.won("second", "globex", **{"start": "2026-05-03", "arr": 60_000, **globex})
    return made


def report(store: Store, made: Books, month: str = MONTH, known: str = "2026-06-05") -> BoardReport:
    facts = made.facts("2026-04", MONTH, month, now=at(known))
    with store.reading() as reader:
        published = reader.published(facts.company.name)
    return report_of(facts, month, BOOK, published=published)


def post(store: Store, made: BoardReport, board: Board | None = None) -> str:
    company = Company(name=made.company)
    return deliver(store, company, made, {"board": board or Board()}, now=lambda: POSTED)[0].status


def restated(made: BoardReport) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    return {(item.month, item.kpi): (item.published, item.now) for item in made.restatements}


def test_every_number_is_kept_exactly_with_the_records_behind_it(store: Store) -> None:
    made = report(store, books())
    assert post(store, made) == "posted"
    with store.reading() as reader:
        (kept,) = reader.published(made.company)
    assert (kept.month, kept.known_at, kept.posted_at, kept.currency) == (
        MONTH,
        at("2026-06-05"),
        POSTED,
        "USD",
    )
    whole = {row["kpi"]: row for row in kept.values.filter(cut="").iter_rows(named=True)}
    assert whole.keys() == compute.registered().keys()
    assert whole["arr"]["value"] == str(180_000_00)
    assert whole["arr"]["definition"].startswith("arr/")
    assert whole["nrr"]["value"] is None
    assert whole["nrr"]["reasons"]
    behind = kept.evidence.filter(kpi="arr_new_logo").select("external_id", "contribution").rows()
    assert behind == [("globex", str(60_000_00))] or behind == [("second", str(60_000_00))]
    assert kept.values.filter(cut="size")["segment"].to_list() != []


def test_a_published_number_that_someone_altered_is_found(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_source("test", "fake", Capabilities("USD", {}, {}, frozenset()), "f", POSTED)
    assert post(store, report(store, books())) == "posted"
    assert not [fault for fault in inspect_store(store).faults if "published" in fault.what]
    on = " ON snapshot_values" if store.engine.dialect.name == "postgresql" else ""
    with store.transaction() as tx:
        guard = "snapshot_values_frozen"
        made = tx.connection.execute(text(_GUARD[store.engine.dialect.name]), {"name": guard}).scalar_one()
        tx.connection.execute(text(f"DROP TRIGGER {guard}{on}"))
        tx.connection.execute(text("UPDATE snapshot_values SET value = '1' WHERE kpi = 'arr' AND cut = ''"))
        tx.connection.execute(text(made.replace(":", "\\:")))
    (fault,) = inspect_store(store).faults
    assert fault.what.startswith("test: the published numbers of 2026-05 (")
    assert fault.what.endswith(") were altered after they were frozen")
    assert "backup" in fault.remedy


_GUARD = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE name = :name",
    "postgresql": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = :name",
}


def test_the_same_numbers_again_are_no_restatement(store: Store) -> None:
    post(store, report(store, books()))
    later = report(store, books(), month="2026-06", known="2026-07-05")
    assert restated(later) == {}
    assert "restated" not in render_forms(later)["txt"].decode().lower()


def test_a_number_that_became_another_is_restated_with_its_records(store: Store) -> None:
    post(store, report(store, books()))
    later = report(store, books(arr=50_000), month="2026-06", known="2026-07-05")
    found = restated(later)
    assert found[MONTH, "arr"] == (180_000_00, 170_000_00)
    assert found[MONTH, "arr_new_logo"] == (60_000_00, 50_000_00)
    assert all(month == MONTH for month, _ in found)
    (arr,) = [item for item in later.restatements if item.kpi == "arr"]
    assert [(one.before, one.after) for one in arr.records] == [(60_000_00, 50_000_00)]
    for form in ("html", "md", "txt"):
        printed = render_forms(later)[form].decode()
        assert "restated since it was published" in printed.lower()
        assert "$180,000.00" in printed
        assert "$170,000.00" in printed


def test_a_deal_that_is_gone_and_one_that_came_late_are_named(store: Store) -> None:
    post(store, report(store, books()))
    changed = books(start="2026-06-20")
    changed.won("late", "acme", "2026-05-20", 1_000)
    (arr,) = [
        item
        for item in report(store, changed, month="2026-06", known="2026-07-05").restatements
        if item.kpi == "arr"
    ]
    assert {(one.before, one.after) for one in arr.records} == {(60_000_00, None), (None, 1_000_00)}


def test_each_amount_is_told_in_the_currency_it_was_published_in(store: Store) -> None:
    made = books()
    made.rate("EUR", "2026-01-01", "1.25")
    assert post(store, report(store, made)) == "posted"
    company, read = Company(name="test", currency="EUR"), at("2026-07-05")
    info = SourceInfo("test", "salesforce", "USD", {}, {}, frozenset(), (), "", read)
    euros = Facts(company, [MONTH], read, made.frames(), info)
    with store.reading() as reader:
        published = reader.published(euros.company.name)
    again = report_of(euros, MONTH, BOOK, published=published)
    forms = render_forms(again, only=("html", "txt"))
    assert "It was reported in USD" in " ".join(forms["txt"].decode().split())
    page = forms["html"].decode()
    assert "$120,000.00, now €96,000.00" in page
    assert "2 deals reported in another currency." in page


def test_a_setting_that_did_not_exist_when_a_number_was_published_is_no_other_one(store: Store) -> None:
    made = report(store, books())
    post(store, made)
    with store.reading() as reader:
        (kept,) = reader.published(made.company)
    then = {name: value for name, value in kept.definitions.items() if name != "retention"}
    then["arr"] = {"source": "field", "grace_days": 45}
    older = replace(kept, definitions=then)
    facts = books(arr=50_000).facts(MONTH, "2026-06", now=at("2026-07-05"))
    told = {item.kpi: item.other_settings for item in restatements([older], facts, {})}
    assert told["arr"] == ("arr",)
    then["arr"] = {"source": "field"}
    told = {item.kpi: item.other_settings for item in restatements([older], facts, {})}
    assert told["arr"] == ()


def test_what_became_undefined_says_why(store: Store) -> None:
    post(store, report(store, books()))
    nothing = books(arr=None, term=None)
    nothing.rows["deals"] = [row | {"arr": None, "term_months": None} for row in nothing.rows["deals"]]
    later = report(store, nothing, month="2026-06", known="2026-07-05")
    (arr,) = [item for item in later.restatements if item.kpi == "arr"]
    assert arr.now is None
    assert arr.reasons


def test_the_database_refuses_to_change_what_was_published(store: Store) -> None:
    post(store, report(store, books()))
    for statement in (
        "UPDATE snapshots SET currency = 'EUR'",
        "UPDATE snapshot_values SET value = '1'",
        "UPDATE snapshot_evidence SET contribution = '1'",
    ):
        with pytest.raises(StoreError, match="published numbers are frozen"), store.transaction() as tx:
            tx.connection.execute(text(statement))


def test_one_set_of_numbers_is_kept_once_and_never_without_its_delivery(store: Store) -> None:
    made = report(store, books())
    company = Company(name=made.company)
    deliver(store, company, made, {"board": Board(), "cro": Board()}, now=lambda: POSTED)
    with store.reading() as reader:
        assert reader.connection.execute(text("SELECT count(*) FROM snapshots")).scalar() == 1
    digests = {delivery.snapshot for delivery in store.deliveries(made.company)}
    assert digests == {made.frozen.digest if made.frozen else None}


def test_numbers_that_did_not_get_through_were_not_published(store: Store) -> None:
    board = Board()
    board.fails = ConnectionAbortedError("killed before anything was sent")
    with pytest.raises(ConnectionAbortedError):
        post(store, report(store, books()), board)
    with store.reading() as reader:
        assert reader.published("test") == []
    board.fails = None
    today = report(store, books(arr=50_000))
    assert post(store, today, board) == "posted"
    with store.reading() as reader:
        (kept,) = reader.published("test")
    assert kept.digest == (today.frozen.digest if today.frozen else None)
    assert kept.values.filter(kpi="arr", cut="")["value"].to_list() == [str(170_000_00)]


def test_numbers_that_got_through_unheard_are_the_published_ones(store: Store) -> None:
    board = Board()
    board.crashes = ConnectionAbortedError("killed after it was taken")
    with pytest.raises(ConnectionAbortedError):
        post(store, report(store, books()), board)
    board.crashes = None
    assert post(store, report(store, books(arr=50_000)), board) == "already_posted"
    with store.reading() as reader:
        (kept,) = reader.published("test")
    assert kept.values.filter(kpi="arr", cut="")["value"].to_list() == [str(180_000_00)]


def test_a_digest_stands_for_the_numbers_whenever_they_were_computed(store: Store) -> None:
    one, same = report(store, books()), report(store, books(), known="2026-06-06")
    other = report(store, books(arr=60_001))
    assert one.frozen is not None
    assert same.frozen is not None
    assert other.frozen is not None
    assert one.frozen.known_at + timedelta(days=1) == same.frozen.known_at
    assert one.frozen.values.filter(pl.col("kpi") == "arr").equals(
        same.frozen.values.filter(pl.col("kpi") == "arr")
    )
    assert one.frozen.digest != other.frozen.digest
