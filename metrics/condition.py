"""What a playbook compares a number with: bounds as they are written, and conditions on other numbers.

Bounds are strict as they are named: ``below`` <, ``at_most`` <=, ``above`` >, ``at_least`` >=. A bound is a number,
a share (``105%``; without the sign below 2 only, for 105 could be either), a length of time in days (``30 days``,
``1 week``, ``9 months`` of 365/12 days each) or an amount (``$100K``, ``EUR 5M``), which is converted into the currency
of the number it is compared with; each only of a number in that unit. What differs from its bound in the tenth digit
lies on it: a quotient of exact amounts ends in the rounding of the machine.

``rising_over`` and ``falling_over`` compare a number with itself so many months before; with ``mature_days`` both are
of months that had been over for so long, for a cohort that still fills up proves nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from metrics.kpi import Unit
from metrics.render import numbers

_DAYS: Final = {"day": 1.0, "week": 7.0, "month": 365 / 12, "year": 365.0}
_TIME: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(day|week|month|year)s?$")
_MONEY: Final = re.compile(r"^(?:(\$)|([A-Z]{3})\s*)(\d+(?:\.\d+)?)\s*([KMB]?)$")
_SCALE: Final = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}


Kind = Literal["number", "share", "time", "money"]


@dataclass(frozen=True)
class Quantity:
    """One bound. ``currency`` None: a plain number; else ``value`` is in its major units. ``text``: as it was written
    where that says more than the number does. ``kind``: what it was written as."""

    value: float
    currency: str | None = None
    text: str | None = None
    kind: Kind = "number"

    @property
    def written(self) -> str:
        """As it stands in the playbook, or as good as that."""
        return (
            self.text or f"{self.value * 100:.10g}%"
            if self.kind == "share"
            else self.text or f"{self.value:.10g}"
        )

    def words(self, unit: Unit, currency: str) -> str:
        """As a sentence names it."""
        if self.text is not None:
            return self.text
        return numbers.quantity(self.value, unit, currency, (self.value,))


def _quantity(value: Any) -> Any:
    if isinstance(value, Quantity) or value is None:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Quantity(float(value))
    text = value.strip() if isinstance(value, str) else ""
    if text.endswith("%"):
        return Quantity(_share(text) / 100, kind="share")
    if found := _TIME.match(text):
        return Quantity(float(found[1]) * _DAYS[found[2]], text=text, kind="time")
    if found := _MONEY.match(text):
        return Quantity(float(found[3]) * _SCALE[found[4]], found[2] or "USD", text, "money")
    raise ValueError(f"{value!r} is no bound; write 3, 105%, 9 months or $100K")


def _share(text: str) -> float:
    try:
        return float(text[:-1])
    except ValueError as error:
        raise ValueError(f"{text!r} is not a percentage") from error


def _written(bound: Quantity | None) -> Any:
    return None if bound is None else bound.text or bound.value


def same(one: float, other: float) -> bool:
    """Whether two numbers differ by no more than the machine's rounding."""
    return math.isclose(one, other, rel_tol=1e-10, abs_tol=1e-12)


Bound = Annotated[Quantity, BeforeValidator(_quantity), PlainSerializer(_written)]
Months = Annotated[int, Field(ge=1, le=12)]


class Part(BaseModel):
    """Base of every part of a playbook: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Subject:
    """A number as a condition sees it.

    ``before``: the same number so many months before, None where it is not known. ``money``: an amount in the unit of
    this number, None where its currency has no rate. ``settled``: how many months before the last month lies that has
    been over for so many days.
    """

    value: float | None
    before: Callable[[int], float | None]
    money: Callable[[Quantity], float | None]
    settled: Callable[[int], int] = lambda days: 0


class Comparison(Part):
    """Bounds that must all hold, and movements."""

    below: Bound | None = None
    at_most: Bound | None = None
    above: Bound | None = None
    at_least: Bound | None = None
    rising_over: Months | None = None  # months
    falling_over: Months | None = None
    not_rising_over: Months | None = None
    mature_days: Annotated[int, Field(ge=1, le=366)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Comparison:
        if self._needs_a_bound() and not self.bounded:
            raise ValueError(
                "at least one of below, at_most, above, at_least, rising_over, falling_over, not_rising_over is needed"
            )
        return self

    def _needs_a_bound(self) -> bool:
        return True

    @property
    def bounded(self) -> bool:
        return bool(self.bounds) or any(self.moves)

    @property
    def bounds(self) -> tuple[tuple[str, Quantity], ...]:
        """(name, bound) of those given, in the order below, at_most, above, at_least."""
        given = ((name, getattr(self, name)) for name in ("below", "at_most", "above", "at_least"))
        return tuple((name, bound) for name, bound in given if bound is not None)

    @property
    def moves(self) -> tuple[int | None, int | None, int | None]:
        return self.rising_over, self.falling_over, self.not_rising_over

    @property
    def looks_back(self) -> tuple[int, ...]:
        """The months before that it may compare with."""
        ends = {0}
        if self.mature_days is not None and any(self.moves):
            # The last month that has been over for 90 days ended up to 4 months before the one in question.
            ends |= set(range(self.mature_days // 31, -(-self.mature_days // 28) + 1))
        return tuple(sorted((ends - {0}) | {end + months for end in ends for months in self.moves if months}))

    def holds(self, subject: Subject) -> bool:
        """Whether the number is there and all of it holds."""
        value = subject.value
        if value is None:
            return False
        return all(self._within(value, name, bound, subject) for name, bound in self.bounds) and all(
            self._moved(name, months, subject)
            for name, months in zip(("rising", "falling", "not rising"), self.moves, strict=True)
            if months
        )

    def holds_or_free(self, subject: Subject) -> bool:
        """The same; a comparison that says nothing of the number itself (it has other conditions) holds."""
        return not self.bounded or self.holds(subject)

    @staticmethod
    def _within(value: float, name: str, bound: Quantity, subject: Subject) -> bool:
        limit = bound.value if bound.currency is None else subject.money(bound)
        if limit is None:
            return False
        on_it = same(value, limit)
        return {
            "below": value < limit and not on_it,
            "at_most": value <= limit or on_it,
            "above": value > limit and not on_it,
            "at_least": value >= limit or on_it,
        }[name]

    def _moved(self, name: str, months: int, subject: Subject) -> bool:
        end = 0 if self.mature_days is None else subject.settled(self.mature_days)
        value = subject.value if end == 0 else subject.before(end)
        before = subject.before(end + months)
        if value is None or before is None:
            return False
        stayed = same(value, before)
        return {
            "rising": value > before and not stayed,
            "falling": value < before and not stayed,
            "not rising": value <= before or stayed,
        }[name]

    def words(self, unit: Unit, currency: str) -> str:
        """``below 20%``, ``above 9 months``, ``not above what it was 6 months before``."""
        parts = [f"{name.replace('_', ' ')} {bound.words(unit, currency)}" for name, bound in self.bounds]
        for word, months in zip(("above", "below", "not above"), self.moves, strict=True):
            if months:
                parts.append(f"{word} what it was {months} months before{self._in_mature_months()}")
        return " and ".join(parts)

    def _in_mature_months(self) -> str:
        return "" if self.mature_days is None else f" (of months over for {self.mature_days} days)"


When = Mapping[str, Comparison]  # measure -> what must hold of it


def all_hold(when: When, subject: Callable[[str], Subject]) -> bool:
    """Whether every condition holds; an empty one always does."""
    return all(test.holds(subject(name)) for name, test in when.items())


def looks_back(when: When) -> set[int]:
    """The months before that the conditions compare with."""
    return {months for test in when.values() for months in test.looks_back}
