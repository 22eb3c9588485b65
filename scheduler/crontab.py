"""Crontab lines: five fields with the meaning that crontab(5) gives them.

Minute, hour, day of the month, month, day of the week (0 and 7 are Sunday, 1 is Monday). A field is ``*``, a value, a
range ``a-b``, each with a step ``/n`` where it is a range, or a list of these with commas; months and weekdays may be
named (``jan``, ``mon``). Where day of the month and day of the week are both restricted, a day that fits either is
meant. Read here and not by APScheduler, which counts weekdays from Monday and wants both days to fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

_ITEM: Final = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_RARE: Final = 41 * 366  # days; a 29 February on a given weekday comes back within forty years


@dataclass(frozen=True)
class _Field:
    title: str
    low: int
    high: int
    allowed: str
    names: tuple[str, ...] = ()  # the first of them stands for ``low``

    def number(self, word: str) -> int | None:
        """A value or name of this field; None: it is neither."""
        if word.lower() in self.names:
            return self.names.index(word.lower()) + self.low
        return int(word) if word.isascii() and word.isdigit() and self.low <= int(word) <= self.high else None


_FIELDS: Final = (
    _Field("minute", 0, 59, "0 to 59"),
    _Field("hour", 0, 23, "0 to 23"),
    _Field("day of the month", 1, 31, "1 to 31"),
    _Field("month", 1, 12, "1 to 12 or jan to dec", _MONTHS),
    _Field("day of the week", 0, 7, "0 to 7 (0 and 7 are Sunday, 1 is Monday) or sun to sat", _WEEKDAYS),
)


@dataclass(frozen=True)
class Crontab:
    """What a crontab line means. ``weekdays``: 0 is Sunday; ``either``: a day fits by month or by week.

    ``steady``: its hour is free, so it goes on through an hour that the clock shows twice.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    steady: bool

    def on(self, day: date) -> bool:
        """Whether it fires on that day."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either else by_month and by_week


def parse(expression: str) -> Crontab:
    """Raises ``ValueError`` naming the field that is wrong and what is allowed in it."""
    words = expression.split()
    if len(words) != len(_FIELDS):
        titles = ", ".join(field.title for field in _FIELDS)
        raise ValueError(f"{expression!r} has {len(words)} fields; a cron line has {len(_FIELDS)}: {titles}")
    minutes, hours, days, months, weekdays = (
        _values(field, word) for field, word in zip(_FIELDS, words, strict=True)
    )
    found = Crontab(
        minutes,
        hours,
        days,
        months,
        frozenset(day % 7 for day in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
        steady=words[1].startswith("*"),
    )
    first = date(2000, 1, 1)
    if not any(found.on(first + timedelta(days=n)) for n in range(_RARE)):
        raise ValueError(f"{expression!r} never comes; no such month has a day {words[2]}")
    return found


def _values(field: _Field, word: str) -> frozenset[int]:
    return frozenset(value for item in word.split(",") for value in _item(field, word, item))


def _item(field: _Field, word: str, item: str) -> range:
    wrong = f"the {field.title} {word!r} is not understood"
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"{wrong}; it is {field.allowed}, as *, 1, 1-5, */2, 1-5/2 or a list with commas")
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f"{wrong}; a step is 1 or more")
    if match["first"] is None:
        return range(field.low, field.high + 1, step)
    first, last = field.number(match["first"]), field.number(match["last"] or match["first"])
    if first is None or last is None:
        raise ValueError(f"{wrong}; it is {field.allowed}")
    if match["step"] and match["last"] is None:
        raise ValueError(f"{wrong}; a step follows * or a range: {first}-{field.high}/{step}")
    if first > last == 0 and match["last"].lower() in field.names:
        last = len(field.names)  # fri-sun
    if first > last:
        raise ValueError(f"{wrong}; its range runs backwards, write it as a list with commas")
    return range(first, last + 1, step)
