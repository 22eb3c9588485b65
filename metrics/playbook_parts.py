"""What a playbook is made of; ``metrics.playbook`` puts the parts together and says how they are written.

The texts ``target``, ``says``, ``next`` and ``otherwise`` are printed as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from connectors import registry
from connectors.spelling import nearest
from metrics.condition import Comparison, Part, When, looks_back
from metrics.kpi_ids import KPI_IDS as KPI_IDS
from metrics.kpi_ids import Unit

# What a condition may ask beside KPIs: see ``metrics.circumstances``.
CIRCUMSTANCE_UNITS: Final[Mapping[str, Unit]] = {
    "company_arr": "currency",
    "paying_customers": "count",
    "arr_growth_compound": "ratio",
    "sales_team": "count",
    "engagement_months": "months",
    "full_gtm": "count",  # these three: 1 or 0
    "founder_led": "count",
    "partner_led": "count",
}
CIRCUMSTANCES: Final = tuple(CIRCUMSTANCE_UNITS)


def known(name: str, names: Iterable[str], what: str) -> str:
    """The name, where it is one of them; else a ``ValueError`` with the nearest one."""
    names = tuple(names)
    if name not in names:
        near = nearest(name, names)
        raise ValueError(f"there is no {what} {name!r}" + (f"; did you mean {near}?" if near else ""))
    return name


def _kpi(name: str) -> str:
    return known(name, KPI_IDS, "KPI")


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a KPI stands in it twice")
    return names


def _asked(when: When) -> When:
    for name in when:
        known(name, (*KPI_IDS, *CIRCUMSTANCES), "KPI or circumstance")
    return when


KpiId = Annotated[str, AfterValidator(_kpi)]
KpiIds = Annotated[tuple[KpiId, ...], AfterValidator(_once)]
Conditions = Annotated[When, AfterValidator(_asked)]
Days = Annotated[int, Field(ge=0, le=3660)]


class Rule(Comparison):
    """A status, and when it is given: bounds of the number, a segment, conditions on other numbers.

    ``segment``: one of the playbook's; the rule then speaks of that segment only, never of the whole. ``when``: of the
    same month and segment. ``says``: what the number then means.
    """

    status: Literal["on_target", "watch", "off_target"]
    segment: str | None = None
    when: Conditions = {}
    says: str | None = None

    def _needs_a_bound(self) -> bool:
        return not self.when


class Line(Part):
    """What a playbook says of one KPI: the target in words, and the rules, the first that holds counts.

    ``judged_by``: a circumstance that is compared in place of the number. ``only_segments``: the number of the whole
    company is never judged, not even against a target of the client's own.
    """

    target: str | None = None
    rules: tuple[Rule, ...] = ()
    judged_by: str | None = None
    only_segments: bool = False

    @model_validator(mode="after")
    def _known_measure(self) -> Line:
        if self.judged_by is not None:
            known(self.judged_by, CIRCUMSTANCES, "circumstance")
        return self


class Segment(Part):
    """A segment that rules speak of: its names, compared without case, in one way of cutting numbers."""

    cut: Literal["size", "industry", "motion", "product", "owner", "pipeline"] = "size"
    names: Annotated[tuple[str, ...], Field(min_length=1)]

    def __contains__(self, segment: object) -> bool:
        return isinstance(segment, str) and segment.strip().lower() in {name.lower() for name in self.names}


class Occasion(Part):
    """Conditions of which one set must hold: ``when`` is one set, ``any_of`` several; neither: always."""

    when: Conditions = {}
    any_of: tuple[Conditions, ...] = ()

    @model_validator(mode="after")
    def _one_of_them(self) -> Occasion:
        if self.when and self.any_of:
            raise ValueError("either when or any_of, not both")
        return self

    @property
    def sets(self) -> tuple[When, ...]:
        return self.any_of or (self.when,)

    @property
    def looks_back(self) -> set[int]:
        return {months for when in self.sets for months in looks_back(when)}


class Hidden(Part):
    """KPIs that this role does not own and that are in no report, unless one set of ``owned_when`` holds."""

    kpis: KpiIds
    owned_when: tuple[Conditions, ...] = ()


class Shift(Occasion):
    """Another set of headline KPIs where the company is of another kind."""

    headline: Annotated[KpiIds, Field(min_length=1)]
    says: str


class Fit(Occasion):
    """When a fractional CRO is not the right choice. ``level``: a warning, or a remark."""

    says: str
    level: Literal["warning", "remark"] = "warning"
    early: bool = False  # print the numbers of a company that is too young for KPIs


class Call(Occasion):
    """A diagnosis that is called for: which (a module of ``metrics.diagnosis``), about which KPI, and when.

    ``segment``: the conditions are asked of that segment. ``off_client_target``: called for where the number misses the
    client's own target, whole or by size. ``says``: what the source document makes of it. ``next``: what to check or do
    next. ``options``: numbers the diagnosis takes, by the names that it says.
    """

    rule: str
    kpi: KpiId
    segment: str | None = None
    off_client_target: bool = False
    says: str | None = None
    next: str
    options: dict[str, float] = {}

    @model_validator(mode="after")
    def _known_rule(self) -> Call:
        known(self.rule, registry.names("metrics.diagnosis"), "diagnosis")
        return self


class Expectation(Part):
    """From which day of the engagement on to which day an improvement of these KPIs can be expected."""

    kpis: Annotated[KpiIds, Field(min_length=1)]
    from_days: Days
    to_days: Days

    @model_validator(mode="after")
    def _in_order(self) -> Expectation:
        if self.from_days > self.to_days:
            raise ValueError("from_days lies after to_days")
        return self


class Checkpoint(Part):
    """When and how the engagement is judged.

    ``improvement``: after ``after_days``, at least ``needed`` of the agreed KPIs must be better. ``leading``: none is
    judged before ``after_days``, then ``kpis`` monthly, and one of them must be better by ``limit_days``.
    ``expectations``: each KPI by its own clock. ``noise``: a change must be larger than this share of the baseline.
    ``actionable``: which to look at first. ``otherwise``: what it means when it fails.
    """

    kind: Literal["improvement", "leading", "expectations"]
    after_days: Days = 90
    limit_days: Days | None = None
    kpis: Annotated[KpiIds, Field(min_length=1)]
    needed: Annotated[int, Field(ge=1)] = 1
    fewest: Annotated[int, Field(ge=1)] | None = None  # agreed KPIs
    most: Annotated[int, Field(ge=1)] | None = None
    noise: Annotated[float, Field(ge=0, lt=1)] = 0.05
    actionable: KpiIds = ()
    otherwise: str
    leave: str | None = None  # what the contract should say

    @model_validator(mode="after")
    def _whole(self) -> Checkpoint:
        if self.kind == "leading" and (self.limit_days is None or self.limit_days < self.after_days):
            raise ValueError("leading needs limit_days, not before after_days")
        if self.kind == "improvement" and self.needed > len(self.kpis):
            raise ValueError(f"{self.needed} of {len(self.kpis)} KPIs can never be better")
        return self
