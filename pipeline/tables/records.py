"""The CRM's records: canonical tables, column by column as ``connectors.schema.TABLES`` (a test compares them)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from sqlalchemy import Index, text
from sqlmodel import Field

from pipeline.columns import (
    Day,
    ExactDecimal,
    Flag,
    Key,
    KeyDay,
    Moment,
    Money,
    Real,
    Reference,
    SomeMoment,
    SomeText,
    Whole,
    Words,
)
from pipeline.tables.base import Record, Row


def _merged(name: str) -> Index:
    """Finds the few records that were merged away: every page that points at them asks."""
    gone = text("merged_into IS NOT NULL")
    return Index(f"{name}_merged", "company", "crm", sqlite_where=gone, postgresql_where=gone)


class Owner(Row, table=True):
    """CRM users. Grain: one user, still active or not."""

    __tablename__ = "owners"
    external_id: Key
    name: Words
    email: Words
    active: Flag
    manager_id: Reference
    modified_at: Moment
    deleted_at: Moment
    recorded_at: SomeMoment


class Stage(Row, table=True):
    """The sales process as it is laid out now. Grain: one stage of one pipeline.

    ``stage`` is the value that deals carry; ``probability`` is 0..1; ``forecast_category`` is omitted, pipeline,
    best_case, commit or closed. A stage taken out of the layout stays, with ``active`` false.
    """

    __tablename__ = "stages"
    pipeline: Key
    stage: Key
    pipeline_label: Words
    label: Words
    sort_order: Whole
    is_closed: Flag
    is_won: Flag
    probability: Real
    forecast_category: Words
    active: Flag
    modified_at: Moment
    deleted_at: Moment
    recorded_at: SomeMoment


class Account(Record, table=True):
    """Companies. Grain: one account. ``domain`` is bare (no scheme, no www); ``employees`` counts heads;
    ``source`` is the CRM's word for where it came from; ``parent_id`` follows merges."""

    __tablename__ = "accounts"
    __table_args__ = (_merged("accounts"),)
    name: Words
    domain: Words
    phone: Words
    parent_id: Reference
    owner_id: Reference
    industry: Words
    employees: Whole
    segment: Words
    source: Words
    country: Words
    city: Words
    custom: SomeText
    recorded_at: SomeMoment


class Contact(Record, table=True):
    """People at accounts. Grain: one contact. ``last_activity_at`` is a local date; ``account_id`` follows merges."""

    __tablename__ = "contacts"
    __table_args__ = (_merged("contacts"),)
    account_id: Reference
    first_name: Words
    last_name: Words
    email: Words
    phone: Words
    title: Words
    role: Words
    buying_centre: Words
    owner_id: Reference
    last_activity_at: Day
    bounced: Flag
    custom: SomeText
    recorded_at: SomeMoment


class Lead(Record, table=True):
    """Leads. Grain: one lead, converted or not (``converted_at``, and what it became)."""

    __tablename__ = "leads"
    first_name: Words
    last_name: Words
    company_name: Words
    email: Words
    status: Words
    source: Words
    owner_id: Reference
    mql_at: Day
    sql_at: Day
    converted_at: Day
    converted_account_id: Reference
    converted_contact_id: Reference
    converted_deal_id: Reference
    custom: SomeText
    recorded_at: SomeMoment


class Deal(Record, table=True):
    """Deals as they are now; their past is in ``deal_changes``. Grain: one deal (opportunity).

    ``amount`` and ``arr`` are minor units of ``currency``; ``probability`` is 0..1; ``is_closed`` and ``is_won`` are
    what the CRM says, null where it does not; ``term_months`` counts calendar months.
    """

    __tablename__ = "deals"
    __table_args__ = (_merged("deals"),)
    name: Words
    account_id: Reference
    owner_id: Reference
    pipeline: Words
    stage: Words
    is_closed: Flag
    is_won: Flag
    amount: Money
    currency: Words
    close_date: Day
    probability: Real
    forecast_category: Words
    type: Words
    lead_source: Words
    next_step: Words
    loss_reason: Words
    arr: Money
    term_months: Whole
    start_date: Day
    motion: Words
    segment: Words
    expansion_kind: Words
    first_meeting_at: Day
    pilot: Flag
    pilot_start: Day
    pilot_end: Day
    pilot_converted: Day
    partner: Words
    custom: SomeText
    recorded_at: SomeMoment


class LineItem(Record, table=True):
    """Products on deals. Grain: one line. ``amount`` is the net total, ``unit_price`` per unit, both in minor
    units of ``currency``; ``kind`` is seat, module, one_time, services, usage or committed_usage; ``deal_id`` follows
    merges; ``start_date`` and ``term_months`` are the line's own, null where it has none beside the deal's."""

    __tablename__ = "line_items"
    deal_id: Reference
    product_id: Reference
    product: Words
    product_family: Words
    kind: Words
    quantity: Real
    unit_price: Money
    amount: Money
    currency: Words
    start_date: Day
    term_months: Whole
    custom: SomeText
    recorded_at: SomeMoment


class Contract(Record, table=True):
    """Contracts, where a company keeps them apart from its deals. Grain: one contract. ``amount`` is the net total in
    minor units of ``currency``; ``end_date`` is its last day, ``terminated_date`` the first on which it is over before
    its time; ``account_id`` and ``deal_id`` follow merges."""

    __tablename__ = "contracts"
    name: Words
    account_id: Reference
    deal_id: Reference
    status: Words
    product: Words
    kind: Words
    quantity: Real
    amount: Money
    currency: Words
    start_date: Day
    end_date: Day
    term_months: Whole
    signed_date: Day
    terminated_date: Day
    custom: SomeText
    recorded_at: SomeMoment


class Subscription(Record, table=True):
    """The lines of contracts. Grain: one product of a contract, or one change of it (``revises_id``: of which), with
    what that adds or, negative, takes away. ``unit_price`` and ``amount`` are minor units of ``currency``; null dates
    are those of the contract; ``account_id`` follows merges."""

    __tablename__ = "subscriptions"
    name: Words
    contract_id: Reference
    account_id: Reference
    revises_id: Reference
    product_id: Reference
    product: Words
    kind: Words
    quantity: Real
    unit_price: Money
    amount: Money
    currency: Words
    start_date: Day
    end_date: Day
    term_months: Whole
    terminated_date: Day
    custom: SomeText
    recorded_at: SomeMoment


class Meeting(Record, table=True):
    """Meetings with customers. Grain: one meeting. ``completed`` null: the CRM keeps no outcome, past means held."""

    __tablename__ = "meetings"
    account_id: Reference
    deal_id: Reference
    contact_id: Reference
    owner_id: Reference
    subject: Words
    starts_at: Moment
    ends_at: Moment
    completed: Flag
    custom: SomeText
    recorded_at: SomeMoment


class Quota(Record, table=True):
    """Sales quotas. Grain: one owner's quota of the period that begins on ``start_date``; minor units."""

    __tablename__ = "quotas"
    owner_id: Reference
    start_date: Day
    amount: Money
    currency: Words
    custom: SomeText
    recorded_at: SomeMoment


class ExchangeRate(Row, table=True):
    """Home-currency units for one unit of ``currency``, in force from ``start_date`` until the next row's.
    Grain: one currency and first day."""

    __tablename__ = "exchange_rates"
    currency: Key
    start_date: KeyDay
    rate: Annotated[Decimal | None, Field(default=None, sa_type=ExactDecimal)]
    modified_at: Moment
    deleted_at: Moment
    recorded_at: SomeMoment
