"""Finds everything that one person is in the store: by e-mail address or by the id of one of their CRM records.

From what was named it goes on: a lead and the contact it became, records merged into each other, and records of any of
the company's CRMs with the same e-mail address. A mailbox that several people share (the same address under another
name) joins nobody unless the address itself was named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import literal, null, select

from pipeline.emptiness import PLACEHOLDERS
from pipeline.forget import PEOPLE
from pipeline.privacy import Privacy, is_digest
from pipeline.reader import Reader
from pipeline.tables import table

_SALESFORCE_SHORT, _SALESFORCE_LONG = 15, 18  # characters of an id; a person may copy the short form
_COLUMNS: Final = (
    "crm",
    "table",
    "external_id",
    "email",
    "first_name",
    "last_name",
    "merged_into",
    "converted",
)


@dataclass(frozen=True)
class Person:
    """One person's records: CRM -> table -> ids, and the words that name them in texts (readable ones only)."""

    ids: dict[str, dict[str, list[str]]]
    words: tuple[str, ...]

    @property
    def records(self) -> int:
        return sum(len(ids) for tables in self.ids.values() for ids in tables.values())


def find_person(reader: Reader, company: str, named: str, privacy: Privacy) -> Person:
    """The person whom an e-mail address or a CRM id names; without records where the store knows nobody like that."""
    people = _people(reader, company)
    wanted = named.strip()
    if "@" in wanted:
        address = wanted.lower().removeprefix("mailto:")
        forms = {form for form in (address, privacy.email(address)) if form}
        first = people.filter(pl.col("email").is_in(list(forms)))
    else:
        cell = pl.col("external_id")
        short = pl.lit(len(wanted) == _SALESFORCE_SHORT) & (cell.str.len_chars() == _SALESFORCE_LONG)
        first = people.filter((cell == wanted) | (short & cell.str.starts_with(wanted)))
    chosen = _closure(people, first)
    ids: dict[str, dict[str, list[str]]] = {}
    for crm, name, one in chosen.select("crm", "table", "external_id").sort(pl.all()).iter_rows():
        ids.setdefault(crm, {}).setdefault(name, []).append(one)
    return Person(ids, tuple(_words(chosen, wanted if "@" in wanted else None)))


def _people(reader: Reader, company: str) -> pl.DataFrame:
    """Contacts and leads of every CRM of the company, with what joins them."""
    parts = [pl.DataFrame(schema=dict.fromkeys(_COLUMNS, pl.String))]
    for name in PEOPLE:
        one = table(name)
        converted = one.c.converted_contact_id if name == "leads" else null()
        query = select(
            one.c.crm, literal(name), one.c.external_id, one.c.email, one.c.first_name, one.c.last_name,
            one.c.merged_into, converted,
        ).where(one.c.company == company)  # fmt: skip
        rows = [tuple(row) for row in reader.connection.execute(query)]
        parts.append(pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String), orient="row"))
    return pl.concat(parts).with_columns(pl.col("email").str.to_lowercase())


def _closure(people: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The chosen records and everything that is joined to them, step by step."""
    while not chosen.is_empty():
        found = people.join(_keys(people, chosen), on=["crm", "table", "external_id"], how="semi")
        found = pl.concat([chosen, found, _same_address(people, chosen)]).unique(
            ["crm", "table", "external_id"]
        )
        if found.height == chosen.height:
            break
        chosen = found
    return chosen


def _keys(people: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """(crm, table, external_id) of the records that the chosen ones point at, or that point at them."""
    mine = chosen.select("crm", "table", target="external_id")
    contacts = mine.filter(pl.col("table") == "contacts").drop("table")
    merged_here = people.join(
        mine, left_on=["crm", "table", "merged_into"], right_on=["crm", "table", "target"], how="semi"
    )
    converted_here = people.join(
        contacts, left_on=["crm", "converted"], right_on=["crm", "target"], how="semi"
    )
    named = [
        merged_here.select("crm", "table", "external_id"),
        converted_here.select("crm", "table", "external_id"),
        chosen.select("crm", "table", external_id="merged_into"),
        chosen.select("crm", pl.lit("contacts").alias("table"), external_id="converted"),
    ]
    return pl.concat(named).drop_nulls().unique()


def _same_address(people: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """Records with the address of a chosen one, under the same name or without one."""
    told = chosen.filter(~pl.col("email").str.strip_chars().is_in(list(PLACEHOLDERS)))
    mine = told.select("email", mine=_name()).unique()
    pairs = people.with_columns(theirs=_name()).join(mine, on="email")
    same = (pl.col("theirs") == pl.col("mine")) | (pl.col("theirs") == "") | (pl.col("mine") == "")
    return pairs.filter(same).select(people.columns).unique()


def _name() -> pl.Expr:
    return (
        pl.concat_str(pl.col("first_name", "last_name").fill_null(""), separator=" ")
        .str.to_lowercase()
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
    )


def _words(chosen: pl.DataFrame, address: str | None) -> Iterable[str]:
    """What names the person in a text: addresses, and full names of two parts."""
    found = {address} if address else set()
    for email, first, last in chosen.select("email", "first_name", "last_name").iter_rows():
        if email and "@" in email and not is_digest(email):
            found.add(email)
        parts = [part for part in (first, last) if part and part.strip().lower() not in PLACEHOLDERS]
        if len(parts) == len((first, last)) and not any(map(is_digest, parts)):
            found.add(" ".join(parts))
    return sorted(word for word in found if word)
