"""Record ids and stage ids: pure functions both ways, so that tests can name any record.

A record id has eleven digits: the kind, how many merges the record has been through, and its key. A merge
gives the surviving record a new id, as HubSpot does. A person who came in as a lead keeps the lead's id for
life: the contact that the lead became is the same HubSpot record.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from connectors.simulator.world import Kind

_BLOCK: Final[dict[Kind, int]] = {
    "user": 1,
    "product": 2,
    "account": 3,
    "contact": 4,
    "lead": 5,
    "deal": 6,
    "line_item": 7,
    "meeting": 8,
    "contact_role": 9,
}
_KIND: Final[dict[int, Kind]] = {block: kind for kind, block in _BLOCK.items()}
_PER_KIND: Final = 10_000_000_000
MERGE_STEP: Final = 1_000_000_000
_MERGES: Final = 10
_FIRST_ROOT: Final[dict[Kind, int]] = {kind: block * _PER_KIND for kind, block in _BLOCK.items()}
_ESCAPED: Final = re.compile(r"_([0-9a-f]+)_|-([a-z])|([a-z0-9])")


class RecordKey(NamedTuple):
    """Which neutral record an id stands for, and the number of merges it had survived."""

    kind: Kind
    key: int
    merges: int


def record_id(kind: Kind, key: int, merges: int = 0) -> str:
    """The HubSpot id of a neutral record; ``merges`` counts the merges it has survived.

    Raises ``ValueError`` when key or merges are beyond what an id can hold.
    """
    if not 0 < key < MERGE_STEP or not 0 <= merges < _MERGES:
        raise ValueError(f"no id for {kind} {key} after {merges} merges")
    return str(_BLOCK[kind] * _PER_KIND + merges * MERGE_STEP + key)


def record_key(identifier: str | int) -> RecordKey:
    """The inverse of ``record_id``. Raises ``ValueError`` for an id that it cannot have made."""
    block, rest = divmod(int(identifier), _PER_KIND)
    merges, key = divmod(rest, MERGE_STEP)
    if block not in _KIND or not key:
        raise ValueError(f"{identifier} is no record id")
    return RecordKey(_KIND[block], key, merges)


def kind_of(root: int) -> Kind:
    """The kind of a record by its root."""
    return _KIND[root // _PER_KIND]


def root_of(kind: Kind, key: int) -> int:
    """The id a record has before any merge, as a number: its identity inside the portal's store."""
    return _FIRST_ROOT[kind] + key


@lru_cache(maxsize=1_024)
def stage_id(name: str) -> str:
    """The internal id of a deal stage: ``Closed Won`` -> ``closed-won``; unusual characters are escaped."""
    written: list[str] = []
    start = True
    for index, char in enumerate(name):
        if char.isascii() and char.isalpha():
            plain = char.isupper() == start
            written.append(char.lower() if plain else f"_{ord(char):x}_")
            start = False
        elif char.isascii() and char.isdigit():
            written.append(char)
            start = False
        elif char == " " and index + 1 < len(name) and _is_capital(name[index + 1]):
            written.append("-")
            start = True
        else:
            written.append(f"_{ord(char):x}_")
            start = False
    return "".join(written)


def stage_name(identifier: str) -> str:
    """The inverse of ``stage_id``. Raises ``ValueError`` for text that it cannot have made."""
    read: list[str] = []
    position = 0
    while position < len(identifier):
        match = _ESCAPED.match(identifier, position)
        if match is None:
            raise ValueError(f"{identifier!r} is no stage id")
        escaped, capital, plain = match.groups()
        if escaped:
            read.append(chr(int(escaped, 16)))
        elif capital:
            read.append(" " + capital.upper())
        else:
            read.append(plain.upper() if position == 0 else plain)
        position = match.end()
    return "".join(read)


def _is_capital(char: str) -> bool:
    return char.isascii() and char.isupper()
