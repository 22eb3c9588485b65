"""A company of any size as canonical frames, made in columns: a million deals in seconds.

The life-by-life generator of ``connectors.simulator`` tells truer stories and takes minutes for as many. Here every
trait is a mix of a record's number, so the same size gives the same company everywhere. What belongs together fits
together: a deal walks through the stages until it is won or lost or the day of ``NOW`` comes, its log holds every
step, its close date is that of its last step, and what the deal shows is what the log says of it last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from connectors.schema import TABLES
from connectors.source import FieldState
from pipeline.company import Company, Inputs
from pipeline.records import SourceInfo
from pipeline.tables import SCHEMAS

BORN: Final = datetime(2022, 1, 1, tzinfo=UTC)  # of the first deal
NOW: Final = datetime(2026, 7, 1, 12, tzinfo=UTC)
MONTHS: Final = tuple(f"{2023 + n // 12}-{n % 12 + 1:02d}" for n in range(6, 42))  # 36 up to June 2026
NAME: Final = "acme"

_MINUTES: Final = int((NOW - BORN).total_seconds() // 60)
_PIPELINES: Final = ("direct", "partners")
_OPEN: Final = ("discovery", "qualified", "proposal", "evaluation", "contract")
_STAGES: Final = (*_OPEN, "won", "lost")
_ODDS: Final = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 0.0)
_TYPES: Final = {
    "New Business": 55, "Expansion": 18, "Renewal": 18, "Downgrade": 4, "Churn": 2, "Other": 2, None: 1,
}  # fmt: skip
_SOURCES: Final = ("Web", "Webinar", "Cold Call", "Trade Show", "Partner Referral", "Free Trial", None)
_INDUSTRIES: Final = ("Software", "Retail", "Logistics", "Health", "Banking", "Energy", "Public", None)
_CURRENCIES: Final = ("USD", "USD", "USD", "EUR", "GBP")
_HOME: Final = {"EUR": "1.08", "GBP": "1.27"}  # rates of the first month
_PRODUCTS: Final = (("seats", "seat"), ("analytics", "module"), ("payroll", "module"), ("set-up", "one_time"))
_PEOPLE: Final = 200  # owners


def mixed(trait: int, number: str = "number") -> pl.Expr:
    """A number from 0 to 999,999 that depends on a record's number and on which trait of it is asked for."""
    start = pl.col(number) + 1 + trait * 7_368_787
    once = start * 48_271 % 2_147_483_647
    return (once + once // 65_536 * 31) * 16_807 % 2_147_483_647 // 7 % 1_000_000


def share(trait: int, percent: float, number: str = "number") -> pl.Expr:
    """True for about so many of a hundred records."""
    return mixed(trait, number) < round(percent * 10_000)


def one_of(trait: int, words: Sequence[str | None], number: str = "number") -> pl.Expr:
    """One of the words, each about as often as any other."""
    return (mixed(trait, number) % len(words)).replace_strict(dict(enumerate(words)), return_dtype=pl.String)


def company(folder: Path | None = None) -> Company:
    """Whose frames they are; with a folder, it has files of spend and margin there."""
    if folder is None:
        return Company(name=NAME, timezone="America/New_York")
    months = [(2022 + n // 12, n % 12 + 1) for n in range(54)]
    spent = [
        f"{year}-{month:02d},{channel},{kind},{amount}\n"
        for year, month in months
        for channel in ("inbound", "outbound", "partner")
        for kind, amount in (("people", 900_000), ("program", 300_000))
    ]
    (folder / "spend.csv").write_text("month,channel,kind,amount\n" + "".join(spent))
    margins = [
        f"{year}-Q{quarter},subscription,75%\n" for year in range(2022, 2027) for quarter in (1, 2, 3, 4)
    ]
    (folder / "margin.csv").write_text("quarter,stream,pct\n" + "".join(margins))
    given = Inputs(spend=folder / "spend.csv", margin=folder / "margin.csv")
    return Company(name=NAME, timezone="America/New_York", inputs=given)


def info() -> SourceInfo:
    """What its CRM showed: everything, all of it just now."""
    shown = {
        table: {column: FieldState("mapped", column) for column in TABLES[table]}
        for table in ("deals", "accounts", "contacts", "leads", "line_items")
    }
    history = frozenset({"stage", "pipeline", "amount", "close_date"})
    return SourceInfo(NAME, "fake", "USD", {}, shown, history, (), "-", NOW, complete_at=NOW)


def made(deals: int) -> dict[str, pl.DataFrame]:
    """All tables of a company of that many deals, with about five changes each."""
    accounts = max(deals // 10, 20)
    walked = _walks(_lives(deals, accounts))
    frames = {
        "owners": _owners(),
        "stages": _stages(),
        "accounts": _accounts(accounts),
        "contacts": _contacts(accounts * 2),
        "leads": _leads(max(deals // 5, 50), deals),
        "deals": _deals(walked),
        "deal_changes": _changes(walked),
        "line_items": _line_items(walked),
        "meetings": _meetings(max(deals // 4, 50), deals),
        "quotas": _quotas(deals),
        "exchange_rates": _rates(),
    }
    return {name: _whole(frame, name) for name, frame in frames.items()}


def _whole(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """All columns of the table as the store has it, null where the frame says nothing."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCHEMAS[table].items()
    )


def _numbers(count: int) -> pl.DataFrame:
    return pl.int_range(count, eager=True, dtype=pl.Int64).alias("number").to_frame()


def _id(prefix: str, number: pl.Expr) -> pl.Expr:
    """As long as a CRM's: 18 characters."""
    return pl.format(prefix + "8d0000{}AAA", number.cast(pl.String).str.zfill(8))


def _born(trait: int) -> pl.Expr:
    return pl.lit(BORN) + pl.duration(minutes=mixed(trait) * _MINUTES // 1_000_000)


def _owners() -> pl.DataFrame:
    return _numbers(_PEOPLE).select(
        external_id=_id("005", pl.col("number")),
        name=pl.format("Person {}", "number"),
        active=pl.lit(value=True),
    )


def _stages() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "pipeline": pipeline,
                "stage": stage,
                "pipeline_label": pipeline.capitalize(),
                "label": stage.capitalize(),
                "sort_order": order,
                "is_closed": stage not in _OPEN,
                "is_won": stage == "won",
                "probability": _ODDS[order],
                "active": True,
            }
            for pipeline in _PIPELINES
            for order, stage in enumerate(_STAGES)
        ]
    )


def _accounts(count: int) -> pl.DataFrame:
    """Some with a parent among the first twentieth, some merged away into the account before."""
    merged = share(3, 0.3) & (pl.col("number") > 0)
    child = share(2, 10) & (pl.col("number") >= count // 20)
    return _numbers(count).select(
        external_id=_id("001", pl.col("number")),
        created_at=pl.lit(BORN),
        modified_at=pl.lit(BORN),
        deleted_at=pl.when(merged).then(pl.lit(datetime(2025, 3, 1, tzinfo=UTC))),
        merged_into=pl.when(merged & ~merged.shift(1, fill_value=False)).then(
            _id("001", pl.col("number") - 1)
        ),
        name=pl.format("Company {} Ltd", "number"),
        domain=pl.format(
            "company-{}.example", pl.when(share(4, 2)).then(pl.col("number") // 2).otherwise("number")
        ),
        parent_id=pl.when(child).then(_id("001", mixed(5) % max(count // 20, 1))),
        owner_id=_id("005", mixed(6) % _PEOPLE),
        industry=one_of(7, _INDUSTRIES),
        employees=pl.when(~share(8, 5)).then(mixed(9) * mixed(9) // 300_000_000 + 1),
        custom=pl.lit("{}"),
    )


def _contacts(count: int) -> pl.DataFrame:
    twin = pl.when(share(12, 1.5)).then(pl.col("number") // 2).otherwise("number")
    return _numbers(count).select(
        external_id=_id("003", pl.col("number")),
        created_at=_born(11),
        modified_at=_born(11),
        account_id=_id("001", pl.col("number") // 2),
        first_name=pl.format("Anna{}", pl.col("number") % 977),
        last_name=pl.format("Weber{}", pl.col("number") % 7_919),
        email=pl.format("person{}@company-{}.example", twin, pl.col("number") // 2),
        phone=pl.format("+1 555 {}", (pl.col("number") % 10_000_000).cast(pl.String).str.zfill(7)),
        role=pl.when(share(13, 60)).then(pl.lit("Champion")),
        last_activity_at=pl.when(share(14, 80)).then(pl.lit(NOW.date()) - pl.duration(days=mixed(15) % 700)),
        bounced=share(16, 3),
        custom=pl.lit("{}"),
    )


def _leads(count: int, deals: int) -> pl.DataFrame:
    rows = _numbers(count).with_columns(created_at=_born(21), step=mixed(22) % 60)
    day = pl.col("created_at").dt.date()
    mql = day + pl.duration(days=pl.col("step") // 2)
    sql = mql + pl.duration(days=pl.col("step"))
    converted = sql + pl.duration(days=pl.col("step"))
    return rows.select(
        "created_at",
        external_id=_id("00Q", pl.col("number")),
        modified_at="created_at",
        company=pl.format("Company {} Ltd", mixed(23) % max(deals // 10, 20)),
        source=one_of(24, _SOURCES),
        owner_id=_id("005", mixed(25) % _PEOPLE),
        mql_at=pl.when(share(26, 50)).then(mql),
        sql_at=pl.when(share(26, 25)).then(sql),
        converted_at=pl.when(share(26, 12)).then(converted),
        converted_deal_id=pl.when(share(26, 12)).then(_id("006", mixed(27) % deals)),
        custom=pl.lit("{}"),
    )


def _lives(deals: int, accounts: int) -> pl.DataFrame:
    """What a deal is from the start: how far it will get, how fast, whether it will be won, for how much."""
    ends = pl.Series([sum(list(_TYPES.values())[: n + 1]) * 10_000 for n in range(len(_TYPES))])
    kind = (
        pl.lit(ends)
        .search_sorted(mixed(35), side="right")
        .replace_strict(dict(enumerate(_TYPES)), return_dtype=pl.String)
    )
    reached = 1 + mixed(31) % len(_OPEN)  # open stages it will have been in
    return _numbers(deals).with_columns(
        born=pl.lit(BORN) + pl.duration(minutes=pl.col("number") * _MINUTES // deals),
        account=mixed(32) % accounts,
        type=kind,
        reached=reached,
        wins=(reached >= 3) & share(33, 45),
        waits=share(34, 3),  # nobody will ever close it
        pace=1 + mixed(36) % 24,  # days in its first stage
        amount=(mixed(37) % 9_000 + mixed(38) % 3 * 20_000 + 400) * 1_000,
        raised=share(39, 45),
        planned=60 + mixed(40) % 120,  # days from birth to the close date it was given first
    )


def _walks(lives: pl.DataFrame) -> pl.DataFrame:
    """``lives`` with the moments of their steps as far as they have come: a list, discovery first, won or lost last."""
    # A deal that took `pace` days in its first stage takes longer in each later one.
    days = [pl.col("pace") * number * (number + 1) // 2 for number in range(len(_OPEN) + 1)]
    total = pl.when("waits").then(pl.col("reached")).otherwise(pl.col("reached") + 1)
    at = pl.concat_list(
        pl.when(total > number).then(
            pl.col("born") + pl.duration(days=spent, minutes=mixed(41) % 480 * min(number, 1))
        )
        for number, spent in enumerate(days)
    )
    come = lives.with_columns(at=at).with_columns(
        at=pl.col("at").list.eval(pl.element().filter(pl.element() <= pl.lit(NOW)))
    )
    taken = pl.col("at").list.len().cast(pl.Int64)
    return come.with_columns(
        taken=taken, closed=taken > pl.col("reached"), last_at=pl.col("at").list.last()
    ).with_columns(stage=_stage(pl.col("taken") - 1))


def _stage(step: pl.Expr) -> pl.Expr:
    """The stage of a deal's step; the step after those in open stages is its end."""
    end = pl.when("wins").then(pl.lit("won")).otherwise(pl.lit("lost"))
    names = step.replace_strict(dict(enumerate(_OPEN)), default=None, return_dtype=pl.String)
    return pl.when(step >= pl.col("reached")).then(end).otherwise(names)


def _planned() -> pl.Expr:
    return pl.col("born").dt.date() + pl.duration(days=pl.col("planned"))


def _last_day() -> pl.Expr:
    return pl.col("last_at").dt.convert_time_zone("America/New_York").dt.date()


def _raised() -> pl.Expr:
    return pl.col("amount") * 5 // 4


def _has_been_raised() -> pl.Expr:
    return pl.col("raised") & (pl.col("taken") > 1)


def _deals(walked: pl.DataFrame) -> pl.DataFrame:
    won = pl.col("closed") & pl.col("wins")
    pilot = (pl.col("type") == "New Business").fill_null(value=False) & share(51, 6)
    started = pl.col("born").dt.date() + pl.duration(days=20)
    ended = started + pl.duration(days=30)
    amount = pl.when(_has_been_raised()).then(_raised()).otherwise("amount")
    term = pl.when(share(52, 90)).then(pl.when(share(53, 15)).then(24).otherwise(12))
    return walked.select(
        "stage",
        "type",
        external_id=_id("006", pl.col("number")),
        created_at="born",
        modified_at="last_at",
        deleted_at=pl.when(share(54, 0.5)).then(pl.lit(datetime(2026, 2, 1, tzinfo=UTC))),
        name=pl.format("Deal {} – “renewal”, 3 years", "number"),
        account_id=pl.when(~share(55, 0.5)).then(_id("001", pl.col("account"))),
        owner_id=_id("005", mixed(56) % _PEOPLE),
        pipeline=pl.when(share(57, 15)).then(pl.lit(_PIPELINES[1])).otherwise(pl.lit(_PIPELINES[0])),
        is_closed="closed",
        is_won=won,
        amount=pl.when(~share(58, 3)).then(amount),
        currency=one_of(59, _CURRENCIES),
        close_date=pl.when("closed").then(_last_day()).otherwise(_planned()),
        lead_source=one_of(60, _SOURCES),
        next_step=pl.when(share(61, 85)).then(pl.lit("call the CFO")),
        loss_reason=pl.when(pl.col("closed") & ~pl.col("wins")).then(pl.lit("price")),
        arr=pl.when(share(62, 88)).then(amount * 9 // 10),
        term_months=term,
        start_date=pl.when(share(63, 70) & won).then(_last_day() + pl.duration(days=mixed(64) % 40)),
        segment=pl.when(share(65, 20)).then(pl.lit("Enterprise")),
        first_meeting_at=pl.when(share(66, 60)).then(
            pl.col("born").dt.date() + pl.duration(days=mixed(67) % 10)
        ),
        pilot=pilot,
        pilot_start=pl.when(pilot).then(started),
        pilot_end=pl.when(pilot).then(ended),
        pilot_converted=pl.when(pilot & won & share(68, 80)).then(pl.max_horizontal(ended, _last_day())),
        custom=pl.lit('{"Region__c":"EMEA"}'),
    )


def _changes(walked: pl.DataFrame) -> pl.DataFrame:
    """Every step, the raised amount, and the close date that the last step set, in order of their keys."""
    steps = (
        walked.select("number", "reached", "wins", "at", step=pl.int_ranges(0, pl.col("taken")))
        .explode("at", "step")
        .select(
            "number",
            field=pl.lit("stage"),
            changed_at="at",
            old=_stage(pl.col("step") - 1),
            new=_stage(pl.col("step")),
        )
    )
    # Before its first step there was none.
    steps = steps.with_columns(old=pl.when(pl.col("old").is_not_null()).then("old"))
    amounts = walked.filter(_has_been_raised() & ~share(58, 3)).select(
        "number",
        field=pl.lit("amount"),
        changed_at=pl.col("at").list.get(1),
        old=pl.col("amount").cast(pl.String),
        new=_raised().cast(pl.String),
    )
    dates = walked.filter("closed").select(
        "number",
        field=pl.lit("close_date"),
        changed_at="last_at",
        old=_planned().cast(pl.String),
        new=_last_day().cast(pl.String),
    )
    return (
        pl.concat([steps, amounts, dates])
        .sort("number", "field", "changed_at")
        .select(
            "field",
            "changed_at",
            deal_id=_id("006", pl.col("number")),
            seq=pl.lit(0, pl.Int64),
            old_value="old",
            new_value="new",
            origin=pl.lit("crm_history"),
        )
    )


def _line_items(walked: pl.DataFrame) -> pl.DataFrame:
    """One or two lines on every second deal."""
    first = walked.filter(share(71, 50)).with_columns(line=pl.lit(0, pl.Int64))
    second = walked.filter(share(71, 20)).with_columns(line=pl.lit(1, pl.Int64))
    product = (mixed(72) + pl.col("line")) % len(_PRODUCTS)
    quantity = mixed(73) % 50 + 1
    price = pl.col("amount") // 2 // quantity
    names = {at: name for at, (name, _) in enumerate(_PRODUCTS)}
    kinds = {at: kind for at, (_, kind) in enumerate(_PRODUCTS)}
    return pl.concat([first, second]).select(
        external_id=_id("00k", pl.col("number") * 2 + pl.col("line")),
        created_at="born",
        modified_at="last_at",
        deal_id=_id("006", pl.col("number")),
        product_id=_id("01t", product),
        product=product.replace_strict(names, return_dtype=pl.String),
        product_family=product.replace_strict(names, return_dtype=pl.String),
        kind=product.replace_strict(kinds, return_dtype=pl.String),
        quantity=quantity.cast(pl.Float64),
        unit_price=price,
        amount=price * quantity,
        currency=one_of(59, _CURRENCIES),
        custom=pl.lit("{}"),
    )


def _meetings(count: int, deals: int) -> pl.DataFrame:
    begun = _born(81)
    return _numbers(count).select(
        external_id=_id("00U", pl.col("number")),
        created_at=begun,
        modified_at=begun,
        account_id=_id("001", mixed(82) % max(deals // 10, 20)),
        deal_id=_id("006", mixed(83) % deals),
        owner_id=_id("005", mixed(84) % _PEOPLE),
        subject=pl.lit("Demo"),
        starts_at=begun,
        ends_at=begun + pl.duration(minutes=45),
        completed=share(85, 80),
        custom=pl.lit("{}"),
    )


def _quotas(deals: int) -> pl.DataFrame:
    """Each owner's of every quarter, in one of the currencies."""
    first = [date(2022 + n // 4, n % 4 * 3 + 1, 1) for n in range(20)]
    quarters = pl.DataFrame(
        {"start_date": first, "quarter": range(20)}, schema_overrides={"quarter": pl.Int64}
    )
    rows = _numbers(_PEOPLE).join(quarters, how="cross")
    return rows.select(
        "start_date",
        external_id=_id("0J9", pl.col("number") * 100 + pl.col("quarter")),
        owner_id=_id("005", pl.col("number")),
        amount=pl.lit(deals // 54 * 5_000 * 3, pl.Int64) + pl.col("quarter") * 1_000,
        currency=one_of(91, _CURRENCIES),
        custom=pl.lit("{}"),
    )


def _rates() -> pl.DataFrame:
    """A rate for every month, going up and down a little."""
    rows = [
        {"currency": currency, "start_date": date(2022 + n // 12, n % 12 + 1, 1)}
        | {"rate": Decimal(rate) + Decimal(n * 7 % 11) / 200}
        for currency, rate in _HOME.items()
        for n in range(54)
    ]
    return pl.DataFrame(rows, schema_overrides={"rate": pl.Decimal(38, 12)})
