"""The simulated company: alike every time, coherent, of the asked size, and full of everything that happens."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.simulator.company import Company, Parameters
from connectors.simulator.world import Life
from tests.oracle.kpis import numbers
from tests.unit.company_lives import END, company, each_vertical, of_kind, state, truth

REFERENCES = {  # field -> kind, by kind of the record that holds it
    "user": {"manager": "user"},
    "account": {"owner": "user", "parent": "account", "into": "account"},
    "contact": {"account": "account", "owner": "user", "lead": "lead", "into": "contact"},
    "lead": {"owner": "user", "account": "account", "contact": "contact", "deal": "deal"},
    "deal": {"account": "account", "owner": "user"},
    "line_item": {"deal": "deal", "product": "product"},
    "contact_role": {"deal": "deal", "contact": "contact"},
    "meeting": {"account": "account", "deal": "deal", "contact": "contact", "owner": "user"},
    "quota": {"owner": "user"},
}


def small(seed: int = 3, accounts: int = 40, deals: int = 400, **more: Any) -> Company:
    return Company(Parameters("dev_tools", END, seed=seed, accounts=accounts, deals=deals, **more))


# -- alike, and streaming ---------------------------------------------------------------------------------


def test_the_same_parameters_give_the_same_lives() -> None:
    made = small()
    first = list(made.lives())
    assert first == list(made.lives())
    assert first == list(small().lives())


def test_another_seed_gives_another_company() -> None:
    assert list(small(seed=3).lives()) != list(small(seed=4).lives())


def test_the_first_of_a_million_deals_come_without_the_rest() -> None:
    lives = Company(Parameters("hr_tech", END, accounts=100_000, deals=1_000_000)).lives()
    assert isinstance(lives, Iterator)
    kinds = Counter(life.kind for life in islice(lives, 3_000))
    assert kinds["account"] > 10
    assert kinds["deal"] > 100


def test_memory_does_not_grow_with_the_company() -> None:
    def peak(accounts: int) -> int:
        made = Company(Parameters("dev_tools", END, accounts=accounts, deals=accounts * 4, months=6))
        tracemalloc.start()
        for _ in made.lives():
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(160) < 2 * peak(20)


def test_a_groups_lives_do_not_depend_on_how_many_groups_follow() -> None:
    """Ten deals per account in both: what belongs to the first accounts is the same."""

    def belongings(made: Company) -> list[Life]:
        shared = ("user", "quota", "product", "rate")
        return [life for life in made.lives() if life.kind not in shared]

    alone = belongings(small(accounts=20, deals=200))
    assert alone == belongings(small(accounts=40, deals=400))[: len(alone)]


@each_vertical
def test_shared_records_come_first_then_account_by_account(vertical: str) -> None:
    made, lives = company(vertical)
    kinds = [life.kind for life in lives]
    shared = sum(kind in ("user", "product", "rate", "quota") for kind in kinds)
    assert set(kinds[:shared]) == {"user", "product", "rate", "quota"}
    assert kinds[shared] == "account"
    accounts = [life.key for life in lives if life.kind == "account"]
    assert accounts == sorted(accounts)
    assert len(accounts) == made.parameters.accounts


# -- time, size, references -------------------------------------------------------------------------------


@each_vertical
def test_every_life_begins_with_its_creation_and_moves_forward_within_the_company(vertical: str) -> None:
    made, lives = company(vertical)
    zone = ZoneInfo(made.timezone)
    first = datetime(made.start.year, made.start.month, made.start.day, tzinfo=zone).timestamp()
    last = datetime(made.end.year, made.end.month, made.end.day, tzinfo=zone).timestamp()
    assert len({(life.kind, life.key) for life in lives}) == len(lives)
    for life in lives:
        times = [event.at for event in life.events]
        assert life.key >= 1
        assert all(isinstance(at, int) for at in times)
        assert times == sorted(set(times)), life
        assert first <= times[0], life
        assert times[-1] < last, life
        assert [event.op for event in life.events].count("create") == 1
        assert life.events[0].op == "create"
        for before, after in pairwise(life.events):
            assert (before.op == "delete") == (after.op == "restore") or before.op == "set", life
            assert before.op not in ("merge", "purge"), life


@each_vertical
def test_the_company_has_as_many_deals_as_asked_for(vertical: str) -> None:
    made, _ = company(vertical)
    assert abs(len(of_kind(vertical, "deal")) - made.parameters.deals) <= 0.03 * made.parameters.deals


@pytest.mark.parametrize(("accounts", "deals"), [(30, 1000), (120, 600)])
def test_few_or_many_deals_per_account(accounts: int, deals: int) -> None:
    count = sum(life.kind == "deal" for life in small(accounts=accounts, deals=deals).lives())
    assert abs(count - deals) <= 0.05 * deals


def _gone(life: Life) -> tuple[int, str] | None:
    """When and how the record ended for good."""
    last = life.events[-1]
    return (last.at, last.op) if last.op in ("delete", "merge", "purge") else None


@each_vertical
def test_nothing_refers_to_what_does_not_exist_yet_or_any_more(vertical: str) -> None:
    lives = company(vertical)[1]
    known = {(life.kind, life.key): life for life in lives}
    seen = 0
    for life in lives:
        for event in life.events:
            for field, kind in REFERENCES.get(life.kind, {}).items():
                key = event.values.get(field)
                if key is None:
                    continue
                seen += 1
                target = known[(kind, key)]  # type: ignore[index]
                assert target.events[0].at < event.at, (life.kind, life.key, field)
                gone = _gone(target)
                assert gone is None or gone[0] >= event.at, (life.kind, life.key, field, gone)
    assert seen > 10_000


@each_vertical
def test_when_an_account_is_merged_everything_it_had_follows(vertical: str) -> None:
    lives = company(vertical)[1]
    merged = {
        life.key: life.events[-1]
        for life in lives
        if life.kind == "account" and life.events[-1].op == "merge"
    }
    assert merged
    moved = 0
    for life in lives:
        if life.kind in ("contact", "deal", "lead", "meeting"):
            gone = _gone(life)
            account: int | None = None
            for event in life.events:
                account = event.values.get("account", account)
                if account in merged and (gone is None or gone[0] > merged[account].at):
                    assert event.at < merged[account].at
                moved += account in merged
            assert gone or account not in merged
    assert moved


@each_vertical
def test_a_deleted_deal_takes_its_lines_roles_and_meetings_along(vertical: str) -> None:
    lives = company(vertical)[1]
    gone = {life.key for life in lives if life.kind == "deal" and _gone(life)}
    assert gone
    for life in lives:
        if life.kind in ("line_item", "contact_role", "meeting"):
            assert _gone(life) or life.events[0].values["deal"] not in gone


# -- deals ------------------------------------------------------------------------------------------------


@each_vertical
def test_a_deal_carries_its_tracked_fields_together(vertical: str) -> None:
    made, _ = company(vertical)
    stages = {stage.name: stage for stage in made.stages}
    tracked = {"stage", "amount", "close_date", "probability", "forecast_category"}
    for life in of_kind(vertical, "deal"):
        assert tracked <= set(life.events[0].values)
        before = ""
        for event in life.events:
            values = event.values
            together = {"stage", "probability", "forecast_category"} & set(values)
            assert len(together) in (0, 3)
            if not together:
                continue
            stage = stages.get(values["stage"])
            expected = (stage.probability, stage.forecast_category) if stage else (0.0, "omitted")
            assert (values["probability"], values["forecast_category"]) == expected
            if stage and stage.closed and values["stage"] != before:
                assert values["close_date"]
            before = values["stage"]
        assert state(life)["close_date"]


@each_vertical
def test_no_field_of_a_deal_changes_more_often_than_a_crm_remembers(vertical: str) -> None:
    for life in of_kind(vertical, "deal"):
        versions = Counter(field for event in life.events for field in event.values)
        assert max(versions.values()) < 20, life.key


@each_vertical
def test_amount_is_the_sum_of_the_lines_and_arr_their_annual_value(vertical: str) -> None:
    lines: dict[int, list[dict[str, Any]]] = {}
    for life in of_kind(vertical, "line_item"):
        values = state(life)
        assert values["amount"] == values["quantity"] * values["unit_price"]
        lines.setdefault(values["deal"], []).append(values)
    checked = 0
    for life in of_kind(vertical, "deal"):
        deal, own = state(life), lines.get(life.key)
        if not own or _gone(life):
            continue
        assert {line["currency"] for line in own} == {deal["currency"]}
        recurring = sum(line["amount"] for line in own if line["kind"] != "one_time")
        if deal["stage"] == "Closed Won":
            checked += 1
            assert deal["amount"] == sum(line["amount"] for line in own)
            if deal["arr"] is not None:
                assert deal["arr"] * abs(deal["term_months"]) == recurring * 12
            else:
                assert recurring == deal["amount"]
    assert checked > 200


@each_vertical
def test_deals_close_on_the_local_day_or_are_back_dated(vertical: str) -> None:
    made, _ = company(vertical)
    zone, same, utc_differs, back = ZoneInfo(made.timezone), 0, 0, 0
    for life in of_kind(vertical, "deal"):
        for event in life.events:
            if str(event.values.get("stage", "")).startswith("Closed"):
                local = datetime.fromtimestamp(event.at, zone).date().isoformat()
                assert event.values["close_date"] <= local
                same += event.values["close_date"] == local
                back += event.values["close_date"] < local
                utc_differs += datetime.fromtimestamp(event.at, UTC).date().isoformat() != local
    assert back / (same + back) < 0.12
    assert utc_differs > 20


@each_vertical
def test_rates_and_their_inverses_end_after_few_decimals(vertical: str) -> None:
    rates = [state(life) for life in of_kind(vertical, "rate")]
    assert {rate["currency"] for rate in rates} == {"EUR", "GBP"}
    for rate in rates:
        whole, _, decimals = rate["rate"].partition(".")
        assert len(decimals) <= 6
        millionths = int(whole + decimals.ljust(6, "0"))
        assert 10**18 % millionths == 0, rate  # 1 / rate in units of 1e-12
    start = company(vertical)[0].start.isoformat()
    assert {c for c in ("EUR", "GBP") if (c, start) in {(r["currency"], r["start_date"]) for r in rates}} == {
        "EUR",
        "GBP",
    }


@each_vertical
def test_every_quarter_that_begins_in_the_company_has_a_quota(vertical: str) -> None:
    quotas = [state(life) for life in of_kind(vertical, "quota")]
    made, _ = company(vertical)
    quarters = {
        f"{year}-{month:02d}-01"
        for year in range(made.start.year, made.end.year + 1)
        for month in (1, 4, 7, 10)
        if made.start <= date(year, month, 1) < made.end
    }
    assert {quota["start_date"] for quota in quotas} == quarters
    assert {quota["owner"] is None for quota in quotas} == {True, False}
    assert all(quota["amount"] > 0 for quota in quotas)


# -- plausible as a whole ---------------------------------------------------------------------------------


@each_vertical
def test_the_headline_numbers_are_those_of_a_real_company(vertical: str) -> None:
    known, revenue = truth(vertical)
    second = numbers(known)
    low, high = (2, 6) if vertical == "dev_tools" else (7, 20)
    assert low <= revenue.arr("2026-11") / 1e8 <= high
    assert revenue.arr("2024-11") < revenue.arr("2025-11") < revenue.arr("2026-11")
    kept = revenue.retention("2026-11")
    assert 0.9 <= (kept["nrr"] or 0) <= 1.2
    assert 0.75 <= (kept["grr"] or 0) <= 0.96
    assert (kept["n"] or 0) >= 50
    for month in ("2026-03", "2026-06", "2026-09"):
        assert 0.15 <= (second["win_rate"].whole(month).value or 0) <= 0.4
        assert 1.5 <= (second["pipeline_coverage"].whole(month).value or 0) <= 6


@each_vertical
def test_no_customer_has_negative_arr(vertical: str) -> None:
    _, revenue = truth(vertical)
    for month in (date(2025, 5, 31), date(2025, 12, 31), date(2026, 6, 30), date(2026, 11, 30)):
        assert all(arr >= 0 for arr in revenue.by_customer(month, month).values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"vertical": "retail"}, "there is no vertical 'retail'"),
        ({"accounts": 0}, "needs an account"),
        ({"deals": 10, "accounts": 20}, "a deal for each account"),
        ({"defects": -1.0}, "cannot be negative"),
        ({"home_currency": "EUR"}, "keeps its books in USD"),
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Parameters(**{"vertical": "hr_tech", "end": END, **wrong})


@pytest.mark.parametrize("end", [date(2026, 11, 22), date(2024, 2, 29), date(2025, 3, 31)])
def test_history_may_end_on_any_day(end: date) -> None:
    made = Company(Parameters("supply_chain", end, accounts=30, deals=300, months=13))
    lives = list(made.lives())
    assert any(event.at > made.as_of for life in lives for event in life.events)
    assert made.start < end < made.end
