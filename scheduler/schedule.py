"""Readable schedules: ``every 15 minutes``, ``Mon 08:00``, ``daily 06:30``, ``business day 5 08:00``, or a cron line.

Parsing only; ``scheduler.occurrence`` says when they fire. Times are local to the company.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from scheduler import crontab

_EVERY = re.compile(r"every\s+(?:(\d+)\s+)?(second|minute|hour|day)s?", re.IGNORECASE)
_WEEKLY = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*\s+(\d{1,2}):(\d{2})", re.IGNORECASE)
_DAILY = re.compile(r"daily\s+(\d{1,2}):(\d{2})", re.IGNORECASE)
_BUSINESS_DAY = re.compile(r"business\s+day\s+(\d{1,2})\s+(\d{1,2}):(\d{2})", re.IGNORECASE)
_CRON = re.compile(r"cron:\s*(.+)", re.IGNORECASE)

_LAST_BUSINESS_DAY = 20  # every month has at least twenty days from Monday to Friday


@dataclass(frozen=True)
class Every:
    interval: timedelta


@dataclass(frozen=True)
class Weekly:
    """``day`` None: every day. Otherwise mon .. sun."""

    day: str | None
    hour: int
    minute: int


@dataclass(frozen=True)
class BusinessDay:
    """The n-th day from Monday to Friday of each month."""

    n: int
    hour: int
    minute: int


@dataclass(frozen=True)
class Cron:
    """A line as crontab(5) has it."""

    expression: str


Schedule = Every | Weekly | BusinessDay | Cron


def parse(text: str) -> Schedule:
    """Raises ``ValueError`` with the forms that are understood."""
    text = text.strip()
    if match := _EVERY.fullmatch(text):
        interval = timedelta(**{f"{match[2].lower()}s": int(match[1] or 1)})
        if interval <= timedelta(0):
            raise ValueError(f"{text!r}: the interval must be at least a second")
        return Every(interval)
    if match := _WEEKLY.fullmatch(text):
        return Weekly(match[1].lower(), *_time(text, match[2], match[3]))
    if match := _DAILY.fullmatch(text):
        return Weekly(None, *_time(text, match[1], match[2]))
    if match := _BUSINESS_DAY.fullmatch(text):
        n = int(match[1])
        if not 1 <= n <= _LAST_BUSINESS_DAY:
            raise ValueError(f"{text!r}: business days go from 1 to {_LAST_BUSINESS_DAY}")
        return BusinessDay(n, *_time(text, match[2], match[3]))
    if match := _CRON.fullmatch(text):
        crontab.parse(match[1])
        return Cron(match[1])
    raise ValueError(
        f"{text!r} is no schedule; write 'every 15 minutes', 'Mon 08:00', 'daily 06:30', "
        "'business day 5 08:00' or 'cron: 0 8 * * 1'"
    )


def _time(text: str, hour: str, minute: str) -> tuple[int, int]:
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"{text!r}: {hour}:{minute} is no time of day")
    return int(hour), int(minute)
