"""Open deals whose close date has passed.

The close date lies before the day it is in the company's time zone; a deal that closes today is not overdue. Such deals
sit in the pipeline of a period that is over.

Source: definition book, rulings 1 and 36.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.company import Company
from pipeline.rule import FOUND, Frames, Rule
from pipeline.states import open_deals

FAULTY: Final = pl.col("close_date") < pl.col("day")  # over the columns of ``open_deals``


def find(frames: Frames, company: Company, as_of: datetime) -> pl.DataFrame:
    """One row per open deal that should have closed before today."""
    deals = open_deals(frames["deals"], frames["stages"], company, as_of)
    return (
        deals.filter(FAULTY)
        .with_columns(
            other_id=pl.lit(""), message=pl.format("the deal is open, but was to close on {}", "close_date")
        )
        .select(list(FOUND))
        .sort("external_id")
    )


RULE: Final = Rule(
    id="overdue_close_date",
    object="deals",
    severity="warning",
    title="Open deal past its close date",
    remedy="Set the date on which the deal will close, or close it.",
    tables=("deals", "stages"),
    find=find,
    needs=(("deals", "close_date"),),
)
