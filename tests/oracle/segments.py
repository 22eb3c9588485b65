"""Which segment a record lies in (R15, rulings 3, 16, 23, 24): one function for deals, customers and leads each.

What decides it is what the moment of knowledge says, as neither CRM keeps a past of it that the other has too; what
is blank lies in ``unknown``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tests.oracle.ledger import rows_of
from tests.oracle.quality import filled
from tests.oracle.record import Record, Truth, day

UNKNOWN = "unknown"
CUTS = ("size", "industry", "motion", "product", "owner", "pipeline")
DEAL_CUTS = tuple(cut for cut in CUTS if cut != "product")
SOURCES = {  # lead source -> motion, as the configuration has it by default
    "inbound": ("inbound", "web", "website", "webinar", "content download", "phone inquiry"),
    "outbound": ("outbound", "cold call", "trade show", "purchased list"),
    "partner": ("partner", "partner referral"),
    "self-serve": ("self-serve", "free trial"),
}


def stated(text: str | None) -> str | None:
    return text.strip() if text is not None and filled(text) else None


def motion_of_source(source: str | None) -> str | None:
    word = (stated(source) or "").lower()
    return next((motion for motion, words in SOURCES.items() if word in words), None)


def motion_of(deal: Record) -> str | None:
    """Ruling 24: the mapped field, however it spells a motion of R15, else the lead source through the source map."""
    own = stated(deal["motion"])
    spelled = "".join(filter(str.isalnum, own.lower())) if own else ""
    known = next((motion for motion in SOURCES if motion.replace("-", "") == spelled), None)
    return known or own or motion_of_source(deal["lead_source"])


def size_of_account(truth: Truth, account: Record | None) -> str | None:
    if account is None or account.gone:
        return None
    staff, bands = account["employees"] or 0, truth.ways["size_bands"]
    by_staff = next((name for least, name in bands if staff >= max(least, 1)), None)
    return stated(account["segment"]) or by_staff


def size_of(truth: Truth, deal: Record) -> str | None:
    """Ruling 24: the deal's mapped segment, else the account's, else its band of employees."""
    return stated(deal["segment"]) or size_of_account(truth, truth.account(deal["account"]))


class Segments:
    """The segments of one company.

    ``pipeline``: what its CRM calls it. ``one_person``: whether a lead and the contact that it became are one record
    there, with one owner. ``owner_id``: a user's id there.
    """

    def __init__(
        self,
        truth: Truth,
        pipeline: str = "default",
        one_person: bool = False,
        owner_id: Callable[[int], str] = str,
    ) -> None:
        self.truth, self.pipeline = truth, pipeline
        became = truth.live("contact") if one_person else ()
        self.became = {contact["lead"]: contact for contact in became if contact["lead"] is not None}
        names = [user["name"] for user in truth.all("user")]
        self.owners = {
            user.key: user["name"]
            if names.count(user["name"]) == 1
            else f"{user['name']} ({owner_id(user.key)})"
            for user in truth.all("user")
        }
        self.known: dict[tuple[str, str, int], str] = {}
        self.first: dict[int, tuple[tuple[date, date, int], Record]] = {}
        for deal in truth.live("deal"):
            self._contract(deal)

    def _contract(self, deal: Record) -> None:
        """Keeps the first new-business contract of every customer (ruling 16)."""
        outcome, on = self.truth.outcome(deal)
        customer = self.truth.customer(deal["account"])
        if self.truth.type_of(deal) != "new" or outcome != "won" or on is None or customer is None:
            return
        if rows_of(self.truth, deal) is None:
            return
        begins = (day(deal["start_date"]) if deal["start_date"] else on, on, deal.key)
        if customer not in self.first or begins < self.first[customer][0]:
            self.first[customer] = begins, deal

    def deal(self, cut: str, deal: Record) -> str:
        return self._kept(cut, deal, self._of_deal)

    def lead(self, cut: str, lead: Record) -> str:
        return self._kept(cut, lead, self._of_lead)

    def customer(self, cut: str, key: int) -> str:
        return self._kept(cut, self.truth.records["account"][key], self._of_customer)

    def _kept(self, cut: str, record: Record, found: Callable[[str, Record], str | None]) -> str:
        identity = (cut, record.kind, record.key)
        if identity not in self.known:
            self.known[identity] = found(cut, record) or UNKNOWN
        return self.known[identity]

    def _of_deal(self, cut: str, deal: Record) -> str | None:
        account = self.truth.account(deal["account"])
        industry = None if account is None or account.gone else stated(account["industry"])
        found = {
            "size": size_of(self.truth, deal),
            "industry": industry,
            "motion": motion_of(deal),
            "owner": self.owners.get(deal["owner"]),
            "pipeline": self.pipeline,
        }
        return found[cut]

    def _of_customer(self, cut: str, account: Record) -> str | None:
        """Size, industry and owner of the ultimate parent; motion and pipeline of the first contract."""
        first = self.first[account.key][1] if account.key in self.first else None
        found = {
            "size": size_of_account(self.truth, account),
            "industry": stated(account["industry"]),
            "motion": motion_of(first) if first else None,
            "owner": self.owners.get(account["owner"]),
            "pipeline": self.pipeline if first else None,
        }
        return found[cut]

    def _of_lead(self, cut: str, lead: Record) -> str | None:
        person = self.became.get(lead.key, lead)
        found = {"motion": motion_of_source(lead["source"]), "owner": self.owners.get(person["owner"])}
        return found[cut]
