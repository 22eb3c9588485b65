"""The simulated clock's notations. Inside the simulator an instant is an int: epoch seconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime


def epoch(moment: datetime) -> int:
    """Epoch seconds of an aware instant; a naive one is an error, because its zone is unknown."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return int(moment.timestamp())


def moment(seconds: int) -> datetime:
    """The aware UTC instant of epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def parse_instant(text: str) -> int:
    """Epoch seconds of an ISO 8601 instant such as ``2026-07-01T00:00:00Z`` or ``…+02:00``.

    Raises ``ValueError`` when the text is no instant or names no zone.
    """
    return epoch(datetime.fromisoformat(text))


def http_date(seconds: int) -> str:
    """The ``Date`` header of that second."""
    return format_datetime(moment(seconds), usegmt=True)
