"""What a diagnosis is given, and what it gives back.

A diagnosis is a module ``metrics.diagnosis.<name>`` with one frozen constant ``DIAGNOSIS: Diagnosis``; its docstring
is its documentation. ``find`` is a pure function over the case: the cause in words, its parts, and the records behind
it. When it is called for, and what to do next, is the playbook's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from connectors.registry import units
from metrics import compute
from metrics.facts import Facts
from metrics.finding import CausePart
from metrics.kpi import EVIDENCE, KpiValue, Unit
from metrics.period import shift
from metrics.playbook import Playbook
from metrics.playbook_parts import Call
from metrics.render import numbers


@dataclass(frozen=True)
class Case:
    """One KPI of one month that a playbook calls to look at."""

    facts: Facts
    month: str
    value: KpiValue
    call: Call
    playbook: Playbook

    @property
    def day(self) -> date:
        """D of the month."""
        return self.facts.calendar.day(self.month)

    @property
    def period(self) -> Mapping[str, Any]:
        """The month's row of ``Facts.periods``."""
        return self.facts.periods.row(by_predicate=pl.col("month") == self.month, named=True)

    def option(self, name: str) -> float:
        """An option of the diagnosis, as the call gives it or as it is by default."""
        default = units("metrics.diagnosis", "DIAGNOSIS")[self.call.rule].options[name]
        return self.call.options.get(name, float(default))

    def number(self, kpi: str, months_before: int = 0) -> float | None:
        """A number of the whole company; None where it is not known."""
        return compute.raw_value(self.facts, kpi, None, shift(self.month, -months_before), None)

    def by(self, kpi: str, cut: str) -> list[KpiValue]:
        """A KPI's segments in this month; nothing where it is not there or cannot be cut so."""
        known = compute.registered().get(kpi)
        if known is None or cut not in known.cuts:
            return []
        return [value for value in compute.compute(self.facts, [kpi], (cut,)) if value.month == self.month]

    def deals_behind(self) -> pl.DataFrame:
        """The evidence of the KPI: the records that contribute to it."""
        return self.evidence().filter(pl.col("contribution") != 0)

    def evidence(self, months_before: int = 0) -> pl.DataFrame:
        """The records behind the number, or behind that of its segment, in schema ``EVIDENCE``."""
        kpi, month = compute.registered()[self.value.id], shift(self.month, -months_before)
        cut, segment = next(iter(self.value.segment.items()), (None, None))
        rows = compute.evidence(self.facts, kpi, month, cut)
        return rows if cut is None else rows.filter(segment=segment).drop("segment")

    def earlier(self, months_before: int) -> float | None:
        """The number itself, of its own segment, some months before; None where it is not known."""
        cut, segment = next(iter(self.value.segment.items()), (None, None))
        month = shift(self.month, -months_before)
        return compute.raw_value(self.facts, self.value.id, cut, month, segment)

    def of_month(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a frame that are this month's."""
        return frame.filter(pl.col("month") == self.month)

    def named_size(self, segment: str) -> pl.Expr:
        """Whether the column ``size`` names the playbook's segment."""
        found = self.playbook.segments.get(segment)
        names = [name.lower() for name in found.names] if found and found.cut == "size" else []
        return pl.col("size").str.strip_chars().str.to_lowercase().is_in(names).fill_null(value=False)

    def in_segment(self, cut: str = "size") -> pl.Expr:
        """Whether a row with that cut's column belongs to what the case is about: all, or the value's segment."""
        wanted = self.value.segment.get(cut)
        return pl.lit(value=True) if wanted is None else (pl.col(cut) == wanted).fill_null(value=False)

    def money(self, minor: float | None) -> str:
        """An amount as a sentence has it."""
        return numbers.money_short(minor or 0, self.facts.currency)


@dataclass(frozen=True)
class Cause:
    """``words`` end the sentence of the finding. ``records``: in schema ``EVIDENCE``; ``unit``: of their contribution.

    The largest contributions are printed first, unless the records are ``ordered`` already.
    """

    words: str
    parts: tuple[CausePart, ...] = ()
    records: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EVIDENCE))
    unit: Unit = "count"
    ordered: bool = False


@dataclass(frozen=True)
class Diagnosis:
    """One diagnosis. ``find`` gives None where the records show nothing that is worth a sentence.

    ``options``: the numbers that a call may give it, with what they are where it does not.
    """

    id: str
    title: str
    find: Callable[[Case], Cause | None] = field(repr=False)
    options: Mapping[str, float] = field(default_factory=dict)


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 deal``, ``4 deals``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """A share in per cent."""
    return numbers.percent(part / whole, 0) if whole else "none"
