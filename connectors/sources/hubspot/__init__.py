"""HubSpot: companies, contacts (as contacts and leads), deals with their history, line items and meetings.

Authentication: ``flow: token`` with the ``token`` of a service key or private app, or ``flow: oauth`` with
``client_id``, ``client_secret`` and ``refresh_token``.
"""

from typing import Final

from connectors.source import SourceType
from connectors.sources.hubspot.source import HubSpot

SOURCE: Final[SourceType] = HubSpot()
