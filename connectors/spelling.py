"""What a misspelt word was probably meant to be: for messages about configuration, files and options."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_NEAR: Final = 0.6  # of difflib's likeness; 1 is the same


def nearest(word: str, known: Iterable[str], cutoff: float = _NEAR) -> str | None:
    """The known word that is most like this one, whatever the case; None where none is near."""
    names = {name.lower(): name for name in reversed(list(known))}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=cutoff)
    return names[near[0]] if near else None


def instead(word: str, known: Iterable[str]) -> str:
    """``did you mean 'token'?`` or, when nothing is near, what there is."""
    names = list(known)
    near = nearest(word, names, cutoff=0.5)
    return f"did you mean {near!r}?" if near else f"known are {', '.join(names)}"
