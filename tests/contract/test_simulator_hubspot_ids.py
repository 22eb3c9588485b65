"""The pure parts of the simulated portal: ids both ways, and values as HubSpot writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.simulator.hubspot import record_id, record_key, stage_id, stage_name
from connectors.simulator.hubspot.translate import instant, money, noisy, number
from connectors.simulator.world import Kind
from tests.contract.simulator_hubspot_world import at

KINDS = [kind for kind in get_args(Kind) if kind not in ("rate", "quota", "contract", "subscription")]


@given(st.sampled_from(KINDS), st.integers(1, 10**9 - 1), st.integers(0, 9))
def test_record_ids_both_ways(kind: Kind, key: int, merges: int) -> None:
    identifier = record_id(kind, key, merges)
    assert identifier.isdigit()
    assert record_key(identifier) == (kind, key, merges)


@pytest.mark.parametrize("identifier", ["0", "17", "123456789012345"])
def test_foreign_ids_are_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match="no record id"):
        record_key(identifier)


@given(st.text())
def test_stage_ids_both_ways(name: str) -> None:
    assert stage_name(stage_id(name)) == name


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("Closed Won", "closed-won"), ("Proof of Concept", "proof_20_of-concept"), ("POC", "p_4f__43_")],
)
def test_stage_ids(name: str, identifier: str) -> None:
    assert stage_id(name) == identifier


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1_250_050, "EUR", "12500.5"),
        (-5, "USD", "-0.05"),
        (1_200, "JPY", "1200"),
        (0, "USD", "0"),
        (1, "KWD", "0.001"),
    ],
)
def test_money(minor: int, currency: str, text: str) -> None:
    assert money(minor, currency) == text


@given(st.floats(0, 1))
def test_computed_numbers_keep_every_digit(value: float) -> None:
    assert Decimal(noisy(value)) == Decimal(value)


def test_instants_and_numbers() -> None:
    assert instant(at("2026-02-03", 17)) == "2026-02-03T17:00:00Z"
    assert (number(3.0), number(2.5)) == ("3", "2.5")
