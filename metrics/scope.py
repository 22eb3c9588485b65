"""What a role owns at a company: the KPIs on its scorecard, in their order, and those that are not its own."""

from __future__ import annotations

from metrics import compute
from metrics.condition import Subject, When, all_hold
from metrics.facts import Facts
from metrics.period import shift
from metrics.playbook import Playbook


def scorecard(facts: Facts, month: str, book: Playbook) -> tuple[list[str], str | None]:
    """The KPIs of the scorecard at one of the facts' months, and why they are others than the playbook's usual ones.

    Where a shift applies its headline comes first and the rest of the usual scorecard follows; CARR leads, before ARR,
    where the company says so (definition book, R4). KPIs that are hidden at
    this company, or that this version does not compute, are left out.
    """
    shifted = next((one for one in book.shifts if any(holds(facts, month, when) for when in one.sets)), None)
    contracted = ("carr", "arr") if facts.company.arr.headline == "carr" else ()
    wanted = dict.fromkeys((*contracted, *(shifted.headline if shifted else ()), *book.scorecard))
    hidden, known = hidden_kpis(facts, month, book), compute.registered()
    return [
        name for name in wanted if name in known and name not in hidden
    ], shifted.says if shifted else None


def hidden_kpis(facts: Facts, month: str, book: Playbook) -> frozenset[str]:
    """The KPIs that this role does not own at this company in this month."""
    return frozenset(
        kpi
        for hidden in book.hidden
        if not any(holds(facts, month, when) for when in hidden.owned_when)
        for kpi in hidden.kpis
    )


def holds(facts: Facts, month: str, when: When, cut: str | None = None, segment: str | None = None) -> bool:
    """Whether every condition holds in a month, of the whole company or of a segment."""
    return all_hold(when, lambda name: _subject(facts, month, name, cut, segment))


def _subject(facts: Facts, month: str, name: str, cut: str | None, segment: str | None) -> Subject:
    return Subject(
        compute.raw_value(facts, name, cut, month, segment),
        lambda back: compute.raw_value(facts, name, cut, shift(month, -back), segment),
        lambda bound: compute.in_minor_units(facts, bound, month),
        lambda days: compute.settled(facts, month, days),
    )
