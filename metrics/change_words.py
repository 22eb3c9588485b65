"""A changed record as a person reads it: stages by their labels, money by its currency, and nothing personal.

Values of fields that hold names or free text are left out: the board's page names no sales rep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from connectors.schema import TABLES
from metrics.board import RecordChange
from metrics.facts import Facts
from metrics.render import numbers
from metrics.render.safe import record_url

_MONEY: Final = ("amount", "arr")
_TOLD: Final = (  # fields whose values a page may print
    "close_date", "start_date", "term_months", "currency", "type", "pilot", "pilot_start", "pilot_end",
    "pilot_converted", "first_meeting_at", "motion", "segment", "expansion_kind", "lead_source", "partner",
    "probability",
    "industry", "employees", "converted_at", "mql_at", "sql_at", "end", "exchange rate",
)  # fmt: skip


class Words:
    """The words of one company's facts."""

    def __init__(self, facts: Facts) -> None:
        labels = facts.raw("stages").select("stage", pl.coalesce("label", "stage").alias("label"))
        self._labels: dict[str, str] = dict(labels.iter_rows())
        self._currencies = facts.once(_currencies)

    def change(self, row: Mapping[str, Any], links: Mapping[str, str]) -> RecordChange:
        """A row of ``metrics.causes.decide`` with the record's name."""
        owner = row["through"] or row["external_id"]
        return RecordChange(
            object=row["object"],
            name=row["name"] or "",
            external_id=row["external_id"],
            before=row["was"],
            after=row["now"],
            cause=row["cause"],
            field=row["field"],
            old=self._value(row["field"], row["old"], owner),
            new=self._value(row["field"], row["new"], owner),
            at=row["at"],
            through=row["through"],
            url=record_url(links.get(row["object"]), row["external_id"]),
        )

    def _value(self, field: str | None, text: str | None, deal: str) -> str | None:
        """The text of a log as a person reads it; None where there is none, or none to be told."""
        if text is None or text == "" or field is None:
            return None
        if field == "stage":
            return self._labels.get(text, text)
        if field in _MONEY and TABLES["deals"][field] == pl.Int64:
            currency = self._currencies.get(deal)
            return numbers.money(int(text), currency) if currency and text.lstrip("-").isdigit() else None
        return text if field in _TOLD else None


def _currencies(facts: Facts) -> dict[str, str]:
    return {
        deal: currency or facts.home_currency
        for deal, currency in facts.raw("deals").select("external_id", "currency").iter_rows()
    }
