"""The default simulated companies, generated once for all tests of a run."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import pytest

from connectors.simulator.company import Company, Parameters
from connectors.simulator.lives.verticals import VERTICALS
from connectors.simulator.world import Life
from tests.oracle.record import Truth
from tests.oracle.revenue import Revenue

END = date(2026, 12, 1)
each_vertical = pytest.mark.parametrize("vertical", sorted(VERTICALS))


@lru_cache(maxsize=3)
def company(vertical: str) -> tuple[Company, tuple[Life, ...]]:
    """The default company of a vertical and all its lives."""
    made = Company(Parameters(vertical, END))
    return made, tuple(made.lives())


@lru_cache(maxsize=3)
def truth(vertical: str) -> tuple[Truth, Revenue]:
    """What is known of the default company at the end of its history."""
    made, _ = company(vertical)
    known = Truth(made, datetime.fromtimestamp(made.as_of, UTC))
    return known, Revenue(known)


def of_kind(vertical: str, kind: str) -> list[Life]:
    return [life for life in company(vertical)[1] if life.kind == kind]


def state(life: Life) -> dict[str, Any]:
    """The values after all events."""
    values: dict[str, Any] = {}
    for event in life.events:
        if event.op in ("create", "set"):
            values.update(event.values)
    return values
