"""Small tables that are read whole on every run: stages, exchange rates, quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Final

import polars as pl

from connectors.errors import StreamUnavailable
from connectors.source import Page
from connectors.sources.salesforce import soql
from connectors.sources.salesforce.catalogue import Catalogue, Description, Selection
from connectors.sources.salesforce.client import SalesforceClient
from connectors.sources.salesforce.mapping import QUOTAS, STAGES
from connectors.sources.salesforce.parse import NO_CURRENCY, Context, conform, instant, parse
from connectors.sources.salesforce.scan import scan

_CURSOR: Final = {"v": 1}  # nothing to remember: the next run reads everything again
_RATES: Final = pl.Schema(
    [
        ("currency", pl.String),
        ("start_date", pl.Date),
        ("rate", pl.Decimal(38, 12)),
        ("modified_at", pl.String),
    ]
)
_ALWAYS: Final = date(1900, 1, 1)
_TWELVE: Final = Decimal("1e-12")


@dataclass(frozen=True)
class Stages:
    """The stages of the org, and the API name for each label under which deals may still carry a stage."""

    frame: pl.DataFrame
    rejects: pl.DataFrame
    by_label: Mapping[str, str]


def read_stages(client: SalesforceClient, catalogue: Catalogue) -> Stages:
    """Every stage, inactive ones too: deals of the past stand in them."""
    selection = catalogue.select(STAGES)
    records = _listed(client, selection.paths(), STAGES.object)
    parsed = parse(STAGES, selection, records, Context(NO_CURRENCY, "UTC", {}))
    frame = parsed.frame
    if "stage" not in frame.columns:  # the API name came late to this object
        frame = frame.with_columns(stage="label")
    frame = frame.with_columns(pl.col("stage").fill_null(pl.col("label")))
    frame = frame.filter(pl.col("stage").is_not_null()).unique("stage", keep="first", maintain_order=True)
    names = set(frame["stage"])
    labels = frame.filter(~pl.col("label").is_in(names) & pl.col("label").is_not_null())
    labels = labels.unique("label", keep="none")
    by_label = dict(zip(labels["label"], labels["stage"], strict=True))
    return Stages(conform("stages", frame), parsed.rejects, by_label)


def stages_page(stages: Stages) -> Page:
    return Page({"stages": stages.frame}, _CURSOR, True, rejects=stages.rejects, total=stages.frame.height)


def rates_page(client: SalesforceClient, catalogue: Catalogue) -> Page:
    """Home-currency units for one unit of each currency: one over Salesforce's rate, to 12 decimals, half-even.

    With dated rates (advanced currency management), one row from each StartDate. A currency without dated
    rates has the one rate that is kept for all time, dated 1900-01-01. Inactive currencies are included: old
    deals are in them. Raises ``StreamUnavailable`` in an org with a single currency.
    """
    static = catalogue.describe("CurrencyType")
    if static is None:
        raise StreamUnavailable(
            "exchange_rates: this org keeps a single currency; there is nothing to convert"
        )
    dated = catalogue.describe("DatedConversionRate")
    rows: list[tuple[str, date, Decimal, str | None]] = []
    if dated is not None:
        rows = [_rate(record) for record in _listed(client, _rate_fields(dated), dated.name)]
    seen = {row[0] for row in rows}
    kept = (_rate(record) for record in _listed(client, _rate_fields(static), static.name))
    rows += [row for row in kept if row[0] not in seen]
    raw = pl.DataFrame(rows, schema=_RATES, orient="row")
    frame = conform("exchange_rates", raw.with_columns(instant(pl.col("modified_at"))))
    return Page({"exchange_rates": frame}, _CURSOR, True, total=frame.height)


def quotas_page(client: SalesforceClient, catalogue: Catalogue, context: Context, wanted: str | None) -> Page:
    """Every quota of one forecast type. Several types with amounts would be counted twice over.

    Raises ``StreamUnavailable`` when the org keeps several and ``wanted`` names none of them.
    """
    selection = catalogue.select(QUOTAS)
    description = catalogue.require(QUOTAS)
    if description.has("ForecastingTypeId"):
        selection = Selection(selection.columns, selection.custom, (*selection.extra, "ForecastingTypeId"))
    records = _listed(client, selection.paths(), QUOTAS.object)
    types = sorted({str(r["ForecastingTypeId"]) for r in records if r.get("ForecastingTypeId")})
    if wanted is not None:
        records = [record for record in records if record.get("ForecastingTypeId") == wanted]
    elif len(types) > 1:
        raise StreamUnavailable(
            f"quotas: this org keeps quotas for {len(types)} forecast types; name the one that counts in "
            f"crm.options.forecasting_type: {', '.join(types)}"
        )
    parsed = parse(QUOTAS, selection, records, context)
    frame = conform("quotas", parsed.frame)
    live = frame.filter(pl.col("deleted_at").is_null())["external_id"]
    return Page(
        {"quotas": frame},
        _CURSOR,
        True,
        rejects=parsed.rejects,
        live_ids={"quotas": live},
        total=frame.height,
    )


def _listed(client: SalesforceClient, fields: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Every record of a small object, each once."""

    def query(after: str) -> str:
        return soql.listed(fields, name, after)

    found: dict[str, dict[str, Any]] = {}
    for batch in scan(client, query, "", lambda records, after: records[-1]["Id"] if records else after):
        found.update((record["Id"], record) for record in batch.records)
    return list(found.values())


def _rate_fields(description: Description) -> list[str]:
    wanted = ("Id", "IsoCode", "StartDate", "ConversionRate", "SystemModstamp")
    return [name for name in wanted if description.has(name)]


def _rate(record: Mapping[str, Any]) -> tuple[str, date, Decimal, str | None]:
    """Currency, first day, home units for one unit, and when it was last changed."""
    start = date.fromisoformat(record["StartDate"]) if record.get("StartDate") else _ALWAYS
    with localcontext() as exact:
        exact.prec = 60
        rate = (1 / Decimal(str(record["ConversionRate"]))).quantize(_TWELVE, ROUND_HALF_EVEN)
    return record["IsoCode"], start, rate, record.get("SystemModstamp")
