"""Where a HubSpot pass starts, what its requests may cost, and how the announced limits are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from connectors.sources.hubspot.faults import Reply
from connectors.sources.hubspot.passes import Position, begin
from connectors.sources.hubspot.paths import Paths
from connectors.sources.hubspot.reader import Window, chunks, milliseconds
from connectors.sources.hubspot.session import Pace, bucket_of
from connectors.sources.hubspot.settings import Options

OPTIONS = Options(search_lag_seconds=60, overlap_seconds=300)
LAST = datetime(2026, 6, 1, 12, tzinfo=UTC)
DONE = Position("done", started=LAST.isoformat(), listed=LAST.isoformat(), binned=("4",)).dump()


def at(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text)


def test_cursors_survive_json() -> None:
    position = Position(
        "search", started=LAST.isoformat(), since=LAST.isoformat(), last_id=7, binned=("1", "2")
    )
    assert Position.load(orjson.loads(orjson.dumps(position.dump()))) == position


@pytest.mark.parametrize("cursor", [None, {}, {"version": 0, "after": "3"}])
def test_without_a_usable_cursor_everything_is_listed(cursor: Any) -> None:
    position, resumed = begin(cursor, None, OPTIONS)
    assert (position.phase, position.complete, resumed) == ("live", True, False)


def test_an_increment_starts_before_the_end_of_the_last_pass() -> None:
    position, resumed = begin(DONE, None, OPTIONS)
    assert (position.phase, resumed) == ("bin", False)
    assert at(position.since) == LAST - timedelta(seconds=360)
    assert (position.stored_to, position.listed, position.binned) == (
        LAST.isoformat(),
        LAST.isoformat(),
        ("4",),
    )
    assert position.started is None  # HubSpot's clock says, with its first answer


@pytest.mark.parametrize("days", [-30, 30])
def test_since_widens_the_window_and_never_leaves_a_gap(days: int) -> None:
    since = LAST + timedelta(days=days)
    position, _ = begin(DONE, since, OPTIONS)
    assert at(position.since) == min(since, LAST - timedelta(seconds=360))


def test_since_alone_reads_from_then_on() -> None:
    position, _ = begin(None, LAST, OPTIONS)
    assert (position.phase, at(position.since)) == ("bin", LAST)


def test_an_interrupted_pass_is_resumed() -> None:
    full = Position("live", started=LAST.isoformat(), after="33").dump()
    for since in (None, LAST):
        assert begin(full, since, OPTIONS) == (Position.load(full), True)
    earlier = LAST - timedelta(days=5)
    increment = Position("search", started=LAST.isoformat(), since=earlier.isoformat(), last_id=3).dump()
    assert begin(increment, None, OPTIONS) == (Position.load(increment), True)
    restarted, resumed = begin(increment, LAST, OPTIONS)
    assert (restarted.phase, at(restarted.since), resumed) == ("bin", earlier, False)


def test_a_window_is_told_in_milliseconds_and_never_the_epoch() -> None:
    assert Window("hs_lastmodifieddate", LAST, LAST + timedelta(hours=1)).filter() == {
        "propertyName": "hs_lastmodifieddate",
        "operator": "BETWEEN",
        "value": "1780315200000",
        "highValue": "1780318800000",
    }
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC)) == "1"


def test_chunks() -> None:
    assert list(chunks("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(chunks([], 2)) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "v3",
            [
                "/account-info/v3/details",
                "/crm/v3/objects/deals/batch/read",
                "/crm/v3/objects/deals/search",
                "/crm/v4/associations/deals/companies/batch/read",
                "/crm/v3/pipelines/deals",
                "/crm/v3/owners",
                "/crm/v3/properties/deals",
                "/settings/v3/currencies/exchange-rates",
            ],
        ),
        (
            "2026-09",
            [
                "/account-info/2026-09/details",
                "/crm/objects/2026-09/deals/batch/read",
                "/crm/objects/2026-09/deals/search",
                "/crm/associations/2026-09/deals/companies/batch/read",
                "/crm/pipelines/2026-09/deals",
                "/crm/owners/2026-09",
                "/crm/properties/2026-09/deals",
                "/settings/currencies/2026-09/exchange-rates",
            ],
        ),
    ],
)
def test_paths(version: str, expected: list[str]) -> None:
    paths = Paths(version)
    assert [
        paths.account(),
        paths.batch_read("deals"),
        paths.search("deals"),
        paths.associations("deals", "companies"),
        paths.pipelines("deals"),
        paths.owners(),
        paths.properties("deals"),
        paths.exchange_rates(),
    ] == expected


def answered(remaining: int) -> Reply:
    headers = {
        "x-hubspot-ratelimit-remaining": str(remaining),
        "x-hubspot-ratelimit-interval-milliseconds": "10000",
    }
    return Reply(200, headers, b"{}")


def test_an_exhausted_window_is_waited_out() -> None:
    pace = Pace(longest=60)
    for second, remaining in ((100.0, 2), (101.0, 1), (103.0, 0)):
        assert pace.wait(second, "standard") == 0
        pace.sent(second, "standard")
        pace.answered(answered(remaining), "standard")
    assert pace.wait(104.0, "standard") == pytest.approx(
        6.1
    )  # until the first request leaves the ten seconds
    assert pace.wait(104.0, "search") == 0  # search has a limit of its own
    assert pace.wait(104.0, "free") == 0
    pace.sent(110.1, "standard")
    pace.answered(answered(0), "standard")
    assert pace.wait(110.1, "standard") == pytest.approx(1.0)  # then the second
    pace.sent(111.1, "standard")
    pace.answered(answered(188), "standard")
    assert pace.wait(111.1, "standard") == 0


@pytest.mark.parametrize("version", ["v3", "2026-09"])
def test_what_counts_towards_which_limit(version: str) -> None:
    paths = Paths(version)
    assert bucket_of(paths.search("deals")) == "search"
    assert bucket_of(paths.associations("deals", "companies")) == "free"
    assert bucket_of(paths.objects("deals")) == bucket_of(paths.batch_read("deals")) == "standard"


def test_the_wait_is_never_longer_than_the_policy_allows() -> None:
    pace = Pace(longest=2)
    pace.sent(100.0, "standard")
    pace.answered(answered(0), "standard")
    assert pace.wait(100.0, "standard") == 2


def test_searches_slow_down_once_refused() -> None:
    pace = Pace(longest=60)
    for number in range(7):
        assert pace.wait(100 + number / 10, "search") == 0
        pace.sent(100 + number / 10, "search")
    pace.answered(Reply(429, {}, b""), "search")
    assert pace.wait(100.7, "search") == pytest.approx(0.6)  # five within any second
    assert pace.wait(101.4, "search") == 0
