"""Open deals with required fields left blank.

One fault per deal, which names the fields: blank, a placeholder such as TBD or n/a, or 0. Required are the company's
``required_deal_fields``, as far as the CRM shows them. A close date that HubSpot set by itself counts as empty in the
completeness score and is not listed here: what stands there is a date.

Source: definition book, section 6, ruling 35.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.company import Company
from pipeline.required import cell, in_words, ungated
from pipeline.rule import FOUND, Frames, Rule
from pipeline.states import open_deals


def find(frames: Frames, company: Company, as_of: datetime) -> pl.DataFrame:
    """One row per open deal with a required field that is blank."""
    deals = open_deals(frames["deals"], frames["stages"], company, as_of)
    fields = {name: f"cell {name}" for name in company.required_deal_fields}
    cells = deals.with_columns(
        cell(name).fill_null(value=False).alias(column) for name, column in fields.items()
    )
    deals = ungated(cells, frames["stages"], company, fields)
    blank = [pl.when(~pl.col(column)).then(pl.lit(in_words(name))) for name, column in fields.items()]
    names = pl.concat_list(blank).list.drop_nulls() if blank else pl.lit([], pl.List(pl.String))
    return (
        deals.with_columns(_names=names)
        .filter(pl.col("_names").list.len() > 0)
        .with_columns(
            other_id=pl.lit(""),
            message=pl.format("the deal is open and blank in {}", pl.col("_names").list.join(", ")),
        )
        .select(list(FOUND))
        .sort("external_id")
    )


RULE: Final = Rule(
    id="blank_required_fields",
    object="deals",
    severity="warning",
    title="Open deal with required fields left blank",
    remedy="Fill the named fields in the CRM.",
    tables=("deals", "stages"),
    find=find,
)
