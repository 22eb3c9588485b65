"""The quality report: scores, the findings of every rule, and the fix list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from connectors.errors import ConfigurationError
from connectors.schema import iso
from pipeline import asof
from pipeline.company import Company
from pipeline.records import SourceInfo
from pipeline.rule import JUDGED, Frames, rules
from pipeline.scores import (
    Cleanliness,
    Completeness,
    GroupScore,
    cells_over,
    cleanliness,
    cleanliness_over,
    completeness,
    completeness_over,
    faults,
    named,
    opened_at,
    owner_names,
    standing_faults,
)
from pipeline.store import Store
from pipeline.tables import CHANGES

__all__ = [
    "GROUPS",
    "QUALITY_TABLES",
    "Cleanliness",
    "Completeness",
    "QualityReport",
    "build_report",
    "cells_over",
    "cleanliness",
    "cleanliness_over",
    "completeness",
    "completeness_over",
    "faults",
    "opened_at",
    "report",
    "standing_faults",
]

QUALITY_TABLES: Final = ("accounts", "contacts", "deals", "owners", "stages", *CHANGES)
GROUPS: Final = ("owner", "field", "rule", "segment")


_PART_READ: Final = "the CRM has not been read to its end yet: this counts only what was read so far"


@dataclass(frozen=True)
class QualityReport:
    """Everything ``boardline quality`` tells. ``findings``: the fix list, in the shape of ``quality --json``."""

    company: str
    as_of: datetime
    completeness: Completeness
    cleanliness: Cleanliness
    rules: tuple[dict[str, Any], ...]
    findings: tuple[dict[str, Any], ...]
    by: str | None = None
    groups: tuple[GroupScore, ...] = ()
    incomplete: bool = False  # the CRM has not been read to its end yet

    def as_json(self) -> dict[str, Any]:
        """The shape of ``quality --json``; ``parts``, ``reasons`` and, when asked for, ``groups`` stand beside it."""
        reasons = [
            _PART_READ if self.incomplete else None,
            self.completeness.reason,
            self.cleanliness.reason,
        ]
        document: dict[str, Any] = {
            "company": self.company,
            "as_of": iso(self.as_of),
            "score": self.cleanliness.score,
            "completeness": self.completeness.ratio,
            "cleanliness": self.cleanliness.score,
            "reasons": [reason for reason in reasons if reason],
            "parts": [vars(part) for part in self.cleanliness.parts],
            "fields": [vars(score) for score in self.completeness.fields],
            "rules": list(self.rules),
            "findings": list(self.findings),
        }
        if self.by is not None:
            document |= {"by": self.by, "groups": [_plain(group) for group in self.groups]}
        return document


def _plain(group: GroupScore) -> dict[str, Any]:
    return {name: value for name, value in vars(group).items() if name not in ("have", "want")}


def report(store: Store, company: Company, as_of: datetime, by: str | None = None) -> QualityReport:
    """The quality of a company's data from the store alone, as of a moment not after the last complete read.

    Raises ``ConfigurationError`` for a company that was never synced, and for an unknown ``by``.
    """
    if by is not None and by not in GROUPS:
        raise ConfigurationError(f"quality by {by!r} is not known; it is one of {', '.join(GROUPS)}")
    with store.reading() as reader:
        info = reader.source_info(company.name)
        frames = reader.frames(company.name, QUALITY_TABLES)
        seen = reader.findings(company.name, open_only=False)
    if info is None:
        raise ConfigurationError(f"{company.name}: nothing was synced yet; run `boardline sync --once` first")
    known_at = info.known(as_of)
    return build_report(asof.known_then(frames, known_at), company, info, known_at, seen, by)


def build_report(
    frames: Frames,
    company: Company,
    info: SourceInfo,
    as_of: datetime,
    seen: pl.DataFrame,
    by: str | None = None,
) -> QualityReport:
    """``report`` without the store. ``seen``: stored findings (``pipeline.store.FINDINGS``), for their first dates."""
    opened = opened_at(frames, company, [as_of], as_of)
    complete = completeness_over(opened, frames, company, info, [as_of], by)
    whole = complete[as_of]
    standing = standing_faults(frames, company, info, as_of)
    found = faults(frames, company, info, as_of, standing=standing)
    listed = _listed(found, frames, info, seen)
    counts = dict(found.group_by("rule").len().iter_rows())
    return QualityReport(
        company=company.name,
        as_of=as_of,
        completeness=whole,
        cleanliness=cleanliness_over(opened, frames, company, info, complete, as_of, standing)[as_of],
        rules=tuple(
            {"id": rule.id, "severity": rule.severity, "findings": counts.get(rule.id, 0)}
            for rule in rules().values()
        ),
        findings=tuple(listed.iter_rows(named=True)),
        by=by,
        groups=_groups(whole, found, frames, by),
        incomplete=info.incomplete,
    )


def _groups(
    whole: Completeness, found: pl.DataFrame, frames: Frames, by: str | None
) -> tuple[GroupScore, ...]:
    """Completeness and findings side by side, for the way of counting that was asked for."""
    if by is None:
        return ()
    if by == "field":
        return tuple(
            GroupScore(score.field, score.filled, score.required, score.ratio, score.required - score.filled)
            for score in whole.fields
        )
    if by == "rule":
        counts = dict(found.group_by("rule").len().iter_rows())
        return tuple(GroupScore(name, None, None, None, counts.get(name, 0)) for name in rules())
    keyed = found.with_columns(group="owner_id") if by == "owner" else _segments(found, frames)
    faulty = dict(named(keyed, frames, by).group_by("group").len().iter_rows())
    scored = [
        GroupScore(g.group, g.filled, g.required, g.ratio, faulty.pop(g.group, 0)) for g in whole.groups
    ]
    rest = [GroupScore(name, 0, 0, None, count) for name, count in sorted(faulty.items())]
    return tuple(sorted(scored + rest, key=lambda score: score.group))


def _segments(found: pl.DataFrame, frames: Frames) -> pl.DataFrame:
    """Findings with the segment of their deal or account; contacts have that of their account."""
    accounts = frames["accounts"].select("external_id", "segment")
    contacts = (
        frames["contacts"]
        .select("external_id", "account_id")
        .join(accounts, left_on="account_id", right_on="external_id", how="left")
        .drop("account_id")
    )
    deals = frames["deals"].select("external_id", "segment")
    known = pl.concat(
        frame.with_columns(object=pl.lit(name)).select("object", "external_id", group="segment")
        for name, frame in (("accounts", accounts), ("contacts", contacts), ("deals", deals))
    )
    return found.join(known, on=["object", "external_id"], how="left")


def _listed(found: pl.DataFrame, frames: Frames, info: SourceInfo, seen: pl.DataFrame) -> pl.DataFrame:
    key = ["rule", "object", "external_id", "other_id"]
    dated = seen.select(*key, "first_seen")
    links = [
        pl.when(pl.col("object") == name).then(pl.lit(before) + pl.col("external_id") + pl.lit(after))
        for name, (before, _, after) in ((name, link.partition("{id}")) for name, link in info.links.items())
    ]
    return (
        found.select(JUDGED.names())
        .join(dated, on=key, how="left")
        .join(owner_names(frames), on="owner_id", how="left")
        .sort(*key)
        .select(
            "rule",
            "object",
            "external_id",
            other_id=pl.when(pl.col("other_id") != "").then("other_id"),
            owner=pl.coalesce("owner", "owner_id"),
            message="message",
            url=pl.coalesce(*links) if links else pl.lit(None, pl.String),
            first_seen=pl.col("first_seen").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
    )
