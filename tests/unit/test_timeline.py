"""What deals were at a moment, from their change log."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.schema import TABLES
from metrics import timeline
from pipeline import asof
from tests.unit.books import Books, at, frame


def value(
    field: str, now: object, changes: list[tuple[str, str | None, str | None]], moment: datetime
) -> Any:
    """The field's value at ``moment``; ``changes``: (day, old, new)."""
    books = Books()
    for day, old, new in changes:
        books.change("d", field, day, old, new)
    rows = pl.DataFrame({"external_id": ["d"], "at": [moment], field: [now]}).cast(
        {"at": pl.Datetime("us", "UTC"), field: TABLES["deals"][field]}
    )
    return asof.value_at(rows, frame("deal_changes", books.rows["deal_changes"]), field)[field][0]


CHANGES: list[tuple[str, str | None, str | None]] = [
    ("2026-01-05", None, "100"),
    ("2026-02-05", "100", "200"),
    ("2026-03-05", "200", None),
]


@pytest.mark.parametrize(
    ("day", "wanted"),
    [
        ("2026-01-04", None),
        ("2026-01-05", 100),
        ("2026-02-04", 100),
        ("2026-02-05", 200),
        ("2026-03-06", 999),
    ],
)
def test_the_last_change_up_to_the_moment_counts(day: str, wanted: int | None) -> None:
    # after the last change the CRM's own value stands, whatever the log says
    assert value("amount", 999, CHANGES, at(day, 13)) == wanted


def test_a_change_counts_from_its_own_instant_on() -> None:
    moment = at("2026-02-05")
    assert value("amount", 999, CHANGES, moment) == 200
    assert value("amount", 999, CHANGES, moment - timedelta(microseconds=1)) == 100


def test_without_history_the_present_stands_in() -> None:
    assert value("amount", 7, [], at("2020-01-01")) == 7


def test_before_the_first_change_the_log_says_what_was_there() -> None:
    later: list[tuple[str, str | None, str | None]] = [("2026-02-05", "100", "200")]
    assert value("amount", 200, later, at("2026-01-01")) == 100
    assert value("stage", "B", [("2026-02-05", None, "A"), ("2026-03-05", "A", "B")], at("2026-01-01")) == "A"


def test_the_stretches_in_which_deals_stood_unchanged() -> None:
    books = Books()
    for day, old, new in (("2026-01-05", None, "A"), ("2026-02-05", "A", "B"), ("2026-03-05", "B", "C")):
        books.change("moved", "stage", day, old, new)
    books.change("moved", "amount", "2026-02-05", "1", "2")
    books.change("moved", "amount", "2026-02-20", "2", None)
    rows = pl.DataFrame({"external_id": ["quiet", "moved"], "stage": ["A", "now"], "amount": [7, 9]})
    also = pl.DataFrame({"external_id": ["quiet"], "at": [at("2026-02-01")]}).cast(
        {"at": pl.Datetime("us", "UTC")}
    )
    log = frame("deal_changes", books.rows["deal_changes"])
    found = asof.steps(rows, log, ("stage", "amount"), also, mark="stage")
    assert found.select("external_id", "at", "stage", "amount", "changed").rows() == [
        ("quiet", None, "A", 7, False),
        ("quiet", at("2026-02-01"), "A", 7, False),
        ("moved", None, "A", 1, False),  # what the first changes found there; a stage is never blank
        ("moved", at("2026-01-05"), "A", 1, True),
        ("moved", at("2026-02-05"), "B", 2, True),
        ("moved", at("2026-02-20"), "B", 9, False),  # after the last change the CRM's own value stands
        ("moved", at("2026-03-05"), "now", 9, True),
    ]


def test_of_several_changes_in_one_instant_the_last_counts() -> None:
    same: list[tuple[str, str | None, str | None]] = [
        ("2026-02-05", None, "1"),
        ("2026-02-05", "1", "2"),
        ("2026-03-05", "2", "3"),
    ]
    assert value("amount", 3, same, at("2026-02-20")) == 2
    assert value("amount", 3, same, at("2026-01-20")) is None


def test_texts_become_values() -> None:
    dates: list[tuple[str, str | None, str | None]] = [
        ("2026-01-05", None, "2026-03-31"),
        ("2026-02-05", "2026-03-31", "soon"),
        ("2026-03-05", "soon", "2026-04-30"),
    ]
    assert value("close_date", date(2026, 4, 30), dates, at("2026-01-20")) == date(2026, 3, 31)
    assert value("close_date", date(2026, 4, 30), dates, at("2026-02-20")) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=12), st.integers(0, 31))
def test_replay_equals_reading_the_log_line_by_line(log: list[tuple[int, int]], moment: int) -> None:
    books = Books()
    before: int | None = None
    now: int | None = None
    state: dict[int, int | None] = {}
    for day, new in sorted(log, key=lambda entry: entry[0]):
        text = None if before is None else str(before)
        books.change("d", "amount", at("2026-01-01") + timedelta(days=day), text, str(new))
        state[day], before, now = new, new, new
    wanted = next((state[day] for day in sorted(state, reverse=True) if day <= moment), None)
    rows = pl.DataFrame(
        {"external_id": ["d"], "at": [at("2026-01-01") + timedelta(days=moment)], "amount": [now]},
        schema={"external_id": pl.String, "at": pl.Datetime("us", "UTC"), "amount": pl.Int64},
    )
    assert (
        asof.value_at(rows, frame("deal_changes", books.rows["deal_changes"]), "amount")["amount"][0]
        == wanted
    )


def test_stages_are_looked_up_in_their_own_pipeline_first() -> None:
    layout = frame(
        "stages",
        [
            {"pipeline": "a", "stage": "x", "sort_order": 1, "is_closed": True, "is_won": True},
            {"pipeline": "b", "stage": "x", "sort_order": 1, "is_closed": False, "is_won": False},
            {"pipeline": "b", "stage": "y", "sort_order": 2, "is_closed": True, "is_won": False},
        ],
    )
    rows = pl.DataFrame({"pipeline": ["a", "b", "a", None, "a"], "stage": ["x", "x", "y", "y", "z"]})
    found = timeline.with_stage(rows, timeline.stage_table(layout))["outcome"].to_list()
    assert found == ["won", "open", "lost", "lost", None]


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        (None, ["Discovery", "Survey", "Proposal"]),
        ("Proposal", ["Proposal"]),
        ("Nowhere", ["Discovery", "Survey", "Proposal"]),
    ],
)
def test_the_second_open_stage_qualifies_and_all_open_ones_after_it(
    chosen: str | None, wanted: list[str]
) -> None:
    table = timeline.stage_table(frame("stages", Books().rows["stages"]), chosen)
    assert table.filter("qualified").sort("sort_order")["stage"].to_list() == wanted


def test_entries_before_the_log_are_marked() -> None:
    books = Books()
    books.deal("d", "2026-01-01", history=(("2026-01-01", "Prospecting"),), stage="Won")
    books.rows["deal_changes"][-1]["field"] = "other"
    books.change("d", "stage", "2026-02-01", "Discovery", "Won")
    tables = books.frames()
    entries = timeline.stage_entries(
        tables["deals"], tables["deal_changes"], timeline.stage_table(tables["stages"])
    )
    assert entries.select("stage", "known").rows() == [("Discovery", False), ("Won", True)]
    assert entries["entered_at"].to_list() == [at("2026-01-01"), at("2026-02-01")]


def test_what_holds_at_a_point_begins_by_then_and_has_not_ended() -> None:
    days = [date(2026, 1, day) for day in (5, 9, 9, 1)]
    rows = pl.DataFrame(
        {
            "row": ["a", "b", "c", "d"],
            "since": [date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 9)],
            "until": [date(2026, 1, 5), None, date(2026, 1, 9), date(2026, 1, 8)],
        }
    )
    found = timeline.in_force(rows, pl.Series(days)).sort("row", "at")
    assert found.select("row", pl.col("at").dt.day()).rows() == [("a", 1), ("b", 5), ("b", 9)]
    assert timeline.in_force(rows, pl.Series([], dtype=pl.Date)).is_empty()
