"""What follows from how the agreed KPIs changed: each market's own rule, strict at its edges."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from connectors.errors import ConfigurationError
from metrics import playbook
from metrics.checkpoint import agreed, by_quarter, clock
from metrics.conclusion import Change, State, better, conclude, state
from metrics.playbook_parts import Checkpoint
from pipeline.company import Company

START = date(2026, 6, 1)


def rules(book: str) -> Checkpoint:
    found = playbook.load(book).checkpoint
    assert found is not None
    return found


def change(kpi: str, improved: bool = False, stands: State = "not_improved") -> Change:
    return Change(
        kpi=kpi, title=kpi, unit="ratio", baseline=1.0, now=1.0, relative=0.0, improved=improved, state=stands,
        status="no_target", then_month="2026-05", month="2026-08",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("then", "now", "higher", "noise", "improved"),
    [
        (1.0, 1.05, True, 0.05, False),  # exactly 5 % is noise
        (1.0, 1.0501, True, 0.05, True),
        (0.2, 0.21, True, 0.05, False),
        (0.2, 0.2101, True, 0.05, True),
        (20.0, 19.0, False, 0.05, False),
        (20.0, 18.99, False, 0.05, True),
        (20.0, 25.0, False, 0.05, False),  # the wrong direction
        (1.0, 0.5, True, 0.05, False),
        (-0.1, -0.09, True, 0.05, True),
        (0.0, 0.0, True, 0.05, False),
        (0.0, 0.01, True, 0.05, True),
        (0.0, -0.01, False, 0.05, True),
        (1.0, 1.0, True, 0.0, False),
        (1.0, 1.0000001, True, 0.0, True),
        (None, 1.0, True, 0.05, False),  # undefined is no improvement
        (1.0, None, True, 0.05, False),
        (None, None, True, 0.05, False),
        (1.0, 2.0, None, 0.05, False),  # neither side is better
    ],
)
def test_better_is_the_right_direction_beyond_noise(
    then: float | None, now: float | None, higher: bool | None, noise: float, improved: bool
) -> None:
    assert better(then, now, higher, noise)[0] is improved


@pytest.mark.parametrize(
    ("day", "ups", "verdict"),
    [
        (90, 5, "too_early"),  # 89 days have passed
        (91, 3, "working"),
        (91, 2, "not_working"),
        (200, 3, "working"),
        (1, 0, "too_early"),
    ],
)
def test_hr_tech_asks_for_three_after_ninety_days(day: int, ups: int, verdict: str) -> None:
    names = ("nrr", "cac_payback_months", "stage_days", "win_rate", "grr")
    changes = [change(name, number < ups) for number, name in enumerate(names)]
    outcome, sentence, after = conclude(rules("hr_tech"), day, changes)
    assert outcome == verdict
    assert f"{ups} of 5 agreed KPIs improved by more than 5%" in sentence
    if verdict == "not_working":
        assert sentence.endswith("the engagement is not working; is it the CRO, the product or the market?")
        assert after == "Look first at stage_days, win_rate, the most actionable."


@pytest.mark.parametrize(
    ("day", "ups", "verdict", "part"),
    [
        (90, 2, "too_early", "Day 90 of 90 diagnostic days: no KPI is judged yet."),
        (91, 0, "no_gain_yet", "neither nrr nor pipeline_coverage_weighted improved"),
        (120, 0, "no_gain_yet", "Day 120"),
        (121, 0, "poor_fit", "poor fit; most often the CRO knows enterprise software"),
        (121, 1, "gaining", "nrr improved since the baseline"),
        (91, 1, "gaining", "nrr improved since the baseline"),
    ],
)
def test_dev_tools_judges_nothing_for_ninety_days_and_ends_at_day_120(
    day: int, ups: int, verdict: str, part: str
) -> None:
    names = ("nrr", "pipeline_coverage_weighted")
    changes = [change(name, number < ups) for number, name in enumerate(names)]
    outcome, sentence, _ = conclude(rules("dev_tools"), day, changes)
    assert outcome == verdict
    assert part in sentence


@pytest.mark.parametrize(
    ("kpi", "days", "improved", "status", "comparable", "stands"),
    [
        ("sales_velocity", 59, True, "no_target", True, "too_early"),
        ("sales_velocity", 60, True, "no_target", True, "improved"),
        ("sales_velocity", 60, False, "no_target", True, "not_yet"),
        ("sales_velocity", 90, False, "no_target", True, "not_yet"),
        ("sales_velocity", 91, False, "no_target", True, "missed"),
        ("forecast_accuracy_error", 91, False, "on_target", False, "on_target"),
        ("forecast_accuracy_error", 91, False, "off_target", True, "missed"),
        ("forecast_accuracy_error", 91, False, "not_computable", False, "unknown"),
        ("nrr", 182, False, "watch", True, "too_early"),
        ("nrr", 183, False, "watch", True, "not_yet"),
        ("nrr", 274, False, "watch", True, "not_yet"),
        ("nrr", 275, False, "watch", True, "missed"),
        ("nrr", 275, True, "watch", True, "improved"),
        ("win_rate", 91, False, "no_target", True, "missed"),  # has no clock of its own: 90 days
    ],
)
def test_supply_chain_gives_each_kpi_its_own_clock(
    kpi: str, days: int, improved: bool, status: str, comparable: bool, stands: State
) -> None:
    due = clock(playbook.load("supply_chain"), rules("supply_chain"), kpi, START)
    assert state(improved, status, due, START + timedelta(days=days), comparable=comparable) == stands


@pytest.mark.parametrize(
    ("states", "verdict", "part"),
    [
        (("too_early", "too_early"), "too_early", "No improvement is expected yet."),
        (("improved", "too_early"), "on_course", "kpi0 improved or on target."),
        (
            ("on_target", "not_yet"),
            "on_course",
            "kpi0 improved or on target; kpi1 not yet, and still in time.",
        ),
        (
            ("improved", "missed"),
            "root_cause",
            "kpi1 should have improved by now: a missed target calls for a root-",
        ),
        (("unknown", "too_early"), "unknown", "kpi0 cannot be compared with the baseline."),
    ],
)
def test_supply_chain_asks_for_the_root_cause_of_a_missed_target(
    states: tuple[State, ...], verdict: str, part: str
) -> None:
    changes = [change(f"kpi{number}", one == "improved", one) for number, one in enumerate(states)]
    outcome, sentence, after = conclude(rules("supply_chain"), 100, changes)
    assert outcome == verdict
    assert part in sentence
    assert (after is not None) == (verdict == "root_cause")


def test_what_may_be_agreed() -> None:
    hr, dev = rules("hr_tech"), rules("dev_tools")
    assert agreed(Company(), hr) == ("nrr", "cac_payback_months", "stage_days", "win_rate", "grr")
    seven = ("nrr", "grr", "win_rate", "stage_days", "sales_velocity", "pipeline_coverage", "logo_churn")
    assert agreed(Company(engagement={"agreed_kpis": seven}), hr) == seven
    for wrong in (seven[:4], (*seven, "carr")):
        with pytest.raises(ConfigurationError, match="5 to 7 are needed"):
            agreed(Company(engagement={"agreed_kpis": wrong}), hr)
    assert agreed(Company(engagement={"agreed_kpis": seven}), dev) == ("nrr", "pipeline_coverage_weighted")
    assert clock(playbook.load("hr_tech"), hr, "nrr", START) is None


def test_money_of_a_quarter_is_compared_over_full_quarters() -> None:
    assert by_quarter("sales_velocity")
    assert by_quarter("avg_deal_size")
    assert not by_quarter("win_rate")
    assert not by_quarter("arr")
    assert not by_quarter("nrr")
