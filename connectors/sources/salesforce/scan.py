"""Paging through one ordered query, able to go on when the rest of its result is lost.

One query is sent and its pages are followed: no sort is paid for twice and no call is spent on less than a full
page. A locator dies with its session or when a user opens too many; then the query is asked again, for what
lies after the last position that is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from connectors.errors import SourceError, UnreachableError
from connectors.sources.salesforce.client import Answer
from connectors.sources.salesforce.faults import LostLocatorError, MissingFieldError

P = TypeVar("P")
log = structlog.get_logger(__name__)
_STALLS: Final = 5  # losses in a row without a step forward


class Queries(Protocol):
    """What a scan needs of a client."""

    def query(self, soql: str) -> Answer: ...

    def more(self, url: str) -> Answer: ...


@dataclass(frozen=True)
class Batch(Generic[P]):
    """Records of one answer. ``position`` is where to ask again; ``fresh``: the first of a query."""

    records: list[dict[str, Any]]
    position: P
    last: bool
    fresh: bool
    total: int


def scan(
    client: Queries,
    query: Callable[[P], str],
    position: P,
    advance: Callable[[list[dict[str, Any]], P], P],
    withdrawn: Callable[[], None] = lambda: None,
) -> Iterator[Batch[P]]:
    """Every record of ``query(position)``, answer by answer; at least one batch comes.

    ``advance`` moves the position over some records. ``withdrawn`` is called when a field of the query is no
    longer visible; ``query`` must then leave it out. After a loss some records may come a second time.
    """
    stalls = 0
    refused = ""
    while True:
        soql = query(position)
        try:
            answer = client.query(soql)
            fresh = True
            while True:
                moved = advance(answer.records, position)
                if moved != position:
                    stalls = 0
                position = moved
                yield Batch(answer.records, position, answer.more is None, fresh, answer.total)
                if answer.more is None:
                    return
                answer = client.more(answer.more)
                fresh = False
        except LostLocatorError as error:
            stalls += 1
            if stalls > _STALLS:
                raise UnreachableError(f"{error}; the result was lost {_STALLS} times in a row") from error
            log.warning("query restarted", error=str(error), position=str(position))
        except MissingFieldError as error:
            if refused == soql:
                raise SourceError(str(error)) from error
            refused = soql
            withdrawn()
            log.warning("field withdrawn", error=str(error))
