"""The address of a CRM as a person gives it: one rule for the configuration, for ``init`` and for every source. Pure.

An address may carry a password, and a query a token, so no message repeats more of it than its host.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_EXAMPLE: Final = "https://acme.my.salesforce.com"
_HOST: Final = re.compile(r"[\w.-]+|[0-9a-f:.]+")
_LONGEST_LABEL: Final = 63


def read(url: str) -> str:
    """The address without a trailing slash: https, or http on this machine only.

    Raises ``ValueError`` with a sentence that says what is wrong and what to write, without any secret in it.
    """
    if "@" in url:
        raise ValueError("the address must not contain credentials; put them under crm.auth")
    parts, host = _parts(url)
    netloc = parts.netloc if host else ""
    if not host:
        shown = re.split(r"[?#]", url)[0].strip()
        hint = f"; did you mean https://{shown}?" if shown and "://" not in shown else f"; write {_EXAMPLE}"
        raise ValueError(f"{shown!r} is no address{hint}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"http would send the token unencrypted; use https://{netloc}")
    if parts.scheme not in ("https", "http"):
        raise ValueError(f"a CRM is not reached by {parts.scheme}; use https://{netloc}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(
            f"give the address alone, without path, query or fragment: {parts.scheme}://{netloc}"
        )
    return f"{parts.scheme}://{netloc}"


def complete(text: str) -> str:
    """What a person types for an address: a bare host is meant to be reached by https. Raises as ``read``."""
    text = text.strip()
    return read(text if not text or "://" in text else f"https://{text}")


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(url: str) -> tuple[SplitResult, str | None]:
    """The parts, and the host where there is a usable one."""
    nothing = urlsplit("")
    try:
        parts = urlsplit(url if "://" in url else "")
        _ = parts.port
    except ValueError:  # a port that is no number, a bracket that is not closed
        return nothing, None
    host = parts.hostname or ""
    labels = host.removesuffix(".").split(".")
    usable = _HOST.fullmatch(host) and all(0 < len(label) <= _LONGEST_LABEL for label in labels)
    return parts, host if usable else None
