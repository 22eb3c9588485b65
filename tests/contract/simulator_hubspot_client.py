"""A client for the tests of the simulated HubSpot portal, and the request bodies they share."""

from __future__ import annotations

from typing import Any

import requests

from connectors.simulator.hubspot import ACCESS_TOKEN
from connectors.simulator.server import Simulator
from tests.contract.simulator_hubspot_world import at

Json = dict[str, Any]
DEALS = "/crm/v3/objects/deals"


class Client:
    """A session that speaks to one simulator."""

    def __init__(self, simulator: Simulator, token: str = ACCESS_TOKEN) -> None:
        self.simulator = simulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = simulator.ca_bundle or True
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else self.simulator.url + path
        return self.session.request(method, url, timeout=10, **options)

    def get(self, path: str, **query: Any) -> Json:
        reply = self.call("GET", path, params=query)
        assert reply.status_code == 200, reply.text
        found: Json = reply.json()
        return found

    def post(self, path: str, body: Json, status: int = 200) -> Json:
        reply = self.call("POST", path, json=body)
        assert reply.status_code == status, reply.text
        found: Json = reply.json()
        return found

    def ids(self, path: str, **query: Any) -> list[str]:
        return [record["id"] for record in self.get(path, **query)["results"]]

    def matches(self, kind: str, body: Json) -> list[int]:
        """What a search finds, as the last two digits of the ids."""
        found = self.post(f"/crm/v3/objects/{kind}/search", body)["results"]
        return [int(record["id"]) % 100 for record in found]


def search_filter(name: str, operator: str, **operands: Any) -> Json:
    """A search body with one filter."""
    return {"filterGroups": [{"filters": [{"propertyName": name, "operator": operator, **operands}]}]}


def inputs(count: int, **more: Any) -> Json:
    """A batch body of ids 1 to ``count``."""
    return {"inputs": [{"id": str(number)} for number in range(1, count + 1)], **more}


def since(day: str) -> str:
    """The midnight (UTC) that begins a day, in epoch milliseconds."""
    return str(at(day, 0) * 1000)
