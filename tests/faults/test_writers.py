"""Two at once: writers that wait for each other, block each other, or do the same work."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from pipeline.failures import StoreBusyError
from pipeline.patience import Patience
from pipeline.store import Store
from tests.faults import child
from tests.faults.conftest import OwnServer
from tests.faults.scripted import LATER, assert_no_half_page, contents
from tests.faults.test_connection import QUICK
from tests.rows import NOW, frame

ONE = frame("deals", [{"external_id": "d1", "amount": 1}])


def two_at_once(url: str, *companies: str) -> dict[str, list[tuple[Any, ...]]]:
    """What is there when a process for each company, started together, has come to its end."""
    Store.open(url).close()
    children = [child.start(child.sync_latest, url, company) for company in companies]
    assert [child.ended(one) for one in children] == [0] * len(companies)
    with Store.open(url) as store:
        for company in set(companies):
            assert_no_half_page(store, company)
        return contents(store)


@pytest.mark.parametrize("companies", [("acme", "acme"), ("acme", "globex")], ids=["same", "different"])
def test_two_processes_leave_what_one_after_the_other_does(
    store_url: str, tmp_path: Path, companies: tuple[str, str]
) -> None:
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    for company in companies:
        assert child.run(child.sync_latest, alone, company) == 0
    with Store.open(alone) as store:
        expected = contents(store)
    found = two_at_once(store_url, *companies)
    for table, rows in expected.items():
        assert found[table] == rows, table


@contextmanager
def somebody_else(url: str) -> Iterator[None]:
    """Another program holds the lock that a writer of ``ONE`` needs."""
    if url.startswith("sqlite"):
        other = sqlite3.connect(url.removeprefix("sqlite:///").split("?")[0], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()
        return
    with psycopg.connect(url.split("&options")[0]) as connection:
        connection.execute("UPDATE deals SET amount = 5")
        yield
        connection.rollback()


def impatient(url: str) -> str:
    """The address of a store that waits a fifth of a second for a lock."""
    return f"{url}?timeout=0.2" if url.startswith("sqlite") else f"{url}&options=-c%20lock_timeout%3D200ms"


def write(store: Store, amount: int) -> int:
    rows = ONE.with_columns(amount=amount)
    with store.transaction() as tx:
        return tx.upsert("deals", "acme", "fake", rows, LATER)


def test_a_lock_that_is_held_too_long_is_named(store_url: str) -> None:
    with Store.open(impatient(store_url)) as store:
        write(store, 1)
        store.patience = Patience(seconds=0)
        with (
            somebody_else(store_url),
            pytest.raises(StoreBusyError, match=r"for too long; nothing of .*, try again"),
        ):
            store.again("writing", lambda: write(store, 2))
        assert store.frame("acme", "deals", "fake")["amount"].to_list() == [1]


def test_a_lock_that_is_given_up_is_waited_for(store_url: str) -> None:
    with Store.open(impatient(store_url)) as store:
        write(store, 1)
        store.patience = QUICK
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with somebody_else(store_url):
                held.set()
                release.wait(10)

        other = threading.Thread(target=hold)
        other.start()
        held.wait(10)
        threading.Timer(0.5, release.set).start()
        with capture_logs() as logs:
            assert store.again("writing", lambda: write(store, 2)) == 1
        other.join()
        assert [entry["call"] for entry in logs] == [f"{store.place}: writing"] * len(logs) != []
        assert store.frame("acme", "deals", "fake")["amount"].to_list() == [2]


def test_of_two_that_block_each_other_one_tries_again(own_server: OwnServer) -> None:
    """Each holds a deal that the other wants; the server ends one of them, and both get through."""
    meeting = threading.Barrier(2)
    tries: list[str] = []
    ended: list[str] = []
    with Store.open(own_server.database()) as store:
        store.patience = QUICK
        with store.transaction() as tx:
            both = frame("deals", [{"external_id": "a"}, {"external_id": "b"}])
            tx.upsert("deals", "acme", "fake", both, NOW)

        def writer(first: str, second: str, amount: int) -> None:
            def once() -> None:
                tries.append(first)
                with store.transaction() as tx:
                    for external_id in (first, second):
                        row = frame("deals", [{"external_id": external_id, "amount": amount}])
                        tx.upsert("deals", "acme", "fake", row, LATER + timedelta(seconds=amount))
                        if external_id == first and tries.count(first) == 1:
                            meeting.wait(10)

            store.again("writing two deals", once)
            ended.append(first)

        threads = [threading.Thread(target=writer, args=work) for work in (("a", "b", 1), ("b", "a", 2))]
        with capture_logs() as logs:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(ended) == ["a", "b"]
        assert len(tries) == 3
        assert any("two writers blocked each other" in str(entry.get("error")) for entry in logs)
        amounts = store.frame("acme", "deals", "fake")["amount"].unique().to_list()
        assert amounts in ([1], [2]), "both deals are of the same writer"


def test_a_page_of_new_rows_meets_one_that_is_there(store: Store) -> None:
    """A page that looks new is copied straight in; where that fails it is merged, and counted as ever."""
    page = frame("deals", [{"external_id": f"d{n:04}", "amount": n} for n in range(1000)])
    with store.transaction() as tx:
        tx.upsert("deals", "acme", "fake", page[777].with_columns(amount=0), NOW)
    for changed in (1000, 0):
        with store.transaction() as tx:
            assert tx.upsert("deals", "acme", "fake", page, LATER) == changed
    assert store.frame("acme", "deals", "fake").equals(page)


def test_two_pages_of_new_rows_meet(store: Store) -> None:
    """Two writers find that none of their rows is there: the second waits for the first, and then merges."""
    page = frame("deals", [{"external_id": f"d{n:04}", "amount": n} for n in range(1000)])
    counts: list[int] = []

    def second() -> None:
        with store.transaction() as tx:
            counts.append(tx.upsert("deals", "acme", "fake", page[500:].with_columns(amount=-1), LATER))

    other = threading.Thread(target=second)
    with store.transaction() as tx:
        assert tx.upsert("deals", "acme", "fake", page, NOW) == 1000
        other.start()
        other.join(0.1)
        assert other.is_alive(), "it waits"
    other.join()
    assert counts == [500]
    assert store.frame("acme", "deals", "fake")["amount"].to_list() == [*range(500), *[-1] * 500]
