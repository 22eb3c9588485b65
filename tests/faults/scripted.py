"""A company whose CRM gives a few pages, twice: what must be the same however often a sync is killed on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import select

from connectors.schema import REJECTS, TOMBSTONES
from connectors.source import Page, Stream
from pipeline.company import Company
from pipeline.store import Store
from pipeline.sync import SyncSummary, sync_company
from pipeline.tables import METADATA
from tests.contract.fake_source import ACCOUNTS, CONTACTS, DEALS, OWNERS, STAGES, FakeSource, page
from tests.rows import NOW, frame

ACME = Company(name="acme", timezone="Europe/Berlin")
LATER = NOW + timedelta(days=1)
Script = dict[Stream, list[Page]]

# Says which process did something and how long it took, not what the CRM holds.
OF_THE_RUN_ONLY = {
    "runs": {"id", "started_at", "finished_at", "rows", "changed", "requests", "seconds", "error"}
}


def deals(numbers: range, day: int, version: int) -> Page:
    """A page of deals as they are on a day of 2026, with the history of each."""
    stages = ("discovery", "proposal", "won")
    moments = [f"2026-01-{turn + 1:02}" for turn in range(version + 1)]
    changes = [
        {
            "deal_id": f"d{n}",
            "field": "stage",
            "changed_at": moment,
            "seq": 0,
            "old_value": stages[turn - 1] if turn else None,
            "new_value": stages[turn],
            "origin": "crm_history",
        }
        for n in numbers
        for turn, moment in enumerate(moments)
    ]
    rows = [
        {
            "external_id": f"d{n}",
            "account_id": f"a{n % 4}",
            "owner_id": "o1",
            "created_at": "2026-01-01",
            "modified_at": f"2026-02-{day:02}",
            "pipeline": "default",
            "stage": stages[version],
            "amount": n * 100 + version,
            "close_date": "2026-03-31",
        }
        for n in numbers
    ]
    return page(deals=frame("deals", rows), deal_changes=frame("deal_changes", changes))


def accounts(numbers: range, version: int) -> Page:
    rows = [
        {
            "external_id": f"a{n}",
            "name": f"A{n}",
            "industry": f"i{version}",
            "modified_at": f"2026-02-{version + 1:02}",
        }
        for n in numbers
    ]
    return page(accounts=frame("accounts", rows))


def layout(*names: str) -> Page:
    rows = [
        {"pipeline": "default", "stage": name, "label": name.title(), "sort_order": at, "active": True}
        | {"is_closed": name == "won", "is_won": name == "won"}
        for at, name in enumerate(names)
    ]
    return page(stages=frame("stages", rows))


def script() -> tuple[Script, Script]:
    """What the CRM gives on the first day, and that with what it gives on the next."""
    people = [{"external_id": f"c{n}", "account_id": f"a{n % 4}", "email": "x@example.com"} for n in range(6)]
    first: Script = {
        OWNERS: [page(owners=frame("owners", [{"external_id": "o1", "name": "Ann", "active": True}]))],
        STAGES: [layout("discovery", "proposal", "won")],
        ACCOUNTS: [accounts(range(2), 0), accounts(range(2, 5), 0)],
        CONTACTS: [page(contacts=frame("contacts", people))],
        DEALS: [deals(range(10), 1, 0), _rejecting(deals(range(10, 20), 1, 1)), deals(range(20, 25), 1, 0)],
    }
    merge = {"table": "accounts", "external_id": "a3", "deleted_at": NOW, "merged_into": "a0"}
    gone = {"table": "deals", "external_id": "d4", "deleted_at": NOW, "merged_into": None}
    next_day: Script = {
        OWNERS: [page(owners=frame("owners", [{"external_id": "o2", "name": "Bob", "active": True}]))],
        STAGES: [layout("discovery", "offer", "won")],
        ACCOUNTS: [replace(accounts(range(3), 1), tombstones=pl.DataFrame([merge], schema=TOMBSTONES))],
        CONTACTS: [replace(page(), live_ids={"contacts": pl.Series(["c0", "c1", "c2"])})],
        DEALS: [
            replace(deals(range(5, 15), 2, 2), tombstones=pl.DataFrame([gone], schema=TOMBSTONES)),
            deals(range(24, 28), 2, 1),
        ],
    }
    return first, {stream: [*pages, *next_day[stream]] for stream, pages in first.items()}


def _rejecting(one: Page) -> Page:
    reject = {
        "table": "deals",
        "external_id": "d11",
        "field": "close_date",
        "raw": "soon",
        "reason": "no date",
    }
    return replace(one, rejects=pl.DataFrame([reject], schema=REJECTS))


def work(store: Store, company: Company = ACME) -> list[SyncSummary]:
    """Both days' syncs, or what is left of them; each day has one moment on its clock."""
    first, both = script()
    store.renew()
    done = store.again("looking how far it is", lambda: store.source_info(company.name))
    days = [(both, LATER)] if done and not done.incomplete else [(first, NOW), (both, LATER)]
    return [_sync(store, pages, company, now) for pages, now in days]


def work_latest(store: Store, company: Company) -> SyncSummary:
    """One sync, of both days' pages."""
    return _sync(store, script()[1], company, LATER)


def _sync(store: Store, pages: Script, company: Company, now: datetime) -> SyncSummary:
    return sync_company(store, FakeSource(pages), company, clock=lambda: now)


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All tables, row by row in order; of the log of runs, how each stream last ended."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with store.reading() as reader:
        for table in METADATA.sorted_tables:
            columns = [c for c in table.columns if c.name not in OF_THE_RUN_ONLY.get(table.name, ())]
            rows = [tuple(row) for row in reader.connection.execute(select(*columns))]
            found[table.name] = sorted(set(rows), key=repr)
        runs = METADATA.tables["runs"]
        ends = reader.connection.execute(
            select(runs.c.company, runs.c.stream, runs.c.status).order_by(runs.c.id)
        )
        found["runs"] = sorted({(row[0], row[1]): tuple(row) for row in ends}.values())
    return found


def pages_kept(store: Store, company: str = "acme") -> dict[str, int]:
    """Stream -> pages that the store's cursor says it has."""
    return {name: int(state.cursor["next"]) for name, state in store.cursors(company).items()}


def assert_no_half_page(store: Store, company: str = "acme") -> None:
    """Exactly the records of the pages before each cursor are there, no more and no fewer."""
    _, both = script()
    kept = pages_kept(store, company)
    for stream, pages in both.items():
        for name in stream.tables:
            given = [one.frames[name] for one in pages[: kept.get(stream.name, 0)] if name in one.frames]
            key = "deal_id" if name == "deal_changes" else "stage" if name == "stages" else "external_id"
            expected = {str(value) for one in given for value in one[key]}
            assert set(store.frame(company, name, "fake")[key]) == expected, f"{name} beside cursor {kept}"
            if name == "deals":
                amounts = {row["external_id"]: row["amount"] for one in given for row in one.to_dicts()}
                stored = store.frame(company, "deals", "fake")
                assert dict(stored.select("external_id", "amount").iter_rows()) == amounts
