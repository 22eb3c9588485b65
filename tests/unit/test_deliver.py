"""Once, through crashes, retries and changed numbers: the outbox against a real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.destination import Message, Receipt
from connectors.destinations.file import DESTINATION
from connectors.errors import DeliveryConflict, UnreachableError
from metrics.board import BoardReport
from metrics.deliver import deliver, differences, fingerprint, key_of
from pipeline.company import Company
from pipeline.store import Store
from tests.unit.board_sample import MONTH, report, row, value

ACME = Company(name="acme")
NOW = datetime(2026, 6, 5, 12, tzinfo=UTC)


class Board:
    """A destination that keeps what it got, and can fail before or crash after it took the message."""

    name = "board"

    def __init__(self) -> None:
        self.got: dict[str, Message] = {}
        self.posts = 0
        self.fails: Exception | None = None
        self.crashes: BaseException | None = None

    def check(self) -> str:
        return "ready"

    def deliver(self, message: Message) -> Receipt:
        if self.fails:
            raise self.fails
        if message.key in self.got:
            if self.got[message.key].text != message.text:
                raise DeliveryConflict("other content is there", "place")
            return Receipt("place", repeated=True)
        self.got[message.key] = message
        self.posts += 1
        if self.crashes:
            raise self.crashes
        return Receipt("place")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def small(arr: int = 100_000_00) -> BoardReport:
    """A report that renders fast; what it says depends on one number."""
    return report(scorecard=(row(value(value=arr), arr, arr),), bridge_month=None, bridge_year=None, arr_trend=(),
                  nrr_trend=(), grr_trend=(), win_rates=(), pipeline=())  # fmt: skip


def post(store: Store, board: Board, made: BoardReport, version: int = 1) -> tuple[str, tuple[str, ...]]:
    done = deliver(store, ACME, made, {"board": board}, version, lambda: NOW)[0]
    return done.status, done.differences


def test_it_is_posted_once_with_all_forms(store: Store) -> None:
    board = Board()
    assert post(store, board, small()) == ("posted", ())
    assert post(store, board, small()) == ("already_posted", ())
    assert board.posts == 1
    message = board.got[key_of("acme", MONTH, "board")]
    assert {part.media_type for part in message.attachments} == {"text/html", "text/markdown", "text/plain"}
    assert "$100K" in message.text
    assert "$100K" in message.markdown
    note = store.deliveries("acme")[0]
    assert (note.status, note.location, note.posted_at, note.key) == (
        "posted",
        "place",
        NOW,
        "acme:2026-05:board:1",
    )


def test_changed_numbers_are_told_and_not_sent(store: Store) -> None:
    board = Board()
    post(store, board, small())
    assert post(store, board, small(90_000_00)) == ("already_posted", ("ARR",))
    assert board.posts == 1
    assert "today's numbers differ in: ARR" in str(
        deliver(store, ACME, small(90_000_00), {"board": board})[0]
    )


def test_a_new_version_is_a_new_post(store: Store) -> None:
    board = Board()
    post(store, board, small())
    assert post(store, board, small(90_000_00), version=2) == ("posted", ())
    assert sorted(board.got) == ["acme:2026-05:board:1", "acme:2026-05:board:2"]


def test_the_note_is_there_before_the_post(store: Store) -> None:
    board = Board()
    seen: list[str] = []
    board.fails = UnreachableError("off")

    class Looking(Board):
        def deliver(self, message: Message) -> Receipt:
            seen.extend(note.status for note in store.deliveries("acme"))
            return super().deliver(message)

    post(store, Looking(), small())
    assert seen == ["pending"]


def test_a_failed_post_is_tried_again(store: Store) -> None:
    board = Board()
    board.fails = UnreachableError("the board cannot be reached; try later")
    done = deliver(store, ACME, small(), {"board": board})[0]
    assert done.status == "failed"
    assert done.problem is board.fails
    assert store.deliveries("acme")[0].error == "the board cannot be reached; try later"
    board.fails = None
    assert post(store, board, small(90_000_00)) == ("posted", ())
    note = store.deliveries("acme")[0]
    assert (note.status, note.error) == ("posted", None)
    assert differences(note.content_hash, small(90_000_00)) == (), (
        "the note holds what was posted, not what failed"
    )


@pytest.mark.parametrize("later", [100_000_00, 90_000_00])
def test_a_crash_after_the_post_posts_nothing_again(store: Store, later: int) -> None:
    board = Board()
    board.crashes = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        post(store, board, small())
    assert store.deliveries("acme")[0].status == "pending"
    board.crashes = None
    status, changed = post(store, board, small(later))
    assert board.posts == 1
    assert store.deliveries("acme")[0].status == "posted"
    if later == 100_000_00:
        assert (status, changed) == ("posted", ())
    else:
        assert (status, changed) == ("already_posted", ("ARR",))
    assert post(store, board, small(later))[0] == "already_posted"


def test_a_crash_before_the_post_posts_once(store: Store) -> None:
    board = Board()
    store.begin_delivery("acme", MONTH, "board", 1, key_of("acme", MONTH, "board"), fingerprint(small()), NOW)
    assert post(store, board, small()) == ("posted", ())
    assert board.posts == 1


def test_a_lost_store_does_not_post_over_what_is_there(store: Store) -> None:
    board = Board()
    board.deliver(Message(key_of("acme", MONTH, "board"), "s", "another text", "m"))
    done = deliver(store, ACME, small(), {"board": board})[0]
    assert done.status == "unknown"
    assert isinstance(done.problem, DeliveryConflict)
    assert store.deliveries("acme")[0].status == "unknown"
    assert deliver(store, ACME, small(), {"board": board})[0].status == "unknown", (
        "it stays for a person to decide"
    )
    board.got.clear()
    assert post(store, board, small()) == ("posted", ())


def test_one_failure_does_not_keep_the_others_waiting(store: Store) -> None:
    down, up = Board(), Board()
    down.fails = UnreachableError("down")
    done = deliver(store, ACME, small(), {"down": down, "up": up})
    assert [(one.destination, one.status) for one in done] == [("down", "failed"), ("up", "posted")]


def test_nothing_is_rendered_when_nothing_is_sent(store: Store) -> None:
    board = Board()
    post(store, board, small())
    spoiled = small()
    object.__setattr__(spoiled, "timezone", "not a zone")  # rendering would raise
    assert post(store, board, spoiled)[0] == "already_posted"


def test_companies_months_and_destinations_have_their_own_posts(store: Store) -> None:
    one, two = Board(), Board()
    deliver(store, ACME, small(), {"one": one, "two": two})
    deliver(store, Company(name="other"), small(), {"one": one})
    assert set(one.got) == {"acme:2026-05:one:1", "other:2026-05:one:1"}
    assert set(two.got) == {"acme:2026-05:two:1"}


def test_the_file_destination_end_to_end(store: Store, tmp_path: Path) -> None:
    folder = DESTINATION.open({"type": "file", "path": tmp_path / "reports"})
    first = deliver(store, ACME, small(), {"files": folder})[0]
    assert first.location is not None
    before = Path(first.location).read_bytes()
    again = deliver(store, ACME, small(1), {"files": folder})[0]
    assert (again.status, again.differences) == ("already_posted", ("ARR",))
    assert Path(first.location).read_bytes() == before
    assert again.as_json()["differences"] == ["ARR"]


def test_differences_name_every_kind_of_number() -> None:
    whole = report()
    before = fingerprint(whole)
    assert differences(before, whole) == ()
    changed = report(bridge_year=None, pipeline=whole.pipeline[:1], win_rates=whole.win_rates[1:])
    assert differences(before, changed) == (
        "Pipeline by stage",
        "ARR bridge of 12 months to May 2026",
        "Win rate by size: Mid-market",
    )
