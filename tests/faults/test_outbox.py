"""A board summary is posted once, wherever the store's connection is lost around it."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from metrics.deliver import deliver, key_of
from pipeline.store import Store
from tests.faults.boundaries import Boundaries
from tests.faults.conftest import OwnServer
from tests.faults.scripted import ACME
from tests.faults.test_connection import watched
from tests.unit.board_sample import MONTH
from tests.unit.test_deliver import Board, small

NOW = datetime(2026, 6, 5, 12, tzinfo=UTC)


class Forgetful(Board):
    """Cannot tell a second post from the first: every call is one more in front of the board."""

    def deliver(self, message):  # type: ignore[no-untyped-def]
        self.got.clear()
        return super().deliver(message)


def post(store: Store, board: Board) -> str:
    return deliver(store, ACME, small(), {"board": board}, now=lambda: NOW)[0].status


def boundaries_of_a_post(server: OwnServer) -> Boundaries:
    with watched(server.database()) as (store, boundaries):
        assert post(store, Board()) == "posted"
        return boundaries


def test_connection_lost_anywhere_around_a_post(own_server: OwnServer) -> None:
    """Also after the commit of either note, when nobody hears whether it was kept."""
    names = boundaries_of_a_post(own_server).names

    def lose() -> None:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    noted = names.index("after COMMIT") + 1  # of looking for an earlier note, which is not tried again
    assert names[noted:].count("after COMMIT") == 2
    for at in range(noted + 1, len(names) + 1):
        for act in (own_server.drop_connections, lose) if "COMMIT" in names[at - 1] else (lose,):
            board = Forgetful()
            with watched(own_server.database(), at, act) as (store, _):
                assert post(store, board) == "posted", names[at - 1]
                assert board.posts == 1
                assert post(store, board) == "already_posted"
                assert board.posts == 1, f"posted twice: {names[at - 1]}"
                note = store.delivery(key_of("acme", MONTH, "board"))
                assert note is not None
                assert (note.status, note.location, note.posted_at) == ("posted", "place", NOW)


def test_what_was_posted_stays_posted(store: Store) -> None:
    """Another try that failed in the meantime, whose note comes late, does not have it posted again."""
    key = "acme:2026-05:board:1"
    store.begin_delivery("acme", "2026-05", "board", 1, key, "{}", NOW)
    store.finish_delivery(key, "posted", NOW, location="place")
    store.finish_delivery(key, "failed", NOW, error="no answer")
    note = store.delivery(key)
    assert note is not None
    assert (note.status, note.location, note.error) == ("posted", "place", None)
