"""The connection that holds a lock is lost: the work goes on or ends with its own error, never with the lock's."""

from __future__ import annotations

import psycopg
import pytest
from structlog.testing import capture_logs

from connectors.errors import ConfigurationError
from pipeline.failures import StoreUnreachableError
from pipeline.patience import Patience
from pipeline.store import Store
from scheduler.lock import Busy, exclusive, held
from tests.faults.conftest import OwnServer
from tests.faults.scripted import work
from tests.faults.test_connection import QUICK, watched


def test_work_that_was_done_is_done(own_server: OwnServer) -> None:
    with watched(own_server.database()) as (store, _), capture_logs() as logs:
        with exclusive(store, "acme", "sync"):
            own_server.drop_connections()
            assert [summary.status for summary in work(store)] == ["ok", "ok"]
        assert [entry["event"] for entry in logs if "lock" in entry["event"]] == [
            "the lock was lost with its connection while it was held"
        ]
        assert held(store, "acme", "sync") is False
        with exclusive(store, "acme", "sync"), pytest.raises(Busy), exclusive(store, "acme", "sync"):
            pass


def test_the_works_own_error_is_the_one_that_is_told(own_server: OwnServer) -> None:
    def work_that_fails(store: Store) -> None:
        with exclusive(store, "acme", "sync"):
            own_server.drop_connections()
            raise ConfigurationError("mine")

    with Store.open(own_server.database()) as store, pytest.raises(ConfigurationError, match="mine"):
        work_that_fails(store)


def test_a_connection_that_was_lost_before_is_made_anew(own_server: OwnServer) -> None:
    with watched(own_server.database()) as (store, _):
        assert held(store, "acme", "sync") is False
        own_server.drop_connections()
        with exclusive(store, "acme", "sync"):
            assert held(store, "acme", "sync") is True


def test_a_connection_that_is_lost_while_the_lock_is_taken(own_server: OwnServer) -> None:
    with (
        watched(own_server.database(), 1, own_server.drop_connections) as (store, boundaries),
        exclusive(store, "acme", "sync"),
    ):
        assert len(boundaries.names) == 2  # it was asked twice
        assert held(store, "acme", "sync") is True


def test_a_server_that_is_away_is_named(own_server: OwnServer) -> None:
    with Store.open(own_server.database()) as store:
        store.patience = Patience(seconds=0.3, first=0.02, longest=0.1)
        own_server.control("stop", "-m", "fast")
        try:
            named = pytest.raises(StoreUnreachableError, match=r"store faults_\d+ on ")
            with named as raised, exclusive(store, "acme", "sync"):
                pass
            assert raised.value.exit_status == 4
            with pytest.raises(StoreUnreachableError):
                held(store, "acme", "sync")
        finally:
            own_server.control("restart")
        store.patience = QUICK
        with exclusive(store, "acme", "sync"):
            pass


def test_a_lock_is_in_no_transaction(own_server: OwnServer) -> None:
    """Else the server keeps every row that is removed while the work takes."""
    url = own_server.database()
    with Store.open(url) as store, exclusive(store, "acme", "sync"), psycopg.connect(url) as other:
        rows = other.execute(
            "SELECT state, backend_xmin FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
        assert {("idle", None)} == set(rows)
