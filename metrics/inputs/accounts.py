"""Which account of the CRM a customer of a file is: by id, else by domain, else by name, and never by guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from metrics.customers import customers
from pipeline.emptiness import bare
from pipeline.normalise import domain
from pipeline.rules.duplicate_accounts import SHARED_DOMAINS, normal_name

# customer_key as the file writes it; account_id of a live account, null where none is meant or several could be, and
# then ``why`` where it is not simply that none fits.
MATCHED: Final = pl.Schema({"customer_key": pl.String, "account_id": pl.String, "why": pl.String})
_LONG_ID: Final = 18  # characters of a Salesforce id; its reports print the first 15 of them
_SHORT_ID: Final = 15


@dataclass(frozen=True)
class Accounts:
    """The accounts that are known at a moment.

    ``live``: external_id, name, domain of those that exist. ``ends``: account_id, live_id, customer of every one that
    ever did (see ``metrics.customers.customers``).
    """

    live: pl.DataFrame
    ends: pl.DataFrame

    @classmethod
    def of(cls, accounts: pl.DataFrame, at: datetime) -> Accounts:
        """From the canonical accounts, tombstones included, as they stand at a moment."""
        gone = (pl.col("deleted_at") <= at).fill_null(value=False)
        born = (pl.col("created_at") <= at).fill_null(value=True)
        return cls(accounts.filter(born & ~gone), customers(accounts, at))


def match(written: pl.Series, known: Accounts) -> pl.DataFrame:
    """Every customer of a file, once, in the order of the file, as ``MATCHED``."""
    keys = pl.DataFrame({"customer_key": written}, schema={"customer_key": pl.String}).unique(
        maintain_order=True
    )
    found = pl.concat(
        [_by_id(keys, known.ends), _by_domain(keys, known.live), _by_name(keys, known.live)]
    ).join(known.live.select(account_id="external_id"), on="account_id", how="semi")
    best = found.filter(pl.col("rank") == pl.col("rank").min().over("customer_key"))
    tops = known.ends.select("account_id", "customer").unique("account_id")
    decided = (
        best.unique(["customer_key", "account_id"])
        .join(tops, on="account_id", how="left")
        .group_by("customer_key", "what")
        .agg(
            n=pl.len(),
            customers=pl.col("customer").n_unique(),
            account=pl.col("account_id").min(),
            customer=pl.col("customer").min(),
        )
        .select(
            "customer_key",
            account_id=pl.when(pl.col("n") == 1)
            .then("account")
            .when(pl.col("customers") == 1)
            .then("customer"),
            why=pl.when(pl.col("customers") > 1).then(pl.format("{} accounts have this {}", "n", "what")),
        )
    )
    return keys.join(decided, on="customer_key", how="left", maintain_order="left").cast(MATCHED)


def _by_id(keys: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """The account with that id, or the survivor it was merged into."""
    alive = ends.filter(pl.col("live_id").is_not_null())
    short = alive.filter(pl.col("account_id").str.len_chars() == _LONG_ID).with_columns(
        pl.col("account_id").str.slice(0, _SHORT_ID)
    )
    ids = pl.concat([alive.select("account_id", "live_id"), short.select("account_id", "live_id")])
    return _candidates(keys.join(ids, left_on="customer_key", right_on="account_id"), "live_id", 0, "id")


def _by_domain(keys: pl.DataFrame, live: pl.DataFrame) -> pl.DataFrame:
    sites = _stated(live, "domain", domain).filter(~pl.col("word").is_in(SHARED_DOMAINS))
    named = keys.with_columns(word=domain(pl.col("customer_key")))
    return _candidates(named.join(sites, on="word"), "external_id", 1, "domain")


def _by_name(keys: pl.DataFrame, live: pl.DataFrame) -> pl.DataFrame:
    names = _stated(live, "name", normal_name)
    named = keys.with_columns(word=normal_name(pl.col("customer_key")))
    return _candidates(named.join(names, on="word"), "external_id", 2, "name")


def _stated(live: pl.DataFrame, column: str, plain: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    """external_id, word: what the accounts say of themselves, as it is compared."""
    given = pl.when(bare(pl.col(column)).is_not_null()).then(column)
    return live.select("external_id", word=plain(given)).filter(pl.col("word").is_not_null())


def _candidates(joined: pl.DataFrame, account: str, rank: int, what: str) -> pl.DataFrame:
    return joined.select(
        "customer_key",
        account_id=account,
        rank=pl.lit(rank, pl.Int64),
        what=pl.lit(what),
    )
