"""What is wrong between the parts of a playbook: each fault with the place it stands in, so that a line can be named.

A part alone is checked where it is read (``metrics.playbook_parts``). Here: bounds in another unit than the number they
are compared with, segments that the playbook does not know, and options that a diagnosis does not take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from connectors import registry
from connectors.spelling import nearest
from metrics.condition import Comparison, Kind, Quantity, When
from metrics.kpi_ids import UNITS, Unit
from metrics.playbook_parts import CIRCUMSTANCE_UNITS, Call, Fit, Hidden, Line, Occasion, Segment, Shift
from metrics.yaml_lines import Place


@dataclass(frozen=True)
class Fault:
    """``place``: of what is wrong. ``about``: of what it names, which may be what makes it wrong."""

    place: Place
    text: str
    about: Place = ()


class Book(Protocol):
    """The parts of a playbook that say something of each other."""

    @property
    def kpis(self) -> Mapping[str, Line]: ...
    @property
    def shifts(self) -> Sequence[Shift]: ...
    @property
    def hidden(self) -> Sequence[Hidden]: ...
    @property
    def segments(self) -> Mapping[str, Segment]: ...
    @property
    def diagnoses(self) -> Mapping[str, Call]: ...
    @property
    def fit(self) -> Sequence[Fit]: ...


# How a bound may be written by the unit of what it is compared with, and an example of it.
_WRITTEN: Final[Mapping[Unit, tuple[tuple[Kind, ...], str]]] = {
    "ratio": (("share", "number"), "a share, for example 105% or 1.05"),
    "currency": (("money",), "an amount with its currency, for example $100K or EUR 5M"),
    "days": (("time", "number"), "a time, for example 30 days or 9 months, or a number of days"),
    "months": (("number",), "a number of months, for example 18"),
    "multiple": (("number",), "a multiple as a plain number, for example 3"),
    "points": (("number",), "points as a plain number, for example 40"),
    "count": (("number",), "a plain number, for example 10"),
}
_NAMES: Final[Mapping[Kind, str]] = {
    "share": "a share", "money": "an amount", "time": "a time", "number": "a plain number",
}  # fmt: skip
_LARGEST_SHARE: Final = 2  # a bare number from here on can be a percentage


def faults(book: Book) -> Iterator[Fault]:
    """Every fault in the order of the playbook's parts."""
    for kpi, line in book.kpis.items():
        yield from _of_line(kpi, line, book)
    for index, shift in enumerate(book.shifts):
        yield from _of_occasion(("shifts", index), shift)
    for index, hidden in enumerate(book.hidden):
        yield from _of_sets(("hidden", index, "owned_when"), hidden.owned_when)
    for name, call in book.diagnoses.items():
        place: Place = ("diagnoses", name)
        yield from _of_occasion(place, call)
        yield from _of_segment((*place, "segment"), call.segment, book)
        yield from _of_options((*place, "options"), call.rule, call.options)
    for index, fit in enumerate(book.fit):
        yield from _of_occasion(("fit", index), fit)


def _of_line(kpi: str, line: Line, book: Book) -> Iterator[Fault]:
    for index, rule in enumerate(line.rules):
        place: Place = ("kpis", kpi, "rules", index)
        yield from _of_bounds(place, line.judged_by or kpi, rule)
        yield from _of_segment((*place, "segment"), rule.segment, book)
        yield from _of_when((*place, "when"), rule.when)


def _of_occasion(place: Place, occasion: Occasion) -> Iterator[Fault]:
    yield from _of_when((*place, "when"), occasion.when)
    yield from _of_sets((*place, "any_of"), occasion.any_of)


def _of_sets(place: Place, sets: Iterable[When]) -> Iterator[Fault]:
    for index, when in enumerate(sets):
        yield from _of_when((*place, index), when)


def _of_when(place: Place, when: When) -> Iterator[Fault]:
    for measure, comparison in when.items():
        yield from _of_bounds((*place, measure), measure, comparison)


def _of_bounds(place: Place, measure: str, comparison: Comparison) -> Iterator[Fault]:
    unit = UNITS.get(measure) or CIRCUMSTANCE_UNITS[measure]
    for name, bound in comparison.bounds:
        fault = _wrong_unit(measure, unit, bound)
        if fault:
            yield Fault((*place, name), fault)


def _wrong_unit(measure: str, unit: Unit, bound: Quantity) -> str | None:
    kinds, right = _WRITTEN[unit]
    if bound.kind not in kinds:
        given = f"{bound.written} is {_NAMES[bound.kind]}, which {measure} is not"
        return f"{given}; write {right}"
    if unit == "ratio" and bound.kind == "number" and bound.value >= _LARGEST_SHARE:
        return (
            f"{bound.written} can be a percentage or a share; write {bound.written}%, or a share such as 1.05"
        )
    return None


def _of_segment(place: Place, segment: str | None, book: Book) -> Iterator[Fault]:
    if segment is None or segment in book.segments:
        return
    if not book.segments:
        text = f"there is no segment {segment!r}; define it under segments:"
    else:
        near = nearest(segment, book.segments)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(book.segments)}"
        text = f"there is no segment {segment!r}; {hint}"
    yield Fault(place, f"{text} (used by {'.'.join(map(str, place[:-1]))})", ("segments", segment))


def _of_options(place: Place, rule: str, given: Iterable[str]) -> Iterator[Fault]:
    takes = registry.units("metrics.diagnosis", "DIAGNOSIS")[rule].options
    for option in given:
        if option not in takes:
            near = nearest(option, takes)
            hint = f"did you mean {near}?" if near else f"it takes {', '.join(takes) or 'none'}"
            yield Fault((*place, option), f"{rule} takes no such option; {hint}")
