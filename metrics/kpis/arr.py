"""ARR: annual recurring revenue that is live at the end of the month.

Formula: sum of the ARR of all contracts with start <= D < end, D being the last day of the month (or the day the
numbers are known at). Each row (line item, remainder, or deal without lines) is converted at the rate of D.
Exclusions: one-time lines, deals without ARR and term, without account, with reversed dates, of unmapped type, in
a currency without rate (all listed); unconverted pilots. Where the CRM's own contracts are the source (arr.source:
contract or cpq): those that are not in force, without account, amount or end, or with reversed dates.
Contracts that expired with a renewal still open stay for the grace period and are named in the evidence.
Where a billing export is given (inputs: billing) the gap to it stands beside the number; metrics.reconciliation has it
customer by customer with its cause.
Unit: money. Source: definition book, section 2, R3 to R8, rulings 5 to 13.
Elsewhere:
- Baremetrics: MRR x 12, the present run rate carried on for a year.
- ChartMogul: annual run rate, MRR x 12 of active and past-due subscriptions, from billing data and not from deals.
- GitLab: MRR of the subscriptions active on the month's last day x 12, a twelfth of the month's true-ups included,
  frozen on business day 4.
- HubSpot: a property of each deal, made of its recurring line items with a term of 12 months where none is set,
  whatever the amount says; it is no stock of live contracts.
- SaaSGrid: live by start date or contracted by close date, as the reader chooses; a month counts when its last day lies
  in the term, and deals without amount or company or with reversed dates are dropped.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, reconciliation, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    measure = recurring.stock(facts, cut)
    return measure if cut else reconciliation.noted(facts, measure)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return recurring.contracts_behind(facts, facts.positions_of(month), cut)


KPI = Kpi(
    id="arr",
    title="ARR",
    unit="currency",
    higher_is_better=True,
    period="month",
    definition="arr/1: live contracts at month-end, rate of that day",
    parts=("currency", None),
    requires=recurring.REQUIRES,
    reads=recurring.READS,
    compute=compute,
    evidence=evidence,
    inputs=("opening_arr",),
    stands_on=recurring.stands_on,
    alternatives=(*alternatives.HEADLINE, *alternatives.LEDGER),
)
