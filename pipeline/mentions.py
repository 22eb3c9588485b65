"""Finds the texts in the store that name somebody: by whole words, in any case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select

from pipeline.reader import Reader
from pipeline.tables import table

# Texts that are the CRM's own about other things than people: looked through, never changed.
FREE: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": ("name", "custom"),
    "deals": ("name", "next_step", "loss_reason", "partner", "custom"),
    "line_items": ("product", "custom"),
    "contracts": ("name", "product", "custom"),
    "subscriptions": ("name", "product", "custom"),
}


def naming(
    reader: Reader,
    name: str,
    texts: Sequence[str],
    keys: Sequence[str],
    where: ColumnElement[bool],
    words: Sequence[str],
) -> list[tuple[Any, ...]]:
    """The ``keys`` of the rows of a table of which one of the columns ``texts`` holds one of the words."""
    if not words:
        return []
    target = table(name)
    near = or_(*(like(target.c[text], word) for text in texts for word in words))
    query = select(*(target.c[column] for column in (*keys, *texts))).where(and_(where, near))
    sought = _pattern(words)
    return [
        tuple(row[: len(keys)])
        for row in reader.connection.execute(query)
        if any(text is not None and sought.search(text) for text in row[len(keys) :])
    ]


def elsewhere(reader: Reader, company: str, words: Sequence[str]) -> dict[str, int]:
    """Table -> rows of deals, accounts, their lines and contracts whose texts name a person."""
    found = {
        name: len(naming(reader, name, columns, ["external_id"], table(name).c.company == company, words))
        for name, columns in FREE.items()
    }
    return {name: number for name, number in found.items() if number}


def like(column: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    """Whether a text holds a word, in any case (SQLite itself folds only ASCII, hence the forms)."""
    forms = {word, word.lower(), word.upper(), word.title()}
    return or_(
        *(column.contains(form, autoescape=True) for form in sorted(forms)),
        func.lower(column).contains(word.lower(), autoescape=True),
    )


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Whole words: ``ann@acme.example`` is not in ``joann@acme.example`` or ``jo.ann@acme.example``."""
    each = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![\w.+-])(?:{each})(?![\w-])", re.IGNORECASE)
