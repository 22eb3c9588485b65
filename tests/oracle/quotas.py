"""What each quarter should bring (ruling 27): of the CRM where it has any for the quarter, else of the targets file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from tests.oracle.record import Truth
from tests.oracle.segments import UNKNOWN, Segments


@dataclass(frozen=True)
class Filed:
    """A quota of the targets file; ``cut`` None: the whole company."""

    quarter: date  # its first day
    cut: str | None
    segment: str
    amount: int
    currency: str


@dataclass(frozen=True)
class Quota:
    """Home currency at the rate of the quarter's first day."""

    segment: str
    value: int


class Quotas:
    """The quotas of every quarter, for the whole company and for the segments they are given by."""

    def __init__(
        self, truth: Truth, of: Segments, filed: Iterable[Filed] = (), *, of_crm: bool = True
    ) -> None:
        """``of_crm``: whether the CRM has a place for quotas (HubSpot has none)."""
        self.truth = truth
        self.by: dict[tuple[date, str | None], list[Quota]] = {}
        held = set()
        for row in truth.live("quota") if of_crm else ():
            first = truth.quarter(row["start_date"][:7])
            held.add(first)
            value = truth.home(row["amount"], row["currency"], first)
            self.by.setdefault((first, None), []).append(Quota("", value))
            owner = of.owners.get(row["owner"], UNKNOWN)
            self.by.setdefault((first, "owner"), []).append(Quota(owner, value))
        for each in filed:
            first = truth.quarter(each.quarter)
            if first not in held:
                value = truth.home(each.amount, each.currency, first)
                self.by.setdefault((first, each.cut), []).append(Quota(each.segment, value))

    def given(self, month: str, cut: str | None) -> Sequence[Quota]:
        """Those of the month's quarter that hold for a way to cut it."""
        return self.by.get((self.truth.quarter(month), cut), ())
