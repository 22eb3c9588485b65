"""Whether a fractional CRO is the right choice for this company: the fit warnings of its playbook, with their numbers.

Source: definition book, section 7, and the source documents. What is not known (no team size in the configuration, no
ARR) warns of nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from metrics import compute
from metrics.condition import When
from metrics.facts import Facts
from metrics.judge import MEASURES
from metrics.kpi import Unit
from metrics.playbook import Playbook
from metrics.playbook_parts import CIRCUMSTANCES, Fit
from metrics.render import numbers
from metrics.scope import holds

_WEEKS = 13
_UNITS: dict[str, Unit] = {"company_arr": "currency"}


@dataclass(frozen=True)
class FitWarning:
    """``level``: warning, or remark. ``sentence``: the number, what it is compared with, what it means."""

    level: str
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return {"level": self.level, "sentence": self.sentence}


def warnings(facts: Facts, month: str, book: Playbook) -> tuple[FitWarning, ...]:
    """The fit warnings and remarks that apply in one of the facts' months, in the playbook's order."""
    found = []
    for fit in book.fit:
        when = next((one for one in fit.sets if holds(facts, month, one)), None)
        if when is not None:
            found.append(FitWarning(fit.level, _sentence(facts, month, fit, when)))
    return tuple(found)


def _sentence(facts: Facts, month: str, fit: Fit, when: When) -> str:
    named = "; ".join(
        text
        for name, test in when.items()
        if (text := _number(facts, month, name, test.words(_unit(name), facts.currency)))
    )
    early = f" The numbers to watch instead: {_early(facts, month)}." if fit.early else ""
    return f"{named}: {fit.says}.{early}" if named else f"{fit.says[:1].upper()}{fit.says[1:]}.{early}"


def _unit(name: str) -> Unit:
    kpi = compute.registered().get(name)
    return kpi.unit if kpi else _UNITS.get(name, "count")


def _number(facts: Facts, month: str, name: str, compared: str) -> str:
    """``Paying customers: 7, below 10``; nothing of a circumstance that is only true or false."""
    value = compute.raw_value(facts, name, None, month, None)
    if value is None or name in ("founder_led", "partner_led", "full_gtm"):
        return ""
    kpi = compute.registered().get(name)
    title = MEASURES[name] if name in CIRCUMSTANCES else kpi.title if kpi else name
    return (
        f"{title[:1].upper()}{title[1:]}: {numbers.quantity(value, _unit(name), facts.currency)}, {compared}"
    )


def _early(facts: Facts, month: str) -> str:
    """Qualified conversations a week and demo-to-close rate (HR-tech document)."""
    talks, rate = conversations_per_week(facts, month), demo_to_close(facts, month)
    said = "no meeting is known" if talks is None else f"{talks:.1f} qualified conversations a week"
    closed = (
        "no qualified deal was decided"
        if rate is None
        else f"a demo-to-close rate of {numbers.percent(rate)}"
    )
    return f"{said} and {closed} in {_WEEKS} weeks"


def conversations_per_week(facts: Facts, month: str) -> float | None:
    """Meetings held on new-business deals in the thirteen weeks up to D, per week; None where no meeting is known."""
    meetings = facts.live("meetings")
    if meetings.is_empty():
        return None
    day = facts.calendar.day(month)
    new = facts.deals.filter(pl.col("deal_type") == "new").select(deal_id="external_id")
    held = meetings.with_columns(on=facts.calendar.local_day(pl.col("starts_at"))).filter(
        pl.col("on").is_between(day - timedelta(days=7 * _WEEKS - 1), day)
        & pl.col("completed").fill_null(value=True)
    )
    return held.join(new, on="deal_id", how="semi").height / _WEEKS


def demo_to_close(facts: Facts, month: str) -> float | None:
    """Won of the qualified new-business deals decided in the thirteen weeks up to D; None where none was."""
    day = facts.calendar.day(month)
    decided = facts.deals.filter(
        (pl.col("deal_type") == "new")
        & pl.col("outcome").is_in(["won", "lost"])
        & pl.col("qualified_day").is_not_null()
        & pl.col("outcome_day").is_between(day - timedelta(days=7 * _WEEKS - 1), day)
    )
    return float((decided["outcome"] == "won").sum() / decided.height) if decided.height else None
