"""The address of a CRM: what is one, and that a message about a wrong one repeats no secret."""

from __future__ import annotations

import re

import pytest

from connectors import address


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("  acme.my.salesforce.com/ ", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com:8443", "https://acme.my.salesforce.com:8443"),
        ("https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        ("HTTPS://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
    ],
)
def test_what_a_person_types_becomes_an_address(text: str, kept: str) -> None:
    assert address.complete(text) == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://me:hidden@acme.example", "must not contain credentials; put them under crm.auth"),
        ("me:hidden@acme.example", "must not contain credentials; put them under crm.auth"),
        ("https://hidden@acme.example", "must not contain credentials; put them under crm.auth"),
        ("https://acme.example/?token=hidden", "without path, query or fragment: https://acme.example"),
        ("https://acme.example#hidden", "without path, query or fragment: https://acme.example"),
        ("https://acme.example/hidden", "without path, query or fragment: https://acme.example"),
        ("https://acme example?token=hidden", "'https://acme example' is no address; write https://"),
        ("acme example?token=hidden", "is no address; write https://"),
        ("http://acme.example", "use https://acme.example"),
        ("http://10.0.0.1:80", "use https://10.0.0.1:80"),
        ("ftp://acme.example", "use https://acme.example"),
        ("https://", "is no address"),
        ("https://[::1", "is no address"),
        ("https://acme.example:port", "is no address"),
        ("https://acme.example:99999", "is no address"),
        ("https://acme..example", "is no address"),
        ("https://.", "is no address"),
        ("", "is no address; write https://"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        address.complete(text)
    assert "hidden" not in str(caught.value)


def test_a_file_must_name_the_way() -> None:
    with pytest.raises(ValueError, match=r"did you mean https://acme\.example\?"):
        address.read("acme.example")
