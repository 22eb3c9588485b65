"""Removes a person, or a whole company of the portfolio, from the store; and keeps the person from coming back.

A person is a set of records: contacts and leads of every CRM of the company that are one by conversion, by merging, or
by e-mail address. Their rows, findings and quarantined cells are deleted; meetings stay, without their contact, subject
and custom fields. The ids are noted in ``forgotten``, and later pages are loaded without them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import polars as pl
from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select
from sqlalchemy import update as sql_update

from connectors.schema import UTC
from connectors.source import Page
from pipeline import bulk
from pipeline.bulk import Merge
from pipeline.mentions import like, naming
from pipeline.reader import Reader, batched
from pipeline.tables import METADATA, table
from pipeline.transaction import Transaction

PEOPLE: Final = ("contacts", "leads")
_TOLD: Final = (*PEOPLE, "meetings", "findings", "quarantine")  # where a person is told of
_AT_ONCE: Final = 500
_BLANK: Final[Mapping[str, str | None]] = {"subject": None, "custom": "{}"}
_NOTED: Final = pl.Schema({"table": pl.String, "external_id": pl.String})
Ids = Mapping[str, Collection[str]]  # table -> ids, in one CRM


@dataclass(frozen=True)
class Step:
    """Rows of one table that are deleted, or (``values``) have these columns set."""

    table: str
    where: ColumnElement[bool]
    values: Mapping[str, Any] | None = None


def count(reader: Reader, steps: Iterable[Step]) -> dict[str, int]:
    """Table -> how many rows the steps would touch; tables with none are left out."""
    found: dict[str, int] = {}
    for step in steps:
        query = select(func.count()).select_from(table(step.table)).where(step.where)
        found[step.table] = found.get(step.table, 0) + int(reader.connection.execute(query).scalar_one())
    return {name: number for name, number in found.items() if number}


def run(tx: Transaction, steps: Iterable[Step], now: datetime) -> dict[str, int]:
    """Do the steps; returns table -> rows touched."""
    found: dict[str, int] = {}
    for step in steps:
        target = table(step.table)
        if step.values is None:
            done = tx.connection.execute(delete(target).where(step.where))
        else:
            changed = sql_update(target).where(step.where).values(**step.values, recorded_at=now)
            done = tx.connection.execute(changed)
        found[step.table] = found.get(step.table, 0) + done.rowcount
    return {name: number for name, number in found.items() if number}


# -- a company


def company_steps(company: str) -> list[Step]:
    """Everything of a company, in every table; what refers to a row goes before it."""
    owned = [name for name in reversed(METADATA.sorted_tables) if "company" in name.c]
    return [Step(str(one.name), one.c.company == company) for one in owned]


def forget_company(tx: Transaction, company: str, now: datetime) -> dict[str, int]:
    """Remove everything of a company; returns table -> rows. Their bytes are then due to be erased."""
    steps = company_steps(company)
    tx.note_erasure((step.table for step in steps), now)
    return run(tx, steps, now)


# -- a person


def person_steps(reader: Reader, company: str, crm: str, ids: Ids, words: Sequence[str] = ()) -> list[Step]:
    """All that the store holds of the records ``ids`` (contacts, leads) of one CRM, and what names the ``words``."""

    def mine(name: str) -> ColumnElement[bool]:
        return and_(table(name).c.company == company, table(name).c.crm == crm)

    steps = [
        Step(name, and_(mine(name), table(name).c.external_id.in_(chunk)))
        for name in PEOPLE
        for chunk in batched(ids.get(name, ()), _AT_ONCE)
    ]
    findings, quarantine, meetings = table("findings"), table("quarantine"), table("meetings")
    contacts = list(ids.get("contacts", ()))
    values = {
        **_BLANK,
        "contact_id": case((meetings.c.contact_id.in_(contacts), None), else_=meetings.c.contact_id),
    }
    steps += [
        Step("meetings", and_(mine("meetings"), meetings.c.external_id.in_(chunk)), values)
        for chunk in batched(meetings_of(reader, company, crm, contacts, words), _AT_ONCE)
    ]
    for name in PEOPLE:
        chosen = list(ids.get(name, ()))
        told = [like(findings.c.message, word) for word in words]  # what is still true is found again
        about = or_(findings.c.external_id.in_(chosen), findings.c.other_id.in_(chosen), *told)
        steps.append(Step("findings", and_(mine("findings"), findings.c.object == name, about)))
        held = and_(quarantine.c.table == name, quarantine.c.external_id.in_(chosen))
        steps.append(Step("quarantine", and_(mine("quarantine"), held)))
    people = {one for name in PEOPLE for one in ids.get(name, ())}
    keys = ("table", "external_id", "field", "digest")
    where = and_(mine("quarantine"), quarantine.c.table.in_([*PEOPLE, "meetings"]))
    rest = naming(reader, "quarantine", ["raw"], keys, where, [*words, *sorted(people)])
    steps += [
        Step(
            "quarantine",
            and_(mine("quarantine"), *(quarantine.c[k] == v for k, v in zip(keys, row, strict=True))),
        )
        for row in rest
        if not (row[0] in PEOPLE and row[1] in ids.get(row[0], ()))
    ]
    return steps


def meetings_of(
    reader: Reader, company: str, crm: str, contacts: Collection[str], words: Sequence[str]
) -> list[str]:
    """The meetings with these contacts, and those whose texts name the words."""
    meetings = table("meetings")
    mine = and_(meetings.c.company == company, meetings.c.crm == crm)
    query = select(meetings.c.external_id).where(mine, meetings.c.contact_id.in_(list(contacts)))
    found = {str(one) for one in reader.connection.execute(query).scalars()}
    told = naming(reader, "meetings", ["subject", "custom"], ["external_id"], mine, words)
    return sorted(found | {str(one) for (one,) in told})


def note(tx: Transaction, company: str, crm: str, ids: Ids, now: datetime) -> None:
    """Keep these records from coming back. A person's id is noted for contacts and leads: HubSpot has one for both."""
    people = sorted({one for name in PEOPLE for one in ids.get(name, ())})
    rows = [(name, one) for name in PEOPLE for one in people]
    rows += [("meetings", one) for one in sorted(ids.get("meetings", ()))]
    frame = pl.DataFrame(rows, schema=_NOTED, orient="row").select(
        pl.lit(company).alias("company"),
        pl.lit(crm).alias("crm"),
        pl.all(),
        pl.lit(now, UTC).alias("forgotten_at"),
    )
    bulk.upsert(tx.connection, table("forgotten"), frame, Merge(()))


def forget(
    tx: Transaction, company: str, crm: str, ids: Ids, words: Sequence[str], now: datetime
) -> dict[str, int]:
    """Remove records of one CRM and note them; returns table -> rows touched. Their bytes are then due to be erased."""
    steps = person_steps(tx, company, crm, ids, words)
    met = meetings_of(tx, company, crm, ids.get("contacts", ()), words)
    note(tx, company, crm, {**ids, "meetings": met}, now)
    tx.mark_computed(company, crm, None)  # the tables for BI tools are older now
    touched = run(tx, steps, now)
    if touched:
        tx.note_erasure(_TOLD, now)
    return touched


def forgotten(reader: Reader, company: str, crm: str) -> dict[str, frozenset[str]]:
    """Table -> ids that must not come back."""
    noted = table("forgotten")
    query = select(noted.c.table, noted.c.external_id).where(noted.c.company == company, noted.c.crm == crm)
    found: dict[str, set[str]] = {}
    for name, one in reader.connection.execute(query):
        found.setdefault(name, set()).add(one)
    return {name: frozenset(ids) for name, ids in found.items()}


# -- what arrives later


def without_forgotten(tx: Transaction, company: str, crm: str, page: Page, now: datetime) -> Page:
    """The page without forgotten people. What it newly tells of them (a lead that was converted) is forgotten too."""
    noted = forgotten(tx, company, crm)
    if not noted:
        return page
    people = set(noted.get("contacts", ())) | set(noted.get("leads", ()))
    meetings = set(noted.get("meetings", ()))
    more = _linked(page.frames, people)
    if more - people:
        forget(tx, company, crm, {name: sorted(more - people) for name in PEOPLE}, (), now)
        people |= more
    frames = dict(page.frames)
    for name in PEOPLE:
        if name in frames:
            frames[name] = frames[name].filter(~pl.col("external_id").is_in(list(people)))
    if "meetings" in frames:
        theirs = pl.col("contact_id").is_in(list(people)).fill_null(value=False)
        met = theirs | pl.col("external_id").is_in(list(meetings))
        note(tx, company, crm, {"meetings": frames["meetings"].filter(met)["external_id"].to_list()}, now)
        frames["meetings"] = frames["meetings"].with_columns(
            pl.when(~theirs).then("contact_id").alias("contact_id"),
            *(
                pl.when(~met).then(column).otherwise(pl.lit(blank, pl.String)).alias(column)
                for column, blank in _BLANK.items()
            ),
        )
    back = pl.col("table").is_in(list(PEOPLE)) & pl.col("external_id").is_in(list(people))
    return replace(page, frames=frames, rejects=page.rejects.filter(~back.fill_null(value=False)))


def _linked(frames: Mapping[str, pl.DataFrame], people: set[str]) -> set[str]:
    """Forgotten people and the ids that leads of this page join to them, a lead and the contact it became."""
    if "leads" not in frames:
        return set(people)
    lead, contact = pl.col("external_id"), pl.col("converted_contact_id")
    known = list(people)
    pairs = frames["leads"].filter((lead.is_in(known) | contact.is_in(known)).fill_null(value=False))
    return people | set(pairs["external_id"]) | set(pairs["converted_contact_id"].drop_nulls())
