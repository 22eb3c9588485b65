"""Pipeline and forecast beside the KPIs: the frames a report prints, and what must hold of any company."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import accuracy, coverage, forecast, odds, standing
from metrics.compute import compute, registered
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.period import months_between
from pipeline.company import Company
from tests.unit.books import Books, at, only
from tests.unit.generated import frames

VERTICALS = ("supply_chain", "hr_tech", "dev_tools")
GROUP = ("pipeline_coverage", "pipeline_coverage_weighted", "forecast_in_quarter", "forecast_accuracy_error")


def quarter() -> Books:
    """One quarter in USD: a win, and open deals in each forecast category; every stage stands at one half."""
    books = Books()
    books.account("A", segment="SMB")
    books.deal("won", "2026-01-02", history=(("2026-01-02", "Discovery"), ("2026-02-10", "Won")), account_id="A",
               amount=1_000, close_date="2026-02-10", forecast_category="closed")  # fmt: skip
    books.change("won", "forecast_category", "2026-01-02", None, "pipeline")
    books.change("won", "forecast_category", "2026-02-10", "pipeline", "closed")
    for key, amount, category, close in (
        ("committed", 200, "commit", "2026-03-31"),
        ("best", 40, "best_case", "2026-03-31"),
        ("vague", 8, "pipeline", "2026-03-31"),
        ("omitted", 4, "omitted", "2026-03-31"),
        ("next", 600, "commit", "2026-06-30"),
        ("after next", 60, None, "2026-09-30"),
        ("late", 500, "commit", "2026-01-20"),
    ):
        books.deal(key, "2026-01-05", stage="Proposal", account_id="A", amount=amount, close_date=close,
                   forecast_category=category)  # fmt: skip
    books.quota("2026-01-01", 20)
    books.quota("2026-04-01", 3)
    return books


def test_the_quarter_week_by_week_from_its_history() -> None:
    table = forecast.weekly(quarter().facts("2026-02", now=at("2026-02-18")))
    assert table.select("number", "day", "won", "open", "landing_p1", "deals").rows() == [
        (7, date(2026, 1, 7), 0, 1752, 876, 6),
        (14, date(2026, 1, 14), 0, 1752, 876, 6),
        (21, date(2026, 1, 21), 0, 1252, 626, 5),
        (28, date(2026, 1, 28), 0, 1252, 626, 5),
        (35, date(2026, 2, 4), 0, 1252, 626, 5),
        (42, date(2026, 2, 11), 1000, 252, 1126, 5),
        (49, date(2026, 2, 18), 1000, 252, 1126, 5),  # today
    ]
    assert table["quarter"].unique().to_list() == ["2026-Q1"]
    assert table["commit"].to_list() == [700, 700, 200, 200, 200, 1200, 1200]
    assert table["best_case"].to_list() == [740, 740, 240, 240, 240, 1240, 1240]


def test_the_weeks_of_a_quarter_that_is_over_and_of_one_in_which_nothing_happened() -> None:
    table = forecast.weekly(quarter().facts("2025-11", "2026-01", now=at("2026-12-01")))
    assert table.group_by("quarter", maintain_order=True).len().rows() == [("2025-Q4", 13), ("2026-Q1", 12)]
    assert table.filter(quarter="2025-Q4").select(pl.col("won", "open", "landing_p2", "deals").sum()).row(0) == (
        0, 0, 0, 0,
    )  # fmt: skip


def test_what_is_still_to_go() -> None:
    table = coverage.to_go(quarter().facts("2026-01", "2026-02", now=at("2026-02-18")))
    assert table.select("month", "quota", "won", "open", "missing", "to_go", "to_go_p1", "reason").rows() == [
        ("2026-01", 2000, 0, 1252, 2000, 0.626, 0.313, None),
        ("2026-02", 2000, 1000, 252, 1000, 0.252, 0.126, None),
    ]
    assert table.select("landing_p1", "landing_p2").rows() == [(626, 626), (1126, 1126)]


def test_nothing_is_to_go_without_a_quota_or_beyond_it() -> None:
    books = quarter()
    books.rows["quotas"] = []
    unknown = coverage.to_go(books.facts("2026-02", now=at("2026-02-18")))
    assert unknown.select("to_go", "reason").row(0) == (
        None, "needs a quota of 2026-Q1: in the CRM or in the targets file",
    )  # fmt: skip
    books.quota("2026-01-01", 10)
    met = coverage.to_go(books.facts("2026-02", now=at("2026-02-18")))
    assert met.select("missing", "to_go", "to_go_p1", "to_go_p2", "reason").row(0) == (
        0, None, None, None, "target met",
    )  # fmt: skip


def test_the_next_two_quarters() -> None:
    table = coverage.ahead(quarter().facts("2026-02", now=at("2026-02-18")))
    assert table.select("quarters", "quarter", "open", "quota", "deals", "coverage", "reason").rows() == [
        (1, "2026-Q2", 600, 300, 1, 2.0, None),
        (2, "2026-Q3", 60, None, 1, None, "needs a quota of 2026-Q3: in the CRM or in the targets file"),
    ]
    parts = coverage.ahead(quarter().facts("2026-02", now=at("2026-02-18")), "size")
    assert parts.select("segment", "quarters", "open").rows() == [
        ("SMB", 1, 600), ("SMB", 2, 60), ("unknown", 1, 0), ("unknown", 2, 0),
    ]  # fmt: skip


def test_the_quarters_ahead_are_those_of_the_fiscal_year() -> None:
    facts = quarter().facts("2026-02", now=at("2026-02-18"), fiscal_year_start_month=2)
    assert coverage.ahead(facts)["quarter"].to_list() == ["2027-Q2", "2027-Q3"]
    assert facts.calendar.quarter(date(2026, 5, 1)).label == "2027-Q2"


def test_overdue_deals_are_listed_and_counted() -> None:
    facts = quarter().facts("2026-02", now=at("2026-02-18"))
    assert coverage.overdue(facts).select("read", "external_id", "close_date", "value").rows() == [
        ("day", "late", date(2026, 1, 20), 500),
        ("snapshot", "late", date(2026, 1, 20), 500),
    ]
    assert "1 overdue deals ($5.00) left out" in only(compute(facts, ["pipeline_coverage"])).reasons[0]
    for kpi in ("pipeline_coverage", "pipeline_coverage_weighted"):
        last = registered()[kpi].evidence(facts, "2026-02").tail(1)
        assert last.select("external_id", "contribution", "note").row(0) == (
            "late", 0.0, "left out: overdue since 2026-01-20, $5.00",
        )  # fmt: skip


def test_what_the_cro_called_stands_beside_the_roll_up(tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text(
        "quarter,as_of,category,amount,currency,source\n"
        "2026-Q1,2026-02-01,commit,10.00,USD,\n"
        "2026-Q1,2026-02-08,commit,5.00,EUR,\n"
        "2026-Q1,2026-02-20,commit,99.00,USD,after D\n"
        "2026-Q1,2026-02-08,most_likely,11.00,,\n"
        "2025-Q4,2026-02-08,total,77.00,USD,another quarter\n"
    )
    books = quarter()
    books.rate("EUR", "2026-01-01", "1.5")
    books.rate("EUR", "2026-02-08", "2.5")
    facts = books.facts("2026-02", now=at("2026-02-18"), inputs={"calls": calls})
    assert forecast.roll_up(facts).drop("month").rows() == [
        ("best_case", 1240, None, None),
        ("closed", 1000, None, None),
        ("commit", 1200, 1250, date(2026, 2, 8)),
        ("most_likely", None, 1100, date(2026, 2, 8)),
        ("pipeline", 1252, None, None),
        ("total", 1126, None, None),
    ]
    told = only(compute(facts, ["forecast_in_quarter"])).reasons[0]
    assert "called: commit $12.50 on 2026-02-08, most_likely $11.00 on 2026-02-08" in told
    earlier = books.facts("2026-02", now=at("2026-02-03"), inputs={"calls": calls})
    assert forecast.roll_up(earlier).filter(category="commit")["called"].to_list() == [1000]


def test_a_faulty_file_of_calls_costs_the_calls_and_not_the_forecast(tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text("quarter,as_of,category,amount,currency,source\n2026-Q1,2026-02-01,perhaps,10.00,USD,\n")
    facts = quarter().facts("2026-02", now=at("2026-02-18"), inputs={"calls": calls})
    value = only(compute(facts, ["forecast_in_quarter"]))
    assert value.value == 1126
    assert "no calls: calls.csv" in value.reasons[0]
    with pytest.raises(InputFault):
        forecast.roll_up(facts)


def test_a_category_of_the_stage_stands_in_where_the_deal_has_none() -> None:
    books = quarter()
    for row in books.rows["stages"]:
        row["forecast_category"] = "commit" if row["stage"] == "Proposal" else "pipeline"
    books.deal("untold", "2026-01-05", stage="Proposal", amount=16, close_date="2026-03-31")
    facts = books.facts("2026-02", now=at("2026-02-18"))
    assert forecast.roll_up(facts).filter(category="commit")["rolled"].to_list() == [1216]


def test_a_layout_that_changed_weighs_by_what_it_was() -> None:
    books = quarter()
    log = pl.DataFrame(
        {
            "pipeline": "default", "stage": "Proposal", "field": "probability", "changed_at": at("2026-02-01"),
            "seq": 0, "old_value": "0.25", "new_value": "0.5", "origin": "comparison",
        }
    )  # fmt: skip
    tables = books.frames()
    schema = books.facts("2026-02").raw("stage_changes").schema
    changes = log.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    company = Company(name="test", currency="USD")
    facts = Facts(company, ["2026-01", "2026-02"], at("2026-02-18"), {**tables, "stage_changes": changes})
    landed = dict(coverage.to_go(facts).select("month", "landing_p1").rows())
    assert landed == {"2026-01": 500 + 63, "2026-02": 1126}  # 1000 at 0.5; 252 at 0.25 and then at 0.5


def test_curve_and_trailing_quarters() -> None:
    """Four quarters of 100, seen as 50 on day 21: 50 %; in the last one a second deal comes too late to be seen."""
    books = Books()
    for first in ("2025-04-01", "2025-07-01", "2025-10-01", "2026-01-01"):
        start = date.fromisoformat(first)
        closes = (start + timedelta(days=60)).isoformat()
        begun = (start + timedelta(days=9)).isoformat()
        history = ((begun, "Discovery"), (closes, "Won"))
        books.deal(first, begun, history=history, amount=10_000, close_date=closes)
    late = (("2026-02-20", "Discovery"), ("2026-03-20", "Won"))
    books.deal("late", "2026-02-20", history=late, amount=10_000, close_date="2026-03-20")
    facts = books.facts("2025-06", "2026-03", now=at("2026-06-30"))
    points = accuracy.curve(facts).filter(quarter="2026-Q1")
    assert points.select("number", "forecast", "actual", "error", "signed", "preliminary").rows() == [
        (1, 0, 20_000, 1.0, None, False),
        (21, 5_000, 20_000, 0.75, 3.0, False),
        (45, 5_000, 20_000, 0.75, 3.0, False),
        (75, 15_000, 20_000, 0.25, pytest.approx(1 / 3), False),
    ]
    assert accuracy.trailing(facts).rows() == [
        ("2025-06", 1, 0.5, 1.0),
        ("2026-03", 4, 0.5625, 1.5),  # (0.5 + 0.5 + 0.5 + 0.75) / 4; (1 + 1 + 1 + 3) / 4
    ]


def test_a_quarter_that_is_open_has_no_place_in_the_curve() -> None:
    facts = quarter().facts("2026-02", now=at("2026-02-18"))
    assert accuracy.curve(facts).filter(quarter="2026-Q1").is_empty()
    value = only(compute(facts, ["forecast_accuracy_error"]))
    assert (value.value, value.numerator, value.n, value.reasons) == (
        None,
        None,
        None,
        ("2026-Q1 is not over yet",),
    )


def test_evidence_of_the_error_adds_up_to_it() -> None:
    facts = quarter().facts("2026-03", now=at("2026-05-31"))
    value = only(compute(facts, ["forecast_accuracy_error"]))
    rows = registered()["forecast_accuracy_error"].evidence(facts, "2026-03")
    assert (value.numerator, value.denominator) == (374, 1000)  # half of 1252 was forecast
    assert rows["contribution"].sum() == 374
    assert rows.filter(external_id="won").select("contribution", "note").row(0) == (
        500, "forecast $5.00, won $10.00 on 2026-02-10",
    )  # fmt: skip
    assert rows.filter(external_id="committed").select("contribution", "note").row(0) == (
        -100, "forecast $1.00, not won in the quarter",
    )  # fmt: skip


def test_evidence_of_a_forecast_tells_the_odds() -> None:
    facts = quarter().facts("2026-02", now=at("2026-02-18"))
    rows = registered()["forecast_in_quarter"].evidence(facts, "2026-02")
    assert rows.select("external_id", "contribution", "note").head(2).rows() == [
        ("won", 1000, "won 2026-02-10"),
        ("committed", 100, "Proposal, closing 2026-03-31: 50.0% of $2.00 (by p1)"),
    ]


@cache
def generated(vertical: str) -> World:
    return World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=36))


@cache
def today(vertical: str) -> Facts:
    world = generated(vertical)
    now = datetime.fromtimestamp(world.as_of, UTC)
    return Facts(
        Company(name="generated", timezone=world.timezone),
        months_between("2025-01", "2026-06"),
        now,
        kept(vertical, world.as_of),
    )


def kept(vertical: str, clock: int) -> dict[str, pl.DataFrame]:
    """The books at a clock without the deals that are deleted by today: those never were (ruling 3)."""
    world = generated(vertical)
    books = frames(world, clock)
    later = books if clock == world.as_of else frames(world, world.as_of)
    gone = later["deals"].filter(pl.col("deleted_at").is_not_null())["external_id"].implode()
    return {**books, "deals": books["deals"].filter(~pl.col("external_id").is_in(gone))}


@pytest.mark.parametrize("vertical", VERTICALS)
def test_a_past_forecast_is_the_one_that_was_shown_then(vertical: str) -> None:
    """F of day 21 of a finished quarter, from the books of today, equals the forecast computed on that day.

    With the books of today seen from then, and with those of then.
    """
    facts = today(vertical)
    said = accuracy.curve(facts).filter(number=21, quarter="2026-Q1")["forecast"].item()
    then = facts.calendar.end_of(date(2026, 1, 21)) - timedelta(microseconds=1)
    for clock in (generated(vertical).as_of, int(then.timestamp())):
        seen = Facts(facts.company, ["2026-01"], then, kept(vertical, clock))
        assert only(compute(seen, ["forecast_in_quarter"])).value == said
        assert forecast.landing(seen).filter(pl.col("basis") != "p1").height > 10


@pytest.mark.parametrize("vertical", VERTICALS)
def test_forecasts_of_past_months_do_not_know_what_came_later(vertical: str) -> None:
    facts = today(vertical)
    then = facts.calendar.moment(date(2025, 11, 30))
    seen = Facts(facts.company, ["2025-11"], then, kept(vertical, generated(vertical).as_of))
    for kpi in ("forecast_in_quarter", "pipeline_coverage_weighted"):
        assert only(compute(facts, [kpi]), month="2025-11").value == only(compute(seen, [kpi])).value


@pytest.mark.parametrize("vertical", VERTICALS)
def test_what_must_hold_of_any_pipeline(vertical: str) -> None:
    facts = today(vertical)
    rows = odds.weighed(facts)
    assert rows.select(pl.col("p1", "p2").cast(pl.Float64).is_between(0, 1).all()).row(0) == (True, True)
    assert set(rows["basis"].unique()) == {"segment", "pooled", "p1"}
    assert rows.filter(
        (pl.col("close_date") < pl.col("day")) | (pl.col("close_date") > pl.col("quarter_last"))
    ).is_empty()
    wins = standing.wins(facts)
    both = rows.select("at", "external_id").join(wins, on=["at", "external_id"], how="semi")
    assert both.is_empty(), "a deal cannot be open and won"
    totals = {(value.id, value.month): value for value in compute(facts, GROUP)}
    for cut in coverage.CUTS:
        sums: dict[tuple[str, str], float] = {}
        for value in compute(facts, GROUP[:3], cuts=(cut,)):
            sums[value.id, value.month] = sums.get((value.id, value.month), 0) + (value.numerator or 0)
        assert sums == {key: totals[key].numerator or 0 for key in sums}


@pytest.mark.parametrize("vertical", VERTICALS)
def test_weeks_and_months_read_the_same_pipeline(vertical: str) -> None:
    """Day 21 of the weeks is the snapshot; nothing of it depends on which days are asked for together."""
    facts = today(vertical)
    weeks = forecast.weekly(facts).filter(number=21).select("quarter_first", "open", "landing_p2")
    snapshots = coverage.snapshot(facts).group_by("month").agg(open=pl.col("value").sum())
    months = facts.periods.select("month", "quarter_first").join(snapshots, on="month")
    joined = months.join(weeks, on="quarter_first", suffix="_week")
    assert joined.height == len(facts.months)
    assert joined["open"].to_list() == joined["open_week"].to_list()
    curve = accuracy.curve(facts).filter(number=21).join(weeks, on="quarter_first")
    assert curve["forecast"].to_list() == curve["landing_p2"].to_list()
