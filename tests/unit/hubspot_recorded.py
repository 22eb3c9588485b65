"""The few records that the cassettes of the HubSpot client were recorded from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from connectors.simulator.world import Event, Kind, Life, Op, Stage

START: Final = datetime(2026, 3, 1, tzinfo=UTC)


def _on(day: int, op: Op = "set", **values: Any) -> Event:
    return Event(int((START + timedelta(days=day, hours=12)).timestamp()), op, values)


def _life(kind: Kind, key: int, *events: Event) -> Life:
    return Life(kind, key, events)


@dataclass
class Recorded:
    """An account, its owner and two deals; ten days on, one has changed and one is deleted."""

    name: str = "Recorded"
    timezone: str = "America/New_York"
    home_currency: str = "USD"
    start: date = date(2026, 1, 1)
    end: date = date(2027, 1, 1)
    stages: tuple[Stage, ...] = (
        Stage("Discovery", 1, 0.1, "pipeline"),
        Stage("Proposal", 2, 0.5, "best_case"),
        Stage("Closed Won", 3, 1.0, "closed", closed=True, won=True),
    )

    def lives(self) -> Iterator[Life]:
        owner = {"first_name": "Ada", "last_name": "Long", "email": "ada@x.example", "active": True}
        deal = {
            "stage": "Discovery",
            "account": 1,
            "owner": 1,
            "probability": 0.1,
            "close_date": "2026-05-01",
        }
        yield _life("user", 1, _on(-50, "create", **owner))
        yield _life("account", 1, _on(-40, "create", name="Acme", owner=1))
        yield _life(
            "deal",
            1,
            _on(-20, "create", **deal, name="One", amount=100_000, currency="USD", arr=90_000),
            _on(-10, stage="Proposal", probability=0.5),
            _on(6, amount=120_000),
        )
        yield _life(
            "deal",
            2,
            _on(-15, "create", **deal, name="Two", amount=250_050, currency="EUR"),
            _on(4, "delete"),
        )


WORLD: Final = Recorded()
