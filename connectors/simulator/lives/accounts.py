"""Accounts: who they are, how they hang together, who owns them.

Accounts are planned in groups of ten neighbours. Parents, duplicates and merges stay within a group, so any
group can be written without knowing another.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from connectors.simulator.lives.days import Days, Density
from connectors.simulator.lives.scene import HOUR, Record, Scene, Values
from connectors.simulator.lives.verticals import Vertical
from connectors.simulator.names import (
    DESCRIPTORS,
    FIRST_WORDS,
    LEGAL_FORMS,
    PLACES,
    REGIONS,
    SECOND_WORDS,
    SOURCES,
)

GROUP = 10
Role = Literal["root", "child", "duplicate", "merged"]
MOTIONS = ("inbound", "outbound", "partner", "self-serve")


@dataclass(frozen=True)
class Member:
    """The plan of one account: when it appears, how many deals it gets, what it is to its neighbours."""

    index: int
    role: Role
    of: int | None  # the parent, or the account it duplicates
    first: int  # day of its first deal or lead
    until: int | None  # day on which it is merged away
    deals: int
    segment: int
    family: bool  # belongs to a hierarchy or a merge: the customer has several accounts


@dataclass(frozen=True)
class Identity:
    """What names an account: a function of seed and index alone."""

    core: str
    legal: str
    domain: str

    @property
    def name(self) -> str:
        return f"{self.core}{self.legal}"


def identity(seed: int, index: int) -> Identity:
    """A name and a domain that no other index has."""
    words, seconds, kinds = len(FIRST_WORDS), len(SECOND_WORDS), len(DESCRIPTORS)
    capacity = words * seconds * kinds
    round_, place = divmod(index, capacity)
    number = (place * 104_729 + seed * 7919) % capacity  # 104729 is prime: a permutation
    rest, first = divmod(number, words)
    kind, second = divmod(rest, seconds)
    core = f"{FIRST_WORDS[first]}{SECOND_WORDS[second]} {DESCRIPTORS[kind]}"
    if round_:
        core = f"{core} {round_ + 1}"
    form = LEGAL_FORMS[(number // 3) % len(LEGAL_FORMS)]
    legal = "" if number % 5 < 2 else f", {form}" if number % 3 else f" {form}"
    return Identity(core, legal, core.replace(" ", "").lower() + ".com")


def plan_group(
    group: int, accounts: int, deals: int, setting: tuple[int, Vertical, Days, Density, float]
) -> list[Member]:
    """The members of one group; together they get exactly the group's share of all deals."""
    seed, vertical, days, density, defects = setting
    rng = Random(f"{seed}/{vertical.key}/group/{group}")
    low, high = group * GROUP + 1, min((group + 1) * GROUP, accounts)
    size = high - low + 1
    strata = list(range(size))
    rng.shuffle(strata)
    firsts = [density.draw(0.94 * (s + rng.random()) / size) for s in strata]
    roles, targets, untils = _roles(rng, size, low, firsts, days, defects)
    weights = []
    for n in range(size):
        life = ((untils[n] or days.horizon) - firsts[n] + 60) * (0.55 + 0.9 * rng.random())
        weights.append(life * {"root": 1.0, "child": 0.6, "duplicate": 0.12, "merged": 0.4}[roles[n]])
    budget = high * deals // accounts - (low - 1) * deals // accounts
    scale = budget / sum(weights)
    family = {t for t in targets if t} | {low + n for n in range(size) if targets[n]}
    members, upto, given = [], 0.0, 0
    for n in range(size):
        upto += weights[n] * scale
        count = round(upto) - given
        given += count
        segment = _segment(rng.random(), vertical)
        members.append(
            Member(low + n, roles[n], targets[n], firsts[n], untils[n], count, segment, low + n in family)
        )
    return members


def _roles(
    rng: Random, size: int, low: int, firsts: list[int], days: Days, defects: float
) -> tuple[list[Role], list[int | None], list[int | None]]:
    """Who is whose child or duplicate. Targets are roots, or (a third level) children; moves ``firsts``."""
    roles: list[Role] = ["root"] * size
    targets: list[int | None] = [None] * size
    untils: list[int | None] = [None] * size
    for n in range(1, size):
        other = int(rng.random() * n)
        u = rng.random()
        if u < 0.08 and roles[other] in ("root", "child"):
            roles[n], targets[n] = "child", low + other
        elif roles[other] != "root" or firsts[other] > days.horizon - 120:
            continue
        elif u < 0.08 + 0.035 * defects:
            roles[n], targets[n] = "duplicate", low + other
            firsts[n] = firsts[other] + 20 + int(rng.random() * (days.horizon - firsts[other] - 80))
        elif u < 0.08 + 0.075 * defects:
            roles[n], targets[n] = "merged", low + other
            firsts[n] = firsts[other] + 10 + int(rng.random() * (days.horizon - firsts[other] - 80))
            left = days.horizon - firsts[n] - 2
            untils[n] = firsts[n] + 15 + int(rng.random() * min(left - 15, 400))
    return roles, targets, untils


def _segment(u: float, vertical: Vertical) -> int:
    for n, segment in enumerate(vertical.segments):
        u -= segment.share
        if u < 0:
            return n
    return len(vertical.segments) - 1


class Account:
    """One account as its life goes on: what later events need to know."""

    def __init__(self, scene: Scene, member: Member, target: Identity | None) -> None:
        self.scene = scene
        self.member = member
        self.key = member.index
        self.segment = scene.vertical.segments[member.segment]
        self.currency = _currency(scene.r())
        self.identity = self._named(target)
        self.owners: list[tuple[int, int]] = []  # (from day, user), in order
        self._plan_owners()
        self.record: Record | None = None

    def _named(self, target: Identity | None) -> Identity:
        own = identity(self.scene.setting.seed, self.member.index)
        scene, role = self.scene, self.member.role
        if target is None or role == "root":
            return own
        if role == "child":
            core = f"{target.core} {scene.pick(REGIONS)}"
            domain = target.domain if scene.r() < 0.4 else own.domain
            return Identity(core, own.legal, domain) if scene.r() < 0.7 else own
        legal = scene.pick(tuple(f" {form}" for form in LEGAL_FORMS if form not in target.legal))
        u = scene.r()
        if u < 0.4:  # same domain, another spelling
            first, _, rest = target.core.partition(" ")
            return Identity(f"{first[:-1]} {rest}", legal, target.domain)
        if u < 0.7:  # same name but for legal form and case
            return Identity(target.core.upper(), legal, own.domain)
        return Identity(target.core, legal, "www." + target.domain)

    def _plan_owners(self) -> None:
        """The first seller, and successors of those who leave; now and then nobody takes over."""
        scene, staff = self.scene, self.scene.setting.staff
        day = max(0, self.member.first - 90)
        person = staff.seller(day, scene.r())
        self.owners.append((0, person.key))
        while person.left is not None and person.left + 12 < scene.days.horizon and scene.r() < 0.85:
            day = person.left + 1 + int(scene.r() * 10)
            person = staff.seller(day, scene.r())
            self.owners.append((day, person.key))

    def owner(self, day: int) -> int:
        """Who looks after the account on that day; where its owner is not there, whoever steps in."""
        owner, staff = self._owned_by(day), self.scene.setting.staff
        person = staff.people[owner - 1]
        if person.hired <= day and (person.left is None or person.left > day):
            return owner
        return staff.seller(day, self.key * 0.618 % 1).key

    def _owned_by(self, day: int) -> int:
        found = self.owners[0][1]
        for since, owner in self.owners:
            if since > day:
                break
            found = owner
        return found

    def account_key(self, day: int) -> int:
        """The account that new records belong to on that day: after a merge, the survivor."""
        until = self.member.until
        return self.key if until is None or day < until or self.member.of is None else self.member.of

    def appear(self, day: float, motion: str) -> Record:
        """Create the account's record and its later changes; called once, before anything refers to it."""
        scene, segment = self.scene, self.segment
        low, high = segment.employees
        employees = int(low * (high / low) ** scene.r())
        country, city = scene.pick(PLACES[self.currency])
        at = scene.at(day)
        values: Values = {
            "name": self.identity.name,
            "domain": None if scene.r() < 0.03 and not self.member.family else self.identity.domain,
            "phone": f"+1 800 {self.key % 1000:03d} {self.key // 1000 % 10_000:04d}",
            "industry": None if scene.faulty(0.04) else scene.pick(scene.vertical.industries),
            "employees": None if scene.faulty(0.03) else employees,
            "segment": None if scene.faulty(0.03) else segment.name,
            "source": scene.pick(SOURCES[motion]),
            "owner": self._owned_by(int(day)),
            "country": country,
            "city": city,
        }
        self.record = record = scene.new("account", at, values, self.key)
        for since, owner in self.owners[1:]:
            if since > day:
                record.set(scene.at(since + 0.5 * scene.r()), {"owner": owner})
        if values["employees"] and scene.r() < 0.15:
            grown = min(high, int(employees * scene.spread(1.05, 1.4)))
            later = int(day) + 60 + int(scene.r() * 500)
            if grown != employees and later < scene.days.horizon:
                record.set(scene.at(later), {"employees": grown})
        return record


def _currency(u: float) -> str:
    return "USD" if u < 0.68 else "EUR" if u < 0.86 else "GBP"


def link_parent(child: Account, parent: Account) -> None:
    """Make one account the other's child, from the moment both exist."""
    if child.record is None or parent.record is None:
        return
    at = child.record.born
    if at > parent.record.born:
        child.record.events[0][2]["parent"] = parent.key
    else:
        child.record.set(parent.record.born + 3 * HOUR, {"parent": parent.key})
