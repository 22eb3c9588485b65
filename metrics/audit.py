"""The 30-day audit of a revenue system: its data, its numbers so far, where deals are won, lost and parked, and a plan.

Plain data, from the store alone.

Contents as the definition book lists them (section 7, from the dev-tools document): completeness, cleanliness and stage
validity; four to eight quarters of KPIs, rebuilt from history as known now; wins and losses of the trailing four
quarters; the age of running pilots; what was found out about sales methodology and compensation; then a plan with a
target for each headline KPI. The baseline is frozen with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import polars as pl

from metrics import baseline, compute, fit, pilots, scope, trust
from metrics.baseline import Baseline
from metrics.board import Quality
from metrics.checkpoint import baseline_json
from metrics.diagnose import diagnose
from metrics.facts import Facts
from metrics.finding import Finding
from metrics.fit import FitWarning
from metrics.judge import Judge
from metrics.kpi import KpiValue
from metrics.period import month_of, shift
from metrics.playbook import Playbook
from metrics.words import UNKNOWN, stated
from pipeline.company import Company
from pipeline.store import Store

QUARTERS: Final = 8
FEWEST_QUARTERS: Final = 4
LASTS: Final = 30  # days
_STAGE_RULES: Final = ("invalid_stage", "overdue_close_date")
_CUTS: Final = ("size", "industry", "motion")


@dataclass(frozen=True)
class Group:
    """Closed new-business deals of one segment, or lost for one reason. ``value``: ARR in minor units."""

    by: str
    name: str
    won: int
    lost: int
    value_won: int
    value_lost: int


@dataclass(frozen=True)
class Pilot:
    """A pilot that is running; ``age`` in days."""

    external_id: str
    name: str
    since: date
    age: int


@dataclass(frozen=True)
class Step:
    """One line of the 90-day plan: a headline KPI, where it stands, what it should become, what to look at."""

    kpi: str
    title: str
    now: KpiValue
    target: str | None
    look_at: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """``quarters``: the last months of full fiscal quarters, oldest first. ``known_quarters``: how many of them began
    after the CRM's first deal.
    """

    company: str
    playbook: str
    month: str
    known_at: datetime
    currency: str
    day: int | None
    quality: Quality
    stage_faults: Mapping[str, int]
    open_deals: int
    quarters: tuple[str, ...]
    known_quarters: int
    history: tuple[KpiValue, ...]
    groups: tuple[Group, ...]
    pilots: tuple[Pilot, ...]
    pilot_limit: int
    questions: tuple[str, ...]
    methodology: str | None
    compensation: str | None
    fit: tuple[FitWarning, ...]
    findings: tuple[Finding, ...]
    plan: tuple[Step, ...]
    baseline: Baseline | None
    baseline_note: str | None


def audit(
    store: Store, company: Company, book: Playbook, as_of: datetime, now: datetime, month: str | None = None
) -> Audit:
    """The audit of a company as known at ``as_of``, of the last full month where ``month`` is not given.

    The baseline is frozen at ``now`` where the engagement has begun and that has not been done.
    """
    today = as_of.astimezone(company.zone).date()
    month = month or shift(month_of(today), -1)
    with store.reading() as reader:
        facts = Facts.load(reader, company, _months(company, book, month, as_of), as_of)
    links = facts.info.links if facts.info else {}
    judge = Judge(book)
    quarters = _quarters(facts, month)
    names, _ = scope.scorecard(facts, month, book)
    values = compute.compute(facts, names, judge=judge)
    findings = diagnose(facts, month, book, links)
    quality = trust.quality(facts, month)
    kept, note = _baseline(store, company, book, now)
    start = company.engagement_start
    return Audit(
        company=company.name,
        playbook=book.title,
        month=month,
        known_at=facts.known_at,
        currency=facts.currency,
        day=None if start is None else (today - start).days + 1,
        quality=quality,
        stage_faults={rule.rule: rule.findings for rule in quality.rules if rule.rule in _STAGE_RULES},
        open_deals=facts.open_deals.filter(pl.col("at") == facts.moments[month]).height,
        quarters=quarters,
        known_quarters=_known_quarters(facts, quarters),
        history=tuple(value for value in values if value.month in quarters),
        groups=tuple(_groups(facts, month)),
        pilots=tuple(_pilots(facts, month)),
        pilot_limit=pilots.limit(facts),
        questions=book.audit,
        methodology=company.engagement.methodology,
        compensation=company.engagement.compensation,
        fit=fit.warnings(facts, month, book),
        findings=findings,
        plan=_plan(facts, month, book, values, findings),
        baseline=kept,
        baseline_note=note,
    )


def _months(company: Company, book: Playbook, month: str, as_of: datetime) -> Sequence[str]:
    """The month with what the playbook and the diagnoses look back at, and the ends of the quarters before it."""
    back = {*range(12 + 1), *book.looks_back, *range(3 * (QUARTERS + 1))}
    return [shift(month, -months) for months in sorted(back)]


def _quarters(facts: Facts, month: str) -> tuple[str, ...]:
    """The last months of the last eight fiscal quarters that were over by the end of the month, oldest first."""
    rows = facts.periods.filter(pl.col("month") <= month, pl.col("day") == pl.col("quarter_last"))
    return tuple(rows.sort("month")["month"].tail(QUARTERS))


def _known_quarters(facts: Facts, quarters: Sequence[str]) -> int:
    first = facts.deals["created_day"].min()
    if not isinstance(first, date):
        return 0
    began = facts.periods.filter(pl.col("month").is_in(list(quarters)), pl.col("quarter_first") >= first)
    return began.height


def _baseline(
    store: Store, company: Company, book: Playbook, now: datetime
) -> tuple[Baseline | None, str | None]:
    """The frozen baseline; None, with the reason, where the engagement has no beginning or lies ahead."""
    start = company.engagement_start
    if start is None:
        return None, "no baseline: engagement_start is not set in the configuration"
    if baseline.month_and_moment(company)[1] >= now:
        return None, f"no baseline yet: the engagement begins on {start}"
    kept = baseline.frozen(store, company, book, now)
    return kept, kept.note


def _groups(facts: Facts, month: str) -> list[Group]:
    """Wins and losses of the trailing four quarters by segment, and losses by reason; the largest group first."""
    period = facts.periods.row(by_predicate=pl.col("month") == month, named=True)
    decided = facts.deals.filter(
        (pl.col("deal_type") == "new")
        & pl.col("outcome").is_in(["won", "lost"])
        & pl.col("qualified_day").is_not_null()
        & pl.col("outcome_day").is_between(period["trailing_first"], period["day"])
    )
    rows = facts.rates.convert(decided, "arr_value", "outcome_day", "value").with_columns(
        won=pl.col("outcome") == "won", loss_reason=stated(pl.col("loss_reason"))
    )
    lost = rows.filter(~pl.col("won"))
    found = [("all deals", rows.with_columns(_name=pl.lit("all")))]
    found += [(cut, rows.with_columns(_name=pl.col(cut).fill_null(UNKNOWN))) for cut in _CUTS]
    found += [("loss reason", lost.with_columns(_name=pl.col("loss_reason").fill_null("no reason given")))]
    return [Group(by, *row) for by, frame in found for row in _counted(frame).iter_rows()]


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    value, won = pl.col("value").fill_null(0), pl.col("won")
    return (
        rows.group_by("_name")
        .agg(
            won.sum().alias("wins"),
            (~won).sum().alias("losses"),
            value_won=value.filter(won).sum(),
            value_lost=value.filter(~won).sum(),
        )
        .sort(pl.col("wins") + pl.col("losses"), "_name", descending=[True, False])
    )


def _pilots(facts: Facts, month: str) -> list[Pilot]:
    """The pilots running at D, the oldest first."""
    rows = facts.once(pilots.running).filter(pl.col("month") == month)
    return [
        Pilot(row["external_id"], row["name"] or "", row["entry"], row["age"])
        for row in rows.sort("age", "external_id", descending=[True, False]).iter_rows(named=True)
    ]


def _plan(
    facts: Facts, month: str, book: Playbook, values: Sequence[KpiValue], findings: Sequence[Finding]
) -> tuple[Step, ...]:
    """The headline KPIs with their targets, and what the findings say of each."""
    names, _ = scope.scorecard(facts, month, book)
    shifted = [one for one in book.shifts if any(scope.holds(facts, month, when) for when in one.sets)]
    wanted = shifted[0].headline if shifted else book.headline
    now = {value.id: value for value in values if value.month == month}
    return tuple(
        Step(
            kpi=name,
            title=now[name].title,
            now=now[name],
            target=now[name].target,
            look_at=tuple(finding.next for finding in findings if finding.kpi == name),
        )
        for name in names
        if name in wanted
    )


def as_json(made: Audit) -> dict[str, Any]:
    """The document of ``audit --json``."""

    def money(minor: float) -> Any:
        return compute.printed(minor, "currency", made.currency)

    quality = made.quality
    return {
        "company": made.company,
        "playbook": made.playbook,
        "month": made.month,
        "known_at": made.known_at,
        "currency": made.currency,
        "day": made.day,
        "baseline": baseline_json(made.baseline) if made.baseline else None,
        "baseline_note": made.baseline_note,
        "quality": {
            "completeness": quality.completeness,
            "cleanliness": quality.cleanliness,
            "threshold": quality.threshold,
            "reasons": list(quality.reasons),
            "fields": [vars(field) for field in quality.fields],
            "parts": [vars(part) for part in quality.parts],
            "rules": [vars(rule) for rule in quality.rules],
        },
        "stages": {"open_deals": made.open_deals, "findings": dict(made.stage_faults)},
        "quarters": list(made.quarters),
        "known_quarters": made.known_quarters,
        "history": compute.as_json(made.history, made.company, made.known_at, made.currency)["kpis"],
        "wins_and_losses": [
            {**vars(group), "value_won": money(group.value_won), "value_lost": money(group.value_lost)}
            for group in made.groups
        ],
        "pilots": {"limit_days": made.pilot_limit, "running": [vars(pilot) for pilot in made.pilots]},
        "methodology": made.methodology,
        "compensation": made.compensation,
        "questions": list(made.questions),
        "fit": [warning.as_json() for warning in made.fit],
        "findings": [finding.as_json(compute.printed) for finding in made.findings],
        "plan": [
            {
                "kpi": step.kpi,
                "now": compute.printed(step.now.value, step.now.unit, made.currency),
                "unit": step.now.unit,
                "status": step.now.status,
                "target": step.target,
                "look_at": list(step.look_at),
            }
            for step in made.plan
        ],
    }
