"""One client company as the pipeline and the metrics see it: its calendar, its words, its definitions.

These are the parts of a company's configuration that decide what a number means. How to reach its CRM and
where to post is the business of ``scheduler.config``, which extends this model.
"""

from __future__ import annotations

import re
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from connectors.schema import CURRENCIES, WITHDRAWN

_CURRENCY: Final = r"^[A-Z]{3}$"
_PLAYBOOKS: Final = ("supply_chain", "hr_tech", "dev_tools")  # none of these names fields of its own
DealType = Literal["new", "expansion", "renewal", "contraction", "churn"]


class Settings(BaseModel):
    """Base of every part of the configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"there is no time zone {name!r}; use a name such as Europe/Berlin")
    return name


def _currency_code(code: Any) -> Any:
    if isinstance(code, str) and not re.fullmatch(_CURRENCY, code):
        raise ValueError(f"{code!r} is no currency; write its ISO code in capitals, such as USD")
    if isinstance(code, str) and code not in CURRENCIES:
        if code in WITHDRAWN:
            raise ValueError(f"{code} is no longer in use; write {WITHDRAWN[code]}, which took its place")
        close = get_close_matches(code, sorted(CURRENCIES), n=3)
        near = ", ".join(sorted(close, key=lambda known: (known[:2] != code[:2], known)))
        hint = (
            f"did you mean {near}?" if near else "write the ISO 4217 code of the company's own, such as USD"
        )
        raise ValueError(f"{code!r} is no currency in use; {hint}")
    return code


class DealTypes(Settings):
    """The CRM's own deal types (compared without case) -> ours. What is not listed is in no KPI."""

    new: tuple[str, ...] = ("New Business", "New Customer", "newbusiness", "New")
    expansion: tuple[str, ...] = (
        "Expansion",
        "Up-sell",
        "Upsell",
        "Cross-sell",
        "Existing Business",
        "existingbusiness",
        "Existing Customer - Upgrade",
        "Add-On Business",
    )
    renewal: tuple[str, ...] = ("Renewal", "Existing Customer - Replacement")
    contraction: tuple[str, ...] = ("Downgrade", "Contraction", "Existing Customer - Downgrade")
    churn: tuple[str, ...] = ("Churn", "Cancellation")

    @model_validator(mode="after")
    def _one_meaning_each(self) -> DealTypes:
        seen: dict[str, str] = {}
        for kind in type(self).model_fields:
            for word in getattr(self, kind):
                other = seen.setdefault(word.strip().lower(), kind)
                if other != kind:
                    raise ValueError(
                        f"{word!r} stands under {other} and under {kind}; name it under one of them"
                    )
        return self

    def mapping(self) -> dict[str, DealType]:
        """Lower-case CRM type -> our type."""
        return {
            word.strip().lower(): kind
            for kind in ("new", "expansion", "renewal", "contraction", "churn")
            for word in getattr(self, kind)
        }


class ArrSettings(Settings):
    """Where ARR comes from and how amounts are to be read (definition book, R3 to R8, rulings 7 to 16).

    ``source``: the deal's ARR field, else its amount by ``basis``; its recurring line items by ``basis``; the CRM's
    contracts (contract) or the subscriptions of its CPQ package (cpq) by ``basis``; or the list ``inputs.opening_arr``.
    ``deals_from``: up to that day the list counts, from it on the deals. ``in_force``: the statuses of contracts that
    count (compared without case). ``rates``: both ends of a stock at the rate of D. ``price``: what a dearer product
    adds to a customer is other expansion, or of the product's own kind (seats or modules); what was contracted before
    (escalator) is other anyway. ``committed_usage``: line items of the kind committed_usage count as recurring; those
    of the kinds one_time, services and usage never do. See docs/revenue.md.
    """

    source: Literal["field", "line_items", "contract", "cpq", "opening_arr"] = "field"
    basis: Literal["arr", "mrr", "acv", "tcv"] = "tcv"
    deals_from: date | None = None
    in_force: Annotated[tuple[str, ...], Field(min_length=1)] = ("Activated",)
    expansion: Literal["delta", "total"] = "delta"
    renewal: Literal["total", "delta"] = "total"
    grace_days: Annotated[int, Field(ge=0, le=90)] = 30
    auto_renew: bool = False
    headline: Literal["arr", "carr"] = "arr"
    customer: Literal["ultimate_parent", "account", "contract"] = "ultimate_parent"
    rates: Literal["constant", "spot"] = "constant"
    price: Literal["other", "kind"] = "other"
    committed_usage: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> ArrSettings:
        if self.source == "opening_arr" and self.deals_from is not None:
            raise ValueError(
                "deals_from says from when deals take over from the opening list, but with source: opening_arr no "
                "deal ever counts; use source: field or line_items, or leave deals_from out"
            )
        if self.contracts is not None:
            for name, plain in (
                ("deals_from", None),
                ("expansion", "delta"),
                ("renewal", "total"),
                ("auto_renew", False),
            ):
                if getattr(self, name) != plain:
                    raise ValueError(
                        f"{name} says how deals become contracts; with source: {self.source} the CRM's own contracts "
                        "count, each from its start to its end: leave it out, or use source: field or line_items"
                    )
        return self

    @property
    def contracts(self) -> Literal["contract", "cpq"] | None:
        """Which records of the CRM are the contracts; None: none, they are made from deals or a list."""
        return self.source if self.source in ("contract", "cpq") else None

    @property
    def of_deals(self) -> bool:
        """Whether won deals bring ARR."""
        return self.source in ("field", "line_items")

    @property
    def reads_list(self) -> bool:
        """Whether contracts come from the opening list, all of them or those before ``deals_from``."""
        return self.source == "opening_arr" or self.deals_from is not None


class RetentionSettings(Settings):
    """How NRR, GRR and logo churn are computed (definition book, section 2, rulings 16 and 17).

    ``beside``: what else is printed next to each of them, for the same months.
    """

    window: Literal["year", "quarter", "month"] = "year"
    nrr: Literal["cohort", "flow", "flow_with_reactivation", "renewal_base"] = "cohort"
    grr: Literal["min", "flow"] = "min"
    logo_churn: Literal["point", "event"] = "point"
    beside: tuple[
        Literal[
            "year",
            "quarter",
            "month",
            "cohort",
            "min",
            "point",
            "flow",
            "flow_with_reactivation",
            "renewal_base",
            "event",
        ],
        ...,
    ] = ()


class HealthSettings(Settings):
    """How a customer's health is scored, 0 to 100 (definition book, section 6).

    ``usage``, ``tickets`` and ``nps`` are the weights of the three parts. A score is red below ``red_below`` and green
    from ``green_from`` on. An open ticket counts when its severity is one of ``severe`` (compared without case) or it
    has been open for more than ``old_ticket_days``.
    """

    usage: Annotated[float, Field(ge=0)] = 50
    tickets: Annotated[float, Field(ge=0)] = 25
    nps: Annotated[float, Field(ge=0)] = 25
    red_below: Annotated[float, Field(ge=0, le=100)] = 40
    green_from: Annotated[float, Field(ge=0, le=100)] = 70
    drop: Annotated[float, Field(gt=0, le=100)] = 15  # so much less than 30 days before is an alarm
    old_ticket_days: Annotated[int, Field(ge=0)] = 30
    severe: tuple[str, ...] = (
        "critical",
        "severe",
        "urgent",
        "high",
        "blocker",
        "p0",
        "p1",
        "sev0",
        "sev1",
        "s1",
        "1",
    )

    @model_validator(mode="after")
    def _can_score(self) -> HealthSettings:
        if self.usage + self.tickets + self.nps <= 0:
            raise ValueError(
                "the weights of usage, tickets and nps are all 0; give at least one of them a weight"
            )
        if self.red_below > self.green_from:
            raise ValueError("red_below is above green_from; a score cannot be both red and green")
        return self


class SalesSettings(Settings):
    """How the sales motion is measured, where the definition book leaves a choice (section 3, R7).

    ``include_expansion``: expansion deals count like new business in win rates, deal size, cycles, velocity, stage days
    and pilots. ``cycle_start``: what a cycle runs from; a deal without a first meeting runs from the qualified stage.
    ``velocity_opportunities``: those that got to the qualified stage in the quarter, or those open at its start.
    ``poc_stages``: the stages in which a pilot runs; none: those from the qualified stage on that are named pilot, POC,
    trial, or proof of concept or value. ``poc_limit_days``: how long a pilot may take; null: 30 with the playbook
    hr_tech, else 45. ``win_rate``: lost is every lost deal, or, narrow, only those that somebody decided against; whose
    loss reason is one of ``no_decision`` (compared without case) is then left out. ``deal_size``: the mean or the
    median. ``cycle_weight``: what weighs the weighted cycle. ``outcome_day``: the day of a win or loss is the close
    date, or that of the entry into the won or lost stage where the history holds it. ``stage_deals``: how many deals a
    stage needs to be called a bottleneck, or to have a norm of its own. ``stage_quarters``: how many quarters, the
    month's own the last of them, a stage's days and its norm are read over. ``stage_old``: a deal that sits in a stage
    for more than so many times the norm has grown old there. ``deal_size_window``: the deals of the quarter to date, or
    of four quarters. ``deal_size_value``: a deal's ARR, or its annual contract value (ACV), which is its amount by
    `arr.basis` a year, with what is sold once. ``paid_pilot``: a pilot with an amount in a won stage that is not
    converted is open, or won (R8): then by its close date and amount, and still without ARR.
    """

    include_expansion: bool = False
    win_rate: Literal["broad", "narrow"] = "broad"
    no_decision: tuple[str, ...] = (
        "No decision",
        "No decision made",
        "No decision / Non-responsive",
        "Non-responsive",
        "No response",
        "Unresponsive",
        "Went dark",
        "Status quo",
    )
    cycle_start: Literal["qualified", "created", "first_meeting"] = "qualified"
    velocity_opportunities: Literal["entering", "open"] = "entering"
    poc_stages: tuple[str, ...] = ()
    poc_limit_days: Annotated[int, Field(ge=1)] | None = None
    deal_size: Literal["mean", "median"] = "mean"
    cycle_weight: Literal["arr", "amount"] = "arr"
    outcome_day: Literal["close_date", "stage_entry"] = "close_date"
    stage_deals: Annotated[int, Field(ge=1)] = 5
    stage_quarters: Annotated[int, Field(ge=1, le=8)] = 4
    stage_old: Annotated[float, Field(ge=1, le=10)] = 1.5
    deal_size_window: Literal["quarter", "four_quarters"] = "quarter"
    deal_size_value: Literal["arr", "acv"] = "arr"
    paid_pilot: Literal["open", "won"] = "open"

    @property
    def types(self) -> tuple[DealType, ...]:
        """The deal types that are sold this way."""
        return ("new", "expansion") if self.include_expansion else ("new",)


class ForecastSettings(Settings):
    """How pipeline and forecasts are read, where the definition book leaves a choice (section 4, rulings 26 to 31).

    ``snapshot_day``: the day of the quarter on which coverage is read and a forecast judged. ``coverage_odds``: what
    weighs the pipeline of the weighted coverage, the CRM's probability (p1) or own history (p2); the other stands
    beside it. ``coverage_base``: the pipeline of the snapshot day against the quarter's quota, or that of D against
    what is to go of it (the quota less what was won to D). ``method``: what the forecast expects of open deals, their
    amount by p2 or p1, or the whole amount of those in the sellers' category commit, or in commit and best case.
    ``error_over``: what a forecast's error is divided by, what was won or what was forecast.
    """

    snapshot_day: Annotated[int, Field(ge=1, le=89)] = 21  # no quarter is shorter
    coverage_odds: Literal["p1", "p2"] = "p1"
    coverage_base: Literal["quota", "to_go"] = "quota"
    method: Literal["p2", "p1", "commit", "best_case"] = "p2"
    error_over: Literal["actual", "forecast"] = "actual"


class AcquisitionSettings(Settings):
    """How leads and the cost of customers are counted, where the definition book leaves a choice (section 5).

    ``cac_lag``: whose spend CAC payback holds against new ARR: that of a quarter earlier, or of one median sales cycle
    earlier. ``cac_load``: all spend, or programme spend alone. ``lead_days`` and ``sql_days``: how long a lead may take
    to become an opportunity, and an MQL an SQL. ``cost_per``: what programme spend is divided by. ``sourced_by``: what
    tells whose a deal is; touches are not read from the CRM. ``partner_rule``: a deal is the partners' by its source,
    by the partner that its own field names (`fields: deals: partner`), or by either of them.
    """

    cac_lag: Literal["quarter", "cycle"] = "quarter"
    cac_load: Literal["full", "program"] = "full"
    lead_days: Annotated[int, Field(ge=1, le=730)] = 90
    sql_days: Annotated[int, Field(ge=1, le=730)] = 60
    cost_per: Literal["lead", "mql"] = "lead"
    sourced_by: Literal["original_source", "first_touch", "marketing_touch"] = "original_source"
    partner_rule: Literal["either", "source", "field"] = "either"


class QualitySettings(Settings):
    """How the cleanliness of the records is scored (section 6, ruling 36).

    ``completeness``, ``duplicates``, ``stages`` and ``contacts`` are the weights of the four parts, in percent.
    ``outdated_months``: after so many without activity a contact is outdated. ``field_weights``: how much each required
    field of a deal weighs in completeness; one that is not named weighs 1. ``completeness_by``: field completeness
    counts cells alike, or those of a deal as much as its amount; the other stands beside it. ``required_from``: a field
    that is required from a stage on only, by the stage's name or label.
    """

    completeness: Annotated[int, Field(ge=0, le=100)] = 35
    duplicates: Annotated[int, Field(ge=0, le=100)] = 25
    stages: Annotated[int, Field(ge=0, le=100)] = 20
    contacts: Annotated[int, Field(ge=0, le=100)] = 20
    outdated_months: Annotated[int, Field(ge=1, le=120)] = 12
    field_weights: dict[str, Annotated[float, Field(ge=0, le=1000)]] = {}
    completeness_by: Literal["cells", "amount"] = "cells"
    required_from: dict[str, str] = {}

    @model_validator(mode="after")
    def _a_whole(self) -> QualitySettings:
        total = self.completeness + self.duplicates + self.stages + self.contacts
        if total != 100:
            raise ValueError(f"the weights of the four parts add up to {total}; make them 100")
        return self


class Inputs(Settings):
    """CSV files with what no CRM knows (see inputs.md). Relative paths start at the configuration file's folder."""

    targets: Path | None = None
    spend: Path | None = None
    margin: Path | None = None
    opening_arr: Path | None = None
    usage: Path | None = None
    tickets: Path | None = None
    nps: Path | None = None
    calls: Path | None = None
    billing: Path | None = None


class PrivacySettings(Settings):
    """How much the store keeps of people: their names, e-mails and phones (see docs/privacy.md).

    ``full``: as the CRM has them. ``hashed``: keyed digests, by which equal values still match; needs ``key``, a
    secret of 16 characters or more that is never stored. ``none``: nothing.
    """

    contacts: Literal["full", "hashed", "none"] = "full"
    key: SecretStr | None = None

    @model_validator(mode="after")
    def _hashing_needs_a_key(self) -> PrivacySettings:
        if self.contacts == "hashed" and (self.key is None or not self.key.get_secret_value().strip()):
            raise ValueError(
                "contacts: hashed needs a key; add key: ${NAME}, and keep that secret for as long as the store"
            )
        return self


class EngagementSettings(Settings):
    """What was agreed with the CRO, and what of the company no CRM knows; it changes no number.

    ``agreed_kpis``: what the 90-day checkpoint looks at; empty: the playbook's. ``scope`` full_gtm: marketing is part
    of it. ``sales_team``: how many people sell and look after customers. ``methodology`` and ``compensation``: what the
    30-day audit found out about them, in your words.
    """

    agreed_kpis: tuple[str, ...] = ()
    scope: Literal["revenue", "full_gtm"] = "revenue"
    sales_team: Annotated[int, Field(ge=0)] | None = None
    founder_led: bool = False
    partner_led: bool = False
    methodology: str | None = None
    compensation: str | None = None


class SizeBand(Settings):
    """A size segment by number of employees: from ``employees_from`` up to the next band."""

    name: str
    employees_from: int = 0


class Company(Settings):
    """Everything that decides what this company's numbers mean."""

    name: SkipJsonSchema[str] = ""  # the key under which it stands in the configuration
    playbook: str = "hr_tech"
    timezone: Annotated[str, AfterValidator(_known_timezone)] = "UTC"
    currency: Annotated[str, BeforeValidator(_currency_code), Field(pattern=_CURRENCY)] | None = (
        None  # None: the CRM's home currency
    )
    fiscal_year_start_month: Annotated[int, Field(ge=1, le=12)] = 1
    engagement_start: date | None = None
    engagement: EngagementSettings = EngagementSettings()
    deal_types: DealTypes = DealTypes()
    channels: dict[str, tuple[str, ...]] = {"marketing": ("inbound",), "partner": ("partner",)}
    # Sales motion -> the lead sources (compared without case) that tell it where a deal names no motion itself.
    source_map: dict[str, tuple[str, ...]] = {
        "inbound": ("Inbound", "Web", "Website", "Webinar", "Content Download", "Phone Inquiry"),
        "outbound": ("Outbound", "Cold Call", "Trade Show", "Purchased List"),
        "partner": ("Partner", "Partner Referral"),
        "self-serve": ("Self-Serve", "Free Trial"),
    }
    arr: ArrSettings = ArrSettings()
    retention: RetentionSettings = RetentionSettings()
    health: HealthSettings = HealthSettings()
    sales: SalesSettings = SalesSettings()
    forecast: ForecastSettings = ForecastSettings()
    acquisition: AcquisitionSettings = AcquisitionSettings()
    quality: QualitySettings = QualitySettings()
    inputs: Inputs = Inputs()
    privacy: PrivacySettings = PrivacySettings()
    qualified_stage: str | None = None  # None: the second open stage of the new-business pipeline
    required_deal_fields: tuple[str, ...] = (
        "amount",
        "close_date",
        "stage",
        "owner_id",
        "account_id",
        "next_step",
    )
    size_bands: tuple[SizeBand, ...] = (
        SizeBand(name="SMB", employees_from=0),
        SizeBand(name="Mid-market", employees_from=200),
        SizeBand(name="Enterprise", employees_from=1000),
    )
    completeness_threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    low_sample: Annotated[int, Field(ge=0)] = 10  # below so many deals, customers or leads a number says so

    @field_validator("size_bands")
    @classmethod
    def _bands_cover_everyone(cls, bands: tuple[SizeBand, ...]) -> tuple[SizeBand, ...]:
        starts = [band.employees_from for band in bands]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError("the bands must begin at employees_from: 0 and rise; put them in that order")
        if len({band.name for band in bands}) < len(bands):
            raise ValueError("two bands have the same name; name each once")
        return bands

    @model_validator(mode="after")
    def _weights_of_required_fields(self) -> Company:
        weights, fields = self.quality.field_weights, self.required_deal_fields
        # A playbook of one's own may ask for other fields; which, is not known here.
        settled = "required_deal_fields" in self.model_fields_set or self.playbook in _PLAYBOOKS
        for setting in ("field_weights", "required_from"):
            strange = [name for name in getattr(self.quality, setting) if name not in fields and settled]
            if strange:
                raise ValueError(
                    f"quality.{setting} names {strange[0]!r}, which is no required field; "
                    f"the required ones are {', '.join(fields)}"
                )
        if fields and all(weights.get(name, 1) == 0 for name in fields):
            raise ValueError(
                "quality.field_weights gives every required field the weight 0; weigh one of them"
            )
        return self

    def definitions(self) -> dict[str, Any]:
        """What decides what the numbers mean, as plain data; input files (where they lie says nothing) are left out."""
        left_out = {"name", "privacy", "inputs", "engagement"}
        return self.model_dump(mode="json", include=set(Company.model_fields) - left_out)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)
