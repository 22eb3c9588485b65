"""The quality run as the board sees it: scores and counts, from the same document that ``quality --json`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from metrics.board import CleanPart, FieldScore, OwnerCount, Quality, RuleCount
from pipeline.company import Company
from pipeline.quality import report as quality_report
from pipeline.store import Store


def quality(store: Store, company: Company, as_of: datetime) -> Quality:
    """Scores and findings as of a moment."""
    return read(quality_report(store, company, as_of).as_json(), company.completeness_threshold)


def read(document: Mapping[str, Any], threshold: float) -> Quality:
    """A quality document in the board's words. ``threshold``: the gate of completeness, 0..1."""
    owners = Counter(finding["owner"] for finding in document["findings"] if finding["owner"])
    return Quality(
        completeness=document["completeness"],
        cleanliness=document["cleanliness"],
        threshold=threshold,
        reasons=tuple(document["reasons"]),
        fields=tuple(
            FieldScore(
                object=field["object"],
                field=field["field"],
                filled=field["filled"],
                required=field["required"],
                ratio=field["ratio"],
                measurable=field["measurable"],
            )
            for field in document["fields"]
        ),
        parts=tuple(
            CleanPart(part["label"], part["share"], part["weight"], part["reason"])
            for part in document["parts"]
        ),
        rules=tuple(RuleCount(rule["id"], rule["severity"], rule["findings"]) for rule in document["rules"]),
        owners=tuple(OwnerCount(owner, count) for owner, count in owners.most_common()),
    )
