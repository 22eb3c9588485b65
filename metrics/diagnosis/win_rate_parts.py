"""Win rate in its parts: by size, industry and motion, and why deals were lost.

Of each cut the weakest and the strongest segment with at least ten closed deals are named, where they lie ``gap`` apart
(an option of the call; 0 names any difference). Loss reasons are those of the deals lost in the quarter. Records are
these deals. Source: HR-tech document ("a 25 % win rate could hide a 40 % rate in SMB and a 10 % rate in enterprise");
supply-chain document (fit or enablement); definition book, section 3.
"""

from __future__ import annotations

import polars as pl

from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.kpi import KpiValue
from metrics.render import numbers
from metrics.words import UNKNOWN, by_segment, stated

_CUTS = ("size", "industry", "motion")
_REASONS = 3


def find(case: Case) -> Cause | None:
    gap = case.option("gap")
    spreads = [spread for cut in _CUTS if (spread := _spread(case, cut, gap)) is not None]
    if gap and not spreads:
        return None
    closed = case.of_month(case.facts.closed)
    lost = closed.filter(~pl.col("won"))
    reasons = (
        lost.group_by(reason=stated(pl.col("loss_reason")).fill_null("no reason given"))
        .len()
        .sort("len", "reason", descending=[True, False])
    )
    words = [
        f"by {cut}, {_rate(best)} against {_rate(worst)}" for cut, worst, best in spreads
    ]  # fmt: skip
    if lost.height:
        named = ", ".join(f"{reason} {n:,}" for reason, n in reasons.head(_REASONS).iter_rows())
        words.append(f"of {count(lost.height, 'loss', 'losses')}: {named}")
    if not words:
        return None
    return Cause(
        words="; ".join(words),
        parts=(
            *(
                CausePart(f"Win rate{by_segment(value.segment)}", value.value, "ratio", f"n={value.n or 0:,}")
                for _, worst, best in spreads
                for value in (worst, best)
            ),
            *(CausePart(f"Lost: {reason}", float(n), "count") for reason, n in reasons.iter_rows()),
        ),
        records=_records(closed if spreads else lost),
        unit="count",
    )


def _spread(case: Case, cut: str, gap: float) -> tuple[str, KpiValue, KpiValue] | None:
    """The weakest and the strongest segment; None where fewer than two closed enough deals, or they lie close
    together."""
    rated = [
        value
        for value in case.by("win_rate", cut)
        if value.value is not None
        and (value.n or 0) >= case.facts.company.low_sample
        and value.segment[cut] != UNKNOWN
    ]
    if len(rated) < 2:
        return None
    worst = min(rated, key=lambda value: (value.value or 0, _name(value)))
    best = max(rated, key=lambda value: (value.value or 0, _name(value)))
    spread = (best.value or 0) - (worst.value or 0)
    return (cut, worst, best) if spread > 0 and spread >= gap - 1e-12 else None


def _rate(value: KpiValue) -> str:
    won = int(value.numerator or 0)
    return f"{numbers.percent(value.value or 0)} in {_name(value)} ({won:,} of {value.n or 0:,})"


def _name(value: KpiValue) -> str:
    return next(iter(value.segment.values()))


def _records(closed: pl.DataFrame) -> pl.DataFrame:
    """Losses count 1, the wins of a rate 0."""
    size = pl.col("size").fill_null("size unknown")
    return closed.select(
        object=pl.lit("deals"),
        external_id="external_id",
        name="name",
        contribution=(~pl.col("won")).cast(pl.Float64),
        note=pl.when("won")
        .then(pl.format("{}, won {}", size, "outcome_day"))
        .otherwise(
            pl.format(
                "{}, lost {}: {}",
                size,
                "outcome_day",
                stated(pl.col("loss_reason")).fill_null("no reason given"),
            )
        ),
    )


DIAGNOSIS = Diagnosis("win_rate_parts", "Who wins and why deals are lost", find, {"gap": 0})
