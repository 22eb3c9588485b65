"""The same company behind both CRMs gives the same numbers and the same findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.simulator.hubspot.ids import record_key
from connectors.simulator.salesforce import ids as salesforce_ids
from tests.e2e.process import NOW, Site, site

MONTHS = ("2024-12", "2025-05", "2025-12", "2026-03", "2026-06")
AS_OF = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    folder = tmp_path_factory.mktemp("parity")
    parameters: dict[str, Any] = {"accounts": 120, "deals": 1000, "months": 30}
    with (
        site("salesforce", folder / "salesforce", **parameters) as left,
        site("hubspot", folder / "hubspot", **parameters) as right,
    ):
        for place in (left, right):
            done = place.run("sync", "--once")
            assert done.status == 0, done.err
        yield {"salesforce": left, "hubspot": right}


def kpis(place: Site, month: str, *arguments: str) -> list[dict[str, Any]]:
    done = place.run("kpis", "--json", "--month", month, "--as-of", AS_OF, *arguments)
    assert done.status == 0, done.err
    values: list[dict[str, Any]] = done.json()["kpis"]
    return values


@pytest.mark.parametrize("month", MONTHS)
def test_same_numbers(both: dict[str, Site], month: str) -> None:
    left, right = (kpis(both[crm], month) for crm in ("salesforce", "hubspot"))
    assert left == right
    assert sum(value["value"] is not None for value in left) > 10


@pytest.mark.parametrize("cut", ["size", "industry", "motion", "pipeline"])
def test_same_segments(both: dict[str, Site], cut: str) -> None:
    left, right = (kpis(both[crm], "2026-05", "--by", cut) for crm in ("salesforce", "hubspot"))
    assert left == right


def findings(place: Site, key_of: Any) -> list[tuple[Any, ...]]:
    done = place.run("quality", "--json", "--as-of", AS_OF)
    assert done.status == 0, done.err
    document = done.json()
    return sorted(
        (
            finding["rule"],
            finding["object"],
            key_of(finding["external_id"]),
            key_of(finding["other_id"]) if finding["other_id"] else None,
            finding["owner"],
        )
        for finding in document["findings"]
    )


def test_same_findings(both: dict[str, Site]) -> None:
    left = findings(both["salesforce"], salesforce_ids.key_of)
    right = findings(both["hubspot"], lambda identifier: record_key(identifier)[:2])
    assert left == right
    assert len({rule for rule, *_ in left}) >= 4


def test_same_scores(both: dict[str, Site]) -> None:
    documents = [
        both[crm].run("quality", "--json", "--as-of", AS_OF).json() for crm in ("salesforce", "hubspot")
    ]
    left, right = (
        {key: document[key] for key in ("score", "completeness", "cleanliness")} for document in documents
    )
    assert left == right
