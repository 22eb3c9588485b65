"""Where a board summary goes: a message in, a receipt out.

A destination is a module ``connectors.destinations.<name>`` with one frozen constant
``DESTINATION: DestinationType``. ``deliver`` must be safe to call again with the same ``key``: a destination
that can tell (a file, a message with metadata) returns the first receipt instead of posting twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,99}")


def file_stem(key: str) -> str:
    """A file's name for a key: readable, inside its folder, and never the same for two keys, also where case is
    ignored."""
    if _PLAIN.fullmatch(key) and key == key.lower() and not key.endswith("."):
        return key.replace(":", "_")
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", key).strip(".-")[:60] or "summary"
    return f"{readable}_{hashlib.sha256(key.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Attachment:
    """One rendered form of the report."""

    name: str  # file name, e.g. acme-2026-05.html
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Message:
    """A rendered report for one destination. ``key`` is the same for every try of the same post."""

    key: str
    subject: str
    text: str
    markdown: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """Proof of delivery: where it can be found, and whether an earlier try had already put it there."""

    location: str
    repeated: bool = False


class Destination(Protocol):
    name: str

    def check(self) -> str:
        """Verify without posting; returns one line for ``boardline check``."""
        ...

    def deliver(self, message: Message) -> Receipt: ...


class DestinationType(Protocol):
    name: str
    title: str

    def open(self, settings: Mapping[str, Any]) -> Destination:
        """Raises ``ConfigurationError`` naming the setting that is wrong."""
        ...
