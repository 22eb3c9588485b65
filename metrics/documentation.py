"""What a KPI's module says of itself: its own words, and how others define the same name.

The docstring of a KPI ends with a paragraph in fixed form, where anything is known for it::

    Elsewhere:
    - ChartMogul: MRR x 12.
    - GitLab: a sentence that may go on
      in the next line.

One sentence for each product, in alphabetical order: what a board member who knows the number from there should know.
It holds what was found in the product's published documentation, or in code that was read; they may have changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import Final

_ELSEWHERE: Final = "\nElsewhere:\n"


@dataclass(frozen=True)
class Documentation:
    """``text``: meaning, formula, exclusions, unit, source. ``elsewhere``: (product, sentence) pairs."""

    text: str
    elsewhere: tuple[tuple[str, str], ...] = ()


def of(kpi: str) -> Documentation:
    """The documentation of a KPI, read from its module."""
    return read(import_module(f"metrics.kpis.{kpi}").__doc__ or "")


def read(docstring: str) -> Documentation:
    """A docstring taken apart. Raises ``ValueError`` where the paragraph is not in its form."""
    text, heading, rest = cleandoc(docstring).partition(_ELSEWHERE)
    if not heading:
        return Documentation(text)
    sentences: list[tuple[str, str]] = []
    for line in rest.splitlines():
        product, colon, words = line.removeprefix("- ").partition(": ")
        if line.startswith("- ") and colon:
            sentences.append((product, words))
        elif line.startswith("  ") and sentences:
            product, words = sentences[-1]
            sentences[-1] = (product, f"{words} {line.strip()}")
        else:
            raise ValueError(f"this is no line of the form `- product: sentence`: {line!r}")
    return Documentation(text, tuple(sentences))
