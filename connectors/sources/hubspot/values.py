"""HubSpot's property values, all of them text, to typed columns. Pure, one polars series in, one out.

A value that was cleared is ``""`` in HubSpot and one that was never set is null; a reader of the record
cannot tell them apart, so both are null here (history keeps the moment of clearing). What does not parse is
null as well: the caller compares with the raw text and sets such values aside.

Peers met epoch milliseconds in date properties, floats in integer ones and binary noise in numbers
(``0.40000000000000002``), so every reading below takes those.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import polars as pl

from connectors.schema import MINOR_UNITS, UTC

_PLAIN: Final = r"^[+-]?(?:\d+\.?\d*|\.\d+)$"
_SCIENTIFIC: Final = r"^[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d{1,2}$"
_MILLISECONDS: Final = r"^(\d{11,14})(?:\.0*)?$"  # of 1970 to 5138
_FORECAST: Final = {
    "OMIT": "omitted",
    "PIPELINE": "pipeline",
    "BEST_CASE": "best_case",
    "COMMIT": "commit",
    "CLOSED": "closed",
}
_TRUTH: Final = {"true": True, "false": False, "yes": True, "no": False}
# A call, meeting or visit that took place; one that did not; for `SCHEDULED` nobody noted an outcome.
_OUTCOME: Final = {"COMPLETED": True, "NO_SHOW": False, "CANCELED": False, "RESCHEDULED": False}


def filled(raw: pl.Series) -> pl.Series:
    """The text as it stands; a cleared value (``""``) is null."""
    return raw.set(raw == "", None)


def decimals(raw: pl.Series) -> pl.Series:
    """Numbers as plain decimal text; Java's ``1.2345678E7`` is written out, anything else is null."""
    text = raw.str.strip_chars()
    if text.str.contains(_SCIENTIFIC).any():
        text = pl.Series(raw.name, [_written_out(value) for value in text], dtype=pl.String)
    return text.set(~text.str.contains(_PLAIN), None)


def _written_out(value: str | None) -> str | None:
    if value is None or "e" not in value.lower():
        return value
    try:
        return format(Decimal(value), "f")
    except InvalidOperation:
        return value


def exponents(currency: pl.Series, home_currency: str) -> pl.Series:
    """ISO 4217 digits after the point, row by row; a blank currency is the home currency."""
    code = filled(currency).fill_null(home_currency).str.to_uppercase()
    return code.replace_strict(MINOR_UNITS, default=2, return_dtype=pl.Int64)


def minor_units(raw: pl.Series, digits: pl.Series) -> pl.Series:
    """Amounts in major units -> integer minor units, exactly, half-even; ``digits`` as from `exponents`."""
    text = decimals(raw)
    frame = pl.DataFrame({"text": text, "digits": digits}).with_columns(
        whole=pl.col("text").str.extract(r"^[+-]?(\d*)", 1),
        fraction=pl.col("text").str.extract(r"\.(\d*)$", 1).fill_null(""),
    )
    kept = (pl.col("fraction") + "000").str.slice(0, pl.col("digits"))
    rest = pl.col("fraction").str.slice(pl.col("digits")).str.strip_chars_end("0")
    # As text "5" is exactly a half, "49…" is less and "51" or "6" more.
    magnitude = (pl.col("whole") + kept).cast(pl.Int64, strict=False)
    up = (rest > "5") | ((rest == "5") & (magnitude % 2 == 1))
    sign = pl.when(pl.col("text").str.starts_with("-")).then(-1).otherwise(1)
    return frame.select(((magnitude + up.cast(pl.Int64)) * sign).alias(raw.name)).to_series()


def numbers(raw: pl.Series) -> pl.Series:
    """Numbers as floats."""
    return decimals(raw).cast(pl.Float64, strict=False)


def integers(raw: pl.Series) -> pl.Series:
    """Whole numbers; ``12.0`` is 12, and ``12.5`` is none."""
    value = numbers(raw)
    whole = (value == value.round(0)) & (value.abs() < 2.0**53)
    return value.set(~whole, None).cast(pl.Int64, strict=False)


def months(raw: pl.Series) -> pl.Series:
    """Whole months, also written as a period: ``P12M``, ``P2Y`` or ``P1Y6M`` (HubSpot's billing terms)."""
    text = raw.str.strip_chars()
    period = text.str.contains(r"^P(\d{1,4}Y)?(\d{1,4}M)?$") & (text.str.len_chars() > 1)
    years, rest = (
        text.str.extract(rf"(\d+){unit}", 1).cast(pl.Int64, strict=False).fill_null(0) for unit in "YM"
    )
    return integers(raw.set(period, None)).zip_with(~period.fill_null(value=False), years * 12 + rest)


def probabilities(raw: pl.Series) -> pl.Series:
    """Shares of one; a number outside 0 to 1 is none."""
    value = numbers(raw)
    return value.set((value < 0) | (value > 1), None)


def booleans(raw: pl.Series) -> pl.Series:
    """``true`` and ``false``; a number (HubSpot counts bounces) is true when it is more than 0."""
    truth = raw.str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    return pl.select(pl.coalesce(truth, numbers(raw) > 0)).to_series().alias(raw.name)


def outcomes(raw: pl.Series) -> pl.Series:
    """Meeting outcomes: held or not; null while nobody noted one (``SCHEDULED``)."""
    flags = {**_TRUTH, **{key.lower(): value for key, value in _OUTCOME.items()}}
    return raw.str.to_lowercase().replace_strict(flags, default=None, return_dtype=pl.Boolean)


def forecast_categories(raw: pl.Series) -> pl.Series:
    """HubSpot's forecast categories in our words; a portal's own categories have no place among them."""
    return raw.str.to_uppercase().replace_strict(_FORECAST, default=None, return_dtype=pl.String)


def instants(raw: pl.Series) -> pl.Series:
    """ISO 8601 instants or epoch milliseconds -> UTC; a plain date is its midnight UTC."""
    text = raw.str.strip_chars()
    iso = text.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC")
    stamp = text.str.extract(_MILLISECONDS, 1).cast(pl.Int64, strict=False)
    epoch = stamp.cast(pl.Datetime("ms", "UTC")).cast(UTC)
    day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.select(pl.coalesce(iso, epoch, day)).to_series().alias(raw.name)


def days(raw: pl.Series, timezone: str) -> pl.Series:
    """Days. HubSpot writes a day as its midnight in UTC, which is never shifted; other times are local."""
    moment = instants(raw)
    at_midnight = moment == moment.dt.truncate("1d")
    return moment.dt.date().zip_with(at_midnight, moment.dt.convert_time_zone(timezone).dt.date())


def local_days(raw: pl.Series, timezone: str) -> pl.Series:
    """The local days of instants; what is a plain date already stays that date."""
    plain = raw.str.strip_chars().str.to_date("%Y-%m-%d", strict=False)
    local = instants(raw).dt.convert_time_zone(timezone).dt.date()
    return pl.select(pl.coalesce(plain, local)).to_series().alias(raw.name)
