"""A pass over a CRM, on both databases, with a fake source of our own protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from connectors.errors import (
    ConfigurationError,
    CredentialError,
    QuotaExhausted,
    SourceError,
    StreamUnavailable,
    UnreachableError,
)
from connectors.schema import REJECTS
from connectors.source import FieldState
from pipeline.company import Company
from pipeline.store import Store
from pipeline.sync import SyncSummary, sync_company
from tests.contract.fake_source import (
    ACCOUNTS,
    CAPABILITIES,
    CONTACTS,
    DEALS,
    OWNERS,
    RATES,
    FakeSource,
    page,
)
from tests.contract.test_load import content
from tests.rows import NOW, frame

ACME = Company(name="acme", timezone="Europe/Berlin")
OTHER = Company(name="globex", timezone="Europe/Berlin")


def source(**options: Any) -> FakeSource:
    accounts = [
        page(accounts=frame("accounts", [{"external_id": f"a{n}", "name": f"A{n}"}])) for n in range(3)
    ]
    deals = page(
        deals=frame(
            "deals", [{"external_id": "d", "account_id": "a0", "created_at": "2026-01-01", "currency": " "}]
        ),
        deal_changes=frame(
            "deal_changes", [{"deal_id": "d", "field": "stage", "changed_at": "2026-01-01", "seq": 0}]
        ),
    )
    script = {
        OWNERS: [page(owners=frame("owners", [{"external_id": "o"}]))],
        ACCOUNTS: accounts,
        DEALS: [deals],
    }
    return FakeSource(script, **options)


class Clock:
    """Each look at it is a second later."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def sync(store: Store, one: FakeSource, company: Company = ACME, **options: Any) -> SyncSummary:
    return sync_company(store, one, company, clock=Clock(), **options)


def statuses(summary: SyncSummary) -> dict[str, str]:
    return {run.stream: run.status for run in summary.runs}


def test_a_second_sync_changes_nothing(store: Store) -> None:
    first = sync(store, source())
    assert (first.status, first.changed, first.error) == ("ok", 6, None)
    before = content(store)
    assert before["findings"] != []
    again = source()
    second = sync(store, again)
    assert (second.status, second.changed) == ("ok", 0)
    assert content(store) == before
    assert again.asked == [("owners", {"next": 1}), ("accounts", {"next": 3}), ("deals", {"next": 1})]


def test_values_are_normalised_on_the_way(store: Store) -> None:
    sync(store, source())
    assert store.frame("acme", "deals")["currency"].to_list() == ["EUR"]


def test_the_summary_has_the_documented_shape(store: Store) -> None:
    document = sync(store, source()).as_json()
    run = document["runs"][1]
    assert {
        key: run[key] for key in ("company", "stream", "status", "rows", "changed", "deleted", "quarantined")
    } == {
        "company": "acme",
        "stream": "accounts",
        "status": "ok",
        "rows": 3,
        "changed": 3,
        "deleted": 0,
        "quarantined": 0,
    }
    assert run["requests"] == 3
    assert run["seconds"] >= 0
    assert run["cursor"] == {"next": 3}


def test_one_streams_failure_hides_nothing_and_is_no_success(store: Store) -> None:
    broken = source(faults={("accounts", 1): SourceError("accounts: strange answer; report it")})
    summary = sync(store, broken)
    assert statuses(summary) == {"owners": "ok", "accounts": "failed", "deals": "ok"}
    assert summary.status == "failed"
    assert summary.error is not None
    assert summary.error.exit_status == 1
    assert "accounts failed" in str(summary.error)
    assert store.frame("acme", "accounts").height == 1, "the page before the fault is kept"
    failed = next(run for run in store.runs("acme") if run.stream == "accounts")
    assert (failed.status, failed.error, failed.remedy) == ("failed", "accounts: strange answer", "report it")

    mended = source()
    assert sync(store, mended).status == "ok"
    assert mended.asked[1] == ("accounts", {"next": 1}), "it goes on after the last committed page"
    assert store.frame("acme", "accounts").height == 3


@pytest.mark.parametrize(
    "error", [CredentialError("no"), QuotaExhausted("spent"), ConfigurationError("wrong")]
)
def test_a_fatal_error_stops_the_company(store: Store, error: Exception) -> None:
    broken = source(faults={("accounts", 0): error})
    summary = sync(store, broken)
    assert statuses(summary) == {"owners": "ok", "accounts": "failed", "deals": "stopped"}
    assert summary.error is error
    assert [name for name, _ in broken.asked] == ["owners", "accounts"]


def test_when_nothing_could_be_read_the_error_is_the_sources_own(store: Store) -> None:
    away = UnreachableError("the CRM does not answer")
    summary = sync(store, source(faults={(name, 0): away for name in ("owners", "accounts", "deals")}))
    assert summary.error is away


def test_a_crm_that_cannot_be_asked_is_noted(store: Store) -> None:
    refusal = CredentialError("wrong token; renew it")
    summary = sync(store, source(refusal=refusal))
    assert statuses(summary) == {"connect": "failed"}
    assert summary.error is refusal
    assert [(run.stream, run.status, run.error) for run in store.runs("acme")] == [
        ("connect", "failed", "wrong token")
    ]
    assert store.source_info("acme") is None


def test_an_object_that_is_not_there_is_skipped_and_named(store: Store) -> None:
    one = source()
    one = replace(
        one,
        script={**one.script, RATES: [page()]},
        faults={("exchange_rates", 0): StreamUnavailable("one currency")},
    )
    summary = sync(store, one)
    assert statuses(summary)["exchange_rates"] == "skipped"
    assert (summary.status, summary.error) == ("ok", None)
    assert store.runs("acme")[0].error == "one currency"


@pytest.mark.parametrize("as_event", [True, False])
def test_stopped_between_pages_it_goes_on_there(store: Store, as_event: bool) -> None:
    event = threading.Event()
    pages: list[tuple[str, int, int | None]] = []

    def progress(*step: Any) -> None:
        pages.append(step)
        if step[:2] == ("accounts", 2):
            event.set()

    stop: threading.Event | Callable[[], bool] = event if as_event else event.is_set
    summary = sync(store, source(), stop=stop, on_progress=progress)
    assert statuses(summary) == {"owners": "ok", "accounts": "stopped", "deals": "stopped"}
    assert (summary.status, summary.error) == ("stopped", None)
    assert pages == [("owners", 1, 1), ("accounts", 1, 3), ("accounts", 2, 3)]
    kept = store.cursors("acme")["accounts"]
    assert (kept.cursor, kept.complete) == ({"next": 2}, False)

    sync(store, source())
    interrupted = content(store)
    with store.transaction() as tx:
        tx.forget_cursors("acme", "fake", ["owners", "accounts", "deals"])
    sync(store, source(), full=True)
    assert content(store) == interrupted


def test_full_reads_everything_and_only_reads_what_is_named(store: Store) -> None:
    sync(store, source())
    again = source()
    sync(store, again, full=True, only=["accounts"])
    assert again.asked == [("accounts", None)]
    with pytest.raises(ConfigurationError, match="no stream quotas; it has owners, accounts, deals"):
        sync(store, source(), only=["quotas"])


def test_a_changed_mapping_reads_again_what_it_touches(store: Store) -> None:
    sync(store, source())
    fields = {"deals": {"amount": FieldState("mapped", "Amount__c")}}
    remapped = source(shown=replace(CAPABILITIES, fields=fields))
    sync(store, remapped)
    again = {name: cursor is None for name, cursor in remapped.asked}
    assert again == {"owners": False, "accounts": False, "deals": True}
    moved = source(shown=replace(CAPABILITIES, fields=fields))
    sync(store, moved, ACME.model_copy(update={"timezone": "UTC"}))
    assert {cursor is None for _, cursor in moved.asked} == {True}
    same = source(shown=replace(CAPABILITIES, fields=fields, notes=("news",)))
    sync(store, same, ACME.model_copy(update={"timezone": "UTC"}))
    assert {cursor is None for _, cursor in same.asked} == {False}


def test_what_was_set_aside_goes_with_the_column(store: Store) -> None:
    """The deal is not delivered again when its field is no longer read, so nothing else would take it out."""
    fields = {"deals": {name: FieldState("mapped", f"{name}__c") for name in ("arr", "term_months")}}
    cells = [
        ("deals", "d", "arr", "5k"), ("deals", "d", "term_months", "a year"), ("deal_changes", "d", "arr", "4k"),
        ("accounts", "a0", "arr", "5k"),
    ]  # fmt: skip
    rejects = pl.DataFrame([(*cell, "no number") for cell in cells], schema=REJECTS, orient="row")
    for company in (ACME, OTHER):
        one = source(shown=replace(CAPABILITIES, fields=fields))
        one.script = {**one.script, DEALS: [replace(one.script[DEALS][0], rejects=rejects)]}
        sync(store, one, company)
        assert store.quarantine(company.name).height == len(cells)
    unread = {"deals": {**fields["deals"], "arr": FieldState("unmapped")}}
    sync(store, source(shown=replace(CAPABILITIES, fields=unread)))
    left = store.quarantine("acme").select("table", "field").rows()
    assert sorted(left) == [("accounts", "arr"), ("deals", "term_months")]
    assert store.quarantine(OTHER.name).height == len(cells)


def test_an_answer_without_an_end_is_a_failure(store: Store) -> None:
    class Endless(FakeSource):
        def read(self, *arguments: Any, **named: Any) -> Any:
            return (replace(one, last=False) for one in super().read(*arguments, **named))

    summary = sync(store, Endless({CONTACTS: [page()]}))
    assert statuses(summary) == {"contacts": "failed"}
    assert "ended before its last page" in str(summary.error)


def test_runs_of_a_killed_process_are_not_running_any_more(store: Store) -> None:
    with store.transaction() as tx:
        tx.start_run("acme", "fake", "deals", NOW)
    sync(store, source())
    assert [run.status for run in store.runs("acme")] == ["ok", "ok", "ok", "stopped"]


def test_an_empty_crm_is_a_success(store: Store) -> None:
    summary = sync(store, FakeSource({ACCOUNTS: [page()], DEALS: [page(deals=frame("deals"))]}))
    assert (summary.status, summary.changed) == ("ok", 0)
    assert store.frame("acme", "deals").is_empty()
    assert store.source_info("acme") is not None
