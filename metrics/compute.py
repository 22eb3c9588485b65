"""All KPIs over all months in one pass, each with its status; and the frames a report is drawn from.

Status, the first that applies: ``not_computable`` (no value; the reason says why), ``unreliable`` (a field the KPI
stands on is filled on fewer deals than the company's threshold, definition book, R14), ``low_sample`` (counts below the
company's limit), then what ``judge`` says, else ``no_target``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, cast

import polars as pl

from connectors.errors import ConfigurationError
from connectors.registry import units
from connectors.schema import exponent, iso
from metrics import bridge as arr_bridge
from metrics import circumstances, client_targets, reliability, unplaced
from metrics.condition import Quantity
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.judge import Asked, Verdict
from metrics.kpi import CUTS, EVIDENCE, MEASURE, Kpi, KpiValue, Status, Unit
from metrics.kpi_ids import MONEY
from metrics.period import month_last, shift
from metrics.playbook_parts import CIRCUMSTANCES
from metrics.words import UNKNOWN

UNREAD: Final = (
    "the CRM has not been read to its end yet: run `boardline sync --once` until it ends without an error"
)

Judge = Callable[[Asked], Verdict]


def registered() -> dict[str, Kpi]:
    """Every KPI by id."""
    return cast(dict[str, Kpi], units("metrics.kpis", "KPI"))


def compute(
    facts: Facts,
    kpis: Iterable[str] | None = None,
    cuts: Sequence[str | None] = (None,),
    judge: Judge | None = None,
) -> list[KpiValue]:
    """The values of ``kpis`` (default: all) for every month of ``facts``, in the order of cut, KPI, month and segment.

    The cut None gives one value per month for the whole company; any other (size | industry | motion | product |
    owner | pipeline) one per segment, and none for KPIs that cannot be cut that way. ``judge`` gives status and target
    of a value that is otherwise sound. Raises ``ConfigurationError`` for an unknown KPI or cut.
    """
    known = registered()
    wanted = list(known) if kpis is None else list(kpis)
    for name in wanted:
        if name not in known:
            raise ConfigurationError(f"there is no KPI {name!r}; known are {', '.join(known)}")
    for cut in cuts:
        if cut is not None and cut not in CUTS:
            raise ConfigurationError(f"numbers cannot be cut by {cut!r}; possible are {', '.join(CUTS)}")
    return [
        value
        for cut in cuts
        for name in wanted
        if cut is None or cut in known[name].cuts
        for value in _values(facts, known[name], cut, judge)
    ]


def _measured(facts: Facts, kpi: Kpi, cut: str | None) -> pl.DataFrame:
    """The KPI's rows of ``MEASURE``; what was computed once is kept with the facts.

    One plan at a time: they share no steps, and planning them together takes twice as long as running them. A faulty
    input file makes every value undefined, with the fault as reason.
    """
    known = facts.once(_known_measures)
    if (kpi.id, cut) not in known:
        try:
            known[kpi.id, cut] = kpi.compute(facts, cut).collect()
        except InputFault as fault:
            known[kpi.id, cut] = _undefined(facts, cut, fault.reason)
    return known[kpi.id, cut]


def _known_measures(facts: Facts) -> dict[tuple[str, str | None], pl.DataFrame]:
    """KPI and cut -> its rows, filled as it is asked for."""
    return {}


def _undefined(facts: Facts, cut: str | None, reason: str) -> pl.DataFrame:
    """No value for any month, whole or of the bucket ``unknown``."""
    rows = [(month, None if cut is None else UNKNOWN, reason) for month in facts.months]
    given = pl.DataFrame(rows, schema=("month", "segment", "reason"), orient="row")
    return given.select(
        (pl.col(name) if name in given.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in MEASURE.items()
    )


def evidence(facts: Facts, kpi: Kpi, month: str, cut: str | None = None) -> pl.DataFrame:
    """The records behind a KPI's value of a month, as ``EVIDENCE``; none where a faulty input file leaves no value.

    With a ``cut`` of the KPI also ``segment``: whose value each record, or its part, stands behind. Raises
    ``ConfigurationError`` for a way the KPI cannot be cut.
    """
    if cut is not None and cut not in kpi.cuts:
        possible = f"by {', '.join(kpi.cuts)}" if kpi.cuts else "in no way"
        raise ConfigurationError(f"{kpi.id} cannot be cut by {cut!r}; it can be cut {possible}")
    try:
        return kpi.evidence(facts, month, cut)
    except InputFault:  # its value names the fault
        return pl.DataFrame(schema={**EVIDENCE, **({} if cut is None else {"segment": pl.String})})


def _values(facts: Facts, kpi: Kpi, cut: str | None, judge: Judge | None) -> Iterator[KpiValue]:
    kpi = kpi.under(facts.company)
    rows = _measured(facts, kpi, cut)
    # Where nothing could be computed there is nothing to doubt.
    doubts = {} if rows["value"].is_null().all() else reliability.doubts(facts, kpi)
    unread = facts.info is not None and facts.info.incomplete
    guessed = reliability.not_reconstructed(facts, kpi, cut)
    placeless = {} if rows["value"].is_null().all() else unplaced.told(facts, kpi, cut)
    periods = {month: facts.calendar.label(month, kpi.period, kpi.quarters) for month in facts.months}
    top, bottom = kpi.parts
    known_at, currency = facts.known_at, facts.currency
    # Values of one segment share it: there may be hundreds of thousands of them.
    segments: dict[str | None, Mapping[str, str]] = {None: {}}
    if cut is not None:
        segments |= {segment: {cut: segment} for segment in rows["segment"].unique()}
    for month, segment, value, numerator, denominator, n, told in rows.iter_rows():
        # "There are no deals" would be said of deals that nobody has read.
        reason = UNREAD if unread and value is None else told
        status, reasons = _status(kpi, value, n, reason, doubts.get(month, ()), facts.company.low_sample)
        number, target, sentence = _number(value, kpi.unit), None, None
        if judge is not None:
            verdict = judge(_asked(facts, kpi, cut, month, segment, number))
            target = verdict.target
            if status == "no_target":
                status, sentence = verdict.status, verdict.sentence
        yield KpiValue(
            id=kpi.id,
            title=kpi.title,
            period=periods[month],
            month=month,
            value=number,
            unit=kpi.unit,
            numerator=_number(numerator, top),
            denominator=_number(denominator, bottom),
            n=n,
            segment=segments[segment],
            status=status,
            target=target,
            reasons=(*reasons, *guessed, *placeless.get((month, segment), ())),
            definition=kpi.definition,
            known_at=known_at,
            currency=currency,
            parts=kpi.parts,
            verdict=sentence,
        )


def _asked(
    facts: Facts, kpi: Kpi, cut: str | None, month: str, segment: str | None, number: float | None
) -> Asked:
    """The number as a judge sees it: with all that its rules may ask."""
    return Asked(
        kpi=kpi.id,
        value=number,
        title=kpi.title,
        unit=kpi.unit,
        period=facts.calendar.label(month, kpi.period, kpi.quarters),
        currency=facts.currency,
        segment={} if cut is None else {cut: segment or ""},
        other=lambda name, back: raw_value(facts, name, cut, shift(month, -back), segment),
        money=lambda bound: in_minor_units(facts, bound, month),
        settled=lambda days: settled(facts, month, days),
        client=client_targets.target(facts, kpi, month, cut, segment),
        client_lacks=client_targets.lacking(facts, kpi, month, cut, segment),
        higher_is_better=kpi.higher_is_better,
    )


def raw_value(facts: Facts, name: str, cut: str | None, month: str, segment: str | None) -> float | None:
    """A KPI of one of the facts' months and segments, or a circumstance, as it was computed.

    None where it is undefined, where that KPI cannot be cut so or is not there, or where the month is none of the
    facts'.
    """
    if name in CIRCUMSTANCES:
        return circumstances.value(facts, name, month)
    kpi = registered().get(name)
    if kpi is None or (cut is not None and cut not in kpi.cuts):
        return None
    rows = facts.once(_looked_up)
    if (name, cut) not in rows:
        table = _measured(facts, kpi, cut).select("month", "segment", "value")
        rows[name, cut] = {(row[0], row[1]): row[2] for row in table.iter_rows()}
    return rows[name, cut].get((month, segment))


def _looked_up(facts: Facts) -> dict[tuple[str, str | None], dict[tuple[str, str | None], float | None]]:
    """KPI and cut -> month and segment -> value, filled as it is asked for."""
    return {}


def settled(facts: Facts, month: str, days: int) -> int:
    """How many months before a month the last one lies that had been over for so many days when it was asked."""
    back = 0
    while (facts.calendar.known_day - month_last(shift(month, -back))).days < days:
        back += 1
    return back


def in_minor_units(facts: Facts, bound: Quantity, month: str) -> float | None:
    """An amount of a playbook in the report's currency at the rate of D; None where its currency has no rate."""
    if bound.currency is None:
        return bound.value
    amount = pl.DataFrame(
        {"minor": [round(bound.value * 10 ** exponent(bound.currency))], "currency": [bound.currency]},
        schema={"minor": pl.Int64, "currency": pl.String},
    ).with_columns(day=pl.lit(facts.calendar.day(month)))
    found: int | None = facts.rates.convert(amount, "minor", "day", "value")["value"][0]
    return found


def _status(
    kpi: Kpi, value: float | None, n: int | None, reason: str | None, doubts: tuple[str, ...], fewest: int
) -> tuple[Status, tuple[str, ...]]:
    if value is None:
        return "not_computable", (reason or "undefined",)
    notes = (reason,) if reason else ()
    few: tuple[str, ...] = ()
    if kpi.counted and n is not None and n < fewest:
        few = (f"low sample: {n}, fewer than {fewest}",)
    status: Status = "unreliable" if doubts else "low_sample" if few else "no_target"
    return status, (*doubts, *few, *notes)


def _number(value: float | None, unit: Unit | None) -> int | float | None:
    if value is None or unit not in (*MONEY, "count") or value != int(value):
        return value
    return int(value)


def bridge(facts: Facts) -> pl.DataFrame:
    """The ARR bridge: month, opening, new_logo, expansion_seat, expansion_module, expansion_other, reactivation,
    contraction, churn, fx, closing, escalator; minor units.

    opening + fx + new_logo + expansions + reactivation - contraction - churn = closing, to the cent. Opening is the
    closing of the month before (at its own rate); contraction and churn are positive amounts. The escalator is the part
    of expansion_other that contracts had stepping up, and adds nothing.
    """
    return arr_bridge.bridge(facts.moves, facts.periods)


def bridge_detail(facts: Facts) -> pl.DataFrame:
    """The bridge per month, customer and product (evidence).

    Columns: month, customer, name, product, product_name, prev_own (opening at its own rate), the movements, fx, now.
    No rows where the opening list that ARR is read from has a fault.
    """
    try:
        moved, names = facts.movements, facts.customers.select("customer", "name")
    except InputFault:  # the value of every KPI of the bridge names it
        columns = ("month", "customer", "name", "product", "product_name")
        amounts = ("prev_own", *arr_bridge.MOVEMENTS, "fx", "now")
        return pl.DataFrame(schema={**dict.fromkeys(columns, pl.String), **dict.fromkeys(amounts, pl.Int64)})
    return (
        moved.join(names, on="customer", how="left")
        .select(
            "month",
            "customer",
            "name",
            "product",
            "product_name",
            "prev_own",
            *arr_bridge.MOVEMENTS,
            "fx",
            "now",
        )
        .sort("month", "customer", "product", nulls_last=True)
    )


def pipeline_by_stage(facts: Facts) -> pl.DataFrame:
    """All live deals at ``known_at``, of every type, open and closed, by stage.

    Columns: pipeline, stage, label, sort_order, outcome, deals, amount (report currency, minor units, each deal at the
    rate of the known day), unconverted (deals with an amount in a currency without rate, not in ``amount``). Stages
    without deals are listed with 0; a stage that no layout knows has no sort_order and comes last. Pilots in a won
    stage that are not converted yet are open (ruling 21) and stand in a row of their own.
    """
    deals = facts.deals.select(
        "pipeline", "stage", "amount", "currency", pilot="pilot_in_won_stage"
    ).with_columns(day=pl.lit(facts.calendar.known_day))
    valued = facts.rates.convert(deals, "amount", "day", "value")
    sums = valued.group_by("pipeline", "stage", "pilot").agg(
        deals=pl.len().cast(pl.Int64),
        amount=pl.col("value").sum(),
        unconverted=(pl.col("amount").is_not_null() & pl.col("value").is_null()).sum().cast(pl.Int64),
    )
    layout = facts.stages.select(
        "pipeline", "stage", "label", "sort_order", "outcome", "active", pilot=pl.lit(value=False)
    )
    pilots = layout.join(
        sums.filter("pilot").select("pipeline", "stage"), on=["pipeline", "stage"]
    ).with_columns(
        pl.format("{}: pilots, not converted", "label").alias("label"),
        outcome=pl.lit("open"),
        pilot=pl.lit(value=True),
    )
    rows = pl.concat([layout, pilots])
    table = rows.join(sums, on=["pipeline", "stage", "pilot"], how="full", coalesce=True, nulls_equal=True)
    return (
        table.filter(pl.col("active").fill_null(True) | pl.col("deals").is_not_null())
        .with_columns(
            pl.coalesce("label", "stage", pl.lit("(no stage)")).alias("label"),
            pl.col("deals", "amount", "unconverted").fill_null(0),
        )
        .select("pipeline", "stage", "label", "sort_order", "outcome", "deals", "amount", "unconverted")
        .sort("pipeline", "sort_order", "label", nulls_last=True)
    )


def as_json(values: Sequence[KpiValue], company: str, known_at: datetime, currency: str) -> dict[str, Any]:
    """The document of ``kpis --json``: money as decimal text in major units, ratios as numbers, undefined as null."""
    months = sorted({value.month for value in values})
    period = months[0] if len(months) == 1 else f"{months[0]}..{months[-1]}" if months else None
    return {
        "company": company,
        "period": period,
        "known_at": iso(known_at),
        "currency": currency,
        "kpis": [
            {
                "id": value.id,
                "period": value.period,
                "month": value.month,
                "value": printed(value.value, value.unit, value.currency),
                "unit": value.unit,
                "numerator": printed(value.numerator, value.parts[0], value.currency),
                "denominator": printed(value.denominator, value.parts[1], value.currency),
                "n": value.n,
                "segment": dict(value.segment),
                "status": value.status,
                "target": value.target,
                "verdict": value.verdict,
                "reasons": list(value.reasons),
                "definition": value.definition,
            }
            for value in values
        ],
    }


def printed(value: int | float | None, unit: Unit | None, currency: str) -> str | int | float | None:
    """A number as JSON has it: money as decimal text in major units, anything else as it is."""
    if value is None or unit not in MONEY:
        return value
    minor = Decimal(value if isinstance(value, int) else repr(value)).to_integral_value(ROUND_HALF_EVEN)
    digits = exponent(currency)
    return f"{minor.scaleb(-digits):.{digits}f}"
