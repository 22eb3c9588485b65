"""A CRM of a few random lives in memory: what may happen in it, and what it shows on any day.

One vocabulary for every test of how the past is kept. An event is a word and its arguments; ``happen`` makes it so:
deals are created, edited, deleted and restored, accounts merged, the sales process laid out anew, and rows of the
tables without a past put in, changed and deleted. What of a deal is in ``tracked`` the CRM hands over as history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from connectors.source import Capabilities, FieldState, Page, Stream
from pipeline.tables import KEYS
from tests.contract.fake_source import (
    ACCOUNTS,
    CONTACTS,
    DEALS,
    LEADS,
    LINE_ITEMS,
    MEETINGS,
    OWNERS,
    QUOTAS,
    RATES,
    STAGES,
    FakeSource,
    page,
)
from tests.rows import frame

Row = dict[str, Any]
Event = tuple[str, tuple[Any, ...]]

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LOGGED = ("stage", "amount")
# The tables of which nobody keeps a past, and the stream that fills each.
REST: Final = {
    "owners": OWNERS,
    "contacts": CONTACTS,
    "leads": LEADS,
    "line_items": LINE_ITEMS,
    "meetings": MEETINGS,
    "quotas": QUOTAS,
    "exchange_rates": RATES,
}
WITHOUT_CREATION: Final = ("owners", "exchange_rates")
ODDS: Final = {"A": 0.1, "N": 0.2, "B": 0.5, "C": 0.0, "W": 1.0}


def day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


@dataclass
class Crm:
    """A CRM that changes, one day after the other, and what it shows on any of them.

    A deal that was ``away`` was not shown to us for a while, of which the CRM's own history tells nothing.

    ``stages``: in their order; W is won, the others are closed where they are not in ``open_stages``.
    """

    deals: dict[str, Row] = field(default_factory=dict)
    accounts: dict[str, Row] = field(default_factory=dict)
    log: list[Row] = field(default_factory=list)
    open_stages: frozenset[str] = frozenset({"A", "B"})
    now: datetime = BEGIN
    tracked: tuple[str, ...] = LOGGED
    stages: str = "ABC"
    rest: dict[str, dict[str, Row]] = field(default_factory=dict)

    def create(self, key: str, values: Row) -> None:
        if key in self.deals:
            return
        values = values | {"account_id": self._survivor(values.get("account_id"))}
        self.deals[key] = {"external_id": key, "created_at": self.now, "modified_at": self.now, **values}
        for name in self.tracked:
            self._record(key, name, None, values.get(name))

    def late(self, key: str, days: int, values: Row) -> None:
        """A deal that we are shown only now, though it was created so many days ago."""
        if key not in self.deals:
            today, self.now = self.now, self.now - timedelta(days=days)
            self.create(key, values)
            self.now = today
            self.deals[key] |= {"modified_at": today, "away": True}

    def edit(self, key: str, name: str, value: Any) -> None:
        deal = self.deals.get(key)
        value = self._survivor(value) if name == "account_id" else value
        if deal is None or deal.get("deleted_at") or deal.get(name) == value:
            return
        if name in self.tracked:
            self._record(key, name, deal.get(name), value)
        deal |= {name: value, "modified_at": self.now}

    def _survivor(self, account: str | None) -> str | None:
        while account is not None and (into := self.accounts[account].get("merged_into")):
            account = into
        return account

    def _record(self, key: str, name: str, old: Any, new: Any) -> None:
        text = [None if value is None else str(value) for value in (old, new)]
        self.log.append(
            {"deal_id": key, "field": name, "changed_at": self.now, "seq": len(self.log)}
            | {"old_value": text[0], "new_value": text[1], "origin": "crm_history"}
        )

    def delete(self, key: str) -> None:
        if key in self.deals and not self.deals[key].get("deleted_at"):
            self.deals[key] |= {"deleted_at": self.now, "modified_at": self.now}

    def restore(self, key: str) -> None:
        if self.deals.get(key, {}).get("deleted_at"):
            self.deals[key] |= {"deleted_at": None, "modified_at": self.now, "away": True}

    def merge(self, loser: str, survivor: str) -> None:
        """Deals move to the survivor, and their last-change stamp stays as it was."""
        if loser == survivor or any(self.accounts[one].get("deleted_at") for one in (loser, survivor)):
            return
        self.accounts[loser] |= {"deleted_at": self.now, "merged_into": survivor, "modified_at": self.now}
        for deal in self.deals.values():
            if deal.get("account_id") == loser:
                deal["account_id"] = survivor

    def account(self, key: str, values: Row) -> None:
        """An account comes, or other values are entered on it."""
        if not self.accounts.get(key, {}).get("deleted_at"):
            known = self.accounts.setdefault(key, {"external_id": key, "created_at": self.now})
            known |= values | {"modified_at": self.now}

    def owner(self, key: str, owner: str) -> None:
        self.accounts[key] |= {"owner_id": owner, "modified_at": self.now}

    def layout(self, open_stages: str) -> None:
        self.open_stages = frozenset(open_stages)

    def lay(self, stages: str) -> None:
        """The sales process has other stages, in another order."""
        self.stages = stages

    def put(self, table: str, key: str, values: Row) -> None:
        """A row of a table without a past comes, or is another one from now on."""
        rows = self.rest.setdefault(table, {})
        if key not in rows:
            rows[key] = dict(zip(KEYS[table], key.split(" "), strict=True))
            if table not in WITHOUT_CREATION:
                rows[key]["created_at"] = self.now
        if not rows[key].get("deleted_at"):
            rows[key] |= values | {"modified_at": self.now}

    def drop(self, table: str, key: str) -> None:
        """A row of such a table is deleted."""
        row = self.rest.get(table, {}).get(key)
        if row is not None and not row.get("deleted_at"):
            row |= {"deleted_at": self.now, "modified_at": self.now}

    def laid_out(self) -> list[Row]:
        """The sales process as the CRM shows it."""
        return [
            {"pipeline": "p", "stage": stage, "sort_order": order, "is_closed": stage not in self.open_stages}
            | {"is_won": stage == "W", "probability": ODDS[stage], "active": True}
            for order, stage in enumerate(self.stages)
        ]

    def script(
        self, size: int | None = None, since: datetime | None = None, order: Sequence[Stream] | None = None
    ) -> dict[Stream, list[Page]]:
        """What a pass reads: all of it, or what was touched after ``since``; in pages of ``size`` records."""

        def new(rows: Iterable[Row]) -> list[list[Row]]:
            wanted = [row for row in rows if since is None or row["modified_at"] > since]
            step = size or max(len(wanted), 1)
            return [wanted[n : n + step] for n in range(0, len(wanted), step)] or [[]]

        plain = [{k: v for k, v in deal.items() if k != "away"} for deal in self.deals.values()]
        script = {
            OWNERS: self._pages("owners", new(self.rest.get("owners", {}).values())),
            STAGES: [page(stages=frame("stages", self.laid_out()))],
            RATES: self._pages("exchange_rates", [list(self.rest.get("exchange_rates", {}).values())]),
            ACCOUNTS: self._pages("accounts", new(self.accounts.values())),
            DEALS: [
                page(deals=frame("deals", rows), deal_changes=frame("deal_changes", self._of(rows)))
                for rows in new(plain)
            ],
        }
        for table in ("contacts", "leads", "line_items", "meetings", "quotas"):
            script[REST[table]] = self._pages(table, new(self.rest.get(table, {}).values()))
        shown = {stream: pages for stream, pages in script.items() if self._has(stream)}
        return {stream: shown[stream] for stream in order if stream in shown} if order else shown

    def _has(self, stream: Stream) -> bool:
        return stream.name not in REST or stream.name in self.rest

    def _pages(self, table: str, parts: list[list[Row]]) -> list[Page]:
        return [page(**{table: frame(table, rows)}) for rows in parts]

    def _of(self, deals: list[Row]) -> list[Row]:
        wanted = {deal["external_id"] for deal in deals}
        return [entry for entry in self.log if entry["deal_id"] in wanted]

    def source(self, **options: Any) -> FakeSource:
        return FakeSource(self.script(), **{"shown": shown(self.tracked), **options})


def shown(tracked: Iterable[str] = LOGGED, **fields: dict[str, FieldState]) -> Capabilities:
    return Capabilities("EUR", fields, {}, frozenset(tracked))


def happen(crm: Crm, event: Event) -> None:
    kind, arguments = event
    getattr(crm, kind)(*arguments)


def fresh() -> Crm:
    crm = Crm()
    for name in "abc":
        crm.accounts[name] = {"external_id": name, "created_at": BEGIN, "modified_at": BEGIN, "owner_id": "p"}
    return crm


keys, accounts = st.sampled_from("xyz"), st.sampled_from("abc")
values: dict[str, st.SearchStrategy[Any]] = {
    "stage": st.sampled_from("ABC"),
    "amount": st.none() | st.integers(0, 3),
    "owner_id": st.none() | st.sampled_from("pq"),
    "account_id": accounts,
    "arr": st.none() | st.integers(0, 3),
    "close_date": st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 3)),
    "pilot": st.none() | st.booleans(),
    "probability": st.none() | st.sampled_from([0.1, 0.25, 1.0]),
}


def edits(
    of: st.SearchStrategy[str], drawn: Mapping[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Event]:
    """One field of one deal is changed."""
    one = st.sampled_from(sorted(drawn)).flatmap(lambda name: st.tuples(of, st.just(name), drawn[name]))
    return st.tuples(st.just("edit"), one)


def of_deals(
    of: st.SearchStrategy[str], drawn: Mapping[str, st.SearchStrategy[Any]]
) -> list[st.SearchStrategy[Event]]:
    """What may happen to the deals ``of``, whose fields take the values ``drawn``."""
    return [
        st.tuples(st.just("create"), st.tuples(of, st.fixed_dictionaries(dict(drawn)))),
        edits(of, drawn),
        edits(of, drawn),
        st.tuples(st.just("delete"), st.tuples(of)),
        st.tuples(st.just("restore"), st.tuples(of)),
        st.tuples(
            st.just("late"), st.tuples(of, st.sampled_from([1, 30, 200]), st.fixed_dictionaries(dict(drawn)))
        ),
    ]


events: st.SearchStrategy[Event] = st.one_of(
    *of_deals(keys, values),
    st.tuples(st.just("merge"), st.tuples(accounts, accounts)),
    st.tuples(st.just("owner"), st.tuples(accounts, st.sampled_from("pq"))),
    st.tuples(st.just("layout"), st.tuples(st.sampled_from(["AB", "A", "ABC"]))),
)
