"""The application: a configuration, its store, and the outside systems it names.

Everything that the commands and the daemon do starts here; nothing else opens a store, a CRM or a destination.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import structlog
from pydantic import SecretStr

from connectors import registry
from connectors.destination import Destination
from connectors.errors import ConfigurationError
from connectors.source import Source, SourceSettings
from pipeline import database, store_url
from pipeline.mapping import behind
from pipeline.privacy import Privacy
from pipeline.records import SourceInfo
from pipeline.store import Store
from scheduler import config as configuration
from scheduler import secrets
from scheduler.config import CompanyConfig, Config

log = structlog.get_logger(__name__)

STALE: Final = timedelta(days=1)


class App:
    """One configuration at work."""

    def __init__(self, config: Config, path: Path, *, writes: bool = True) -> None:
        self.config = config
        self.path = path
        self.writes = writes

    @classmethod
    def load(cls, explicit: Path | None, *, writes: bool = True) -> App:
        """Find and check the configuration. ``writes`` False: a store that cannot be written will do.

        Raises ``ConfigurationError``.
        """
        path = configuration.find(explicit)
        return cls(configuration.load(path), path, writes=writes)

    @property
    def store_url(self) -> str:
        return secrets.resolve_url(self.config.store.url, "store.url", store_url.is_encoded)

    @cached_property
    def store(self) -> Store:
        """The store, brought to this program's schema."""
        return Store.open(self.store_url, writes=self.writes)

    def open_store(self) -> bool:
        """Open the store where there is one, so that what is wrong with it is said once and not company by company.

        False: there is none yet.
        """
        return database.missing_file(self.store_url) is None and bool(self.store)

    def last_read(self, company: CompanyConfig) -> SourceInfo | None:
        """What is known of the company's CRM as it was last read; None where nothing was ever read."""
        if database.missing_file(self.store_url) is not None:
            return None
        return self.store.source_info(company.name)

    def require_synced(self, company: CompanyConfig) -> None:
        """Raise ``ConfigurationError`` where nothing was ever read: an empty store must not look like an empty CRM.

        What was read long ago, or under another configuration, is told as it was read, and said so in the log.
        """
        info = self.last_read(company)
        if info is None:
            missing = database.missing_file(self.store_url)
            place = (
                f"there is no store at {missing}" if missing else f"{self.store.place} holds nothing of it"
            )
            raise ConfigurationError(
                f"{company.name}: nothing was synced yet ({place}); run `boardline sync --once`, or correct store.url"
            )
        for change in behind(info, company, company.fields.mapped()):
            log.warning(
                "the configuration has changed since the last sync", company=company.name, change=change
            )
        if info.complete_at is not None and datetime.now(UTC) - info.complete_at > STALE:
            log.warning(
                "the CRM was last read some time ago; numbers are as known then",
                company=company.name,
                read=f"{info.complete_at:%Y-%m-%d %H:%M} UTC",
            )

    def companies(self, names: Sequence[str] = ()) -> list[CompanyConfig]:
        """The named companies, or all. Raises ``ConfigurationError`` for an unknown name."""
        for name in names:
            if name not in self.config.companies:
                known = ", ".join(sorted(self.config.companies))
                raise ConfigurationError(f"there is no company {name!r} in {self.path}; known are {known}")
        return [company for name, company in self.config.companies.items() if not names or name in names]

    def with_key(self, company: CompanyConfig) -> CompanyConfig:
        """The company with its privacy key resolved. Raises ``ConfigurationError`` for a missing or short secret."""
        settings = company.privacy
        if settings.contacts != "hashed" or settings.key is None:
            return company
        key = secrets.resolve(settings.key.get_secret_value(), f"companies.{company.name}.privacy.key")
        secrets.remember(key)
        resolved = settings.model_copy(update={"key": SecretStr(key)})
        ready = company.model_copy(update={"privacy": resolved})
        Privacy.of(ready)  # a key that is none is told here
        return ready

    def open_source(self, company: CompanyConfig) -> Source:
        """A connection to the company's CRM, not used yet. Raises ``ConfigurationError``."""
        crm = company.crm
        where = f"companies.{company.name}.crm"
        kind = registry.source(crm.type)
        settings = SourceSettings(
            company=company.name,
            url=crm.url or "",
            auth=secrets.resolve_all(crm.auth, f"{where}.auth"),
            ca_bundle=str(crm.ca_bundle) if crm.ca_bundle else None,
            fields=company.fields.mapped(),
            custom=company.fields.custom,
            timezone=company.timezone,
            home_currency=company.currency,
            options=crm.options,
            contracts=company.arr.contracts,
        )
        return kind.open(settings)

    def destinations(self, names: Sequence[str]) -> dict[str, Destination]:
        """The named destinations, ready to deliver. Raises ``ConfigurationError``."""
        opened = {}
        for name in names:
            if name not in self.config.destinations:
                known = ", ".join(sorted(self.config.destinations)) or "none"
                raise ConfigurationError(
                    f"there is no destination {name!r} in {self.path}; known are: {known}"
                )
            settings = {
                key: secrets.resolve(value, f"destinations.{name}.{key}") if isinstance(value, str) else value
                for key, value in self.config.destinations[name].items()
            }
            opened[name] = registry.destination(settings["type"]).open(settings)
        return opened
