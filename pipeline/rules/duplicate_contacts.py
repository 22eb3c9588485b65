"""People who are kept twice.

Two contacts are the same person when they have the same e-mail address (in lower case), or the same phone number
(digits only) and the same full name. That goes on transitively. Of each cluster the contact created first stays;
every other one is one finding, with the contact it shares a key with as ``other_id``. Many contacts at one account are
normal. Digests of names, addresses and numbers (``privacy.contacts: hashed``) are compared in the same way, first and
last name each for itself; where the details are withheld, nothing can be found.

Source: definition book, section 6 and ruling 36, the exact-key core.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.company import Company
from pipeline.duplicates import surplus
from pipeline.emptiness import bare
from pipeline.normalise import email
from pipeline.privacy import PREFIX, hashed
from pipeline.rule import FOUND, Frames, Rule
from pipeline.states import live


def find(frames: Frames, company: Company, as_of: datetime) -> pl.DataFrame:
    """One row per surplus contact."""
    contacts = live(frames["contacts"], as_of)
    order = ("created_at", "last_name", "first_name", "email", "phone", "title", "external_id")
    full_name = pl.concat_str("first_name", "last_name", separator=" ", ignore_nulls=True).str.strip_chars()
    known = (
        contacts.sort(order)
        .with_row_index("rank")
        .with_columns(
            record="external_id",
            first="rank",
            address=email(pl.when(bare(pl.col("email")).is_not_null()).then("email")),
            digits=pl.col("phone").str.strip_prefix(PREFIX).str.replace_all(r"\D", ""),
            person=bare(full_name.str.replace_all(r"\s+", " ")),
        )
    )
    columns = ("external_id", "record", "rank", "first")
    by_email = known.filter(pl.col("address").is_not_null()).select(
        *columns, key=pl.format("e {}", "address"), why=_said("the same e-mail", "address")
    )
    by_phone = known.filter(pl.col("digits").fill_null("") != "", pl.col("person").is_not_null()).select(
        *columns,
        key=pl.format("p {} {}", "digits", "person"),
        why=_said("the same name and phone", "phone"),
    )
    extra = surplus(pl.concat([by_email, by_phone]))
    named = contacts.select(
        "external_id",
        "owner_id",
        name=pl.when(hashed(pl.col("first_name")).fill_null(value=False) | hashed(pl.col("last_name")))
        .then(pl.lit("a contact"))
        .when(full_name != "")
        .then(full_name)
        .otherwise(pl.lit("a contact without a name")),
    )
    return (
        extra.join(named, on="external_id")
        .join(named.select(other_id="external_id", other="name"), on="other_id")
        .with_columns(message=pl.format("{} has {} as {}", "name", "why", "other"))
        .select(list(FOUND))
        .sort("external_id")
    )


def _said(what: str, column: str) -> pl.Expr:
    """What is the same, with the value where a person can read it."""
    return pl.when(hashed(pl.col(column))).then(pl.lit(what)).otherwise(pl.format(what + " {}", column))


RULE: Final = Rule(
    id="duplicate_contacts",
    object="contacts",
    severity="warning",
    title="Contact kept twice",
    remedy="Merge the two contacts.",
    tables=("contacts",),
    find=find,
    needs_one_of=(
        (("contacts", "email"),),
        (("contacts", "phone"), ("contacts", "last_name")),
    ),
)
