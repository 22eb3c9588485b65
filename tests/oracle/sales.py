"""Win rate and deal size, deal by deal (section 3, rulings 18 to 20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from statistics import median

from tests.oracle.ledger import annual, rows_of
from tests.oracle.number import Cell, Figure, Number, ratio
from tests.oracle.record import Record, Truth, add_months
from tests.oracle.segments import DEAL_CUTS, Segments, stated


@dataclass
class Closed:
    record: Record
    won: bool
    day: date
    arr: int  # home currency at the close date's rate; blank counts 0
    has_arr: bool
    size: int | None  # what its deal size is, the same way


class Sales:
    """The sales motion of one company as known at the truth's moment."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        opens = sorted(
            (s for s in truth.world.stages if not s.closed and s.active), key=lambda s: s.sort_order
        )
        named = truth.ways["qualified_stage"]
        threshold = truth.stages[named].sort_order if named else opens[1].sort_order
        self.qualifying = {s.name for s in truth.world.stages if not s.closed and s.sort_order >= threshold}
        self.closed = [found for deal in truth.live("deal") if (found := self._closed(deal))]

    def _closed(self, deal: Record) -> Closed | None:
        if not self.truth.sold(deal):
            return None
        outcome, closed = self.truth.outcome(deal)
        if closed is None:
            return None
        qualified = any(values["stage"] in self.qualifying for _, values in deal.past)
        if outcome == "lost" and not qualified:
            return None
        rows = rows_of(self.truth, deal)
        arr = sum(row.arr for row in rows) if rows else 0
        value = self.truth.home(arr, deal["currency"], closed)
        return Closed(deal, outcome == "won", closed, value, arr != 0, self._size(deal, closed, value))

    def _size(self, deal: Record, closed: date, arr: int) -> int | None:
        """Its ARR, or its annual contract value: its whole amount a year, without a term as it stands."""
        if self.truth.ways["sales.deal_size_value"] == "arr":
            return arr
        if deal["amount"] is None or self.truth.unconverted(deal, self.truth.today):
            return None
        amount, term = deal["amount"], deal["term_months"] or 0
        if term > 0 or self.truth.ways["arr.basis"] != "tcv":
            amount = annual(self.truth, amount, term)
        return self.truth.home(amount, deal["currency"], closed)

    def quarter(self, month: str) -> list[Closed]:
        """What was won or lost in the quarter to date."""
        return self._since(self.truth.quarter(month), month)

    def _since(self, first: date, month: str) -> list[Closed]:
        last = self.truth.day_of(month)
        return [closed for closed in self.closed if first <= closed.day <= last]

    def rated(self, month: str) -> list[Closed]:
        """What a win rate counts: the narrow one leaves out what nobody decided."""
        closed = self.quarter(month)
        if self.truth.ways["sales.win_rate"] == "broad":
            return closed
        return [one for one in closed if one.won or not self._undecided(one.record)]

    def _undecided(self, deal: Record) -> bool:
        words = [reason.strip().lower() for reason in self.truth.ways["sales.no_decision"]]
        return (stated(deal["loss_reason"]) or "").lower() in words

    def untold(self, month: str) -> bool:
        """Whether nobody can rate narrowly: of what was lost, nothing names a reason."""
        lost = [one for one in self.quarter(month) if not one.won]
        narrow = self.truth.ways["sales.win_rate"] == "narrow"
        return narrow and bool(lost) and all(stated(one.record["loss_reason"]) is None for one in lost)

    def sized(self, month: str) -> list[Closed]:
        """What was won, of some value, in the quarter to date or in four."""
        first = self.truth.quarter(month)
        if self.truth.ways["sales.deal_size_window"] == "four_quarters":
            first = add_months(first, -9)
        return [one for one in self._since(first, month) if one.won and one.size]

    def numbers(self, of: Segments) -> dict[str, Number]:
        """The KPIs of what was closed, by id."""

        def number(rows: Callable[[str], list[Closed]], figure: Callable[[Cell], Figure]) -> Number:
            return Number(rows, lambda cut, closed: of.deal(cut, closed.record), figure, DEAL_CUTS)

        def told(figure: Callable[[Cell], Figure]) -> Callable[[Cell], Figure]:
            def otherwise(cell: Cell) -> Figure:
                found = figure(cell)
                if not self.untold(cell.month):
                    return found
                return Figure(None, None, found.denominator, found.n)

            return otherwise

        size = _median_size if self.truth.ways["sales.deal_size"] == "median" else _mean_size
        return {
            "win_rate": number(self.rated, told(_by_count)),
            "win_rate_value": number(self.rated, told(_by_value)),
            "avg_deal_size": number(self.sized, size),
        }


def _by_count(cell: Cell) -> Figure:
    return ratio(sum(closed.won for closed in cell.rows), len(cell.rows), len(cell.rows))


def _by_value(cell: Cell) -> Figure:
    won = sum(closed.arr for closed in cell.rows if closed.won)
    return ratio(won, sum(closed.arr for closed in cell.rows), len(cell.rows))


def _mean_size(cell: Cell) -> Figure:
    return ratio(sum(closed.size for closed in cell.rows), len(cell.rows), len(cell.rows))


def _median_size(cell: Cell) -> Figure:
    """Of no quotient."""
    sizes = [Fraction(closed.size) for closed in cell.rows]
    return Figure(median(sizes) if sizes else None, n=len(sizes))
