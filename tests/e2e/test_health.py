"""Customer health from input files over a generated company, against the second computation, on both CRMs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from connectors.simulator.hubspot.ids import record_key
from connectors.simulator.salesforce.ids import key_of
from metrics.compute import compute
from metrics.facts import Facts
from pipeline.store import Store
from scheduler import config as configuration
from tests.e2e.process import NOW, site
from tests.oracle.health import Health, Lives, Survey, Ticket, Use
from tests.oracle.record import Truth

MONTHS = ("2025-09", "2026-02", "2026-03", "2026-06")
FIRST = date(2025, 12, 1)  # a Monday: before it there are surveys alone
WEEKS = 30
SEVERITIES = ("low", "high", "medium", "urgent")


def lives(accounts: list[int]) -> Lives:
    """Rows that differ from account to account and from week to week; of every third thing some have none."""
    usage = [
        Use(key, FIRST + timedelta(weeks=n), key * 7 % 22 + n % 3, 0 if key % 17 == 0 else 20)
        for key in accounts
        if key % 3
        for n in range(WEEKS)
        if (key + n) % 11
    ]
    tickets = [
        Ticket(
            key,
            opened := FIRST + timedelta(days=(key * 13 + n * 29) % 200),
            None if (key + n) % 4 == 0 else opened + timedelta(days=(key + n * 5) % 60),
            SEVERITIES[(key + n) % 4],
        )
        for key in accounts
        for n in range(key % 5 * 6)
    ]
    surveys = [
        Survey(
            key, date(2025, 4, 2) + timedelta(days=(key * 5 + n * 97) % 450), (key * 31 + n * 57) % 201 - 100
        )
        for key in accounts
        if key % 4
        for n in range(3)
    ]
    return Lives(usage, tickets, surveys)


def write(folder: Path, found: Lives, ids: Mapping[int, str]) -> dict[str, Path]:
    lines = {
        "usage": ["customer_key,week,active,licensed"]
        + [f"{ids[row.account]},{row.week},{row.active},{row.licensed}" for row in found.usage],
        "tickets": ["customer_key,opened,closed,severity"]
        + [f"{ids[row.account]},{row.opened},{row.closed or ''},{row.severity}" for row in found.tickets],
        "nps": ["customer_key,date,score"]
        + [f"{ids[row.account]},{row.day},{row.score}" for row in found.surveys],
    }
    paths = {kind: folder / f"{kind}.csv" for kind in lines}
    for kind, path in paths.items():
        path.write_text("\n".join(lines[kind]), encoding="utf-8")
    return paths


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_health_of_every_month(crm: str, tmp_path: Path) -> None:
    with site(crm, tmp_path, accounts=120, deals=1000, months=24) as place:
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        truth = Truth(place.world, NOW)
    settings = configuration.load(tmp_path / "config.yaml")
    store = Store.open(settings.store.url)
    try:
        company = settings.companies["demo"]
        listed = Facts.load(store, company, MONTHS, NOW).live("accounts")["external_id"]
        ids = {(key_of(each) if crm == "salesforce" else record_key(each)[:2])[1]: each for each in listed}
        found = lives(sorted(ids))
        files = write(tmp_path, found, ids)
        company = company.model_copy(update={"inputs": company.inputs.model_copy(update=files)})
        facts = Facts.load(store, company, MONTHS, NOW)
        got = {value.month: value for value in compute(facts, ["health_score"])}
    finally:
        store.close()
    health = Health(truth, found)
    for month in MONTHS:
        total, scored, bands = health.of_month(month)
        assert got[month].n == scored, month
        assert (got[month].numerator or 0) == pytest.approx(float(total), rel=1e-9), month
        named = ", ".join(
            f"{band} {arr // 100}.{arr % 100:02d} {facts.currency}" for band, arr in bands.items()
        )
        assert f"ARR by health: {named}" in "; ".join(got[month].reasons)
    assert got[MONTHS[0]].value is None, "a quarter of the weight is not enough"
    later = [health.of_month(month)[2] for month in MONTHS[1:]]
    assert {band for bands in later for band, arr in bands.items() if arr} == {
        "red",
        "amber",
        "green",
        "unknown",
    }, later
