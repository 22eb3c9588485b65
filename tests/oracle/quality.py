"""Completeness and cleanliness, record by record (section 6, rulings 35 to 37)."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tests.oracle.record import TRACKED, Record, Truth, add_months, day

EMPTY = {"", "blank", "tbd", "tba", "n/a", "na", "none", "(none)", "-", "?", "unknown", "null", "test"}


def filled(value: object) -> bool:
    return value is not None and value != 0 and str(value).strip().lower() not in EMPTY


@dataclass
class Cells:
    """The required fields of a deal open at D: their weights, those of the filled ones, how many there are, and its
    amount at D, home currency."""

    deal: Record
    have: Fraction
    want: Fraction
    count: int
    value: int


def completeness(truth: Truth, month: str) -> tuple[Fraction, Fraction]:
    """(filled, required) cells of the deals open at D, weighed."""
    rows = list(cells_of(truth, month))
    return sum((row.have for row in rows), Fraction(0)), sum((row.want for row in rows), Fraction(0))


def cells_of(truth: Truth, month: str) -> Iterator[Cells]:
    """Those of every deal open at D."""
    on, fields = truth.day_of(month), truth.ways["required_deal_fields"]
    weights = {name: Fraction(str(truth.ways["quality.field_weights"].get(name, 1))) for name in fields}
    for deal in truth.live("deal"):
        if not truth.open_at(deal, on):
            continue
        then = deal.at(truth.end_of(on))
        there = {
            "amount": filled(then["amount"]),
            "close_date": filled(then["close_date"]) and not _default_close_date(truth, deal, on),
            "stage": filled(then["stage"]),
            **{name: filled(deal[name.removesuffix("_id")]) for name in fields if name not in TRACKED},
        }
        asked = [name for name in fields if _asked(truth, name, then["stage"])]
        have = sum((weights[name] for name in asked if there[name]), Fraction(0))
        want = sum((weights[name] for name in asked), Fraction(0))
        value = max(0, truth.home(then["amount"] or 0, deal["currency"], on))
        yield Cells(deal, have, want, len(asked), value)


def _asked(truth: Truth, name: str, stage: str | None) -> bool:
    """Whether a deal in a stage must have a field: from one stage on, or anywhere."""
    gate = truth.ways["quality.required_from"].get(name)
    known = truth.stages.get(stage or "")
    return gate is None or known is None or known.sort_order >= truth.stages[gate].sort_order


def _default_close_date(truth: Truth, deal: Record, on: date) -> bool:
    """The end of the month of creation, never changed."""
    created = truth.local_day(deal.created)
    default = date(created.year, created.month, calendar.monthrange(created.year, created.month)[1])
    end = truth.end_of(on)
    dates = {values["close_date"] for at, values in deal.past if at <= end}
    return dates == {default.isoformat()}


def stage_faults(truth: Truth, month: str) -> tuple[int, int]:
    """(faulty, all) of the deals open at D: blank, no active stage, or overdue."""
    on = truth.day_of(month)
    active = {stage.name for stage in truth.world.stages if stage.active}
    faulty = total = 0
    for deal in truth.live("deal"):
        if truth.open_at(deal, on):
            then = deal.at(truth.end_of(on))
            total += 1
            overdue = then["close_date"] is not None and day(then["close_date"]) < on
            faulty += overdue or not filled(then["stage"]) or then["stage"] not in active
    return faulty, total


def outdated(truth: Truth) -> tuple[int, int]:
    """(outdated, all) contacts as at the moment of knowledge."""
    limit = add_months(truth.today, -truth.ways["quality.outdated_months"])
    contacts = truth.live("contact")
    return sum(_outdated(truth, contact, limit) for contact in contacts), len(contacts)


def _outdated(truth: Truth, contact: Record, limit: date) -> bool:
    last = day(contact["last_activity"]) if contact["last_activity"] else truth.local_day(contact.created)
    return bool(contact["bounced"]) or last < limit


def duplicates(truth: Truth) -> tuple[int, int]:
    """(surplus records, all) of accounts and contacts, as at the moment of knowledge."""
    accounts, contacts = truth.live("account"), truth.live("contact")
    surplus = _surplus_accounts(truth, accounts) + _surplus(
        (contact.key, _contact_keys(contact)) for contact in contacts
    )
    return surplus, len(accounts) + len(contacts)


def _surplus_accounts(truth: Truth, accounts: list[Record]) -> int:
    """Accounts of one hierarchy count as one record."""
    by_hierarchy: dict[int, list[Hashable]] = {}
    for account in accounts:
        top = truth.customer(account.key)
        assert top is not None
        by_hierarchy.setdefault(top, []).extend(_account_keys(account))
    return _surplus(by_hierarchy.items())


def _surplus(keyed: Iterable[tuple[int, list[Hashable]]]) -> int:
    """Records less clusters, clusters being transitive over shared keys."""
    parent: dict[Hashable, Hashable] = {}

    def find(item: Hashable) -> Hashable:
        while parent.setdefault(item, item) != item:
            item = parent[item]
        return item

    records = []
    for record, keys in keyed:
        node = ("record", record)
        records.append(node)
        find(node)
        for key in keys:
            parent[find(key)] = find(node)
    return len(records) - len({find(node) for node in records})


def _account_keys(account: Record) -> list[Hashable]:
    keys: list[Hashable] = []
    domain = re.sub(r"^www\.", "", (account["domain"] or "").strip().lower())
    if domain:
        keys.append(("domain", domain))
    if name := normal_name(account["name"]):
        keys.append(("name", name))
    return keys


def _contact_keys(contact: Record) -> list[Hashable]:
    keys: list[Hashable] = []
    if email := (contact["email"] or "").strip().lower():
        keys.append(("email", email))
    phone = re.sub(r"\D", "", contact["phone"] or "")
    name = f"{contact['first_name'] or ''} {contact['last_name'] or ''}".strip().lower()
    if phone and name:
        keys.append(("phone", phone, name))
    return keys


LEGAL_FORMS = re.compile(
    r"\b(incorporated|inc|corporation|corp|company|co|limited|ltd|llc|llp|lp|plc|gmbh|ag|se|sa|sas|bv|nv|ab|as|oy|pty)\b"
)


def normal_name(name: str | None) -> str:
    """Lower case, without accents, punctuation and legal forms."""
    text = unicodedata.normalize("NFKD", name or "").encode("ascii", "ignore").decode().lower()
    text = re.sub(r"[^a-z0-9 ]+", " ", text.replace("&", " and "))
    return " ".join(LEGAL_FORMS.sub(" ", text).split())


def cleanliness(
    truth: Truth, month: str, standing: tuple[tuple[int, int], tuple[int, int]] | None = None
) -> Fraction | None:
    """0 to 100: 35 % completeness, 25 % duplicates, 20 % stages, 20 % contacts; None when a part has no base.

    ``standing``: duplicates and outdated contacts, which are the same for every month.
    """
    double, old = standing or (duplicates(truth), outdated(truth))
    parts: list[tuple[int | Fraction, int | Fraction]] = [
        completeness(truth, month), double, stage_faults(truth, month), old,
    ]  # fmt: skip
    weights = [truth.ways[f"quality.{part}"] for part in ("completeness", "duplicates", "stages", "contacts")]
    if any(base == 0 and weight for weight, (_, base) in zip(weights, parts, strict=True)):
        return None
    score = Fraction(0)
    for weight, (n, (some, base)) in zip(weights, enumerate(parts), strict=True):
        if base:
            share = Fraction(some) / Fraction(base)
            score += weight * (share if n == 0 else 1 - share)
    return score
