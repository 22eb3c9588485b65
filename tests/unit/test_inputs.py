"""The targets file, row by row, and what is said about a bad one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.errors import ConfigurationError
from metrics.compute import compute
from metrics.inputs import Targets
from metrics.period import Calendar
from tests.unit.books import Books, at, only

HEAD = "period,segment,metric,value,source,as_of\n"


def calendar(start: int = 1) -> Calendar:
    return Calendar(ZoneInfo("UTC"), datetime(2026, 6, 1, tzinfo=UTC), start)


def read(folder: Path, text: str, start: int = 1) -> Targets:
    path = folder / "targets.csv"
    path.write_text(text, encoding="utf-8")
    return Targets.read(path, calendar(start), "USD")


@pytest.mark.parametrize(
    ("period", "start", "first"),
    [
        ("2026-Q2", 1, date(2026, 4, 1)),
        ("2026-Q1", 2, date(2025, 2, 1)),
        ("2026-Q4", 2, date(2025, 11, 1)),
        ("2026-05", 1, date(2026, 4, 1)),
        ("2026-06-30", 1, date(2026, 4, 1)),
        ("2026-01", 2, date(2025, 11, 1)),
    ],
)
def test_periods_are_quarters(tmp_path: Path, period: str, start: int, first: date) -> None:
    rows = read(tmp_path, f"{HEAD}{period},,quota,1,plan,2026-01-01\n", start).rows
    assert rows["quarter_first"].to_list() == [first]


def test_a_row_is_read_as_it_stands(tmp_path: Path) -> None:
    text = "\ufeffperiod,segment,metric,value,source,as_of,currency\r\n2026-Q2, size = Enterprise ,quota,400000.505,CFO,2026-01-05,EUR\r\n\r\n2026-Q2,,nrr,1.1,,,\r\n"  # noqa: E501
    rows = read(tmp_path, text).rows
    assert rows.row(0, named=True) == {
        "quarter_first": date(2026, 4, 1), "cut": "size", "segment": "Enterprise", "metric": "quota",
        "number": "400000.505", "amount": 40_000_050, "currency": "EUR", "source": "CFO",
        "as_of": date(2026, 1, 5), "line": 2,
    }  # fmt: skip
    assert rows.row(1, named=True) | {"line": 4, "currency": "USD", "cut": None, "as_of": None} == rows.row(
        1, named=True
    )
    assert read(tmp_path, text).quotas().height == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("period,segment,metric\n", r"targets\.csv line 1: missing column value, source, as_of"),
        ("", "line 1: missing column"),
        (HEAD + "2026-Q2,,quota,1,x,2026-01-01\nQ2,,quota,1,x,2026-01-01\n", r"line 3: period 'Q2' is not a quarter"),
        (HEAD + "2026-Q5,,quota,1,x,2026-01-01\n", "line 2: period '2026-Q5'"),
        (HEAD + "2026-02-30,,quota,1,x,2026-01-01\n", "line 2: period '2026-02-30'"),
        (HEAD + "2026-Q2,,quota,lots,x,2026-01-01\n", "line 2: value 'lots' is not a number"),
        (HEAD + '2026-Q2,,quota,"1,000",x,2026-01-01\n', "line 2: value '1,000' is not a number"),
        (HEAD + "2026-Q2,,quota,nan,x,2026-01-01\n", "line 2: value 'nan' is not a number"),
        (HEAD + "2026-Q2,,quota,1e30,x,2026-01-01\n", "line 2: value '1e30' is not a number"),
        (HEAD + "2026-Q2,,,1,x,2026-01-01\n", "line 2: metric is empty"),
        (HEAD + "2026-Q2,Enterprise,quota,1,x,2026-01-01\n", "line 2: segment 'Enterprise' is not of the form"),
        (HEAD + "2026-Q2,shoe=9,quota,1,x,2026-01-01\n", "line 2: segment 'shoe=9'"),
        (HEAD + "2026-Q2,,quota,1,x,January\n", "line 2: as_of 'January' is not a date"),
        (HEAD + "2026-Q2,,quota,1\n", "line 2: has not as many columns"),
        (HEAD + "2026-Q2,,quota,1,x,2026-01-01,extra\n", "line 2: has not as many columns"),
        (HEAD + "2026-Q2,,quota,1,x,2026-01-01\n2026-Q2,,quota,2,y,2026-02-01\n", "line 3: repeats line 2"),
        (HEAD.replace("\n", ",currency\n") + "2026-Q2,,quota,1,x,2026-01-01,euro\n", "line 2: currency 'euro'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"inputs\.targets: cannot read .*: No such file"):
        Targets.read(tmp_path / "none.csv", calendar(), "USD")
    (tmp_path / "excel.csv").write_bytes(b"\xff\xfe\x00p")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        Targets.read(tmp_path / "excel.csv", calendar(), "USD")


def books() -> Books:
    found = Books()
    found.deal(
        "big",
        "2026-04-02",
        stage="Discovery",
        amount=60_000,
        close_date="2026-06-30",
        segment="Enterprise",
        owner_id="1",
    )
    found.deal(
        "small",
        "2026-04-02",
        stage="Discovery",
        amount=20_000,
        close_date="2026-06-30",
        segment="SMB",
        owner_id="2",
    )
    found.rows["owners"] = [{"external_id": "1", "name": "Ann"}, {"external_id": "2", "name": "Bo"}]
    return found


def test_the_file_stands_in_where_the_crm_has_no_quota(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(HEAD + "2026-Q2,,quota,400,plan,\n2026-Q2,size=SMB,quota,100,plan,\n", encoding="utf-8")
    facts = books().facts("2026-05", now=at("2026-05-31"), inputs={"targets": path})
    assert only(compute(facts, ["pipeline_coverage"])).value == 2.0
    parts = compute(facts, ["pipeline_coverage"], cuts=("size",))
    assert only(parts, segment={"size": "SMB"}).value == 2.0
    enterprise = only(parts, segment={"size": "Enterprise"})
    assert (enterprise.value, enterprise.numerator) == (None, 60_000)
    assert enterprise.reasons == ("needs a quota by size of 2026-Q2: in the CRM or in the targets file",)


def test_quotas_of_the_crm_come_first_and_are_given_by_owner(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(HEAD + "2026-Q2,,quota,1,plan,\n", encoding="utf-8")
    found = books()
    found.quota("2026-04-01", 300, owner="1")
    found.quota("2026-05-01", 100, owner="2")
    facts = found.facts("2026-05", now=at("2026-05-31"), inputs={"targets": path})
    assert only(compute(facts, ["pipeline_coverage"])).value == 2.0
    parts = compute(facts, ["pipeline_coverage"], cuts=("owner",))
    assert {value.segment["owner"]: value.value for value in parts} == {
        "Ann": 2.0,
        "Bo": 2.0,
        "unknown": None,
    }


def test_part_of_a_quota_is_none() -> None:
    found = books()
    found.quota("2026-04-01", 300)
    found.quota("2026-04-01", 100, currency="CHF")
    value = only(compute(found.facts("2026-05", now=at("2026-05-31")), ["pipeline_coverage"]))
    assert (value.value, value.reasons) == (
        None,
        ("a quota of 2026-Q2 is zero or in a currency without an exchange rate",),
    )
