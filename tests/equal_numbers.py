"""Printed numbers against the second computation: which there are, and all that each says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from metrics.kpi import KpiValue
from tests.oracle.number import Amount, Figure, Number

EXACT = 1e-9  # how far a quotient may be off, relative to its size


@dataclass
class Compared:
    """``wrong``: what differs, in words; ``silent``: KPIs that were never defined; ``seen``: numbers that were."""

    wrong: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    seen: int = 0


def compared(
    values: Iterable[KpiValue],
    second: Mapping[str, Number],
    months: Sequence[str],
    cut: str | None,
) -> Compared:
    """Every number of one cut, of every KPI that can be cut so: value, numerator, denominator and n."""
    ours = {(value.id, value.month, value.segment.get(cut) if cut else None): value for value in values}
    done = Compared(silent={kpi for kpi, number in second.items() if cut is None or cut in number.cuts})
    wanted = {
        (kpi, month, segment): figure
        for kpi in done.silent
        for (month, segment), figure in second[kpi].table(months, cut).items()
    }
    done.wrong += [f"{key} is not printed" for key in wanted.keys() - ours.keys()]
    done.wrong += [f"{key} is printed" for key in ours.keys() - wanted.keys()]
    for key in sorted(ours.keys() & wanted.keys(), key=str):
        done.wrong += [f"{key}: {fault}" for fault in _faults(ours[key], wanted[key])]
        done.silent -= {key[0]} if wanted[key].value is not None else set()
        done.seen += wanted[key].value is not None
    return done


def _faults(value: KpiValue, figure: Figure) -> list[str]:
    sides: dict[str, tuple[Amount | None, Amount | None]] = {
        "value": (value.value, figure.value),
        "numerator": (value.numerator, figure.numerator),
        "denominator": (value.denominator, figure.denominator),
        "n": (value.n, figure.n),
    }
    return [
        f"{name} {ours}, wanted {wanted if wanted is None else float(wanted)} ({'; '.join(value.reasons)})"
        for name, (ours, wanted) in sides.items()
        if not _same(ours, wanted)
    ]


def _same(ours: Amount | None, wanted: Amount | None) -> bool:
    """Counts and sums of amounts are equal to the last unit, quotients to nine digits."""
    if ours is None or wanted is None:
        return ours is wanted
    if isinstance(wanted, int):
        return ours == wanted
    return abs(float(ours) - float(wanted)) <= EXACT * max(1.0, abs(float(wanted)))
