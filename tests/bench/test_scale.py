"""A generated company of a million deals streams through bounded memory. Minutes long: run by `make soak`."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNT = """
import resource, sys
from datetime import date
from connectors.simulator.company import Company, Parameters

deals = int(sys.argv[1])
company = Company(Parameters(vertical="hr_tech", end=date(2026, 7, 1), accounts=deals // 10, deals=deals))
count = sum(1 for life in company.lives() if life.kind == "deal")
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_MEBIBYTE = 1024  # ru_maxrss counts kibibytes


def generated(deals: int) -> tuple[int, float]:
    """(deals generated, peak memory in MiB) of a company made in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(deals)], capture_output=True, text=True, check=True, timeout=3000
    )
    count, peak = done.stdout.split()
    return int(count), int(peak) / _MEBIBYTE


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_deals_take_no_more_memory_than_ten_thousand() -> None:
    few, small = generated(10_000)
    many, large = generated(1_000_000)
    print(f"\n{few:,} deals: {small:.0f} MiB, {many:,} deals: {large:.0f} MiB")
    assert few == pytest.approx(10_000, rel=0.1)
    assert many == pytest.approx(1_000_000, rel=0.1)
    assert large < small + 64
