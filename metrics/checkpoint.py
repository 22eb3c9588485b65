"""The checkpoint of an engagement: what has become of the agreed KPIs since the baseline, and what that means.

Three kinds, as the playbooks' source documents have them, never mixed (definition book, sections 7 and 9):

- improvement (HR tech): from day 90 on, at least three of the five to seven agreed KPIs must be better than the
  baseline, in the right direction and by more than 5 %;
- leading (developer tools): no KPI is judged in the first 90 days; then NRR and weighted coverage are read monthly, and
  without any gain by day 120 the fit is poor;
- expectations (supply chain): each KPI has its own clock, velocity and forecast 60 to 90 days, NRR and ARR growth 6 to
  9 months; one that is neither better nor on target when its time is over calls for a root-cause analysis.

Money of a quarter and the forecast's error are compared over the last full quarters by then and by now, everything else
at the ends of the last full months. A KPI that is undefined, then or now, is not better. One without a better
direction cannot be agreed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from connectors.errors import ConfigurationError
from metrics import baseline, compute, fit
from metrics.baseline import Baseline, Number
from metrics.conclusion import Change, Outcome, better, conclude, state
from metrics.facts import Facts
from metrics.fit import FitWarning
from metrics.judge import Judge
from metrics.kpi import KpiValue, Unit
from metrics.period import month_of, months_between, shift
from metrics.playbook import Playbook
from metrics.playbook_parts import Checkpoint
from pipeline.company import Company
from pipeline.store import Store

_AFTERWARDS: Final = ("forecast_accuracy_error",)
_NO_QUARTER: Final = "no fiscal quarter has ended since the baseline"


@dataclass(frozen=True)
class Reading:
    """One KPI at the end of one month."""

    month: str
    kpi: str
    value: float | None
    unit: Unit


@dataclass(frozen=True)
class CheckpointReport:
    """``day``: of the engagement, 1 on its first. ``verdict`` with its ``sentence``; ``due``: when it is final."""

    company: str
    playbook: str
    kind: str
    engagement_start: date
    day: int
    due: date
    month: str
    known_at: datetime
    baseline: Baseline
    verdict: Outcome
    sentence: str
    next: str | None
    changes: tuple[Change, ...]
    readings: tuple[Reading, ...]
    fit: tuple[FitWarning, ...]
    currency: str

    def as_json(self) -> dict[str, Any]:
        """For ``checkpoint --json``."""

        def written(value: float | None, unit: Unit) -> Any:
            return compute.printed(value, unit, self.currency)

        return {
            "company": self.company,
            "playbook": self.playbook,
            "kind": self.kind,
            "engagement_start": self.engagement_start,
            "day": self.day,
            "due": self.due,
            "month": self.month,
            "known_at": self.known_at,
            "currency": self.currency,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "next": self.next,
            "improved": sum(change.improved for change in self.changes),
            "baseline": baseline_json(self.baseline),
            "kpis": [
                {
                    "id": change.kpi,
                    "unit": change.unit,
                    "baseline": written(change.baseline, change.unit),
                    "now": written(change.now, change.unit),
                    "relative": change.relative,
                    "improved": change.improved,
                    "state": change.state,
                    "status": change.status,
                    "due_from": change.due[0] if change.due else None,
                    "due_to": change.due[1] if change.due else None,
                    "baseline_month": change.then_month,
                    "month": change.month,
                    "reason": change.reason,
                }
                for change in self.changes
            ],
            "monthly": [
                {"month": one.month, "id": one.kpi, "value": written(one.value, one.unit)}
                for one in self.readings
            ],
            "fit": [warning.as_json() for warning in self.fit],
        }


def baseline_json(kept: Baseline) -> dict[str, Any]:
    """What is said of a baseline."""
    return {
        "month": kept.month,
        "quarter": kept.quarter,
        "known_at": kept.known_at,
        "taken_at": kept.taken_at,
        "frozen": kept.taken_at is not None,
        "digest": kept.digest,
        "note": kept.note,
    }


def checkpoint(
    store: Store, company: Company, book: Playbook, as_of: datetime, now: datetime, month: str | None = None
) -> CheckpointReport:
    """Where the engagement stands at ``as_of``; the baseline is frozen at ``now`` where that has not been done.

    ``month``: whose numbers are compared; the last full one before ``as_of`` where not given. Raises
    ``ConfigurationError`` where the engagement has no beginning, or has not begun by ``as_of``; for KPIs that cannot be
    agreed; for a playbook without a checkpoint.
    """
    rules = book.checkpoint
    if rules is None:
        raise ConfigurationError(
            f"playbook {book.name} has no checkpoint; add one, or extend a shipped playbook"
        )
    _, began = baseline.month_and_moment(company)
    if as_of <= began or company.engagement_start is None:
        raise ConfigurationError(
            f"companies.{company.name}.engagement_start: the engagement begins on {company.engagement_start}, after "
            f"{as_of.astimezone(company.zone):%Y-%m-%d}; name a later moment"
        )
    names = agreed(company, rules)
    kept = baseline.frozen(store, company, book, now)
    today = as_of.astimezone(company.zone).date()
    month = month or shift(month_of(today), -1)
    if month < kept.month:
        raise ConfigurationError(
            f"--month: {month} lies before the baseline of {kept.month}; name a later month"
        )
    since = months_between(kept.month, month)
    with store.reading() as reader:
        ends = (month, baseline.full_quarter(company, month))
        months = {*since, *(shift(end, -back) for end in ends for back in book.looks_back)}
        facts = Facts.load(reader, company, sorted(months), as_of)
    values = {
        (value.id, value.month): value
        for value in compute.compute(
            facts, [name for name in names if name in compute.registered()], judge=Judge(book)
        )
    }
    day = (today - company.engagement_start).days + 1
    start, quarter = company.engagement_start, baseline.full_quarter(company, month)
    changes = tuple(
        _change(
            name,
            kept,
            values.get((name, quarter if by_quarter(name) else month)),
            rules,
            clock(book, rules, name, start),
            today,
        )
        for name in names
    )
    if rules.kind == "leading" and day <= rules.after_days:
        changes = tuple(replace(one, relative=None, improved=False, state="not_judged") for one in changes)
    verdict, sentence, after = conclude(rules, day, changes)
    return CheckpointReport(
        company=company.name,
        playbook=book.title,
        kind=rules.kind,
        engagement_start=company.engagement_start,
        day=day,
        due=_due(rules, start, changes),
        month=month,
        known_at=facts.known_at,
        baseline=kept,
        verdict=verdict,
        sentence=sentence,
        next=after,
        changes=changes,
        readings=_readings(rules, day, since, values, names),
        fit=fit.warnings(facts, month, book),
        currency=facts.currency,
    )


def agreed(company: Company, rules: Checkpoint) -> tuple[str, ...]:
    """The KPIs that are compared: those of the configuration, else the playbook's. The leading ones are the
    playbook's alone.

    Raises ``ConfigurationError`` for too few or too many, and for one that has no better direction.
    """
    names = rules.kpis if rules.kind == "leading" else company.engagement.agreed_kpis or rules.kpis
    where = f"companies.{company.name}.engagement.agreed_kpis"
    few, many = rules.fewest or 1, rules.most or len(names)
    if not few <= len(names) <= many:
        raise ConfigurationError(
            f"{where}: {len(names)} are agreed, and {few} to {many} are needed; name as many"
        )
    for name in names:
        kpi = compute.registered().get(name)
        if kpi is not None and kpi.higher_is_better is None:
            raise ConfigurationError(f"{where}: {name} has no better direction; agree on another one")
    return names


def by_quarter(kpi: str) -> bool:
    """Whether a KPI can only be compared over full quarters: money of a quarter that is not over has not all come in,
    and a forecast's error is known when its quarter is."""
    found = compute.registered().get(kpi)
    return (
        found is not None and found.period == "quarter" and (found.unit == "currency" or kpi in _AFTERWARDS)
    )


def clock(book: Playbook, rules: Checkpoint, kpi: str, start: date) -> tuple[date, date] | None:
    """From when to when an improvement of a KPI is expected; None where the checkpoint goes by no clock."""
    if rules.kind != "expectations":
        return None
    found = next((one for one in book.expectations if kpi in one.kpis), None)
    first, last = (found.from_days, found.to_days) if found else (0, rules.after_days)
    return start + timedelta(days=first), start + timedelta(days=last)


def _due(rules: Checkpoint, start: date, changes: Sequence[Change]) -> date:
    """The day on which the verdict is final."""
    if rules.kind == "expectations":
        return max((change.due[1] for change in changes if change.due), default=start)
    return start + timedelta(days=rules.limit_days or rules.after_days)


def _change(
    name: str,
    kept: Baseline,
    value: KpiValue | None,
    rules: Checkpoint,
    due: tuple[date, date] | None,
    today: date,
) -> Change:
    then_month = kept.quarter if by_quarter(name) else kept.month
    before = kept.number(name, then_month)
    kpi = compute.registered().get(name)
    now = value.value if value else None
    reason = _incomparable(before, value, kept)
    then = None if reason else before.value
    improved, relative = better(then, now, kpi.higher_is_better if kpi else None, rules.noise)
    status = value.status if value else "not_computable"
    return Change(
        kpi=name,
        title=kpi.title if kpi else name,
        unit=kpi.unit if kpi else "count",
        baseline=before.value,
        now=now,
        relative=relative,
        improved=improved,
        state=state(improved, status, due, today, comparable=reason is None),
        status=status,
        then_month=then_month,
        month=value.month if value else kept.month,
        due=due,
        reason=reason or _doubt(before, value),
    )


def _incomparable(before: Number, value: KpiValue | None, kept: Baseline) -> str | None:
    if value is None:
        return "this version does not compute it"
    if value.month == (kept.quarter if by_quarter(value.id) else kept.month):
        return "no month has ended since the baseline" if not by_quarter(value.id) else _NO_QUARTER
    if before.value is None:
        return f"no baseline: {before.reason}"
    if value.value is None:
        return "; ".join(value.reasons) or "undefined"
    if before.definition != value.definition:
        return f"the baseline was defined otherwise ({before.definition})"
    if value.unit == "currency" and kept.currency != value.currency:
        return f"the baseline is in {kept.currency}"
    return None


def _doubt(before: Number, value: KpiValue | None) -> str | None:
    doubtful = {"unreliable": "unreliable", "low_sample": "low sample"}
    parts = [
        f"{when}: {doubtful[status]}"
        for when, status in (("baseline", before.status), ("now", value.status if value else ""))
        if status in doubtful
    ]
    return "; ".join(parts) or None


def _readings(
    rules: Checkpoint,
    day: int,
    since: Sequence[str],
    values: dict[tuple[str, str], KpiValue],
    names: Sequence[str],
) -> tuple[Reading, ...]:
    """The months since the baseline of the leading KPIs, once they are judged at all."""
    if rules.kind != "leading" or day - 1 < rules.after_days:
        return ()
    return tuple(
        Reading(month, name, found.value, found.unit)
        for month in since
        for name in names
        if (found := values.get((name, month))) is not None
    )
