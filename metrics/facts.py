"""What is known about one company at one moment, in columns, computed once and shared by all KPIs.

``Facts`` reads canonical tables, cuts them to what was known at ``as_of`` and derives deals, customers, the
subscription ledger and its monthly movements. Everything is lazy and cached; every frame is read-only by convention.
What no CRM knows comes from the company's input files (``Facts.input``): one that is not configured has no rows, so a
KPI that needs it asks ``has_input`` and gives a reason; a faulty one raises ``InputFault``, which a KPI lets pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Literal, Protocol, TypeVar, cast

import polars as pl

from connectors.errors import ConfigurationError
from metrics import agreements, arr, bridge, coded, inputs, lines, opening, sales, timeline, unavailable
from metrics import customers as hierarchy
from metrics import deals as deal_facts
from metrics.coded import Coded
from metrics.currency import Rates
from metrics.inputs import Files, InputFault, Reading
from metrics.inputs.accounts import Accounts
from metrics.period import Calendar, month_first
from metrics.words import stated
from pipeline import asof
from pipeline.company import Company
from pipeline.quality import (
    Cleanliness,
    Completeness,
    cleanliness_over,
    completeness_over,
    opened_at,
    standing_faults,
)
from pipeline.records import SourceInfo
from pipeline.tables import SCHEMAS

T = TypeVar("T")

_AT_ONCE: Final = 12  # months
FALLBACK_CURRENCY: Final = "USD"  # of a company that has never been synced and names none


class FactStore(Protocol):
    """Where canonical tables come from: a store, or better a reader, which sees one state of it throughout."""

    def frame(self, company: str, table: str, /) -> pl.DataFrame:
        """All rows of a company, tombstones included, in the schema of ``pipeline.tables.SCHEMAS[table]``."""
        ...

    def source_info(self, company: str, /) -> SourceInfo | None:
        """None: never synced."""
        ...

    def rewritten(self, company: str, at: datetime, /) -> frozenset[str]:
        """The tables without a past of which rows that were there at a moment have been written since."""
        ...


class Facts:
    """One company's facts as known at ``known_at`` for the given months.

    ``periods`` has one row per month (see ``Calendar.periods``). Money is in minor units of ``currency``.
    """

    def __init__(
        self,
        company: Company,
        months: Sequence[str],
        as_of: datetime,
        frames: Mapping[str, pl.DataFrame],
        info: SourceInfo | None = None,
        unkept: frozenset[str] = frozenset(),
    ) -> None:
        """``frames``: canonical tables by name (a missing one is empty); ``unkept``: those of them whose rows of
        ``known_at`` may have been other ones. Raises what ``load`` raises."""
        if as_of.tzinfo is None:
            raise ValueError("as_of needs a time zone")
        self.company = company
        self.info = info
        self.unkept = unkept
        known_at = as_of if info is None else info.known(as_of)
        self.calendar = Calendar(
            company.zone,
            known_at.astimezone(UTC),
            company.fiscal_year_start_month,
            company.forecast.snapshot_day,
        )
        _check_read(company, months, as_of, self.calendar)
        self.periods = self.calendar.periods(months)
        self.months: tuple[str, ...] = tuple(self.periods["month"])
        self.home_currency = info.home_currency if info else company.currency or FALLBACK_CURRENCY
        self.currency = company.currency or self.home_currency
        self._frames = asof.known_then(frames, self.calendar.known_at)
        self._kept: dict[Callable[..., Any], Any] = {}
        arr.check_settings(company)
        unavailable.check_settings(company)

    @classmethod
    def load(cls, store: FactStore, company: Company, months: Sequence[str], as_of: datetime) -> Facts:
        """Facts of ``months`` (YYYY-MM) as known at ``as_of``, or when we last began to read it all if that is earlier.

        What nobody has read is not known: a store that has not been synced for a month tells of the month before.
        Raises ``ConfigurationError`` for a malformed month, one that begins after ``as_of``'s local month, or a
        way of reading ARR that this version does not have.
        """
        frames = {table: store.frame(company.name, table) for table in SCHEMAS}
        info = store.source_info(company.name)
        # Of now everything is known; only of an earlier moment it has to be asked.
        past = info is not None and (at := info.known(as_of)) < info.refreshed_at
        unkept = store.rewritten(company.name, at) if past else frozenset[str]()
        return cls(company, months, as_of, frames, info, unkept)

    def once(self, step: Callable[[Facts], T]) -> T:
        """``step(self)``, computed once and kept: how a group of KPIs shares facts that only it needs."""
        if step not in self._kept:
            self._kept[step] = step(self)
        return cast(T, self._kept[step])

    @property
    def known_at(self) -> datetime:
        """The moment (UTC) these facts are known at."""
        return self.calendar.known_at

    def raw(self, table: str) -> pl.DataFrame:
        """A table of ``pipeline.tables.SCHEMAS`` as stored, tombstones included; see ``pipeline.asof.known_then``."""
        return self._frames[table] if table in self._frames else pl.DataFrame(schema=SCHEMAS[table])

    @property
    def raw_frames(self) -> Mapping[str, pl.DataFrame]:
        """All of them."""
        return {table: self.raw(table) for table in SCHEMAS}

    def live(self, table: str) -> pl.DataFrame:
        """Rows created by ``known_at`` and not deleted by then."""
        frame = self.raw(table)
        keep = pl.col("deleted_at").is_null() | (pl.col("deleted_at") > self.known_at)
        if "created_at" in frame.columns:
            keep = keep & (pl.col("created_at").is_null() | (pl.col("created_at") <= self.known_at))
        return frame.filter(keep)

    @cached_property
    def rates(self) -> Rates:
        """Conversion into the report's currency.

        Raises ``ConfigurationError`` where no deal's currency converts: every sum would be a zero that is not true.
        """
        rates = Rates.of(self.live("exchange_rates"), self.home_currency, self.currency)
        fault = rates.fault(self.raw_deals["currency"])
        if fault is not None:
            raise ConfigurationError(f"companies.{self.company.name or '<company>'}.currency: {fault}")
        return rates

    @cached_property
    def stages(self) -> pl.DataFrame:
        """The sales process: see ``timeline.stage_table``."""
        return timeline.stage_table(self.raw("stages"), self.company.qualified_stage)

    @cached_property
    def accounts(self) -> pl.DataFrame:
        """Every account id ever seen: account_id, live_id, customer, name, owner_id, industry, size."""
        accounts = self.raw("accounts")
        traits = accounts.select(
            live_id="external_id",
            name="name",
            owner_id="owner_id",
            industry=stated(pl.col("industry")),
            size=hierarchy.size_band(pl.col("segment"), pl.col("employees"), self.company.size_bands),
        )
        grain: Literal["ultimate_parent", "account"] = (
            "account" if self.company.arr.customer == "account" else "ultimate_parent"
        )
        customers = hierarchy.customers(accounts, self.known_at, grain)
        return customers.join(traits, on="live_id", how="left")

    @cached_property
    def raw_deals(self) -> pl.DataFrame:
        """Deals that exist at ``known_at``, with the CRM's current values: what their past is undone from."""
        return deal_facts.known(self.raw("deals"), self.calendar, self.home_currency)

    @cached_property
    def changes(self) -> pl.DataFrame:
        """The change log, also what happened after ``known_at`` (it is needed to undo it)."""
        return self.raw("deal_changes")

    @cached_property
    def stage_entries(self) -> pl.DataFrame:
        """Every entry of a deal into a stage known at ``known_at``: see ``timeline.stage_entries``."""
        known = self.changes.filter(pl.col("changed_at") <= self.known_at)
        return timeline.stage_entries(self.raw_deals, known, self.stages)

    @cached_property
    def deals(self) -> pl.DataFrame:
        """Every deal known at ``known_at``, all types: see ``metrics.deals.describe``."""
        return deal_facts.describe(
            self.raw_deals,
            self.changes,
            self.stages,
            self.accounts,
            self.live("line_items"),
            self.company,
            self.calendar,
            self.stage_entries,
        )

    @cached_property
    def customers(self) -> pl.DataFrame:
        """Cuts of every customer (ruling 16): customer, name, size, industry, motion, owner, pipeline.

        Size, industry and owner are those of the ultimate parent; motion and pipeline those of the customer's first
        new-business contract, or, where ARR comes from a list or the CRM's own contracts, of its first new business
        that was won.
        """
        tops = self.accounts.filter(pl.col("account_id") == pl.col("customer")).select(
            "customer", "name", "size", "industry", "owner_id"
        )
        listed = self.opening_list.filter(~pl.col("customer").is_in(tops["customer"].implode()))
        apart = listed.select("customer", name="customer_key").unique("customer", maintain_order=True)
        won = self.deals.filter((pl.col("outcome") == "won") & (pl.col("deal_type") == "new"))
        settings = self.company.arr
        of_deals = settings.of_deals and not settings.reads_list
        start = "start" if of_deals else pl.coalesce("starts", "outcome_day")
        contracts = self.contracts.select("start", "signed", external_id="deal_id")
        first = (
            won.join(contracts, on="external_id", how="inner" if of_deals else "left")
            .sort(start, pl.coalesce("signed", "outcome_day"), "external_id", nulls_last=True)
            .unique("customer", keep="first", maintain_order=True)
            .select("customer", "motion", "pipeline")
        )
        everyone = pl.concat([tops, apart], how="diagonal")
        described = everyone.join(first, on="customer", how="left").lazy()
        return sales.named(described, self.owner_names, self.pipelines).collect()

    @cached_property
    def owner_names(self) -> pl.DataFrame:
        """Owners as they are printed: owner_id, owner (the name; with the id where a name is not unique)."""
        names = self.raw("owners").select(owner_id="external_id", owner=stated(pl.col("name")))
        shared = pl.col("owner").is_duplicated()
        return names.with_columns(
            owner=pl.when(shared)
            .then(pl.format("{} ({})", "owner", "owner_id"))
            .otherwise(pl.coalesce("owner", "owner_id"))
        )

    @cached_property
    def pipelines(self) -> pl.DataFrame:
        """Pipelines as they are printed: pipeline, pipeline_label."""
        return (
            self.raw("stages")
            .select("pipeline", label=pl.coalesce(stated(pl.col("pipeline_label")), "pipeline"))
            .unique("pipeline", keep="first", maintain_order=True)
        )

    @cached_property
    def problems(self) -> pl.DataFrame:
        """Won deals that make no contract, with the column ``problem`` saying why (see ``metrics.arr.candidates``)."""
        found = arr.candidates(self.deals, self.rates.currencies, self.company.arr)
        return found.filter(pl.col("problem").is_not_null())

    @cached_property
    def contracts(self) -> pl.DataFrame:
        """The subscription ledger: see ``metrics.arr.contracts``."""
        given = (opening.contracts(self.opening_list), agreements.contracts(self.agreements))
        listed = pl.concat(frame.select(arr.NATURAL) for frame in given)
        settings, today = self.company.arr, self.calendar.known_day
        return arr.contracts(self.deals, listed, self._parts, self.rates, settings, today)

    @cached_property
    def opening_list(self) -> pl.DataFrame:
        """The rows of the opening list as far as ARR is read from it: see ``metrics.opening.rows``."""
        settings, today = self.company.arr, self.calendar.known_day
        if not settings.reads_list:
            return opening.none()
        listed, sold = self.input("opening_arr"), self.live("line_items")
        return opening.rows(listed, self.accounts, sold, self.rates.currencies, settings, today)

    @cached_property
    def agreements(self) -> pl.DataFrame:
        """The CRM's own contracts as far as ARR is read from them: see ``metrics.agreements.rows``."""
        if self.company.arr.contracts is None:
            return agreements.none()
        return agreements.rows(
            self.live("contracts"),
            self.live("subscriptions"),
            self.deals,
            self.accounts,
            self.rates.currencies,
            self.home_currency,
            self.company.arr,
            self.calendar,
        )

    @cached_property
    def _parts(self) -> pl.DataFrame:
        """What every contract is made of: see ``metrics.lines.parts``."""
        settings = self.company.arr
        won = self.deals.filter(pl.col("outcome") == "won")
        made_of = lines.parts(lines.items(self.live("line_items"), won, settings), won, settings)
        if not settings.of_deals:
            made_of = made_of.clear()
        return pl.concat([made_of, opening.parts(self.opening_list), agreements.parts(self.agreements)])

    @cached_property
    def unmeasurable(self) -> pl.DataFrame:
        """Months whose recurring revenue the CRM cannot know: see ``metrics.arr.unmeasurable``."""
        return self.unmeasurable_over(self.periods)

    def unmeasurable_over(self, periods: pl.DataFrame) -> pl.DataFrame:
        """The same, of other months: rows of ``Calendar.periods``."""
        settings = self.company.arr
        table = agreements.TABLE.get(settings.source)
        unread = table is not None and self.info is not None and table not in self.info.fields
        why = agreements.unknown(self.agreements, settings, unread=unread)
        return arr.unmeasurable(
            self.deals, self.contracts, self.problems, periods, self.calendar, settings, why
        )

    @cached_property
    def arr_rows(self) -> pl.DataFrame:
        """The rows of ARR of every contract: see ``metrics.lines.rows``."""
        return lines.rows(self.contracts, self._parts)

    @cached_property
    def coded(self) -> Coded:
        """The rows of ARR in numbers: see ``metrics.coded``."""
        return coded.coded(self.arr_rows)

    @cached_property
    def positions(self) -> pl.DataFrame:
        """Rows of ARR live at the ends of the months and the month-ends they compare with."""
        return bridge.positions(self.arr_rows, self.periods, self.rates).collect()

    def positions_of(self, month: str) -> pl.DataFrame:
        """The rows of ARR live at D of one month: see ``positions``."""
        mine = self.periods.filter(month=month)
        return bridge.positions(self.arr_rows, mine, self.rates, ("now",)).collect()

    def pending_of(self, month: str) -> pl.DataFrame:
        """What CARR adds to ARR at D of one month: see ``metrics.bridge.pending``."""
        return bridge.pending(self.arr_rows, self.periods.filter(month=month), self.rates)

    @cached_property
    def first_live(self) -> pl.DataFrame:
        """When each customer, by number, first had ARR: see ``metrics.bridge.first_live``."""
        return bridge.first_live(self.coded.rows, self.rates)

    @cached_property
    def moves(self) -> pl.DataFrame:
        """The bridge per month, customer and product, in numbers: see ``metrics.bridge.movements``."""
        return self.moves_of(self.periods)

    def moves_of(self, periods: pl.DataFrame) -> pl.DataFrame:
        """The same for other months; ``periods``: from ``Calendar.periods``."""
        ordered = coded.months(periods, periods["month"].to_list())
        # Rows of ARR are written out for a year at a time, so that there are never those of all months at once.
        rows, first, stepped = self.coded.rows, self.first_live, self.coded.rows["stepped"].any()
        price = self.company.arr.price
        years = (ordered.slice(start, _AT_ONCE) for start in range(0, max(ordered.height, 1), _AT_ONCE))
        parts = [
            bridge.movements(
                bridge.by_product(bridge.positions(rows, year, self.rates), stepped), first, year, price
            ).collect()
            for year in years
        ]
        return pl.concat(parts)

    @cached_property
    def movements(self) -> pl.DataFrame:
        """``moves`` with the names of customers and products."""
        return self.coded.named(self.moves)

    @cached_property
    def closed(self) -> pl.DataFrame:
        """Deals of the sales motion closed in each month's quarter to date: see ``metrics.sales.closed``."""
        return sales.closed(self.deals, self.periods, self.calendar, self.rates, self.company.sales.types)

    @cached_property
    def quotas(self) -> pl.DataFrame:
        """What each quarter should bring: see ``metrics.sales.quotas``.

        A faulty targets file matters where the CRM holds no quota of one of the periods' quarters.
        """
        crm = self.live("quotas").with_columns(pl.col("currency").fill_null(self.home_currency))
        held = crm.select(quarter_first=self.calendar.quarter_first(pl.col("start_date")))
        try:
            targets = self.input("targets")
        except InputFault:
            if not self.periods.join(held, on="quarter_first", how="anti").is_empty():
                raise
            targets = inputs.kinds()["targets"].empty()
        filed = targets.filter(pl.col("metric") == "quota")
        return sales.quotas(crm, filed, self.owner_names, self.calendar, self.rates)

    @cached_property
    def moments(self) -> Mapping[str, datetime]:
        """Month -> the last known instant of its D."""
        days = self.periods.select("month", "day").iter_rows()
        return {month: self.calendar.moment(day) for month, day in days}

    @cached_property
    def open_deals(self) -> pl.DataFrame:
        """The deals open at each of ``moments``, as known now, with what their scores are made of.

        See ``pipeline.quality.opened_at``.
        """
        moments = [*self.moments.values()]
        return opened_at(self.raw_frames, self.company, moments, self.known_at, for_scores=True)

    @cached_property
    def completeness(self) -> Mapping[str, Completeness]:
        """Month -> completeness of the deals open at the end of its D, as known now (ruling 35)."""
        return self.completeness_by(None)

    def completeness_by(self, by: str | None) -> Mapping[str, Completeness]:
        """The same; ``by`` owner or segment also splits it."""
        moments = self.moments
        done = completeness_over(
            self.open_deals, self.raw_frames, self.company, self.info, [*moments.values()], by
        )
        return {month: done[moment] for month, moment in moments.items()}

    @cached_property
    def standing_faults(self) -> pl.DataFrame:
        """What the rules about accounts and contacts find at ``known_at``: the same for every month (ruling 37)."""
        return standing_faults(self.raw_frames, self.company, self.info, self.known_at)

    @cached_property
    def cleanliness(self) -> Mapping[str, Cleanliness]:
        """Month -> cleanliness at its D; duplicates and contacts are those of ``known_at`` (rulings 36, 37)."""
        complete = {self.moments[month]: score for month, score in self.completeness.items()}
        done = cleanliness_over(
            self.open_deals,
            self.raw_frames,
            self.company,
            self.info,
            complete,
            self.known_at,
            self.standing_faults,
        )
        return {month: done[moment] for month, moment in self.moments.items()}

    def input(self, kind: str) -> pl.DataFrame:
        """The rows of an input file as known at ``known_at``; no rows where none is configured.

        ``kind``: a key of ``inputs:``; the columns are the schema in ``metrics.inputs.<kind>``. Where the file has a
        fault this raises ``InputFault``. A KPI lets it pass: ``metrics.compute`` makes the number not computable and
        gives the fault as its reason, for every KPI that asks for the file and for no other.
        """
        return self._files.known(kind).rows

    def has_input(self, kind: str) -> bool:
        """Whether the configuration names a file of that kind, be it empty or faulty."""
        return self._files.has(kind)

    def unmatched(self, kind: str) -> str | None:
        """``3 of 40 customers of usage.csv match no account: ...`` as a note for a number; None where all match.

        Their rows have a null ``account_id``. Raises like ``input``.
        """
        return self._files.known(kind).unmatched()

    @cached_property
    def input_faults(self) -> tuple[InputFault, ...]:
        """The faults of all configured files, whether a number needs them or not."""
        return self._files.faults()

    @cached_property
    def _files(self) -> Files:
        return Files(
            self.company.inputs,
            Reading(self.calendar, self.currency),
            lambda: Accounts(self.live("accounts"), self.accounts),
        )


def _check_read(company: Company, months: Sequence[str], as_of: datetime, calendar: Calendar) -> None:
    """Refuse months that have begun since the CRM was last read."""
    known, today = calendar.known_day, as_of.astimezone(company.zone).date()
    unread = [month for month in sorted(months) if known < month_first(month) <= today]
    if unread:
        raise ConfigurationError(
            f"{company.name or 'this company'}: the CRM was last read on {known:%Y-%m-%d}, so nothing is known of "
            f"{', '.join(unread)}; run `boardline sync --once` first"
        )
