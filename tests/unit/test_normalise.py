"""Values are written one way, whatever CRM they came from; nothing is dropped without a trace."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from connectors.schema import REJECTS, TABLES, TOMBSTONES
from connectors.source import Page
from pipeline.normalise import domain, email, normalise, normalise_page
from tests.rows import frame


def value(expression: pl.Expr, text: str | None) -> Any:
    return pl.DataFrame({"x": [text]}, schema={"x": pl.String}).select(expression).item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme.com", "acme.com"),
        (" WWW.Acme.COM ", "acme.com"),
        ("https://www.acme.com/en/?q=1#top", "acme.com"),
        ("http://user:secret@acme.co.uk:8080/x", "acme.co.uk"),
        ("www.acme.com:8080", "acme.com"),
        ("//acme.com", "acme.com"),
        ("sales@acme.com", "acme.com"),
        ("acme.com.", "acme.com"),
        ("wwwhere.com", "wwwhere.com"),
        ("www2.acme.com", "www2.acme.com"),
        ("müller.de", "müller.de"),
        ("TBD", "tbd"),
        ("n/a", "n/a"),
        ("no site. sorry", "no site. sorry"),
        ("", ""),
        (None, None),
    ],
)
def test_domain(text: str | None, expected: str | None) -> None:
    assert value(domain(pl.col("x")), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" Ada@ACME.com", "ada@acme.com"), ("mailto:a@b.c", "a@b.c"), ("TBD", "tbd"), (None, None)],
)
def test_email(text: str | None, expected: str | None) -> None:
    assert value(email(pl.col("x")), text) == expected


@given(st.text(max_size=30))
def test_a_domain_stays_what_it_is(text: str) -> None:
    once = value(domain(pl.col("x")), text)
    assert (
        value(domain(pl.col("x")), once) == once or " " in text or ":" in text or "@" in text or "/" in text
    )


def one(table: str, **cells: Any) -> dict[str, Any]:
    rows, rejects = normalise(table, frame(table, [{"external_id": "1", **cells}]), "EUR")
    assert rejects.is_empty()
    return rows.row(0, named=True)


def test_texts_are_trimmed_and_placeholders_kept() -> None:
    row = one("deals", name="  Big\u00a0deal \n", next_step=" TBD ", loss_reason="   ", stage="a\x00b")
    assert (row["name"], row["next_step"], row["loss_reason"], row["stage"]) == (
        "Big\u00a0deal",
        "TBD",
        "",
        "ab",
    )
    assert row["type"] is None


@pytest.mark.parametrize(("given_", "expected"), [(None, "EUR"), ("", "EUR"), (" ", "EUR"), ("usd ", "USD")])
def test_currency(given_: str | None, expected: str) -> None:
    assert one("deals", currency=given_)["currency"] == expected


def test_a_blank_id_is_no_id_and_custom_is_never_null() -> None:
    row = one("deals", account_id=" ", owner_id=" o ", merged_into="", custom=None)
    assert (row["account_id"], row["owner_id"], row["merged_into"], row["custom"]) == (None, "o", None, "{}")


def test_what_no_database_holds_is_rejected_with_its_raw_value() -> None:
    rows = frame(
        "deals", [{"external_id": "1", "probability": float("nan")}, {"external_id": "2", "amount": 5}]
    )
    rows = rows.with_columns(close_date=pl.lit(6_700_000, pl.Int32).cast(pl.Date))  # the year 20313
    kept, rejects = normalise("deals", rows, "EUR")
    assert kept.select("external_id", "probability", "amount", "close_date").rows() == [
        ("1", None, None, None),
        ("2", None, 5, None),
    ]
    assert rejects.schema == REJECTS
    said = rejects.select("external_id", "field", "reason").rows()
    assert said == [
        ("1", "close_date", "a date outside the years 1 to 9999"),
        ("2", "close_date", "a date outside the years 1 to 9999"),
        ("1", "probability", "not a finite number"),
    ]
    assert "20313" in rejects["raw"][0]


def test_a_record_without_an_id_is_rejected_whole() -> None:
    rows = frame(
        "deals", [{"external_id": " ", "name": "lost", "amount": 7}, {"external_id": "1"}, {"name": "nobody"}]
    )
    kept, rejects = normalise("deals", rows, "EUR")
    assert kept["external_id"].to_list() == ["1"]
    assert rejects["reason"].to_list() == ["without external_id it is no record"] * 2
    assert '"lost"' in rejects["raw"][0]
    assert '"amount":7' in rejects["raw"][0]


def test_of_several_versions_the_newest_stays() -> None:
    versions = [
        ("1", "2026-01-02", "new"),
        ("1", "2026-01-01", "old"),
        ("1", None, "undated"),
        ("2", None, "x"),
    ]
    rows = frame("deals", [{"external_id": i, "modified_at": at, "name": name} for i, at, name in versions])
    kept, _ = normalise("deals", rows, "EUR")
    assert sorted(kept.select("external_id", "name").rows()) == [("1", "new"), ("2", "x")]


@pytest.mark.parametrize("table", list(TABLES))
def test_every_table_can_be_empty(table: str) -> None:
    rows, rejects = normalise(table, frame(table), "EUR")
    assert rows.schema == TABLES[table]
    assert rejects.schema == REJECTS
    assert rows.is_empty()
    assert rejects.is_empty()


def test_a_frame_of_another_shape_is_an_error() -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        normalise("deals", pl.DataFrame({"external_id": ["1"]}), "EUR")


def test_a_page_keeps_its_rejects_and_cursor() -> None:
    row = {"table": "deals", "external_id": "1", "field": "amount", "raw": "x", "reason": "no number"}
    gone: list[dict[str, str | None]] = [
        {"table": "deals", "external_id": " 2 "},
        {"table": "deals", "external_id": None},
    ]
    page = Page(
        {"deals": frame("deals", [{"external_id": "1"}, {"name": "nobody"}])},
        {"at": 1},
        last=True,
        tombstones=pl.DataFrame(
            [{**dict.fromkeys(TOMBSTONES.names()), **one_} for one_ in gone], schema=TOMBSTONES
        ),
        rejects=pl.DataFrame([row], schema=REJECTS),
    )
    clean = normalise_page(page, "EUR")
    assert clean.rejects["external_id"].to_list() == ["1", None]
    assert clean.tombstones["external_id"].to_list() == ["2"]
    assert (clean.cursor, clean.last) == ({"at": 1}, True)
    again = normalise_page(clean, "EUR")
    assert_frame_equal(again.frames["deals"], clean.frames["deals"])


def test_dates_are_left_alone() -> None:
    assert one("deals", close_date=date(2026, 1, 31))["close_date"] == date(2026, 1, 31)
