"""Win rate, deal size and coverage, deal by deal (section 3 and 4, rulings 18 to 27)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from tests.oracle.record import Record, Truth, add_months, day, quarter_start
from tests.oracle.revenue import rows_of


@dataclass
class Closed:
    won: bool
    day: date
    arr: int  # home currency at the close date's rate; blank counts 0
    has_arr: bool


class Sales:
    """The new-business motion of one company as known at the truth's moment."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        opens = sorted(
            (s for s in truth.world.stages if not s.closed and s.active), key=lambda s: s.sort_order
        )
        threshold = opens[1].sort_order
        self.qualifying = {s.name for s in truth.world.stages if not s.closed and s.sort_order >= threshold}
        self.closed = [found for deal in truth.live("deal") if (found := self._closed(deal))]

    def _closed(self, deal: Record) -> Closed | None:
        if self.truth.type_of(deal) != "new":
            return None
        outcome, closed = self.truth.outcome(deal)
        if closed is None:
            return None
        qualified = any(values["stage"] in self.qualifying for _, values in deal.past)
        if outcome == "lost" and not qualified:
            return None
        rows = rows_of(self.truth, deal)
        arr = sum(row.arr for row in rows) if rows else 0
        return Closed(outcome == "won", closed, self.truth.home(arr, deal["currency"], closed), arr != 0)

    def _quarter(self, month: str) -> list[Closed]:
        first, last = quarter_start(month), self.truth.day_of(month)
        return [closed for closed in self.closed if first <= closed.day <= last]

    def win_rate(self, month: str) -> tuple[int, int]:
        """(won, won + lost) of the quarter to date."""
        closed = self._quarter(month)
        return sum(c.won for c in closed), len(closed)

    def win_rate_value(self, month: str) -> tuple[int, int]:
        closed = self._quarter(month)
        return sum(c.arr for c in closed if c.won), sum(c.arr for c in closed)

    def deal_size(self, month: str) -> tuple[int, int]:
        """(ARR, count) of the wins with ARR."""
        won = [c for c in self._quarter(month) if c.won and c.has_arr]
        return sum(c.arr for c in won), len(won)

    def coverage(self, month: str) -> tuple[int, int] | None:
        """(pipeline, quota) at the end of the quarter's 21st day; None while that day is to come."""
        first = quarter_start(month)
        snapshot, end = first + timedelta(days=20), add_months(first, 3)
        if snapshot > self.truth.today:
            return None
        pipeline = 0
        for deal in self.truth.live("deal"):
            if self.truth.type_of(deal) not in ("new", "expansion") or not self.truth.open_at(deal, snapshot):
                continue
            then = deal.at(self.truth.end_of(snapshot))
            if then["close_date"] and snapshot <= day(then["close_date"]) < end:
                pipeline += self.truth.home(then["amount"] or 0, deal["currency"], snapshot)
        quota = sum(
            self.truth.home(row["amount"], row["currency"], first)
            for row in self.truth.live("quota")
            if first <= day(row["start_date"]) < end
        )
        return pipeline, quota
