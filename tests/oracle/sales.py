"""Win rate and deal size, deal by deal (section 3, rulings 18 to 20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from tests.oracle.ledger import rows_of
from tests.oracle.number import Cell, Figure, Number, ratio
from tests.oracle.record import Record, Truth, quarter_start
from tests.oracle.segments import DEAL_CUTS, Segments


@dataclass
class Closed:
    record: Record
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
        return Closed(
            deal, outcome == "won", closed, self.truth.home(arr, deal["currency"], closed), arr != 0
        )

    def quarter(self, month: str) -> list[Closed]:
        """What was won or lost in the quarter to date."""
        first, last = quarter_start(month), self.truth.day_of(month)
        return [closed for closed in self.closed if first <= closed.day <= last]

    def numbers(self, of: Segments) -> dict[str, Number]:
        """The KPIs of what was closed, by id."""

        def number(figure: Callable[[Cell], Figure], sized: bool = False) -> Number:
            return Number(
                lambda month: [c for c in self.quarter(month) if not sized or (c.won and c.has_arr)],
                lambda cut, closed: of.deal(cut, closed.record),
                figure,
                DEAL_CUTS,
            )

        return {
            "win_rate": number(_by_count),
            "win_rate_value": number(_by_value),
            "avg_deal_size": number(_mean_size, sized=True),
        }


def _by_count(cell: Cell) -> Figure:
    return ratio(sum(closed.won for closed in cell.rows), len(cell.rows), len(cell.rows))


def _by_value(cell: Cell) -> Figure:
    won = sum(closed.arr for closed in cell.rows if closed.won)
    return ratio(won, sum(closed.arr for closed in cell.rows), len(cell.rows))


def _mean_size(cell: Cell) -> Figure:
    return ratio(sum(closed.arr for closed in cell.rows), len(cell.rows), len(cell.rows))
