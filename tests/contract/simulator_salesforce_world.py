"""A company small enough to check by eye, as the tests of the simulated Salesforce org see it, and a client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import requests

from connectors.simulator.server import Simulator
from connectors.simulator.world import Event, Kind, Life, Op, Stage

STAGES = (
    Stage("Discovery", 1, 0.1, "pipeline"),
    Stage("Proof of Concept", 2, 0.4, "best_case"),
    Stage("Negotiation", 3, 0.8, "commit"),
    Stage("Closed Won", 4, 1.0, "closed", closed=True, won=True),
    Stage("Closed Lost", 5, 0.0, "omitted", closed=True),
    Stage("Demo", 6, 0.2, "pipeline", active=False),
)
LEADS = 4_500  # more than two pages
VERSION = "62.0"


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

    records: list[Life]
    name: str = "Small Software Inc"
    timezone: str = "America/New_York"
    home_currency: str = "USD"
    start: date = date(2025, 1, 1)
    end: date = date(2026, 6, 1)
    stages: tuple[Stage, ...] = field(default=STAGES)

    def lives(self) -> Iterator[Life]:
        return iter(self.records)


def _deal(key: int, *events: Event, **values: Any) -> Life:
    start: dict[str, Any] = {
        "name": f"Deal {key}",
        "account": 1,
        "owner": 1,
        "stage": "Discovery",
        "amount": 1_200_050,
        "currency": "USD",
        "close_date": "2026-04-30",
        "probability": 0.1,
        "forecast_category": "pipeline",
        "type": "New Business",
    }
    return life("deal", key, event("2025-06-01", "create", **{**start, **values}), *events)


def small_world(leads: int = 0) -> SmallWorld:
    """Two accounts that matter, one merged away, deals won, moving, deleted; and so many leads."""
    rows = [
        life("user", 1, event("2025-01-02", "create", name="Ada Able", first_name="Ada", last_name="Able",
                              email="ada@small.example", active=True)),
        life("user", 2, event("2025-01-02", "create", name="Bo Best", first_name="Bo", last_name="Best",
                              email="bo@small.example", active=True, manager=1)),
        life("product", 1, event("2025-01-02", "create", name="Core", family="Platform", kind="seat")),
        life("rate", 1, event("2025-01-02", "create", currency="EUR", start_date="2025-01-01", rate="1.25")),
        life("rate", 2, event("2026-01-02", "create", currency="EUR", start_date="2026-01-01", rate="1.28")),
        life("quota", 1, event("2025-01-02", "create", owner=1, start_date="2026-01-01", amount=5_000_000,
                               currency="USD")),
        life("account", 1, event("2025-02-01", "create", name="Åcme, Inc.", domain="acme.example", owner=1,
                                 industry="Retail", employees=250, segment="Mid", country="US", city="Reno")),
        life("account", 2, event("2025-02-01", "create", name='O\'Neil "Best"', owner=2, city="  ")),
        life("account", 3, event("2025-02-01", "create", name="Acme Inc", owner=1),
             event("2026-02-20", "merge", into=1)),
        life("account", 4, event("2025-02-01", "create", name="Going", owner=1),
             event("2026-04-05", "delete"), event("2026-04-07", "restore")),
        life("contact", 1, event("2025-02-02", "create", account=1, first_name="Cy", last_name="Chen",
                                 email="cy@acme.example", owner=1, last_activity="2025-12-01", bounced=True)),
        life("contact", 2, event("2025-02-02", "create", account=4, first_name="Di", last_name="Dole", owner=1)),
        _deal(1, event("2025-07-01", stage="Negotiation", probability=0.8, forecast_category="commit"),
              event("2025-07-02", next_step="Call legal"),
              event("2025-08-01", owner=2),
              event("2025-09-01", stage="Closed Won", probability=1.0, forecast_category="closed",
                    close_date="2025-09-01"),
              arr=1_200_000, term_months=12, pilot=True, pilot_start="2025-06-10"),
        _deal(2, event("2026-03-10", stage="Proof of Concept", probability=0.4, forecast_category="best_case",
                       amount=9_999), account=2, currency="EUR"),
        _deal(3, event("2026-02-25", "delete")),  # in the recycle bin
        _deal(4, event("2026-01-10", "delete")),  # gone from it
        _deal(5, account=4),
        _deal(6, event("2026-01-20", "purge")),
        life("line_item", 1, event("2025-06-01", "create", deal=1, product=1, quantity=10.0, unit_price=120_000,
                                   amount=1_200_000, currency="USD", kind="seat")),
        life("contact_role", 1, event("2025-06-01", "create", deal=1, contact=1, role="Buyer", primary=True)),
        life("contact_role", 2, event("2025-06-01", "create", deal=5, contact=1), event("2026-02-26", "delete")),
        life("meeting", 1, event("2024-01-05", "create", account=1, deal=1, contact=1, owner=1, subject="Old",
                                 starts_at=at("2024-01-10", 15), ends_at=at("2024-01-10", 16), completed=True)),
        life("meeting", 2, event("2026-01-05", "create", account=1, owner=1, subject="New",
                                 starts_at=at("2026-01-10", 15), ends_at=at("2026-01-10", 16), completed=True)),
        life("account", 5, event("2026-03-15", "create", name="Later Ltd", owner=2)),
    ]  # fmt: skip
    rows += [
        life("lead", key, event("2025-03-01", "create", first_name="L", last_name=f"N{key:05}", company="C"))
        for key in range(1, leads + 1)
    ]
    return SmallWorld(rows)


@dataclass
class Client:
    """A plain HTTP client of one simulator, without any Salesforce library."""

    simulator: Simulator
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.verify = self.simulator.ca_bundle or True
        self.version = VERSION

    def login(self, **form: str) -> requests.Response:
        """Fetch a token (client credentials unless told) and use it from now on."""
        wish = {
            "grant_type": "client_credentials",
            "client_id": "simulator-client",
            "client_secret": "simulator-secret",
        }
        reply = self.session.post(
            f"{self.simulator.url}/services/oauth2/token", data=form or wish, timeout=10
        )
        if reply.ok:
            self.session.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
        return reply

    def get(self, path: str, params: Mapping[str, str] | None = None, **headers: str) -> requests.Response:
        """GET below the API version; an absolute path is taken as it is."""
        full = path if path.startswith("/services") else f"/services/data/v{self.version}/{path}"
        return self.session.get(
            self.simulator.url + full,
            params=params,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            timeout=10,
        )

    def query(self, soql: str, resource: str = "query", **headers: str) -> requests.Response:
        return self.get(resource, {"q": soql}, **headers)

    def records(self, soql: str, resource: str = "query") -> list[dict[str, Any]]:
        """All records of a query, through all its pages, without their attributes."""
        reply = self.query(soql, resource).json()
        found = list(reply["records"])
        while not reply["done"]:
            reply = self.get(reply["nextRecordsUrl"]).json()
            found += reply["records"]
        for record in found:
            record.pop("attributes")
        return found
