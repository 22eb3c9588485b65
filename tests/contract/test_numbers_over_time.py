"""What a sync had seen is what the numbers of that moment are made of, for ever; and how it was read does not matter.

A company that has sold for two years lives on at random and is read at random moments, by the real sync into the real
store. Every KPI, month and segment is computed right after a sync, and once more from the store as it is much later,
known at the same moment: they are equal to the last note, but for what the store says of itself that it cannot tell.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.errors import SourceError
from connectors.source import Stream
from metrics.compute import compute
from metrics.facts import Facts
from metrics.kpi import CUTS
from metrics.period import month_of, months_between, shift
from pipeline.company import Company, Inputs
from pipeline.store import Store
from pipeline.sync import sync_company
from tests.contract.established import HISTORIC, LATE, NARROW, NOTICED_ONLY, PASTLESS, WIDE, established
from tests.contract.fake_source import ACCOUNTS, DEALS, OWNERS, RATES, STAGES, FakeSource, page
from tests.contract.lives import REST, Crm, Event, Row, happen, shown
from tests.unit.filed import filed

COMPANIES = itertools.count(1)
MARK: Final = "not reconstructed, today's values stand in"
# month, KPI, cut and segment -> value, numerator, denominator, n and every note
Numbers = dict[tuple[str, ...], tuple[Any, ...]]
Marks = dict[tuple[str, ...], str]  # KPI and cut
Life = list[tuple[float, Event, bool]]  # days since the event before, the event, whether we read the CRM then
steps = st.sampled_from([0.25, 2.0, 13.0, 40.0])


def lives(*kinds: Sequence[st.SearchStrategy[Event]], most: int = 10) -> st.SearchStrategy[Life]:
    events = st.one_of(*(event for kind in kinds for event in kind))
    return st.lists(st.tuples(steps, events, st.booleans()), min_size=2, max_size=most)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    months = months_between("2025-09", "2026-12")
    return filed(tmp_path_factory.mktemp("filed"), months, ["a", "b", "c"], "EUR")


@pytest.fixture
def sqlite(tmp_path: Path, prepared_file: Path) -> Iterator[Store]:
    """An empty store in a file: what the numbers are made of is the same on both databases (test_history)."""
    path = tmp_path / "boardline.db"
    shutil.copy(prepared_file, path)
    with Store.open(f"sqlite:///{path}") as opened:
        yield opened


@dataclass
class Reading:
    """One way to read the CRM into one company of the store. ``size``: of its pages; ``order``: of its streams;
    ``whole``: everything each time, else only what was touched since; ``cut``: each pass is stopped once by a failure.
    """

    store: Store
    inputs: Inputs
    size: int | None = None
    order: Sequence[Stream] | None = None
    whole: bool = True
    cut: bool = False
    name: str = field(default_factory=lambda: f"company-{next(COMPANIES)}")
    since: datetime | None = None
    read: dict[Stream, int] = field(default_factory=dict)

    @property
    def company(self) -> Company:
        settings = {"timezone": "America/New_York", "currency": "EUR", "inputs": self.inputs}
        return Company(name=self.name, **settings)

    def sync(self, crm: Crm) -> None:
        new = crm.script(self.size, None if self.whole else self.since, self.order)
        # Its cursor counts pages: what was read before is before it.
        before = {stream: 0 if self.whole else self.read.get(stream, 0) for stream in new}
        script = {stream: [page()] * before[stream] + pages for stream, pages in new.items()}
        if self.cut:
            # The first stream that has a second page breaks off before it; the pass after it goes on there.
            broken = next((s for s, pages in new.items() if len(pages) > 1), DEALS)
            faults: dict[tuple[str, int], Exception] = {
                (broken.name, before[broken] + len(new[broken]) - 1): SourceError("the line is dead")
            }
            failed = self._pass(FakeSource(script, shown=shown(crm.tracked), faults=faults), crm)
            assert failed.status == "failed"
        done = self._pass(FakeSource(script, shown=shown(crm.tracked)), crm)
        assert done.status == "ok", done.error
        self.read = {stream: len(pages) for stream, pages in script.items()}
        self.since = crm.now

    def _pass(self, source: FakeSource, crm: Crm) -> Any:
        return sync_company(
            self.store, source, self.company, full=self.whole and not self.cut, clock=lambda: crm.now
        )

    def numbers(self, at: datetime, cuts: Sequence[str]) -> tuple[Numbers, Marks]:
        """All of them as known at a moment; and of which KPI and cut the store says that it cannot tell, in words."""
        last = month_of(at.astimezone(self.company.zone).date())
        with self.store.reading() as reader:
            facts = Facts.load(reader, self.company, months_between(shift(last, -3), last), at)
        found: Numbers = {}
        marks: Marks = {}
        for value in compute(facts, cuts=(None, *cuts)):
            told = [note for reason in value.reasons for note in reason.split("; ")]
            notes = [note for note in told if not note.startswith(MARK)]
            key = (value.month, value.id, *(part for pair in value.segment.items() for part in pair))
            parts = (value.value, value.numerator, value.denominator, value.n, value.status)
            found[key] = (*parts, *notes)
            for note in told:
                if note.startswith(MARK):
                    marks[value.id, *value.segment] = note
        return found, marks


def different(then: Numbers, now: Numbers) -> dict[tuple[str, ...], tuple[Any, Any]]:
    keys = sorted({*then, *now})
    return {key: (then.get(key), now.get(key)) for key in keys if then.get(key) != now.get(key)}


def lived(crm: Crm, life: Life, read: Callable[[], None]) -> None:
    """Everything happens; we read the CRM at the beginning, where the life says so, and in the end."""
    read()
    for days, event, synced in life:
        crm.now += timedelta(days=days)
        happen(crm, event)
        crm.now += timedelta(hours=6)
        if synced:
            read()
    crm.now += timedelta(days=20)
    read()


def numbers_of_then_stay(
    store: Store,
    inputs: Inputs,
    life: Life,
    tracked: Sequence[str],
    cuts: Sequence[str],
    reads: Container[int],
) -> None:
    """``reads``: after which of them, beside the last one, the numbers are computed."""
    crm, reading = established(tracked), Reading(store, inputs)
    seen: dict[datetime, Numbers] = {}
    counted = itertools.count()

    def read() -> None:
        reading.sync(crm)
        if next(counted) in reads:
            seen[crm.now], told = reading.numbers(crm.now, cuts)
            assert told == {}

    lived(crm, life, read)
    for at, then in seen.items():
        now, told = reading.numbers(at, cuts)
        changed = different(then, now)
        assert {key: pair for key, pair in changed.items() if key[1:3] not in told} == {}, at
        assert marked_rightly(crm, at, told), at


def marked_rightly(crm: Crm, at: datetime, told: Marks) -> bool:
    """Nothing is said to be lost but what was there at the moment, in a table without a past, and touched later."""
    touched = {
        table
        for table, rows in crm.rest.items()
        for row in rows.values()
        if row["modified_at"] > at and was_there(table, row, at)
    }
    if any(row.get("merged_into") and row["deleted_at"] > at for row in crm.accounts.values()):
        touched.add("contacts")  # those of the merged account are the survivor's since
    return all(any(table in words for table in touched) for words in told.values())


def was_there(table: str, row: Row, at: datetime) -> bool:
    if table == "exchange_rates":
        return bool(date.fromisoformat(row["start_date"]) <= at.date())
    return table == "owners" or bool(row["created_at"] <= at)


relaxed = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a life says enough as it is; to shrink it takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
cuts, moments = st.sampled_from(CUTS), st.integers(0, 1)
tracked = st.sampled_from([NARROW, WIDE])


@settings(relaxed, max_examples=3)
@given(lives(HISTORIC, NOTICED_ONLY, [LATE]), tracked, cuts, moments)
def test_the_numbers_of_a_moment_stay_what_they_were(
    sqlite: Store, inputs: Inputs, life: Life, tracked: Sequence[str], cut: str, moment: int
) -> None:
    numbers_of_then_stay(sqlite, inputs, life, tracked, [cut], {moment})


@settings(relaxed, max_examples=3)
@given(lives(HISTORIC, PASTLESS, PASTLESS), tracked, cuts, moments)
def test_what_nobody_keeps_the_past_of_is_told_where_it_counts(
    sqlite: Store, inputs: Inputs, life: Life, tracked: Sequence[str], cut: str, moment: int
) -> None:
    numbers_of_then_stay(sqlite, inputs, life, tracked, [cut], {moment})


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(relaxed, max_examples=30, derandomize=False)
@given(lives(HISTORIC, NOTICED_ONLY, [LATE], PASTLESS, most=25), tracked)
def test_they_do_in_many_more_lives(store: Store, inputs: Inputs, life: Life, tracked: Sequence[str]) -> None:
    numbers_of_then_stay(store, inputs, life, tracked, CUTS, range(4))


def test_what_changes_while_we_read_is_known_by_the_next_pass(sqlite: Store, inputs: Inputs) -> None:
    """A deal is lost after its page was read and before the pass is over: nobody has told us of it by then."""
    crm, reading = established(NARROW), Reading(sqlite, inputs)
    begun = crm.now

    def change(stream: str, *_: object) -> None:
        crm.now += timedelta(minutes=1)
        if stream == "deals":
            happen(crm, ("edit", ("k", "stage", "C")))

    source = FakeSource(crm.script(), shown=shown(crm.tracked))
    done = sync_company(sqlite, source, reading.company, on_progress=change, clock=lambda: crm.now)
    assert done.status == "ok"
    over = crm.now
    assert over > begun
    then, _ = reading.numbers(over, CUTS)
    shown_then = sqlite.source_info(reading.name)
    assert shown_then is not None
    assert begun <= shown_then.known(over) <= over

    crm.now += timedelta(days=1)
    reading.sync(crm)
    assert different(then, reading.numbers(shown_then.known(over), CUTS)[0]) == {}
    later = different(then, reading.numbers(crm.now, CUTS)[0])
    assert ("2025-12", "field_completeness") in later  # of one deal less that is open


EARLY: Final = (OWNERS, STAGES)  # what must be read before deals
ANY_ORDER: Final = (
    RATES,
    ACCOUNTS,
    DEALS,
    *(stream for name, stream in REST.items() if name not in ("owners", "exchange_rates")),
)
orders = st.permutations(ANY_ORDER).map(lambda streams: (*EARLY, *streams))


def reading_makes_no_difference(
    store: Store,
    inputs: Inputs,
    life: Life,
    order: Sequence[Stream],
    size: int,
    cuts: Sequence[str],
    reads: Container[int],
) -> None:
    """Everything each time in one page, or what is new in small pages, other order, broken off: the same at any time.

    And who reads only once, in the end, finds the same then, where the CRM itself keeps the past.
    """
    crm = established(WIDE)
    once = Reading(store, inputs)
    ways = (
        Reading(store, inputs),
        Reading(store, inputs, size, order, whole=False, cut=True),
    )
    counted = itertools.count()

    def read() -> None:
        for way in ways:
            way.sync(crm)
        if next(counted) in reads:
            agree(*(way.numbers(crm.now, cuts) for way in ways))

    lived(crm, life, read)
    once.sync(crm)
    agree(*(way.numbers(crm.now, cuts) for way in (*ways, once)))


def agree(first: tuple[Numbers, Marks], *others: tuple[Numbers, Marks]) -> None:
    for other in others:
        assert different(first[0], other[0]) == {}
        assert first[1] == other[1]


@settings(relaxed, max_examples=2)
@given(lives(HISTORIC, PASTLESS, [LATE]), orders, st.integers(1, 4), cuts)
def test_how_the_crm_was_read_makes_no_difference(
    sqlite: Store, inputs: Inputs, life: Life, order: Sequence[Stream], size: int, cut: str
) -> None:
    reading_makes_no_difference(sqlite, inputs, life, order, size, [cut], {1})


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(relaxed, max_examples=20, derandomize=False)
@given(lives(HISTORIC, PASTLESS, [LATE], most=25), orders, st.integers(1, 4))
def test_nor_does_it_in_many_more_lives(
    store: Store, inputs: Inputs, life: Life, order: Sequence[Stream], size: int
) -> None:
    reading_makes_no_difference(store, inputs, life, order, size, CUTS, range(3))
