"""A company small enough to check by eye, for the tests of the simulated HubSpot portal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from connectors.simulator.world import Event, Kind, Life, Op, Stage

STAGES = (
    Stage("Discovery", 1, 0.1, "pipeline"),
    Stage("Proof of Concept", 2, 0.4, "best_case"),
    Stage("Closed Won", 3, 1.0, "closed", closed=True, won=True),
    Stage("Closed Lost", 4, 0.0, "omitted", closed=True),
    Stage("Old Stage", 5, 0.2, "pipeline", active=False),
)


def at(day: str, hour: int = 9) -> int:
    """Epoch seconds of an hour (UTC) of a day."""
    return int(datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC).timestamp())


NOW = at("2026-03-01", 0)


def event(day: str, op: Op = "set", hour: int = 9, **values: Any) -> Event:
    return Event(at(day, hour), op, values)


def life(kind: Kind, key: int, *events: Event) -> Life:
    return Life(kind, key, events)


@dataclass
class SmallWorld:
    """A world of the given lives."""

    listed: Sequence[Life]
    name: str = "Small"
    timezone: str = "America/New_York"
    home_currency: str = "USD"
    start: date = date(2026, 1, 1)
    end: date = date(2027, 1, 1)
    stages: tuple[Stage, ...] = STAGES
    extra: Mapping[str, Any] = field(default_factory=dict)

    def lives(self) -> Iterator[Life]:
        return iter(self.listed)


def _deal(key: int, *more: Event, **values: Any) -> Life:
    first: dict[str, Any] = {
        "name": f"Deal {key}",
        "account": 1,
        "owner": 1,
        "stage": "Discovery",
        "amount": 1_000_050,
        "currency": "EUR",
        "close_date": "2026-04-30",
        "probability": 0.1,
        "forecast_category": "pipeline",
        "type": "New Business",
        **values,
    }
    return life("deal", key, Event(at("2026-01-10"), "create", first), *more)


def company() -> SmallWorld:
    """Owners, products, rates, accounts (one merged, one deleted), people, deals and what hangs on them.

    March is when the second half happens: a merge of accounts 2 into 1, a purge, a restore, new records.
    """
    return SmallWorld([*_settings(), *_accounts(), *_people(), *_deals(), *_around()])


def _settings() -> list[Life]:
    user: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Long",
        "email": "ada@example.com",
        "active": True,
    }
    return [
        life("user", 1, event("2026-01-01", "create", **user)),
        life(
            "user",
            2,
            event("2026-01-01", "create", **{**user, "first_name": "Bo", "email": "bo@example.com"}),
            event("2026-02-01", active=False),
        ),
        life("product", 1, event("2026-01-01", "create", name="Seats", family="Core", kind="seat")),
        life("rate", 1, event("2026-01-01", "create", currency="EUR", start_date="2026-01-01", rate="1.1")),
        life("rate", 2, event("2026-02-01", "create", currency="EUR", start_date="2026-02-01", rate="1.125")),
    ]


def _accounts() -> list[Life]:
    return [
        life(
            "account",
            1,
            event("2026-01-02", "create", name="Acme", domain="acme.example", owner=1, employees=50),
            event("2026-02-03", employees=60),
        ),
        life(
            "account",
            2,
            event("2026-01-03", "create", name="Acme Inc.", domain="acme.example", owner=2, parent=1),
            event("2026-03-05", "merge", into=1),
        ),
        life("account", 3, event("2026-01-04", "create", name="Gone"), event("2026-02-10", "delete")),
        life("account", 4, event("2026-01-04", "create", name="Long gone"), event("2026-03-06", "purge")),
        life("account", 5, event("2026-03-10", "create", name="New in March", owner=1)),
    ]


def _people() -> list[Life]:
    return [
        life(
            "lead",
            1,
            event("2026-01-05", "create", first_name="Li", last_name="Wu", company="Acme", email="li@x.example"),
            event("2026-01-08", mql_at="2026-01-08", status="Working"),
            event("2026-01-10", sql_at="2026-01-10", converted="2026-01-10", account=1, contact=1, deal=1),
        ),
        life(
            "lead",
            2,
            event("2026-01-06", "create", first_name="Mo", last_name="Ek", company="Beta", email="mo@b.example"),
        ),
        life(
            "contact",
            1,
            event(
                "2026-01-10", "create", account=1, first_name="Li", last_name="Wu", email="li@acme.example",
                role="champion", lead=1, last_activity="2026-02-20",
            ),
            event("2026-02-11", bounced=True),
        ),
        life(
            "contact",
            2,
            event("2026-01-11", "create", account=2, first_name="Ed", last_name="Poe", email="ed@acme.example"),
            event("2026-03-05", account=1),
        ),
    ]  # fmt: skip


def _deals() -> list[Life]:
    moves = [event("2026-02-01", "set", hour % 24, next_step=f"Step {hour}") for hour in range(24)]
    return [
        _deal(
            1,
            event("2026-01-20", stage="Proof of Concept", probability=0.4, forecast_category="best_case"),
            event("2026-02-15", stage="Closed Won", probability=1.0, forecast_category="closed",
                  close_date="2026-02-15", arr=1_200_000),
        ),
        _deal(2, *moves, event("2026-03-05", account=1), account=2, stage="Old Stage"),
        _deal(3, event("2026-01-20", amount=None), event("2026-02-02", "delete"),
              event("2026-03-08", "restore")),
        _deal(4, event("2026-03-09", stage="Closed Lost", probability=0.0, loss_reason="price"), pilot=True),
        _deal(5, event("2026-03-07", "purge")),
    ]  # fmt: skip


def _around() -> list[Life]:
    line: dict[str, Any] = {
        "deal": 1,
        "product": 1,
        "quantity": 10.0,
        "unit_price": 10_000,
        "amount": 100_000,
    }
    meeting: dict[str, Any] = {
        "account": 1,
        "deal": 1,
        "contact": 1,
        "owner": 1,
        "subject": "Kick-off",
        "completed": True,
    }
    return [
        life("line_item", 1, event("2026-01-10", "create", **line, currency="EUR", kind="seat")),
        life("contact_role", 1, event("2026-01-10", "create", deal=1, contact=1, role="champion")),
        life("contact_role", 2, event("2026-01-12", "create", deal=1, contact=2),
             event("2026-03-04", "delete")),
        life("meeting", 1, event("2026-01-09", "create", **meeting, starts_at=at("2026-01-12", 14),
                                 ends_at=at("2026-01-12", 15))),
    ]  # fmt: skip
