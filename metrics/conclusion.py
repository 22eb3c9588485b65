"""What follows from how the agreed KPIs changed: what is better, how each stands on its clock, and the verdict. Pure.

The three kinds are told in ``metrics.checkpoint``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from metrics.kpi import Unit
from metrics.playbook_parts import Checkpoint

State = Literal[
    "too_early", "improved", "on_target", "not_yet", "missed", "not_improved", "unknown", "not_judged"
]
Outcome = Literal[
    "too_early",
    "working",
    "not_working",
    "gaining",
    "no_gain_yet",
    "poor_fit",
    "on_course",
    "root_cause",
    "unknown",
]


@dataclass(frozen=True)
class Change:
    """One agreed KPI, then and now, each at the end of a month (``then_month``, ``month``).

    ``relative``: how much better, as a share of the baseline; negative is worse.

    ``reason``: why it cannot be compared, or what makes the number doubtful.
    """

    kpi: str
    title: str
    unit: Unit
    baseline: float | None
    now: float | None
    relative: float | None
    improved: bool
    state: State
    status: str
    then_month: str
    month: str
    due: tuple[date, date] | None = None
    reason: str | None = None


def better(
    then: float | None, now: float | None, higher_is_better: bool | None, noise: float
) -> tuple[bool, float | None]:
    """Whether a number has improved beyond noise, and by which share of the earlier one (negative: worse).

    A change from nought has no share; it counts when its direction is right.
    """
    if then is None or now is None or higher_is_better is None:
        return False, None
    # In decimals: from 1.00 to 1.05 is 5 % and not a hair more.
    before, after = Decimal(repr(then)), Decimal(repr(now))
    gain = after - before if higher_is_better else before - after
    if not before:
        return gain > 0, None
    return gain > Decimal(repr(noise)) * abs(before), float(gain / abs(before))


def state(
    improved: bool, status: str, due: tuple[date, date] | None, today: date, *, comparable: bool
) -> State:
    """How a KPI stands: by its clock (``due``), where there is one. ``comparable``: both numbers are there."""
    if due is None:
        return "improved" if improved else "not_improved"
    if today < due[0]:
        return "too_early"
    if improved:
        return "improved"
    if status == "on_target":
        return "on_target"
    if not comparable:
        return "unknown"
    return "missed" if today > due[1] else "not_yet"


def conclude(rules: Checkpoint, day: int, changes: Sequence[Change]) -> tuple[Outcome, str, str | None]:
    """The verdict, its sentence, and what to do next. ``day``: of the engagement, 1 on its first."""
    if rules.kind == "improvement":
        return _improvement(rules, day - 1, changes)
    if rules.kind == "leading":
        return _leading(rules, day - 1, changes)
    return _expected(rules, changes)


def _titles(changes: Sequence[Change]) -> str:
    return ", ".join(change.title for change in changes)


def _improvement(rules: Checkpoint, days: int, changes: Sequence[Change]) -> tuple[Outcome, str, str | None]:
    ups = [change for change in changes if change.improved]
    which = f" ({_titles(ups)})" if ups else ""
    found = f"{len(ups)} of {len(changes)} agreed KPIs improved by more than {rules.noise:.0%}{which};"
    found += f" {rules.needed} are needed"
    if days < rules.after_days:
        return (
            "too_early",
            f"Day {days + 1}: the verdict is due after {rules.after_days} days. So far {found}.",
            None,
        )
    if len(ups) >= rules.needed:
        return "working", f"{found}: the engagement is working.", None
    look = [change for change in changes if not change.improved and change.kpi in rules.actionable]
    first = f"Look first at {_titles(look)}, the most actionable." if look else None
    return "not_working", f"{found}: {rules.otherwise}", first


def _leading(rules: Checkpoint, days: int, changes: Sequence[Change]) -> tuple[Outcome, str, str | None]:
    if days < rules.after_days:
        return (
            "too_early",
            f"Day {days + 1} of {rules.after_days} diagnostic days: no KPI is judged yet.",
            f"Then {_titles(changes)} are read monthly.",
        )
    ups = [change for change in changes if change.improved]
    limit = rules.limit_days or rules.after_days
    if ups:
        return (
            "gaining",
            f"{_titles(ups)} improved since the baseline.",
            "ARR growth should follow within one or two quarters.",
        )
    nothing = f"neither {' nor '.join(change.title for change in changes)} improved since the baseline"
    if days < limit:
        return "no_gain_yet", f"Day {days + 1}: {nothing}.", f"Without a gain by day {limit} the fit is poor."
    return "poor_fit", f"Day {days + 1}: {nothing}: {rules.otherwise}.", rules.leave


def _expected(rules: Checkpoint, changes: Sequence[Change]) -> tuple[Outcome, str, str | None]:
    missed = [change for change in changes if change.state == "missed"]
    if missed:
        return (
            "root_cause",
            f"{_titles(missed)} should have improved by now: {rules.otherwise}.",
            "; ".join(part for part in ("Find the root cause of each", rules.leave) if part) + ".",
        )
    begun = [change for change in changes if change.state != "too_early"]
    if not begun:
        return "too_early", "No improvement is expected yet.", None
    good = [change for change in begun if change.state in ("improved", "on_target")]
    waiting = [change for change in begun if change.state == "not_yet"]
    unknown = [change for change in begun if change.state == "unknown"]
    if not good and not waiting:
        return "unknown", f"{_titles(unknown)} cannot be compared with the baseline.", None
    parts = [
        f"{_titles(good)} improved or on target" if good else "",
        f"{_titles(waiting)} not yet, and still in time" if waiting else "",
        f"{_titles(unknown)} cannot be compared" if unknown else "",
    ]
    return "on_course", f"{'; '.join(part for part in parts if part)}.", None
