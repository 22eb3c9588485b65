"""Everything that happens to a real company's records happens in the simulated one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.simulator.company import Company
from connectors.simulator.world import Life
from tests.oracle.record import add_months
from tests.unit.company_lives import company, each_vertical, of_kind, state


def _stages(life: Life) -> list[str]:
    return [event.values["stage"] for event in life.events if "stage" in event.values]


def _reopened(first: str) -> Callable[[Life, Company], bool]:
    def found(life: Life, made: Company) -> bool:
        names = _stages(life)
        return any(a == first and not b.startswith("Closed") for a, b in pairwise(names))

    return found


def _back(life: Life, made: Company) -> bool:
    order = {stage.name: stage.sort_order for stage in made.stages if not stage.closed}
    places = [order[name] for name in _stages(life) if name in order]
    return any(b < a for a, b in pairwise(places))


def _won(life: Life) -> bool:
    return _stages(life)[-1] == "Closed Won"


def _op(op: str) -> Callable[[Life, Company], bool]:
    return lambda life, made: any(event.op == op for event in life.events)


def _value(field: str, *values: Any) -> Callable[[Life, Company], bool]:
    return lambda life, made: any(event.values.get(field, ...) in values for event in life.events)


def _typed(kind: str, *, won: bool, sign: int = 1) -> Callable[[Life, Company], bool]:
    def found(life: Life, made: Company) -> bool:
        values = state(life)
        return values["type"] == kind and _won(life) == won and (values["amount"] or 0) * sign >= 0

    return found


def _pushed(life: Life, made: Company) -> bool:
    dates = [event.values["close_date"] for event in life.events if "close_date" in event.values]
    return len(dates) > 2 and dates[1] > dates[0]


def _after(life: Life, made: Company) -> bool:
    """Changed in the future months."""
    return life.events[0].at < made.as_of < life.events[-1].at


def _both(
    *conditions: Callable[[Life, Company], bool],
) -> Callable[[Life, Company], bool]:
    return lambda life, made: all(condition(life, made) for condition in conditions)


HAPPENINGS: dict[str, tuple[str, Callable[[Life, Company], bool]]] = {
    "user leaves": ("user", _value("active", False)),
    "account in a hierarchy": ("account", lambda life, made: state(life).get("parent") is not None),
    "account changes owner": (
        "account",
        lambda life, made: any("owner" in event.values for event in life.events[1:]),
    ),
    "account merged": ("account", _op("merge")),
    "account renumbers its staff": (
        "account",
        lambda life, made: any("employees" in event.values for event in life.events[1:]),
    ),
    "contact merged": ("contact", _op("merge")),
    "contact from a lead": ("contact", lambda life, made: state(life)["lead"] is not None),
    "contact bounces": ("contact", _value("bounced", True)),
    "contact deleted": ("contact", _op("delete")),
    "contact restored": ("contact", _op("restore")),
    "lead converted": ("lead", _value("status", "Converted")),
    "lead without a marketing date": (
        "lead",
        lambda life, made: "sql_at" in state(life) and "mql_at" not in state(life),
    ),
    "lead deleted": ("lead", _op("delete")),
    "lead purged": ("lead", _op("purge")),
    "lead restored": ("lead", _op("restore")),
    "deal deleted": ("deal", _op("delete")),
    "deal restored": ("deal", _op("restore")),
    "deal purged": ("deal", _op("purge")),
    "deal pushed": ("deal", _pushed),
    "deal goes back a stage": ("deal", _back),
    "deal reopened after a win": ("deal", _reopened("Closed Won")),
    "deal reopened after a loss": ("deal", _reopened("Closed Lost")),
    "deal entered as won": ("deal", lambda life, made: life.events[0].values["stage"] == "Closed Won"),
    "deal follows to a new owner": (
        "deal",
        lambda life, made: any("owner" in event.values for event in life.events[1:]),
    ),
    "deal lost for a reason": ("deal", lambda life, made: bool(state(life).get("loss_reason"))),
    "pilot converted": ("deal", lambda life, made: "pilot_converted" in state(life)),
    "pilot converted after the win was entered": (
        "deal",
        lambda life, made: any(set(event.values) == {"pilot_converted"} for event in life.events),
    ),
    "pilot never converted": (
        "deal",
        lambda life, made: bool(state(life)["pilot"]) and _won(life) and "pilot_converted" not in state(life),
    ),
    "new business": ("deal", _typed("New Business", won=True)),
    "expansion": ("deal", _typed("Expansion", won=True)),
    "expansion by seats": ("deal", _both(_typed("Expansion", won=True), _value("expansion_kind", "seat"))),
    "expansion by a module": (
        "deal",
        _both(_typed("Expansion", won=True), _value("expansion_kind", "module")),
    ),
    "renewal": ("deal", _typed("Renewal", won=True)),
    "renewal lost": ("deal", _typed("Renewal", won=False)),
    "downgrade": ("deal", _typed("Downgrade", won=True, sign=-1)),
    "churn": ("deal", _typed("Churn", won=True, sign=-1)),
    "type blank": ("deal", _value("type", None)),
    "type unmapped": ("deal", _value("type", "Professional Services", "Internal Test")),
    "win without ARR": ("deal", lambda life, made: _won(life) and state(life)["arr"] is None),
    "contract without a start": (
        "deal",
        lambda life, made: _won(life) and "start_date" not in state(life) and bool(state(life)["amount"]),
    ),
    "contract that starts later": (
        "deal",
        lambda life, made: (
            _won(life) and state(life).get("start_date", "") > state(life)["close_date"][:7] + "-99"
        ),
    ),
    "two years": ("deal", _value("term_months", 24)),
    "three years": ("deal", _value("term_months", 36)),
    "one-time line": ("line_item", _value("kind", "one_time")),
    "line repriced": ("line_item", _op("set")),
    "line given up": ("line_item", lambda life, made: state(life)["quantity"] < 0),
    "meeting called off": ("meeting", _op("delete")),
    "secondary contact": ("contact_role", _value("primary", False)),
    "deal changes after the end of history": ("deal", _after),
    "account changes after the end of history": ("account", _after),
    "contact changes after the end of history": ("contact", _after),
    "lead changes after the end of history": ("lead", _after),
    "deal created after the end of history": ("deal", lambda life, made: life.events[0].at > made.as_of),
    "quota in another currency": ("quota", _value("currency", "EUR")),
}


@each_vertical
@pytest.mark.parametrize("happening", sorted(HAPPENINGS))
def test_it_happens_in_the_default_company(vertical: str, happening: str) -> None:
    made, _ = company(vertical)
    kind, condition = HAPPENINGS[happening]
    assert any(condition(life, made) for life in of_kind(vertical, kind))


@each_vertical
def test_money_comes_in_three_currencies_and_size_fits_the_segment(vertical: str) -> None:
    assert {state(life)["currency"] for life in of_kind(vertical, "deal")} == {"USD", "EUR", "GBP"}
    segments = {"SMB": (1, 199), "Mid-market": (200, 999), "Enterprise": (1000, 10**6)}
    seen = set()
    for life in of_kind(vertical, "account"):
        values = state(life)
        if values["segment"] and values["employees"]:
            low, high = segments[values["segment"]]
            assert low <= values["employees"] <= high
            seen.add(values["segment"])
    assert seen == set(segments)


@each_vertical
def test_deletions_are_spread_over_history_and_future(vertical: str) -> None:
    made, lives = company(vertical)
    times = [event.at for life in lives for event in life.events if event.op == "delete"]
    first = min(life.events[0].at for life in lives)
    thirds = Counter(min(2, 3 * (at - first) // (made.as_of - first)) for at in times if at < made.as_of)
    assert set(thirds) == {0, 1, 2}
    assert any(at > made.as_of for at in times)


def _renewal_delays(vertical: str) -> list[int]:
    """Days from the end of an account's contract to the entry of its next renewal as won."""
    made, _ = company(vertical)
    zone = ZoneInfo(made.timezone)
    ends: dict[int, list[date]] = {}
    signed: list[tuple[int, date]] = []
    for life in of_kind(vertical, "deal"):
        values = state(life)
        if not _won(life) or values["type"] not in ("New Business", "Renewal") or not values["account"]:
            continue
        start = date.fromisoformat(values.get("start_date") or values["close_date"])
        ends.setdefault(values["account"], []).append(add_months(start, values["term_months"]))
        if values["type"] == "Renewal":
            won = next(event.at for event in life.events if event.values.get("stage") == "Closed Won")
            signed.append((values["account"], datetime.fromtimestamp(won, zone).date()))
    return [(day - end).days for account, day in signed for end in ends[account]]


@each_vertical
def test_renewals_are_signed_early_late_and_too_late(vertical: str) -> None:
    delays = _renewal_delays(vertical)
    assert any(-50 < delay < 0 for delay in delays)
    assert any(0 < delay <= 30 for delay in delays)
    assert any(30 < delay < 150 for delay in delays)
