"""The HubSpot source against a simulated portal, over real sockets: everything it reads, and how it goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.schema import TABLES
from connectors.simulator.company import Company, Parameters
from connectors.simulator.hubspot import HubSpotPortal, record_id, stage_id
from connectors.simulator.server import Simulator
from connectors.simulator.world import Life
from tests.contract.hubspot_source_store import Store, connect, different, fresh, rows, sync

WORLD = Company(Parameters("hr_tech", date(2026, 6, 1), seed=11, accounts=20, deals=160, months=16))
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def still() -> Iterator[Simulator]:
    """A portal whose clock nobody moves."""
    with Simulator(HubSpotPortal(WORLD, now=WORLD.as_of)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def first(still: Simulator) -> Store:
    return fresh(still)


@pytest.fixture
def moving() -> Iterator[Simulator]:
    """A portal of one test's own."""
    with Simulator(HubSpotPortal(WORLD, now=WORLD.as_of)) as simulator:
        yield simulator


def _state(life: Life, now: int) -> dict[str, Any] | None:
    """A neutral record as the generator tells it; None when it is not there."""
    state: dict[str, Any] = {}
    status = ""
    for event in life.events:
        if event.at <= now:
            state |= event.values
            status = event.op if event.op not in ("set", "restore") else "live"
    return state if status in ("create", "live") else None


def _local_day(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, NEW_YORK).date()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _lives(kind: str, now: int) -> Iterator[tuple[Life, dict[str, Any]]]:
    for life in WORLD.lives():
        if life.kind == kind and (state := _state(life, now)) is not None:
            yield life, state


def test_deals_are_those_of_the_generator(still: Simulator, first: Store) -> None:
    portal = still.crm
    assert isinstance(portal, HubSpotPortal)
    expected = {
        (portal.current_id("deal", life.key),): {
            "name": state["name"] or None,
            "account_id": portal.current_id("account", state["account"]) if state.get("account") else None,
            "owner_id": portal.current_id("user", state["owner"]) if state.get("owner") else None,
            "stage": stage_id(state["stage"]) if state.get("stage") else None,
            "amount": state.get("amount"),
            "currency": state.get("currency") or None,
            "close_date": _day(state.get("close_date")),
            "probability": state.get("probability"),
            "forecast_category": state.get("forecast_category"),
            "type": state.get("type") or None,
            "lead_source": state.get("lead_source") or None,
            "next_step": state.get("next_step") or None,
            "loss_reason": state.get("loss_reason") or None,
            "arr": state.get("arr"),
            "term_months": state.get("term_months"),
            "start_date": _day(state.get("start_date")),
            "first_meeting_at": _day(state.get("first_meeting")),
            "pilot": state.get("pilot"),
            "pilot_converted": _day(state.get("pilot_converted")),
            "created_at": datetime.fromtimestamp(life.events[0].at, UTC),
        }
        for life, state in _lives("deal", portal.now)
    }
    found = first.live("deals")
    assert len(expected) > 100
    assert found.keys() == expected.keys()
    for key, wanted in expected.items():
        assert {name: found[key][name] for name in wanted} == wanted


def test_history_is_that_of_the_generator(still: Simulator, first: Store) -> None:
    """Every change of stage, amount, close date, forecast category and owner, and none besides."""
    portal = still.crm
    assert isinstance(portal, HubSpotPortal)
    fields: dict[str, tuple[str, Callable[[Any], str]]] = {
        "stage": ("stage", stage_id),
        "amount": ("amount", str),
        "close_date": ("close_date", str),
        "forecast_category": ("forecast_category", str),
        "owner_id": ("owner", lambda key: record_id("user", key)),
    }
    expected: dict[tuple[str, str], list[tuple[datetime, str | None, str | None]]] = defaultdict(list)
    for life, _ in _lives("deal", portal.now):
        deal = portal.current_id("deal", life.key)
        held: dict[str, str | None] = dict.fromkeys(fields)
        for event in life.events:
            if event.at > portal.now:
                break
            for name, (neutral, write) in fields.items():
                if neutral not in event.values:
                    continue
                raw = event.values[neutral]
                value = None if raw is None else write(raw)
                if value != held[name]:
                    moment = datetime.fromtimestamp(event.at, UTC)
                    expected[deal, name].append((moment, held[name], value))
                    held[name] = value
    found: dict[tuple[str, str], list[tuple[datetime, str | None, str | None]]] = defaultdict(list)
    for row in sorted(first.live("deal_changes").values(), key=lambda row: (row["changed_at"], row["seq"])):
        assert row["origin"] == "crm_history"
        found[row["deal_id"], row["field"]].append((row["changed_at"], row["old_value"], row["new_value"]))
    assert sum(map(len, expected.values())) > 500
    assert found == expected


def test_people_are_contacts_and_leads(still: Simulator, first: Store) -> None:
    """A contact that was a lead is one HubSpot record and is in both tables, tied together by its id."""
    portal = still.crm
    assert isinstance(portal, HubSpotPortal)
    expected_leads = {}
    for life, state in _lives("lead", portal.now):
        converted = state.get("converted")
        expected_leads[(portal.current_id("lead", life.key),)] = {
            "created_at": datetime.fromtimestamp(life.events[0].at, UTC),
            "mql_at": _day(state.get("mql_at")),
            "sql_at": _day(state.get("sql_at")),
            "converted_at": _day(converted),
            "converted_account_id": portal.current_id("account", state["account"]) if converted else None,
            "converted_deal_id": portal.current_id("deal", state["deal"]) if converted else None,
            "source": state.get("source") or None,
        }
    found = first.live("leads")
    contacts = {(portal.current_id("contact", life.key),) for life, _ in _lives("contact", portal.now)}
    assert found.keys() == expected_leads.keys()
    deals = first.live("deals")
    for key, wanted in expected_leads.items():
        if (wanted["converted_deal_id"],) not in deals:  # deleted since
            del wanted["converted_deal_id"]
        assert {name: found[key][name] for name in wanted} == wanted
    assert first.live("contacts").keys() == contacts
    both = contacts & found.keys()
    assert both
    assert all(found[key]["converted_contact_id"] == key[0] for key in both)


def test_other_tables_are_complete(still: Simulator, first: Store) -> None:
    portal = still.crm
    assert isinstance(portal, HubSpotPortal)
    for kind, table in (("account", "accounts"), ("line_item", "line_items"), ("meeting", "meetings")):
        expected = {(portal.current_id(kind, life.key),) for life, _ in _lives(kind, portal.now)}  # type: ignore[arg-type]  # names of kinds
        assert first.live(table).keys() == expected, table
    for life, state in _lives("line_item", portal.now):
        row = first.live("line_items")[(portal.current_id("line_item", life.key),)]
        wanted = (
            portal.current_id("deal", state["deal"]),
            state["amount"],
            state["unit_price"],
            state["kind"],
        )
        assert (row["deal_id"], row["amount"], row["unit_price"], row["kind"]) == wanted
    for life, state in _lives("contact", portal.now):
        row = first.live("contacts")[(portal.current_id("contact", life.key),)]
        assert row["last_activity_at"] == _day(state.get("last_activity"))
        assert bool(row["bounced"]) == bool(state.get("bounced"))
    users = {life.key: state for life, state in _lives("user", portal.now)}
    owners = first.live("owners")
    assert {row["active"] for row in owners.values()} == {True, False}
    assert {(record_id("user", key),) for key in users} == owners.keys()
    stages = first.live("stages")
    listed = {("default", stage_id(stage.name)): stage for stage in WORLD.stages if stage.active}
    assert stages.keys() == listed.keys()
    for name, stage in listed.items():
        row = stages[name]
        assert (row["is_closed"], row["is_won"], row["probability"]) == (
            stage.closed,
            stage.won,
            stage.probability,
        )
    rates = [life.events[0].values for life in WORLD.lives() if life.kind == "rate"]
    assert {
        (rate["currency"], _day(rate["start_date"])) for rate in rates if rate["currency"] != "USD"
    } >= set(first.live("exchange_rates"))


def test_frames_are_canonical_and_nothing_is_rejected(still: Simulator) -> None:
    source = connect(still)
    pages = sync(source, Store())
    assert all(frame.schema == TABLES[table] for page in pages for table, frame in page.frames.items())
    assert sum(page.rejects.height for page in pages) == 0
    source.close()


def test_capabilities(still: Simulator) -> None:
    source = connect(
        still,
        fields={"deals": {"arr": "contract_arr", "motion": "no_such_property"}},
        custom={"deals": {"route": "also_missing", "kind": "dealtype"}},
    )
    found = source.capabilities()
    deals = found.fields["deals"]
    assert found.home_currency == "USD"
    assert (deals["arr"].state, deals["arr"].crm_field) == ("mapped", "contract_arr")
    assert (deals["motion"].state, deals["motion"].crm_field) == ("hidden", "no_such_property")
    assert "fields.deals.motion" in (deals["motion"].remedy or "")
    assert deals["pilot"].state == "unmapped"
    assert deals["account_id"].state == "mapped"
    assert found.history == {"stage", "amount", "close_date", "forecast_category", "owner_id"}
    assert found.links["deals"] == "https://app.hubspot.com/contacts/24680135/record/0-3/{id}"
    assert any("also_missing" in note and "fields.custom.deals.route" in note for note in found.notes)
    assert found.records["deals"] > 100
    assert source.capabilities() is found
    store = Store()
    sync(source, store, ["deals"])
    assert {row["custom"] for row in store.live("deals").values()} >= {'{"kind":"New Business"}'}
    source.close()


@pytest.mark.parametrize(
    "options",
    [{"api_version": "2026-09"}, {"url_limit": 250}, {"page_size": 7}],
    ids=lambda options: next(iter(options)),
)
def test_other_ways_of_reading_find_the_same(
    still: Simulator, first: Store, options: Mapping[str, Any]
) -> None:
    """Dated paths; too many properties for a URL; small pages."""
    assert different(fresh(still, options=options), first) == {}


def test_amounts_are_read_in_their_currency_and_noise_is_rounded_off(first: Store) -> None:
    currencies = {row["currency"] for row in first.live("deals").values()}
    assert {"USD", "EUR", "GBP"} <= currencies


# ---- increments


def test_a_second_pass_over_an_unchanged_portal_changes_nothing(moving: Simulator) -> None:
    store = fresh(moving)
    before = store.everything()
    source = connect(moving)
    pages = sync(source, store)
    assert store.everything() == before
    assert sum(1 for _ in rows(pages, "deals")) < 20  # what the overlap reads again
    source.close()


def test_increments_end_where_a_fresh_sync_does(moving: Simulator) -> None:
    """Hours, days and weeks later, with merges, deletions, restorations and purges in between."""
    store = fresh(moving)
    source = connect(moving)
    for step in (timedelta(hours=5), timedelta(days=2), timedelta(days=30), timedelta(days=25)):
        moving.advance(moving.now + step)
        sync(source, store)
        assert different(store, fresh(moving)) == {}
    source.close()


def test_only_what_changed_is_read(moving: Simulator) -> None:
    store = fresh(moving)
    moving.advance(moving.now + timedelta(days=3))
    source = connect(moving)
    pages = sync(source, store, ["deals"])
    delivered = {row["external_id"] for row in rows(pages, "deals")}
    changed = {
        key[0]
        for key, row in store.rows["deals"].items()
        if max(row["modified_at"], row["deleted_at"] or row["modified_at"])
        >= moving.now - timedelta(days=3, minutes=6)
    }
    assert delivered
    assert delivered <= changed
    histories = {row["deal_id"] for row in rows(pages, "deal_changes")}
    assert histories <= delivered
    assert not [
        request for request in moving.requests.latest if "after=" in request.path and "search" in request.path
    ]
    source.close()


def test_since_reads_again_from_then_on_and_leaves_no_gap(moving: Simulator) -> None:
    store = fresh(moving)
    source = connect(moving)
    moving.advance(moving.now + timedelta(days=20))
    since = moving.now - timedelta(days=2)
    sync(source, store, since=since)  # the first eighteen days were not read either: they are now
    assert different(store, fresh(moving)) == {}
    older = moving.now - timedelta(days=60)
    pages = sync(source, store, ["deals"], since=older)
    again = {row["external_id"] for row in rows(pages, "deals") if row["deleted_at"] is None}
    expected = {key[0] for key, row in store.live("deals").items() if row["modified_at"] >= older}
    assert again == expected
    source.close()


# ---- resuming


@pytest.mark.parametrize("stream", ["accounts", "contacts", "deals", "line_items", "meetings"])
def test_resuming_from_any_page_of_a_complete_pass_finds_the_same(
    still: Simulator, first: Store, stream: str
) -> None:
    pages = list(_pages(still, Store(), stream))
    for stopped in range(1, len(pages)):
        store = Store()
        for page in pages[:stopped]:
            store.take(stream, page)
        resumed = list(_pages(still, store, stream))
        assert resumed[-1].live_ids is not None
        for page in resumed:
            store.take(stream, page)
        for table in store.rows:
            assert store.live(table) == first.live(table), f"stopped after page {stopped}"
    assert len(pages) >= 2


@pytest.mark.parametrize("stream", ["accounts", "contacts", "deals", "meetings"])
def test_resuming_from_any_page_of_an_increment_finds_the_same(moving: Simulator, stream: str) -> None:
    base = list(_pages(moving, Store(), stream))
    moving.advance(moving.now + timedelta(days=30))
    started = _taken(stream, base)
    pages = list(_pages(moving, started, stream))
    wanted = fresh(moving)
    for stopped in range(len(pages)):
        store = _taken(stream, [*base, *pages[:stopped]])
        for page in _pages(moving, store, stream):
            store.take(stream, page)
        for table in store.rows:
            assert store.live(table) == wanted.live(table), f"stopped after page {stopped}"


def test_a_pass_resumed_much_later_goes_on_to_the_present(moving: Simulator) -> None:
    pages = list(_pages(moving, Store(), "deals"))
    store = _taken("deals", pages[:2])
    moving.advance(moving.now + timedelta(days=30))
    resumed = list(_pages(moving, store, "deals"))
    for page in resumed:
        store.take("deals", page)
    assert [page.last for page in resumed].count(True) == 1
    wanted = fresh(moving)
    assert store.live("deals") == wanted.live("deals")
    assert store.live("deal_changes") == wanted.live("deal_changes")


def _pages(simulator: Simulator, store: Store, name: str) -> Iterator[Any]:
    source = connect(simulator, options={"page_size": 8})
    stream = next(stream for stream in source.streams() if stream.name == name)
    yield from source.read(stream, store.cursors.get(name))
    source.close()


def _taken(name: str, pages: list[Any]) -> Store:
    store = Store()
    for page in pages:
        store.take(name, page)
    return store
