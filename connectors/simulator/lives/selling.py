"""What sellers set out to do: the plan of each kind of deal, with the faults it will have."""

from __future__ import annotations

from connectors.simulator.lives.accounts import MOTIONS, Account
from connectors.simulator.lives.deals import Plan
from connectors.simulator.lives.terms import Line, Subscription, first_order

NEW, EXPANSION, RENEWAL, DOWNGRADE, CHURN = "New Business", "Expansion", "Renewal", "Downgrade", "Churn"
UNMAPPED = ("Professional Services", "Internal Test")  # types that no definition knows
LEADS = {"inbound": 0.75, "outbound": 0.2, "partner": 0.35, "self-serve": 0.9}  # deals that begin as a lead
QUALIFIED = 0.62  # of new-business attempts


def motion_of(account: Account) -> str:
    """How a deal with a customer of this size comes about."""
    u = account.scene.r()
    for motion, share in zip(MOTIONS, account.scene.vertical.motions[account.member.segment], strict=True):
        u -= share
        if u < 0:
            return motion
    return MOTIONS[0]


def term_of(account: Account) -> int:
    """Months of a new contract."""
    u = account.scene.r()
    return next(months for months, upto in account.segment.terms if u < upto)


def new_business(account: Account, day: float, motion: str, *, returning: bool) -> Plan:
    """An attempt to win an account, or a further team of it, or to win it back."""
    scene, segment = account.scene, account.segment
    r = scene.r
    qualified = r() < QUALIFIED or motion == "self-serve"
    chance = segment.win * (1.15 if motion in ("inbound", "partner") else 0.85)
    won = qualified and r() < chance * (0.5 if returning else 1.0)
    cycle = segment.cycle_days * (0.45 + 1.1 * r()) * (0.25 if motion == "self-serve" else 1.0)
    if not won:
        cycle *= 0.5 + 0.9 * r() if qualified else 0.15 + 0.3 * r()
    plan = Plan(
        name=f"{account.identity.core} - {scene.vertical.products[0].family}",
        type=NEW,
        currency=account.currency if r() < 0.98 else "USD",
        opened=day,
        closes=close_day(account, day, cycle),
        won=won,
        motion=motion,
        reach=0 if not qualified else 1 + int(r() * 5),
        pilot=r() < scene.vertical.pilot_share and motion != "self-serve",
        lines=first_order(scene, account.member.segment, r() ** 1.25),
        term=term_of(account),
        lead=r() < LEADS[motion],
        orphan=scene.faulty(0.012),
    )
    _spoil(account, plan)
    return plan


def close_day(account: Account, day: float, cycle: float) -> float:
    """The day of the outcome; many deals are pulled to the end of a quarter."""
    scene, days = account.scene, account.scene.days
    closes = min(day + max(0.3, cycle), days.horizon + 200.0)
    end = days.quarter_end(int(closes))
    if scene.r() < 0.3 and end - closes < 30 and cycle > 20:
        closes = end - 7 * scene.r() + 0.9 * scene.r()
    whole = int(closes)
    return days.workday(whole) + (closes - whole) if cycle > 3 else closes


def _spoil(account: Account, plan: Plan) -> None:
    """What goes wrong with a new-business deal, in its life or in the CRM."""
    scene = account.scene
    if plan.won:
        if scene.faulty(0.05):
            plan.retro, plan.pilot, plan.lead = True, False, False
            plan.opened = max(plan.opened, plan.closes - scene.pick((0.0, 0.8)))
        elif scene.faulty(0.03):
            plan.zero, plan.pilot = True, False
        elif scene.faulty(0.04):
            plan.reversed = True
    elif scene.faulty(0.05):
        plan.zombie = True
    if not plan.pilot and not plan.retro and scene.r() < 0.03:
        plan.reopened = True
    if plan.pilot and plan.won:
        u = scene.r()
        if u < 0.08:
            plan.converts = plan.closes + 15 + 40 * scene.r()
        elif u < 0.08 + 0.09 * scene.defects:
            plan.unconverted = True
    if not plan.won and scene.faulty(0.02):
        plan.type = scene.pick((None, None, *UNMAPPED))


def clean(plan: Plan) -> None:
    """A planned win that is lost after all has none of the faults of a win."""
    plan.won = plan.retro = plan.zero = plan.reversed = plan.unconverted = False
    plan.converts = None


def expansion(account: Account, day: float, motion: str, currency: str) -> Plan:
    """More of the same or something new for a customer; its lines are drawn when it is decided."""
    scene, r = account.scene, account.scene.r
    chance = min(0.6, 2.6 * scene.vertical.expansions / scene.setting.pace)
    plan = Plan(
        name=f"{account.identity.core} - expansion",
        type=EXPANSION,
        currency=currency,
        opened=day,
        closes=close_day(account, day, account.segment.cycle_days * (0.2 + 0.5 * r())),
        won=r() < chance and not (account.member.family and r() < 0.8),
        motion=motion,
        from_stage=int(r() * 3),
        reach=2 + int(r() * 4),
        expansion_kind="seat" if r() < 0.7 else "module",
    )
    if plan.won and scene.faulty(0.04):
        plan.doomed = True
    elif not plan.won and scene.faulty(0.04):
        plan.zombie = True
    return plan


def negative(
    account: Account, day: float, kind: str, lines: list[Line], current: Subscription, start: int
) -> Plan:
    """A downgrade or a churn: entered as won, with what is given up as negative lines."""
    days = account.scene.days
    return Plan(
        name=f"{account.identity.core} - {kind.lower()}",
        type=kind,
        currency=current.currency,
        opened=day,
        closes=days.workday(int(day) + 1) + 0.5 + 0.4 * account.scene.r(),
        won=True,
        motion=None,
        from_stage=len(account.scene.vertical.dwell) - 1,
        lines=lines,
        term=days.months_between(start, max(current.end, start + 1)),
        start=start,
        negative=True,
    )


def renewal(account: Account, day: float, closes: float, currency: str, *, won: bool) -> Plan:
    """The next contract of a customer; its lines and its term are drawn when it is signed."""
    scene = account.scene
    return Plan(
        name=f"{account.identity.core} - renewal",
        type=RENEWAL,
        currency=currency,
        opened=day,
        closes=scene.days.workday(int(closes)) + 0.8 * scene.r(),
        won=won,
        motion=None,
        from_stage=scene.vertical.quote_stage - int(scene.r() * 2),
    )
