"""Opens a simulated CRM: a generated company or an export, as Salesforce or as HubSpot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.errors import ConfigurationError
from connectors.simulator.company import Company, Parameters
from connectors.simulator.hubspot import HubSpotPortal
from connectors.simulator.salesforce import SalesforceOrg
from connectors.simulator.server import Crm

CRMS = ("salesforce", "hubspot")
VERTICALS = ("supply_chain", "hr_tech", "dev_tools")


@dataclass(frozen=True)
class Served:
    """A CRM ready to be served; ``world`` None: it comes from an export."""

    crm: Crm
    title: str
    world: Company | None


def open_crm(
    crm: str,
    *,
    playbook: str = "hr_tech",
    seed: int = 7,
    accounts: int = 300,
    deals: int = 3000,
    months: int = 36,
    now: datetime,
    data: Path | None = None,
) -> Served:
    """Build the simulated CRM as it stands at ``now``. Raises ``ConfigurationError`` for unknown names or bad files."""
    if crm not in CRMS:
        raise ConfigurationError(f"--crm: {crm!r} is not known; it is one of {', '.join(CRMS)}")
    kind: Any = {"salesforce": SalesforceOrg, "hubspot": HubSpotPortal}[crm]
    instant = int(now.timestamp())
    if data is not None:
        if not data.is_dir():
            raise ConfigurationError(
                f"--data: {data} is not a folder; name the folder that holds the export's files"
            )
        return Served(kind.from_export(data, now=instant), f"the export in {data}", None)
    if playbook not in VERTICALS:
        raise ConfigurationError(
            f"--playbook: {playbook!r} is not known; it is one of {', '.join(VERTICALS)}"
        )
    world = Company(
        Parameters(
            vertical=playbook,
            seed=seed,
            accounts=accounts,
            deals=deals,
            months=months,
            end=now.astimezone(UTC).date(),
        )
    )
    return Served(kind(world, now=instant), world.name, world)
