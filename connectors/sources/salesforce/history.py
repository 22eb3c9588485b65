"""The past of deals: OpportunityHistory, which Salesforce always keeps, as one row per change of one field.

Its rows hold the values after a change of stage, amount, probability, close date or forecast category. Rows of
one deal lie together in the reading, so a frame always holds the whole history of each deal it names: a deal cut
by the end of an answer is carried over to the next. An increment finds the deals whose history grew, and reads
the whole history of those anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.schema import REJECTS, TABLES
from connectors.source import Page
from connectors.sources.salesforce import soql
from connectors.sources.salesforce.catalogue import Catalogue, Selection
from connectors.sources.salesforce.client import SalesforceClient
from connectors.sources.salesforce.mapping import HISTORY, HISTORY_FIELDS
from connectors.sources.salesforce.parse import Context, parse
from connectors.sources.salesforce.records import Pass
from connectors.sources.salesforce.scan import scan


@dataclass(frozen=True)
class _Part:
    """Whole histories of some deals; every deal up to ``after`` has been delivered."""

    frame: pl.DataFrame
    rejects: pl.DataFrame
    after: str
    last: bool
    total: int | None


def changes(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of values after each change -> canonical deal_changes: only real changes, the first one from null.

    ``rows``: deal_id, changed_at, external_id and the visible ones of ``HISTORY_FIELDS``. The currency is given for
    deals whose currency ever changed.
    """
    ordered = rows.sort("deal_id", "changed_at", "external_id")
    parts = [_field(ordered, name) for name in HISTORY_FIELDS if name in rows.columns]
    return pl.concat([pl.DataFrame(schema=TABLES["deal_changes"]), *parts])


def _field(ordered: pl.DataFrame, name: str) -> pl.DataFrame:
    if name == "currency":
        ordered = ordered.filter(pl.col(name).n_unique().over("deal_id") > 1)
    return (
        ordered.select("deal_id", "changed_at", pl.col(name).cast(pl.String).alias("new_value"))
        .with_columns(pl.col("new_value").shift(1).over("deal_id").alias("old_value"))
        .filter(pl.col("new_value").ne_missing(pl.col("old_value")))
        .with_columns(
            pl.lit(name).alias("field"),
            pl.int_range(pl.len(), dtype=pl.Int64).over("deal_id", "changed_at").alias("seq"),
            pl.lit("crm_history").alias("origin"),
        )
        .select(TABLES["deal_changes"].names())
    )


class HistoryReader:
    """Reads deal_changes; made anew for every pass."""

    def __init__(self, client: SalesforceClient, catalogue: Catalogue, context: Context) -> None:
        self._client = client
        self._catalogue = catalogue
        self._context = context
        self._selection: Selection = catalogue.select(HISTORY)

    def read(self, state: Pass) -> Iterator[Page]:
        """The pages of one pass. ``state.id`` is the last deal delivered."""
        for part in self._everything(state) if state.start is None else self._increment(state, state.start):
            state = replace(state, id=part.after)
            yield Page(
                {"deal_changes": changes(part.frame)},
                state.end() if part.last else state.cursor(),
                part.last,
                rejects=part.rejects,
                total=part.total,
            )

    def _everything(self, state: Pass) -> Iterator[_Part]:
        return self._deals(state.id, ())

    def _increment(self, state: Pass, since: str) -> Iterator[_Part]:
        groups = list(soql.chunks(self._affected(since, state.id)))
        for number, group in enumerate(groups, start=1):
            for part in self._deals("", group):
                last_of_all = part.last and number == len(groups)
                after = group[-1] if part.last else part.after or state.id
                yield replace(part, after=after, last=last_of_all, total=None)
        if not groups:
            empty = parse(HISTORY, self._selection, [], self._context)
            yield _Part(empty.frame, empty.rejects, state.id, True, 0)

    def _affected(self, since: str, after: str) -> list[str]:
        """The deals whose history grew since then, each once, in Salesforce's order."""
        batches = scan(
            self._client,
            lambda position: soql.affected(HISTORY.object, since, position),
            after,
            lambda records, position: records[-1]["OpportunityId"] if records else position,
        )
        return list(dict.fromkeys(record["OpportunityId"] for batch in batches for record in batch.records))

    def _deals(self, after: str, among: Sequence[str]) -> Iterator[_Part]:
        def query(position: str) -> str:
            return soql.history(self._selection.paths(), HISTORY.object, position, among)

        def withdrawn() -> None:
            self._catalogue.forget(HISTORY.object)
            self._selection = self._catalogue.select(HISTORY)

        carried: pl.DataFrame | None = None
        for batch in scan(self._client, query, after, _complete, withdrawn):
            parsed = parse(HISTORY, self._selection, batch.records, self._context)
            frame, rejects = _placed(parsed.frame, parsed.rejects)
            if carried is not None and not batch.fresh:
                frame = pl.concat([carried, frame])
            carried = None
            if not batch.last and not frame.is_empty():
                cut = frame["deal_id"][-1]
                carried = frame.filter(pl.col("deal_id") == cut)
                frame = frame.filter(pl.col("deal_id") != cut)
            yield _Part(frame, rejects, batch.position, batch.last, batch.total if batch.fresh else None)


def _complete(records: list[dict[str, Any]], after: str) -> str:
    """The last deal of which no more can come: the one before the last record's."""
    for record in reversed(records):
        if record["OpportunityId"] != records[-1]["OpportunityId"]:
            return str(record["OpportunityId"])
    return after


def _placed(frame: pl.DataFrame, rejects: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that can be placed in a deal's past; the others are rejects."""
    placed = pl.col("deal_id").is_not_null() & pl.col("changed_at").is_not_null()
    lost = frame.filter(~placed & ~pl.col("external_id").is_in(rejects["external_id"].to_list()))
    if lost.is_empty():
        return frame.filter(placed), rejects
    more = lost.select(
        pl.lit("deal_changes").alias("table"),
        "external_id",
        pl.lit("deal_id").alias("field"),
        pl.lit(None, pl.String).alias("raw"),
        pl.lit("history row without a deal or a time").alias("reason"),
    )
    return frame.filter(placed), pl.concat([rejects, more.cast(REJECTS)])
