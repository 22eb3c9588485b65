"""CRM text is written by strangers: what of it may reach a board.

Whatever a record is called, in no form of the report may its name become markup, a mention, a link, a
spreadsheet formula or a trick with invisible characters. HTML is escaped by the templates on top of ``plain``; the
cells of its tables, which people paste into spreadsheets, are ``cell``.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote, urlsplit

_LONGEST: Final = 160
_IN_URL: Final = "/?#:&=%~-._+;,@$"  # what else is there might be markup where the address is written
_HOST: Final = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_JOINER: Final = "\u2060"  # invisible, no line break: ends what a program would take for an address
_KEPT: Final = "\u200c\u200d"  # joiners that Persian and Indic names need
_FORMULA: Final = re.compile(r"^[=+\-@＝＋－＠]")
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+\-!|~$^])")
_LIST_NUMBER: Final = re.compile(r"^(\d+)([.)])(?=\s|$)")
_ADDRESS: Final = re.compile(r"@|＠|:(?=/|[^\W\d_])|(?<=[^\W\d_]):(?=\w)|(?<=[^\W_])[.。．](?=[^\W\d_])")


def plain(text: str | None, longest: int = _LONGEST) -> str:
    """One harmless line: no control, bidirectional or invisible characters, not endless."""
    kept = "".join(_visible(letter) for letter in text or "")
    line = " ".join(kept.split())
    if len(line) > longest:
        line = f"{line[: longest - 1].rstrip()}…"
    return line


def cell(text: str | None, longest: int = _LONGEST) -> str:
    """``plain``, and a spreadsheet that a table is pasted into takes it for no formula."""
    line = plain(text, longest)
    return f"'{line}" if _FORMULA.match(line) else line


def unlinked(text: str | None, longest: int = _LONGEST) -> str:
    """``plain``, and mail readers or chats find no address or mention in it to turn into a link."""
    return _ADDRESS.sub(lambda found: found.group() + _JOINER, plain(text, longest))


def markdown(text: str | None, longest: int = _LONGEST) -> str:
    """``unlinked``, with everything escaped that Markdown or the HTML inside it would take for markup."""
    escaped = unlinked(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN.sub(r"\\\1", escaped)
    return _LIST_NUMBER.sub(r"\1\\\2", escaped)


def link(url: str | None) -> str | None:
    """The address if it is a plain http(s) one, percent-encoded where needed; else None."""
    if not url:
        return None
    if any(unicodedata.category(letter)[0] == "C" or letter.isspace() for letter in url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host or parts.username or parts.password:
        return None
    if not _HOST.fullmatch(parts.netloc):
        return None
    return f"{parts.scheme}://{parts.netloc}{quote(url.split(parts.netloc, 1)[1], safe=_IN_URL)}"


def record_url(template: str | None, external_id: str) -> str | None:
    """The address of one record from the CRM's template ``https://…/{id}``."""
    return link(template.replace("{id}", quote(external_id, safe=""))) if template else None


def _visible(letter: str) -> str:
    if letter in _KEPT:
        return letter
    category = unicodedata.category(letter)
    if category in ("Cf", "Cs", "Co", "Cn"):
        return ""
    return " " if category in ("Cc", "Zl", "Zp") else letter
