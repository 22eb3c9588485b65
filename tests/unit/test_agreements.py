"""What the simulated company has under contract, worked out by hand for one account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from connectors.simulator.agreements import with_agreements
from connectors.simulator.company import Company, Parameters
from connectors.simulator.world import Event, Life, Op, Stage

HOUR = 3600


def instant(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp())


@dataclass
class OneAccount:
    """A world of one account; each deal is won on its day."""

    records: tuple[Life, ...]
    name: str = "Acme"
    timezone: str = "UTC"
    home_currency: str = "USD"
    start: date = date(2025, 1, 1)
    end: date = date(2026, 12, 31)
    stages: tuple[Stage, ...] = (
        Stage("Open", 1, 0.5, "pipeline"),
        Stage("Won", 2, 1.0, "closed", closed=True, won=True),
    )

    def lives(self) -> Iterator[Life]:
        yield Life("account", 1, (Event(0, "create", {"name": "Acme"}),))
        yield from self.records


def deal(
    key: int, day: str, kind: str, start: str, term: int | None, *more: tuple[str, Op, dict[str, Any]]
) -> Life:
    values = {
        "account": 1,
        "stage": "Won",
        "type": kind,
        "start_date": start,
        "close_date": day,
        "term_months": term,
        "amount": 7,
        "currency": "USD",
    }
    later = (Event(instant(when), op, changed) for when, op, changed in more)
    return Life("deal", key, (Event(instant(day), "create", values), *later))


def line(key: int, of: int, day: str, product: int, quantity: float, price: int, kind: str = "seat") -> Life:
    values = {
        "deal": of,
        "product": product,
        "quantity": quantity,
        "unit_price": price,
        "kind": kind,
        "currency": "USD",
    }
    return Life("line_item", key, (Event(instant(day), "create", values),))


def made(*records: Life) -> dict[tuple[str, int], tuple[Event, ...]]:
    lives = with_agreements(OneAccount(records))
    return {(life.kind, life.key): life.events for life in lives if life.kind in ("contract", "subscription")}


def last(events: tuple[Event, ...]) -> dict[str, Any]:
    return {name: value for event in events for name, value in event.values.items()}


FIRST = (
    deal(1, "2025-01-10", "New Business", "2025-01-15", 12),
    line(1, 1, "2025-01-10", 1, 10, 1200),
    line(2, 1, "2025-01-10", 2, 1, 600, "module"),
    line(3, 1, "2025-01-10", 3, 1, 9999, "one_time"),
)


def test_a_win_is_a_contract_that_comes_into_force_some_hours_later() -> None:
    found = made(*FIRST)
    assert set(found) == {("contract", 1), ("subscription", 1), ("subscription", 2)}
    created, activated = found["contract", 1]
    assert (created.at, created.op, created.values["status"]) == (instant("2025-01-10"), "create", "Draft")
    assert activated.values == {"status": "Activated", "activated": activated.at}
    assert activated.at == instant("2025-01-10") + 2 * HOUR
    assert dict(created.values) | {"status": "", "activated": None} == {
        "account": 1,
        "deal": 1,
        "status": "",
        "value": 10 * 1200 + 600,
        "currency": "USD",
        "start_date": "2025-01-15",
        "end_date": "2026-01-14",
        "term_months": 12,
        "activated": None,
        "terminated": None,
    }
    seats = last(found["subscription", 1])
    assert (seats["contract"], seats["quantity"], seats["unit_price"], seats["revises"]) == (
        1,
        10,
        1200,
        None,
    )


def test_an_expansion_runs_to_the_end_of_what_it_expands_and_is_priced_for_that_stretch() -> None:
    """1 May to 14 January: eight months and 14 days. 1200 a year x (365 x 8 + 12 x 14) / 4380 = 846.03."""
    found = made(
        *FIRST,
        deal(2, "2025-04-25", "Expansion", "2025-05-01", 9),
        line(4, 2, "2025-04-25", 1, 5, 900),
    )
    contract, more = last(found["contract", 2]), last(found["subscription", 4])
    assert (contract["value"], contract["term_months"], contract["end_date"]) == (4500, 9, "2026-01-14")
    assert (more["contract"], more["revises"], more["quantity"], more["unit_price"]) == (1, 1, 5, 846)
    assert (more["start_date"], more["end_date"]) == ("2025-05-01", "2026-01-14")


def test_what_takes_all_of_a_product_terminates_it_and_what_takes_a_part_does_not() -> None:
    """1 July to 14 January: six months and 14 days. 600 a year x (365 x 6 + 12 x 14) / 4380 = 323.01."""
    found = made(
        *FIRST,
        deal(2, "2025-06-25", "Downgrade", "2025-07-01", 7),
        line(4, 2, "2025-06-25", 2, -1, 350, "module"),
        line(5, 2, "2025-06-25", 1, -4, 700),
    )
    assert last(found["subscription", 2])["terminated"] == "2025-07-01"
    assert found["subscription", 2][-1].at == instant("2025-06-25")
    none_of_it, fewer = last(found["subscription", 4]), last(found["subscription", 5])
    assert (none_of_it["revises"], none_of_it["quantity"], none_of_it["unit_price"]) == (2, -1, 323)
    assert (fewer["revises"], fewer["quantity"]) == (1, -4)
    assert last(found["subscription", 1])["terminated"] is None
    assert last(found["contract", 1])["terminated"] is None


def test_a_renewal_names_what_it_renews_and_a_churn_of_everything_makes_no_contract() -> None:
    found = made(
        *FIRST,
        deal(2, "2026-01-05", "Renewal", "2026-01-15", 12),
        line(4, 2, "2026-01-05", 1, 15, 1200),
        deal(3, "2026-02-20", "Churn", "2026-03-01", 11),
        line(5, 3, "2026-02-20", 1, -15, 1100),
    )
    assert last(found["subscription", 4])["revises"] == 1
    assert last(found["contract", 2])["terminated"] == "2026-03-01"
    assert last(found["subscription", 4])["terminated"] == "2026-03-01"
    assert last(found["contract", 1])["terminated"] is None  # it had ended
    assert ("contract", 3) not in found
    assert ("subscription", 5) not in found


def test_a_churn_of_a_part_is_a_change() -> None:
    found = made(
        *FIRST,
        deal(2, "2025-06-25", "Churn", "2025-07-01", 7),
        line(4, 2, "2025-06-25", 1, -4, 700),
    )
    assert last(found["contract", 2])["value"] == -2800
    assert last(found["subscription", 1])["terminated"] is None


def test_a_reopened_deal_takes_its_contract_along_and_brings_it_back() -> None:
    found = made(
        deal(
            *(1, "2025-01-10", "New Business", "2025-01-15", 12),
            ("2025-01-12", "set", {"stage": "Open"}),
            ("2025-01-20", "set", {"stage": "Won", "start_date": "2025-02-01"}),
            ("2025-03-01", "delete", {}),
        ),
        line(1, 1, "2025-01-10", 1, 10, 1200),
    )
    events = [(event.op, event.at) for event in found["contract", 1]]
    again = instant("2025-01-20")
    assert events == [
        ("create", instant("2025-01-10")),
        ("set", instant("2025-01-10") + 2 * HOUR),
        ("delete", instant("2025-01-12")),
        ("restore", again),
        ("set", again),
        ("set", again + 2 * HOUR),
        ("delete", instant("2025-03-01")),
    ]
    assert last(found["contract", 1])["start_date"] == "2025-02-01"
    assert [event.op for event in found["subscription", 1]] == [
        "create",
        "delete",
        "restore",
        "set",
        "delete",
    ]


def test_what_has_no_account_is_not_converted_or_has_no_term() -> None:
    assert (
        made(
            deal(1, "2025-01-10", "New Business", "2025-01-15", 12, ("2025-01-10", "set", {"account": None}))
        )
        == {}
    )
    assert (
        made(deal(1, "2025-01-10", "New Business", "2025-01-15", 12, ("2025-01-10", "set", {"pilot": True})))
        == {}
    )
    found = made(deal(1, "2025-01-10", "New Business", "2025-01-15", -12), line(1, 1, "2025-01-10", 1, 1, 12))
    assert set(found) == {("contract", 1)}
    assert (last(found["contract", 1])["status"], last(found["contract", 1])["end_date"]) == ("Draft", None)


def test_a_generated_companys_contracts_hold_together() -> None:
    """Every reference leads somewhere, time only goes forward, and nothing is there without the faults asked for."""
    company = Company(Parameters("hr_tech", date(2026, 5, 1), accounts=60, deals=600, defects=0))
    lives = list(with_agreements(company))
    assert lives == list(with_agreements(company))
    assert [life for life in lives if life.kind not in ("contract", "subscription")] == list(company.lives())
    keys = {(life.kind, life.key) for life in lives}
    pointing = {"account": "account", "deal": "deal", "contract": "contract", "revises": "subscription"}
    for life in lives:
        if life.kind not in ("contract", "subscription"):
            continue
        assert life.events[0].op == "create"
        assert all(one.at <= other.at for one, other in pairwise(life.events))
        for event in life.events:
            for name, kind in pointing.items():
                key = event.values.get(name)
                assert key is None or (kind, key) in keys, (life.kind, name)
        values = last(life.events)
        assert values.get("value", 0) is not None
        assert values.get("unit_price", 0) is not None
        assert values["end_date"] >= values["start_date"]
