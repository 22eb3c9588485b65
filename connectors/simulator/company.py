"""A generated company that sells software to other companies: everything that ever happened in its CRM.

Every number of it follows from its parameters. Accounts are written in groups of ten neighbours, each from its
own random numbers, and handed on at once: a company of any size streams through bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from connectors.simulator.lives import shared
from connectors.simulator.lives.accounts import GROUP, Account, identity, link_parent, plan_group
from connectors.simulator.lives.days import Days, Density, add_months
from connectors.simulator.lives.scene import Mark, Record, Scene, Setting
from connectors.simulator.lives.story import Story
from connectors.simulator.lives.verticals import VERTICALS
from connectors.simulator.world import Kind, Life


@dataclass(frozen=True)
class Parameters:
    """What a simulated company is made from.

    ``end`` is the first day after its history: by default the clock stands at that midnight (``as_of``).
    Events go on for ``future_months`` after it, so that a clock moved on finds changes. ``deals`` counts all
    deals, the future ones included; it is met within a few per cent from about five deals per account on.
    ``defects`` scales the data-quality faults (0 none, 1 a usual CRM), ``seasonality`` the yearly swing.
    """

    vertical: str
    end: date
    seed: int = 7
    accounts: int = 300
    deals: int = 3000
    months: int = 36
    future_months: int = 2
    defects: float = 1.0
    seasonality: float = 1.0
    timezone: str = "America/New_York"
    home_currency: str = "USD"

    def __post_init__(self) -> None:
        if self.vertical not in VERTICALS:
            raise ValueError(f"there is no vertical {self.vertical!r}; choose from {', '.join(VERTICALS)}")
        if self.accounts < 1 or self.deals < self.accounts or self.months < 1 or self.future_months < 0:
            raise ValueError("a company needs an account, a deal for each account, and a month of history")
        if self.defects < 0 or self.seasonality < 0:
            raise ValueError("defects and seasonality cannot be negative")
        if self.home_currency != "USD":
            raise ValueError("the simulated company keeps its books in USD")

    @property
    def start(self) -> date:
        """The company's first day."""
        return add_months(self.end, -self.months)

    @property
    def as_of(self) -> int:
        """Where the clock stands by default: the midnight that ends history, in epoch seconds."""
        return int(datetime.combine(self.end, time(0), ZoneInfo(self.timezone)).timestamp())


class Company:
    """The world made from the parameters (see ``World``); iterating again gives the same lives again."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = p = parameters
        vertical = VERTICALS[p.vertical]
        self.name = vertical.company
        self.timezone = p.timezone
        self.home_currency = p.home_currency
        self.start = p.start
        self.end = add_months(p.end, p.future_months)
        self.stages = vertical.stages
        self.as_of = p.as_of
        days = Days(self.start, p.end, self.end, ZoneInfo(p.timezone))
        pace = p.deals / p.accounts / (days.horizon / 365 * 0.53)
        self._setting = Setting(
            vertical=vertical,
            days=days,
            density=Density(days, p.seasonality),
            staff=shared.hire(p.seed, vertical, days, p.accounts),
            products={product.name: key for key, product in enumerate(vertical.products, 1)},
            defects=p.defects,
            seed=p.seed,
            stride=_stride(p.deals / p.accounts),
            pace=max(1.0, pace),
        )

    def lives(self) -> Iterator[Life]:
        """Users, products, rates and quotas, then group by group: accounts, and all that belongs to them."""
        s, p = self._setting, self.parameters
        domain = self.name.split()[0].lower() + ".example"
        end = s.days.end_instant
        yield from _until(end, shared.user_lives(s.staff, s.days, domain))
        yield from shared.product_lives(s.vertical, s.days)
        yield from shared.rate_lives(s.days, p.seed)
        yield from shared.quota_lives(s.vertical, s.staff, s.days, p.accounts)
        for scenes in self._groups():
            for scene in scenes:
                for record in scene.records:
                    life = record.life(end)
                    if life is not None:
                        yield life

    def planted(self, at: int | None = None) -> Iterator[tuple[str, Kind, int]]:
        """The faults planted into the data that are there at an instant (default: the end of history).

        Yields (rule, kind of record, key). What happens to break a rule without being planted is not listed.
        Rules of open deals: blank_amount, placeholder_amount, blank_next_step, placeholder_next_step,
        default_close_date, overdue_close_date, unknown_stage, retired_stage; of any deal: blank_account,
        unmapped_type (or blank); of wins: zero_value_win, retro_entered, dates_reversed, unconverted_pilot;
        of contacts: stale_contact, bounced_contact, duplicate_contact; of accounts: duplicate_account.
        """
        moment = self.as_of if at is None else at
        for rule, kind, key, since, until in self.faults():
            if since <= moment < until:
                yield rule, kind, key

    def faults(self) -> Iterator[Mark]:
        """Every planted fault with the instants from which and until which it is there."""
        for scenes in self._groups():
            for scene in scenes:
                for mark in scene.marks:
                    if mark.since < min(mark.until, self._setting.days.end_instant):
                        yield mark

    def _groups(self) -> Iterator[list[Scene]]:
        s, p = self._setting, self.parameters
        common = (p.seed, s.vertical, s.days, s.density, p.defects)
        for group in range((p.accounts + GROUP - 1) // GROUP):
            accounts: dict[int, Account] = {}
            for member in plan_group(group, p.accounts, p.deals, common):
                target = identity(p.seed, member.of) if member.of is not None else None
                account = Account(Scene(s, member.index), member, target)
                Story(account).play()
                accounts[member.index] = account
            for account in accounts.values():
                _relate(account, accounts)
            yield [account.scene for account in accounts.values()]


def _relate(account: Account, accounts: dict[int, Account]) -> None:
    """Parents, duplicates and merges: what an account is to its neighbours."""
    member, scene = account.member, account.scene
    if member.of is None or account.record is None:
        return
    other = accounts[member.of]
    if other.record is None:
        return
    if member.role == "child":
        link_parent(account, other)
        return
    since = max(account.record.born, other.record.born)
    if member.until is None:
        scene.mark("duplicate_account", account.record, since)
        return
    merged = scene.days.midnight[member.until] + 7 * 3600
    scene.mark("duplicate_account", account.record, since, merged)
    account.record.add(merged, "merge", {"into": other.key})
    for record in scene.records:
        if record.kind != "account" and record.born < merged and _refers(record, account.key, merged):
            record.set(merged, {"account": other.key})


def _refers(record: Record, account: int, at: int) -> bool:
    return any(when < at and values.get("account") == account for when, _, values in record.events)


def _until(end: int, lives: Iterator[Life]) -> Iterator[Life]:
    """Lives without what would happen from an instant on."""
    for life in lives:
        if life.events[0].at < end:
            yield Life(life.kind, life.key, tuple(e for e in life.events if e.at < end))


def _stride(deals_per_account: float) -> int:
    """A power of ten with ample room for the records of one account."""
    stride = 1000
    while stride < 40 * deals_per_account:
        stride *= 10
    return stride
