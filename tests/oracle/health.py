"""The health of customers, one by one, from rows of usage, tickets and surveys (section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.number import Cell, Figure, Number, ratio
from tests.oracle.record import Truth
from tests.oracle.revenue import Revenue
from tests.oracle.segments import DEAL_CUTS, Segments


@dataclass
class Use:
    account: int
    week: date  # a Monday
    active: int
    licensed: int


@dataclass
class Ticket:
    account: int
    opened: date
    closed: date | None
    severity: str


@dataclass
class Survey:
    account: int
    day: date
    score: int


@dataclass
class Lives:
    """What the files say, by the world's accounts."""

    usage: Sequence[Use]
    tickets: Sequence[Ticket]
    surveys: Sequence[Survey]


@dataclass
class Scored:
    """A paying customer; ``score`` None: unknown."""

    customer: int
    arr: int
    score: Fraction | None


class Health:
    """Scores of one company's customers as known at the truth's moment."""

    def __init__(self, truth: Truth, lives: Lives, revenue: Revenue) -> None:
        self.truth, self.lives, self.revenue = truth, lives, revenue
        self.usage: dict[int | None, list[Use]] = {}
        self.tickets: dict[int | None, list[Ticket]] = {}
        self.surveys: dict[int | None, dict[int, list[Survey]]] = {}  # by account
        for use in lives.usage:
            self.usage.setdefault(truth.customer(use.account), []).append(use)
        for ticket in lives.tickets:
            self.tickets.setdefault(truth.customer(ticket.account), []).append(ticket)
        for survey in lives.surveys:
            mine = self.surveys.setdefault(truth.customer(survey.account), {})
            mine.setdefault(survey.account, []).append(survey)
        self.first_ticket = min((ticket.opened for ticket in lives.tickets), default=date.max)

    def paying(self, month: str) -> list[Scored]:
        """Everybody with ARR above nothing at D."""
        on = self.truth.day_of(month)
        return [
            Scored(customer, arr, self.score(customer, on))
            for customer, arr in self.revenue.by_customer(on, on).items()
            if arr > 0
        ]

    def bands(self, month: str) -> dict[str, int]:
        """ARR by health."""
        found = dict.fromkeys(("red", "amber", "green", "unknown"), 0)
        for row in self.paying(month):
            score = row.score
            found[self.band(score)] += row.arr
        return found

    def band(self, score: Fraction | None) -> str:
        red, green = self.truth.ways["health.red_below"], self.truth.ways["health.green_from"]
        if score is None:
            return "unknown"
        return "red" if score < red else "amber" if score < green else "green"

    def fallen(self, month: str) -> int:
        """Paying customers whose score lies so far below that of 30 days before that it is an alarm."""
        drop, on = Fraction(str(self.truth.ways["health.drop"])), self.truth.day_of(month)
        count = 0
        for row in self.paying(month):
            before = self.score(row.customer, on - timedelta(days=30))
            count += before is not None and row.score is not None and before - row.score >= drop
        return count

    def numbers(self, of: Segments) -> dict[str, Number]:
        return {
            "health_score": Number(
                self.paying,
                lambda cut, row: of.customer(cut, row.customer),
                _mean,
                DEAL_CUTS,
            )
        }

    def score(self, customer: int, on: date) -> Fraction | None:
        weights = [Fraction(str(self.truth.ways[f"health.{part}"])) for part in ("usage", "tickets", "nps")]
        parts = (self._usage(customer, on), self._tickets(customer, on), self._nps(customer, on))
        there = [(weight, part) for weight, part in zip(weights, parts, strict=True) if part is not None]
        weight = sum(weight for weight, _ in there)
        if not weight or weight < sum(weights) / 2:
            return None
        return sum((weight * part for weight, part in there), Fraction(0)) / weight

    def _usage(self, customer: int, on: date) -> Fraction | None:
        """Whole weeks that had ended, the last four of them."""
        sunday = on - timedelta(days=(on.weekday() + 1) % 7)
        weeks = {sunday - timedelta(days=6 + 7 * back) for back in range(4)}
        rows = [row for row in self.usage.get(customer, ()) if row.week in weeks]
        licensed = sum(row.licensed for row in rows)
        return (
            min(Fraction(100), Fraction(100 * sum(row.active for row in rows), licensed))
            if licensed
            else None
        )

    def _tickets(self, customer: int, on: date) -> Fraction | None:
        if on < self.first_ticket:
            return None
        severe = [word.strip().lower() for word in self.truth.ways["health.severe"]]
        old = timedelta(days=self.truth.ways["health.old_ticket_days"])
        counted = [
            ticket
            for ticket in self.tickets.get(customer, ())
            if ticket.opened <= on
            and (ticket.closed is None or ticket.closed > on)
            and (ticket.severity in severe or on - ticket.opened > old)
        ]
        return Fraction(max(0, 100 - 10 * len(counted)))

    def _nps(self, customer: int, on: date) -> Fraction | None:
        latest = []
        for surveys in self.surveys.get(customer, {}).values():
            rows = [row for row in surveys if on - timedelta(days=180) <= row.day <= on]
            if rows:
                latest.append(max(rows, key=lambda row: row.day).score)
        return Fraction(sum(latest) + 100 * len(latest), 2 * len(latest)) if latest else None


def _mean(cell: Cell) -> Figure:
    scores = [row.score for row in cell.rows if row.score is not None]
    return ratio(sum(scores, Fraction(0)), len(scores), len(scores))
