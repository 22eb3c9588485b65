"""Contacts and leads: who answered, who is in the room, who moved on."""

from __future__ import annotations

from connectors.simulator.lives.accounts import Account, identity
from connectors.simulator.lives.scene import HOUR, Record, Scene, Values
from connectors.simulator.names import FIRST_NAMES, LAST_NAMES, SOURCES

_NAMES = len(FIRST_NAMES) * len(LAST_NAMES)
YEAR = 365


class People:
    """The contacts of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.scene = account.scene
        self._count = 0
        self._usable: list[tuple[int, int]] = []  # (born, key)

    def settle_in(self, day: float) -> None:
        """The contacts that are not leads: the first with the account, the others over time."""
        scene = self.scene
        low, high = self.account.segment.contacts
        if self.account.member.role in ("duplicate", "merged"):
            low, high = 1, 2
        for n in range(low + int(scene.r() * (high - low + 1))):
            born = day if n == 0 else day + scene.r() ** 2 * min(500, scene.days.horizon - day - 1)
            doomed = n > 1 and scene.r() < 0.06
            record = self.add(born, double=not doomed)
            if doomed:
                end_contact(scene, record, born + 10 + scene.r() * 500)
            else:
                self._usable.append((record.born, record.key))

    def add(
        self, day: float, lead: int | None = None, person: Values | None = None, *, double: bool = True
    ) -> Record:
        """A contact from that day on. From a lead it takes over the person."""
        scene, account = self.scene, self.account
        whole = int(day)
        if person is None:
            person = self._person()
        role, centre, title = scene.vertical.roles[self._role()]
        values: Values = {
            **person,
            "account": account.account_key(whole),
            "title": title,
            "role": None if scene.faulty(0.1) else role,
            "buying_centre": None if scene.faulty(0.1) else centre,
            "owner": account.owner(whole),
            "last_activity": scene.days.iso[whole],
            "bounced": False,
            "lead": lead,
        }
        record = scene.new("contact", scene.at(day) + 60 + scene.index % 7, values)
        self._stay_in_touch(record, whole)
        if lead is not None:
            self._usable.append((record.born, record.key))
        elif double and scene.faulty(0.05):
            self._double(record, values, day)
        return record

    def someone(self, at: int, but: int | None = None) -> int | None:
        """A contact that exists at that instant."""
        here = [key for born, key in self._usable if born < at and key != but]
        return here[int(self.scene.r() * len(here))] if here else None

    def _person(self) -> Values:
        """A name no one else in this customer has, with its e-mail and phone."""
        member = self.account.member
        number = (member.of or member.index) * 31 + member.index % 10 * 1500 + self._count
        self._count += 1
        first, last = divmod(number * 7919 % _NAMES, len(LAST_NAMES))
        domain = self.account.identity.domain.removeprefix("www.")
        serial = self.account.key * 1000 + self._count
        return {
            "first_name": FIRST_NAMES[first],
            "last_name": LAST_NAMES[last],
            "email": f"{FIRST_NAMES[first]}.{LAST_NAMES[last]}@{domain}".lower(),
            "phone": f"+1 {serial // 10_000_000 + 201} {serial // 10_000 % 1000:03d} {serial % 10_000:04d}",
        }

    def _role(self) -> int:
        roles = len(self.scene.vertical.roles)
        return self._count - 1 if 0 < self._count <= 2 else int(self.scene.r() * roles)

    def _stay_in_touch(self, record: Record, born: int) -> None:
        """Activity at least every eleven months, unless the contact is one that went quiet."""
        scene, days = self.scene, self.scene.days
        last = born
        quiet = scene.faulty(0.28)
        while True:
            coming = days.workday(last + 60 + int(scene.r() * 260))
            if coming >= days.horizon or (quiet and scene.r() < 0.5):
                break
            last = coming
            record.set(scene.at(last + 0.9 * scene.r()), {"last_activity": days.iso[last]})
        if quiet and last + YEAR + 3 < days.horizon:
            scene.mark("stale_contact", record, days.midnight[last + YEAR + 3])
        if scene.faulty(0.03):
            on = min(born + 20 + int(scene.r() * 500), days.horizon - 1)
            at = scene.at(on + 0.5)
            record.set(at, {"bounced": True})
            scene.mark("bounced_contact", record, at)

    def _double(self, twin: Record, values: Values, day: float) -> None:
        """The same person entered again: by e-mail, or by name and phone."""
        scene = self.scene
        born = day + 3 + scene.r() * 200
        if born >= scene.days.horizon - 40:
            return
        copy = {
            **values,
            "account": self.account.account_key(int(born)),
            "last_activity": scene.days.iso[int(born)],
        }
        copy["owner"] = self.account.owner(int(born))
        if scene.r() < 0.6:
            copy["email"] = str(values["email"]).capitalize()
            copy["phone"] = None
        else:
            copy["email"] = None
        record = scene.new("contact", scene.at(born), copy)
        until = None
        if scene.r() < 0.3:
            until = scene.at(min(born + 20 + scene.r() * 300, scene.days.horizon - 1))
            record.add(until, "merge", {"into": twin.key})
        else:
            self._stay_in_touch(record, int(born))
        if until is None:
            scene.mark("duplicate_contact", record)
        else:
            scene.mark("duplicate_contact", record, until=until)


def end_contact(scene: Scene, record: Record, day: float) -> None:
    """Into the recycle bin, there and back, or gone without a trace. Only for what nothing refers to."""
    if day >= scene.days.horizon - 1:
        return
    u = scene.r()
    at = scene.at(day)
    if u < 0.25:
        record.add(at, "purge")
        scene.away(record, at)
        return
    record.add(at, "delete")
    if u < 0.5:
        back = scene.at(min(day + 0.1 + scene.r() * 9, scene.days.horizon - 0.1))
        record.add(back, "restore")
        scene.away(record, at, back)
    else:
        scene.away(record, at)


def convert_lead(people: People, day: float, motion: str, deal: int) -> tuple[Record, Record]:
    """A lead that became this deal on that day: the lead, and the contact it turned into.

    The account exists before; the lead was created up to four months earlier.
    """
    scene, account = people.scene, people.account
    born = max(0.0, day - (1 + 75 * scene.r() ** 2 if scene.r() < 0.93 else 95 + 40 * scene.r()))
    person = people._person()
    lead = _lead(scene, born, person, account.identity.name, motion, account.owner(int(born)))
    contact = people.add(day, lead.key, person)
    steps = _qualify(scene, lead, born, day, sql=True)
    lead.set(
        max(contact.born, steps) + 150,
        {
            "status": "Converted",
            "converted": scene.days.iso[int(day)],
            "account": contact.events[0][2]["account"],
            "contact": contact.key,
            "deal": deal,
        },
    )
    return lead, contact


def cold_leads(scene: Scene, account: Account, count: int) -> None:
    """Leads that never became anything, from companies that are no account."""
    days, r = scene.days, scene.r
    owner = account.owner
    for _ in range(count):
        born = scene.setting.density.draw(r()) + 0.9 * r()
        person = {}
        first, last = scene.pick(FIRST_NAMES), scene.pick(LAST_NAMES)
        who = identity(scene.setting.seed, int(r() * 10_000_000) + 1)
        person = {
            "first_name": first,
            "last_name": last,
            "email": f"{first}.{last}@{who.domain}".lower() if r() < 0.96 else None,
            "phone": None,
        }
        motion = "inbound" if r() < 0.7 else "outbound"
        lead = _lead(scene, born, person, who.name, motion, owner(int(born)))
        end = min(born + 5 + 90 * r(), days.horizon - 0.5)
        last_step = _qualify(scene, lead, born, end, sql=r() < 0.22)
        if r() < 0.85:
            lead.set(
                max(last_step + HOUR, scene.at(end)), {"status": "Unqualified" if r() < 0.6 else "Nurturing"}
            )
        if r() < 0.025:
            end_contact(scene, lead, end + 1 + 200 * r())


def _lead(scene: Scene, born: float, person: Values, company: str, motion: str, owner: int) -> Record:
    values: Values = {
        **person,
        "company": company,
        "title": scene.pick(scene.vertical.roles)[2],
        "status": "Open",
        "source": scene.pick(SOURCES[motion]),
        "owner": owner,
    }
    return scene.new("lead", scene.at(born), values)


def _qualify(scene: Scene, lead: Record, born: float, end: float, *, sql: bool) -> int:
    """Marketing, then sales qualification between two days; the instant of the last step."""
    r, iso = scene.r, scene.days.iso
    mql = born + (end - born) * 0.4 * r()
    last = lead.born
    if (sql and r() < 0.95) or (not sql and r() < 0.5):
        last = scene.at(mql)
        lead.set(last, {"status": "Marketing Qualified", "mql_at": iso[int(mql)]})
    if sql:
        day = mql + (end - mql) * 0.6 * r()
        last = max(scene.at(day), last + 1)
        lead.set(last, {"status": "Working", "sql_at": iso[int(day)]})
    return last
