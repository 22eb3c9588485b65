"""Neutral values -> HubSpot property values, which are all text: None never set, "" cleared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Protocol

from connectors.schema import exponent
from connectors.simulator.hubspot.ids import stage_id
from connectors.simulator.hubspot.properties import ObjectType
from connectors.simulator.world import Kind, Stage

Properties = dict[str, str | None]
State = Mapping[str, Any]  # neutral field -> value; "" where a value was taken away
PIPELINE: Final = "default"

_FORECAST: Final = {
    "omitted": "OMIT",
    "pipeline": "PIPELINE",
    "best_case": "BEST_CASE",
    "commit": "COMMIT",
    "closed": "CLOSED",
}


class References(Protocol):
    """What a translation looks up besides the record itself."""

    @property
    def stages(self) -> Mapping[str, Stage]: ...

    @property
    def products(self) -> Mapping[int, State]: ...

    @property
    def home_currency(self) -> str: ...

    def current_id(self, kind: Kind, key: int) -> str:
        """The id the record of that key has now, merges followed."""
        ...


@lru_cache(maxsize=1 << 16)
def instant(seconds: int) -> str:
    """Epoch seconds -> ``2026-01-31T17:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19] + "Z"


def number(value: float) -> str:
    """A number as typed: ``12``, ``12.5``."""
    return str(int(value)) if value == int(value) else repr(value)


def money(minor: int, currency: str) -> str:
    """Minor units -> decimal text in major units: 1250050, EUR -> ``12500.5``."""
    digits = exponent(currency)
    scale: int = 10**digits
    whole, rest = divmod(abs(minor), scale)
    sign = "-" if minor < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:0{digits}d}".rstrip("0")


def noisy(value: float) -> str:
    """A computed number as HubSpot prints it, with all the digits of the binary fraction."""
    return str(Decimal(value)) if value != int(value) else repr(float(value))


def _set(value: Any, write: Callable[[Any], str]) -> str | None:
    return value if value is None or value == "" else write(value)


def _midnight(day: str) -> str:
    return f"{day}T00:00:00Z"


def _five_pm(day: str) -> str:
    return f"{day}T17:00:00Z"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _ref(refs: References, kind: Kind, key: Any) -> str | None:
    return _set(key, lambda found: refs.current_id(kind, found))


def company(state: State, refs: References) -> Properties:
    """A neutral account as a company."""
    get = state.get
    return {
        "name": get("name"),
        "domain": get("domain"),
        "phone": get("phone"),
        "industry": get("industry"),
        "numberofemployees": _set(get("employees"), str),
        "segment": get("segment"),
        "account_source": get("source"),
        "hs_parent_company_id": _ref(refs, "account", get("parent")),
        "hubspot_owner_id": _ref(refs, "user", get("owner")),
        "country": get("country"),
        "city": get("city"),
    }


def person(state: State, refs: References) -> Properties:
    """A lead, a contact, or a lead that became one, as a contact.

    ``entered_at`` (epoch seconds) is in the state of everyone who came in as a lead.
    """
    get = state.get
    mql, sql, converted = get("mql_at"), get("sql_at"), get("converted")
    stage = None
    if get("entered_at") is not None:
        stage = "lead"
        for reached, name in (
            (mql, "marketingqualifiedlead"),
            (sql, "salesqualifiedlead"),
            (converted, "opportunity"),
        ):
            stage = name if reached else stage
    return {
        "firstname": get("first_name"),
        "lastname": get("last_name"),
        "email": get("email"),
        "phone": get("phone"),
        "jobtitle": get("title"),
        "company": get("company"),
        "buying_role": get("role"),
        "buying_centre": get("buying_centre"),
        "hubspot_owner_id": _ref(refs, "user", get("owner")),
        "associatedcompanyid": _ref(refs, "account", get("account")),
        "notes_last_contacted": _set(get("last_activity"), _five_pm),
        "hs_email_bounce": "1" if get("bounced") else None,
        "lifecyclestage": stage,
        "hs_v2_date_entered_lead": _set(get("entered_at"), instant),
        "hs_v2_date_entered_marketingqualifiedlead": _set(mql, _five_pm),
        "hs_v2_date_entered_salesqualifiedlead": _set(sql, _five_pm),
        "hs_v2_date_entered_opportunity": _set(converted, _five_pm),
        "hs_lead_status": get("status"),
        "lead_source": get("source"),
    }


def deal(state: State, refs: References) -> Properties:
    """A neutral deal as a deal."""
    get = state.get
    currency = get("currency") or refs.home_currency
    stage = refs.stages.get(get("stage") or "")
    closed, won = (stage.closed, stage.won) if stage else (False, False)
    return {
        "dealname": get("name"),
        "dealstage": _set(get("stage"), stage_id),
        "pipeline": PIPELINE,
        "amount": _set(get("amount"), lambda minor: money(minor, currency)),
        "deal_currency_code": get("currency"),
        "closedate": _set(get("close_date"), _midnight),
        "dealtype": get("type"),
        "hs_is_closed": _flag(closed),
        "hs_is_closed_won": _flag(closed and won),
        "hs_is_closed_lost": _flag(closed and not won),
        "hs_deal_stage_probability": _set(get("probability"), noisy),
        "hs_manual_forecast_category": _set(get("forecast_category"), lambda value: _FORECAST[value]),
        "hs_next_step": get("next_step"),
        "closed_lost_reason": get("loss_reason"),
        "hubspot_owner_id": _ref(refs, "user", get("owner")),
        "deal_source": get("lead_source"),
        "contract_arr": _set(get("arr"), lambda minor: money(minor, currency)),
        "term_months": _set(get("term_months"), number),
        "contract_start_date": get("start_date"),
        "sales_motion": get("motion"),
        "segment": get("segment"),
        "expansion_kind": get("expansion_kind"),
        "first_meeting_date": get("first_meeting"),
        "pilot": _set(get("pilot"), _flag),
        "pilot_start_date": get("pilot_start"),
        "pilot_end_date": get("pilot_end"),
        "pilot_converted_date": get("pilot_converted"),
        "hs_primary_associated_company": _ref(refs, "account", get("account")),
    }


def line_item(state: State, refs: References) -> Properties:
    """A neutral line item; name and family are copied from the product."""
    get = state.get
    product = refs.products.get(get("product") or 0, {})
    currency = get("currency") or refs.home_currency
    return {
        "name": product.get("name"),
        "hs_product_id": _ref(refs, "product", get("product")),
        "quantity": _set(get("quantity"), number),
        "price": _set(get("unit_price"), lambda minor: money(minor, currency)),
        "amount": _set(get("amount"), lambda minor: money(minor, currency)),
        "hs_line_item_currency_code": get("currency"),
        "line_kind": get("kind"),
        "product_family": product.get("family"),
    }


def meeting(state: State, refs: References) -> Properties:
    """A neutral meeting as a meeting engagement."""
    get = state.get
    return {
        "hs_timestamp": _set(get("starts_at"), instant),
        "hs_meeting_title": get("subject"),
        "hs_meeting_start_time": _set(get("starts_at"), instant),
        "hs_meeting_end_time": _set(get("ends_at"), instant),
        "hs_meeting_outcome": "COMPLETED" if get("completed") else "SCHEDULED",
        "hubspot_owner_id": _ref(refs, "user", get("owner")),
    }


def product(state: State, refs: References) -> Properties:
    """A neutral product as a library product."""
    return {
        "name": state.get("name"),
        "product_family": state.get("family"),
        "line_kind": state.get("kind"),
    }


Translate = Callable[[State, References], Properties]
TRANSLATIONS: Final[dict[Kind, tuple[ObjectType, Translate]]] = {
    "account": ("companies", company),
    "contact": ("contacts", person),
    "lead": ("contacts", person),
    "deal": ("deals", deal),
    "line_item": ("line_items", line_item),
    "meeting": ("meetings", meeting),
    "product": ("products", product),
}
OBJECT_OF: Final[dict[Kind, ObjectType]] = {kind: name for kind, (name, _) in TRANSLATIONS.items()}
