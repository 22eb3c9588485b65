"""What surrounds the records: owners, pipelines, property definitions, account details and currencies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.simulator.faults import Reply
from connectors.simulator.hubspot.endpoint import (
    VERSION,
    Call,
    Endpoint,
    Scopes,
    schema_reading,
)
from connectors.simulator.hubspot.ids import record_id, record_key, stage_id
from connectors.simulator.hubspot.lives import stand
from connectors.simulator.hubspot.properties import Catalogue, ObjectType, Property
from connectors.simulator.hubspot.replies import Refused, answer, error, invalid, not_found
from connectors.simulator.hubspot.store import Pipeline, Store
from connectors.simulator.hubspot.translate import instant
from connectors.simulator.world import Stage

EPOCH: Final = "1970-01-01T00:00:00Z"
_RATES_PAGE: Final = 100
_RATES: Final = frozenset({"settings.currencies.read"})


class Directory:
    """Serves the portal's settings and metadata."""

    def __init__(self, store: Store, catalogue: Catalogue, *, portal: int, timezone: str) -> None:
        self._store = store
        self._catalogue = catalogue
        self._portal = portal
        self._timezone = timezone

    def endpoints(self) -> list[Endpoint]:
        """Owners, pipelines, properties, account details, currencies."""
        owners = ("/crm/v3/owners", f"/crm/owners/{VERSION}")
        pipelines = ("/crm/v3/pipelines/{type}", f"/crm/pipelines/{VERSION}/{{type}}")
        properties = ("/crm/v3/properties/{type}", f"/crm/properties/{VERSION}/{{type}}")
        account = ("/account-info/v3/details", f"/account-info/{VERSION}/details")
        money = ("/settings/v3/currencies", f"/settings/currencies/{VERSION}")
        return [
            Endpoint("GET", owners, self.owners, _owner_scopes),
            Endpoint("GET", _under(owners, "/{id}"), self.owner, _owner_scopes),
            Endpoint("GET", pipelines, self.pipelines, _schema_scopes),
            Endpoint("GET", _under(pipelines, "/{id}"), self.pipeline, _schema_scopes),
            Endpoint("GET", _under(pipelines, "/{id}/stages"), self.pipeline_stages, _schema_scopes),
            Endpoint("GET", _under(pipelines, "/{id}/audit"), self.audit, _schema_scopes),
            Endpoint("GET", properties, self.properties, _schema_scopes),
            Endpoint("GET", _under(properties, "/{name}"), self.property, _schema_scopes),
            Endpoint("GET", account, self.account, lambda _: [frozenset({"oauth"})]),
            Endpoint("GET", _under(money, "/company-currency"), self.company_currency, _rate_scopes),
            Endpoint("GET", _under(money, "/exchange-rates/current"), self.current_rates, _rate_scopes),
            Endpoint("GET", _under(money, "/exchange-rates"), self.rates, _rate_scopes),
        ]

    # ---- owners

    def owners(self, call: Call) -> Reply:
        """A page of owners; those who left are only in the archived listing."""
        limit = call.whole("limit", 100)
        if not 0 < limit <= 500:
            raise invalid(f"Invalid page size {limit}: it must be between 1 and 500")
        start, archived, email = call.whole("after", 0), call.flag("archived"), call.query.get("email")
        found = [
            owner
            for owner in map(self._owner, sorted(self._store.users))
            if owner
            and owner["archived"] is archived
            and int(owner["id"]) >= start
            and email in (None, owner["email"])
        ]
        body: dict[str, Any] = {"results": found[:limit]}
        if len(found) > limit:
            after = str(int(found[limit - 1]["id"]) + 1)
            link = f"{call.origin}{call.path}?limit={limit}&archived={str(archived).lower()}&after={after}"
            body["paging"] = {"next": {"after": after, "link": link}}
        return answer(body)

    def owner(self, call: Call) -> Reply:
        """One owner by id."""
        try:
            kind, key, _ = record_key(call.params["id"])
        except ValueError:
            raise Refused(not_found()) from None
        owner = self._owner(key) if kind == "user" and key in self._store.users else None
        if owner is None or owner["archived"] is not call.flag("archived"):
            raise Refused(not_found())
        return answer(owner)

    def _owner(self, key: int) -> dict[str, Any] | None:
        standing = stand(self._store.users[key], self._store.now)
        if standing is None or standing.status in ("merged", "purged"):
            return None
        state = standing.state
        active = standing.status == "live" and state.get("active") is not False
        owner: dict[str, Any] = {
            "id": record_id("user", key),
            "email": state.get("email"),
            "type": "PERSON",
            "firstName": state.get("first_name"),
            "lastName": state.get("last_name"),
            "userIdIncludingInactive": 50_000_000 + key,
            "createdAt": instant(standing.created),
            "updatedAt": instant(standing.modified),
            "archived": not active,
        }
        if active:
            owner["userId"] = 50_000_000 + key
        return owner

    # ---- pipelines

    def pipelines(self, call: Call) -> Reply:
        """The pipelines of a type; only deals have any here."""
        deals = call.object_type() == "deals"
        return answer({"results": list(map(_pipeline, self._store.pipelines)) if deals else []})

    def pipeline(self, call: Call) -> Reply:
        """One pipeline."""
        return answer(self._one_pipeline(call))

    def pipeline_stages(self, call: Call) -> Reply:
        """The stages of one pipeline."""
        return answer({"results": self._one_pipeline(call)["stages"]})

    def audit(self, call: Call) -> Reply:
        """Changes of one pipeline's layout: none on record."""
        self._one_pipeline(call)
        return answer({"results": []})

    def _one_pipeline(self, call: Call) -> dict[str, Any]:
        for pipeline in self._store.pipelines:
            if call.object_type() == "deals" and pipeline.id == call.params["id"]:
                return _pipeline(pipeline)
        raise Refused(not_found())

    # ---- properties

    def properties(self, call: Call) -> Reply:
        """Every property of a type; archived ones: none."""
        kind = call.object_type()
        listed = [] if call.flag("archived") else self._catalogue.of(kind).values()
        return answer({"results": [self._definition(kind, found) for found in listed]})

    def property(self, call: Call) -> Reply:
        """One property by its internal name."""
        kind, name = call.object_type(), call.params["name"]
        if found := self._catalogue.of(kind).get(name):
            return answer(self._definition(kind, found))
        message = f"Couldn't find a Property with the given name '{name}'"
        raise Refused(error(404, message, "OBJECT_NOT_FOUND", subCategory="Properties.PROPERTY_NOT_FOUND"))

    def _definition(self, kind: ObjectType, found: Property) -> dict[str, Any]:
        definition: dict[str, Any] = {
            "updatedAt": EPOCH,
            "createdAt": EPOCH,
            "name": found.name,
            "label": found.label,
            "type": found.type,
            "fieldType": found.field_type,
            "description": "",
            "groupName": f"{kind}information",
            "options": [
                {"label": label, "value": value, "displayOrder": order, "hidden": False}
                for order, (label, value) in enumerate(self._options(kind, found))
            ],
            "displayOrder": -1,
            "calculated": found.calculated,
            "externalOptions": found.references == "OWNER",
            "archived": False,
            "hasUniqueValue": False,
            "hidden": False,
            "hubspotDefined": not found.custom,
            "modificationMetadata": {
                "archivable": found.custom,
                "readOnlyDefinition": not found.custom,
                "readOnlyOptions": False,
                "readOnlyValue": found.calculated,
            },
            "formField": False,
            "dataSensitivity": "non_sensitive",
        }
        if found.references:
            definition["referencedObjectType"] = found.references
        if found.currency_property:
            definition["currencyPropertyName"] = found.currency_property
        return definition

    def _options(self, kind: ObjectType, found: Property) -> list[tuple[str, str]]:
        if found.name == "pipeline":
            return [(pipeline.label, pipeline.id) for pipeline in self._store.pipelines]
        if found.name == "dealstage":
            stages = [stage for pipeline in self._store.pipelines for stage in pipeline.stages]
            return [(stage.name, stage_id(stage.name)) for stage in stages if stage.active]
        listed = list(found.options)
        if found.open_options:
            listed += [(value, value) for value in self._store.values_in_use.get((kind, found.name), {})]
        return listed

    # ---- account and currencies

    def account(self, call: Call) -> Reply:
        """Portal id, time zone and currencies."""
        offset = datetime.fromtimestamp(self._store.now, ZoneInfo(self._timezone)).utcoffset() or timedelta()
        minutes = int(offset.total_seconds()) // 60
        sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
        return answer(
            {
                "portalId": self._portal,
                "accountType": "STANDARD",
                "timeZone": self._timezone,
                "companyCurrency": self._store.home_currency,
                "additionalCurrencies": sorted({rate["fromCurrencyCode"] for rate in self._known_rates()}),
                "utcOffset": f"{sign}{minutes // 60:02d}:{minutes % 60:02d}",
                "utcOffsetMilliseconds": int(offset.total_seconds()) * 1000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        )

    def company_currency(self, call: Call) -> Reply:
        """The home currency."""
        return answer({"currencyCode": self._store.home_currency, "createdAt": EPOCH, "updatedAt": EPOCH})

    def rates(self, call: Call) -> Reply:
        """A page of all exchange rates on record, optionally of one pair."""
        source, target = call.query.get("fromCurrencyCode"), call.query.get("toCurrencyCode")
        found = [
            rate
            for rate in self._known_rates()
            if source in (None, rate["fromCurrencyCode"]) and target in (None, rate["toCurrencyCode"])
        ]
        start, limit = call.whole("after", 0), call.whole("limit", _RATES_PAGE)
        if not 0 < limit <= _RATES_PAGE:
            raise invalid(f"limit must be between 1 and {_RATES_PAGE}: {limit}")
        body: dict[str, Any] = {"results": found[start : start + limit]}
        if start + limit < len(found):
            body["paging"] = {"next": {"after": str(start + limit)}}
        return answer(body)

    def current_rates(self, call: Call) -> Reply:
        """The rate in force of every pair."""
        today = instant(self._store.now)
        current: dict[str, dict[str, Any]] = {}
        for rate in self._known_rates():
            if rate["effectiveAt"] <= today:
                current[rate["fromCurrencyCode"]] = rate
        return answer({"results": list(current.values())})

    def _known_rates(self) -> list[dict[str, Any]]:
        rates = [
            _rate(number, event.at, event.values, self._store.home_currency)
            for number, event in enumerate(self._store.rates, 1)
            if event.at <= self._store.now and event.values["currency"] != self._store.home_currency
        ]
        return sorted(rates, key=lambda rate: (rate["effectiveAt"], rate["fromCurrencyCode"]))


def _under(paths: tuple[str, ...], suffix: str) -> tuple[str, ...]:
    return tuple(path + suffix for path in paths)


def _owner_scopes(call: Call) -> Scopes:
    return [frozenset({"crm.objects.owners.read"})]


def _schema_scopes(call: Call) -> Scopes:
    return [schema_reading(call.object_type())]


def _rate_scopes(call: Call) -> Scopes:
    return [_RATES]


def _pipeline(pipeline: Pipeline) -> dict[str, Any]:
    ordered = sorted((stage for stage in pipeline.stages if stage.active), key=lambda stage: stage.sort_order)
    return {
        "id": pipeline.id,
        "label": pipeline.label,
        "displayOrder": 0,
        "archived": False,
        "createdAt": EPOCH,
        "updatedAt": EPOCH,
        "stages": [_stage(stage, order) for order, stage in enumerate(ordered)],
    }


def _stage(stage: Stage, order: int) -> dict[str, Any]:
    return {
        "id": stage_id(stage.name),
        "label": stage.name,
        "displayOrder": order,
        "archived": False,
        "createdAt": EPOCH,
        "updatedAt": EPOCH,
        "metadata": {"isClosed": str(stage.closed).lower(), "probability": repr(float(stage.probability))},
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
    }


def _rate(number: int, at: int, values: Mapping[str, Any], home: str) -> dict[str, Any]:
    return {
        "id": str(number),
        "fromCurrencyCode": values["currency"],
        "toCurrencyCode": home,
        "conversionRate": round(float(values["rate"]), 6),
        "effectiveAt": f"{values['start_date']}T00:00:00Z",
        "visibleInUI": True,
        "createdAt": instant(at),
        "updatedAt": instant(at),
    }
