"""What a KPI is: a definition, the fields it stands on, and one function over the company's facts.

A KPI is a module ``metrics.kpis.<id>`` with one frozen constant ``KPI: Kpi``. Its docstring is its
documentation: meaning, formula, exclusions, unit, source. ``compute`` works on all requested months at
once, in columns; ``evidence`` opens the records behind one number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

import polars as pl

from metrics.alternatives import Alternative
from metrics.facts import Facts
from metrics.kpi_ids import Unit as Unit
from metrics.words import CUTS as CUTS
from pipeline.company import Company

Status = Literal[
    "on_target", "watch", "off_target", "no_target", "unreliable", "low_sample", "not_computable"
]

# What `compute` returns: one row per requested month and segment. Money is in minor units of the report's
# currency (exact as float up to 2**53); `value` null means undefined, and `reason` then says why.
MEASURE: Final = pl.Schema(
    {
        "month": pl.String,  # YYYY-MM: the month asked for
        "segment": pl.String,  # null: the whole company; "unknown" is a bucket of its own
        "value": pl.Float64,
        "numerator": pl.Float64,
        "denominator": pl.Float64,
        "n": pl.Int64,  # records or customers behind it
        "reason": pl.String,
    }
)

# What `evidence` returns. `contribution` is in the unit of the numerator.
EVIDENCE: Final = pl.Schema(
    {
        "object": pl.String,
        "external_id": pl.String,
        "name": pl.String,
        "contribution": pl.Float64,
        "note": pl.String,
    }
)


class Opens(Protocol):
    """Opens the records behind a KPI's value of a month, as ``EVIDENCE``.

    With a ``cut`` (one of the KPI's) also ``segment``: to which segment's value each record belongs. A record that
    stands in several (a contract of two products) has a row in each, with its part there.
    """

    def __call__(self, facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Kpi:
    """One KPI.

    ``period``: what the value of month M covers: the month, its fiscal quarter to date, the three months ending with M,
    the fiscal quarter and the (three) before it, or twelve months.
    ``quarters``: how many a value of trailing quarters covers.
    ``requires``: (table, column) pairs that must be filled for the number to be trusted.
    ``reads``: tables without a past (``pipeline.unkept``) that its values are made of, beside the names of owners.
    ``definition``: id and version of the formula, printed beside each number.
    ``counted``: whether n is a sample; below the company's ``low_sample`` the value is then marked (R14).
    ``cuts``: the ways this number can be cut; by any other ``compute`` returns no rows.
    ``parts``: the units of numerator and denominator.
    ``alternatives``: the ways to make it that are a company's choice, with the setting of each.
    ``configured``: the KPI as a company's settings make it, where they change its period or definition.
    ``inputs``: the kinds of input files that it asks for, where the company's settings have it read them.
    ``stands_on``: the deals behind the number, over which the filling of ``requires`` is measured: columns month and
    external_id, or, where a deal stands behind the numbers of many months, deal (its row in ``Facts.deals``) and a run
    of months (see ``metrics.runs``). None where trust in single deals is not the question.
    """

    id: str
    title: str
    unit: Unit
    higher_is_better: bool | None
    period: Literal["month", "quarter", "trailing_quarter", "trailing_quarters", "trailing_year"]
    definition: str
    requires: tuple[tuple[str, str], ...]
    compute: Callable[[Facts, str | None], pl.LazyFrame] = field(repr=False)
    evidence: Opens = field(repr=False)
    reads: tuple[str, ...] = ()
    quarters: int = 4
    counted: bool = False
    parts: tuple[Unit | None, Unit | None] = ("count", "count")
    cuts: tuple[str, ...] = CUTS
    inputs: tuple[str, ...] = ()
    stands_on: Callable[[Facts], pl.DataFrame] | None = field(default=None, repr=False)
    alternatives: tuple[Alternative, ...] = field(default=(), repr=False)
    configured: Callable[[Kpi, Company], Kpi] | None = field(default=None, repr=False)

    def under(self, company: Company) -> Kpi:
        """This KPI as the company's settings make it."""
        return self.configured(self, company) if self.configured else self


@dataclass(frozen=True, slots=True)
class KpiValue:
    """One printed number. Money stays in minor units here; ``as_json`` writes major units.

    With slots, and a segment that the values of it share: a large company has hundreds of thousands.
    """

    id: str
    title: str
    period: str  # "2026-05", "2026-Q2" (fiscal), "2025-06..2026-05"
    month: str
    value: int | float | None
    unit: Unit
    numerator: int | float | None
    denominator: int | float | None
    n: int | None
    segment: Mapping[str, str]  # {} for the whole company, {"size": "SMB"} for a cut
    status: Status
    target: str | None
    reasons: tuple[str, ...]
    definition: str
    known_at: datetime
    currency: str
    parts: tuple[Unit | None, Unit | None] = ("count", "count")  # units of numerator and denominator
    verdict: str | None = None  # the sentence that says why the status is what it is, where a target speaks
