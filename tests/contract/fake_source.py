"""A CRM of a few pages in memory: our own protocol, nothing of a real CRM's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

from connectors.source import Capabilities, Cursor, FieldState, Page, Stream

OWNERS, STAGES = Stream("owners", ("owners",)), Stream("stages", ("stages",))
ACCOUNTS, CONTACTS = Stream("accounts", ("accounts",)), Stream("contacts", ("contacts",))
DEALS = Stream("deals", ("deals", "deal_changes"))
LEADS, LINE_ITEMS = Stream("leads", ("leads",), optional=True), Stream("line_items", ("line_items",))
MEETINGS, QUOTAS = Stream("meetings", ("meetings",)), Stream("quotas", ("quotas",), optional=True)
RATES = Stream("exchange_rates", ("exchange_rates",), optional=True)

CAPABILITIES = Capabilities(
    home_currency="EUR",
    fields={"deals": {"amount": FieldState("mapped", "Amount")}},
    links={"deals": "https://crm.example/{id}"},
    history=frozenset({"stage", "amount"}),
)


def page(**frames: pl.DataFrame) -> Page:
    """A page whose place in the pass the source fills in."""
    return Page(frames, {}, last=False)


@dataclass
class FakeSource:
    """Gives the pages of each stream in order; its cursor counts the pages read.

    ``faults``: raised instead of a page.
    """

    script: Mapping[Stream, Sequence[Page]]
    shown: Capabilities = CAPABILITIES
    faults: dict[tuple[str, int], Exception] = field(default_factory=dict)
    refusal: Exception | None = None
    name: str = "fake"
    requests: int = 0
    asked: list[tuple[str, Cursor | None]] = field(default_factory=list)
    closed: bool = False

    def streams(self) -> tuple[Stream, ...]:
        return tuple(self.script)

    def capabilities(self) -> Capabilities:
        self.requests += 1
        if self.refusal is not None:
            raise self.refusal
        return self.shown

    def read(self, stream: Stream, cursor: Cursor | None, since: datetime | None = None) -> Iterator[Page]:
        self.asked.append((stream.name, cursor))
        pages = self.script[stream]
        start = 0 if cursor is None else int(cursor["next"])
        if start >= len(pages):
            self.requests += 1
            yield Page({}, {"next": start}, last=True)
        for number in range(start, len(pages)):
            self.requests += 1
            if (stream.name, number) in self.faults:
                raise self.faults[stream.name, number]
            ends = number == len(pages) - 1
            yield replace(
                pages[number], cursor={"next": number + 1}, last=ends, total=sum(map(_height, pages))
            )

    def close(self) -> None:
        self.closed = True


def _height(one: Page) -> int:
    return sum(frame.height for frame in one.frames.values())
