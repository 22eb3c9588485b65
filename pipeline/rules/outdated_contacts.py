"""Contacts nobody can rely on any more.

The e-mail address is known to bounce, or the last verified activity (where there was none: the creation) lies before
the same day twelve months ago (`quality.outdated_months`). Contact data decays by about 2.1 % a month.

Source: definition book, section 6, rulings 36 and 37.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.company import Company
from pipeline.rule import FOUND, Frames, Rule
from pipeline.states import live, local_day


def find(frames: Frames, company: Company, as_of: datetime) -> pl.DataFrame:
    """One row per contact that bounces or has been silent for more than the twelve months."""
    limit = pl.lit(local_day(company, as_of)).dt.offset_by(f"-{company.quality.outdated_months}mo")
    created = pl.col("created_at").dt.convert_time_zone(company.timezone).dt.date()
    bounced = pl.col("bounced").fill_null(value=False)
    silent = (pl.coalesce("last_activity_at", created) < limit).fill_null(value=False)
    message = (
        pl.when(bounced)
        .then(pl.lit("the e-mail address bounces"))
        .when(pl.col("last_activity_at").is_not_null())
        .then(pl.format("no activity since {}", "last_activity_at"))
        .otherwise(pl.format("no activity since it was created on {}", created))
    )
    return (
        live(frames["contacts"], as_of)
        .filter(bounced | silent)
        .with_columns(other_id=pl.lit(""), message=message)
        .select(list(FOUND))
        .sort("external_id")
    )


RULE: Final = Rule(
    id="outdated_contacts",
    object="contacts",
    severity="warning",
    title="Outdated contact",
    remedy="Verify that the person is still there, correct the address, or archive the contact.",
    tables=("contacts",),
    find=find,
    needs=(("contacts", "last_activity_at"),),
)
