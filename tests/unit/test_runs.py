"""Runs of months counted without being written out: by hand, and against writing them out."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from metrics.runs import counted, written_out

COLUMNS = {"stage": pl.String, "first": pl.Int64, "last": pl.Int64, "n": pl.Int64}


def test_a_run_counts_from_its_first_month_to_its_last() -> None:
    runs = pl.DataFrame(
        [("a", 0, 1, 1), ("a", 1, 2, 10), ("b", 2, 2, 5), ("b", 2, 1, 7)], schema=COLUMNS, orient="row"
    )
    found = counted(runs, 3, ["stage"], "n").sort("stage", "number")
    assert found.rows() == [("a", 0, 1), ("a", 1, 11), ("a", 2, 10), ("b", 2, 5)]
    assert written_out(runs).sort("stage", "number", "n").rows() == [
        ("a", 1, 0), ("a", 1, 1), ("a", 10, 1), ("a", 10, 2), ("b", 5, 2),
    ]  # fmt: skip


def test_of_no_runs_nothing_is_counted() -> None:
    empty = pl.DataFrame(schema=COLUMNS)
    assert counted(empty, 3, ["stage"], "n").is_empty()
    assert written_out(empty).is_empty()


MONTHS = 5
RUN = st.tuples(
    st.sampled_from([None, "a", "b"]),
    st.integers(0, MONTHS - 1),
    st.integers(-1, MONTHS - 1),
    st.integers(1, 9),
)


@settings(deadline=None)
@given(st.lists(RUN, max_size=30))
def test_counting_is_writing_out_and_adding_up(rows: list[tuple[str | None, int, int, int]]) -> None:
    runs = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    summed = written_out(runs).group_by("stage", "number").agg(pl.col("n").sum())
    assert_frame_equal(counted(runs, MONTHS, ["stage"], "n"), summed, check_row_order=False)
