"""What must hold for the revenue of any company, generated or drawn at random."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import coverage
from metrics.bridge import LOSSES, MOVEMENTS
from metrics.compute import bridge, compute
from metrics.facts import Facts
from metrics.period import months_between
from pipeline.company import Company
from tests.unit.books import Books, at
from tests.unit.generated import frames

VERTICALS = ("supply_chain", "hr_tech", "dev_tools")


@cache
def generated(vertical: str) -> Facts:
    """Thirty months of a generated company, seen from its present."""
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    now = datetime.fromtimestamp(world.as_of, UTC)
    company = Company(name="generated", timezone=world.timezone)
    return Facts(company, months_between("2024-01", "2026-06"), now, frames(world, world.as_of))


def holds(facts: Facts) -> None:
    """The bridge ties and chains, GRR is at most 1 and at most NRR, and the parts of every cut add up."""
    table = bridge(facts)
    gains = pl.sum_horizontal([name for name in MOVEMENTS if name not in LOSSES])
    ends = table.select(pl.col("opening") + pl.col("fx") + gains - pl.sum_horizontal(LOSSES)).to_series()
    assert ends.to_list() == table["closing"].to_list()
    assert table["opening"].to_list()[1:] == table["closing"].to_list()[:-1]
    values = {
        (value.id, value.month): value
        for value in compute(facts, ["arr", "nrr", "grr", "logo_churn", "carr"])
    }
    assert [values["arr", month].value or 0 for month in facts.months] == table["closing"].to_list()
    for month in facts.months:
        net, gross = values["nrr", month].value, values["grr", month].value
        assert (net is None) == (gross is None)
        if net is not None and gross is not None:
            assert gross <= min(1, net) + 1e-12
            assert 0 <= (values["logo_churn", month].value or 0) <= 1
    for cut in ("size", "motion", "owner", "product"):
        parts: dict[tuple[str, str], float] = {}
        for value in compute(facts, ["arr", "carr", "nrr", "grr"], cuts=(cut,)):
            parts[value.id, value.month] = parts.get((value.id, value.month), 0) + (value.numerator or 0)
        assert parts == {key: values[key].numerator or 0 for key in parts}


@pytest.mark.parametrize("vertical", VERTICALS)
def test_a_generated_company(vertical: str) -> None:
    facts = generated(vertical)
    holds(facts)
    table = bridge(facts)
    assert (table["fx"] != 0).any()


def test_everything_that_can_happen_happens_in_them() -> None:
    totals = pl.concat([bridge(generated(vertical)).select(MOVEMENTS) for vertical in VERTICALS]).sum()
    assert {name: totals[name][0] > 0 for name in MOVEMENTS} == dict.fromkeys(MOVEMENTS, True)


@pytest.mark.parametrize("vertical", VERTICALS)
def test_every_contract_is_the_sum_of_its_rows(vertical: str) -> None:
    facts = generated(vertical)
    sums = facts.arr_rows.group_by("deal_id").agg(pl.col("arr").sum())
    joined = facts.contracts.select("deal_id", total="arr").join(sums, on="deal_id", how="left")
    assert joined.filter(pl.col("arr") != pl.col("total")).is_empty()
    assert joined["arr"].null_count() == 0


@pytest.mark.parametrize("vertical", VERTICALS)
def test_the_past_seen_from_then_needs_no_knowledge_of_what_came_later(vertical: str) -> None:
    """Facts of last autumn from the books of today, with history undone, equal those from the books of then.

    Fields without history (terms, starts, merges) are not undone, so only pipeline figures can be compared.
    """
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    then = datetime(2025, 11, 12, 9, tzinfo=UTC)
    company = Company(name="generated", timezone=world.timezone)
    months = months_between("2025-01", "2025-11")
    old = Facts(company, months, then, frames(world, int(then.timestamp())))
    new = Facts(company, months, then, frames(world, world.as_of))
    # What was deleted since is out of everything now, and a pilot's conversion has no history.
    still = new.raw("deals").filter(pl.col("deleted_at").is_null())["external_id"].implode()
    columns = ["month", "external_id", "stage", "amount", "close_date"]
    before, after = (
        coverage.snapshot(f).select(columns).filter(pl.col("external_id").is_in(still)).rows()
        for f in (old, new)
    )
    assert before == after
    assert len(before) > 50
    same = pl.col("external_id").is_in(still) & ~pl.col("external_id").is_in(
        new.deals.filter("pilot")["external_id"].implode()
    )
    columns = ["external_id", "stage", "amount", "close_date", "outcome"]
    before, after = (f.deals.filter(same).select(columns).sort("external_id").rows() for f in (old, new))
    assert before == after


deals = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from("ABC"),
            "type": st.sampled_from(["New Business", "Expansion", "Renewal", "Downgrade", "Churn"]),
            "start": st.integers(0, 900).map(
                lambda days: (date(2024, 1, 1) + timedelta(days=days)).isoformat()
            ),
            "arr": st.integers(-40, 200),
            "term": st.sampled_from([None, 1, 3, 12, 24]),
            "currency": st.sampled_from(["USD", "USD", "EUR", "JPY"]),
            "seats": st.integers(0, 9),
        }
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deals, st.sampled_from(["2026-06-15", "2026-06-30"]))
def test_any_books(drawn: list[dict[str, Any]], now: str) -> None:
    books = Books()
    for account in "ABC":
        books.account(account, parent_id="A" if account == "C" else None, segment=account)
    for number, deal in enumerate(drawn):
        kept = {name: deal[name] for name in ("type", "currency")}
        books.won(str(number), deal["account"], deal["start"], deal["arr"], deal["term"], **kept)
        if deal["seats"]:
            books.line(
                str(number), "Seat", "seat", deal["seats"], deal["seats"] * 3, currency=deal["currency"]
            )
    books.deal("waiting", stage="Proposal", type="Renewal", account_id="B")
    for currency, start, rate in (
        ("EUR", "2024-03-01", "1.1"),
        ("EUR", "2025-03-01", "0.937"),
        ("JPY", "2024-01-01", "0.0067"),
    ):
        books.rate(currency, start, rate)
    holds(books.facts(*months_between("2024-01", "2026-06"), now=at(now)))
