"""The generator's record folded to what a CRM knows at one moment."""

from __future__ import annotations

import calendar
import copy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from connectors.simulator.agreements import with_agreements
from connectors.simulator.world import Life, World
from tests.oracle.ways import Ways

TYPES = {
    "new business": "new",
    "expansion": "expansion",
    "renewal": "renewal",
    "downgrade": "contraction",
    "churn": "churn",
}
TRACKED = ("stage", "amount", "close_date", "probability", "forecast_category")


@dataclass
class Record:
    """One record as it stands at the moment of knowledge, with the past of its tracked fields."""

    kind: str
    key: int
    created: int
    values: dict[str, Any]
    past: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # (instant, tracked values after it)
    gone: bool = False
    into: int | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def at(self, instant: int) -> dict[str, Any]:
        """The tracked fields at the end of an instant; only for records created by then."""
        state: dict[str, Any] = {}
        for when, values in self.past:
            if when > instant:
                break
            state = values
        return state


@dataclass(frozen=True)
class FirstLook:
    """When a store first read the CRM, and how long the CRM's recycle bin still shows what has been deleted.

    What had left the bin by then is nowhere: not even a number about the time before can count it.
    """

    at: datetime
    bin: timedelta

    def finds(self, life: Life) -> bool:
        """Whether the CRM still showed the record, be it as deleted. What was merged lives on in another record."""
        now = int(self.at.timestamp())
        deleted = None
        for at, op, _ in life.events:
            if at > now:
                break
            if op == "purge":
                return False
            if op in ("delete", "restore"):
                deleted = at if op == "delete" else None
        return deleted is None or deleted > now - int(self.bin.total_seconds())


def fold(life: Life, known_at: int) -> Record | None:
    """The record as of ``known_at``; None when it did not exist yet."""
    record: Record | None = None
    for at, op, values in life.events:
        if at > known_at:
            break
        if op == "create":
            record = Record(life.kind, life.key, at, dict(values))
        assert record is not None, "a life begins with its creation"
        if op == "set":
            record.values.update(values)
        elif op in ("delete", "purge"):
            record.gone = True
        elif op == "restore":
            record.gone = False
        elif op == "merge":
            record.gone, record.into = True, values["into"]
        if life.kind == "deal":
            record.past.append((at, {name: record.values.get(name) for name in TRACKED}))
    return record


class Truth:
    """Everything that is known at ``known_at``, by kind and key."""

    def __init__(self, world: World, known_at: datetime, first: FirstLook | None = None) -> None:
        """``first``: where the store did not exist yet at ``known_at``, what there was to be read when it did."""
        self.world = world
        self.ways = Ways()
        self.zone = ZoneInfo(world.timezone)
        self.known_at = known_at
        self.today = known_at.astimezone(self.zone).date()
        instant = int(known_at.timestamp())
        self.records: dict[str, dict[int, Record]] = {}
        for life in with_agreements(world):
            record = fold(life, instant)
            if record is not None and (first is None or first.finds(life)):
                self.records.setdefault(life.kind, {})[life.key] = record
        self.stages = {stage.name: stage for stage in world.stages}
        self.rates: dict[str, list[tuple[date, Fraction]]] = {}
        for rate in self.all("rate"):
            self.rates.setdefault(rate["currency"], []).append(
                (day(rate["start_date"]), Fraction(rate["rate"]))
            )
        for dated in self.rates.values():
            dated.sort()
        self._days: dict[int, date] = {}
        self._ends: dict[date, int] = {}
        self._converted: dict[tuple[str, date], Fraction] = {}
        self.lines: dict[int, list[Record]] = {}
        for line in self.live("line_item"):
            self.lines.setdefault(line["deal"], []).append(line)

    def under(self, ways: Ways) -> Truth:
        """The same records, at a company that has chosen otherwise."""
        other = copy.copy(self)
        other.ways = ways
        other.zone = ZoneInfo(ways["timezone"] or self.world.timezone)
        other.today = self.known_at.astimezone(other.zone).date()
        other._days, other._ends = {}, {}
        return other

    def all(self, kind: str) -> list[Record]:
        return list(self.records.get(kind, {}).values())

    def live(self, kind: str) -> list[Record]:
        return [record for record in self.all(kind) if not record.gone]

    # --- calendar -------------------------------------------------------------------------------------

    def end_of(self, local: date) -> int:
        """The last second of a local day."""
        if local not in self._ends:
            self._ends[local] = self._end_of(local)
        return self._ends[local]

    def _end_of(self, local: date) -> int:
        midnight = datetime(local.year, local.month, local.day, tzinfo=self.zone) + timedelta(days=1)
        return int(midnight.astimezone(UTC).timestamp()) - 1

    def local_day(self, instant: int) -> date:
        if instant not in self._days:
            self._days[instant] = datetime.fromtimestamp(instant, self.zone).date()
        return self._days[instant]

    def day_of(self, month: str) -> date:
        """D of a month (ruling 1)."""
        return min(last_day(month), self.today)

    def quarter(self, on: str | date) -> date:
        """First day of the fiscal quarter of a month or a day."""
        month = on if isinstance(on, str) else f"{on:%Y-%m}"
        into = (int(month[5:]) - self.ways["fiscal_year_start_month"]) % 3
        return date.fromisoformat(f"{shift(month, -into)}-01")

    # --- money ----------------------------------------------------------------------------------------

    def rate(self, currency: str, on: date) -> Fraction:
        """Home units for one unit, in force on a day; before the first rate, the first (ruling 5)."""
        if (currency, on) not in self._converted:
            self._converted[currency, on] = self._in_force(currency, on)
        return self._converted[currency, on]

    def _in_force(self, currency: str, on: date) -> Fraction:
        if currency == self.world.home_currency:
            return Fraction(1)
        dated = self.rates[currency]
        found = dated[0][1]
        for start, value in dated:
            if start <= on:
                found = value
        return found

    def home(self, minor: int | Fraction, currency: str, on: date) -> int:
        """Converted once, rounded half-even (ruling 6); all currencies of the generator have two decimals."""
        return round(Fraction(minor) * self.rate(currency, on))

    # --- accounts -------------------------------------------------------------------------------------

    def account(self, key: int | None) -> Record | None:
        """The surviving account behind a reference."""
        while key is not None:
            record = self.records["account"].get(key)
            if record is None or record.into is None:
                return record
            key = record.into
        return None

    def customer(self, key: int | None) -> int | None:
        """The ultimate parent, as far up as live accounts go (ruling 16)."""
        record = self.account(key)
        if record is None:
            return None
        if self.ways["arr.customer"] == "account":
            return record.key
        seen = {record.key}
        while True:
            parent = self.account(record["parent"])
            if parent is None or parent.gone or parent.key in seen:
                return record.key
            seen.add(parent.key)
            record = parent

    # --- deals ----------------------------------------------------------------------------------------

    def type_of(self, deal: Record) -> str | None:
        return TYPES.get((deal["type"] or "").strip().lower())

    def outcome(self, deal: Record) -> tuple[str, date | None]:
        """('won' | 'lost' | 'open', its date) as known now (rulings 3 and 21)."""
        stage = self.stages.get(deal["stage"])
        if stage is None or not stage.closed:
            return "open", None
        if not stage.won:
            return "lost", self.closed_on(deal, int(self.known_at.timestamp()))
        if self.unconverted(deal, self.today):
            if not self.pays(deal):
                return "open", None
        elif deal["pilot"]:
            return "won", day(deal["pilot_converted"])
        return "won", self.closed_on(deal, int(self.known_at.timestamp()))

    def sold(self, deal: Record) -> bool:
        """Whether a deal is of the sales motion (R7)."""
        return self.type_of(deal) in (
            ("new", "expansion") if self.ways["sales.include_expansion"] else ("new",)
        )

    def unconverted(self, deal: Record, on: date) -> bool:
        """Whether a deal is a pilot that was not converted by a day."""
        converted = deal["pilot_converted"]
        return bool(deal["pilot"]) and (converted is None or day(converted) > on)

    def pays(self, deal: Record) -> bool:
        """Whether a pilot counts as won for what is paid for it (R8)."""
        return self.ways["sales.paid_pilot"] == "won" and (deal["amount"] or 0) > 0

    def closed_on(self, deal: Record, instant: int) -> date:
        """The day of a win or a loss as known at an instant (R9): its close date, or that of its terminal entry."""
        entered, before = None, "open"
        for at, values in deal.past:
            if at > instant:
                break
            stage = self.stages.get(values["stage"])
            now = "open" if stage is None or not stage.closed else "won" if stage.won else "lost"
            if now not in ("open", before):
                entered = at
            before = now
        closes = deal.at(instant)["close_date"]
        if closes and (self.ways["sales.outcome_day"] == "close_date" or entered is None):
            return day(closes)
        assert entered is not None, "who knows no day of a close has seen its stage change"
        return self.local_day(entered)

    def open_at(self, deal: Record, on: date) -> bool:
        """Whether the deal existed and was open at the end of a local day."""
        if deal.created > self.end_of(on):
            return False
        stage = self.stages.get(deal.at(self.end_of(on))["stage"])
        if stage is None or not stage.closed:
            return True
        return stage.won and self.unconverted(deal, on) and not self.pays(deal)


def day(text: str) -> date:
    return date.fromisoformat(text)


def last_day(month: str) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year, number, calendar.monthrange(year, number)[1])


def shift(month: str, by: int) -> str:
    index = int(month[:4]) * 12 + int(month[5:]) - 1 + by
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def add_months(start: date, months: int) -> date:
    """Calendar months; a day that does not exist becomes the last of its month (ruling 8)."""
    year, number = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, number + 1, min(start.day, calendar.monthrange(year, number + 1)[1]))


def quarter_start(month: str) -> date:
    """First day of the calendar quarter of a month."""
    number = int(month[5:])
    return date(int(month[:4]), number - (number - 1) % 3, 1)
