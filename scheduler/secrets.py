"""Secrets: where they come from, and that they are never printed.

A configuration value may hold ``${NAME}`` (environment), ``${file:/run/secrets/name}`` (first line of a file) or
``${keyring:service/user}`` (the system's keyring). Values are resolved when they are used, so that one
client's missing secret does not stop another's work. Everything resolved is remembered here, and
``mask`` takes it out of any text that leaves the program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from connectors.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_MASK = "********"
_SHORTEST = 4  # masking shorter texts would blank out ordinary words
_known: set[str] = set()


def resolve(text: str, where: str) -> str:
    """``text`` with its references replaced. Raises ``ConfigurationError`` naming what is missing, and where."""

    def value(match: re.Match[str]) -> str:
        found = _lookup(match.group(1).strip(), where)
        remember(found)
        return found

    return _REFERENCE.sub(value, text)


def resolve_url(url: str, where: str, is_encoded: Callable[[str, int], bool]) -> str:
    """As ``resolve``, for a URL: where it is read percent-decoded a value is encoded, so that no sign in a password
    ends it. A value that is the whole URL stays as it is.

    ``is_encoded``: says so of a URL and a place in it (see ``pipeline.store_url``).
    """
    outline = _REFERENCE.sub(
        lambda match: "x" * len(match.group()), url
    )  # references hold : and / themselves

    def value(match: re.Match[str]) -> str:
        found = _lookup(match.group(1).strip(), where)
        remember(found)
        return quote(found, safe="") if is_encoded(outline, match.start()) else found

    return _REFERENCE.sub(value, url)


def resolve_all(values: Mapping[str, str], where: str) -> dict[str, str]:
    """Every value of a mapping resolved; literal values count as secrets too."""
    resolved = {key: resolve(value, f"{where}.{key}") for key, value in values.items()}
    for key, value in resolved.items():
        if key != "flow":
            remember(value)
    return resolved


def remember(secret: str) -> None:
    """Mask this text from now on, also in the form it takes inside a URL."""
    for form in (secret, quote(secret, safe="")):
        if len(form) >= _SHORTEST:
            _known.add(form)


def mask(text: str) -> str:
    """``text`` without any secret that was resolved so far."""
    for secret in sorted(_known, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, _MASK)
    return text


def _lookup(reference: str, where: str) -> str:
    if reference.startswith("file:"):
        path = Path(reference.removeprefix("file:")).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigurationError(
                f"{where}: cannot read the secret file {path}: {error.strerror or error}; "
                "create it or correct the path"
            ) from error
        if not lines or not lines[0].strip():
            raise ConfigurationError(
                f"{where}: the secret file {path} is empty; write the secret in its first line"
            )
        return lines[0].strip()
    if reference.startswith("keyring:"):
        return _from_keyring(reference.removeprefix("keyring:"), where)
    secret = os.environ.get(reference)
    if not secret:
        raise ConfigurationError(
            f"{where}: the environment variable {reference} is not set; export {reference}=... and run again"
        )
    return secret


def _from_keyring(reference: str, where: str) -> str:
    import keyring  # a second's import that most installations never need
    from keyring.errors import KeyringError

    service, slash, user = reference.partition("/")
    if not slash or not user:
        raise ConfigurationError(f"{where}: write the reference as ${{keyring:service/user}}")
    try:
        secret = keyring.get_password(service, user)
    except KeyringError as error:
        raise ConfigurationError(f"{where}: the keyring cannot be read: {error}") from error
    if not secret:
        raise ConfigurationError(
            f"{where}: the keyring has no entry {reference}; add it with: keyring set {service} {user}"
        )
    return secret
