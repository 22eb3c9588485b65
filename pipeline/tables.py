"""The store's tables, the same on SQLite and PostgreSQL.

Canonical tables mirror ``connectors.schema.TABLES`` column by column (a test compares them) and add

- ``company`` and ``crm`` (the source: salesforce, hubspot), which lead every primary key: companies never mix,
  and a company that moves to another CRM keeps the old one's rows;
- ``recorded_at``: our clock, when this version of the row was written. It moves only when a value changed.

Conventions: ids and words are text as the CRM has them; money is an integer in the minor unit of ``currency``;
instants are UTC with microseconds (SQLite: text ``YYYY-MM-DD HH:MM:SS.ffffff``); plain dates carry no zone;
JSON is text; ``deleted_at`` marks a tombstone and ``merged_into`` names the record that survived a merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final

import polars as pl
from sqlalchemy import Index, Integer, MetaData, Table, Text, text
from sqlmodel import Field, SQLModel

from connectors.schema import TABLES
from pipeline.columns import (
    Count,
    Day,
    ExactDecimal,
    Flag,
    Key,
    KeyDay,
    KeyInstant,
    KeyNumber,
    Moment,
    Money,
    Real,
    Reference,
    SomeFlag,
    SomeMoment,
    SomeText,
    Whole,
    Words,
)


class Row(SQLModel):
    """What leads every row: whose it is, and which CRM said it."""

    company: Key
    crm: Key


def _merged(name: str) -> Index:
    """Finds the few records that were merged away: every page that points at them asks."""
    gone = text("merged_into IS NOT NULL")
    return Index(f"{name}_merged", "company", "crm", sqlite_where=gone, postgresql_where=gone)


class Record(Row):
    """A CRM record: its identity, the CRM's own stamps, and how it ended."""

    external_id: Key
    created_at: Moment
    modified_at: Moment
    deleted_at: Moment
    merged_into: Reference


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
    custom: SomeText
    recorded_at: SomeMoment


class DealChange(Row, table=True):
    """What happened to deals, appended for ever. Grain: one change of one field of one deal.

    Values are text: stage id, minor units, ISO date, probability 0..1, category, owner id. ``seq`` orders changes
    of one field in one instant; the first change of a field is its value at creation. ``changed_at`` is the CRM's
    clock; ``origin`` is crm_history or comparison.
    """

    __tablename__ = "deal_changes"
    __table_args__ = {"sqlite_with_rowid": False}
    deal_id: Key
    field: Key
    changed_at: KeyInstant
    seq: KeyNumber
    old_value: Words
    new_value: Words
    origin: Words
    recorded_at: SomeMoment


class LineItem(Record, table=True):
    """Products on deals. Grain: one line. ``amount`` is the net total, ``unit_price`` per unit, both in minor
    units of ``currency``; ``kind`` is seat, module or one_time; ``deal_id`` follows merges."""

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
    """Home-currency units for one unit of ``currency``, in force from ``start_date`` until the next row's."""

    __tablename__ = "exchange_rates"
    currency: Key
    start_date: KeyDay
    rate: Annotated[Decimal | None, Field(default=None, sa_type=ExactDecimal)]
    modified_at: Moment
    deleted_at: Moment
    recorded_at: SomeMoment


class SourceState(Row, table=True):
    """What a CRM showed us at the start of the last sync. Grain: company and CRM. JSON: ``links`` table -> URL with
    {id}; ``fields`` table -> column -> state; ``history`` deal fields whose past it keeps; ``notes`` lines."""

    __tablename__ = "sources"
    home_currency: SomeText
    links: SomeText
    fields: SomeText
    history: SomeText
    notes: SomeText
    fingerprint: SomeText
    refreshed_at: SomeMoment
    complete_at: Moment  # when a pass last read every stream to its end; null: never under this mapping


class StreamCursor(Row, table=True):
    """Where reading goes on. Grain: one stream. Written with the page it belongs to; ``complete``: the pass ended."""

    __tablename__ = "cursors"
    stream: Key
    cursor: SomeText
    complete: SomeFlag
    updated_at: SomeMoment


class Run(SQLModel, table=True):
    """What each sync did. Grain: one stream in one pass. ``status``: running, ok, failed, skipped, stopped."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_by_company", "company", "id"),)
    id: Annotated[int | None, Field(default=None, primary_key=True, sa_type=Integer)]
    company: SomeText
    crm: SomeText
    stream: SomeText
    started_at: SomeMoment
    finished_at: Moment
    status: SomeText
    rows: Count
    changed: Count
    deleted: Count
    quarantined: Count
    requests: Count
    seconds: Real
    error: Words
    remedy: Words


class Finding(Row, table=True):
    """Faults the rules found. Grain: one rule on one record (and its partner, ``''`` for none). Open until
    ``resolved_at``; ``first_seen`` and ``last_seen`` are our clock."""

    __tablename__ = "findings"
    rule: Key
    object: Key
    external_id: Key
    other_id: Key
    owner_id: Reference
    severity: SomeText
    message: SomeText
    first_seen: SomeMoment
    last_seen: SomeMoment
    resolved_at: Moment


class Quarantined(Row, table=True):
    """Values and records set aside because they do not parse. Grain: one cell; a record without an id is told
    apart by ``digest`` (of its raw text). A later clean delivery of the record removes the row."""

    __tablename__ = "quarantine"
    table: Key
    external_id: Key
    field: Key
    digest: Key
    raw: Words
    reason: Words
    first_seen: SomeMoment
    last_seen: SomeMoment


class Delivery(SQLModel, table=True):
    """Board summaries handed over. Grain: one version for one destination. ``status``: pending (about to post),
    posted, unknown (posted or not: a person decides), failed. ``key`` is the same for every try."""

    __tablename__ = "deliveries"
    company: Key
    month: Key
    destination: Key
    version: KeyNumber
    key: Annotated[str, Field(nullable=False, unique=True, sa_type=Text)]
    status: SomeText
    content_hash: SomeText
    location: Words
    created_at: SomeMoment
    posted_at: Moment
    error: Words


# The canonical columns whose name the store changes because another column has it already.
RENAMED: Final[Mapping[str, Mapping[str, str]]] = {"leads": {"company": "company_name"}}

METADATA: Final[MetaData] = SQLModel.metadata


def table(name: str) -> Table:
    """The SQLAlchemy table of that name."""
    return METADATA.tables[name]


def stored_schema(name: str) -> pl.Schema:
    """The canonical schema of a table under the names the store uses."""
    renamed = RENAMED.get(name, {})
    return pl.Schema({renamed.get(column, column): dtype for column, dtype in TABLES[name].items()})
