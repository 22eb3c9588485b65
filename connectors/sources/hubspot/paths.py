"""Every path of HubSpot's API, in one place, by version: today's v3/v4 or the dated ones that replace them.

v4 is unsupported from March 2027 and v1 to v3 from September 2027; the dated paths answer alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLASSIC: Final = "v3"
VERSIONS: Final = (CLASSIC, "2026-03", "2026-09")
TOKEN: Final = "/oauth/2026-03/token"  # noqa: S105  # a path; /oauth/v1 ends in February 2027


@dataclass(frozen=True)
class Paths:
    """Builds paths for one API version; ``object_type`` is HubSpot's plural name (``deals``)."""

    version: str = CLASSIC

    def _crm(self, area: str) -> str:
        return f"/crm/v3/{area}" if self.version == CLASSIC else f"/crm/{area}/{self.version}"

    def account(self) -> str:
        return f"/account-info/{self.version}/details"

    def properties(self, object_type: str) -> str:
        return f"{self._crm('properties')}/{object_type}"

    def owners(self) -> str:
        return self._crm("owners")

    def pipelines(self, object_type: str) -> str:
        return f"{self._crm('pipelines')}/{object_type}"

    def exchange_rates(self) -> str:
        area = "v3/currencies" if self.version == CLASSIC else f"currencies/{self.version}"
        return f"/settings/{area}/exchange-rates"

    def objects(self, object_type: str) -> str:
        return f"{self._crm('objects')}/{object_type}"

    def search(self, object_type: str) -> str:
        return f"{self.objects(object_type)}/search"

    def batch_read(self, object_type: str) -> str:
        return f"{self.objects(object_type)}/batch/read"

    def associations(self, source: str, target: str) -> str:
        """Batch read of the associations from one object type to another."""
        area = "v4/associations" if self.version == CLASSIC else f"associations/{self.version}"
        return f"/crm/{area}/{source}/{target}/batch/read"
