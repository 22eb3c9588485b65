"""The state of records as of a moment, on both databases: what a sync saw then is what the store tells for ever.

A CRM of a few random lives is read at random moments. It hands over the history of a deal's stage and amount, and
nothing else; the rest is what our own comparison noticed.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from connectors.source import FieldState
from metrics.timeline import stage_table
from pipeline import asof
from pipeline.company import Company
from pipeline.states import deals_at, live
from pipeline.store import Store
from pipeline.sync import sync_company
from pipeline.tables import SCHEMAS
from tests.contract.lives import (
    BEGIN,
    LOGGED,
    ODDS,
    Crm,
    Event,
    day,
    edits,
    events,
    fresh,
    happen,
    keys,
    shown,
)  # fmt: skip

NOTICED = (
    "owner_id",
    "account_id",
    "arr",
    "close_date",
    "currency",
    "pilot",
    "probability",
)  # a pilot is in no view, and a view's probability is another matter: see below
HOME = "EUR"  # what a deal without a currency is kept in
COMPANIES = itertools.count(1)


def sync(store: Store, company: str, crm: Crm, **options: Any) -> None:
    done = sync_company(store, crm.source(**options), Company(name=company), full=True, clock=lambda: crm.now)
    assert done.status == "ok", done.error


def frames(store: Store, company: str, at: datetime) -> dict[str, pl.DataFrame]:
    with store.reading() as reader:
        return asof.known_then({name: reader.frame(company, name) for name in SCHEMAS}, at)


def told(store: Store, company: str, at: datetime, fields: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """The deals of a moment as the store tells them."""
    then = frames(store, company, at)
    rows = deals_at(then["deals"], then["deal_changes"], at, at).select("external_id", *fields)
    return {row[0]: row[1:] for row in rows.iter_rows()}


def viewed(store: Store, company: str, moments: list[datetime]) -> dict[datetime, dict[str, tuple[Any, ...]]]:
    """The same by the view ``deals_as_of``; its days are made to end at the moments."""
    days = {BEGIN.date() + timedelta(days=number): at for number, at in enumerate(moments)}
    frame = pl.DataFrame(
        {"day": [*days], "ends_at": [*days.values()]},
        schema={"day": pl.Date, "ends_at": pl.Datetime("us", "UTC")},
    )
    with store.transaction() as tx:
        tx.replace("calendar_days", company, frame)
        columns = "stage, amount_minor, owner_id, account_id, arr_minor, close_date, currency, is_open"
        query = text(f"SELECT day, deal_id, {columns} FROM deals_as_of WHERE company = :company")
        found: dict[datetime, dict[str, tuple[Any, ...]]] = {at: {} for at in moments}
        for row in tx.connection.execute(query, {"company": company}):
            day, close = (
                date.fromisoformat(value) if isinstance(value, str) else value for value in (row[0], row[7])
            )
            found[days[day]][row[1]] = (*row[2:7], close, *row[8:])
    return found


def seen(crm: Crm, fields: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """The deals as the CRM shows them now."""
    return {
        key: tuple(deal.get(name, HOME if name == "currency" else None) for name in fields)
        for key, deal in crm.deals.items()
        if not deal.get("deleted_at")
    }


def seen_accounts(crm: Crm) -> dict[str, Any]:
    return {key: one.get("owner_id") for key, one in crm.accounts.items() if not one.get("deleted_at")}


def seen_layout(crm: Crm) -> dict[str, bool]:
    return {stage: stage not in crm.open_stages for stage in "ABC"}


moved_abroad = edits(keys, {"currency": st.sampled_from(["EUR", "JPY", "KWD"])})
lives = st.lists(st.tuples(events | moved_abroad, st.booleans()), min_size=1, max_size=12)
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(relaxed, max_examples=8)
@given(lives)
def test_what_a_sync_saw_is_what_the_store_tells_of_that_moment(
    store: Store, life: list[tuple[Event, bool]]
) -> None:
    the_store_tells_what_was_seen(store, life)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(relaxed, max_examples=300)
@given(lives)
def test_it_does_so_for_many_more_lives(store: Store, life: list[tuple[Event, bool]]) -> None:
    the_store_tells_what_was_seen(store, life)


def the_store_tells_what_was_seen(store: Store, life: list[tuple[Event, bool]]) -> None:
    often, once = (f"company-{next(COMPANIES)}" for _ in range(2))
    crm = fresh()
    sync(store, often, crm)
    views: list[tuple[datetime, bool, Any, Any, Any, Any]] = []
    for number, (event, synced) in enumerate(life, start=1):
        crm.now = day(number)
        happen(crm, event)
        crm.now = day(number + 0.5)
        if synced:
            sync(store, often, crm)
        view = (seen(crm, LOGGED), seen(crm, (*LOGGED, *NOTICED)), seen_accounts(crm), seen_layout(crm))
        views.append((crm.now, synced, *view))
    crm.now = day(len(life) + 1)
    sync(store, once, crm)
    sync(store, often, crm)

    asked = viewed(store, often, [view[0] for view in views])
    away = {key for key, deal in crm.deals.items() if deal.get("away")}
    for at, synced, logged, everything, owners, layout in views:
        # A single sync at the end knows what the CRM's own history covers; not when it was not shown.
        alone = told(store, once, at, LOGGED)
        assert {k: v for k, v in alone.items() if k not in away} == {
            k: v for k, v in logged.items() if k not in away
        }
        if not synced:
            continue
        assert told(store, often, at, (*LOGGED, *NOTICED)) == everything
        assert {k: v[:-1] for k, v in asked[at].items()} == {k: v[:-2] for k, v in everything.items()}
        opened = {k: not layout[v[0]] if v[0] else True for k, v in everything.items()}
        assert {k: bool(v[-1]) for k, v in asked[at].items() if everything[k][0]} == {
            k: v for k, v in opened.items() if everything[k][0]
        }
        then = frames(store, often, at)
        alive = live(then["accounts"], at)
        assert dict(alive.select("external_id", "owner_id").iter_rows()) == owners
        assert dict(then["stages"].select("stage", "is_closed").iter_rows()) == layout


def test_the_view_knows_no_probability_of_later(store: Store) -> None:
    """A CRM that calculates it keeps no past of it: what it says of a deal won since is no estimate of then."""
    crm = fresh()
    crm.create("x", {"stage": "A", "probability": 0.1})
    crm.create("y", {"stage": "B", "probability": 0.45})  # a seller's own
    crm.now = day(2)
    crm.edit("x", "stage", "W")
    crm.edit("x", "probability", 1.0)
    sync(store, "acme", crm)
    crm.now = day(4)
    crm.edit("y", "probability", 0.9)
    sync(store, "acme", crm)

    moments = [day(1), day(3), day(5)]
    viewed(store, "acme", moments)  # lays out the days
    with store.reading() as reader:
        query = text(
            "SELECT deal_id, probability FROM deals_as_of WHERE company = 'acme' ORDER BY deal_id, day"
        )
        found = [tuple(row) for row in reader.connection.execute(query)]
    # y's was changed while we looked: before that change, what stood there is not told by a log that begins with it
    assert found == [("x", ODDS["A"]), ("x", 1.0), ("x", 1.0), ("y", ODDS["B"]), ("y", ODDS["B"]), ("y", 0.9)]


def test_one_deal_and_all_deals_are_asked_alike(store: Store) -> None:
    crm = fresh()
    for number, key in enumerate("xyz"):
        crm.now = day(number + 1)
        crm.create(key, {"stage": "A", "amount": number})
    crm.now = day(9)
    crm.edit("x", "stage", "B")
    sync(store, "acme", crm)
    then = frames(store, "acme", day(5))
    everyone = deals_at(then["deals"], then["deal_changes"], day(5), day(5))
    alone = then["deals"].filter(pl.col("external_id") == "x")
    assert (
        deals_at(alone, then["deal_changes"], day(5), day(5)).rows()
        == everyone.filter(pl.col("external_id") == "x").rows()
    )
    assert everyone["stage"].to_list() == ["A", "A", "A"]


def coverage(store: Store, company: str = "acme") -> dict[tuple[str, str], tuple[str, datetime | None]]:
    with store.reading() as reader:
        rows = reader.coverage(company).select("table", "field", "origin", "reliable_from")
    return {(row[0], row[1]): (row[2], row[3]) for row in rows.iter_rows()}


def test_it_is_told_from_when_on_each_field_can_be_trusted(store: Store) -> None:
    crm = fresh()
    crm.create("x", {"stage": "A"})
    hidden = FieldState("hidden", "Arr__c", "let the user see Arr__c")
    crm.now = day(1)
    sync(store, "acme", crm, shown=shown(deals={"arr": hidden}))
    crm.now = day(2)
    sync(store, "acme", crm, shown=shown(deals={"arr": hidden}))
    known = coverage(store)
    assert known["deals", "stage"] == ("crm_history", None)
    assert known["deals", "owner_id"] == ("comparison", day(1))
    assert known["accounts", "owner_id"] == ("comparison", day(1))
    assert known["stages", "is_won"] == ("comparison", day(1))
    assert known["deals", "arr"] == ("none", None)
    with store.reading() as reader:
        reasons = {row["field"]: row["reason"] for row in reader.coverage("acme").iter_rows(named=True)}
    assert reasons["arr"] == "let the user see Arr__c"


def test_a_change_between_the_first_pages_is_no_history(store: Store) -> None:
    crm = fresh()
    crm.create("x", {"owner_id": "p"})
    interrupted = crm.source(faults={("deals", 0): ConnectionError("down")})
    with pytest.raises(ConnectionError):
        sync_company(store, interrupted, Company(name="acme"), clock=lambda: crm.now)
    assert coverage(store)["accounts", "owner_id"] == ("comparison", BEGIN)
    assert coverage(store)["deals", "owner_id"] == ("comparison", None)


def test_another_field_is_no_change_and_its_past_begins_anew(store: Store) -> None:
    crm = fresh()
    crm.create("x", {"stage": "A", "arr": 1, "owner_id": "p"})
    old = shown(deals={"arr": FieldState("mapped", "Arr__c")})
    new = shown(deals={"arr": FieldState("mapped", "Recurring__c")})
    sync(store, "acme", crm, shown=old)
    crm.now = day(2)
    crm.edit("x", "arr", 2)
    crm.edit("x", "owner_id", "q")
    sync(store, "acme", crm, shown=old)
    assert told(store, "acme", day(1), ("arr", "owner_id")) == {"x": (1, "p")}

    crm.now = day(3)
    crm.deals["x"]["arr"] = 700  # what stands in the other field; nobody touched the deal
    sync(store, "acme", crm, shown=new)
    # what the other field held on day 1 nobody knows: the value of now, and it is said so
    assert told(store, "acme", day(1), ("arr", "owner_id")) == {"x": (700, "p")}
    assert coverage(store)["deals", "arr"] == ("comparison", day(3))
    assert coverage(store)["deals", "owner_id"] == ("comparison", BEGIN)

    crm.now = day(4)
    crm.edit("x", "arr", 800)
    sync(store, "acme", crm, shown=new)
    assert told(store, "acme", day(3.5), ("arr",)) == {"x": (700,)}
    log = store.frame("acme", "deal_changes").filter(pl.col("field") == "arr")
    assert log.select("old_value", "new_value").rows() == [("700", "800")]


def test_nothing_is_ever_taken_out_of_a_log(store: Store) -> None:
    crm = fresh()
    crm.create("x", {"stage": "A", "arr": 1})
    sync(store, "acme", crm, shown=shown(deals={"arr": FieldState("mapped", "Arr__c")}))
    crm.now = day(1)
    crm.edit("x", "arr", 2)
    sync(store, "acme", crm, shown=shown(deals={"arr": FieldState("mapped", "Arr__c")}))
    crm.now = day(2)
    sync(store, "acme", crm, shown=shown(deals={"arr": FieldState("mapped", "Other__c")}))
    with store.reading() as reader:
        query = "SELECT old_value, new_value FROM deal_changes WHERE field = 'arr'"
        assert reader.connection.exec_driver_sql(query).fetchall() == [("1", "2")]


def test_a_record_that_came_back_was_away_in_between(store: Store) -> None:
    crm = fresh()
    crm.create("x", {"stage": "A"})
    sync(store, "acme", crm)
    crm.now = day(2)
    crm.delete("x")
    sync(store, "acme", crm)
    crm.now = day(4)
    crm.restore("x")
    sync(store, "acme", crm)
    assert [sorted(told(store, "acme", day(n), ("stage",))) for n in (1, 3, 5)] == [["x"], [], ["x"]]


def test_a_record_that_is_shown_late_was_not_known_before(store: Store) -> None:
    crm = fresh()
    crm.now = day(2)
    sync(store, "acme", crm)
    crm.now = day(4)
    crm.late("x", 3, {"stage": "A"})  # created on day 1, and nobody told us on day 2
    crm.create("y", {"stage": "A"})
    sync(store, "acme", crm)
    sync(store, "globex", crm)
    assert [sorted(told(store, "acme", day(n), ("stage",))) for n in (1.5, 3, 5)] == [[], [], ["x", "y"]]
    # who reads for the first time has never looked before: there the CRM's word counts
    assert [sorted(told(store, "globex", day(n), ("stage",))) for n in (0.5, 1.5, 5)] == [
        [],
        ["x"],
        ["x", "y"],
    ]


def test_a_stage_that_is_new_was_not_in_use_before(store: Store) -> None:
    crm = fresh()
    sync(store, "acme", crm)
    crm.now = day(2)
    crm.lay("NABC")
    crm.layout("NAB")
    sync(store, "acme", crm)

    def qualified(at: datetime) -> list[str]:
        table = stage_table(frames(store, "acme", at)["stages"])
        return sorted(table.filter("qualified", "active")["stage"])

    assert qualified(day(1)) == ["B"]
    assert qualified(day(3)) == ["A", "B"]  # N is the first open stage now, and A the second


def test_what_nobody_has_kept_of_a_moment_is_named(store: Store) -> None:
    crm = fresh()
    crm.put("leads", "one", {"company": "One"})
    crm.put("owners", "p", {"name": "Pat"})
    crm.put("exchange_rates", "USD 2026-01-01", {"rate": Decimal("0.9")})
    crm.now = day(1)
    sync(store, "acme", crm)
    assert store.rewritten("acme", day(1)) == frozenset()

    crm.now = day(5)
    crm.put("leads", "two", {"company": "Two"})  # a new one changes nothing of then, and so does a later rate
    crm.put("exchange_rates", "USD 2026-02-01", {"rate": Decimal("0.8")})
    sync(store, "acme", crm)
    assert store.rewritten("acme", day(3)) == frozenset()

    crm.now = day(6)
    crm.put("leads", "one", {"company": "Won"})
    crm.put("exchange_rates", "USD 2026-01-01", {"rate": Decimal("0.7")})
    sync(store, "acme", crm)
    assert store.rewritten("acme", day(3)) == {"leads", "exchange_rates"}
    assert store.rewritten("acme", day(6)) == frozenset()


def test_a_deleted_record_keeps_what_it_pointed_at(store: Store) -> None:
    crm = fresh()
    crm.create("x", {"account_id": "a"})
    sync(store, "acme", crm)
    crm.now = day(2)
    crm.delete("x")
    crm.deals["x"]["account_id"] = None  # an archived record comes without its associations
    sync(store, "acme", crm)
    assert store.frame("acme", "deals")["account_id"].to_list() == ["a"]
    # but a living one that was taken off its account is off it
    crm.create("y", {"account_id": "b"})
    sync(store, "acme", crm)
    crm.now = day(3)
    crm.edit("y", "account_id", None)
    sync(store, "acme", crm)
    assert store.frame("acme", "deals").filter(external_id="y")["account_id"].to_list() == [None]


def test_an_older_version_is_no_change(store: Store) -> None:
    crm = fresh()
    crm.now = day(5)
    crm.create("x", {"owner_id": "p"})
    sync(store, "acme", crm)
    late = replace(crm, deals={"x": {**crm.deals["x"], "owner_id": "q", "modified_at": day(4)}}, now=day(6))
    sync(store, "acme", late)
    assert store.frame("acme", "deal_changes").filter(pl.col("origin") == "comparison").is_empty()
    assert store.frame("acme", "deals")["owner_id"].to_list() == ["p"]
