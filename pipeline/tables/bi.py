"""Numbers as last computed, for BI tools. Everything here can be thrown away and computed again."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import BigInteger, Double
from sqlmodel import Field, SQLModel

from pipeline.columns import Key, KeyDay, Money, Real, SomeMoment, SomeText, Whole, Words


class KpiMonth(SQLModel, table=True):
    """Every KPI of the last 36 months as last computed, for BI tools; written anew after each sync.

    Grain: company, month, KPI, ``cut`` and ``segment`` ('' and '' for the whole company). Money is in major units of
    ``currency`` (``value_minor``: exact, in minor units); ratios are 0.85 for 85 %; null is undefined.
    """

    __tablename__ = "kpi_monthly"
    company: Key
    month: Key
    kpi: Key
    cut: Key
    segment: Key
    title: SomeText
    period: SomeText
    value: Real
    value_minor: Money
    numerator: Real
    denominator: Real
    unit: SomeText
    currency: SomeText
    n: Whole
    status: SomeText
    target: Words
    reasons: Words
    definition: SomeText
    known_at: SomeMoment


class ArrMovement(SQLModel, table=True):
    """The ARR bridge, customer by customer, for BI tools; written anew after each sync.

    Grain: company, month, customer, product and movement (opening, new_logo, expansion_seat, expansion_module,
    expansion_other, reactivation, contraction, churn, fx, closing). Amounts are signed: all but ``closing`` add up to
    ``closing``. ``amount_minor`` is exact, in minor units of ``currency``; ``amount`` the same in major units.
    """

    __tablename__ = "arr_movements"
    company: Key
    month: Key
    customer: Key
    product: Key
    movement: Key
    customer_name: Words
    product_name: Words
    amount_minor: Annotated[int, Field(nullable=False, sa_type=BigInteger)]
    amount: Annotated[float, Field(nullable=False, sa_type=Double)]
    currency: SomeText
    known_at: SomeMoment


class QualityMonth(SQLModel, table=True):
    """Data quality at the end of each of the last 36 months, for BI tools; written anew after each sync.

    Grain: company, month, measure and field. ``measure``: completeness (``field`` '' for all required fields of open
    deals, else one of them: the share of filled cells), cleanliness (``field`` '': the score, 0 to 100) and faulty
    (``field``: a part of that score; the share of faulty records). Shares are 0..1, ``counted`` of ``total``.
    """

    __tablename__ = "quality_monthly"
    company: Key
    month: Key
    measure: Key
    field: Key
    value: Real
    counted: Whole
    total: Whole
    known_at: SomeMoment


class CalendarDay(SQLModel, table=True):
    """The company's days, by which ``deals_as_of`` is asked. Grain: company and local day.

    ``ends_at`` is the last instant of the day in the company's time zone, as UTC.
    """

    __tablename__ = "calendar_days"
    company: Key
    day: KeyDay
    ends_at: SomeMoment
