"""A wrong HubSpot setting is named, with the nearest right one, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.errors import ConfigurationError
from connectors.source import SourceSettings
from connectors.sources.hubspot import SOURCE
from connectors.sources.hubspot.settings import Options, check, reference

TOKEN = {"flow": "token", "token": "pat-na1-secret"}


def settings(**changes: Any) -> SourceSettings:
    given: dict[str, Any] = {"company": "acme", "url": "https://api.hubapi.com", "auth": TOKEN, **changes}
    return SourceSettings(**given)


@pytest.mark.parametrize(
    ("changes", "where", "says"),
    [
        ({"auth": {"flow": "tokn"}}, "acme: crm.auth.flow", "did you mean 'token'?"),
        ({"auth": {"flow": "token", "tokens": "x"}}, "acme: crm.auth.tokens", "did you mean 'token'?"),
        ({"auth": {"flow": "token"}}, "acme: crm.auth.token", "is missing"),
        ({"auth": {"flow": "token", "token": "  "}}, "acme: crm.auth.token", "is missing"),
        ({"auth": {"flow": "token", "token": "pat\nX: y"}}, "acme: crm.auth.token", "copy it again"),
        ({"auth": {"flow": "token", "token": "pat–na1"}}, "acme: crm.auth.token", "copy it again"),
        (
            {"auth": {"flow": "oauth", "client_id": "a", "client_secrte": "b", "refresh_token": "c"}},
            "acme: crm.auth.client_secrte",
            "did you mean 'client_secret'?",
        ),
        (
            {"auth": {"flow": "oauth", "client_id": "a", "client_secret": "b"}},
            "crm.auth.refresh_token",
            "is missing",
        ),
        ({"url": "api.hubapi.com"}, "acme: crm.url", "https://"),
        ({"url": "http://api.hubapi.com"}, "acme: crm.url", "unencrypted"),
        ({"url": "https://me:secret@api.hubapi.com"}, "acme: crm.url", "must not contain credentials"),
        ({"url": "https://api.hubapi.com/crm/v3"}, "acme: crm.url", "give the address alone"),
        ({"ca_bundle": "/nowhere/ca.pem"}, "acme: crm.ca_bundle", "there is no file"),
        ({"fields": {"deal": {}}}, "acme: fields.deal", "did you mean 'deals'?"),
        ({"fields": {"deals": {"ar": "x"}}}, "acme: fields.deals.ar", "did you mean 'arr'?"),
        ({"custom": {"dealz": {}}}, "acme: fields.custom.dealz", "did you mean 'deals'?"),
        ({"options": {"api_versoin": "v3"}}, "acme: crm.options.api_versoin", "did you mean 'api_version'?"),
        ({"options": {"api_version": "2019-01"}}, "acme: crm.options.api_version", "known are v3"),
        ({"options": {"page_size": 0}}, "acme: crm.options.page_size", "between 1 and 100"),
        ({"options": {"page_size": 2.5}}, "acme: crm.options.page_size", "whole number"),
        ({"options": {"overlap_seconds": -1}}, "acme: crm.options.overlap_seconds", "between 0"),
        ({"options": {"relist_hours": "daily"}}, "acme: crm.options.relist_hours", "is no number"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], where: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(settings(**changes))
    message = str(caught.value)
    assert where in message
    assert says in message
    assert "\n" not in message
    assert "secret@" not in message


def test_a_bundle_without_certificates_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="holds no PEM certificates"):
        check(settings(ca_bundle=str(bundle)))


def test_defaults() -> None:
    checked = check(settings(url="", auth={"token": "pat-na1-secret"}))
    assert (checked.url, checked.flow) == ("https://api.hubapi.com", "token")
    assert check(settings(url="https://proxy.example:8443/")).url == "https://proxy.example:8443"
    assert check(settings(url="http://localhost:8080")).url == "http://localhost:8080"


def test_secrets_do_not_show() -> None:
    assert "pat-na1-secret" not in repr(check(settings()))


def test_opening_sends_nothing() -> None:
    source = SOURCE.open(settings(url="https://hubspot.invalid"))
    assert source.requests == 0
    assert [stream.name for stream in source.streams()] == [
        "owners",
        "stages",
        "exchange_rates",
        "accounts",
        "contacts",
        "deals",
        "line_items",
        "meetings",
    ]
    source.close()


def test_the_reference_lists_every_option() -> None:
    assert set(reference().options) == set(Options.__dataclass_fields__)
