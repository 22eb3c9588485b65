"""Weighted coverage, forecast and its error, deal by deal and day by day (section 4, rulings 26 to 31).

Everything is read as it was known at the end of a day, which may lie before the moment of knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.record import Record, Truth, add_months, day, quarter_start

SNAPSHOT = timedelta(days=20)  # from the first day of a quarter to its 21st
FEWEST, LEAST, MOST = 20, 4, 8  # deals in a cell; quarters of history
Cell = tuple[str | None, str | None]  # stage, size (None: of any size, or unknown)


@dataclass
class Open:
    """A deal of the in-quarter pipeline at the end of a day."""

    deal: Record
    stage: str | None
    value: int  # home currency at the rate of that day
    p1: Fraction
    size: str | None


class Forecasts:
    """The in-quarter pipeline and what comes of it."""

    def __init__(self, truth: Truth, *, keeps_retired: bool = True) -> None:
        """``keeps_retired``: whether the CRM still shows the stages that were taken out of the layout; else nobody can
        know their probability (ruling 28)."""
        self.truth = truth
        self.shown = {name for name, stage in truth.stages.items() if stage.active or keeps_retired}
        self.deals = [d for d in truth.live("deal") if truth.type_of(d) in ("new", "expansion")]
        self.first_day = min(truth.local_day(deal.created) for deal in truth.live("deal"))
        self.snapshots: dict[date, list[Open]] = {}

    # --- one deal on one day --------------------------------------------------------------------------

    def won_day(self, deal: Record, instant: int, on: date) -> date | None:
        """The day on which the deal counts as won, as known at an instant on a day; None where it does not."""
        if deal.created > instant:
            return None
        then = deal.at(instant)
        stage = self.truth.stages.get(then["stage"])
        if stage is None or not stage.won:
            return None
        if deal["pilot"]:
            converted = deal["pilot_converted"]
            return day(converted) if converted is not None and day(converted) <= on else None
        assert then["close_date"], "the generator dates every close"
        return day(then["close_date"])

    def size_of(self, deal: Record) -> str | None:
        """Ruling 24: the deal's mapped segment, else the account's, else its band of employees."""
        account = self.truth.account(deal["account"])
        own = deal["segment"] or (account["segment"] if account else None)
        if own or account is None or not account["employees"]:
            return own or None
        staff = account["employees"]
        return "Enterprise" if staff >= 1000 else "Mid-market" if staff >= 200 else "SMB"

    def open_on(self, on: date, end: date) -> list[Open]:
        """Ruling 26: open at the end of a day, closing from that day on and before ``end``."""
        found = []
        for deal in self.deals:
            if not self.truth.open_at(deal, on):
                continue
            then = deal.at(self.instant(on))
            if not then["close_date"] or not on <= day(then["close_date"]) < end:
                continue
            p1 = Fraction(str(then["probability"])) if then["stage"] in self.shown else Fraction(0)
            value = self.truth.home(then["amount"] or 0, deal["currency"], on)
            found.append(Open(deal, then["stage"], value, p1, self.size_of(deal)))
        return found

    def instant(self, on: date) -> int:
        """The last second of a day, or of what is known of it."""
        return min(self.truth.end_of(on), int(self.truth.known_at.timestamp()))

    # --- quarters -------------------------------------------------------------------------------------

    def snapshot(self, first: date) -> list[Open]:
        if first not in self.snapshots:
            self.snapshots[first] = self.open_on(first + SNAPSHOT, add_months(first, 3))
        return self.snapshots[first]

    def shares(self, first: date, on: date) -> dict[tuple[str, Cell], Fraction]:
        """p2 of the cells that have one, sized and pooled, in a quarter and as known at the end of a day."""
        quarters = [add_months(first, -3 * back) for back in range(1, MOST + 1)]
        quarters = [quarter for quarter in quarters if quarter > self.first_day]
        if len(quarters) < LEAST:
            return {}
        sums: dict[tuple[str, Cell], tuple[int, int, int]] = {}
        for quarter in quarters:
            for row in self.snapshot(quarter):
                won = self.won_day(row.deal, self.instant(on), on)
                brought = row.value if won and quarter <= won < add_months(quarter, 3) else 0
                for cell in (("sized", (row.stage, row.size)), ("pooled", (row.stage, None))):
                    n, total, good = sums.get(cell, (0, 0, 0))
                    sums[cell] = (n + 1, total + row.value, good + brought)
        return {
            cell: Fraction(good, total)
            for cell, (n, total, good) in sums.items()
            if n >= FEWEST and total > 0
        }

    def forecast(self, first: date, on: date) -> tuple[int, int]:
        """Ruling 30: (by own history, by the CRM's probability), won to that day and expected of what is open."""
        shares = self.shares(first, on)
        won = self.won_value(first, on, self.instant(on), on)
        by_history = by_crm = Fraction(won)
        for row in self.open_on(on, add_months(first, 3)):
            pooled = shares.get(("pooled", (row.stage, None)), row.p1)
            p2 = shares.get(("sized", (row.stage, row.size)), pooled)
            by_history += p2 * row.value
            by_crm += row.p1 * row.value
        return round(by_history), round(by_crm)

    def won_value(self, first: date, last: date, instant: int, on: date) -> int:
        """What was won from one day to another, as known at an instant on a day."""
        total = 0
        for deal in self.deals:
            won = self.won_day(deal, instant, on)
            if won is not None and first <= won <= last:
                total += self.truth.home(deal.at(instant)["amount"] or 0, deal["currency"], won)
        return total

    # --- numbers --------------------------------------------------------------------------------------

    def in_quarter(self, month: str) -> tuple[int, int]:
        return self.forecast(quarter_start(month), self.truth.day_of(month))

    def weighted(self, month: str) -> int | None:
        """The numerator of weighted coverage; None while day 21 is to come."""
        first = quarter_start(month)
        if self.truth.end_of(first + SNAPSHOT) > self.truth.known_at.timestamp():
            return None
        return round(sum((row.p1 * row.value for row in self.snapshot(first)), Fraction(0)))

    def error(self, month: str) -> tuple[int, int] | None:
        """Ruling 31: (forecast of day 21, won in the quarter); None while the quarter is open."""
        first = quarter_start(month)
        last = add_months(first, 3) - timedelta(days=1)
        if self.truth.end_of(last) >= self.truth.known_at.timestamp():
            return None
        settled, left = last, 5
        while left:
            settled += timedelta(days=1)
            left -= settled.weekday() < 5
        settled = min(settled, self.truth.today)
        won = self.won_value(first, last, self.instant(settled), settled)
        return self.forecast(first, first + SNAPSHOT)[0], won
