"""Queries as text (pure). Positions are those of a keyset, so that any page can be asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_WHERE_LIMIT: Final = 4_000  # characters of one WHERE clause
_ID_COST: Final = 21  # an id, its quotes and a comma


@dataclass(frozen=True)
class Position:
    """Where a reading stands in the order of SystemModstamp and Id: everything up to here is read.

    ``stamp`` as a SOQL literal, whole seconds. An empty ``id`` stands before every record of that second.
    """

    stamp: str
    id: str = ""


def literal(moment: datetime) -> str:
    """A SOQL instant, cut to whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(value: str) -> str:
    """A SOQL string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def changed(
    fields: Sequence[str], source: str, position: Position | None, conditions: Sequence[str] = ()
) -> str:
    """Records after ``position`` (None: all) in the order of their last change."""
    where = list(conditions)
    if position is not None and position.id:
        t, i = position.stamp, text(position.id)
        where.append(f"((SystemModstamp = {t} AND Id > {i}) OR SystemModstamp > {t})")
    elif position is not None:
        where.append(f"SystemModstamp >= {position.stamp}")
    return _select(fields, source, where, "SystemModstamp, Id")


def listed(fields: Sequence[str], source: str, after: str, conditions: Sequence[str] = ()) -> str:
    """All records in the order of their ids, after one."""
    where = [*conditions, *([f"Id > {text(after)}"] if after else [])]
    return _select(fields, source, where, "Id")


def count(source: str) -> str:
    """How many records there are, deleted ones not counted."""
    return " ".join(["SELECT COUNT() FROM", source])


def history(fields: Sequence[str], source: str, after: str, among: Sequence[str] = ()) -> str:
    """History rows, deal by deal in order of time; after one deal, or only of some."""
    where = [f"OpportunityId > {text(after)}"] if after else []
    if among:
        where.append(f"OpportunityId IN ({','.join(text(i) for i in among)})")
    return _select(fields, source, where, "OpportunityId, CreatedDate, Id")


def affected(source: str, since: str, after: str) -> str:
    """The deals whose history grew since an instant, in order, after one deal."""
    where = [f"SystemModstamp >= {since}", *([f"OpportunityId > {text(after)}"] if after else [])]
    return _select(["OpportunityId"], source, where, "OpportunityId, Id")


def chunks(deal_ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids in groups whose IN list, with room for the rest, stays within a WHERE clause's length."""
    size = (_WHERE_LIMIT - 200) // _ID_COST
    group: list[str] = []
    for deal_id in deal_ids:
        group.append(deal_id)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _select(fields: Sequence[str], source: str, where: Sequence[str], order: str) -> str:
    clause = ["WHERE", " AND ".join(where)] if where else []
    return " ".join(["SELECT", ", ".join(fields), "FROM", source, *clause, "ORDER BY", order])
