"""What one account's life is written with: its own randomness, its keys, its records, its planted faults."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import Any, NamedTuple

from connectors.simulator.lives.days import Days, Density
from connectors.simulator.lives.shared import Staff
from connectors.simulator.lives.verticals import Vertical
from connectors.simulator.world import Event, Kind, Life, Op

Values = dict[str, Any]
HOUR = 3600
FOREVER = 1 << 60


class Mark(NamedTuple):
    """A fault that was planted: the rule it breaks, the record, and from when until when it is there."""

    rule: str
    kind: Kind
    key: int
    since: int
    until: int


class Record:
    """A life in the making. Events may be added in any order; ``life`` puts them in order."""

    __slots__ = ("events", "key", "kind")

    def __init__(self, kind: Kind, key: int, at: int, values: Values) -> None:
        self.kind = kind
        self.key = key
        self.events: list[tuple[int, Op, Values]] = [(at, "create", values)]

    @property
    def born(self) -> int:
        return self.events[0][0]

    def set(self, at: int, values: Values) -> None:
        self.events.append((at, "set", values))

    def add(self, at: int, op: Op, values: Values | None = None) -> None:
        self.events.append((at, op, values or {}))

    def unwrite(self) -> None:
        """It never comes to be."""
        self.events = [(FOREVER, "create", {})]

    def ends_by(self, at: int) -> bool:
        """Whether it is deleted, merged or purged by then."""
        return any(when <= at and op in _ENDS for when, op, _ in self.events)

    def life(self, end: int) -> Life | None:
        """Its events in order, each at its own second, up to the instant ``end``. None: not yet born by then.

        Between a deletion and a restoration nothing happens to a record; what was meant to is left out.
        """
        events = self.events
        first = events[0]
        if first[0] >= end:
            return None
        settled = [Event._make(first)]
        if len(events) > 1:
            last = first[0]
            gone = False
            for at, op, values in sorted(events[1:], key=_AT):
                if gone and op != "restore":
                    continue
                last = at if at > last else last + 1
                if last >= end:
                    break
                settled.append(Event(last, op, values))
                gone = op in _ENDS
        return Life(self.kind, self.key, tuple(settled))


_ENDS = frozenset(("delete", "merge", "purge"))

_AT = itemgetter(0)


@dataclass(frozen=True)
class Setting:
    """What all accounts of a company share."""

    vertical: Vertical
    days: Days
    density: Density
    staff: Staff
    products: dict[str, int]  # name -> key
    defects: float
    seed: int
    stride: int  # keys of account i lie in [i * stride, (i + 1) * stride)
    pace: float  # deals per account and year: optional deals keep their yearly number at any pace


class Scene:
    """One account and everything that belongs to it, while it is being written."""

    __slots__ = ("_next", "days", "defects", "index", "marks", "r", "records", "rng", "setting", "vertical")

    def __init__(self, setting: Setting, index: int) -> None:
        self.setting = setting
        self.vertical = setting.vertical
        self.days = setting.days
        self.defects = setting.defects
        self.index = index
        self.rng = Random(f"{setting.seed}/{setting.vertical.key}/{index}")
        self.r = self.rng.random
        self.records: list[Record] = []
        self.marks: list[Mark] = []
        self._next: dict[Kind, int] = {}

    def key(self, kind: Kind) -> int:
        """The next key of a kind within this account's own range."""
        n = self._next.get(kind, 0)
        if n >= self.setting.stride:
            raise OverflowError(f"account {self.index} has more than {n} records of kind {kind}")
        self._next[kind] = n + 1
        return self.index * self.setting.stride + n

    def new(self, kind: Kind, at: int, values: Values, key: int | None = None) -> Record:
        record = Record(kind, key or self.key(kind), at, values)
        self.records.append(record)
        return record

    def at(self, day: float) -> int:
        """An instant in working hours; the fraction of the day places it between 8 and 18 o'clock."""
        whole = int(day)
        return self.days.midnight[whole] + 8 * HOUR + int((day - whole) * 10 * HOUR)

    def evening(self, day: float) -> int:
        """An instant late on that day: often the next day already in UTC."""
        return self.days.midnight[int(day)] + 19 * HOUR + 1800 + int(self.r() * 4 * HOUR)

    def day_of(self, at: int) -> int:
        """The local day of an instant that was made by ``at`` or ``evening``."""
        midnight = self.days.midnight
        day = (at - midnight[0]) // 86_400
        if at < midnight[day]:
            return day - 1
        return day + 1 if at >= midnight[day + 1] else day

    def pick(self, items: tuple[Any, ...]) -> Any:
        return items[int(self.r() * len(items))]

    def spread(self, low: float, high: float) -> float:
        return low + (high - low) * self.r()

    def faulty(self, rate: float) -> bool:
        """Whether a data-quality fault of this rate happens here."""
        return self.r() < rate * self.defects

    def away(self, record: Record, at: int, back: int = FOREVER) -> None:
        """The record is gone from this instant on, or until it is restored: meanwhile it breaks no rule."""
        kept = []
        for mark in self.marks:
            if mark.key != record.key or mark.kind != record.kind:
                kept.append(mark)
                continue
            if mark.since < at:
                kept.append(mark._replace(until=min(mark.until, at)))
            if mark.until > back:
                kept.append(mark._replace(since=max(mark.since, back)))
        self.marks[:] = kept

    def mark(self, rule: str, record: Record, since: int | None = None, until: int = FOREVER) -> None:
        self.marks.append(Mark(rule, record.kind, record.key, record.born if since is None else since, until))
