"""How columns become rows of a measure."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import measures
from metrics.words import in_percent, in_times, when_any

cents = st.decimals(-1000, 1000, places=3)


@given(st.lists(cents, max_size=8), st.lists(cents, max_size=8))
def test_whole_parts_add_up_to_the_rounded_total(left: list[Decimal], right: list[Decimal]) -> None:
    months = ["a"] * len(left) + ["b"] * len(right)
    frame = pl.DataFrame(
        {"month": months, "exact": [*left, *right]},
        schema={"month": pl.String, "exact": pl.Decimal(38, 15)},
    ).with_columns(whole=measures.whole(pl.col("exact")))
    for month, exact in (("a", left), ("b", right)):
        parts = frame.filter(month=month)["whole"].to_list()
        assert sum(parts) == round(sum(exact, Decimal(0)))
        assert all(abs(part - one) <= 1 for part, one in zip(parts, exact, strict=True))


def test_a_missing_part_is_nothing() -> None:
    frame = pl.DataFrame(
        {"month": ["a", "a"], "exact": [None, Decimal("2.5")]},
        schema={"month": pl.String, "exact": pl.Decimal(38, 15)},
    )
    assert frame.select(measures.whole(pl.col("exact"))).to_series().to_list() == [0, 2]


def test_notes_are_joined_and_none_is_none() -> None:
    frame = pl.DataFrame({"a": ["x", None, None], "b": ["y", "z", None]})
    found = frame.select(measures.notes(pl.col("a"), pl.col("b"))).to_series().to_list()
    assert found == ["x; y", "z", None]


@pytest.mark.parametrize(
    ("number", "percent", "times"),
    [
        (0.364, "36.4%", "0.36×"),
        (2.25, "225%", "2.25×"),
        (-0.095, "-9.5%", "-0.10×"),
        (0.0, "0%", "0.00×"),
        (None, None, None),
    ],
)
def test_numbers_in_words(number: float | None, percent: str | None, times: str | None) -> None:
    frame = pl.DataFrame({"n": [number]}, schema={"n": pl.Float64})
    assert frame.select(in_percent(pl.col("n"))).item() == percent
    assert frame.select(in_times(pl.col("n"))).item() == times


def test_nothing_is_said_of_none() -> None:
    frame = pl.DataFrame({"n": [0, 2, None]})
    found = frame.select(when_any(pl.col("n"), pl.format("{} deals", "n"))).to_series().to_list()
    assert found == [None, "2 deals", None]
