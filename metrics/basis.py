"""Amounts as ARR: what a sum of money is worth per year, and which deals take ARR away (R3, R7, ruling 7)."""

from __future__ import annotations

from typing import Final

import polars as pl

from pipeline.company import ArrSettings

BASE: Final = ("new", "renewal")  # contracts of their own; every other one runs along with one of these


ONCE: Final = ("one_time", "services", "usage")  # kinds of lines that are no ARR (R3)
COMMITTED: Final = "committed_usage"


def kind() -> pl.Expr:
    """The kind of a line however a picklist spells it: ``One-Time`` is one_time."""
    return pl.col("kind").str.strip_chars().str.to_lowercase().str.replace_all(r"[\s-]+", "_")


def recurring(settings: ArrSettings) -> pl.Expr:
    """Whether a line, by its ``kind``, is part of ARR: not what is sold once, nor usage, unless it is committed and the
    company counts that (`arr.committed_usage`); a line without a kind is."""
    out = ONCE if settings.committed_usage else (*ONCE, COMMITTED)
    return ~kind().is_in(out).fill_null(value=False)


def annualised(amount: pl.Expr, months: pl.Expr, settings: ArrSettings) -> pl.Expr:
    """An amount in the configured basis as ARR, half-even; null where TCV has no positive term (R3, ruling 7)."""
    if settings.basis == "mrr":
        return amount * 12
    if settings.basis == "tcv":
        return pl.when(months > 0).then(divided_half_even(amount * 12, months))
    return amount


def divided_half_even(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Integer division rounded half to even; ``denominator`` > 0."""
    whole = numerator // denominator
    twice = (numerator - whole * denominator) * 2
    up = (twice > denominator) | ((twice == denominator) & (whole % 2 != 0))
    return whole + up.cast(pl.Int64)


def reducing(settings: ArrSettings) -> tuple[str, ...]:
    """The types of deals whose amount takes ARR away whatever sign the CRM holds.

    Where mid-term changes state the new total, a downgrade's positive amount is that total.
    """
    return ("churn",) if settings.expansion == "total" else ("contraction", "churn")


def after(day: pl.Expr, months: pl.Expr) -> pl.Expr:
    """``day`` plus calendar months; a day that does not exist becomes the last of its month (ruling 8)."""
    return day.dt.offset_by(months.cast(pl.String) + "mo")
