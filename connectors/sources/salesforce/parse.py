"""Salesforce records -> canonical frames: columns of raw text first, then typed by declared kind.

Nothing is inferred: every value is taken as the text Salesforce sent ("NA", leading zeros and 18-character ids
survive, decimals keep their digits) and converted by polars according to its column. What does not convert
is null in the frame and stands with its raw text and a reason among the rejects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson
import polars as pl

from connectors.schema import MINOR_UNITS, REJECTS, TABLES, UTC
from connectors.sources.salesforce.catalogue import Field, Selection
from connectors.sources.salesforce.mapping import FORECAST, PREFIXES, Kind, Table

_EXACT: Final = pl.Decimal(38, 18)
_TOO_LARGE: Final = pl.lit(Decimal(9 * 10**15)).cast(_EXACT)  # in thousandths, it still fits 64 bits
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S%.f%z"
_TRUE: Final = ("true", "1", "yes")
_FALSE: Final = ("false", "0", "no")
_REASONS: Final[dict[str, str]] = {
    "boolean": "not true or false",
    "date": "not a date",
    "instant": "not an instant",
    "integer": "not a whole number",
    "number": "not a number",
    "percent": "not a number",
    "money": "not an amount, or one beyond all bounds",
    "forecast": "not a forecast category known here",
}


NO_CURRENCY: Final = "XXX"  # ISO 4217, for tables without money


@dataclass(frozen=True)
class Context:
    """What a page is read with: the org's home currency, the company's time zone, stage labels -> API names."""

    home_currency: str
    timezone: str
    stages: Mapping[str, str]


@dataclass(frozen=True)
class Parsed:
    """``frame``: the table's own columns that were selected, typed, plus ``_modstamp`` and ``_deleted`` raw."""

    frame: pl.DataFrame
    rejects: pl.DataFrame


def parse(
    table: Table, selection: Selection, records: Sequence[Mapping[str, Any]], context: Context
) -> Parsed:
    """Typed columns of one page. A record without an id is a reject as a whole."""
    known = [record for record in records if record.get("Id")]
    nameless = [record for record in records if not record.get("Id")]
    raw = pl.DataFrame(
        {path: _texts(known, path) for path in selection.paths()}, schema_overrides=_strings(selection)
    )
    kinds = {column.name: column.kind for column in table.all_columns() if column.name in selection.columns}
    currency = _currency(selection, context.home_currency)
    typed = raw.select(
        *(
            _typed(kinds[name], field, currency, context).alias(name)
            for name, field in selection.columns.items()
        ),
        *(pl.lit(value).alias(name) for name, value in table.constant),
        *_extras(selection, currency, "currency" in TABLES[table.name]),
        _custom(selection.custom).alias("custom"),
    )
    if "stage" in typed.columns and context.stages:
        typed = typed.with_columns(pl.col("stage").replace(context.stages))
    rejects = [_nameless(table.name, nameless)] if nameless else []
    rejects += _unparsed(table.name, selection.columns, kinds, raw, typed)
    return Parsed(typed, pl.concat(rejects) if rejects else pl.DataFrame(schema=REJECTS))


def parse_column(kind: Kind, raw: pl.Series, currency: pl.Series, timezone: str) -> pl.Series:
    """One column of texts by its kind; whether a time is a day or an instant shows in how it is written."""
    cells = pl.DataFrame({"raw": raw, "currency": currency}, schema={"raw": pl.String, "currency": pl.String})
    context = Context(NO_CURRENCY, timezone, {})

    def read(type_: str) -> pl.Expr:
        return _typed(kind, Field("raw", type_), pl.col("currency"), context)

    if kind not in ("date", "instant"):
        return cells.select(read("")).to_series()
    return cells.select(
        pl.when(pl.col("raw").str.contains("T", literal=True)).then(read("datetime")).otherwise(read("date"))
    ).to_series()


def conform(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` in the canonical schema of ``table``: missing columns empty, others left out."""
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in TABLES[table].items()
    )


def money(raw: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Decimal text -> minor units of ``currency`` (ISO 4217 digits), half-even, exact."""
    amount = _decimal(raw)
    digits = currency.replace_strict(MINOR_UNITS, default=2, return_dtype=pl.Int8)
    scaled = (
        pl.when(digits == 0)
        .then(amount)
        .when(digits == 3)
        .then(amount * pl.lit(Decimal(1000)))
        .otherwise(amount * pl.lit(Decimal(100)))
    )
    return scaled.round(0, mode="half_to_even").cast(pl.Int64, strict=False)


def instant(raw: pl.Expr) -> pl.Expr:
    """An instant as any of Salesforce's APIs writes it -> UTC."""
    offset = raw.str.replace(r"Z$", "+0000")
    return offset.str.to_datetime(_INSTANT, time_unit="us", time_zone="UTC", strict=False)


def _texts(records: Sequence[Mapping[str, Any]], path: str) -> list[str | None]:
    """The raw text of one path of every record."""
    head, _, rest = path.partition(".")
    if rest:
        return _texts([record.get(head) or {} for record in records], rest)
    values = [record.get(head) for record in records]
    return [value if value is None or type(value) is str else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else orjson.dumps(value).decode()


def _strings(selection: Selection) -> dict[str, type[pl.String]]:
    return dict.fromkeys(selection.paths(), pl.String)


def _currency(selection: Selection, home: str) -> pl.Expr:
    field = selection.columns.get("currency")
    if field is None:
        return pl.lit(home)
    code = pl.col(field.name)
    return pl.when(code.str.strip_chars() == "").then(None).otherwise(code).fill_null(home)


def _extras(selection: Selection, currency: pl.Expr, has_currency: bool) -> list[pl.Expr]:
    """Tombstones and a currency that no field gives."""
    extra = []
    if "IsDeleted" in selection.extra:
        gone = pl.col("IsDeleted") == "true"
        extra.append(pl.when(gone).then(instant(pl.col("SystemModstamp"))).alias("deleted_at"))
    if "MasterRecordId" in selection.extra:
        master = pl.col("MasterRecordId")
        extra.append(pl.when(master != "").then(master).alias("merged_into"))
    if has_currency and "currency" not in selection.columns:
        extra.append(currency.alias("currency"))
    return extra


def _typed(kind: Kind, field: Field, currency: pl.Expr, context: Context) -> pl.Expr:
    """The typed column of one field."""
    raw = pl.col(field.name)
    match kind:
        case "text":
            return currency if field.name == "CurrencyIsoCode" else raw
        case "account" | "contact" | "deal":
            return pl.when(raw.str.starts_with(PREFIXES[kind])).then(raw)
        case "boolean":
            return _boolean(raw)
        case "filled":
            return _boolean(raw) if field.type == "boolean" else raw.fill_null("").str.strip_chars() != ""
        case "date" | "instant":
            return _time(kind, field, raw, context.timezone)
        case "forecast":
            word = raw.str.to_lowercase().str.replace_all(r"[\s_]", "")
            return word.replace_strict(FORECAST, default=None, return_dtype=pl.String)
        case "money":
            return money(raw, currency)
        case "integer" | "number" | "percent":
            return _number(kind, raw)


def _time(kind: Kind, field: Field, raw: pl.Expr, timezone: str) -> pl.Expr:
    """Dates are never shifted; an instant where a date is wanted is the day it was in the company's zone."""
    if field.type == "datetime":
        moment = instant(raw)
        return moment if kind == "instant" else moment.dt.convert_time_zone(timezone).dt.date()
    if field.type == "date" or kind == "date":
        day = raw.str.strip_chars().str.to_date("%Y-%m-%d", strict=False)
        return day if kind == "date" else day.cast(UTC)
    return instant(raw)


def _number(kind: Kind, raw: pl.Expr) -> pl.Expr:
    exact = _decimal(raw)
    if kind == "integer":
        return pl.when(exact.round(0) == exact).then(exact.cast(pl.Int64, strict=False))
    return (exact if kind == "number" else exact * pl.lit(Decimal("0.01"))).cast(pl.Float64)


def _decimal(raw: pl.Expr) -> pl.Expr:
    """The exact number; null when it is none, or too large for minor units."""
    exact = raw.str.strip_chars().cast(_EXACT, strict=False)
    return pl.when(exact.abs() < _TOO_LARGE).then(exact)


def _boolean(raw: pl.Expr) -> pl.Expr:
    word = raw.str.strip_chars().str.to_lowercase()
    return pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False)


def _custom(custom: Mapping[str, Field]) -> pl.Expr:
    """The company's own fields as a JSON object of texts."""
    if not custom:
        return pl.lit("{}")
    return pl.struct(pl.col(field.name).alias(name) for name, field in custom.items()).struct.json_encode()


def _nameless(table: str, records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    rows = [
        (table, None, "external_id", orjson.dumps(record).decode(), "record without an id")
        for record in records
    ]
    return pl.DataFrame(rows, schema=REJECTS, orient="row")


def _unparsed(
    table: str,
    columns: Mapping[str, Field],
    kinds: Mapping[str, Kind],
    raw: pl.DataFrame,
    typed: pl.DataFrame,
) -> list[pl.DataFrame]:
    """One frame of rejects for each column with values that did not convert. Blank text is no value."""
    found = []
    for name, field in columns.items():
        reason = _REASONS.get(kinds[name])
        if reason is None:
            continue
        text = raw[field.name]
        bad = typed[name].is_null() & text.is_not_null() & (text.str.strip_chars() != "")
        if bad.any():
            found.append(
                pl.DataFrame({"external_id": raw["Id"], "raw": text})
                .filter(bad)
                .select(
                    pl.lit(table).alias("table"),
                    "external_id",
                    pl.lit(name).alias("field"),
                    "raw",
                    reason=pl.lit(reason),
                )
            )
    return found
