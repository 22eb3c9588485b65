"""What a data-quality rule is: a fault it knows, and how to find it in columns.

A rule is a module ``pipeline.rules.<id>`` with one frozen constant ``RULE: Rule``. Its docstring is its documentation.
Rules see frames as they are known at ``as_of``; for a moment of the past the caller hands over the frames of then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, cast

import polars as pl

from connectors import registry
from pipeline.company import Company
from pipeline.records import SourceInfo
from pipeline.required import measurable

Severity = Literal["error", "warning"]
Frames = Mapping[str, pl.DataFrame]

# What ``find`` returns: one row per fault. ``other_id`` is the partner of a pair, "" where there is none; ``message``
# says the fault in words, with the values, and without ids.
FOUND: Final = pl.Schema(
    {"external_id": pl.String, "other_id": pl.String, "owner_id": pl.String, "message": pl.String}
)
JUDGED: Final = pl.Schema(
    {
        "rule": pl.String,
        "object": pl.String,
        "external_id": pl.String,
        "other_id": pl.String,
        "owner_id": pl.String,
        "severity": pl.String,
        "message": pl.String,
    }
)


@dataclass(frozen=True)
class Rule:
    """One rule.

    ``object``: the table whose records it judges. ``tables``: all it reads. ``remedy``: what a person should do.
    ``needs``: (table, column) pairs without which it cannot judge; where the CRM hides one, it finds nothing.
    ``needs_one_of``: sets of such pairs, one of which must be there as a whole.
    """

    id: str
    object: str
    severity: Severity
    title: str
    remedy: str
    tables: tuple[str, ...]
    find: Callable[[Frames, Company, datetime], pl.DataFrame] = field(repr=False)
    needs: tuple[tuple[str, str], ...] = ()
    needs_one_of: tuple[tuple[tuple[str, str], ...], ...] = ()

    def measurable(self, info: SourceInfo | None) -> bool:
        """Whether this CRM, and our own configuration, show what the rule needs."""
        if info is None:
            return True
        ways = self.needs_one_of or ((),)
        return any(all(info.measurable(*cell) for cell in (*self.needs, *way)) for way in ways)

    def withheld(self, info: SourceInfo | None) -> str | None:
        """How to make it measurable, where it is not and the CRM or our configuration says how."""
        if info is None or self.measurable(info):
            return None
        cells = [*self.needs, *(cell for way in self.needs_one_of for cell in way)]
        states = [state for cell in cells if (state := info.state(*cell)) is not None]
        return next((state.remedy for state in states if state.state != "mapped" and state.remedy), None)


def rules() -> dict[str, Rule]:
    """Every rule there is, by id."""
    return cast("dict[str, Rule]", registry.units("pipeline.rules", "RULE"))


def judge(
    chosen: Iterable[Rule], frames: Frames, company: Company, info: SourceInfo | None, as_of: datetime
) -> pl.DataFrame:
    """What the chosen rules find, in schema ``JUDGED``; rules that cannot judge this CRM find nothing."""
    found = [pl.DataFrame(schema=JUDGED)]
    seen = tuple(name for name in company.required_deal_fields if measurable(info, name))
    company = company.model_copy(update={"required_deal_fields": seen})
    for rule in chosen:
        if rule.measurable(info):
            rows = rule.find(frames, company, as_of).select(list(FOUND)).cast(FOUND)
            named = rows.with_columns(
                rule=pl.lit(rule.id), object=pl.lit(rule.object), severity=pl.lit(rule.severity)
            )
            found.append(named.select(list(JUDGED)))
    return pl.concat(found)
