"""What became of a company's last pass, and what to do about a board summary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.records import DeliveryRecord, RunRecord
from scheduler.standing import advice, last_pass

START = datetime(2026, 6, 1, 8, tzinfo=UTC)


def runs(*told: tuple[str, str]) -> list[RunRecord]:
    """Runs of a minute each, given oldest first, returned newest first."""
    made = [
        RunRecord(
            id=number, company="acme", source="fake", stream=stream, status=status,
            started_at=START + timedelta(minutes=number),
            finished_at=None if status == "running" else START + timedelta(minutes=number + 1),
            rows=0, changed=0, deleted=0, quarantined=0, requests=0, seconds=None,
            error="it broke" if status == "failed" else None, remedy="mend it" if status == "failed" else None,
        )
        for number, (stream, status) in enumerate(told)
    ]  # fmt: skip
    return made[::-1]


EARLY, LATE = START, START + timedelta(hours=1)
A, D = "accounts", "deals"


@pytest.mark.parametrize(
    ("told", "complete_at", "at_work", "expected"),
    [
        ([(A, "ok"), (D, "ok")], LATE, False, ("complete", None)),
        ([(A, "ok"), (D, "skipped")], LATE, False, ("complete", None)),
        ([(A, "ok"), (D, "failed")], EARLY, False, ("failed", D)),
        ([(A, "failed"), (D, "ok")], None, False, ("failed", A)),
        ([(A, "ok"), (D, "failed"), (A, "ok"), (D, "ok")], LATE, False, ("complete", None)),
        ([(A, "failed"), (D, "ok"), (A, "ok"), (D, "ok")], LATE, False, ("complete", None)),
        ([(A, "ok"), (D, "ok"), ("connect", "failed")], EARLY, False, ("failed", "connect")),
        ([(A, "ok"), (D, "stopped")], EARLY, False, ("stopped", D)),
        ([(A, "ok"), (D, "running")], EARLY, True, ("running", D)),
        ([(A, "ok"), (D, "running")], EARLY, False, ("interrupted", D)),
        ([(A, "ok"), (D, "running")], EARLY, None, ("unclear", D)),
        ([(D, "ok")], EARLY, False, ("partial", None)),
    ],
)
def test_the_last_pass(
    told: list[tuple[str, str]],
    complete_at: datetime | None,
    at_work: bool | None,
    expected: tuple[str, str | None],
) -> None:
    last = last_pass(runs(*told), complete_at, lambda: at_work)
    assert last is not None
    assert (last.status, last.stream) == expected
    assert (last.error, last.remedy) == (("it broke", "mend it") if last.status == "failed" else (None, None))


def test_no_pass_yet() -> None:
    assert last_pass([], None, lambda: False) is None


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        ("posted", []),
        ("pending", ["not noted", "boardline run", "--company 'Acme Ltd' --month 2026-05 --post --to board"]),
        ("failed", ["was not posted", "boardline run", "--post"]),
        ("unknown", ["something else", "the/place", "move it away", "--post"]),
    ],
)
def test_what_to_do_about_a_delivery(status: str, parts: list[str]) -> None:
    told = advice(
        DeliveryRecord("Acme Ltd", "2026-05", "board", 1, "key", status, "{}", "the/place", START, None, None)
    )
    assert bool(told.remedy) == bool(parts)
    for part in parts:
        assert part in f"{told.meaning}; {told.remedy}"
