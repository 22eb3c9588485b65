"""A canonical frame with consistent values: the same thing is written the same way, whatever CRM it came from.

Texts lose outer blanks (ids that are blank become null), e-mails and domains are lower case, a domain is bare (no
scheme, www, port or path), currencies are upper case and a blank one is the home currency. Placeholders such as
"TBD" stay: judging them is the business of the quality rules. What a database cannot hold (a date past the year 9999,
not-a-number) and rows without an id go to the rejects with their raw text.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from connectors.schema import KEYS, REJECTS, TABLES
from connectors.source import Page

_FIRST, _LAST = date(1, 1, 1), date(9999, 12, 31)
_DOMAIN: Final = r"^(?:[a-z][a-z0-9+.-]*://|//|mailto:)?(?:[^/@\s]*@)?(?:www\.)?([^/?#:\s]*).*$"


def domain(text: pl.Expr) -> pl.Expr:
    """The bare domain of a domain, web address or e-mail domain: ``https://www.Acme.com/x`` -> ``acme.com``."""
    plain = text.str.strip_chars().str.to_lowercase()
    found = plain.str.extract(_DOMAIN, 1).str.strip_suffix(".")
    return (
        pl.when(plain.str.contains(".", literal=True) & ~plain.str.contains(r"\s"))
        .then(found)
        .otherwise(plain)
    )


def email(text: pl.Expr) -> pl.Expr:
    """An e-mail address in lower case, without ``mailto:``."""
    return text.str.strip_chars().str.to_lowercase().str.strip_prefix("mailto:")


def normalise(name: str, frame: pl.DataFrame, home_currency: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One frame of table ``name`` with consistent values and unique keys, and what had to be rejected.

    Of several versions of a record in one frame the newest (``modified_at``) stays, else the last.
    """
    schema = TABLES[name]
    rows = frame.select(list(schema)).cast(schema)  # a column that is missing or of another kind fails here
    rows, unreadable = _possible(name, rows)
    rows = rows.with_columns(_value(column, dtype, home_currency) for column, dtype in schema.items())
    rows, nameless = _named(name, rows)
    return _latest(name, rows), pl.concat([*unreadable, nameless])


def normalise_page(page: Page, home_currency: str) -> Page:
    """The page with every frame normalised and the new rejects added to its own."""
    frames, rejects = {}, [page.rejects.select(list(REJECTS)).cast(REJECTS)]
    for name, frame in page.frames.items():
        frames[name], more = normalise(name, frame, home_currency)
        rejects.append(more)
    ids = [_held(pl.col(column)).str.strip_chars() for column in ("external_id", "merged_into")]
    tombstones = page.tombstones.with_columns(ids).filter(pl.col("external_id").fill_null("") != "")
    live = None
    if page.live_ids is not None:
        live = {
            name: one.to_frame("id").select(_held(pl.col("id")).str.strip_chars()).to_series()
            for name, one in page.live_ids.items()
        }
    aside = pl.concat(rejects).with_columns(_held(pl.col(pl.String)))
    return replace(page, frames=frames, tombstones=tombstones, live_ids=live, rejects=aside)


def _held(text: pl.Expr) -> pl.Expr:
    """A text without NUL, which PostgreSQL refuses; on SQLite it is left out too, so that both hold the same."""
    return text.str.replace_all("\x00", "", literal=True)


def _value(column: str, dtype: pl.DataType, home_currency: str) -> pl.Expr:
    cell = pl.col(column)
    if column == "custom":
        return _held(cell.fill_null("{}"))
    if dtype != pl.String:
        return cell
    text = _held(cell).str.strip_chars()
    if column == "domain":
        return domain(text).alias(column)
    if column == "email":
        return email(text).alias(column)
    if column == "currency":
        return (
            pl.when(text.fill_null("") == "")
            .then(pl.lit(home_currency))
            .otherwise(text.str.to_uppercase())
            .alias(column)
        )
    if column.endswith("_id") or column in ("merged_into",):
        return pl.when(text != "").then(text).alias(column)
    return text


def _possible(name: str, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Cells that a database can hold; the others are null, and rejected."""
    rejects = []
    for column, dtype in rows.schema.items():
        cell = pl.col(column)
        if dtype.is_float():
            impossible, reason = cell.is_nan() | cell.is_infinite(), "not a finite number"
        elif dtype == pl.Date or isinstance(dtype, pl.Datetime):
            impossible, reason = (
                ~cell.dt.date().is_between(_FIRST, _LAST),
                "a date outside the years 1 to 9999",
            )
        else:
            continue
        bad = rows.filter(impossible)
        if not bad.is_empty():
            rejects.append(_rejects(name, bad, column, cell.cast(pl.String), reason))
            rows = rows.with_columns(pl.when(~impossible).then(cell).alias(column))
    return rows, rejects


def _named(name: str, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows whose keys are all there; the others are rejected whole, with all they hold."""
    missing = pl.any_horizontal(
        pl.col(key).is_null() | (pl.col(key) == "")
        if TABLES[name][key] == pl.String
        else pl.col(key).is_null()
        for key in KEYS[name]
    )
    bad = rows.filter(missing)
    reason = f"without {' or '.join(KEYS[name])} it is no record"
    raw = pl.struct(pl.all().exclude(pl.Decimal)).struct.json_encode()
    return rows.filter(~missing), _rejects(name, bad, "", raw, reason)


def _latest(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    keys = list(KEYS[name])
    if rows.height == rows.select(keys).n_unique():
        return rows
    if "modified_at" in rows.columns:
        rows = rows.sort("modified_at", nulls_last=False, maintain_order=True)
    return rows.unique(keys, keep="last", maintain_order=True)


def _rejects(name: str, bad: pl.DataFrame, column: str, raw: pl.Expr, reason: str) -> pl.DataFrame:
    identity = KEYS[name][0]
    return bad.select(
        table=pl.lit(name),
        external_id=pl.col(identity).cast(pl.String),
        field=pl.lit(column),
        raw=raw,
        reason=pl.lit(reason),
    ).cast(REJECTS)
