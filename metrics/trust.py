"""How far the records can be trusted, in the board's words: the scores that ``kpis`` prints, and the findings."""

from __future__ import annotations

import polars as pl

from metrics.board import CleanPart, OwnerCount, Quality, RuleCount
from metrics.facts import Facts
from pipeline.rule import rules
from pipeline.scores import Cleanliness, Completeness, faults


def quality(facts: Facts, month: str) -> Quality:
    """Scores and findings at D of a month of the facts, as known now."""
    found = faults(
        facts.raw_frames,
        facts.company,
        facts.info,
        facts.moments[month],
        facts.known_at,
        facts.standing_faults,
    )
    threshold = facts.company.completeness_threshold
    return read(facts.completeness[month], facts.cleanliness[month], found, threshold)


def read(complete: Completeness, clean: Cleanliness, found: pl.DataFrame, threshold: float) -> Quality:
    """The scores and findings (columns rule, owner_id) side by side. ``threshold``: the gate of completeness, 0..1."""
    counts = dict(found.group_by("rule").len().iter_rows())
    owners = (
        found["owner_id"].drop_nulls().value_counts().sort(["count", "owner_id"], descending=[True, False])
    )
    return Quality(
        completeness=complete.ratio,
        cleanliness=clean.score,
        threshold=threshold,
        reasons=tuple(reason for reason in (complete.reason, clean.reason) if reason),
        fields=complete.fields,
        parts=tuple(CleanPart(part.label, part.share, part.weight, part.reason) for part in clean.parts),
        rules=tuple(RuleCount(rule.id, rule.severity, counts.get(rule.id, 0)) for rule in rules().values()),
        owners=tuple(OwnerCount(owner, count) for owner, count in owners.iter_rows()),
    )
