"""How deals end: won, lost, reopened, deleted; and who was in the room."""

from __future__ import annotations

from connectors.simulator.lives.accounts import Account
from connectors.simulator.lives.deals import (
    Plan,
    Writer,
    amount,
    entries,
    open_deal,
    quote,
    route,
    step,
    verbal,
    wait,
)
from connectors.simulator.lives.people import People, convert_lead
from connectors.simulator.lives.scene import FOREVER, HOUR, Scene, Values
from connectors.simulator.names import LOSS_REASONS, MEETINGS, UNQUALIFIED_REASONS
from connectors.simulator.world import Stage


def play(account: Account, people: People, plan: Plan) -> Writer:
    """Write the whole life of one deal, with its lines, meetings, contact roles and the lead it came from."""
    writer = Writer(account, people, plan)
    scene, horizon = writer.scene, writer.scene.days.horizon
    path = [0] if plan.retro else route(plan, scene)
    if plan.retro:
        path = [len(scene.vertical.dwell) - 1]
    days = entries(plan, path, scene)
    if plan.lead and plan.motion:
        convert_lead(people, plan.opened, plan.motion, writer.key)
    open_deal(writer, path[0])
    if path[0] >= scene.vertical.quote_stage:
        quote(writer, writer.record.events[0][2], writer.last)
    meet(writer)
    stop = len(path)
    if plan.zombie:
        stop = _stuck(path, days, scene)
    for n in range(1, stop):
        wait(writer, days[n])
        if days[n] >= horizon:
            break
        step(writer, path[n], days[n])
        if n >= 2 and scene.faulty(0.02):
            verbal(writer, days[n] + 0.3)
    if plan.zombie and stop > 1 and scene.faulty(0.15):
        verbal(writer, days[stop - 1] + 0.3)
    if plan.zombie or plan.closes >= horizon:
        wait(writer, horizon)
    else:
        wait(writer, plan.closes)
        end(writer)
    hand_over(writer)
    for rule, since in writer.faults.items():
        scene.mark(rule, writer.record, since)
    discard(writer)
    return writer


def _stuck(path: list[int], days: list[float], scene: Scene) -> int:
    """How many stages a forgotten deal sees; old ones often got stuck in the stage that was retired since."""
    retired = scene.vertical.retired_for
    if retired in path and days[path.index(retired)] < scene.days.history * 0.38 and scene.r() < 0.6:
        return path.index(retired) + 1
    return 1 + int(scene.r() * (len(path) - 1))


def end(writer: Writer) -> None:
    """The outcome; some deals get another one first and are reopened."""
    scene, plan, days = writer.scene, writer.plan, writer.scene.days
    day = plan.closes
    if plan.reopened:
        first_won = scene.r() < 0.5
        close(writer, day, won=first_won)
        day += 2 + 22 * scene.r()
        if day >= days.horizon:
            return
        writer.close = days.workday(int(day) + 5 + int(30 * scene.r()))
        values = writer.stage_values(len(scene.vertical.dwell) - 1, day)
        values["close_date"] = days.iso[writer.close]
        if not first_won:
            values["loss_reason"] = None
        writer.put(scene.at(day), values)
        day += 3 + 20 * scene.r()
        if day >= days.horizon:
            return
    at = close(writer, day, won=plan.won)
    if plan.won:
        _flaws(writer, at)
        if plan.converts is not None and plan.converts < days.horizon:
            writer.put(scene.at(plan.converts), {"pilot_converted": days.iso[int(plan.converts)]})


def close(writer: Writer, day: float, *, won: bool) -> int:
    """Into the won or the lost stage. The close date is that day's, or an earlier one on purpose."""
    scene, plan, days = writer.scene, writer.plan, writer.scene.days
    r = scene.r
    at_once = plan.retro and plan.opened == plan.closes  # it is entered as what it is
    at = scene.evening(day) if r() < 0.07 else scene.at(day)
    at = writer.last if at_once else max(at, writer.last + 61)
    today = scene.day_of(at)
    stage: Stage = scene.vertical.won if won else scene.vertical.lost
    values: Values = {
        "stage": stage.name,
        "probability": stage.probability,
        "forecast_category": stage.forecast_category,
    }
    writer.close = _close_date(writer, today)
    values["close_date"] = days.iso[writer.close]
    for rule in tuple(writer.faults):
        if rule not in ("blank_account", "unmapped_type"):
            writer.heal(rule, at)
    if won:
        _win(writer, values, at)
    else:
        unqualified = plan.reach == 0
        values["loss_reason"] = scene.pick(UNQUALIFIED_REASONS if unqualified else LOSS_REASONS)
    if at_once:
        writer.record.events[0][2].update(values)
        return at
    return writer.put(at, values)


def _close_date(writer: Writer, today: int) -> int:
    scene, days = writer.scene, writer.scene.days
    earliest = int(writer.plan.opened)
    u = scene.r()
    if days.of_month[today] <= 6 and u < 0.3:  # entered in the new month, dated into the old one
        back = today - days.of_month[today]
    elif u < 0.02:
        back = today - 2 - int(12 * scene.r())
    else:
        back = today
    return back if back >= earliest else today


def _win(writer: Writer, values: Values, at: int) -> None:
    scene, plan, days = writer.scene, writer.plan, writer.scene.days
    if plan.zero:
        values["amount"] = writer.shown = 0
        values["arr"] = None if scene.r() < 0.5 else 0
    else:
        quote(writer, values, at)
        if plan.type == "New Business" and not plan.retro and scene.r() < 0.2:
            _discount(writer, at)
        amount(writer, values, writer.amount, at)
        stated = scene.r() < 0.9 or any(not line.recurring for line in plan.lines)
        values["arr"] = writer.arr if stated else None
    values["term_months"] = -plan.term if plan.reversed else plan.term
    if plan.start is not None:
        values["start_date"] = days.iso[plan.start]
    if plan.pilot and not plan.unconverted and plan.converts is None:
        values["pilot_converted"] = values["close_date"]


def _discount(writer: Writer, at: int) -> None:
    """A last concession: the lines get cheaper in the moment of the win, and the amount with them."""
    plan = writer.plan
    factor = 1 - writer.scene.pick((0.03, 0.05, 0.08, 0.1))
    for line, record in zip(plan.lines, writer.lines, strict=True):
        if line.recurring:
            line.cents = int(line.cents * factor) // 12 * 12
            price = line.unit_price(plan.term)
            new = {"unit_price": price, "amount": price * line.quantity}
            if record.born < at:
                record.set(at + 2, new)
            else:
                record.events[0][2].update(new)
    writer.arr = sum(line.quantity * line.cents for line in plan.lines if line.recurring)
    writer.amount = sum(line.quantity * line.unit_price(plan.term) for line in plan.lines)


def _flaws(writer: Writer, at: int) -> None:
    """What is wrong with this win, for good."""
    plan = writer.plan
    flaws = {
        "zero_value_win": plan.zero,
        "retro_entered": plan.retro,
        "dates_reversed": plan.reversed,
        "unconverted_pilot": plan.unconverted,
    }
    for rule, there in flaws.items():
        if there:
            writer.fault(rule, at)


def hand_over(writer: Writer) -> None:
    """When an owner leaves, most open deals follow the account to the successor; some stay behind."""
    scene, opened = writer.scene, writer.plan.opened
    closed = scene.day_of(writer.last) if writer.plan.closes < scene.days.horizon else scene.days.horizon
    for since, owner in writer.account.owners[1:]:
        if opened + 1 < since < closed and scene.r() < 0.7:
            writer.record.set(scene.at(since + 0.6 + 0.3 * scene.r()), {"owner": owner})


def meet(writer: Writer) -> None:
    """Contact roles and meetings. The first meeting's date is kept on the deal most of the time."""
    scene, plan, r = writer.scene, writer.plan, writer.scene.r
    born = writer.record.born
    contact = writer.people.someone(born)
    if contact is not None and r() < 0.8:
        _role(writer, contact, born + 30, primary=True)
        other = writer.people.someone(born, contact) if r() < 0.35 else None
        if other is not None:
            _role(writer, other, born + 45 + int(r() * 9) * HOUR, primary=False)
    length = plan.closes - plan.opened
    if plan.negative or plan.retro or plan.motion == "self-serve" or length < 4:
        return
    if r() < 0.1:  # they had met before there was a deal
        earlier = max(0, int(plan.opened) - 2 - int(20 * r()))
        writer.record.events[0][2]["first_meeting"] = scene.days.iso[earlier]
        return
    day = scene.days.workday(int(plan.opened + 1 + min(length * 0.3, 14) * r()))
    held = False
    for n in range(1 + int(r() * 2.4)):
        if day + 1 >= min(plan.closes, scene.days.horizon) or r() < 0.12:
            break
        held = _meeting(writer, day, contact, n, held=held)
        day = scene.days.workday(day + 4 + int(length * 0.3 * r()))


def _role(writer: Writer, contact: int, at: int, *, primary: bool) -> None:
    role = writer.scene.pick(writer.scene.vertical.roles)[0]
    values: Values = {"deal": writer.key, "contact": contact, "role": role, "primary": primary}
    writer.attached.append(writer.scene.new("contact_role", at, values))


def _meeting(writer: Writer, day: int, contact: int | None, n: int, *, held: bool) -> bool:
    """One meeting, booked some days ahead. Later ones may not take place. Whether any was held by now."""
    scene, r = writer.scene, writer.scene.r
    starts = scene.days.midnight[day] + 9 * HOUR + int(r() * 16) * HOUR // 2
    ends = starts + (HOUR if n else HOUR // 2)
    booked = max(writer.record.born + 90, starts - HOUR - int(r() * 5 * 86_400))
    booked = min(booked, starts - 60)
    orphan = writer.plan.orphan
    values: Values = {
        "account": None if orphan else writer.account.account_key(scene.day_of(booked)),
        "deal": writer.key,
        "contact": contact,
        "owner": writer.account.owner(day),
        "subject": MEETINGS[min(n, len(MEETINGS) - 1)],
        "starts_at": starts,
        "ends_at": ends,
        "completed": False,
    }
    meeting = scene.new("meeting", booked, values)
    writer.attached.append(meeting)
    if held and r() < 0.1:
        meeting.add(starts - 30, "delete")  # called off
        return held
    meeting.set(ends + 300, {"completed": True})
    if not held and r() < 0.93:
        writer.record.set(ends + 600, {"first_meeting": scene.days.iso[day]})
    return True


def discard(writer: Writer) -> None:
    """Some deals are deleted: mistakes, tests, copies. A few come back, a few leave no trace at all."""
    scene, plan = writer.scene, writer.plan
    u = scene.r()
    if not plan.doomed and (plan.won or u > 0.03):
        return
    first, last = writer.record.born + HOUR, scene.days.end_instant
    if plan.doomed:
        first = max(first, writer.last + HOUR)
    elif u < 0.018:  # soon after it was entered
        last = min(last, first + 20 * 86_400)
    if first >= last - HOUR:
        return
    at = first + int((last - first) * scene.r())
    _delete(writer, at, forever=plan.doomed)


def _delete(writer: Writer, at: int, *, forever: bool) -> None:
    """Delete a deal and all that hangs on it; restore it within the recycle bin's time, or not."""
    scene = writer.scene
    purge = not writer.plan.lead and not forever and scene.r() < 0.15
    restored = None
    if not purge and not forever and scene.r() < 0.25:
        restored = at + HOUR + int(9 * 86_400 * scene.r())
        family = [writer.record, *writer.lines, *writer.attached]
        if any(at - HOUR < event[0] <= restored for record in family for event in record.events):
            return  # it is being worked on: nobody deletes it
    for record in [writer.record, *writer.lines, *writer.attached]:
        if record.born >= at and restored is None:
            record.unwrite()
        elif record.born < at and not record.ends_by(at):
            record.add(at, "purge" if purge else "delete")
            if restored is not None:
                record.add(restored, "restore")
    scene.away(writer.record, at, restored or FOREVER)
