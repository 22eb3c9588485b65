"""What becomes of HubSpot records that end: merged, deleted, restored, deleted for good. One life at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.simulator.hubspot import HubSpotPortal, record_id
from connectors.simulator.server import Simulator
from connectors.simulator.world import Event, Kind, Life, Op, Stage
from connectors.source import Page
from tests.contract.hubspot_source_store import Store, connect, different, fresh, sync

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Small:
    """A world of few lives."""

    listed: tuple[Life, ...]
    name: str = "Small"
    timezone: str = "America/New_York"
    home_currency: str = "USD"
    start: date = date(2026, 1, 1)
    end: date = date(2027, 1, 1)
    stages: tuple[Stage, ...] = (
        Stage("Discovery", 1, 0.1, "pipeline"),
        Stage("Closed Won", 2, 1.0, "closed", closed=True, won=True),
    )

    def lives(self) -> Iterator[Life]:
        return iter(self.listed)


def on(day: int, op: Op = "set", **values: Any) -> Event:
    """An event at noon, ``day`` days after the start of March (before it when negative)."""
    return Event(int((START + timedelta(days=day, hours=12)).timestamp()), op, values)


def at(day: int) -> datetime:
    return START + timedelta(days=day, hours=12)


def life(kind: Kind, key: int, *events: Event) -> Life:
    return Life(kind, key, events)


USER = life(
    "user", 1, on(-50, "create", first_name="Ada", last_name="Long", email="ada@x.example", active=True)
)
ACME = life("account", 1, on(-40, "create", name="Acme"))
DEAL = {
    "name": "One",
    "stage": "Discovery",
    "amount": 1_000,
    "account": 1,
    "owner": 1,
    "close_date": "2026-05-01",
}


@contextmanager
def served(*lives: Life) -> Iterator[Simulator]:
    with Simulator(HubSpotPortal(Small((USER, ACME, *lives)), now=int(START.timestamp()))) as simulator:
        yield simulator


def later(simulator: Simulator, store: Store, day: int, **options: Any) -> list[Page]:
    """Move the clock to a day and read what is new."""
    simulator.advance(START + timedelta(days=day))
    source = connect(simulator, options=options)
    pages = sync(source, store)
    source.close()
    return pages


def test_a_merge_leaves_tombstones_that_name_the_survivor_and_redirects_what_points_at_it() -> None:
    """HubSpot gives the survivor a new id, and does not touch what is associated with it."""
    with served(
        life("account", 2, on(-30, "create", name="Acme Inc."), on(5, "merge", into=1)),
        life("deal", 1, on(-20, "create", **DEAL)),
        life("deal", 2, on(-20, "create", **{**DEAL, "account": 2}), on(5, account=1)),
        life(
            "meeting",
            1,
            on(-10, "create", account=1, deal=1, subject="Call", starts_at=1, ends_at=2),
            on(-9, completed=True),
        ),
    ) as simulator:
        store = fresh(simulator)
        old, absorbed = record_id("account", 1), record_id("account", 2)
        assert store.live("accounts").keys() == {(old,), (absorbed,)}
        pages = later(simulator, store, 10, relist_hours=1_000)
        survivor = record_id("account", 1, merges=1)
        told = {
            row["external_id"]: (row["deleted_at"], row["merged_into"])
            for page in pages
            for row in page.tombstones.iter_rows(named=True)
        }
        assert told == {old: (at(5), survivor), absorbed: (at(5), survivor)}
        assert store.live("accounts").keys() == {(survivor,)}
        assert {row["account_id"] for row in store.live("deals").values()} == {survivor}
        assert {row["account_id"] for row in store.live("meetings").values()} == {survivor}
        assert different(store, fresh(simulator)) == {}


def test_merges_of_merges_name_the_time_of_each() -> None:
    with served(
        life("contact", 1, on(-30, "create", first_name="A", account=1)),
        life("contact", 2, on(-30, "create", first_name="B", account=1), on(3, "merge", into=1)),
        life("contact", 3, on(-30, "create", first_name="C", account=1), on(6, "merge", into=1)),
    ) as simulator:
        store = fresh(simulator)
        later(simulator, store, 10)
        survivor = record_id("contact", 1, merges=2)
        ends = {
            key[0]: (row["deleted_at"], row["merged_into"])
            for key, row in store.rows["contacts"].items()
            if row["deleted_at"]
        }
        assert ends == {
            record_id("contact", 1): (at(3), survivor),
            record_id("contact", 2): (at(3), survivor),
            record_id("contact", 3): (at(6), survivor),
        }
        assert store.live("contacts").keys() == {(survivor,)}


def test_a_deleted_deal_is_a_row_with_its_end_and_its_whole_history() -> None:
    moves = [on(day, amount=1_000 + day) for day in range(-15, 0)]
    with served(life("deal", 1, on(-20, "create", **DEAL), *moves, on(4, "delete"))) as simulator:
        store = fresh(simulator)
        before = dict(store.rows["deal_changes"])
        later(simulator, store, 10)
        row = store.rows["deals"][(record_id("deal", 1),)]
        assert row["deleted_at"] == at(4)
        assert row["account_id"] == record_id("account", 1)
        assert store.rows["deal_changes"] == before
        anew = fresh(simulator)
        assert anew.rows["deals"] == store.rows["deals"]
        assert len(anew.rows["deal_changes"]) == len(before) == 4 + 15  # the listing alone tells one each


def test_what_a_deleted_record_was_associated_with_is_not_forgotten() -> None:
    """HubSpot no longer tells; a row read before the deletion keeps it."""
    line = {"deal": 1, "quantity": 2.0, "unit_price": 500, "amount": 1_000, "currency": "USD"}
    with served(
        life("deal", 1, on(-20, "create", **DEAL)),
        life("line_item", 1, on(-19, "create", **line), on(4, "delete")),
        life("line_item", 2, on(2, "create", **line), on(3, "delete")),
        life("lead", 1, on(-9, "create", first_name="Li", email="li@x.example"), on(4, "delete")),
    ) as simulator:
        store = fresh(simulator)
        later(simulator, store, 10)
        known = store.rows["line_items"][(record_id("line_item", 1),)]
        assert (known["deleted_at"], known["deal_id"]) == (at(4), record_id("deal", 1))
        unknown = store.rows["line_items"][(record_id("line_item", 2),)]
        assert (unknown["deleted_at"], unknown["deal_id"], unknown["amount"]) == (at(3), None, 1_000)
        assert store.rows["leads"][(record_id("lead", 1),)]["deleted_at"] == at(4)
        assert store.live("line_items") == {}


def test_a_deletion_is_told_once() -> None:
    with served(life("deal", 1, on(-20, "create", **DEAL), on(-5, "delete"))) as simulator:
        store = fresh(simulator)
        assert [row["deleted_at"] for row in store.rows["deals"].values()] == [at(-5)]
        pages = later(simulator, store, 3)
        assert sum(page.frames["deals"].height for page in pages if "deals" in page.frames) == 0
        assert [row["deleted_at"] for row in store.rows["deals"].values()] == [at(-5)]


def test_a_restored_record_is_live_again_as_soon_as_it_leaves_the_bin() -> None:
    with served(life("deal", 1, on(-20, "create", **DEAL), on(-5, "delete"), on(4, "restore"))) as simulator:
        store = fresh(simulator)
        assert not store.live("deals")
        pages = later(simulator, store, 10)
        assert store.live("deals").keys() == {(record_id("deal", 1),)}
        from_bin = [page for page in pages if page.cursor.get("phase") == "bin" and "deals" in page.frames]
        assert [page.frames["deals"]["external_id"].to_list() for page in from_bin] == [
            [record_id("deal", 1)]
        ]
        assert different(store, fresh(simulator)) == {}


def test_what_is_deleted_for_good_is_missed_by_the_next_complete_listing() -> None:
    with served(
        life("contact", 1, on(-30, "create", first_name="A", account=1), on(4, "purge")),
        life("contact", 2, on(-30, "create", first_name="B", account=1)),
    ) as simulator:
        store = fresh(simulator)
        pages = later(simulator, store, 5, relist_hours=1_000)
        assert all(page.live_ids is None for page in pages)
        assert (record_id("contact", 1),) in store.live("contacts")  # nothing tells yet
        pages = later(simulator, store, 6)
        assert sum(page.live_ids is not None for page in pages) == 5  # every object, after a day
        assert store.live("contacts").keys() == {(record_id("contact", 2),)}
        again = later(simulator, store, 6)
        assert all(page.live_ids is None for page in again)  # not before another day has passed


def test_a_cleared_value_is_null_and_its_history_says_when() -> None:
    with served(
        life("deal", 1, on(-20, "create", **DEAL), on(-9, amount=None), on(-3, amount=70))
    ) as simulator:
        store = fresh(simulator)
        told = [
            (row["changed_at"], row["old_value"], row["new_value"])
            for row in store.rows["deal_changes"].values()
            if row["field"] == "amount"
        ]
        assert told == [(at(-20), None, "1000"), (at(-9), "1000", None), (at(-3), None, "70")]


def test_an_empty_portal_is_read_without_a_hitch() -> None:
    with Simulator(HubSpotPortal(Small(()), now=int(START.timestamp()))) as simulator:
        store = fresh(simulator)
        assert {table: len(store.live(table)) for table in ("deals", "accounts", "leads", "owners")} == {
            "deals": 0,
            "accounts": 0,
            "leads": 0,
            "owners": 0,
        }
        assert len(store.live("stages")) == 2
        pages = later(simulator, store, 3)
        assert all(page.frames.get("deals") is None or page.frames["deals"].is_empty() for page in pages)
