"""The forms of a board report: HTML, Markdown and plain text, all from the same ``BoardReport``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from metrics.board import BoardReport

FORMS: Final = {"html": "text/html", "md": "text/markdown", "txt": "text/plain"}  # file suffix -> media type


def render_forms(report: BoardReport, only: Collection[str] = tuple(FORMS)) -> dict[str, bytes]:
    """Suffix -> the report in that form, UTF-8. ``only``: of ``FORMS``, which to make."""
    # The chart libraries take a second to load: who wants the text does not wait for them.
    forms: dict[str, bytes] = {}
    if "html" in only:
        from metrics.render.html import render_html

        forms["html"] = render_html(report).encode()
    if "md" in only:
        from metrics.render.markdown import render_markdown

        forms["md"] = render_markdown(report).encode()
    if "txt" in only:
        from metrics.render.text import render_text

        forms["txt"] = render_text(report).encode()
    return forms
