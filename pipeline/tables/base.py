"""What leads every row of the store."""

from __future__ import annotations

from sqlmodel import SQLModel
from sqlmodel._compat import SQLModelConfig

from pipeline.columns import Key, Moment, Reference


class Row(SQLModel):
    """What leads every row: whose it is, and which CRM said it."""

    model_config = SQLModelConfig(defer_build=True)
    company: Key
    crm: Key


class Record(Row):
    """A CRM record: its identity, the CRM's own stamps, and how it ended."""

    external_id: Key
    created_at: Moment
    modified_at: Moment
    deleted_at: Moment
    merged_into: Reference
