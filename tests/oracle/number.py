"""A number as the book makes it: what it counts in a month, where each of these lies, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.oracle.segments import UNKNOWN

Amount = int | float | Fraction


@dataclass(frozen=True)
class Figure:
    """One printed number; what is undefined is None."""

    value: Amount | None
    numerator: Amount | None = None
    denominator: Amount | None = None
    n: int | None = None


@dataclass(frozen=True)
class Cell:
    """What one segment counts in a month; ``segment`` None: the whole company."""

    month: str
    cut: str | None
    segment: str | None
    rows: Sequence[Any]
    weighed: int = 0  # the sum of the weights in whole minor units


@dataclass(frozen=True)
class Number:
    """How a KPI is made.

    ``rows``: what it counts in a month. ``segment``: where a row lies. ``figure``: what the rows of a segment come to.
    ``weight``: of numbers whose rows are weighed with probabilities, what each brings. ``against``: further rows, which
    are there only for one way to cut it. ``adding``: of money whose exact value is a quotient, the ways to cut it whose
    segments make the whole; None: the value is no such money.
    """

    rows: Callable[[str], Sequence[Any]]
    segment: Callable[[str, Any], str]
    figure: Callable[[Cell], Figure]
    cuts: tuple[str, ...]
    weight: Callable[[Any], Amount] | None = None
    against: Callable[[str, str | None], Sequence[Any]] | None = None
    adding: Sequence[str | None] | None = None
    _of_month: dict[str, Sequence[Any]] = field(default_factory=dict)

    def whole(self, month: str) -> Figure:
        return self.table((month,), None)[month, None]

    def table(self, months: Sequence[str], cut: str | None) -> dict[tuple[str, str | None], Figure]:
        """Month and segment -> figure: in every month each segment that occurs in any, and always ``unknown``."""
        parts: dict[tuple[str, str | None], list[Any]] = {}
        segments: set[str | None] = {None if cut is None else UNKNOWN}
        for month in months:
            for row in self._rows(month, cut):
                segment = None if cut is None else self.segment(cut, row)
                segments.add(segment)
                parts.setdefault((month, segment), []).append(row)
        ordered = sorted(segments, key=str)
        found: dict[tuple[str, str | None], Figure] = {}
        for month in months:
            cells = [Cell(month, cut, segment, parts.get((month, segment), ())) for segment in ordered]
            figures = [self.figure(cell) for cell in self._weighed(cells)]
            found |= {
                (month, cell.segment): figure
                for cell, figure in zip(cells, self._in_cents(figures, cut), strict=True)
            }
        return found

    def _in_cents(self, figures: list[Figure], cut: str | None) -> list[Figure]:
        """Ruling 6: rounded once; the parts of a whole as ``_weighed`` does it, what makes no whole each of its own."""
        if self.adding is None:
            return figures
        exact, found = Fraction(0), []
        for figure in figures:
            before = exact if cut in self.adding else Fraction(0)
            exact = before + Fraction(figure.value or 0)
            cents = None if figure.value is None else round(exact) - round(before)
            found.append(Figure(cents, figure.numerator, figure.denominator, figure.n))
        return found

    def _rows(self, month: str, cut: str | None) -> Sequence[Any]:
        if month not in self._of_month:
            self._of_month[month] = self.rows(month)
        more = self.against(month, cut) if self.against else ()
        return [*self._of_month[month], *more]

    def _weighed(self, cells: list[Cell]) -> list[Cell]:
        """Ruling 6 and R15: the total is rounded, and the parts add up to it, each by less than a unit off its own.

        Segment by segment, in the order of their names, each is the step that the rounded sum of all so far takes.
        """
        if self.weight is None:
            return cells
        exact, before, found = Fraction(0), 0, []
        for cell in cells:
            exact += sum((Fraction(self.weight(row)) for row in cell.rows), Fraction(0))
            found.append(Cell(cell.month, cell.cut, cell.segment, cell.rows, round(exact) - before))
            before = round(exact)
        return found


def ratio(top: Amount, bottom: Amount, n: int | None) -> Figure:
    """R2: a denominator that is not above zero makes it undefined."""
    value = Fraction(top) / Fraction(bottom) if bottom > 0 else None
    return Figure(value, top, bottom, n)


def by_customer(rows: Iterable[Any], amount: Callable[[Any], int]) -> dict[int, int]:
    """Customer -> sum over the rows, which have one each."""
    sums: dict[int, int] = {}
    for row in rows:
        sums[row.customer] = sums.get(row.customer, 0) + amount(row)
    return sums
