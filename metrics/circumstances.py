"""What a playbook may ask about a company beside its KPIs: how large it is, how far the engagement has come, its scope.

Each is one number per month; None where it is not known, and then no condition on it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from metrics import recurring
from metrics.facts import Facts
from metrics.period import month_last, shift

_DAYS_OF_A_MONTH: Final = 365 / 12
COMPOUND_MONTHS: Final = 3  # of the growth rate of an early stage (definition book, section 2)

ByMonth = Mapping[str, float | None]


def value(facts: Facts, name: str, month: str) -> float | None:
    """A circumstance by its name (``metrics.playbook_parts.CIRCUMSTANCES``) at a month of the facts."""
    return facts.once(_MEASURES[name]).get(month)


def company_arr(facts: Facts) -> ByMonth:
    """ARR of the whole company at D, minor units of the report's currency."""
    return _column(facts, "value")


def paying_customers(facts: Facts) -> ByMonth:
    """Customers with ARR at D."""
    known = company_arr(facts)
    return {month: n for month, n in _column(facts, "n").items() if known[month] is not None}


def _column(facts: Facts, name: str) -> ByMonth:
    return dict(recurring.stock(facts, None).select("month", name).collect().iter_rows())


def arr_growth_compound(facts: Facts) -> ByMonth:
    """Monthly growth of ARR, compounded over three months: (ARR at D / ARR three month-ends before)^(1/3) - 1.

    Both at the rate of D. None where there was no ARR three months before.
    """
    now = company_arr(facts)
    days = facts.periods.select(
        "month", "day", then=pl.Series([month_last(shift(month, -COMPOUND_MONTHS)) for month in facts.months])
    )
    live = days.join(facts.arr_rows.select("start", "end", "arr", "currency"), how="cross").filter(
        (pl.col("start") <= pl.col("then")) & (pl.col("then") < pl.col("end"))
    )
    valued = facts.rates.convert(live, "arr", "day", "value")
    before = dict(valued.group_by("month").agg(pl.col("value").sum()).iter_rows())
    return {month: _compound(now[month], before.get(month)) for month in facts.months}


def _compound(now: float | None, then: float | None) -> float | None:
    if now is None or then is None or then <= 0:
        return None
    return float((now / then) ** (1 / COMPOUND_MONTHS)) - 1


def engagement_days(facts: Facts) -> Mapping[str, int | None]:
    """Days since the engagement began, up to D: 0 on its first day, negative before it."""
    start = facts.company.engagement_start
    return {
        month: None if start is None else (facts.calendar.day(month) - start).days for month in facts.months
    }


def engagement_months(facts: Facts) -> ByMonth:
    """Months of 365/12 days of the engagement that have passed by the end of D."""
    return {
        month: None if days is None else (days + 1) / _DAYS_OF_A_MONTH
        for month, days in engagement_days(facts).items()
    }


def _always(read: Callable[[Facts], float | None]) -> Callable[[Facts], ByMonth]:
    """The same in every month."""
    return lambda facts: dict.fromkeys(facts.months, read(facts))


_MEASURES: Final[Mapping[str, Callable[[Facts], ByMonth]]] = {
    "company_arr": company_arr,
    "paying_customers": paying_customers,
    "arr_growth_compound": arr_growth_compound,
    "sales_team": _always(lambda facts: facts.company.engagement.sales_team),
    "engagement_months": engagement_months,
    "full_gtm": _always(lambda facts: float(facts.company.engagement.scope == "full_gtm")),
    "founder_led": _always(lambda facts: float(facts.company.engagement.founder_led)),
    "partner_led": _always(lambda facts: float(facts.company.engagement.partner_led)),
}
