"""A deal from its creation up to its close, event by event, as sellers keep it in a CRM."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.simulator.lives.accounts import Account
from connectors.simulator.lives.people import People
from connectors.simulator.lives.scene import FOREVER, Record, Scene, Values
from connectors.simulator.lives.terms import Line, annual, total
from connectors.simulator.names import NEXT_STEPS, PLACEHOLDERS, SOURCES

TYPES = frozenset(("New Business", "Expansion", "Renewal", "Downgrade", "Churn"))
PUSHES = 6  # a CRM keeps at most 20 versions of a field; a deal stays well below


@dataclass(slots=True)
class Plan:
    """What will happen to one deal. Days are fractional, so that they also order events within a day."""

    name: str
    type: str | None
    opened: float
    closes: float
    won: bool
    currency: str
    motion: str | None  # None: nobody asks where a renewal came from
    from_stage: int = 0  # index among the open, active stages
    reach: int = 99  # a lost deal gets to this stage at most
    pilot: bool = False
    lines: list[Line] = field(default_factory=list)
    term: int = 12
    start: int | None = None  # day on which the contract starts; None: not stated
    expansion_kind: str | None = None
    lead: bool = False
    orphan: bool = False
    retro: bool = False
    zero: bool = False
    reversed: bool = False
    negative: bool = False  # a downgrade or a churn: entered when it is a fact
    converts: float | None = None  # day of conversion of a pilot that was entered as won too early
    unconverted: bool = False  # a pilot in the won stage that is none
    reopened: bool = False
    zombie: bool = False  # nobody touches it any more
    doomed: bool = False  # entered by mistake: deleted some time later


class Writer:
    """One deal being written: its record, and what the CRM shows of it at the moment."""

    def __init__(self, account: Account, people: People, plan: Plan) -> None:
        self.account, self.people, self.plan = account, people, plan
        self.scene: Scene = account.scene
        self.key = self.scene.key("deal")
        self.arr = annual(plan.lines)
        self.estimate = total(plan.lines, plan.term)
        self.amount = 0 if plan.zero else self.estimate
        self.sloppy = plan.zombie or self.scene.faulty(0.09)
        self.terse = self.scene.faulty(0.32)  # its owner does not write down what comes next
        self.close = 0  # the close date, as a day
        self.default_close = False
        self.shown: int | None = None  # the amount
        self.last = 0  # instant of the latest event of the main thread
        self.faults: dict[str, int] = {}  # what is wrong with it, and since when
        self.lines: list[Record] = []
        self.attached: list[Record] = []  # roles and meetings
        self.record: Record

    # What is wrong, and until when.

    def fault(self, rule: str, since: int) -> None:
        self.faults.setdefault(rule, since)

    def heal(self, rule: str, at: int) -> None:
        since = self.faults.pop(rule, FOREVER)
        if since < at:
            self.scene.mark(rule, self.record, since, at)

    def put(self, at: int, values: Values) -> int:
        """The next event of the main thread, after everything before."""
        at = max(at, self.last + 61)
        self.record.set(at, values)
        self.last = at
        return at

    def stage_values(self, index: int, day: float) -> Values:
        """The stage at this place in the process; on early days the one that was retired since."""
        vertical = self.scene.vertical
        stage = vertical.open_stages[index]
        if index == vertical.retired_for and day < self.scene.days.history * 0.4 and self.scene.r() < 0.85:
            stage = next(s for s in vertical.stages if not s.active)
            if self.plan.zombie:
                self.fault("retired_stage", self.scene.at(day) + 600)
        return {
            "stage": stage.name,
            "probability": stage.probability,
            "forecast_category": stage.forecast_category,
        }


def route(plan: Plan, scene: Scene) -> list[int]:
    """The open stages a deal goes through: most in order, some skipped, now and then one step back."""
    vertical, r = scene.vertical, scene.r
    last = len(vertical.dwell) - 1
    upto = last if plan.won else min(plan.reach, last)
    path = [plan.from_stage]
    for index in range(plan.from_stage + 1, upto + 1):
        if index == vertical.pilot_stage:
            if plan.pilot:
                path.append(index)
        elif index in (1, upto) or r() < 0.86:
            path.append(index)
    if len(path) > 3 and r() < 0.09:
        at = 2 + int(r() * (len(path) - 2))
        path[at + 1 : at + 1] = [path[at - 1], path[at]]
    return path


def entries(plan: Plan, path: list[int], scene: Scene) -> list[float]:
    """When each stage is entered; the deal closes at the end of the last."""
    r, dwell = scene.r, scene.vertical.dwell
    weights = [dwell[index] * (0.4 + 1.2 * r()) for index in path]
    span = (plan.closes - plan.opened) / sum(weights)
    days, day = [], plan.opened
    for weight in weights:
        days.append(day)
        day += weight * span
    return days


def open_deal(writer: Writer, first: int) -> None:
    """Create the record in its first stage, with what is known on that day."""
    scene, plan, account, days = writer.scene, writer.plan, writer.account, writer.scene.days
    r, day = scene.r, int(plan.opened)
    at = scene.at(plan.opened) + 180
    writer.close = _first_close(writer)
    values: Values = {
        "name": plan.name,
        "account": None if plan.orphan else account.account_key(day),
        "owner": account.owner(day),
        **writer.stage_values(first, plan.opened),
        "amount": None,
        "currency": plan.currency,
        "close_date": days.iso[writer.close],
        "type": plan.type,
        "lead_source": scene.pick(SOURCES[plan.motion]) if plan.motion else None,
        "next_step": scene.pick(NEXT_STEPS),
        "arr": None,
        "motion": plan.motion if r() < 0.92 else None,
        "segment": account.segment.name if r() < 0.93 else None,
        "expansion_kind": plan.expansion_kind,
        "pilot": False,
    }
    writer.record = scene.new("deal", at, values, writer.key)
    writer.last = at
    if plan.orphan:
        writer.fault("blank_account", at)
    if writer.default_close:
        writer.fault("default_close_date", at)
    if plan.type not in TYPES:
        writer.fault("unmapped_type", at)
    _first_amount(writer, values)
    if writer.terse or scene.faulty(0.1):
        values["next_step"] = None
        writer.fault("blank_next_step", at)
    elif scene.faulty(0.05):
        values["next_step"] = scene.pick(PLACEHOLDERS)
        writer.fault("placeholder_next_step", at)


def _first_close(writer: Writer) -> int:
    """An estimate, often a month's end; some keep what the CRM filled in: the end of this month."""
    scene, plan, days = writer.scene, writer.plan, writer.scene.days
    day = int(plan.opened)
    if not plan.negative and scene.faulty(0.06):
        writer.default_close = True
        return days.month_end(day)
    length = min(plan.closes - plan.opened, 300)
    guess = day + 2 + int(length * (0.6 + 0.7 * scene.r()))
    guess = days.month_end(guess) if scene.r() < 0.4 else days.workday(guess)
    # A guess that looks like the CRM's default would be read as one.
    return guess if guess != days.month_end(day) else days.workday(guess + 3)


def _first_amount(writer: Writer, values: Values) -> None:
    scene, plan = writer.scene, writer.plan
    if scene.faulty(0.22):
        writer.fault("blank_amount", writer.last)
        return
    if scene.faulty(0.02):
        values["amount"] = writer.shown = 0
        writer.fault("placeholder_amount", writer.last)
        return
    rough = 1.0 if plan.negative or plan.from_stage >= scene.vertical.quote_stage else scene.spread(0.7, 1.3)
    if plan.reach == 0:  # nobody has sized it yet
        rough *= 0.4
    values["amount"] = writer.shown = _round(writer.estimate * rough) if rough != 1.0 else writer.estimate
    if scene.r() < 0.8:
        values["term_months"] = plan.term
        values["arr"] = _round(writer.arr * rough) if rough != 1.0 else writer.arr


def _round(cents: float) -> int:
    return round(cents / 10_000) * 10_000 or 10_000


def wait(writer: Writer, until: float) -> None:
    """The days up to the next step: close dates that are moved, or not, when they come near."""
    scene, days = writer.scene, writer.scene.days
    until = min(until, days.horizon)
    if writer.close >= until:
        return
    if writer.default_close or writer.sloppy:
        writer.fault("overdue_close_date", days.midnight[writer.close + 2])
        return
    for n in range(PUSHES):
        when = max(writer.close - 2.5 * scene.r(), writer.plan.opened + 0.05)
        if when >= days.horizon:
            return
        later = max(int(until) + 3, writer.close) if n == PUSHES - 1 else writer.close
        later += 12 + int(38 * scene.r())
        if scene.r() < 0.4:
            later = days.month_end(later)
        writer.close = min(later, len(days.iso) - 1)
        writer.put(scene.at(when), {"close_date": days.iso[writer.close]})
        if writer.close >= until:
            return


def step(writer: Writer, index: int, day: float) -> None:
    """Into the next stage, with what changes on the way."""
    scene, plan, days = writer.scene, writer.plan, writer.scene.days
    r = scene.r
    at = max(scene.at(day), writer.last + 61)
    writer.heal("unknown_stage", at)
    writer.heal("retired_stage", at)
    values = writer.stage_values(index, day)
    sticky = writer.terse or (writer.sloppy and r() < 0.7)
    if not sticky:
        values["next_step"] = scene.pick(NEXT_STEPS)
        writer.heal("blank_next_step", at)
        writer.heal("placeholder_next_step", at)
    late = writer.close < day
    if (late and not (writer.sloppy and r() < 0.5)) or r() < 0.2:
        left = max(4, int((plan.closes - day) * (0.7 + 0.6 * r())))
        close = min(int(day) + left, int(day) + 200)
        close = days.month_end(close) if r() < 0.4 else days.workday(close)
        if close != writer.close and (not writer.default_close or r() < 0.5):
            writer.close = close
            writer.default_close = False
            values["close_date"] = days.iso[close]
            writer.heal("overdue_close_date", at)
            writer.heal("default_close_date", at)
    if index >= scene.vertical.quote_stage:
        quote(writer, values, at)
    elif r() < 0.18 and not plan.zero:
        amount(writer, values, _round(writer.estimate * (0.8 + 0.4 * r())), at)
    if index == scene.vertical.pilot_stage:
        values["pilot"] = True
        values["pilot_start"] = days.iso[int(day)]
        values["pilot_end"] = days.iso[int(day) + scene.pick((30, 30, 45, 60))]
    writer.put(at, values)


def amount(writer: Writer, values: Values, cents: int, at: int) -> None:
    """Put the amount into the values of an event, if it changes."""
    if cents == writer.shown:
        return
    values["amount"] = writer.shown = cents
    writer.heal("blank_amount", at)
    writer.heal("placeholder_amount", at)


def quote(writer: Writer, values: Values, at: int) -> None:
    """From here on the deal has its line items, and its amount is their sum."""
    plan, scene = writer.plan, writer.scene
    if writer.lines or plan.zero:
        return
    amount(writer, values, writer.amount, at)
    values["arr"] = writer.arr
    values["term_months"] = plan.term
    for n, line in enumerate(plan.lines):
        price = line.unit_price(plan.term)
        item: Values = {
            "deal": writer.key,
            "product": scene.setting.products[line.product.name],
            "quantity": float(line.quantity),
            "unit_price": price,
            "amount": line.quantity * price,
            "currency": plan.currency,
            "kind": line.product.kind,
        }
        writer.lines.append(scene.new("line_item", at + 1 + n, item))


def verbal(writer: Writer, day: float) -> None:
    """Now and then a deal is put into a stage that no layout knows."""
    scene = writer.scene
    at = writer.put(
        scene.at(day), {"stage": scene.vertical.unknown, "probability": 0.0, "forecast_category": "omitted"}
    )
    writer.heal("retired_stage", at)
    writer.fault("unknown_stage", at)
