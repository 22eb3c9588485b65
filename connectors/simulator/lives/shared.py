"""What belongs to the whole company: its people, price list, exchange rates and quotas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from connectors.simulator.lives.days import Days
from connectors.simulator.lives.verticals import Vertical
from connectors.simulator.names import FIRST_NAMES, LAST_NAMES
from connectors.simulator.world import Event, Life

# Units of USD for one unit. Only powers of two and five: both they and their inverses end after few decimals.
RATES = {
    "EUR": ("1.024", "1", "1.024", "1.25", "1.28", "1.25"),
    "GBP": ("1.25", "1.28", "1.31072", "1.28", "1.25", "1.6"),
}
FIRST_RATE = {"EUR": "1.024", "GBP": "1.28"}


@dataclass(frozen=True)
class Person:
    """A user of the CRM. Days count from the company's first."""

    key: int
    first_name: str
    last_name: str
    seller: bool
    manager: int | None
    hired: int
    left: int | None


class Staff:
    """Everyone who owns records, and who owns a given account on a given day."""

    def __init__(self, people: list[Person]) -> None:
        self.people = people
        self._sellers = [p for p in people if p.seller]

    def seller(self, day: int, u: float) -> Person:
        """One of the sellers employed on that day, chosen by ``u`` (0..1)."""
        here = [p for p in self._sellers if p.hired <= day and (p.left is None or p.left > day)]
        return here[int(u * len(here))]

    def sellers(self, day: int) -> list[Person]:
        return [p for p in self._sellers if p.hired <= day and (p.left is None or p.left > day)]


def hire(seed: int, vertical: Vertical, days: Days, accounts: int) -> Staff:
    """Managers and sellers; some are hired later, some leave, the first seller always stays."""
    rng = Random(f"{seed}/{vertical.key}/staff")
    sellers = min(60, 9 + accounts // 150)
    people = []
    for n in range(sellers + 3):
        seller = n >= 3
        hired = 0 if n < 7 else int(rng.random() * days.history * 0.6)
        left = None
        if n in (5, 6) or (n > 9 and n % 4 == 0):
            left = int(hired + (days.horizon - hired) * (0.35 + 0.5 * rng.random()))
        elif n == 8:  # one leaves after the end of history
            left = days.history + (days.horizon - days.history) // 2
        first = FIRST_NAMES[(n * 37 + seed * 11) % len(FIRST_NAMES)]
        last = LAST_NAMES[(n * 53 + seed * 7) % len(LAST_NAMES)]
        manager = None if n == 0 else 1 if n < 3 else 2 + n % 2
        people.append(Person(n + 1, first, last, seller, manager, hired, left))
    return Staff(people)


def user_lives(staff: Staff, days: Days, domain: str) -> Iterator[Life]:
    """Users; leaving sets them inactive in the evening of their last day."""
    for p in staff.people:
        email = f"{p.first_name}.{p.last_name}{p.key}@{domain}".lower()
        values = {
            "name": f"{p.first_name} {p.last_name}",
            "first_name": p.first_name,
            "last_name": p.last_name,
            "email": email,
            "active": True,
            "manager": p.manager,
        }
        # The later a key, the later its record: a manager exists before those who report to them.
        events = [Event(days.midnight[p.hired] + 6 * 3600 + p.key, "create", values)]
        if p.left is not None:
            events.append(Event(days.midnight[p.left] + 18 * 3600, "set", {"active": False}))
        yield Life("user", p.key, tuple(events))


def product_lives(vertical: Vertical, days: Days) -> Iterator[Life]:
    for key, product in enumerate(vertical.products, 1):
        values = {"name": product.name, "family": product.family, "kind": product.kind}
        yield Life("product", key, (Event(days.midnight[0] + 6 * 3600 + key, "create", values),))


def rate_lives(days: Days, seed: int) -> Iterator[Life]:
    """Rates in force from the company's first day and from the start of each later calendar quarter."""
    key = 0
    quarters = [first for first, _ in quarter_days(days) if first > 0]
    for currency, values in RATES.items():
        for n, day in enumerate([0, *quarters]):
            key += 1
            rate = FIRST_RATE[currency] if n == 0 else values[(n + seed) % len(values)]
            record = {"currency": currency, "start_date": days.iso[day], "rate": rate}
            yield Life("rate", key, (Event(days.midnight[day] + 5 * 3600 + key % 600, "create", record),))


def quarter_days(days: Days) -> Iterator[tuple[int, int]]:
    """First and last day of every calendar quarter that begins on or after the company's first day."""
    for month, first in enumerate(days.first_of):
        if 0 <= first < days.horizon and days.calendar_month[first] % 3 == 1:
            yield first, days.first_of[month + 3] - 1


def quota_lives(vertical: Vertical, staff: Staff, days: Days, accounts: int) -> Iterator[Life]:
    """One quota for the whole company in the first year, one per seller afterwards; set two weeks ahead."""
    key = 0
    for first, last in quarter_days(days):
        share = 0.12 + 0.88 * min(1.0, last / days.history)
        total = vertical.quota * accounts / 300 * share
        owners: list[Person | None] = [None]
        if days.month[first] >= 12:
            owners = list(staff.sellers(first))
        each = max(1, round(total / len(owners) / 1000)) * 100_000
        for owner in owners:
            key += 1
            created = days.midnight[max(0, first - 14, owner.hired if owner else 0)] + 9 * 3600
            currency = "EUR" if owner is not None and owner.key % 7 == 5 else "USD"
            values = {
                "owner": owner.key if owner else None,
                "start_date": days.iso[first],
                "amount": each,
                "currency": currency,
            }
            yield Life("quota", key, (Event(created + key, "create", values),))
