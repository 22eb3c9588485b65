"""Recorded conversations of the HubSpot client, replayed without a server.

They show that hubspot-api-client sends what it did when they were recorded: a new version of the client that
writes its requests otherwise finds no answer here. ``BOARDLINE_RECORD=1`` records them anew from the
simulator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import pytest
import vcr

from connectors.errors import CredentialError, StreamUnavailable
from connectors.retry import RetryPolicy
from connectors.source import Page, Source, SourceSettings
from connectors.sources.hubspot import SOURCE

CASSETTES: Final = Path(__file__).parents[1] / "cassettes" / "hubspot"
RECORDING: Final = os.environ.get("BOARDLINE_RECORD") == "1"
HOST: Final = "https://api.hubapi.com"
START: Final = datetime(2026, 3, 1, tzinfo=UTC)
KEPT: Final = ("content-type", "date", "x-hubspot-ratelimit-remaining")


def _addressed(request: Any) -> Any:
    request.uri = urlunsplit(urlsplit(HOST)[:2] + urlsplit(request.uri)[2:])
    return request


def _plain(response: dict[str, Any]) -> dict[str, Any]:
    headers = response["headers"]
    response["headers"] = {name: headers[name] for name in headers if name.lower() in KEPT}
    return response


RECORDER: Final = vcr.VCR(
    cassette_library_dir=str(CASSETTES),
    record_mode="all" if RECORDING else "none",
    match_on=("method", "scheme", "host", "path", "query", "body"),
    filter_headers=("authorization", "user-agent", "accept-encoding", "host"),
    before_record_request=_addressed,
    before_record_response=_plain,
    decode_compressed_response=True,
)


@contextmanager
def conversation(
    name: str, faults: str = "", scopes: frozenset[str] | None = None
) -> Iterator[tuple[Source, Any]]:
    """A source that replays a cassette, and a way to move the clock of what is being recorded."""
    if not RECORDING:
        with RECORDER.use_cassette(f"{name}.yaml") as cassette:
            yield _source(HOST, None, "pat-na1-replayed"), lambda days: None
            assert cassette.all_played
        return
    from connectors.simulator.faults import FaultPlan
    from connectors.simulator.hubspot import ACCESS_TOKEN, HubSpotPortal
    from connectors.simulator.server import Simulator
    from tests.unit.hubspot_recorded import WORLD

    portal = HubSpotPortal(WORLD, now=int(START.timestamp()), scopes=scopes)
    with Simulator(portal, faults=FaultPlan.parse(faults)) as simulator:
        (CASSETTES / f"{name}.yaml").unlink(missing_ok=True)
        with RECORDER.use_cassette(f"{name}.yaml"):
            yield (
                _source(simulator.url, simulator.ca_bundle, ACCESS_TOKEN),
                lambda days: simulator.advance(START + timedelta(days=days)),
            )


def _source(url: str, ca_bundle: str | None, token: str) -> Source:
    return SOURCE.open(
        SourceSettings(
            company="acme",
            url=url,
            auth={"flow": "token", "token": token},
            ca_bundle=ca_bundle,
            fields={"deals": {"arr": "contract_arr"}},
            retry=RetryPolicy(attempts=3, first=0.001, longest=0.01),
        )
    )


def _read(source: Source, name: str, cursor: Any = None) -> list[Page]:
    stream = next(stream for stream in source.streams() if stream.name == name)
    return list(source.read(stream, cursor))


def test_a_first_reading_and_an_increment() -> None:
    with conversation("deals") as (source, wait):
        first = _read(source, "deals")
        wait(10)
        second = _read(source, "deals", first[-1].cursor)
    deals = first[0].frames["deals"]
    assert deals.select("name", "amount", "currency", "account_id", "arr").rows() == [
        ("One", 100_000, "USD", "30000000001", 90_000),
        ("Two", 250_050, "EUR", "30000000001", None),
    ]
    assert first[0].frames["deal_changes"].filter(field="stage").height == 3
    again = [page.frames["deals"] for page in second if "deals" in page.frames]
    assert [
        (row["name"], row["amount"], row["deleted_at"])
        for rows in again
        for row in rows.iter_rows(named=True)
    ] == [
        ("Two", 250_050, datetime(2026, 3, 5, 12, tzinfo=UTC)),
        ("One", 120_000, None),
    ]


def test_faults_on_the_way() -> None:
    with conversation("faults", faults="429@1,500@3,html@5,502html@6") as (source, _):
        pages = _read(source, "accounts")
        assert source.requests == 8
    assert pages[0].frames["accounts"]["name"].to_list() == ["Acme"]


def test_refusals() -> None:
    granted = frozenset({"oauth", "crm.objects.companies.read"})
    with conversation("refusals", scopes=granted) as (source, _):
        with pytest.raises(CredentialError, match=r"crm\.objects\.deals\.read"):
            _read(source, "deals")
        with pytest.raises(StreamUnavailable, match=r"settings\.currencies\.read"):
            _read(source, "exchange_rates")


def test_no_cassette_holds_a_secret() -> None:
    texts = {path.name: path.read_text().lower() for path in CASSETTES.glob("*.yaml")}
    assert texts.keys() == {"deals.yaml", "faults.yaml", "refusals.yaml"}
    for name, text in texts.items():
        for word in ("authorization", "bearer", "pat-na1", "refresh_token", "localhost"):
            assert word not in text, (name, word)
