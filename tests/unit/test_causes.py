"""Why a published number is another one now: each cause by hand, told of the right records, with sums that add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl
import pytest
import yaml

from connectors.schema import UTC
from metrics import causes, compute, snapshot
from metrics.board import Restatement
from metrics.facts import Facts
from metrics.happened import HAPPENED
from metrics.judge import Judge
from metrics.playbook import load
from metrics.render import restated
from metrics.restatement import restatements
from pipeline.company import ArrSettings, Company, Inputs
from pipeline.recorded import Recorded
from pipeline.records import Published
from pipeline.tables import SCHEMAS
from tests.unit.board_sample import report
from tests.unit.books import DATES, Books, at
from tests.unit.test_kpi_cases import Words

CASES: Final = Path(__file__).parents[1] / "cases" / "causes" / "causes.yaml"
MONTH: Final = "2026-05"
POSTED, LATER = at("2026-06-05"), at("2026-07-05")
COMPANY: Final = Company(name="test", currency="USD")


class Ledger(Books):
    """Books in which something happens later: each step changes a record and writes the log as a CRM would."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, Any]] = []
        for key, account, day, arr in (
            ("first", "acme", "2026-01-10", 120_000),
            ("second", "globex", "2026-05-03", 60_000),
        ):
            self.account(account)
            told = {"key": key, "account": account, "created": day, "start": day, "arr": arr}
            self.step({"deal": told | {"history": [[day, "Won"]]}})

    def step(self, step: dict[str, Any]) -> None:
        ((kind, told),) = step.items()
        getattr(self, f"_{kind}")(*told if isinstance(told, list) else (told,))

    def _deal(self, told: dict[str, Any]) -> None:
        told = dict(told)
        start, arr, amount = told.pop("start"), told.pop("arr", None), told.pop("amount", None)
        history = [tuple(entry) for entry in told.pop("history")]
        self.deal(
            told.pop("key"), told.pop("created"), history, account_id=told.pop("account"), close_date=start,
            start_date=start, term_months=12, arr=arr and arr * 100, amount=amount and amount * 100, **told,
        )  # fmt: skip

    def _customer(self, key: str) -> None:
        self.account(key)

    def _row(self, table: str, key: str) -> dict[str, Any]:
        return next(row for row in self.rows[table] if row["external_id"] == key)

    def _move(self, key: str, day: str, stage: str) -> None:
        self._set(key, "stage", day, stage)

    def _set(self, key: str, field: str, day: str, value: Any) -> None:
        deal = self._row("deals", key)
        value = date.fromisoformat(value) if field in DATES else value
        old = deal.get(field)
        self.change(key, field, day, None if old is None else str(old), str(value))
        deal |= {field: value, "modified_at": at(day)}

    def _delete(self, key: str, day: str) -> None:
        self._row("deals", key)["deleted_at"] = at(day)

    def _restore(self, key: str, gone: str, back: str) -> None:
        self._row("deals", key)["deleted_at"] = None
        self.change(key, "deleted_at", gone, None, f"{gone} 12:00:00.000000")
        self.change(key, "deleted_at", back, f"{gone} 12:00:00.000000", None)

    def _merge_accounts(self, loser: str, survivor: str, day: str) -> None:
        self._row("accounts", loser).update(deleted_at=at(day), merged_into=survivor)

    def _merge_deals(self, loser: str, survivor: str, day: str) -> None:
        self._row("deals", loser).update(deleted_at=at(day), merged_into=survivor)

    def _parent(self, account: str, parent: str, day: str) -> None:
        self._row("accounts", account)["parent_id"] = parent
        self.logs.append(
            {"account_id": account, "field": "parent_id", "changed_at": at(day), "seq": 0, "old_value": None,
             "new_value": parent, "origin": "comparison"}
        )  # fmt: skip

    def _rate(self, currency: str, start: str, rate: str, modified: str) -> None:
        kept = [
            row
            for row in self.rows["exchange_rates"]
            if (row["currency"], row["start_date"]) != (currency, date.fromisoformat(start))
        ]
        self.rows["exchange_rates"] = kept
        self.rate(currency, start, rate)
        self.rows["exchange_rates"][-1]["modified_at"] = at(modified)

    def _line(self, told: dict[str, Any]) -> None:
        self.line(told["deal"], "setup", told["kind"], 1, told["amount"], created_at=at(told["created"]))

    def frames(self) -> dict[str, pl.DataFrame]:
        return {
            **super().frames(),
            "account_changes": pl.DataFrame(self.logs, schema=SCHEMAS["account_changes"]),
        }

    def known(self, moment: Any, company: Company = COMPANY) -> Facts:
        return Facts(company, ["2026-04", MONTH], moment, self.frames())


def published(facts: Facts, taken_at: datetime | None = None) -> Published:
    """What a board is told of May."""
    book = load("hr_tech")
    frozen = snapshot.freeze(facts, MONTH, Judge(book), book.name)
    return Published(
        month=MONTH, digest=frozen.digest, known_at=facts.known_at, taken_at=taken_at or facts.known_at,
        posted_at=POSTED, currency=frozen.currency,
        definitions=orjson.loads(frozen.definitions), values=frozen.values, evidence=frozen.evidence,
    )  # fmt: skip


def found(then: Published, now: Facts, recorded: Recorded | None = None) -> dict[str, Restatement]:
    items = restatements([then], now, {"deals": "https://crm.example/{id}"}, recorded)
    return {item.kpi: item for item in items if not item.segment}


def told(item: Restatement) -> list[tuple[Any, ...]]:
    """Causes in whole units."""
    scale = 100 if item.contribution_unit == "currency" else 1
    return [
        (one.cause, one.object, one.records, (one.step or 0) / scale, *([one.field] if one.field else []))
        for one in item.causes
    ]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case["name"]) for case in yaml.load(CASES.read_text(encoding="utf-8"), Words)],
)
def test_each_cause_is_told_of_its_records(case: dict[str, Any]) -> None:
    books = Ledger()
    for step in case.get("given", ()):
        books.step(step)
    then = published(books.known(POSTED))
    for step in case["since"]:
        books.step(step)
    items = found(then, books.known(LATER))
    for kpi, (before, after, expected) in case["expect"].items():
        if before == after:
            assert kpi not in items, (kpi, items.get(kpi))
            continue
        item = items[kpi]
        scale = 100 if item.unit == "currency" else 1
        assert item.published == pytest.approx(before * scale)
        assert item.now == (None if after is None else pytest.approx(after * scale))
        assert told(item) == [tuple(one) for one in expected]
        if item.difference is not None:
            assert sum(one.step or 0 for one in item.causes) == pytest.approx(item.difference)
            assert item.unexplained == pytest.approx(0)


def test_a_change_is_told_as_a_person_reads_it_and_of_people_nothing() -> None:
    books = Ledger()
    then = published(books.known(POSTED))
    books.step({"set": ["second", "arr", "2026-06-15", 50_000_00]})
    (arr,) = found(then, books.known(LATER))["arr"].records
    assert (arr.name, arr.before, arr.after) == ("second", 60_000_00, 50_000_00)
    assert (arr.cause, arr.field, arr.old, arr.new) == ("changed", "arr", "$60,000.00", "$50,000.00")
    assert (arr.at, arr.url) == (at("2026-06-15"), "https://crm.example/second")
    books = Ledger()
    books.step({"set": ["second", "owner_id", "2026-06-15", "Jane Rep"]})
    then = published(books.known(POSTED))
    then = replace(then, **_altered(then, 65_000_00))
    (arr,) = found(then, books.known(LATER))["arr"].records
    assert (arr.field, arr.old, arr.new) == ("owner_id", None, None)


def _altered(then: Published, contribution: int, **row: str) -> dict[str, Any]:
    """The same as published with another ARR of the second deal, which no record of the store explains."""
    second = (pl.col("kpi") == "arr") & (pl.col("external_id") == "second")
    changed = pl.when(second).then(pl.lit(str(contribution))).otherwise("contribution").alias("contribution")
    total, arr = str(120_000_00 + contribution), pl.col("kpi") == "arr"
    whole = arr & (pl.col("cut") == "")
    values = then.values.with_columns(
        *(pl.when(whole).then(pl.lit(total)).otherwise(name).alias(name) for name in ("value", "numerator")),
        *(pl.when(whole).then(pl.lit(text)).otherwise(name).alias(name) for name, text in row.items()),
    )
    return {"evidence": then.evidence.with_columns(changed), "values": values}


def test_what_no_record_tells_is_printed_as_unexplained() -> None:
    books = Ledger()
    then = published(books.known(POSTED))
    item = found(replace(then, **_altered(then, 65_000_00)), books.known(LATER))["arr"]
    assert told(item) == [("unknown", "deals", 1, -5000)]
    assert (item.difference, item.unexplained) == (-5_000_00, -5_000_00)


def test_a_number_that_lost_records_which_were_never_kept_says_how_much_is_missing() -> None:
    books = Ledger()
    then = published(books.known(POSTED))
    kept = replace(then, evidence=then.evidence.filter(pl.col("external_id") != "second"))
    books.step({"delete": ["second", "2026-06-12"]})
    item = found(kept, books.known(LATER))["arr"]
    assert told(item) == []
    assert (item.difference, item.unexplained) == (-60_000_00, -60_000_00)


def test_a_segment_is_restated_with_its_own_records() -> None:
    """One of two SMB deals lost is deleted, and the one that Enterprise won becomes SMB's: 1 of 2, then 2 of 2."""
    books = Ledger()
    for key, size, stage in (
        ("won", "SMB", "Won"), ("lost", "SMB", "Lost"), ("grew", "Enterprise", "Won"), ("stays", "Enterprise", "Lost"),
    ):  # fmt: skip
        told_of = {"key": key, "account": "acme", "created": "2026-04-03", "start": "2026-05-03", "arr": 100}
        history = [["2026-04-03", "Discovery"], ["2026-05-03", stage]]
        books.step({"deal": told_of | {"history": history, "segment": size}})
    then = published(books.known(POSTED))
    books.step({"delete": ["lost", "2026-06-12"]})
    books.step({"set": ["grew", "segment", "2026-06-15", "SMB"]})
    items = restatements([then], books.known(LATER), {"deals": "https://crm.example/{id}"})
    parts = {item.segment: item for item in items if item.kpi == "win_rate" and item.cut}
    small, large = parts["SMB"], parts["Enterprise"]
    assert (small.published, small.now, large.published, large.now) == (0.5, 1, 0.5, 0)
    assert {(one.external_id, one.before, one.after, one.cause, one.field) for one in small.records} == {
        ("lost", 0, None, "deleted", None), ("grew", None, 1, "changed", "segment"),
    }  # fmt: skip
    assert [(one.external_id, one.before, one.after, one.cause, one.url) for one in large.records] == [
        ("grew", 1, None, "changed", "https://crm.example/grew")
    ]
    made = report(restatements=items)
    told = {line.what: line.why for line in restated.lines(made)}
    assert told["Win rate by size: Enterprise, May 2026"].endswith("1 deal changed: segment")
    lists = [one for one in restated.evidence(made) if "by size" in one.title]
    assert len({one.kpi for one in lists}) == len(lists) == 2


def test_days_weighed_by_amounts_are_not_told_as_money() -> None:
    """60,000 in 30 days and 60,000 in 10 took 20; of 90,000 in 30 days there are 30 x 30,000 more."""
    books = Ledger()
    for key, day in (("slow", "2026-04-03"), ("fast", "2026-04-23")):
        books.step({"deal": {"key": key, "account": "acme", "created": day, "arr": 60_000, "start": "2026-05-03",
                             "history": [[day, "Discovery"], ["2026-05-03", "Won"]]}})  # fmt: skip
    then = published(books.known(POSTED))
    books.step({"set": ["slow", "arr", "2026-06-15", 90_000_00]})
    item = found(then, books.known(LATER))["cycle_days_weighted"]
    assert (item.unit, item.contribution_unit) == ("days", "currency_days")
    assert (item.published, item.now) == (20, 22)
    assert told(item) == [("changed", "deals", 1, 900_000_00, "arr")]
    (line,) = restated.lines(report(restatements=(item,)))
    assert "its numerator +$900,000.00 × days: 1 deal changed: ARR (+$900,000.00 × days)" in line.why


def test_another_definition_is_the_cause_of_what_nothing_happened_to() -> None:
    books = Ledger()
    then = published(books.known(POSTED))
    books.step({"set": ["first", "arr", "2026-06-15", 110_000_00]})
    older = replace(then, **_altered(then, 65_000_00, definition="arr/0: another one"))
    item = found(older, books.known(LATER))["arr"]
    assert told(item) == [("changed", "deals", 1, -10_000, "arr"), ("definition", "deals", 1, -5000)]
    assert item.other_definition == "arr/0: another one"
    assert item.unexplained == 0


def test_another_setting_is_the_cause_of_what_nothing_happened_to() -> None:
    books = Ledger()
    before = Company(name="test", currency="USD", arr=ArrSettings(basis="mrr"))
    books.step({"deal": {"key": "third", "account": "acme", "created": "2026-03-01", "history": [["2026-03-05", "Won"]],
                         "start": "2026-03-05", "amount": 1000}})  # fmt: skip
    item = found(published(books.known(POSTED, before)), books.known(LATER))["arr"]
    assert told(item) == [("settings", "deals", 1, -11_000)]
    assert item.other_settings == ("arr",)


HEADER: Final = "customer_key,product,arr,currency,start,end,source,as_of\n"


def test_a_revised_list_names_its_row_and_day(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    company = Company(
        name="test", currency="USD", arr=ArrSettings(source="opening_arr"), inputs=Inputs(opening_arr=path)
    )
    path.write_text(f"{HEADER}acme,,1000,USD,2025-01-01,,finance,2026-05-01\n")
    books = Ledger()
    then = published(books.known(POSTED, company))
    path.write_text(f"{path.read_text()}acme,,800,USD,2025-01-01,,audit,2026-06-10\n")
    item = found(then, books.known(LATER, company))["arr"]
    assert (item.published, item.now) == (1000_00, 800_00)
    assert told(item) == [("input", "opening_arr", 2, -200)]
    assert item.inputs == ("list.csv was revised as of 10 June 2026 (line 3)",)
    path.write_text(f"{HEADER}acme,,700,USD,2025-01-01,,finance,2026-05-01\n")
    item = found(then, books.known(LATER, company))["arr"]
    assert item.inputs == ("list.csv was rewritten without a later as_of",)
    assert told(item) == [("input", "opening_arr", 1, -300)]


def test_a_contract_of_the_crm_that_changed_or_went_is_told() -> None:
    """It has no past of its own: which field changed is not known."""
    company = Company(name="test", currency="USD", arr=ArrSettings(source="contract"))
    books = Ledger()
    contract = {
        "external_id": "k1", "name": "K one", "created_at": at("2026-01-01"), "account_id": "acme",
        "status": "Activated", "amount": 12_000_00, "currency": "USD", "start_date": date(2026, 1, 1),
        "end_date": date(2026, 12, 31), "term_months": 12,
    }  # fmt: skip
    books.rows["contracts"].append(contract)
    then = published(books.known(POSTED, company))
    contract |= {"amount": 6_000_00, "modified_at": at("2026-06-15")}
    item = found(then, books.known(LATER, company))["arr"]
    assert told(item) == [("changed", "contracts", 1, -6000)]
    assert (item.records[0].name, item.records[0].field) == ("K one", None)
    contract |= {"deleted_at": at("2026-06-16")}
    assert told(found(then, books.known(LATER, company))["arr"]) == [("deleted", "contracts", 1, -12_000)]


def test_a_corrected_rate_is_the_cause_of_stocks_of_whatever_arr_is_read_from(tmp_path: Path) -> None:
    """1,000 EUR of a customer a year ago and now, at 1.10 when it was told and at 1.20 since; 500 USD beside it."""
    path = tmp_path / "list.csv"
    path.write_text(
        f"{HEADER}acme,,1000,EUR,2025-01-01,,finance,\nglobex,,500,USD,2025-01-01,2026-01-01,finance,\n"
    )
    listed = Company(
        name="test", currency="USD", arr=ArrSettings(source="opening_arr"), inputs=Inputs(opening_arr=path)
    )
    signed = Company(name="test", currency="USD", arr=ArrSettings(source="contract"))
    for company, table in ((listed, "opening_arr"), (signed, "contracts")):
        books = Ledger()
        books.contract("euros", "acme", "2025-01-01", "2026-12-31", 2_000, currency="EUR")  # in two years
        books.contract("dollars", "globex", "2025-01-01", "2025-12-31", 500)
        books.step({"rate": ["EUR", "2025-01-01", "1.10", "2025-01-01"]})
        then = published(books.known(POSTED, company))
        books.step({"rate": ["EUR", "2025-01-01", "1.20", "2026-06-20"]})
        items = found(then, books.known(LATER, company))
        assert told(items["arr"]) == [("fx", table, 1, 100)]
        # 1,100 of 1,600 were kept, and 1,200 of 1,700 are.
        for kpi in ("nrr", "grr"):
            assert told(items[kpi]) == [("fx", "accounts", 1, 100)]
            assert items[kpi].published == pytest.approx(11 / 16)
            assert items[kpi].now == pytest.approx(12 / 17)
            assert items[kpi].unexplained == 0


def test_a_quota_that_was_changed_is_a_revised_target() -> None:
    books = Ledger()
    books.deal(
        "open", "2026-04-01", (("2026-04-01", "Discovery"),), close_date="2026-06-20", amount=50_000_00
    )
    books.quota("2026-04-01", 100_000)
    then = published(books.known(POSTED))
    books.rows["quotas"][0] |= {"amount": 50_000_00, "modified_at": at("2026-06-20")}
    item = found(then, books.known(LATER))["pipeline_coverage"]
    assert item.inputs == ("quotas were changed in the CRM",)
    assert item.causes == ()


def test_what_was_heard_of_late_is_new_whatever_its_date() -> None:
    """The store was told of a change of May only after May had been published."""
    books = Ledger()
    then = published(books.known(POSTED))
    books.step({"move": ["second", "2026-05-20", "Discovery"]})
    now = books.known(LATER)
    assert told(found(then, now)["arr"]) == [("unknown", "deals", 1, -60_000)]
    log = books.frames()["deal_changes"].filter(deal_id="second").tail(1)
    heard = log.select("deal_id", "field", "changed_at", "seq", recorded_at=pl.lit(at("2026-06-08"), UTC))
    assert told(found(then, now, Recorded({"deal_changes": heard}))["arr"]) == [
        ("reopened", "deals", 1, -60_000)
    ]
    # What the pass brought of which the numbers were made is no news, though it ended after they are known at.
    made = published(Ledger().known(POSTED), taken_at=at("2026-06-08", 23))
    assert told(found(made, now, Recorded({"deal_changes": heard}))["arr"]) == [
        ("unknown", "deals", 1, -60_000)
    ]


def test_a_deal_first_seen_later_was_recorded_late_whenever_it_says_it_was_created() -> None:
    books = Ledger()
    then = published(books.known(POSTED))
    books.step({"deal": {"key": "third", "account": "acme", "created": "2026-04-01", "history": [["2026-05-10", "Won"]],
                         "start": "2026-05-10", "arr": 7000}})  # fmt: skip
    first = pl.DataFrame(
        {"deal_id": ["third", "second"], "first_seen": [at("2026-06-09")] * 2},
        schema={"deal_id": pl.String, "first_seen": UTC},
    )
    item = found(then, books.known(LATER), Recorded(first_seen=first))["arr"]
    assert told(item) == [("late", "deals", 1, 7000)], (
        "the second deal stood behind a published number: it was seen"
    )


def test_what_was_published_later_than_what_is_known_is_not_restated() -> None:
    books = Ledger()
    later = published(books.known(LATER))
    books.step({"move": ["second", "2026-06-07", "Discovery"]})
    assert found(later, books.known(POSTED)) == {}


def test_every_input_of_a_number_is_declared(tmp_path: Path) -> None:
    """A faulty file of a kind makes exactly the numbers not computable that say they are made from it."""
    path = tmp_path / "bad.csv"
    path.write_text("nonsense\n1\n")
    for kind in ("targets", "spend", "margin", "opening_arr", "usage", "nps", "tickets", "calls", "billing"):
        files: dict[str, Any] = {kind: path}
        arr = ArrSettings(source="opening_arr") if kind == "opening_arr" else ArrSettings()
        books = Ledger()
        facts = books.known(LATER, Company(name="test", currency="USD", arr=arr, inputs=Inputs(**files)))
        hurt = {
            value.id
            for value in compute.compute(facts)
            if value.value is None and any(f"inputs: {kind}," in reason for reason in value.reasons)
        }
        declared = {name for name, kpi in compute.registered().items() if kind in kpi.inputs}
        assert hurt <= declared, (kind, hurt - declared)


HAPPENING: Final = {"object": "deals", "external_id": "d", "at": at("2026-06-10")}


def happened(*rows: dict[str, Any]) -> pl.DataFrame:
    full = [{name: (HAPPENING | row).get(name) for name in HAPPENED} for row in rows]
    return pl.DataFrame(full, schema=HAPPENED)


@pytest.mark.parametrize(
    ("was", "now", "rows", "cause"),
    [
        (1.0, None, [{"cause": "changed", "field": "stage"}, {"cause": "deleted"}], ("deleted", None)),
        (None, 1.0, [{"cause": "back_dated"}, {"cause": "late"}], ("late", None)),
        (None, 1.0, [{"cause": "changed", "field": "stage"}, {"cause": "back_dated"}], ("back_dated", None)),
        (2.0, 1.0, [{"cause": "changed", "field": "stage"}, {"cause": "changed", "field": "amount"}],
         ("changed", "amount")),
        (2.0, 1.0, [{"cause": "changed", "field": "custom thing"}], ("changed", "custom thing")),
        (2.0, 1.0, [{"cause": "fx"}, {"cause": "changed", "field": "owner_id"}], ("fx", None)),
        (None, 1.0, [{"cause": "fx"}], ("settings", None)),
        (2.0, 1.0, [], ("settings", None)),
        (2.0, 1.0, [{"external_id": "other", "cause": "deleted"}], ("settings", None)),
        (2.0, 1.0, [{"object": "accounts", "external_id": "c", "cause": "merged"}], ("merged", None)),
        (2.0, 1.0, [{"object": "accounts", "external_id": "c", "cause": "late", "through": "other"},
                    {"cause": "changed", "field": "amount"}], ("changed", "amount")),
        (2.0, 1.0, [{"object": "accounts", "external_id": "c", "cause": "late", "through": "other"},
                    {"cause": "changed", "field": "next_step"}], ("late", None)),
    ],
)  # fmt: skip
def test_the_most_specific_cause_wins(
    was: float | None, now: float | None, rows: list[dict[str, Any]], cause: tuple[str, str | None]
) -> None:
    records = pl.DataFrame([("deals", "d", was, now)], schema=causes.MOVED, orient="row")
    customers = pl.DataFrame({"external_id": ["d", "other"], "customer": ["c", "c"]})
    (row,) = causes.decide(records, happened(*rows), customers, "settings").iter_rows(named=True)
    assert (row["cause"], row["field"]) == cause


def test_a_record_in_several_rows_counts_as_their_sum_and_ties_are_in_order() -> None:
    before = pl.DataFrame(
        {"object": ["deals"] * 3, "external_id": ["a", "a", "b"], "contribution": ["1", "2", "5"]}
    )
    after = pl.DataFrame({"object": ["deals"] * 2, "external_id": ["a", "c"], "contribution": [3.0, 5.0]})
    rows = causes.moved(before, after).rows()
    assert rows == [("deals", "b", 5.0, None), ("deals", "c", None, 5.0)]
    assert Decimal(str(sum((now or 0) - (was or 0) for _, _, was, now in rows))) == 0
