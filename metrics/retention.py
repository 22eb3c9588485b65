"""Retention: how much of the revenue, and how many of the customers, of a while ago are still there.

Ways to compute it (definition book, section 2, rulings 5, 15 to 17), all of them at the rate of D:

- ``cohort`` (NRR) and ``min`` (GRR), the default: customers with ARR at the opening; their ARR now, or the lesser of
  now and then, over then.
- ``flow``: (opening ARR + expansion - contraction - churn) / opening ARR; GRR without expansion. The movements are
  those of the bridge in every month of the window, of all customers, each valued at the rate of D.
  ``flow_with_reactivation`` adds what came back.
- ``renewal_base`` (NRR): what became of the ARR that was up for renewal, over it: see ``metrics.renewal_base``.
- ``point`` (logo churn), the default: customers of the opening without ARR now over all of them; ``event``: how often
  one of them left in the window, month-end to month-end, over all of them; who left twice counts twice.

Windows: twelve months, three, or one; shorter ones are not annualised. ``retention:`` of the configuration chooses, and
says under ``beside`` which of the others stand next to the number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import polars as pl

from metrics import measures, nrr_points
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.flows import FLOWS
from metrics.kpi import Kpi
from metrics.recurring import (
    MONTHS,
    Window,
    accounts_behind,
    both_in_words,
    cohort,
    measurable,
    of_customers,
)
from metrics.renewal_base import renewal_base
from pipeline.company import Company, RetentionSettings

_AGO: Final = {
    "year": "a year before",
    "quarter": "three months before",
    "month": "at the end of the month before",
}
_GAINS: Final = ("expansion_seat", "expansion_module", "expansion_other")
# As it stands in a definition and beside a number.
_WORDS: Final = {
    "cohort": "cohort point to point",
    "min": "min rule per customer",
    "point": "customers point to point",
    "flow": "flow of movements",
    "flow_with_reactivation": "flow of movements with reactivation",
    "renewal_base": "ARR up for renewal",
    "event": "events",
    "year": "12 months",
    "quarter": "3 months",
    "month": "1 month",
}
_PARTS: Final = {"cohort": "retained", "renewal_base": "retained", "min": "kept", "point": "lost"}
_WAYS: Final = {
    "nrr": ("cohort", "flow", "flow_with_reactivation", "renewal_base"),
    "grr": ("min", "flow"),
    "logo_churn": ("point", "event"),
}


@dataclass(frozen=True)
class Way:
    """One way to compute one of nrr, grr and logo_churn."""

    kpi: str
    how: str
    window: Window

    @classmethod
    def chosen(cls, kpi: str, settings: RetentionSettings) -> Way:
        """The company's own."""
        return cls(kpi, getattr(settings, kpi), settings.window)

    def unlike(self, own: Way) -> str:
        """What sets it apart from the company's own way, in words."""
        return _WORDS[self.window if self.how == own.how else self.how]


def beside(kpi: str, settings: RetentionSettings) -> tuple[Way, ...]:
    """The other ways that the company wants to see next to the number, each differing in one thing from its own."""
    own = Way.chosen(kpi, settings)
    words = dict.fromkeys(settings.beside)
    windows = [replace(own, window=window) for window in MONTHS if window in words]
    ways = [replace(own, how=how) for how in _WAYS[kpi] if how in words]
    return tuple(way for way in (*ways, *windows) if way != own)


def configured(kpi: Kpi, company: Company) -> Kpi:
    """NRR, GRR or logo churn as the company's settings make it: another way is another definition."""
    way = Way.chosen(kpi.id, company.retention)
    if way == Way.chosen(kpi.id, RetentionSettings()):
        return kpi
    periods: Final[dict[str, Literal["month", "trailing_quarter", "trailing_year"]]] = {
        "year": "trailing_year",
        "quarter": "trailing_quarter",
        "month": "month",
    }
    return replace(
        kpi,
        period=periods[way.window],
        definition=f"{kpi.id}/1 {way.how} {way.window}: {_FORMULAS[way.how]}, {_WORDS[way.window]}, constant rate",
    )


_FORMULAS: Final = {
    "cohort": "cohort point to point",
    "min": "min rule per customer",
    "point": "point to point",
    "flow": "opening and the bridge's movements",
    "flow_with_reactivation": "opening and the bridge's movements, reactivation included",
    "renewal_base": "what became of the ARR up for renewal / that ARR",
    "event": "customers of the opening that left, each time",
}


def measure(facts: Facts, kpi: str, cut: str | None) -> pl.LazyFrame:
    """NRR, GRR or logo churn as the company computes it, with the others it wants beside it as a note."""
    if cut == "product":
        return measures.nothing()
    settings = facts.company.retention
    chosen, ways = Way.chosen(kpi, settings), beside(kpi, settings)
    own = _measured(facts, chosen, cut)
    if cut is not None or not ways:
        return _pointed(facts, chosen, own, cut)
    lines = [
        _measured(facts, way, None).select("month", pl.lit(way.unlike(chosen)).alias("words"), "value")
        for way in ways
    ]
    told = (
        pl.concat(lines)
        .filter(pl.col("value").is_not_null())
        .group_by("month", maintain_order=True)
        .agg(
            note=pl.format(
                "beside it: {}",
                pl.format("{} by {}", _percent(pl.col("value")), "words").str.join("; "),
            )
        )
    )
    return _pointed(facts, chosen, measures.noted(own, told), cut)


def _pointed(facts: Facts, way: Way, own: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    """NRR with the points that make it behind its notes, where it is defined."""
    if way.kpi != "nrr" or way.how not in nrr_points.WAYS:
        return own
    told = nrr_points.told(nrr_points.points(facts, way.how, way.window, cut))
    defined = own.filter(pl.col("value").is_not_null()).select("month", "segment")
    return measures.explained(own, told.join(defined, on=["month", "segment"], how="semi", nulls_equal=True))


def variants(facts: Facts) -> pl.DataFrame:
    """The number itself and every other way that stands beside it, for the whole company.

    Columns: month, kpi, how, window, chosen (it is the printed one), value, numerator, denominator, n, reason.
    """
    settings = facts.company.retention
    frames = []
    for kpi in _WAYS:
        own = Way.chosen(kpi, settings)
        for way in (own, *beside(kpi, settings)):
            found = _measured(facts, way, None).select(
                "month",
                pl.lit(kpi).alias("kpi"),
                pl.lit(way.how).alias("how"),
                pl.lit(way.window).alias("window"),
                pl.lit(way == own).alias("chosen"),
                "value",
                "numerator",
                "denominator",
                "n",
                "reason",
            )
            frames.append(found)
    return pl.concat(frames).collect()


def _percent(ratio: pl.Expr) -> pl.Expr:
    """0.8512 -> 85.1 %."""
    tenths = (ratio * 1000).round(0, mode="half_to_even").cast(pl.Int64)
    sign = pl.when(tenths < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(
        sign,
        (tenths.abs() // 10).cast(pl.String),
        pl.lit("."),
        (tenths.abs() % 10).cast(pl.String),
        pl.lit(" %"),
    )


def _measured(facts: Facts, way: Way, cut: str | None) -> pl.LazyFrame:
    customers = of_customers(facts, _customers(facts, way).lazy(), cut)
    opening = pl.col("then") > 0
    totals = measures.summed(
        facts.periods,
        customers,
        cut,
        part=pl.col("part").sum(),
        then=pl.col("then").filter(opening).sum(),
        n=opening.sum().cast(pl.Int64),
    )
    reason = f"no customer had ARR {_AGO[way.window]}"
    if way.how == "renewal_base":
        reason = f"no ARR was up for renewal in {_WORDS[way.window]}"
    denominator = "n" if way.kpi == "logo_churn" else "then"
    return measurable(facts, measures.ratios(totals, "part", denominator, "n", reason))


def _customers(facts: Facts, way: Way) -> pl.DataFrame:
    """Per month and customer: then (ARR at the opening), retained (now), part (what it adds to the numerator)."""
    there = facts.once((_RENEWALS if way.how == "renewal_base" else _COHORTS)[way.window])
    if way.how in _PARTS:
        return there.with_columns(part=_PARTS[way.how])
    flows = facts.once(FLOWS[way.window])
    joined = there.join(flows, on=["month", "customer"], how="full", coalesce=True).with_columns(
        pl.exclude("month", "customer").fill_null(0)
    )
    if way.how == "event":
        return joined.with_columns(part=pl.when(pl.col("then") > 0).then("left").otherwise(0))
    gains = pl.sum_horizontal(_GAINS) if way.kpi == "nrr" else pl.lit(0)
    back = pl.col("reactivation") if way.how == "flow_with_reactivation" else pl.lit(0)
    opening = pl.when(pl.col("then") > 0).then("then").otherwise(0)
    return joined.with_columns(part=opening + gains + back - pl.col("contraction") - pl.col("churn"))


_COHORTS: Final = {window: partial(cohort, window=window) for window in MONTHS}
_RENEWALS: Final = {window: partial(renewal_base, window=window) for window in MONTHS}


def behind(facts: Facts, kpi: str, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the customers at the opening, and since, with what each adds to the numerator."""
    way = Way.chosen(kpi, facts.company.retention)
    coded = _customers(facts, way).filter(pl.col("month") == month)
    touched = (pl.col("then") > 0) | (pl.col("part") != 0)
    ago = f"up for renewal since {_AGO[way.window]}" if way.how == "renewal_base" else _AGO[way.window]
    note = pl.format(f"{{}} {ago}, {{}} now", *both_in_words(facts, "then", "retained"))
    if way.kpi == "nrr" and way.how in nrr_points.WAYS:
        coded, note = _with_points(facts, way, month, coded, note)
    customers = coded.with_columns(customer=facts.coded.customers.gather(coded["customer"]))
    return accounts_behind(facts, customers.filter(touched).with_columns(contribution="part", note=note), cut)


def _with_points(
    facts: Facts, way: Way, month: str, customers: pl.DataFrame, note: pl.Expr
) -> tuple[pl.DataFrame, pl.Expr]:
    """The customers of a month with what each adds to the points of NRR in its note."""
    parts = {part: f"_{part}" for part in nrr_points.PARTS}
    amounts = nrr_points.customers(facts, way.how, way.window).filter(pl.col("month") == month)
    joined = customers.join(
        amounts.drop("month", "then").rename(parts), on="customer", how="left", maintain_order="left"
    )
    moved = [
        pl.when(pl.col(column) != 0).then(pl.format(f"{part} {{}}", in_words(pl.col(column), facts.currency)))
        for part, column in parts.items()
    ]
    return joined, pl.concat_str(note, *moved, separator="; ", ignore_nulls=True)
