"""Why a value cannot be relied on: what it stands on is read in part, hidden, filled too rarely, or of another day.

Definition book, R1 (what has no history is taken as it is now, and said so) and R14 (below the company's share of
filled fields a number is printed as unreliable).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from metrics import agreements, recurring
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.runs import counted
from pipeline.emptiness import filled

INCOMPLETE: Final = "the CRM has not been read to its end yet: this counts only what was read so far"

# Required columns that are read from another column of the facts, where 0 is a value and not a blank (ruling 7).
_DERIVED: Final = {"arr": "arr_value"}


def doubts(facts: Facts, kpi: Kpi) -> Mapping[str, tuple[str, ...]]:
    """Month -> why a value of this KPI cannot be trusted: the same whichever way it is cut."""
    known = facts.once(_known_doubts)
    if kpi.id not in known:
        known[kpi.id] = _find_doubts(facts, kpi)
    return known[kpi.id]


def _known_doubts(facts: Facts) -> dict[str, Mapping[str, tuple[str, ...]]]:
    """KPI -> its doubts, filled as it is asked for."""
    return {}


def _find_doubts(facts: Facts, kpi: Kpi) -> dict[str, tuple[str, ...]]:
    """Its fields that are filled too rarely, or half a CRM."""
    if facts.info is not None and facts.info.incomplete:
        return dict.fromkeys(facts.months, (INCOMPLETE,))
    if hidden := _hidden(facts, kpi):
        return dict.fromkeys(facts.months, hidden)
    if kpi.stands_on and recurring.of_ledger(kpi) and facts.company.arr.contracts:
        return agreements.doubts(facts.agreements, facts.periods, facts.company)
    columns = [column for table, column in kpi.requires if table == "deals"]
    if kpi.stands_on is None or not columns:
        return {}
    shares = _shares(facts, kpi.stands_on, tuple(columns))
    found: dict[str, tuple[str, ...]] = {}
    threshold = facts.company.completeness_threshold
    for row in shares.iter_rows(named=True):
        found[row["month"]] = tuple(
            f"{column} is filled on {row[f'_{column}']:.0%} of the {row['n']} deals behind this number, "
            f"less than {threshold:.0%}"
            for column in columns
            if row[f"_{column}"] < threshold
        )
    return found


def _shares(
    facts: Facts, stands_on: Callable[[Facts], pl.DataFrame], columns: tuple[str, ...]
) -> pl.DataFrame:
    """month, n (deals behind a number), and for each column the share of them on which it is filled (``_NAME``).

    Many KPIs stand on the same deals: they are looked at once.
    """
    known = facts.once(_known_shares)
    if (stands_on, columns) in known:
        return known[stands_on, columns]
    names = [f"_{column}" for column in columns]
    deals = facts.deals.select(
        "external_id", *(_is_filled(facts.deals, column).alias(f"_{column}") for column in columns)
    )
    rows = stands_on(facts)
    if "deal" in rows.columns:
        held = rows.select(
            "first",
            "last",
            *(deals[name].gather(rows["deal"]).cast(pl.Int64) for name in names),
            n=pl.lit(1, pl.Int64),
            every=pl.lit(0),
        )
        sums = counted(held, len(facts.months), ["every"], "n", *names)
        months = pl.Series(facts.months)
        shares = sums.select(
            "n", *(pl.col(name) / pl.col("n") for name in names), month=months.gather(sums["number"])
        )
    else:
        shares = (
            rows.lazy()
            .join(deals.lazy(), on="external_id")
            .group_by("month")
            .agg(pl.len().alias("n"), pl.col(names).mean())
            .collect()
        )
    known[stands_on, columns] = shares
    return shares


def _known_shares(
    facts: Facts,
) -> dict[tuple[Callable[[Facts], pl.DataFrame], tuple[str, ...]], pl.DataFrame]:
    """Filled as it is asked for."""
    return {}


def _hidden(facts: Facts, kpi: Kpi) -> tuple[str, ...]:
    """Its fields that the configuration names and the CRM does not show: whatever stands in for them is a guess."""
    if facts.info is None:
        return ()
    states = {(table, column): facts.info.state(table, column) for table, column in _required(facts, kpi)}
    return tuple(
        f"{table}.{column} cannot be seen ({state.crm_field or 'no such field'})"
        + ("; amounts by their terms stand in for it" if column in _DERIVED else "")
        for (table, column), state in states.items()
        if state is not None and state.state == "hidden"
    )


def _is_filled(deals: pl.DataFrame, column: str) -> pl.Expr:
    if column in _DERIVED:
        return pl.col(_DERIVED[column]).is_not_null()
    return filled(pl.col(column), deals.schema[column])


def not_reconstructed(facts: Facts, kpi: Kpi, cut: str | None) -> tuple[str, ...]:
    """What of a past moment is taken at today's value, because nobody has kept what it was (R1)."""
    info = facts.info
    if info is None:
        return ()
    columns = [
        f"{table}.{column}"
        for table, column in _required(facts, kpi)
        if not info.reconstructed(table, column, facts.known_at)
    ]
    names = ("owners",) if cut == "owner" else ()
    columns += [table for table in (*kpi.reads, *names) if table in facts.unkept]
    if not columns:
        return ()
    return (f"not reconstructed, today's values stand in: {', '.join(columns)} (see history_coverage)",)


def _required(facts: Facts, kpi: Kpi) -> tuple[tuple[str, str], ...]:
    """The columns that the KPI stands on; where ARR comes from the CRM's own contracts, theirs in the deals' place."""
    own = agreements.requires(facts.company.arr)
    if not own or not recurring.of_ledger(kpi):
        return kpi.requires
    return (*own, *(pair for pair in kpi.requires if pair not in recurring.REQUIRES))
