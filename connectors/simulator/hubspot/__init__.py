"""The simulator's HubSpot face: ``HubSpotPortal`` serves a world over HubSpot's API."""

from connectors.simulator.hubspot.access import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
)
from connectors.simulator.hubspot.ids import record_id, record_key, stage_id, stage_name
from connectors.simulator.hubspot.portal import PORTAL_ID, SCOPES, HubSpotPortal

__all__ = [
    "ACCESS_TOKEN",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "PORTAL_ID",
    "REFRESH_TOKEN",
    "SCOPES",
    "HubSpotPortal",
    "record_id",
    "record_key",
    "stage_id",
    "stage_name",
]
