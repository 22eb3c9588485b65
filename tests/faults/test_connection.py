"""PostgreSQL goes away in the middle of a sync: the sync goes on by itself and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from pipeline.failures import StoreUnreachableError
from pipeline.patience import Patience
from pipeline.store import Store
from tests.faults.boundaries import Boundaries
from tests.faults.conftest import OwnServer
from tests.faults.scripted import assert_no_half_page, contents, work

QUICK = Patience(seconds=30, first=0.02, longest=0.2)
Contents = dict[str, list[tuple[Any, ...]]]


@contextmanager
def watched(
    url: str, at: int = 0, act: Callable[[], None] = lambda: None
) -> Iterator[tuple[Store, Boundaries]]:
    """A store whose tables are there; from now on ``act`` happens at one of its boundaries."""
    with Store.open(url) as store:
        store.patience = QUICK
        store.engine.dispose()
        boundaries = Boundaries(at, act)
        boundaries.watch(store.engine)
        yield store, boundaries


@pytest.fixture(scope="module")
def undisturbed(own_server: OwnServer) -> tuple[list[str], Contents, list[int]]:
    """The boundaries of a sync that nothing disturbs, what it leaves, and how many rows it says were changed."""
    with watched(own_server.database()) as (store, boundaries):
        changed = [summary.changed for summary in work(store)]
        return list(boundaries.names), contents(store), changed


@pytest.mark.parametrize(
    "every", [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
@pytest.mark.timeout(3600)
def test_connections_dropped_anywhere(
    own_server: OwnServer, undisturbed: tuple[list[str], Contents, list[int]], every: int
) -> None:
    names, expected, changed = undisturbed
    for at in range(1, len(names) + 1, every):
        with (
            own_server.prepared() as url,
            watched(url, at, own_server.drop_connections) as (store, _),
            capture_logs() as logs,
        ):
            summaries = work(store)
            assert [summary.status for summary in summaries] == ["ok", "ok"], names[at - 1]
            assert [summary.changed for summary in summaries] == changed, names[at - 1]
            assert contents(store) == expected, f"connections dropped at boundary {at}: {names[at - 1]}"
        waits = [entry for entry in logs if entry["event"] == "retrying"]
        assert len(waits) <= 1
        assert all("connection was lost" in entry["error"] for entry in waits)


@pytest.mark.parametrize("place", ["inside COPY stage_deals ", "before COMMIT", "after COMMIT"])
@pytest.mark.parametrize("how", ["immediate", "fast"])
def test_the_server_is_restarted(
    own_server: OwnServer, undisturbed: tuple[list[str], Contents, list[int]], how: str, place: str
) -> None:
    names, expected, changed = undisturbed
    middle = next(at for at, name in enumerate(names, 1) if name.startswith("inside COPY stage_deals "))
    at = next(at for at, name in enumerate(names, 1) if at >= middle and name.startswith(place))

    def restart() -> None:
        own_server.control("restart", "-m", how)

    with watched(own_server.database(), at, restart) as (store, _):
        summaries = work(store)
        assert [(summary.status, summary.changed) for summary in summaries] == [("ok", n) for n in changed]
        assert contents(store) == expected


def test_the_server_is_away_for_a_while(
    own_server: OwnServer, undisturbed: tuple[list[str], Contents, list[int]]
) -> None:
    names, expected, _ = undisturbed
    back = threading.Timer(1.5, own_server.control, ("restart",))

    def leave() -> None:
        own_server.control("stop", "-m", "fast")
        back.start()

    with watched(own_server.database(), len(names) // 2, leave) as (store, _), capture_logs() as logs:
        assert [summary.status for summary in work(store)] == ["ok", "ok"]
        back.join()
        assert contents(store) == expected
    assert len([entry for entry in logs if entry["event"] == "retrying"]) > 1


def test_a_server_that_stays_away_is_named(own_server: OwnServer) -> None:
    with watched(own_server.database(), 200, lambda: own_server.control("stop", "-m", "fast")) as (store, _):
        store.patience = Patience(seconds=0.5, first=0.02, longest=0.1)
        try:
            with pytest.raises(StoreUnreachableError, match=r"store faults_\d+ on .*; ") as raised:
                work(store)
        finally:
            own_server.control("restart")
        assert "\n" not in str(raised.value)
        assert raised.value.exit_status == 4
        assert_no_half_page(store)
        assert [summary.status for summary in work(store)][-1] == "ok", "the next sync goes on"


def test_an_answer_lost_after_the_commit(
    own_server: OwnServer, undisturbed: tuple[list[str], Contents, list[int]]
) -> None:
    """The server kept the page, we never heard: it is written again, which changes nothing, and counted once."""
    names, expected, changed = undisturbed

    def lose() -> None:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    commits = [at for at, name in enumerate(names, 1) if name == "after COMMIT"]
    for at in commits[::11]:
        with watched(own_server.database(), at, lose) as (store, _):
            assert [summary.changed for summary in work(store)] == changed
            assert contents(store) == expected, f"answer lost at boundary {at}"


def test_a_server_that_took_over_lacks_the_last_commits(
    own_server: OwnServer, undisturbed: tuple[list[str], Contents, list[int]]
) -> None:
    """A replica behind its primary: what it lacks is read again, no page is left out."""
    names, expected, _ = undisturbed
    url = own_server.database()
    name = url.split("/")[3].split("?")[0]
    copies = [at for at, one in enumerate(names, 1) if one.startswith("inside COPY stage_deals ")]

    def run(*statements: str) -> None:
        own_server.drop_connections()
        with psycopg.connect(own_server.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def take_over() -> None:
        run(f"DROP DATABASE {name}", f"ALTER DATABASE {name}_replica RENAME TO {name}")

    with watched(url, copies[0]) as (store, boundaries), capture_logs() as logs:

        def fall_behind() -> None:
            run(f"CREATE DATABASE {name}_replica TEMPLATE {name}")
            boundaries.at, boundaries.act = copies[2] + 30, take_over

        boundaries.act = fall_behind
        assert [summary.status for summary in work(store)] == ["ok", "ok"]
        assert contents(store) == expected
    assert any("cursor is not where this pass left it" in entry["event"] for entry in logs)
