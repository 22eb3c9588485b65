"""The board report as plain data: what was computed, nothing about how it looks.

Every number in it is a ``KpiValue`` or a sum handed over by the metrics core. ``render`` turns the same
``BoardReport`` into HTML, Markdown and text; money is in minor units of ``currency`` throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from metrics.evidence import Record
from metrics.finding import Finding
from metrics.kpi import KpiValue, Unit
from pipeline import snapshots
from pipeline.scores import FieldScore


@dataclass(frozen=True)
class Point:
    """One month of a series; ``value`` null where the number is undefined."""

    month: str
    value: float | None


@dataclass(frozen=True)
class ScoreRow:
    """One line of the scorecard. ``series``: twelve months ending with the report's. ``edges``: thresholds."""

    now: KpiValue
    last_month: KpiValue | None = None
    year_ago: KpiValue | None = None
    series: tuple[Point, ...] = ()
    edges: tuple[float, ...] = ()
    higher_is_better: bool | None = None


@dataclass(frozen=True)
class Movement:
    """One step of the ARR bridge, signed: churn and contraction are negative."""

    id: str
    label: str
    amount: int


@dataclass(frozen=True)
class Bridge:
    """Opening ARR, every movement, closing ARR; ``opening + sum(movements) == closing`` to the cent.

    ``escalator``: what of other expansion was contracted before (R13).
    """

    label: str
    opening: int
    movements: tuple[Movement, ...]
    closing: int
    escalator: int = 0

    def __post_init__(self) -> None:
        gap = self.opening + sum(step.amount for step in self.movements) - self.closing
        if gap:
            raise ValueError(f"the ARR bridge of {self.label} does not tie: it is off by {gap} minor units")


@dataclass(frozen=True)
class NrrPoints:
    """What made NRR of one size of customers, or of all (``segment`` null).

    ``parts``: name and tenths of a percentage point, signed; they add up to NRR less 100. ``customers``: of the
    opening.
    """

    segment: str | None
    customers: int
    parts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """NRR less 100, in tenths of a point."""
        return sum(tenths for _, tenths in self.parts)


@dataclass(frozen=True)
class StageRow:
    """All deals that stand in one stage, open or closed. ``open`` null: the stage is in no pipeline we know.

    ``unconverted``: deals whose currency has no rate, not in ``amount``.
    """

    stage: str
    label: str
    deals: int
    amount: int
    open: bool | None
    unconverted: int = 0


@dataclass(frozen=True)
class CleanPart:
    """One part of the cleanliness score: the share of faulty records (null, with ``reason``) and its weight."""

    label: str
    share: float | None
    weight: float
    reason: str | None = None


@dataclass(frozen=True)
class RuleCount:
    rule: str
    severity: str
    findings: int


@dataclass(frozen=True)
class OwnerCount:
    """For the operator's eyes; the board's forms never print the name."""

    owner: str
    findings: int


@dataclass(frozen=True)
class Quality:
    """How far the records behind the numbers can be trusted, on the day the report is of, as known at ``known_at``.

    Ratios 0..1, ``cleanliness`` 0..100; ``reasons`` say why one of them is null.
    """

    completeness: float | None
    cleanliness: float | None
    threshold: float
    reasons: tuple[str, ...] = ()
    fields: tuple[FieldScore, ...] = ()
    parts: tuple[CleanPart, ...] = ()
    rules: tuple[RuleCount, ...] = ()
    owners: tuple[OwnerCount, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A deal that is in no figure of recurring revenue, and why."""

    external_id: str
    name: str
    reason: str
    url: str | None = None


@dataclass(frozen=True)
class Caveat:
    """Something this CRM cannot tell, what that costs, and what would mend it."""

    title: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Definition:
    """One entry of the appendix: the KPI's own documentation, and (product, sentence) for who defines it otherwise."""

    id: str
    title: str
    version: str
    text: str
    elsewhere: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Evidence:
    """The records behind one number: the ``shown`` largest of ``total``."""

    kpi: str
    title: str
    total: int
    unit: Unit
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Frozen:
    """One month's numbers and the records behind them, exactly; frames as in ``metrics.snapshot``."""

    company: str
    month: str
    known_at: datetime
    currency: str
    playbook: str
    definitions: str
    values: pl.DataFrame = field(repr=False)
    evidence: pl.DataFrame = field(repr=False)

    @property
    def digest(self) -> str:
        """Stands for all of it: see ``pipeline.snapshots.digest``."""
        return snapshots.digest(self.currency, self.playbook, self.definitions, self.values, self.evidence)


@dataclass(frozen=True)
class RecordChange:
    """A record that counts otherwise than when the number was published; null: it was, or is, not among them.

    ``cause``: one of ``metrics.causes.CAUSES``; ``field``, ``old``, ``new``: of what changed, as a person reads them,
    null where nobody keeps it or it is nobody's business; ``at``: when, on the CRM's clock; ``through``: the deal or
    customer that it happened to, where that is another record.
    """

    object: str
    name: str
    external_id: str
    before: float | None
    after: float | None
    cause: str
    field: str | None = None
    old: str | None = None
    new: str | None = None
    at: datetime | None = None
    through: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class CauseShare:
    """One cause of a restatement: how many records, and what they add in the unit of their contribution.

    ``field``: of the cause ``changed``. ``through``: it happened to another deal of the records' customers.
    ``step`` null: the two contributions are in different currencies.
    """

    cause: str
    object: str
    records: int
    step: float | None
    field: str | None = None
    through: bool = False


@dataclass(frozen=True)
class Restatement:
    """A published number that is another one now, and the records that make the difference.

    ``cut``, ``segment``: of a segment of a number (``size``, ``SMB``), both empty for the whole company.
    ``other_definition``, ``other_currency``: the ones it was published under, where they changed; ``other_settings``:
    the keys of the configuration that said something else then; ``inputs``: what of its input files was revised since.
    ``causes``: the largest first. ``records``: the largest of ``total``, in ``contribution_unit``.
    ``difference``: what the records have to explain (now less published; of an average or a share: of the sum it is
    made from), null where the records of such a number do not add up to it; ``unexplained``: what of it the records do
    not explain.
    """

    kpi: str
    title: str
    cut: str
    segment: str
    month: str
    unit: Unit
    currency: str
    published: float | None
    published_at: datetime
    now: float | None
    reasons: tuple[str, ...] = ()
    other_definition: str | None = None
    other_settings: tuple[str, ...] = ()
    other_currency: str | None = None
    inputs: tuple[str, ...] = ()
    contribution_unit: Unit = "count"
    causes: tuple[CauseShare, ...] = ()
    records: tuple[RecordChange, ...] = ()
    total: int = 0
    difference: float | None = None
    unexplained: float | None = None


@dataclass(frozen=True)
class BoardReport:
    """Everything a board summary says, before any form is given to it.

    ``month`` is YYYY-MM; ``state_on`` is the day the stocks are read; ``known_at`` is the moment up to
    which the CRM was listened to. ``headline``: three sentences made from the numbers below, no others.
    ``growth_month`` and ``growth_year``: ARR growth at constant exchange rates, which the sentences speak of.
    ``records``: how many accounts and deals the store holds; none at all makes an empty report.
    """

    company: str
    playbook: str
    month: str
    period: str
    state_on: date
    known_at: datetime
    currency: str
    crm: str
    records: int
    headline: tuple[str, ...] = ()
    scorecard: tuple[ScoreRow, ...] = ()
    growth_month: KpiValue | None = None
    growth_year: KpiValue | None = None
    bridge_month: Bridge | None = None
    bridge_year: Bridge | None = None
    arr_trend: tuple[Point, ...] = ()
    nrr_trend: tuple[Point, ...] = ()
    grr_trend: tuple[Point, ...] = ()
    nrr_points: tuple[NrrPoints, ...] = ()
    win_rates: tuple[KpiValue, ...] = ()
    pipeline: tuple[StageRow, ...] = ()
    quality: Quality | None = None
    left_out: tuple[LeftOut, ...] = ()
    left_out_total: int = 0
    caveats: tuple[Caveat, ...] = ()
    definitions: tuple[Definition, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    timezone: str = "UTC"
    synced_at: datetime | None = None
    notes: tuple[str, ...] = field(default=())
    restatements: tuple[Restatement, ...] = ()
    frozen: Frozen | None = None
    findings: tuple[Finding, ...] = ()
    low_sample: int = 10  # below so many a rate is on few deals
    role: str | None = None  # why the headline KPIs are others than the playbook's usual ones

    @property
    def empty(self) -> bool:
        return self.records == 0

    @property
    def exchange_moved(self) -> bool:
        """Whether exchange rates are part of how ARR changed in the month or the twelve months."""
        bridges = (bridge for bridge in (self.bridge_month, self.bridge_year) if bridge is not None)
        return any(step.amount for bridge in bridges for step in bridge.movements if step.id == "fx")

    def score(self, kpi: str) -> KpiValue | None:
        """The scorecard's value of one KPI, if it is there."""
        return next((row.now for row in self.scorecard if row.now.id == kpi), None)
