"""CSV files with what no CRM knows: the targets file, which also carries quotas.

``targets.csv`` has the columns period, segment, metric, value, source, as_of and optionally currency:

- period: a fiscal quarter ``2026-Q2`` (the fiscal year is the calendar year it ends in), a month ``2026-04`` or a
  day ``2026-04-01``; a month or a day counts in the quarter it lies in
- segment: empty for the whole company, else ``cut=name``, for example ``size=Enterprise``
- metric: what the value is a target of; ``quota`` is the quota, in major units of the currency; ``stage_days:`` and a
  stage, by its name or its label, is how many days a deal should spend in it
- value: a decimal number with a point, without thousands separators
- source, as_of: where the value comes from and the day it was given (YYYY-MM-DD)
- currency: ISO code; the report's currency where the column is missing or empty
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.errors import ConfigurationError
from connectors.schema import exponent
from metrics.period import Calendar, month_first, shift
from metrics.words import CUTS
from pipeline.company import Company

_COLUMNS: Final = ("period", "segment", "metric", "value", "source", "as_of")
_QUARTER: Final = re.compile(r"^(\d{4})-Q([1-4])$")

# quarter_first: first day of the fiscal quarter; cut and segment null: the whole company. ``number`` is the value as
# written; ``amount`` the same in minor units of ``currency``.
TARGETS: Final = pl.Schema(
    {
        "quarter_first": pl.Date,
        "cut": pl.String,
        "segment": pl.String,
        "metric": pl.String,
        "number": pl.String,
        "amount": pl.Int64,
        "currency": pl.String,
        "source": pl.String,
        "as_of": pl.Date,
        "line": pl.Int64,
    }
)


@dataclass(frozen=True)
class Targets:
    """The rows of a targets file, in the schema ``TARGETS``."""

    rows: pl.DataFrame

    @classmethod
    def none(cls) -> Targets:
        """No file."""
        return cls(pl.DataFrame(schema=TARGETS))

    @classmethod
    def read(cls, path: Path, calendar: Calendar, currency: str) -> Targets:
        """Read and check every row. Raises ``ConfigurationError`` naming the file, the line and what is wrong."""
        return cls(pl.DataFrame(list(_rows(path, calendar, currency)), schema=TARGETS, orient="row"))

    def quotas(self) -> pl.DataFrame:
        """The rows of the metric ``quota``: the same columns."""
        return self.rows.filter(pl.col("metric") == "quota")


def _rows(path: Path, calendar: Calendar, currency: str) -> Iterator[Mapping[str, object]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise ConfigurationError(f"inputs.targets: cannot read {path}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{path}: is not UTF-8 text; save it as CSV UTF-8") from problem
    reader = csv.DictReader(text.splitlines(), strict=True)
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise ConfigurationError(
            f"{path} line 1: missing column {', '.join(missing)}; needed are {', '.join(_COLUMNS)}"
        )
    seen: dict[tuple[object, ...], int] = {}
    try:
        for row in reader:
            if not any((value or "").strip() for value in row.values() if isinstance(value, str)):
                continue
            parsed = _parsed(row, f"{path} line {reader.line_num}", calendar, currency) | {
                "line": reader.line_num
            }
            key = (row["period"].strip(), *(parsed[name] for name in ("cut", "segment", "metric")))
            if key in seen:
                raise ConfigurationError(
                    f"{path} line {reader.line_num}: repeats line {seen[key]} "
                    "(same period, segment and metric); keep one of them"
                )
            seen[key] = reader.line_num
            yield parsed
    except csv.Error as problem:
        raise ConfigurationError(f"{path} line {reader.line_num}: is not valid CSV: {problem}") from problem


def _parsed(
    row: Mapping[str, str | None], where: str, calendar: Calendar, currency: str
) -> dict[str, object]:
    if None in row or any(row.get(name) is None for name in _COLUMNS):
        raise ConfigurationError(f"{where}: has not as many columns as the header")
    cell = {name: (value or "").strip() for name, value in row.items()}
    if not cell["metric"]:
        raise ConfigurationError(f"{where}: metric is empty; write for example quota")
    unit = cell.get("currency") or currency
    if re.fullmatch(r"[A-Z]{3}", unit) is None:
        raise ConfigurationError(f"{where}: currency {unit!r} is not an ISO code such as EUR")
    cut, segment = _segment(cell["segment"], where)
    value = _number(cell["value"], where)
    return {
        "quarter_first": _quarter(cell["period"], where, calendar),
        "cut": cut,
        "segment": segment,
        "metric": cell["metric"],
        "number": str(value),
        "amount": int(value.scaleb(exponent(unit)).to_integral_value(ROUND_HALF_EVEN)),
        "currency": unit,
        "source": cell["source"] or None,
        "as_of": _day(cell["as_of"], where, "as_of") if cell["as_of"] else None,
    }


def _quarter(period: str, where: str, calendar: Calendar) -> date:
    match = _QUARTER.match(period)
    if match is None:
        try:
            day = month_first(period) if len(period) == len("2026-04") else _day(period, where, "period")
        except ConfigurationError as problem:
            raise ConfigurationError(
                f"{where}: period {period!r} is not a quarter (2026-Q2), a month (2026-04) or a day (2026-04-01)"
            ) from problem
        return calendar.quarter(day).first
    start = calendar.fiscal_year_start_month
    year = int(match[1]) - (start > 1)
    return month_first(shift(f"{year:04d}-{start:02d}", 3 * (int(match[2]) - 1)))


def _segment(text: str, where: str) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    cut, equals, name = (part.strip() for part in text.partition("="))
    if not equals or cut not in CUTS or not name:
        raise ConfigurationError(
            f"{where}: segment {text!r} is not of the form cut=name, for example size=Enterprise "
            f"(cuts: {', '.join(CUTS)}); leave it empty for the whole company"
        )
    return cut, name


def _number(text: str, where: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or abs(value) > Decimal(10) ** 13:
        raise ConfigurationError(f"{where}: value {text!r} is not a number; write for example 400000.00")
    return value


def _day(text: str, where: str, column: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a plain date has no zone
    except ValueError as problem:
        raise ConfigurationError(
            f"{where}: {column} {text!r} is not a date; write for example 2026-04-01"
        ) from problem


def settings_of(company: Company) -> dict[str, Any]:
    """All settings that decide what a company's numbers mean; of an input file a digest of what it holds."""
    files = {name: path for name, path in company.inputs if path is not None}
    held = {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        for name, path in files.items()
    }
    return company.definitions() | {f"inputs: {name}": digest for name, digest in held.items()}
