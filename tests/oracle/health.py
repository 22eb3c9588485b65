"""The health of customers, one by one, from rows of usage, tickets and surveys (section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracle.record import Truth
from tests.oracle.revenue import Revenue

SEVERE = {"high", "urgent", "critical"}


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


class Health:
    """Scores of one company's customers as known at the truth's moment."""

    def __init__(self, truth: Truth, lives: Lives) -> None:
        self.truth, self.lives = truth, lives
        self.revenue = Revenue(truth)
        accounts = {row.account for rows in (lives.usage, lives.tickets, lives.surveys) for row in rows}
        self.accounts: dict[int, set[int]] = {}
        for account in accounts:
            customer = truth.customer(account)
            if customer is not None:
                self.accounts.setdefault(customer, set()).add(account)

    def of_month(self, month: str) -> tuple[Fraction, int, dict[str, int]]:
        """(sum of scores, customers with one, ARR by band)."""
        on = self.truth.day_of(month)
        total, scored = Fraction(0), 0
        bands = dict.fromkeys(("red", "amber", "green", "unknown"), 0)
        for customer, arr in self.revenue.by_customer(on, on).items():
            if arr <= 0:
                continue
            score = self.score(customer, on)
            if score is None:
                bands["unknown"] += arr
                continue
            total, scored = total + score, scored + 1
            bands["red" if score < 40 else "amber" if score < 70 else "green"] += arr
        return total, scored, bands

    def score(self, customer: int, on: date) -> Fraction | None:
        accounts = self.accounts.get(customer, set())
        parts = [
            (50, self._usage(accounts, on)),
            (25, self._tickets(accounts, on)),
            (25, self._nps(accounts, on)),
        ]
        there = [(weight, part) for weight, part in parts if part is not None]
        weight = sum(weight for weight, _ in there)
        if weight < 50:
            return None
        return sum((weight * part for weight, part in there), Fraction(0)) / weight

    def _usage(self, accounts: set[int], on: date) -> Fraction | None:
        """Whole weeks that had ended, the last four of them."""
        sunday = on - timedelta(days=(on.weekday() + 1) % 7)
        weeks = {sunday - timedelta(days=6 + 7 * back) for back in range(4)}
        rows = [row for row in self.lives.usage if row.account in accounts and row.week in weeks]
        licensed = sum(row.licensed for row in rows)
        return (
            min(Fraction(100), Fraction(100 * sum(row.active for row in rows), licensed))
            if licensed
            else None
        )

    def _tickets(self, accounts: set[int], on: date) -> Fraction | None:
        if on < min(ticket.opened for ticket in self.lives.tickets):
            return None
        counted = [
            ticket
            for ticket in self.lives.tickets
            if ticket.account in accounts
            and ticket.opened <= on
            and (ticket.closed is None or ticket.closed > on)
            and (ticket.severity in SEVERE or on - ticket.opened > timedelta(days=30))
        ]
        return Fraction(max(0, 100 - 10 * len(counted)))

    def _nps(self, accounts: set[int], on: date) -> Fraction | None:
        latest = []
        for account in accounts:
            rows = [
                row
                for row in self.lives.surveys
                if row.account == account and on - timedelta(days=180) <= row.day <= on
            ]
            if rows:
                latest.append(max(rows, key=lambda row: row.day).score)
        return Fraction(sum(latest) + 100 * len(latest), 2 * len(latest)) if latest else None
