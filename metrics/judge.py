"""A playbook's verdict on a number: the status its rules give, the target in words, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from metrics.condition import Quantity, Subject, all_hold
from metrics.kpi import Status, Unit
from metrics.playbook import Line, Playbook, Rule
from metrics.render import numbers
from metrics.words import by_segment

# How a circumstance that stands in for a number is named in a sentence.
MEASURES: Final[Mapping[str, str]] = {
    "arr_growth_compound": "a month, compounded over three months",
    "company_arr": "ARR",
    "paying_customers": "paying customers",
    "sales_team": "people in sales and customer success",
    "engagement_months": "months of the engagement",
    "full_gtm": "full go-to-market scope",
    "founder_led": "founder-led sales",
    "partner_led": "partner-led sales",
}


def _unknown(name: str, months: int) -> float | None:
    return None


def _no_rate(bound: Quantity) -> float | None:
    return None


def _at_once(days: int) -> int:
    return 0


@dataclass(frozen=True)
class Asked:
    """A number that is to be judged, and what the rules may ask about it.

    ``segment``: {} for the whole company, {"size": "SMB"} for a part of it. ``other``: another KPI of the same month
    and segment, or a circumstance, so many months before. ``money``: an amount in minor units of the report's
    currency; ``settled``: see ``Subject``. ``client``: the client's own target, None where there is none, or where
    it cannot be computed, and ``client_lacks`` then says why. ``higher_is_better``: of the KPI.
    """

    kpi: str
    value: float | None
    title: str = ""
    unit: Unit = "ratio"
    period: str = ""
    currency: str = "USD"
    segment: Mapping[str, str] = field(default_factory=dict)
    other: Callable[[str, int], float | None] = _unknown
    money: Callable[[Quantity], float | None] = _no_rate
    settled: Callable[[int], int] = _at_once
    client: float | None = None
    client_lacks: str | None = None
    higher_is_better: bool | None = None

    def about(self, name: str) -> Subject:
        """Another number as a condition sees it."""
        return Subject(self.other(name, 0), lambda months: self.other(name, months), self.money, self.settled)


@dataclass(frozen=True)
class Verdict:
    """``sentence``: number, comparison and what it means; None where no rule and no target speaks."""

    status: Status
    target: str | None
    sentence: str | None = None


class Judge:
    """One playbook at work."""

    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook

    def __call__(self, asked: Asked) -> Verdict:
        """The first rule that holds gives the status, else the client's own target; neither: no target.

        A number that is undefined is not judged. Whether a defined one can be trusted is for the caller to say.
        """
        line = self.playbook.line(asked.kpi)
        target = _target(line, asked)
        if asked.value is None:
            return Verdict("not_computable", target)
        subject = self._subject(line, asked)
        for rule in line.rules:
            if (
                self._speaks_of(rule, asked)
                and rule.holds_or_free(subject)
                and all_hold(rule.when, asked.about)
            ):
                return Verdict(rule.status, target, _sentence(rule, line, asked, subject))
        if asked.client is None or (line.only_segments and not asked.segment):
            return Verdict("no_target", target)
        return _against_client(asked, target)

    def _subject(self, line: Line, asked: Asked) -> Subject:
        if line.judged_by is not None:
            return asked.about(line.judged_by)
        return Subject(asked.value, lambda months: asked.other(asked.kpi, months), asked.money, asked.settled)

    def _speaks_of(self, rule: Rule, asked: Asked) -> bool:
        if rule.segment is None:
            return True
        return any(self.playbook.in_segment(rule.segment, cut, name) for cut, name in asked.segment.items())


def _target(line: Line, asked: Asked) -> str | None:
    """The playbook's words, and the client's own target."""
    told = asked.client_lacks if asked.client is None else _text(asked, asked.client)
    own = None if told is None else f"the client's own: {told}"
    return "; ".join(text for text in (line.target, own) if text) or None


def _against_client(asked: Asked, target: str | None) -> Verdict:
    if asked.higher_is_better is None or asked.client is None or asked.value is None:
        return Verdict("no_target", target)
    missed = asked.value < asked.client if asked.higher_is_better else asked.value > asked.client
    side = "below" if asked.value < asked.client else "above" if asked.value > asked.client else "at"
    sentence = f"{_subject_words(asked)} is {_text(asked, asked.value)}, {side} the client's target of"
    return Verdict(
        "off_target" if missed else "on_target", target, f"{sentence} {_text(asked, asked.client)}."
    )


def _sentence(rule: Rule, line: Line, asked: Asked, subject: Subject) -> str:
    """``Win rate (2026-Q2) is 19.0%, below 20%: product-market fit or sales enablement.``"""
    value = asked.value if subject.value is None else subject.value
    compared = rule.words(asked.unit, asked.currency)
    text = numbers.quantity(value or 0, asked.unit, asked.currency, [bound.value for _, bound in rule.bounds])
    measure = f" {MEASURES[line.judged_by]}" if line.judged_by else ""
    parts = [f"{_subject_words(asked)} is {text}{measure}", compared]
    says = f": {rule.says}" if rule.says else ""
    return f"{', '.join(part for part in parts if part)}{says}."


def _subject_words(asked: Asked) -> str:
    return (
        f"{asked.title or asked.kpi}{by_segment(asked.segment)}{f' ({asked.period})' if asked.period else ''}"
    )


def _text(asked: Asked, value: float) -> str:
    edges = [edge for edge in (asked.client,) if edge is not None]
    return numbers.quantity(value, asked.unit, asked.currency, edges)
