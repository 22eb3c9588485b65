"""What the configuration may say about Salesforce, and how a mistake is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connectors.errors import ConfigurationError
from connectors.source import SourceSettings
from connectors.sources.salesforce import SOURCE
from connectors.sources.salesforce.auth import mask
from connectors.sources.salesforce.settings import (
    _FLOWS,
    Options,
    read_auth,
    read_options,
    read_url,
    reference,
)

CLIENT = {"flow": "client_credentials", "client_id": "3MVG9", "client_secret": "shh-very-secret"}

FLOWS: list[Mapping[str, str]] = [
    CLIENT,
    {"flow": "jwt", "username": "ops@acme.com", "client_id": "3MVG9", "private_key": "PEM"},
    {"flow": "jwt", "username": "ops@acme.com", "client_id": "3MVG9", "private_key_file": "/keys/acme.pem"},
    {"flow": "refresh_token", "client_id": "3MVG9", "client_secret": "s", "refresh_token": "5Aep"},
    {"flow": "refresh_token", "client_id": "3MVG9", "refresh_token": "5Aep"},
    {"flow": "password", "username": "ops@acme.com", "password": "pw", "security_token": "tok"},
    {"flow": "password", "username": "ops@acme.com", "password": "pw"},
    {"flow": "session", "session_id": "00D!AQ"},
]


@pytest.mark.parametrize("auth", FLOWS, ids=lambda auth: str(sorted(auth)))
def test_flows_are_accepted(auth: Mapping[str, str]) -> None:
    assert read_auth(auth).flow == auth["flow"]


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ({}, "crm.auth.flow is missing; use one of client_credentials, jwt"),
        ({"flow": "client_credential"}, "did you mean client_credentials?"),
        ({**CLIENT, "client_secrt": "x"}, "crm.auth.client_secrt is unknown"),
        ({**CLIENT, "client_secrt": "x"}, "did you mean client_secret?"),
        ({"flow": "client_credentials", "client_id": "a"}, "crm.auth.client_secret is missing for flow"),
        ({**CLIENT, "client_id": ""}, "crm.auth.client_id: "),
        ({"flow": "jwt", "username": "u", "client_id": "c"}, "give either private_key or private_key_file"),
        ({"flow": "session"}, "crm.auth.session_id is missing"),
    ],
)
def test_a_wrong_key_is_named_and_no_secret_is_told(auth: Mapping[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_auth(auth)
    assert said in str(caught.value)
    assert "shh-very-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_addresses(url: str, kept: str) -> None:
    assert read_url(url) == kept


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("acme.my.salesforce.com", "did you mean https://acme.my.salesforce.com?"),
        ("http://acme.my.salesforce.com", "use https"),
        ("https://acme.my.salesforce.com/lightning/page", "give the address alone"),
        ("https://me:pw@acme.my.salesforce.com", "put them under crm.auth"),
        ("https://acme.my.salesforce.com:port", "is no address"),
        ("", "is no address"),
    ],
)
def test_wrong_addresses(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_url(url)
    assert said in str(caught.value)
    assert "pw@" not in str(caught.value)


def _open(**changes: Any) -> None:
    settings: dict[str, Any] = {
        "company": "acme",
        "url": "https://acme.my.salesforce.com",
        "auth": CLIENT,
        **changes,
    }
    SOURCE.open(SourceSettings(**settings)).close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fields": {"deals": {"arrr": "ARR__c"}}}, "fields.deals.arrr is unknown; did you mean arr?"),
        ({"fields": {"deal": {"arr": "ARR__c"}}}, "fields.deal is unknown; did you mean deals?"),
        ({"custom": {"deels": {"route": "Route__c"}}}, "fields.custom.deels is unknown; did you mean deals?"),
        (
            {"options": {"api_versoin": "60.0"}},
            "crm.options.api_versoin is unknown; did you mean api_version?",
        ),
        ({"options": {"api_version": "v60"}}, "crm.options.api_version: "),
        ({"ca_bundle": "/nowhere/ca.pem"}, "crm.ca_bundle: there is no file /nowhere/ca.pem"),
    ],
)
def test_the_rest_of_the_settings(changes: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _open(**changes)
    assert said in str(caught.value)


def test_opening_sends_nothing() -> None:
    _open()


def test_echoed_secrets_are_masked() -> None:
    auth = read_auth(CLIENT)
    assert mask("invalid secret shh-very-secret", auth) == "invalid secret ***"
    assert "shh-very-secret" not in repr(auth)


def test_the_reference_lists_every_key() -> None:
    told = reference()
    assert {flow: set(keys) for flow, keys in told.flows.items()} == {
        flow: set(model.model_fields) - {"flow"} for flow, model in _FLOWS.items()
    }
    assert set(told.options) == set(Options.model_fields)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"page_size": 10}, "crm.options.page_size: out of range; write 200 or more"),
        ({"page_size": "many"}, "crm.options.page_size: this is no whole number"),
        ({"api_version": "new"}, "crm.options.api_version: this is no API version; write it as 62.0"),
        ({"audience": 3}, "crm.options.audience: this is no text; put it in quotes"),
    ],
)
def test_options_are_refused_in_our_words(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_options(options)
    assert expected in str(caught.value)
