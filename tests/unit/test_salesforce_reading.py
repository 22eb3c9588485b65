"""Queries, cursors, paging through losses, and the past of deals."""

from __future__ import annotations

from collections.abc import Set
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from connectors.errors import SourceError, UnreachableError
from connectors.schema import TABLES
from connectors.sources.salesforce import soql
from connectors.sources.salesforce.client import Answer
from connectors.sources.salesforce.faults import LostLocatorError, MissingFieldError
from connectors.sources.salesforce.history import changes
from connectors.sources.salesforce.records import Pass, begin
from connectors.sources.salesforce.scan import scan
from connectors.sources.salesforce.soql import Position

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)


def test_queries() -> None:
    assert (
        soql.changed(["Id", "Name"], "Account", None)
        == "SELECT Id, Name FROM Account ORDER BY SystemModstamp, Id"
    )
    assert "WHERE SystemModstamp >= 2026-01-01T00:00:00Z ORDER" in soql.changed(
        ["Id"], "Account", Position("2026-01-01T00:00:00Z")
    )
    assert (
        "WHERE IsChild = false AND ((SystemModstamp = 2026-01-01T00:00:00Z AND Id > '001') "
        "OR SystemModstamp > 2026-01-01T00:00:00Z)"
    ) in soql.changed(["Id"], "Event", Position("2026-01-01T00:00:00Z", "001"), ["IsChild = false"])
    assert soql.text("O'Neil\\") == "'O\\'Neil\\\\'"


def test_groups_of_ids_fit_a_where_clause() -> None:
    ids = [f"{n:018d}" for n in range(1000)]
    groups = list(soql.chunks(ids))
    assert [i for group in groups for i in group] == ids
    for group in groups:
        where = (
            soql.history(["Id"], "OpportunityHistory", ids[0], group).split(" WHERE ")[1].split(" ORDER")[0]
        )
        assert len(where) <= 4000


def test_a_first_pass_reads_everything() -> None:
    state = begin(None, None, NOW, OVERLAP)
    now = "2026-06-01T12:00:00Z"
    assert (state.position, state.end()) == (None, {"v": 1, "watermark": now, "listed": now})


CURSOR = {"v": 1, "watermark": "2026-05-31T12:00:00Z", "listed": "2026-05-26T12:00:00Z"}


def test_the_next_pass_starts_an_overlap_earlier() -> None:
    state = begin(CURSOR, None, NOW, OVERLAP)
    assert state.position == Position("2026-05-31T11:50:00Z")
    assert not state.listing
    assert state.end() == {"v": 1, "watermark": "2026-06-01T12:00:00Z", "listed": "2026-05-26T12:00:00Z"}


@pytest.mark.parametrize("listed", ["2026-05-25T11:00:00Z", ""])
def test_a_week_after_the_last_a_listing_is_due(listed: str) -> None:
    state = begin({**CURSOR, "listed": listed}, None, NOW, OVERLAP)
    assert state.listing
    assert state.end()["listed"] == "2026-06-01T12:00:00Z"


@pytest.mark.parametrize("full", [True, False])
def test_an_interrupted_pass_goes_on_where_it_stopped(full: bool) -> None:
    stopped = Pass(
        "2026-05-01T00:00:00Z", None if full else "2026-04-01T00:00:00Z", stamp="2026-04-03T00:00:00Z", id="x"
    )
    state = begin(stopped.cursor(), None, NOW, OVERLAP)
    assert state.position == Position("2026-04-03T00:00:00Z", "x")
    assert state.end()["watermark"] == "2026-05-01T00:00:00Z"
    assert state.listing is full  # the ids read before the interruption are not known here


def test_since_reaches_back_and_never_leaves_a_gap() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert begin(CURSOR, since, NOW, OVERLAP).position == Position("2026-01-01T00:00:00Z")
    assert begin(CURSOR, NOW, NOW, OVERLAP).position == Position("2026-05-31T11:50:00Z")
    assert begin(None, since, NOW, OVERLAP).position == Position("2026-01-01T00:00:00Z")


def test_since_resumes_its_own_pass_and_covers_another() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    own = Pass("w", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "x")
    assert begin(own.cursor(), since, NOW, OVERLAP).position == Position("2026-02-01T00:00:00Z", "x")
    other = Pass("w", "2025-06-01T00:00:00Z", None, "2026-02-01T00:00:00Z", "x")
    assert begin(other.cursor(), since, NOW, OVERLAP).position == Position("2025-06-01T00:00:00Z")


class _Org:
    """Ten records in pages of three. ``losses``: the calls for a further page that fail."""

    def __init__(self, losses: Set[int] = frozenset(), field_gone: bool = False) -> None:
        self.losses = losses
        self.field_gone = field_gone
        self.asked: list[str] = []
        self.pages = 0

    def query(self, soql: str) -> Answer:
        self.asked.append(soql)
        if self.field_gone and "Gone__c" in soql:
            raise MissingFieldError("No such column 'Gone__c'")
        after = int(soql.rsplit(" ", 1)[1])
        return self._page(after)

    def more(self, url: str) -> Answer:
        self.pages += 1
        if self.pages in self.losses:
            raise LostLocatorError("invalid query locator")
        return self._page(int(url))

    @staticmethod
    def _page(after: int) -> Answer:
        numbers = list(range(after + 1, min(after + 4, 11)))
        return Answer(
            [{"n": n} for n in numbers],
            10 - after,
            str(numbers[-1]) if numbers and numbers[-1] < 10 else None,
        )


def _last(records: list[dict[str, Any]], position: int) -> int:
    return int(records[-1]["n"]) if records else position


@pytest.mark.parametrize(("losses", "queries"), [(set(), 1), ({1}, 2), ({2, 3}, 3), ({1, 2, 3}, 4)])
def test_a_scan_survives_the_loss_of_its_result(losses: set[int], queries: int) -> None:
    org = _Org(losses)
    batches = list(scan(org, lambda after: f"after {after}", 0, _last))
    assert [record["n"] for batch in batches for record in batch.records] == list(range(1, 11))
    assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert len(org.asked) == queries


def test_a_scan_that_cannot_move_gives_up() -> None:
    org = _Org(set(range(1, 100)))
    with pytest.raises(UnreachableError):
        list(scan(org, lambda after: f"after {after}", 0, lambda records, position: position))


def test_a_withdrawn_field_is_left_out_and_the_scan_goes_on() -> None:
    org = _Org(field_gone=True)
    fields = ["Gone__c"]
    batches = list(scan(org, lambda after: f"{fields} {after}", 0, _last, fields.clear))
    assert sum(len(batch.records) for batch in batches) == 10
    with pytest.raises(SourceError):  # nothing to leave out: the same query is not sent for ever
        list(scan(org, lambda after: f"Gone__c {after}", 0, _last))


def _rows(*rows: tuple[str, str, str, str | None, int | None, str]) -> pl.DataFrame:
    names = ["external_id", "deal_id", "at", "stage", "amount", "currency"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    at = pl.col("at").str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", time_zone="UTC")
    return frame.with_columns(at.alias("changed_at"))


def test_changes_of_a_deal() -> None:
    frame = changes(
        _rows(
            ("4", "B", "2025-01-01T00:00:00", "New", None, "USD"),
            ("2", "A", "2025-01-02T00:00:00", "Demo", 100, "USD"),
            ("1", "A", "2025-01-01T00:00:00", "New", 100, "USD"),
            ("3", "A", "2025-01-02T00:00:00", "New", 250, "EUR"),
            ("5", "B", "2025-01-05T00:00:00", "New", 70, "USD"),
        )
    )
    assert frame.schema == TABLES["deal_changes"]
    found = frame.select(
        "deal_id", "field", pl.col("changed_at").dt.day(), "seq", "old_value", "new_value"
    ).rows()
    assert found == [
        ("A", "stage", 1, 0, None, "New"),
        ("A", "stage", 2, 0, "New", "Demo"),
        ("A", "stage", 2, 1, "Demo", "New"),
        ("B", "stage", 1, 0, None, "New"),
        ("A", "amount", 1, 0, None, "100"),
        ("A", "amount", 2, 0, "100", "250"),
        ("B", "amount", 5, 0, None, "70"),
        ("A", "currency", 1, 0, None, "USD"),
        ("A", "currency", 2, 0, "USD", "EUR"),
    ]
    assert set(frame["origin"]) == {"crm_history"}
