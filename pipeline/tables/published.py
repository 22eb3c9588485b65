"""What was handed over: deliveries, and the numbers in them, frozen."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import ForeignKeyConstraint, Text
from sqlmodel import Field, SQLModel

from pipeline.columns import Key, KeyNumber, Moment, SomeMoment, SomeText, Whole, Words


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
    snapshot: Words  # the digest of the numbers that were handed over; see ``snapshots``


def _part_of_snapshot() -> ForeignKeyConstraint:
    """Numbers and evidence never stand without their snapshot, and go with it when a company is forgotten."""
    whole = ("company", "month", "digest")
    return ForeignKeyConstraint(whole, [f"snapshots.{column}" for column in whole], ondelete="CASCADE")


class Snapshot(SQLModel, table=True):
    """Numbers as they were handed over, frozen: rows are only ever added (a trigger refuses updates).

    Grain: one month's numbers of one company; ``digest`` stands for all of them. Which were posted, where and when
    is in ``deliveries``. ``known_at``: the moment the numbers were known at; ``program``: Boardline's version.
    """

    __tablename__ = "snapshots"
    company: Key
    month: Key
    digest: Key
    known_at: SomeMoment
    taken_at: SomeMoment
    currency: SomeText
    playbook: SomeText
    definitions: SomeText  # JSON: what the company's configuration said of how numbers are made
    program: SomeText


class SnapshotValue(SQLModel, table=True):
    """The numbers of a snapshot. Grain: one KPI and segment (``cut`` and ``segment`` are '' for the whole company).

    ``value``, ``numerator`` and ``denominator`` are exact decimal text, money in minor units; null is undefined and
    ``reasons`` says why. ``definition`` is the formula's id and version.
    """

    __tablename__ = "snapshot_values"
    __table_args__ = (_part_of_snapshot(),)
    company: Key
    month: Key
    digest: Key
    kpi: Key
    cut: Key
    segment: Key
    period: SomeText
    value: Words
    numerator: Words
    denominator: Words
    unit: SomeText
    n: Whole
    status: SomeText
    target: Words
    reasons: Words
    definition: SomeText


class SnapshotEvidence(SQLModel, table=True):
    """The records behind the numbers of a snapshot. Grain: one record behind one KPI of the whole company.

    ``contribution`` is exact decimal text in the unit of the KPI's numerator.
    """

    __tablename__ = "snapshot_evidence"
    __table_args__ = (_part_of_snapshot(),)
    company: Key
    month: Key
    digest: Key
    kpi: Key
    line: KeyNumber
    object: SomeText
    external_id: SomeText
    contribution: Words
    note: Words
