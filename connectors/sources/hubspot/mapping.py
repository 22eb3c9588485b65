"""What HubSpot's objects and properties mean in our tables, as data.

``STANDARD`` names only HubSpot's own properties. A company's own ones come through the configuration, also
where HubSpot's are a poor fit: ``deals.arr`` is left open because ``hs_arr`` is 0 for every deal without line
items. ``contacts`` fills two tables, because HubSpot knows no leads apart from contacts: the table of
contacts has everyone who belongs to a company or was never a lead, the table of leads everyone who ever
entered the lead stage; a converted lead is in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from connectors.schema import TABLES

Kind = Literal[
    "text",
    "currency",
    "money",
    "number",
    "integer",
    "months",
    "probability",
    "boolean",
    "outcome",
    "forecast",
    "instant",
    "day",
    "local_day",
]


@dataclass(frozen=True)
class ObjectMap:
    """One HubSpot object type and how it is read. ``links`` are the object types it is associated with."""

    name: str
    type_id: str
    scope: str
    tables: tuple[str, ...]
    links: tuple[str, ...] = ()
    created: str = "createdate"
    modified: str = "hs_lastmodifieddate"
    optional: bool = False

    @property
    def singular(self) -> str:
        """As messages for people name one record."""
        return {"companies": "company"}.get(self.name, self.name.removesuffix("s")).replace("_", " ")


OBJECTS: Final[dict[str, ObjectMap]] = {
    "companies": ObjectMap("companies", "0-2", "crm.objects.companies.read", ("accounts",)),
    "contacts": ObjectMap(
        "contacts",
        "0-1",
        "crm.objects.contacts.read",
        ("contacts", "leads"),
        links=("companies", "deals"),
        modified="lastmodifieddate",
    ),
    "deals": ObjectMap(
        "deals", "0-3", "crm.objects.deals.read", ("deals", "deal_changes"), links=("companies",)
    ),
    "line_items": ObjectMap(
        "line_items",
        "0-8",
        "crm.objects.line_items.read",
        ("line_items",),
        links=("deals",),
        optional=True,
    ),
    "meetings": ObjectMap(
        "meetings",
        "0-47",
        "crm.objects.contacts.read",  # engagements are read with the scope of contacts
        ("meetings",),
        links=("companies", "deals", "contacts"),
        created="hs_createdate",
        optional=True,
    ),
}

# canonical table -> column -> (how it reads, HubSpot's own property)
_DATA: Final[dict[str, dict[str, tuple[Kind, str | None]]]] = {
    "accounts": {
        "name": ("text", "name"),
        "domain": ("text", "domain"),
        "phone": ("text", "phone"),
        "parent_id": ("text", "hs_parent_company_id"),
        "owner_id": ("text", "hubspot_owner_id"),
        "industry": ("text", "industry"),
        "employees": ("integer", "numberofemployees"),
        "segment": ("text", None),
        "source": ("text", "hs_analytics_source"),
        "country": ("text", "country"),
        "city": ("text", "city"),
    },
    "contacts": {
        "first_name": ("text", "firstname"),
        "last_name": ("text", "lastname"),
        "email": ("text", "email"),
        "phone": ("text", "phone"),
        "title": ("text", "jobtitle"),
        "role": ("text", "hs_buying_role"),
        "buying_centre": ("text", None),
        "owner_id": ("text", "hubspot_owner_id"),
        "last_activity_at": ("local_day", "notes_last_contacted"),
        "bounced": ("boolean", "hs_email_bounce"),
    },
    "leads": {
        "first_name": ("text", "firstname"),
        "last_name": ("text", "lastname"),
        "company": ("text", "company"),
        "email": ("text", "email"),
        "status": ("text", "hs_lead_status"),
        "source": ("text", "hs_analytics_source"),
        "owner_id": ("text", "hubspot_owner_id"),
        "mql_at": ("local_day", "hs_v2_date_entered_marketingqualifiedlead"),
        "sql_at": ("local_day", "hs_v2_date_entered_salesqualifiedlead"),
        "converted_at": ("local_day", "hs_v2_date_entered_opportunity"),
    },
    "deals": {
        "name": ("text", "dealname"),
        "owner_id": ("text", "hubspot_owner_id"),
        "pipeline": ("text", "pipeline"),
        "stage": ("text", "dealstage"),
        "is_closed": ("boolean", "hs_is_closed"),
        "is_won": ("boolean", "hs_is_closed_won"),
        "amount": ("money", "amount"),
        "currency": ("currency", "deal_currency_code"),
        "close_date": ("day", "closedate"),
        "probability": ("probability", "hs_deal_stage_probability"),
        "forecast_category": ("forecast", "hs_manual_forecast_category"),
        "type": ("text", "dealtype"),
        "lead_source": ("text", "hs_analytics_source"),
        "next_step": ("text", "hs_next_step"),
        "loss_reason": ("text", "closed_lost_reason"),
        "arr": ("money", None),
        "term_months": ("integer", None),
        "start_date": ("day", None),
        "motion": ("text", None),
        "segment": ("text", None),
        "expansion_kind": ("text", None),
        "first_meeting_at": ("day", None),
        "pilot": ("boolean", None),
        "pilot_start": ("day", None),
        "pilot_end": ("day", None),
        "pilot_converted": ("day", None),
        "partner": ("text", None),
    },
    "line_items": {
        "product_id": ("text", "hs_product_id"),
        "product": ("text", "name"),
        "product_family": ("text", None),
        "kind": ("text", None),
        "quantity": ("number", "quantity"),
        "unit_price": ("money", "price"),
        "amount": ("money", "amount"),
        "currency": ("currency", "hs_line_item_currency_code"),
        "start_date": ("day", None),
        "term_months": ("months", None),
    },
    "meetings": {
        "owner_id": ("text", "hubspot_owner_id"),
        "subject": ("text", "hs_meeting_title"),
        "starts_at": ("instant", "hs_meeting_start_time"),
        "ends_at": ("instant", "hs_meeting_end_time"),
        "completed": ("outcome", "hs_meeting_outcome"),
    },
}


@dataclass(frozen=True)
class Column:
    """How one canonical column reads, and HubSpot's own property for it, if it has one."""

    kind: Kind
    standard: str | None


COLUMNS: Final[Mapping[str, Mapping[str, Column]]] = {
    table: {name: Column(*spec) for name, spec in columns.items()} for table, columns in _DATA.items()
}

# Columns that come from associations, or from both objects: what `check` shows as their origin.
LINKED: Final[dict[str, dict[str, str]]] = {
    "contacts": {"account_id": "associated company"},
    "leads": {
        "converted_account_id": "associated company",
        "converted_contact_id": "hs_object_id",
        "converted_deal_id": "earliest associated deal",
    },
    "deals": {"account_id": "primary associated company"},
    "line_items": {"deal_id": "associated deal"},
    "meetings": {
        "account_id": "associated company",
        "deal_id": "associated deal",
        "contact_id": "associated contact",
    },
}

# Deal columns whose changes are read from HubSpot's history. Their probability is computed by HubSpot from
# the stage, and what is computed has no history of its own.
HISTORY: Final = ("stage", "amount", "close_date", "forecast_category", "owner_id")
HISTORY_KEPT: Final = 20  # versions of one property that HubSpot keeps for a deal

ENTERED_LEAD: Final = "hs_v2_date_entered_lead"
MERGED_IDS: Final = "hs_merged_object_ids"
PRIMARY: Final = {("deals", "companies"): 5, ("contacts", "companies"): 1}  # association type ids
PRIMARY_PROPERTY: Final[dict[str, dict[str, str]]] = {  # the property that repeats a primary association
    "deals": {"companies": "hs_primary_associated_company"},
    "contacts": {"companies": "associatedcompanyid"},
}

TABLE_OBJECT: Final[dict[str, str]] = {
    table: each.name for each in OBJECTS.values() for table in each.tables if table in COLUMNS
}


@dataclass(frozen=True)
class TableMap:
    """One table's mapping as far as this portal shows it to us: column -> (property, how it reads)."""

    table: str
    columns: Mapping[str, tuple[str, Kind]]
    custom: Mapping[str, str]

    def properties(self) -> set[str]:
        """Every property the table needs."""
        return {name for name, _ in self.columns.values()} | set(self.custom.values())


def business_columns(table: str) -> tuple[str, ...]:
    """The columns of a table that mean something, without the record's own bookkeeping."""
    own = {"external_id", "created_at", "modified_at", "deleted_at", "merged_into", "custom"}
    return tuple(column for column in TABLES[table] if column not in own)
