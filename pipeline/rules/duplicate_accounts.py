"""Accounts that are kept twice.

Two accounts are the same company when they have the same domain (bare, in lower case, without www) or the same
normalised name: lower case, without accents, punctuation and trailing legal forms, ``&`` read as "and". That goes on
transitively; the accounts of one hierarchy count as one record, for a company may keep its branches apart. Domains that
many companies share (mail providers, social networks) say nothing. Of each cluster the hierarchy whose top account was
created first stays; every other one is one finding, on its first account that shares a key, with the account it shares
it with as ``other_id``.

Source: definition book, section 6 and ruling 36, the exact-key core. What a fuzzy matcher would add is not counted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.company import Company
from pipeline.duplicates import surplus
from pipeline.emptiness import bare
from pipeline.normalise import domain
from pipeline.rule import FOUND, Frames, Rule
from pipeline.states import live

_LEGAL: Final = (
    r"( (and co|incorporated|inc|corporation|corp|company|co|limited|ltd|llc|llp|lp|plc|gmbh|ag|kg|se|sa|sas|srl|spa|bv"
    r"|nv|ab|as|oy|pty))+$"
)
SHARED_DOMAINS: Final = (  # mail providers, social networks: no company's own
    *(
        "gmail.com",
        "googlemail.com",
        "outlook.com",
        "hotmail.com",
        "live.com",
        "yahoo.com",
        "icloud.com",
        "aol.com",
    ),
    *("gmx.de", "gmx.net", "web.de", "proton.me", "protonmail.com", "qq.com", "163.com"),
    *("linkedin.com", "facebook.com", "instagram.com", "twitter.com", "x.com", "google.com"),
)
_DEEPEST: Final = 64  # levels of a hierarchy; a longer chain is a circle


def normal_name(name: pl.Expr) -> pl.Expr:
    """A company's name as it is compared; null where nothing is left."""
    plain = (
        name.str.normalize("NFKD")
        .str.replace_all(r"\p{M}", "")
        .str.to_lowercase()
        .str.replace_all("&", " and ", literal=True)
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
        .str.strip_chars()
        .str.replace(_LEGAL, "")
    )
    return pl.when(plain != "").then(plain)


def find(frames: Frames, company: Company, as_of: datetime) -> pl.DataFrame:
    """One row per surplus hierarchy."""
    accounts = live(frames["accounts"], as_of)
    ranked = accounts.sort("created_at", "name", "domain", "phone", "external_id").with_row_index("rank")
    tops = _tops(accounts).join(ranked.select(record="external_id", first="rank"), on="record")
    site = domain(pl.when(bare(pl.col("domain")).is_not_null()).then("domain"))
    known = ranked.join(tops, on="external_id").with_columns(
        site=pl.when(~site.is_in(SHARED_DOMAINS)).then(site),
        plain=normal_name(pl.when(bare(pl.col("name")).is_not_null()).then("name")),
    )
    columns = ("external_id", "record", "rank", "first")
    by_domain = known.filter(pl.col("site").is_not_null()).select(
        *columns, key=pl.format("d {}", "site"), why=pl.format("the same domain {}", "site")
    )
    by_name = known.filter(pl.col("plain").is_not_null()).select(
        *columns, key=pl.format("n {}", "plain"), why=pl.lit("the same name")
    )
    extra = surplus(pl.concat([by_domain, by_name]))
    others = accounts.select(
        other_id="external_id", other=pl.col("name").fill_null("an account without a name")
    )
    return (
        extra.join(accounts.select("external_id", "name", "owner_id"), on="external_id")
        .join(others, on="other_id")
        .with_columns(
            message=pl.format(
                "{} has {} as {}", pl.col("name").fill_null("an account without a name"), "why", "other"
            )
        )
        .select(list(FOUND))
        .sort("external_id")
    )


def _tops(accounts: pl.DataFrame) -> pl.DataFrame:
    """external_id -> record: the ultimate parent, as far up as live accounts go; in a circle each stands alone."""
    step = accounts.select("external_id", up="parent_id").filter(pl.col("up") != pl.col("external_id"))
    parents = step.join(accounts.select(up="external_id"), on="up", how="semi")
    tops = accounts.select("external_id", record="external_id")
    for _ in range(_DEEPEST):
        higher = tops.join(parents.rename({"external_id": "record"}), on="record", how="left")
        if higher["up"].is_null().all():
            return tops
        tops = higher.select("external_id", record=pl.coalesce("up", "record"))
    lost = tops.join(parents.rename({"external_id": "record"}), on="record", how="semi")
    return tops.with_columns(
        record=pl.when(pl.col("external_id").is_in(lost["external_id"].to_list()))
        .then("external_id")
        .otherwise("record")
    )


RULE: Final = Rule(
    id="duplicate_accounts",
    object="accounts",
    severity="warning",
    title="Account kept twice",
    remedy="Merge it with the other account, or make one the parent of the other.",
    tables=("accounts",),
    find=find,
)
