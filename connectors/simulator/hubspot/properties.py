"""The portal's property definitions, object by object, and the properties every answer carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

ObjectType = Literal["companies", "contacts", "deals", "line_items", "meetings", "products"]
PropertyType = Literal["string", "number", "enumeration", "datetime", "date", "bool"]

_FIELD: Final[dict[str, str]] = {
    "string": "text",
    "number": "number",
    "enumeration": "select",
    "datetime": "date",
    "date": "date",
    "bool": "booleancheckbox",
}
_TRUE_FALSE: Final = (("Yes", "true"), ("No", "false"))
_FORECAST: Final = (
    ("Not forecasted", "OMIT"),
    ("Pipeline", "PIPELINE"),
    ("Best case", "BEST_CASE"),
    ("Commit", "COMMIT"),
    ("Closed won", "CLOSED"),
)
_LIFECYCLE: Final = (
    ("Subscriber", "subscriber"),
    ("Lead", "lead"),
    ("Marketing Qualified Lead", "marketingqualifiedlead"),
    ("Sales Qualified Lead", "salesqualifiedlead"),
    ("Opportunity", "opportunity"),
    ("Customer", "customer"),
    ("Evangelist", "evangelist"),
    ("Other", "other"),
)
_OUTCOME: Final = (
    ("Scheduled", "SCHEDULED"),
    ("Completed", "COMPLETED"),
    ("Rescheduled", "RESCHEDULED"),
    ("No Show", "NO_SHOW"),
    ("Canceled", "CANCELED"),
)


@dataclass(frozen=True)
class Property:
    """One property. ``options`` are (label, value); ``open_options`` collects the values in use as well.

    ``references`` is the type of object its value names.
    """

    name: str
    label: str
    type: PropertyType
    custom: bool = False
    calculated: bool = False
    options: tuple[tuple[str, str], ...] = ()
    open_options: bool = False
    references: str | None = None
    currency_property: str | None = None

    @property
    def field_type(self) -> str:
        return "calculation_equation" if self.calculated else _FIELD[self.type]


def _p(spec: str, type_: PropertyType, label: str, **more: object) -> Property:
    return Property(spec, label, type_, **more)  # type: ignore[arg-type]  # a table of keyword arguments


def _record(modified: str = "hs_lastmodifieddate", created: str = "createdate") -> tuple[Property, ...]:
    return (
        _p("hs_object_id", "number", "Record ID"),
        _p(created, "datetime", "Create Date"),
        _p(modified, "datetime", "Last Modified Date"),
    )


def _merged() -> Property:
    return _p("hs_merged_object_ids", "enumeration", "Merged record IDs")


def _owner(label: str) -> Property:
    return _p("hubspot_owner_id", "enumeration", label, references="OWNER")


def _choice(name: str, label: str, *, custom: bool = True) -> Property:
    return _p(name, "enumeration", label, custom=custom, open_options=True)


PROPERTIES: Final[dict[ObjectType, tuple[Property, ...]]] = {
    "companies": (
        *_record(),
        _p("name", "string", "Company name"),
        _p("domain", "string", "Company Domain Name"),
        _p("phone", "string", "Phone Number"),
        _choice("industry", "Industry", custom=False),
        _p("numberofemployees", "number", "Number of Employees"),
        _choice("segment", "Segment"),
        _choice("account_source", "Account Source"),
        _p("hs_parent_company_id", "number", "Parent Company", references="COMPANY"),
        _owner("Company owner"),
        _p("country", "string", "Country/Region"),
        _p("city", "string", "City"),
        _merged(),
    ),
    "contacts": (
        *_record("lastmodifieddate"),
        _p("firstname", "string", "First Name"),
        _p("lastname", "string", "Last Name"),
        _p("email", "string", "Email"),
        _p("phone", "string", "Phone Number"),
        _p("jobtitle", "string", "Job Title"),
        _p("company", "string", "Company Name"),
        _choice("buying_role", "Buying Role Detail"),
        _choice("buying_centre", "Buying Centre"),
        _owner("Contact owner"),
        _p("associatedcompanyid", "number", "Primary Associated Company ID", references="COMPANY"),
        _p("notes_last_contacted", "datetime", "Last Contacted"),
        _p("hs_email_bounce", "number", "Marketing emails bounced"),
        _p("lifecyclestage", "enumeration", "Lifecycle Stage", options=_LIFECYCLE),
        _p("hs_v2_date_entered_lead", "datetime", "Date entered 'Lead'", calculated=True),
        _p(
            "hs_v2_date_entered_marketingqualifiedlead",
            "datetime",
            "Date entered 'Marketing Qualified Lead'",
            calculated=True,
        ),
        _p(
            "hs_v2_date_entered_salesqualifiedlead",
            "datetime",
            "Date entered 'Sales Qualified Lead'",
            calculated=True,
        ),
        _p("hs_v2_date_entered_opportunity", "datetime", "Date entered 'Opportunity'", calculated=True),
        _choice("hs_lead_status", "Lead Status", custom=False),
        _choice("lead_source", "Lead Source"),
        _merged(),
    ),
    "deals": (
        *_record(),
        _p("dealname", "string", "Deal Name"),
        _p("dealstage", "enumeration", "Deal Stage"),
        _p("pipeline", "enumeration", "Pipeline"),
        _p("amount", "number", "Amount", currency_property="deal_currency_code"),
        _choice("deal_currency_code", "Currency", custom=False),
        _p("closedate", "datetime", "Close Date"),
        _choice("dealtype", "Deal Type", custom=False),
        _p("hs_is_closed", "bool", "Is Deal Closed?", calculated=True, options=_TRUE_FALSE),
        _p("hs_is_closed_won", "bool", "Is Closed Won", calculated=True, options=_TRUE_FALSE),
        _p("hs_is_closed_lost", "bool", "Is Closed Lost", calculated=True, options=_TRUE_FALSE),
        _p("hs_deal_stage_probability", "number", "Deal probability"),
        _p("hs_manual_forecast_category", "enumeration", "Forecast category", options=_FORECAST),
        _p("hs_next_step", "string", "Next step"),
        _p("closed_lost_reason", "string", "Closed Lost Reason"),
        _owner("Deal owner"),
        _choice("deal_source", "Deal Source"),
        _p("contract_arr", "number", "Contract ARR", custom=True, currency_property="deal_currency_code"),
        _p("term_months", "number", "Term (months)", custom=True),
        _p("contract_start_date", "date", "Contract Start Date", custom=True),
        _choice("sales_motion", "Sales Motion"),
        _choice("segment", "Segment"),
        _choice("expansion_kind", "Expansion Kind"),
        _p("first_meeting_date", "date", "First Meeting Date", custom=True),
        _p("pilot", "bool", "Pilot", custom=True, options=_TRUE_FALSE),
        _p("pilot_start_date", "date", "Pilot Start Date", custom=True),
        _p("pilot_end_date", "date", "Pilot End Date", custom=True),
        _p("pilot_converted_date", "date", "Pilot Converted Date", custom=True),
        _p(
            "hs_primary_associated_company",
            "number",
            "Primary Associated Company",
            calculated=True,
            references="COMPANY",
        ),
        _merged(),
    ),
    "line_items": (
        *_record(),
        _p("name", "string", "Name"),
        _p("hs_product_id", "number", "Product ID", references="PRODUCT"),
        _p("quantity", "number", "Quantity"),
        _p("price", "number", "Unit price", currency_property="hs_line_item_currency_code"),
        _p("amount", "number", "Net price", currency_property="hs_line_item_currency_code"),
        _choice("hs_line_item_currency_code", "Currency", custom=False),
        _choice("line_kind", "Line Kind"),
        _choice("product_family", "Product Family"),
        _merged(),
    ),
    "meetings": (
        *_record(created="hs_createdate"),
        _p("hs_timestamp", "datetime", "Activity date"),
        _p("hs_meeting_title", "string", "Meeting name"),
        _p("hs_meeting_start_time", "datetime", "Meeting start time"),
        _p("hs_meeting_end_time", "datetime", "Meeting end time"),
        _p("hs_meeting_outcome", "enumeration", "Meeting outcome", options=_OUTCOME),
        _owner("Activity assigned to"),
    ),
    "products": (
        *_record(),
        _p("name", "string", "Name"),
        _choice("product_family", "Product Family"),
        _choice("line_kind", "Line Kind"),
    ),
}

# What an answer carries when no properties are asked for; the record's own three come along always.
DEFAULTS: Final[dict[ObjectType, tuple[str, ...]]] = {
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "deals": (
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
    "line_items": ("createdate", "hs_lastmodifieddate", "hs_object_id"),
    "meetings": ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
    "products": ("createdate", "hs_lastmodifieddate", "hs_object_id"),
}

OBJECT_TYPES: Final[tuple[ObjectType, ...]] = tuple(PROPERTIES)
CREATED: Final[dict[str, str]] = {"meetings": "hs_createdate"}
MODIFIED: Final[dict[str, str]] = {"contacts": "lastmodifieddate"}
TYPE_IDS: Final[dict[ObjectType, str]] = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "products": "0-7",
    "line_items": "0-8",
    "meetings": "0-47",
}
SINGULAR: Final[dict[ObjectType, str]] = {
    "companies": "company",
    "contacts": "contact",
    "deals": "deal",
    "line_items": "line_item",
    "meetings": "meeting_event",
    "products": "product",
}
_NAMES: Final[dict[str, ObjectType]] = {
    **{name: name for name in OBJECT_TYPES},
    **{type_id: name for name, type_id in TYPE_IDS.items()},
    **{singular: name for name, singular in SINGULAR.items()},
    "meeting": "meetings",
    "line item": "line_items",
    "line items": "line_items",
}


class Catalogue:
    """The property definitions of one portal: the standard ones and what an export adds."""

    def __init__(self) -> None:
        self._known = {kind: {found.name: found for found in listed} for kind, listed in PROPERTIES.items()}

    def of(self, kind: ObjectType) -> Mapping[str, Property]:
        """The definitions of a type by internal name."""
        return self._known[kind]

    def add(self, kind: ObjectType, found: Property) -> None:
        """Define a further property."""
        self._known[kind][found.name] = found


def object_type(name: str) -> ObjectType | None:
    """The object type a path names: plural, singular or type id, in any case; None for another."""
    return _NAMES.get(name.lower())


@cache
def own_properties(kind: ObjectType) -> tuple[str, str, str]:
    """The three properties every record carries in every answer: created, modified, id."""
    return CREATED.get(kind, "createdate"), MODIFIED.get(kind, "hs_lastmodifieddate"), "hs_object_id"
