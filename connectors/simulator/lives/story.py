"""The story of one account: attempts to sell, subscriptions, and what becomes of them, in order of time.

A deal is planned on the day it is opened and written on the day of its outcome, when everything that was
signed before is known: an expansion of a customer that has left since comes to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from connectors.simulator.lives import selling
from connectors.simulator.lives.accounts import Account
from connectors.simulator.lives.closing import play
from connectors.simulator.lives.deals import Plan
from connectors.simulator.lives.people import People, cold_leads
from connectors.simulator.lives.selling import CHURN, DOWNGRADE, NEW, RENEWAL
from connectors.simulator.lives.terms import (
    Line,
    Subscription,
    applied,
    fewer,
    more_seats,
    new_module,
    renewed,
)

COLD_LEADS = 1.0  # leads that come to nothing, per deal
Happening = Callable[[float], None]


class Story:
    """Plays an account's deals day by day."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.scene = account.scene
        self.people = People(account)
        self.subscriptions: list[Subscription] = []
        self.left = False  # was a customer and is none any more
        self.skip = 0  # attempts given up for deals that a subscription brought along
        self.motion = selling.motion_of(account)
        self._agenda: list[tuple[float, int, Happening]] = []
        self._turn = 0

    def play(self) -> None:
        """Write the account and everything that belongs to it."""
        scene, member = self.scene, self.account.member
        last = min(member.until or scene.days.horizon, scene.days.horizon) - 0.2
        attempts = sorted(
            min(scene.setting.density.draw(scene.r(), member.first) + 0.9 * scene.r(), last)
            for _ in range(member.deals)
        )
        if attempts:
            attempts[0] = min(attempts[0], member.first + 0.9 * scene.r())
        born = attempts[0] if attempts else float(member.first)
        self.account.appear(born, self.motion)
        self.people.settle_in(born)
        for day in attempts:
            self._on(day, self._attempt)
        while self._agenda:
            day, _, happening = heappop(self._agenda)
            happening(day)
        cold_leads(scene, self.account, int(member.deals * COLD_LEADS + scene.r()))

    def _on(self, day: float, happening: Happening) -> None:
        self._turn += 1
        heappush(self._agenda, (day, self._turn, happening))

    def _customer(self, day: float) -> Subscription | None:
        """The subscription that is in force, or signed and about to start."""
        for subscription in reversed(self.subscriptions):
            if not subscription.ended and subscription.end > day:
                return subscription
        return None

    # Attempts to sell something.

    def _attempt(self, day: float) -> None:
        if self.skip:
            self.skip -= 1
            return
        account, scene = self.account, self.scene
        current = self._customer(day)
        if current is None:
            self._try_new(day)
            return
        u = scene.r()
        rare = scene.vertical.downgrades / scene.setting.pace * (0.5 if account.member.family else 1.0)
        if u < rare and self._firm(current, day) and (lines := fewer(scene, current.lines)):
            # What some enter as a downgrade, others call a churn, though only of a part.
            kind = CHURN if scene.r() < 0.2 else DOWNGRADE
            plan = selling.negative(account, day, kind, lines, current, int(day) + 2)
            self._on(plan.closes, lambda when: self._reduce(plan, current))
        elif u < 0.11:
            self._try_new(day, " - second team")
        else:
            motion = self.motion if scene.r() < 0.5 else "outbound"
            plan = selling.expansion(account, day, motion, current.currency)
            self._on(plan.closes, lambda when: self._decide_expansion(when, plan, current))

    def _firm(self, current: Subscription, day: float) -> bool:
        """Whether something can be taken off it: it is live, for a while yet, and the CRM knows its ARR."""
        return current.told and current.live(int(day)) and current.end - day > 25

    def _try_new(self, day: float, suffix: str = "") -> None:
        motion = self.motion if self.scene.r() < 0.5 else selling.motion_of(self.account)
        plan = selling.new_business(self.account, day, motion, returning=self.left)
        plan.name += suffix
        self._on(plan.closes, lambda when: self._decide_new(when, plan))

    # Outcomes.

    def _decide_new(self, day: float, plan: Plan) -> None:
        scene = self.scene
        signed = int(plan.converts or plan.closes)
        if plan.won and self._customer(day) is not None and scene.r() < 0.7:
            selling.clean(plan)
        start = self._start(signed)
        if plan.won:
            plan.start = start
            if scene.faulty(0.04):
                plan.start, start = None, int(plan.closes)
        play(self.account, self.people, plan)
        if plan.won and not (plan.zero or plan.unconverted or plan.orphan):
            lines = [line for line in plan.lines if line.recurring]
            end = scene.days.add_months(start, plan.term)
            self._subscribe(Subscription(start, end, lines, signed, plan.currency, not plan.reversed))

    def _start(self, day: int) -> int:
        """When a new contract starts: soon, on the first of a month, or after an implementation."""
        days, r = self.scene.days, self.scene.r
        u = r()
        if u < self.scene.vertical.later_start:
            return days.month_end(day + 30 + int(100 * r())) + 1
        if u < 0.55:
            return days.month_end(day) + 1
        return day + int(12 * r())

    def _decide_expansion(self, day: float, plan: Plan, asked: Subscription) -> None:
        scene = self.scene
        current = self._customer(day) or asked
        fits = not current.ended and current.live(int(day)) and current.end - day > 25
        plan.won = plan.won and fits
        plan.doomed = plan.doomed and plan.won
        if plan.expansion_kind == "seat":
            plan.lines = more_seats(scene, current.lines)
        else:
            plan.lines = new_module(scene, current.lines, self.account.member.segment)
            kind = plan.lines[0].product.kind
            plan.expansion_kind = kind if scene.r() < 0.95 else None
        start = int(day) + int(10 * scene.r())
        plan.term = scene.days.months_between(start, max(current.end, start + 1))
        plan.start = start if plan.won else None
        play(self.account, self.people, plan)
        if plan.won and not plan.doomed:
            current.lines = applied(current.lines, plan.lines)

    def _reduce(self, plan: Plan, current: Subscription) -> None:
        play(self.account, self.people, plan)
        current.lines = applied(current.lines, plan.lines)

    # Subscriptions.

    def _subscribe(self, subscription: Subscription) -> None:
        """A contract is signed; what becomes of it comes up some months before its end."""
        self.subscriptions.append(subscription)
        self.left = False
        when = max(subscription.end - 55 - 50 * self.scene.r(), subscription.known + 5.0)
        if when < self.scene.days.horizon:
            self._on(when, lambda day: self._end_in_sight(day, subscription))

    def _end_in_sight(self, day: float, current: Subscription) -> None:
        """Most renew, some late, some leave in one way or another."""
        scene, r = self.scene, self.scene.r
        if r() < self.account.segment.churn:
            self._leave(day, current)
            return
        end, history = current.end, scene.days.history
        u = r()
        if history - 28 < end < history - 1 and u < 0.6:  # expired, and unresolved when history ends
            closes = history + 1 + 20 * r()
        elif u < 0.80:
            closes = end - 40 * r() ** 1.5 - 0.5
        elif u < 0.95:
            closes = end + 1 + 27 * r()
        else:
            closes = end + 35 + 80 * r()
        self._propose_renewal(day, max(closes, day + 4), current, won=True)

    def _propose_renewal(self, day: float, closes: float, current: Subscription, *, won: bool) -> None:
        self.skip += 1
        plan = selling.renewal(self.account, day, closes, current.currency, won=won)
        self._on(plan.closes, lambda when: self._renew(plan, current))

    def _renew(self, plan: Plan, current: Subscription) -> None:
        """Signed in time, or late but from the old end on, or from the day of signing; or refused."""
        scene, r, signed = self.scene, self.scene.r, int(plan.closes)
        plan.lines = renewed(scene, current.lines) if plan.won else current.lines
        plan.term = selling.term_of(self.account)
        if not plan.won:
            play(self.account, self.people, plan)
            self._gone(current)
            return
        late = signed - current.end
        start = current.end
        if late > 30:
            start = signed + int(3 * r())
            plan.type = NEW if r() < 0.3 else RENEWAL
        elif late > 0 and r() < 0.4:
            start = signed
        plan.start = start
        play(self.account, self.people, plan)
        current.ended = True
        end = scene.days.add_months(start, plan.term)
        self._subscribe(Subscription(start, end, plan.lines, signed, plan.currency))

    def _leave(self, day: float, current: Subscription) -> None:
        """A customer leaves: with a lost renewal, with a churn entry, or without a word."""
        r, single = self.scene.r, not self.account.member.family
        single = single and current.told and sum(not s.ended for s in self.subscriptions) == 1
        u = r()
        if u < 0.45 or not single:
            closes = max(day + 4, current.end - 30 + 55 * r())
            self._propose_renewal(day, closes, current, won=False)
        elif u < 0.86:
            self.skip += 1
            self._on(max(day, current.end - 45 + 40 * r()), lambda when: self._resign(when, current))
        else:
            self._gone(current)

    def _resign(self, day: float, current: Subscription) -> None:
        """The churn is entered for the contract's end or, less often, for an earlier day."""
        lines = [Line(line.product, -line.quantity, line.cents) for line in current.lines]
        start = current.end if self.scene.r() < 0.7 else min(current.end - 1, int(day) + 5)
        plan = selling.negative(self.account, day, CHURN, lines, current, start)
        self._gone(current)
        self._on(plan.closes, lambda when: self._write(plan))

    def _write(self, plan: Plan) -> None:
        play(self.account, self.people, plan)

    def _gone(self, current: Subscription) -> None:
        """The subscription ends at its end; some customers come back a good while later."""
        current.ended = True
        if self._customer(current.end) is not None:
            return
        self.left = True
        back = current.end + 70 + 420 * self.scene.r()
        if self.scene.r() < 0.35 and back < self.scene.days.horizon - 20:
            self._on(back, lambda day: self._return(day, current))

    def _return(self, day: float, former: Subscription) -> None:
        """A customer that left buys again, under the one name or the other."""
        if self._customer(day) is not None:
            return
        self.skip += 1
        plan = selling.new_business(self.account, day, self.motion, returning=True)
        selling.clean(plan)
        plan.won, plan.reach, plan.pilot, plan.zombie, plan.orphan = True, 99, False, False, False
        plan.lines = [Line(line.product, line.quantity, line.cents) for line in former.lines]
        plan.type = NEW if self.scene.r() < 0.65 else RENEWAL
        self._on(plan.closes, lambda when: self._decide_new(when, plan))
