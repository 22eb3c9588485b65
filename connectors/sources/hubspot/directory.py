"""The small streams that are read whole each time: owners, pipeline stages, exchange rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors.schema import REJECTS, TABLES
from connectors.source import Page
from connectors.sources.hubspot import values
from connectors.sources.hubspot.mapping import OBJECTS
from connectors.sources.hubspot.parse import empty_rejects, reject_rows
from connectors.sources.hubspot.paths import Paths
from connectors.sources.hubspot.portal import OWNERS_SCOPE, RATES_SCOPE, Portal, granted
from connectors.sources.hubspot.session import Query, Session

_OWNERS_PER_PAGE: Final = 100
_RATE_DIGITS: Final = Decimal("1e-12")  # the canonical scale

Frame = tuple[pl.DataFrame, pl.DataFrame]  # rows, rejects


class Directory:
    """Reads the streams that have no increments."""

    def __init__(self, session: Session, paths: Paths, portal: Portal) -> None:
        self._session = session
        self._paths = paths
        self._portal = portal

    def owners(self) -> Iterator[Page]:
        """All owners. Those who left are read too, because past deals point at them."""
        with granted("owners", OWNERS_SCOPE, optional=False):
            listed = [
                owner
                for archived in ("false", "true")
                for owner in self._all(
                    self._paths.owners(), (("limit", str(_OWNERS_PER_PAGE)), ("archived", archived))
                )
            ]
        yield _only("owners", owners(listed))

    def stages(self) -> Iterator[Page]:
        """The stages of all deal pipelines, as they are laid out now."""
        about = OBJECTS["deals"]
        with granted("pipelines", about.scope, optional=False):
            body = self._session.get(self._paths.pipelines(about.name))
        yield _only("stages", stages(body.get("results") or ()))

    def exchange_rates(self) -> Iterator[Page]:
        """Every rate on record, from each currency to the home currency."""
        with granted("exchange rates", RATES_SCOPE, optional=True):
            listed = list(self._all(self._paths.exchange_rates(), ()))
        yield _only("exchange_rates", exchange_rates(listed, self._portal.home_currency))

    def _all(self, path: str, query: Query) -> Iterator[Mapping[str, Any]]:
        after: str | None = None
        while True:
            body = self._session.get(path, [*query, *([("after", after)] if after else [])])
            yield from body.get("results") or ()
            after = ((body.get("paging") or {}).get("next") or {}).get("after")
            if after is None:
                return


def _only(table: str, read: Frame) -> Page:
    frame, rejects = read
    return Page({table: frame}, {"version": 1, "phase": "done"}, last=True, rejects=rejects, total=len(frame))


def owners(listed: Sequence[Mapping[str, Any]]) -> Frame:
    """Owners as rows. One who left is not active, and not deleted either: the name is still needed."""
    once = {str(owner["id"]): owner for owner in reversed(listed)}  # the active entry wins
    found = list(once.values())
    frame = pl.DataFrame(
        {
            "external_id": list(once),
            "name": [" ".join(filter(None, (each.get("firstName"), each.get("lastName")))) for each in found],
            "email": [each.get("email") or None for each in found],
            "active": [not each.get("archived") for each in found],
            "manager_id": [None] * len(found),
            "modified_at": _instants(each.get("updatedAt") for each in found),
            "deleted_at": [None] * len(found),
        },
        schema_overrides=TABLES["owners"],
    )
    unnamed = pl.col("name") == ""
    return frame.with_columns(name=pl.when(unnamed).then("email").otherwise("name")), empty_rejects()


def stages(pipelines: Sequence[Mapping[str, Any]]) -> Frame:
    """Stages as rows. Metadata is text. A stage is won when it is closed at a probability of one; without
    ``isClosed`` a probability of one is won and of nought lost. HubSpot's stages have no forecast category."""
    found = [(pipeline, stage) for pipeline in pipelines for stage in pipeline.get("stages") or ()]

    def texts(name: str) -> pl.Series:
        listed = [(stage.get("metadata") or {}).get(name) for _, stage in found]
        return pl.Series(name, listed, dtype=pl.String, strict=False)

    probability = values.probabilities(texts("probability"))
    frame = pl.DataFrame(
        {
            "pipeline": [str(pipeline["id"]) for pipeline, _ in found],
            "stage": [str(stage["id"]) for _, stage in found],
            "pipeline_label": [pipeline.get("label") for pipeline, _ in found],
            "label": [stage.get("label") for _, stage in found],
            "sort_order": [stage.get("displayOrder") for _, stage in found],
            "stated": values.booleans(texts("isClosed")),
            "probability": probability,
            "active": [not (pipeline.get("archived") or stage.get("archived")) for pipeline, stage in found],
            "modified_at": _instants(stage.get("updatedAt") for _, stage in found),
        },
        schema_overrides={**TABLES["stages"], "stated": pl.Boolean},
    ).with_columns(is_closed=pl.coalesce("stated", pl.col("probability").is_in([0.0, 1.0])).fill_null(False))
    rows = frame.with_columns(
        is_won=pl.col("is_closed") & (pl.col("probability") == 1.0).fill_null(False),
        forecast_category=pl.lit(None, dtype=pl.String),
        deleted_at=pl.lit(None, dtype=TABLES["stages"]["deleted_at"]),
    ).select(TABLES["stages"].names())
    raw = texts("probability")
    lost = values.filled(raw).is_not_null() & probability.is_null()
    keys = frame.select(pl.format("{}/{}", "pipeline", "stage")).to_series()
    rejects = reject_rows(
        "stages", keys.filter(lost), "probability", raw.filter(lost), "is no share between 0 and 1"
    )
    return rows, rejects


def exchange_rates(listed: Sequence[Mapping[str, Any]], home: str) -> Frame:
    """Rates as rows: home units for one unit of the other currency, from the day they took effect.

    Of several on one day the last one counts. Rates into another currency than the home one are left out.
    """
    found = [each for each in listed if each.get("toCurrencyCode") == home]
    rates = [_rate(each.get("conversionRate")) for each in found]
    frame = pl.DataFrame(
        {
            "currency": [each.get("fromCurrencyCode") for each in found],
            "effective": _instants(each.get("effectiveAt") for each in found),
            "rate": pl.Series(rates, dtype=TABLES["exchange_rates"]["rate"]),
            "modified_at": _instants(each.get("updatedAt") for each in found),
            "raw": pl.Series([str(each.get("conversionRate")) for each in found], dtype=pl.String),
        },
        schema_overrides={"currency": pl.String},
    ).with_columns(
        start_date=pl.col("effective").dt.date(), deleted_at=pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    )
    good = (
        pl.col("currency").is_not_null() & pl.col("start_date").is_not_null() & pl.col("rate").is_not_null()
    )
    rows = (
        frame.filter(good)
        .sort("currency", "effective")
        .unique(["currency", "start_date"], keep="last", maintain_order=True)
        .select(TABLES["exchange_rates"].names())
    )
    bad = frame.filter(~good)
    keys = bad.select(
        pl.format(
            "{} {}", pl.col("currency").fill_null("?"), pl.col("start_date").cast(pl.String).fill_null("?")
        )
    ).to_series()
    reason = "is no rate above nought with a currency and a day"
    return rows, reject_rows("exchange_rates", keys, "rate", bad.get_column("raw"), reason).cast(
        dict(REJECTS.items())
    )


def _rate(value: Any) -> Decimal | None:
    """A JSON number as the decimal it was written as; null unless it is above nought."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = values.decimals(pl.Series([str(value)])).item()
    return Decimal(text).quantize(_RATE_DIGITS) if text is not None and Decimal(text) > 0 else None


def _instants(texts: Any) -> pl.Series:
    return values.instants(
        pl.Series([None if each is None else str(each) for each in texts], dtype=pl.String)
    )
