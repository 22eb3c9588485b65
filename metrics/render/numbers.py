"""How numbers are written for people: one way for all three forms of the report.

Money comes in minor units, ratios as fractions of one. Nothing here computes; an undefined number has no
text, so callers print its reason instead. A rounded number never appears to have reached a threshold that the exact one
missed: pass the thresholds as ``edges`` and more digits are printed where rounding would hide the difference.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from connectors.schema import exponent
from metrics.currency import symbol
from metrics.kpi import KpiValue, Unit

_SCALES: Final = ((Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "K"))
_MOST_DIGITS: Final = 8
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def major(minor: float, currency: str) -> Decimal:
    """Minor units -> exact decimal amount: 123456 USD -> 1234.56."""
    return Decimal(repr(minor) if isinstance(minor, float) else minor).scaleb(-exponent(currency))


def money(minor: float, currency: str) -> str:
    """Exact: ``$4,213,450.00``, ``-CHF 12.50``, ``¥1,200``."""
    amount = major(minor, currency)
    return _signed(amount, currency, f"{_rounded(abs(amount), exponent(currency)):,}")


def money_short(minor: float, currency: str) -> str:
    """Short: ``$4.21M``, ``$950K``, ``-€1.2K``, ``$12``. Three significant digits, half-even."""
    amount = major(minor, currency)
    size = abs(amount)
    for scale, letter in _SCALES:
        scaled = size / scale
        if _rounded(scaled, 3) >= 1:  # 999,999 is $1.00M, not $1000K
            return _signed(amount, currency, f"{_three(scaled)}{letter}")
    return _signed(amount, currency, f"{_rounded(size, 0)}")


def percent(ratio: float, digits: int = 1, edges: Collection[float] = ()) -> str:
    """``0.85`` -> ``85.0%``."""
    exact = Decimal(repr(float(ratio))) * 100
    return f"{_unhidden(exact, digits, [Decimal(repr(float(edge))) * 100 for edge in edges])}%"


def change(now: float | None, before: float | None, unit: Unit, currency: str) -> str | None:
    """The difference in words: money and counts in per cent of the earlier value, ratios in points.

    None where either is undefined, or where a percentage of the earlier value would mean nothing.
    """
    if now is None or before is None:
        return None
    if unit == "ratio":
        points = _rounded((Decimal(repr(float(now))) - Decimal(repr(float(before)))) * 100, 1)
        return f"{points:+} pts"
    if unit == "multiple":
        return f"{_rounded(Decimal(repr(float(now))) - Decimal(repr(float(before))), 2):+}×"
    if before <= 0:
        return None
    return f"{_rounded((Decimal(repr(float(now))) / Decimal(repr(float(before))) - 1) * 100, 1):+}%"


def quantity(
    value: float, unit: Unit, currency: str, edges: Collection[float] = (), exact: bool = False
) -> str:
    """A number in its unit: ``$4.21M``, ``97.1%``, ``2.25×``, ``103 days``, ``20.0 months``, ``1,204``; days
    weighed by amounts are ``$4.21M × days``."""
    if unit == "currency":
        return money(value, currency) if exact else money_short(value, currency)
    if unit == "currency_days":
        return f"{money(value, currency) if exact else money_short(value, currency)} × days"
    if unit == "ratio":
        return percent(value, 4 if exact else 1, edges)
    number = Decimal(repr(float(value)))
    limits = [Decimal(repr(float(edge))) for edge in edges]
    if unit == "multiple":
        return f"{_unhidden(number, 2, limits)}×"
    if unit == "count":
        return f"{_plain(number):,}"
    if unit == "points":
        return f"{_unhidden(number, 1, limits)}"
    text = _unhidden(number, 1, limits) if number != number.to_integral_value() else f"{int(number):,}"
    return f"{text} {unit[:-1] if number == 1 else unit}"


def value_text(value: KpiValue, edges: Collection[float] = (), exact: bool = False) -> str | None:
    """The number of a KPI as text; None when it is undefined."""
    if value.value is None:
        return None
    return quantity(value.value, value.unit, value.currency, edges, exact)


def undefined_text(value: KpiValue) -> str:
    """What stands where a number cannot."""
    return f"not computable: {'; '.join(value.reasons) or 'no reason was recorded'}"


def month_name(month: str) -> str:
    """``2026-05`` -> ``May 2026``."""
    year, number = month.split("-")
    return f"{MONTHS[int(number) - 1]} {year}"


def month_short(month: str) -> str:
    """``2026-05`` -> ``May 26``."""
    year, number = month.split("-")
    return f"{MONTHS[int(number) - 1][:3]} {year[2:]}"


def day(moment: date) -> str:
    """``31 May 2026``."""
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def instant(moment: datetime) -> str:
    """``1 June 2026, 08:00 UTC``. A moment without a zone is read as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    zone = aware.tzname() or "UTC"
    return f"{day(aware)}, {aware:%H:%M} {zone}"


def _rounded(number: Decimal, digits: int) -> Decimal:
    rounded = number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)
    return abs(rounded) if rounded.is_zero() else rounded  # never "-0.0"


def _three(number: Decimal) -> Decimal:
    """Three significant digits for 1 <= number < 1000; none after the point of a whole number."""
    if number == number.to_integral_value():
        return number.to_integral_value()
    digits = 2 if _rounded(number, 2) < 10 else 1 if _rounded(number, 1) < 100 else 0
    return _rounded(number, digits)


def _unhidden(number: Decimal, digits: int, edges: Collection[Decimal]) -> str:
    """Rounded to ``digits``, with as many more as it takes not to land on an edge that is not met exactly."""
    while digits < _MOST_DIGITS and any(_rounded(number, digits) == edge != number for edge in edges):
        digits += 1
    return f"{_rounded(number, digits):,}"


def _plain(number: Decimal) -> Decimal | int:
    return int(number) if number == number.to_integral_value() else number


def _signed(amount: Decimal, currency: str, digits: str) -> str:
    sign = "-" if amount < 0 and any(letter in "123456789" for letter in digits) else ""
    return f"{sign}{symbol(currency)}{digits}"
