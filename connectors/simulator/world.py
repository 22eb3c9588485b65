"""The simulated company as both CRMs see it: neutral records and everything that ever happened to them.

``World.lives()`` is the generator's own record, the truth that tests compare with. A life is one record
and its events in order of time. Servers replay the events up to their clock and keep the rest for later.

Neutral values: money in minor units (int), instants in epoch seconds (int, UTC, whole seconds), dates as
``YYYY-MM-DD``, references as the key of the record they point at, booleans, floats and text; ``None`` is empty.

Kinds and their fields (a field that is absent in ``create`` is None):

- user: name, first_name, last_name, email, active (bool), manager (user)
- product: name, family, kind (seat | module | one_time)
- account: name, domain, phone, industry, employees (int), segment, source, parent (account), owner (user),
  country, city
- contact: account, first_name, last_name, email, phone, title, role, buying_centre, owner,
  last_activity (date), bounced (bool), lead (lead: it was converted from)
- lead: first_name, last_name, company, email, phone, title, status, source, owner, mql_at (date),
  sql_at (date), converted (date), account, contact, deal (what it became)
- deal: name, account, owner, stage (name), amount, currency, close_date, probability (0..1), forecast_category
  (omitted | pipeline | best_case | commit | closed), type, lead_source, next_step, loss_reason, arr, term_months,
  start_date, motion, segment, expansion_kind (seat | module), first_meeting (date), pilot (bool),
  pilot_start, pilot_end, pilot_converted (dates)
- line_item: deal, product, quantity (float), unit_price, amount, currency, kind
- contract, subscription: see ``agreements``, which draws them from the won deals; not among ``lives``
- contact_role: deal, contact, role, primary (bool)
- meeting: account, deal, contact, owner, subject, starts_at, ends_at, completed (bool)
- quota: owner, start_date, amount, currency
- rate: currency, start_date, rate (text: home-currency units for one unit; at most 6 decimals, and its
  inverse ends within 12, so that Salesforce's and HubSpot's ways of keeping rates agree exactly)

Operations: ``create`` (all initial values), ``set`` (what changed), ``delete`` (into the recycle bin), ``restore``,
``merge`` (``{"into": key}``: this record becomes part of another; its children get ``set`` events of their own),
``purge`` (gone for good, without a trace). Rates, quotas and products never change.

A deal's ``set`` always carries every field that changes with it (a stage move also sets probability and
forecast_category; a close also sets close_date), so that a CRM's history can be told from the events alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NamedTuple, Protocol

Kind = Literal[
    "user",
    "product",
    "rate",
    "quota",
    "account",
    "contact",
    "lead",
    "deal",
    "line_item",
    "contract",
    "subscription",
    "contact_role",
    "meeting",
]
Op = Literal["create", "set", "delete", "restore", "merge", "purge"]


class Event(NamedTuple):
    """Something that happened to one record at one instant (epoch seconds)."""

    at: int
    op: Op
    values: Mapping[str, Any]


class Life(NamedTuple):
    """One record and all its events, the first one ``create``, in order of time."""

    kind: Kind
    key: int  # unique within its kind, from 1
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Stage:
    """One row of the sales process, as it is laid out now."""

    name: str
    sort_order: int
    probability: float
    forecast_category: str
    closed: bool = False
    won: bool = False
    active: bool = True


class World(Protocol):
    """A company that can be served. ``lives`` may be iterated any number of times, always alike."""

    name: str
    timezone: str
    home_currency: str
    start: date
    end: date  # nothing happens from this day on
    stages: tuple[Stage, ...]

    def lives(self) -> Iterator[Life]:
        """Users, products, rates and quotas first, then account by account with all that belongs to it."""
        ...
