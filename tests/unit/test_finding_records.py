"""Every sentence of a diagnosis rests on records that can be opened: those of its segment, where it speaks of one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import compute, playbook
from metrics.case import Case
from metrics.diagnose import diagnose, registered
from metrics.facts import Facts
from metrics.period import months_between
from pipeline.company import Company
from tests.unit.books import Books, at
from tests.unit.generated import frames

MONTH = "2026-06"


@pytest.mark.parametrize("book", ["supply_chain", "hr_tech", "dev_tools"])
def test_every_sentence_carries_its_records_with_links(book: str) -> None:
    """Whatever a playbook says about a generated company, month by month, can be opened in the CRM."""
    world = World(Parameters(vertical=book, end=date(2026, 6, 1), accounts=80, deals=700, months=30))
    now = datetime.fromtimestamp(world.as_of, UTC)
    months = months_between("2025-01", "2026-05")
    facts = Facts(Company(name="generated", timezone=world.timezone), months, now, frames(world, world.as_of))
    links = {table: f"https://crm.example/{table}/{{id}}" for table in ("deals", "accounts", "leads")}
    told = [one for month in months[-3:] for one in diagnose(facts, month, playbook.load(book), links)]
    assert len(told) > 3
    for one in told:
        assert one.records, one.sentence
        assert one.total >= len(one.records)
        for record in one.records:
            assert record.url == f"https://crm.example/{record.object}/{record.external_id}", one.call


def test_what_is_said_of_a_segment_rests_on_the_segment() -> None:
    """Enterprise deals take longer than the client's own target: the records and the past are enterprise's."""
    made = Books()
    made.account("a")
    for size, days in (("Enterprise", 100), ("SMB", 10)):
        for number in range(3):
            began = (date(2026, 5, 20) - timedelta(days=days)).isoformat()
            made.deal(
                f"{size} {number}", began, ((began, "Discovery"), ("2026-05-20", "Won")), account_id="a",
                close_date="2026-05-20", arr=100, term_months=12, segment=size,
            )  # fmt: skip
    facts = made.facts("2026-03", MONTH, now=at("2026-06-30", 23))
    (value,) = [
        one
        for one in compute.compute(facts, ["cycle_days_median"], ("size",))
        if one.month == MONTH and one.segment["size"] == "Enterprise"
    ]
    book = playbook.load("hr_tech")
    call = next(one for one in book.diagnoses.values() if one.rule == "behind_the_number")
    cause = registered()["behind_the_number"].find(Case(facts, MONTH, value, call, book))
    assert cause is not None
    assert sorted(cause.records["external_id"]) == [f"Enterprise {number}" for number in range(3)]
    assert set(cause.records["contribution"]) == {100.0}
