"""The data-quality faults of the simulated company: what is said to be planted is there, and nothing without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from connectors.simulator.company import Company, Parameters
from tests.oracle.quality import completeness, duplicates, filled, normal_name, outdated, stage_faults
from tests.oracle.record import Record, Truth, day
from tests.unit.company_lives import END, company, each_vertical, truth

MONTH = "2026-11"

RULES = {
    "blank_account",
    "blank_amount",
    "blank_next_step",
    "bounced_contact",
    "dates_reversed",
    "default_close_date",
    "duplicate_account",
    "duplicate_contact",
    "overdue_close_date",
    "placeholder_amount",
    "placeholder_next_step",
    "retired_stage",
    "retro_entered",
    "stale_contact",
    "unconverted_pilot",
    "unknown_stage",
    "unmapped_type",
    "zero_value_win",
}


def default(vertical: str) -> tuple[Company, Truth]:
    return company(vertical)[0], truth(vertical)[0]


@lru_cache(maxsize=1)
def clean() -> tuple[Company, Truth]:
    made = Company(Parameters("hr_tech", END, accounts=150, deals=1500, defects=0))
    return made, Truth(made, datetime.fromtimestamp(made.as_of, UTC))


def _open(truth: Truth, deal: Record) -> bool:
    stage = truth.stages.get(deal["stage"])
    return not (stage and stage.closed)


def _won(deal: Record) -> bool:
    return bool(deal["stage"] == "Closed Won")


def _month_end(of: date) -> date:
    return (of.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _twin(truth: Truth, account: Record) -> bool:
    def same(other: Record) -> bool:
        domains = [(a["domain"] or "").removeprefix("www.") for a in (account, other)]
        return (domains[0] == domains[1] != "") or normal_name(account["name"]) == normal_name(other["name"])

    return any(same(other) for other in truth.live("account") if other.key != account.key)


def _same_person(truth: Truth, contact: Record) -> bool:
    def same(other: Record) -> bool:
        mails = [(c["email"] or "").lower() for c in (contact, other)]
        names = [(c["first_name"], c["last_name"], c["phone"]) for c in (contact, other)]
        return (mails[0] == mails[1] != "") or (names[0] == names[1] and bool(contact["phone"]))

    return any(same(other) for other in truth.live("contact") if other.key != contact.key)


def _retro(truth: Truth, deal: Record) -> bool:
    won = next(at for at, tracked in deal.past if tracked["stage"] == "Closed Won")
    return _won(deal) and (truth.local_day(won) - truth.local_day(deal.created)).days <= 1


def _default_close(truth: Truth, deal: Record) -> bool:
    dates = {tracked["close_date"] for _, tracked in deal.past}
    return _open(truth, deal) and dates == {_month_end(truth.local_day(deal.created)).isoformat()}


BROKEN: dict[str, Callable[[Truth, Record], bool]] = {
    "blank_account": lambda truth, deal: deal["account"] is None,
    "blank_amount": lambda truth, deal: _open(truth, deal) and deal["amount"] is None,
    "blank_next_step": lambda truth, deal: _open(truth, deal) and deal["next_step"] is None,
    "placeholder_amount": lambda truth, deal: _open(truth, deal) and deal["amount"] == 0,
    "placeholder_next_step": lambda truth, deal: (
        _open(truth, deal) and bool(deal["next_step"]) and not filled(deal["next_step"])
    ),
    "default_close_date": _default_close,
    "overdue_close_date": lambda truth, deal: (
        _open(truth, deal) and day(deal["close_date"]) < truth.day_of(MONTH)
    ),
    "unknown_stage": lambda truth, deal: deal["stage"] not in truth.stages,
    "retired_stage": lambda truth, deal: not truth.stages[deal["stage"]].active,
    "unmapped_type": lambda truth, deal: truth.type_of(deal) is None,
    "zero_value_win": lambda truth, deal: _won(deal) and deal["amount"] == 0 and not deal["arr"],
    "dates_reversed": lambda truth, deal: _won(deal) and deal["term_months"] < 0,
    "unconverted_pilot": lambda truth, deal: (
        _won(deal) and deal["pilot"] is True and deal["pilot_converted"] is None
    ),
    "retro_entered": _retro,
    "bounced_contact": lambda truth, contact: contact["bounced"] is True,
    "stale_contact": lambda truth, contact: (
        day(contact["last_activity"]) < truth.day_of(MONTH) - timedelta(days=365)
    ),
    "duplicate_contact": _same_person,
    "duplicate_account": _twin,
}


@each_vertical
def test_every_planted_fault_is_there(vertical: str) -> None:
    made, truth = default(vertical)
    planted = list(made.planted())
    assert len(planted) == len(set(planted))
    for rule, kind, key in planted:
        record = truth.records[kind][key]
        assert not record.gone, (rule, kind, key)
        assert BROKEN[rule](truth, record), (rule, kind, key, record.values)


@each_vertical
def test_each_kind_of_fault_is_planted_at_some_time_and_most_are_there_at_the_end(vertical: str) -> None:
    made, _ = default(vertical)
    assert {mark.rule for mark in made.faults()} == RULES
    now = Counter(rule for rule, _, _ in made.planted())
    assert len(now) >= len(RULES) - 2
    assert now == Counter(rule for rule, _, _ in made.planted(made.as_of))


@each_vertical
def test_what_is_planted_depends_on_the_moment(vertical: str) -> None:
    made, _ = default(vertical)
    days = 86_400
    before, after = (set(made.planted(made.as_of + shift * days)) for shift in (-200, 50))
    now = set(made.planted())
    assert before - now, "some faults were mended"
    assert now - before
    assert after - now, "some faults are still to come"


@each_vertical
def test_the_data_is_as_good_as_that_of_a_usual_crm(vertical: str) -> None:
    _, truth = default(vertical)
    have, want = completeness(truth, MONTH)
    assert 0.75 < have / want < 0.95
    for low, (bad, base), high in (
        (0.005, duplicates(truth), 0.08),
        (0.05, stage_faults(truth, MONTH), 0.45),
        (0.05, outdated(truth), 0.3),
    ):
        assert low < bad / base < high


def test_without_defects_nothing_is_planted() -> None:
    made, _ = clean()
    assert list(made.faults()) == []
    assert list(made.planted()) == []


def test_without_defects_the_data_is_clean() -> None:
    _, truth = clean()
    have, want = completeness(truth, MONTH)
    assert have == want
    assert duplicates(truth)[0] == 0
    assert stage_faults(truth, MONTH)[0] == 0
    assert outdated(truth)[0] == 0
    for deal in truth.live("deal"):
        for rule in (
            "blank_account",
            "unmapped_type",
            "zero_value_win",
            "dates_reversed",
            "unconverted_pilot",
        ):
            assert not BROKEN[rule](truth, deal), (rule, deal)


def test_more_defects_mean_more_faults() -> None:
    counts = [
        sum(1 for _ in Company(Parameters("dev_tools", END, accounts=60, deals=600, defects=d)).planted())
        for d in (0.3, 1.0, 2.0)
    ]
    assert counts[0] < counts[1] < counts[2]
