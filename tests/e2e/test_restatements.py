"""A number that was posted and is another one now, through the real commands: its causes, by hand, on both CRMs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from connectors.simulator.hubspot import HubSpotPortal
from connectors.simulator.salesforce import SalesforceOrg
from connectors.simulator.server import Simulator
from connectors.simulator.world import Event, Life
from scheduler import demo_config
from tests.contract.simulator_hubspot_world import SmallWorld, at, event, life
from tests.e2e.process import Done, boardline

CLOCKS = at("2026-06-05"), datetime(2026, 6, 20, 9, tzinfo=UTC)
WON: dict[str, Any] = {"stage": "Closed Won", "probability": 1.0, "forecast_category": "closed"}
OPEN: dict[str, Any] = {"stage": "Discovery", "probability": 0.1, "forecast_category": "pipeline"}
TARGETS = "period,segment,metric,value,source,as_of\n2026-Q2,,quota,200000,plan,2026-01-05\n"


def deal(key: int, name: str, close: str, thousands: int, *more: Event) -> Life:
    first = {
        "name": name, "account": key, "owner": 1, "amount": thousands * 100_000, "arr": thousands * 100_000,
        "term_months": 12, "start_date": close, "close_date": close, "currency": "USD", "type": "New Business", **OPEN,
    }  # fmt: skip
    return life("deal", key, Event(at("2026-01-05"), "create", first), *more)


def world() -> SmallWorld:
    """In May: a customer since January, two new ones, and two open deals. In June three of them become others."""
    user: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Repson",
        "email": "ada@example.com",
        "active": True,
    }
    accounts = [
        life("account", key, event("2026-01-02", "create", name=f"Customer {key}", owner=1))
        for key in range(1, 6)
    ]
    return SmallWorld(
        [
            life("user", 1, event("2026-01-01", "create", **user)),
            *accounts,
            deal(1, "Steady", "2026-01-15", 120, event("2026-01-15", **WON)),
            deal(2, "Comes back", "2026-05-10", 30, event("2026-05-10", **WON), event("2026-06-10", **OPEN)),
            deal(3, "Goes", "2026-05-12", 10, event("2026-05-12", **WON), event("2026-06-11", "delete")),
            deal(4, "Was won before", "2026-05-20", 20, event("2026-06-12", **WON, close_date="2026-05-20")),
            deal(5, "Waits", "2026-06-30", 50),
        ]
    )  # fmt: skip


@dataclass
class Place:
    config: Path
    simulator: Simulator

    def run(self, *arguments: str | Path) -> Done:
        done = boardline(arguments[0], "-c", self.config, *arguments[1:])
        assert done.status == 0, done.err
        return done


@pytest.fixture(params=["salesforce", pytest.param("hubspot", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind: Any = {"salesforce": SalesforceOrg, "hubspot": HubSpotPortal}[request.param]
    with Simulator(kind(world(), now=CLOCKS[0])) as simulator:
        text = demo_config.text(
            request.param, simulator.url, simulator.ca_bundle or "", playbook="hr_tech", timezone="America/New_York",
            inputs={"targets": "targets.csv"},
        )  # fmt: skip
        document = yaml.safe_load(text)
        document["store"]["url"] = "sqlite:///boardline.db"
        (tmp_path / "targets.csv").write_text(TARGETS)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
        yield Place(tmp_path / "config.yaml", simulator)


def test_what_was_posted_is_restated_with_its_causes(place: Place, tmp_path: Path) -> None:
    place.run("sync", "--once")
    place.run("report", "--month", "2026-05", "--post")
    assert place.run("report", "--month", "2026-05", "--json").json()["restatements"] == []
    place.simulator.advance(CLOCKS[1])
    place.run("sync", "--once")
    today = datetime.now(ZoneInfo("America/New_York")).date()
    with (tmp_path / "targets.csv").open("a") as file:
        file.write(f"2026-Q2,,quota,100000,board,{today}\n")

    document = place.run("report", "--month", "2026-06", "--out", tmp_path / "out", "--json").json()

    items = {item["kpi"]: item for item in document["restatements"] if item["segment"] is None}
    arr = items["arr"]
    assert (arr["published"], arr["now"], arr["difference"], arr["unexplained"]) == (
        "160000.00",
        "140000.00",
        "-20000.00",
        "0.00",
    )
    assert [(one["cause"], one["records"], one["amount"]) for one in arr["causes"]] == [
        ("reopened", 1, "-30000.00"),
        ("back_dated", 1, "20000.00"),
        ("deleted", 1, "-10000.00"),
    ]
    reopened, back_dated, deleted = arr["records"]
    assert (reopened["name"], reopened["field"], reopened["old"], reopened["new"]) == (
        "Comes back",
        "stage",
        "Closed Won",
        "Discovery",
    )
    assert reopened["at"].startswith("2026-06-10")
    assert (back_dated["name"], back_dated["before"], back_dated["after"]) == (
        "Was won before",
        None,
        "20000.00",
    )
    assert (deleted["name"], deleted["after"]) == ("Goes", None)
    assert all(one["url"].startswith("https://") for one in arr["records"])
    assert all(one["external_id"] in one["url"] for one in arr["records"])
    assert {one["cause"] for one in items["arr_new_logo"]["causes"]} == {"reopened", "back_dated", "deleted"}
    coverage = items["pipeline_coverage"]
    (revised,) = coverage["inputs"]
    assert revised.startswith("targets.csv was revised as of ")
    assert revised.endswith(" (line 3)")

    said = "-$20,000.00: 1 deal reopened (-$30,000.00), 1 deal back-dated (+$20,000.00), 1 deal deleted (-$10,000.00)"
    forms = {Path(path).suffix: Path(path).read_text() for path in document["files"]}
    assert said in " ".join(forms[".txt"].split())
    assert said in forms[".html"]
    assert "reopened on 10 June 2026: stage Closed Won -&gt; Discovery" in forms[".html"]
    assert reopened["url"] in forms[".html"]
    assert reopened["url"] in forms[".md"]
    for form in forms.values():
        assert revised in " ".join(form.replace("\\", "").replace("\u2060", "").split())
        assert "Repson" not in form, "no rep is named on a board's page"
