"""What a company's configuration says about its HubSpot portal, checked before any request is sent."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from connectors import address
from connectors.errors import ConfigurationError
from connectors.source import Reference, SourceSettings
from connectors.sources.hubspot.mapping import COLUMNS, LINKED
from connectors.sources.hubspot.paths import VERSIONS
from connectors.spelling import instead

DEFAULT_URL: Final = "https://api.hubapi.com"
FLOWS: Final[dict[str, dict[str, str]]] = {
    "token": {"token": "of a service key or a private app"},
    "oauth": {
        "client_id": "of the public app",
        "client_secret": "its secret",
        "refresh_token": "from one authorisation by a person",
    },
}


@dataclass(frozen=True)
class Options:
    """``crm.options`` of a HubSpot company, in seconds, hours and records; ``reference`` says what each is for."""

    api_version: str = "v3"
    search_lag_seconds: float = 60.0
    overlap_seconds: float = 300.0
    relist_hours: float = 24.0
    page_size: int = 100
    url_limit: int = 6_000

    @property
    def lag(self) -> timedelta:
        return timedelta(seconds=self.search_lag_seconds)

    @property
    def overlap(self) -> timedelta:
        return timedelta(seconds=self.overlap_seconds)

    @property
    def relist(self) -> timedelta:
        return timedelta(hours=self.relist_hours)


_OPTIONS: Final = {
    "api_version": f"version of the API: {', '.join(VERSIONS)}",
    "search_lag_seconds": "how far behind the present an increment ends, because HubSpot's search index trails",
    "overlap_seconds": "how far before the last end it starts",
    "relist_hours": "how often all ids are listed to find what was deleted for good",
    "page_size": "records per request at most",
    "url_limit": "characters of a listing's URL, beyond which records are read in batches",
}


def reference() -> Reference:
    """Everything that ``crm.auth`` and ``crm.options`` take."""
    return Reference(
        flows=FLOWS,
        options={name: (meaning, str(getattr(Options, name))) for name, meaning in _OPTIONS.items()},
    )


@dataclass(frozen=True)
class HubSpotSettings:
    """The checked settings: ``credentials`` holds the keys of the flow."""

    company: str
    url: str
    flow: str
    credentials: Mapping[str, str] = field(repr=False)
    options: Options
    source: SourceSettings


def check(settings: SourceSettings) -> HubSpotSettings:
    """Check everything that can be checked without a request; ``ConfigurationError`` names the setting."""
    where = f"{settings.company}: crm"
    flow, credentials = _credentials(where, settings.auth)
    _ca_bundle(where, settings.ca_bundle)
    _mapping(settings.company, settings.fields, settings.custom)
    return HubSpotSettings(
        company=settings.company,
        url=_url(where, settings.url),
        flow=flow,
        credentials=credentials,
        options=_options(where, settings.options),
        source=settings,
    )


def _credentials(where: str, auth: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    flow = auth.get("flow", "token")
    if flow not in FLOWS:
        raise ConfigurationError(f"{where}.auth.flow: HubSpot has no {flow!r}; {instead(flow, FLOWS)}")
    wanted = tuple(FLOWS[flow])
    for key in auth:
        if key not in (*wanted, "flow"):
            raise ConfigurationError(
                f"{where}.auth.{key}: flow {flow!r} has no such key; {instead(key, wanted)}"
            )
    found = {key: str(auth.get(key) or "").strip() for key in wanted}
    for key, value in found.items():
        if not value:
            raise ConfigurationError(
                f"{where}.auth.{key}: is missing; flow {flow!r} needs {', '.join(wanted)}"
            )
        if not value.isascii() or any(char.isspace() for char in value):
            raise ConfigurationError(
                f"{where}.auth.{key}: contains blanks or characters that no HubSpot secret has; copy it again"
            )
    return flow, found


def _url(where: str, url: str) -> str:
    try:
        return address.read(url or DEFAULT_URL)
    except ValueError as error:
        raise ConfigurationError(f"{where}.url: {error}") from None


def _ca_bundle(where: str, bundle: str | None) -> None:
    if bundle is None:
        return
    if not Path(bundle).is_file():
        raise ConfigurationError(f"{where}.ca_bundle: there is no file {bundle!r}")
    try:
        ssl.create_default_context(cafile=bundle)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(
            f"{where}.ca_bundle: {bundle!r} holds no PEM certificates ({error})"
        ) from error


def _mapping(
    company: str, fields: Mapping[str, Mapping[str, str]], custom: Mapping[str, Mapping[str, str]]
) -> None:
    for where, tables in ((f"{company}: fields", fields), (f"{company}: fields.custom", custom)):
        for table in tables:
            if table not in COLUMNS:
                raise ConfigurationError(
                    f"{where}.{table}: HubSpot fills no such table; {instead(table, COLUMNS)}"
                )
    for table, columns in fields.items():
        for column in columns:
            if column in LINKED.get(table, {}):
                raise ConfigurationError(
                    f"{company}: fields.{table}.{column}: HubSpot tells it by the "
                    f"{LINKED[table][column]}; remove this line"
                )
            if column not in COLUMNS[table]:
                raise ConfigurationError(
                    f"{company}: fields.{table}.{column}: there is no such field; {instead(column, COLUMNS[table])}"
                )


def _options(where: str, options: Mapping[str, Any]) -> Options:
    known = Options.__dataclass_fields__
    checked: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known:
            raise ConfigurationError(f"{where}.options.{key}: there is no such option; {instead(key, known)}")
        checked[key] = value if key == "api_version" else _positive(f"{where}.options.{key}", key, value)
    version = checked.get("api_version", VERSIONS[0])
    if version not in VERSIONS:
        raise ConfigurationError(
            f"{where}.options.api_version: there is no {version!r}; known are {', '.join(VERSIONS)}"
        )
    return Options(**checked)


_RANGES: Final[dict[str, tuple[float, float]]] = {"page_size": (1, 100), "url_limit": (200, 15_000)}


def _positive(where: str, key: str, value: Any) -> float:
    low, high = _RANGES.get(key, (0.0, float("inf")))
    whole = key in _RANGES
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and value != int(value)):
        raise ConfigurationError(f"{where}: {value!r} is no {'whole ' if whole else ''}number")
    if not low <= value <= high:
        raise ConfigurationError(f"{where}: {value!r} is not between {low:g} and {high:g}")
    return int(value) if whole else float(value)
