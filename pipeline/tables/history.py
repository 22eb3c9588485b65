"""The past of deals, accounts and the sales process, and how far back it can be trusted."""

from __future__ import annotations

from pipeline.columns import Key, KeyInstant, KeyNumber, Moment, SomeMoment, SomeText, Words
from pipeline.tables.base import Row


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


class AccountChange(Row, table=True):
    """What happened to accounts, appended for ever. Grain: one change of one field of one account.

    As ``deal_changes``; the fields are those of ``accounts`` (owner_id, parent_id, industry, ...). ``origin`` is
    comparison: neither CRM hands over an account's past, so it begins with our first complete sync.
    """

    __tablename__ = "account_changes"
    __table_args__ = {"sqlite_with_rowid": False}
    account_id: Key
    field: Key
    changed_at: KeyInstant
    seq: KeyNumber
    old_value: Words
    new_value: Words
    origin: Words
    recorded_at: SomeMoment


class StageChange(Row, table=True):
    """How the sales process was laid out before, appended for ever. Grain: one change of one field of one stage.

    As ``deal_changes``; the fields are those of ``stages``. ``changed_at`` is when we saw it: CRMs do not date it.
    """

    __tablename__ = "stage_changes"
    __table_args__ = {"sqlite_with_rowid": False}
    pipeline: Key
    stage: Key
    field: Key
    changed_at: KeyInstant
    seq: KeyNumber
    old_value: Words
    new_value: Words
    origin: Words
    recorded_at: SomeMoment


class HistoryCoverage(Row, table=True):
    """From when on the past of a field can be told. Grain: one field of one table.

    ``origin``: crm_history (the CRM hands over every change; reliable since each record's creation), comparison (we
    compare what we read with what we had, since ``reliable_from``; null: not yet) or none (not visible to us).
    ``crm_field`` is the CRM's field under the present mapping; ``reason`` says it in words.
    """

    __tablename__ = "history_coverage"
    table: Key
    field: Key
    crm_field: Words
    origin: SomeText
    reliable_from: Moment
    reason: SomeText
    updated_at: SomeMoment
