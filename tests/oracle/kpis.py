"""Every KPI by its id, for every way to cut it: the whole of the second computation in one table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import cache, partial

from tests.oracle.acquisition import Acquisition, Paid
from tests.oracle.forecast import Forecasts
from tests.oracle.health import Health, Lives
from tests.oracle.ledger import Listed
from tests.oracle.motion import Motion
from tests.oracle.motion_figures import StageTargets
from tests.oracle.motion_figures import numbers as selling
from tests.oracle.number import Cell, Figure, Number, ratio
from tests.oracle.quality import cells_of, cleanliness, duplicates, outdated
from tests.oracle.quotas import Filed, Quotas
from tests.oracle.record import Truth
from tests.oracle.recurring import numbers as recurring
from tests.oracle.revenue import Revenue
from tests.oracle.sales import Sales
from tests.oracle.segments import Segments


@dataclass(frozen=True)
class Files:
    """What the company's input files say."""

    quotas: Sequence[Filed] = ()
    stage_days: StageTargets = field(default_factory=dict)
    spend: Sequence[Paid] = ()
    margins: Mapping[date, Fraction] = field(default_factory=dict)
    lives: Lives = field(default_factory=lambda: Lives((), (), ()))


@dataclass(frozen=True)
class Crm:
    """What the CRM cannot tell like the other, or calls by another name."""

    keeps_retired: bool = True  # whether it still shows the stages that were taken out of the layout
    has_quotas: bool = True
    bin: timedelta = timedelta(days=15)  # how long it still shows what has been deleted
    pipeline: str = "default"
    one_person: bool = False  # whether a lead and the contact that it became are one record
    owner_id: Callable[[int], str] = str


RECURRING = ("arr", "carr", "nrr", "grr", "logo_churn")
CLOSED = ("win_rate", "win_rate_value", "avg_deal_size")
SELLING = ("win_rate_cohort", "cycle_days", "sales_velocity", "stage_days", "poc_")
PIPELINE = ("pipeline_", "forecast_")
ACQUIRED = ("cac_", "lead_to", "mql_to", "marketing_", "partner_", "cost_per")


def numbers(
    truth: Truth,
    files: Files | None = None,
    crm: Crm | None = None,
    listed: Sequence[Listed] = (),
    wanted: Collection[str] | None = None,
) -> dict[str, Number]:
    """All KPIs of a company as known at the truth's moment, by the ways that it has chosen; ``listed``: its opening
    list, where it has one; ``wanted``: those that are asked for, where not all are."""
    files, crm = files or Files(), crm or Crm()
    of = Segments(truth, crm.pipeline, crm.one_person, crm.owner_id)

    @cache
    def revenue() -> Revenue:
        return Revenue(truth, truth.ways["arr.source"], listed, truth.ways["arr.deals_from"])

    stage_days = {
        (truth.quarter(first), cut, segment, stage): days
        for (first, cut, segment, stage), days in files.stage_days.items()
    }
    quotas = partial(Quotas, truth, of, files.quotas, of_crm=crm.has_quotas)
    makers: list[tuple[Callable[[str], bool], Callable[[], dict[str, Number]]]] = [
        (lambda kpi: kpi in RECURRING or kpi.startswith("arr_"), lambda: recurring(revenue(), of)),
        (lambda kpi: kpi in CLOSED, lambda: Sales(truth).numbers(of)),
        (lambda kpi: kpi.startswith(SELLING), lambda: selling(Motion(truth), of, stage_days)),
        (
            lambda kpi: kpi.startswith(PIPELINE),
            lambda: Forecasts(truth, keeps_retired=crm.keeps_retired).numbers(of, quotas()),
        ),
        (
            lambda kpi: kpi.startswith(ACQUIRED),
            lambda: Acquisition(truth, of, revenue(), files.spend, files.margins).numbers(),
        ),
        (lambda kpi: kpi == "health_score", lambda: Health(truth, files.lives, revenue()).numbers(of)),
        (lambda kpi: kpi in ("field_completeness", "data_cleanliness"), lambda: _quality(truth, of)),
    ]
    found: dict[str, Number] = {}
    for mine, make in makers:
        if wanted is None or any(map(mine, wanted)):
            found |= make()
    return found


def _quality(truth: Truth, of: Segments) -> dict[str, Number]:
    standing = duplicates(truth), outdated(truth)

    def complete(cell: Cell) -> Figure:
        want, cells = sum(row.want for row in cell.rows), sum(row.count for row in cell.rows)
        if truth.ways["quality.completeness_by"] == "amount":
            most = sum(row.want * row.value for row in cell.rows)
            have = sum(row.have * row.value for row in cell.rows)
            return Figure(Fraction(have, most) if most else None, n=cells)
        return ratio(sum(row.have for row in cell.rows), want, cells)

    return {
        "field_completeness": Number(
            lambda month: list(cells_of(truth, month)),
            lambda cut, row: of.deal(cut, row.deal),
            complete,
            ("size", "owner"),
        ),
        "data_cleanliness": Number(
            lambda month: (),
            lambda cut, row: "",
            lambda cell: Figure(cleanliness(truth, cell.month, standing)),
            (),
        ),
    }
