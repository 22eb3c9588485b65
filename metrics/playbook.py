"""Playbooks: which numbers head the report of a market, where its lines are drawn, and what to look at beyond them.

A playbook is a YAML file: the three shipped ones, or a person's own, which may extend one of them::

    extends: hr_tech
    title: Our HR book
    headline: [nrr, grr, win_rate]
    supporting: [arr, pipeline_coverage]
    kpis:
      nrr:
        target: above 108%
        rules:
          - {status: on_target, above: 108%}
          - {status: off_target, at_most: 108%, says: the base shrinks}
    diagnoses:
      pilots: null

How bounds are written: ``metrics.condition``; what the parts mean: ``metrics.playbook_parts``. The first rule that
holds gives a KPI's status; where none does, the client's own target (targets file) counts, and without one there is
no verdict.

What an extending file says replaces what it extends: of ``kpis``, ``segments`` and ``diagnoses`` the entries it
names (null takes one out), of everything else the whole. No rule of a playbook reaches a company that does not use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from connectors.errors import ConfigurationError
from connectors.schema import TABLES
from connectors.spelling import nearest
from metrics.condition import Comparison, Part
from metrics.playbook_faults import faults
from metrics.playbook_parts import (
    KPI_IDS,
    Call,
    Checkpoint,
    Days,
    Expectation,
    Fit,
    Hidden,
    KpiIds,
    Line,
    Occasion,
    Rule,
    Segment,
    Shift,
    known,
)
from metrics.yaml_lines import Place, parse
from pipeline.company import Company

__all__ = ["KPI_IDS", "Line", "Playbook", "Rule", "applied", "load", "shipped"]

C = TypeVar("C", bound=Company)

_DEEPEST: Final = 3  # playbooks that extend each other
_MERGED: Final[tuple[str, ...]] = ("kpis", "segments", "diagnoses")  # entry by entry
_TOP: Final = "a playbook is a mapping with title, headline and kpis"
_SILENT: Final = Line()


class Playbook(Part):
    """One market's KPIs in their order, its lines, and what to look at.

    ``headline``: the KPIs the role is accountable for; ``supporting``: what stands below them on the scorecard.
    ``hidden``: what the role does not own; ``not_owned`` the same in words, of what Boardline does not compute.
    ``required_fields``: of an open deal, for completeness. ``poc_limit_days``: how long a pilot may take.
    """

    name: str
    title: str
    headline: Annotated[KpiIds, Field(min_length=1)]
    supporting: KpiIds = ()
    shifts: tuple[Shift, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    not_owned: tuple[str, ...] = ()
    segments: dict[str, Segment] = {}
    required_fields: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    poc_limit_days: Days = 45
    kpis: dict[str, Line] = {}
    diagnoses: dict[str, Call] = {}
    fit: tuple[Fit, ...] = ()
    checkpoint: Checkpoint | None = None
    expectations: tuple[Expectation, ...] = ()
    audit: tuple[str, ...] = ()

    @field_validator("kpis")
    @classmethod
    def _known_kpis(cls, lines: dict[str, Line]) -> dict[str, Line]:
        for one in lines:
            known(one, KPI_IDS, "KPI")
        return lines

    @field_validator("required_fields")
    @classmethod
    def _known_fields(cls, fields: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for one in fields or ():
            if not one.startswith("custom."):
                known(one, TABLES["deals"], "field of a deal")
        return fields

    @model_validator(mode="after")
    def _fits_together(self) -> Playbook:
        never = {kpi for hidden in self.hidden if not hidden.owned_when for kpi in hidden.kpis}
        if shown := [kpi for kpi in (*self.headline, *self.supporting) if kpi in never]:
            raise ValueError(f"{shown[0]} is hidden and on the scorecard; take it out of one of them")
        return self

    @property
    def scorecard(self) -> tuple[str, ...]:
        """Headline and supporting KPIs, in their order, each once."""
        return tuple(dict.fromkeys((*self.headline, *self.supporting)))

    def line(self, kpi: str) -> Line:
        """What is said of a KPI; nothing, where the playbook is silent."""
        return self.kpis.get(kpi, _SILENT)

    def edges(self, kpi: str) -> tuple[float, ...]:
        """Every threshold that the number of the whole company is compared with, ascending."""
        line = self.line(kpi)
        if line.judged_by is not None or line.only_segments:
            return ()
        rules = (rule for rule in line.rules if rule.segment is None)
        return tuple(
            sorted({bound.value for rule in rules for _, bound in rule.bounds if bound.currency is None})
        )

    def in_segment(self, segment: str, cut: str, name: str) -> bool:
        """Whether a segment of a cut is one that the playbook calls so."""
        named = self.segments.get(segment)
        return named is not None and named.cut == cut and name in named

    @property
    def looks_back(self) -> tuple[int, ...]:
        """How many months before the month in question its rules and diagnoses also need, 0 included, ascending."""
        rules = [rule for line in self.kpis.values() for rule in line.rules]
        found = {months for rule in rules for months in rule.looks_back}
        found |= {months for rule in rules for one in rule.when.values() for months in one.looks_back}
        occasions: tuple[Occasion, ...] = (*self.diagnoses.values(), *self.shifts, *self.fit)
        return tuple(sorted(found.union({0}, *(one.looks_back for one in occasions))))


def shipped() -> tuple[str, ...]:
    """Names of the playbooks that come with Boardline."""
    folder = resources.files("metrics.playbooks").iterdir()
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder if entry.name.endswith(".yaml")))


def text(name: str) -> str:
    """A shipped playbook as it is written."""
    return (resources.files("metrics.playbooks") / f"{name}.yaml").read_text("utf-8")


@cache
def load(name_or_path: str) -> Playbook:
    """A shipped playbook by name, or a person's own by path.

    Raises ``ConfigurationError`` naming file, line and remedy.
    """
    merged = _read(name_or_path, ())
    merged.setdefault("title", merged["name"])
    return Playbook.model_validate(merged)


def applied(company: C) -> C:
    """The company with what its playbook says of completeness, where its own configuration is silent.

    Raises ``ConfigurationError`` for a bad playbook.
    """
    fields = load(company.playbook).required_fields
    if fields is None or "required_deal_fields" in company.model_fields_set:
        return company
    return company.model_copy(update={"required_deal_fields": fields})


def _read(name_or_path: str, extending: tuple[str, ...]) -> dict[str, Any]:
    """The playbook as plain data with what it extends merged in; checked, so that errors name the right line.

    ``extending``: the playbooks that led here, each extended by the one before it.
    """
    written, where = _text(name_or_path)
    data, lines = parse(written, where, _TOP)
    extended = data.pop("extends", None)
    base: dict[str, Any] = {}
    if extended is not None:
        at = f"{where}, line {lines.get(('extends',), 1)}: extends"
        base = _read(_extended(name_or_path, extended, extending, at), (*extending, name_or_path))
    own = {"name": Path(name_or_path).stem if name_or_path not in shipped() else name_or_path, **data}
    by_entry = {key: _merged(base.get(key, {}), own[key]) for key in _MERGED if key in own}
    merged: dict[str, Any] = {**base, **own, **by_entry}
    try:
        book = Playbook.model_validate({"title": "", **merged})
    except ValidationError as error:
        raise ConfigurationError(_explain(error, where, lines)) from None
    for fault in faults(book):
        taken_out = fault.place not in lines and fault.about in lines
        place = fault.about if taken_out else fault.place
        raise ConfigurationError(_placed(place, fault.text, where, lines))
    return merged


def _extended(name_or_path: str, extended: Any, extending: tuple[str, ...], at: str) -> str:
    """What a playbook extends, as a name or a path; refused where that leads back to it, or too deep."""
    if not isinstance(extended, str):
        raise ConfigurationError(
            f"{at} names one playbook, by its name ({', '.join(shipped())}) or the path of a .yaml file"
        )
    if extended in shipped():
        return extended
    beside = Path(name_or_path).parent / extended
    way = (*extending, name_or_path)
    again = [index for index, one in enumerate(way) if Path(one).resolve() == beside.resolve()]
    remedy = f"extend a shipped one ({', '.join(shipped())}), or leave extends out"
    if again == [len(way) - 1]:
        raise ConfigurationError(f"{at}: {extended} is this playbook itself; {remedy}")
    if again:
        circle = " -> ".join(Path(one).name for one in (*way[again[0] :], extended))
        raise ConfigurationError(f"{at}: they extend each other in a circle ({circle}); {remedy}")
    if len(way) > _DEEPEST:
        chain = " -> ".join(Path(one).name for one in (*way, extended))
        raise ConfigurationError(
            f"{at}: playbooks may extend each other {_DEEPEST} deep, and this is more ({chain}); put two of them"
            " together"
        )
    return str(beside)


def _merged(base: Any, own: Any) -> Any:
    """Entry by entry; what is no mapping is left as it is, to be refused."""
    if not isinstance(own, dict):
        return own
    return {key: value for key, value in {**base, **own}.items() if value is not None or key not in base}


def _text(name_or_path: str) -> tuple[str, str]:
    if name_or_path in shipped():
        return text(name_or_path), f"playbook {name_or_path}"
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        near = nearest(name_or_path, shipped())
        raise ConfigurationError(
            f"there is no playbook {name_or_path!r}; known are {', '.join(shipped())}, or give the path of a .yaml file"
            + (f" (did you mean {near}?)" if near else "")
        )
    try:
        return path.read_text("utf-8"), f"playbook {path}"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"playbook {path} cannot be read: {reason}; check `playbook:`") from None


# The part that stands under a key, at the top and deeper.
_AT: Final[Mapping[str, type[Part]]] = {
    "kpis": Line,
    "rules": Rule,
    "when": Comparison,
    "any_of": Comparison,
    "owned_when": Comparison,
    "segments": Segment,
    "diagnoses": Call,
    "fit": Fit,
    "hidden": Hidden,
    "shifts": Shift,
    "checkpoint": Checkpoint,
    "expectations": Expectation,
}
PARTS: Final[tuple[type[Part], ...]] = (
    Playbook,
    *dict.fromkeys(_AT.values()),
)  # every part a playbook is made of
_FAULTS: Final = {
    "string_type": "this is no text; put it in quotes",
    "tuple_type": "this is no list; write it as [one, two]",
    "dict_type": "this holds no `key: value` lines; indent them under it",
    "model_type": "this holds no `key: value` lines; indent them under it",
    "too_short": "it is empty; add at least one",
}


def _explain(error: ValidationError, where: str, lines: dict[Place, int]) -> str:
    """The first fault in one line: file, line, place, what is wrong and the nearest known key."""
    # An unknown key comes first: it is often the misspelt form of the one that is missing.
    fault = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place: Place = tuple(part for part in fault["loc"] if part != "[key]")
    message = _FAULTS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "extra_forbidden":
        part = next((_AT[str(key)] for key in reversed(place[:-1]) if key in _AT), Playbook)
        keys = [*part.model_fields, *(["extends"] if part is Playbook else [])]
        near = nearest(str(place[-1]), keys)
        message = "unknown key" + (f"; did you mean {near}?" if near else "")
    return _placed(place, message, where, lines)


def _placed(place: Place, message: str, where: str, lines: dict[Place, int]) -> str:
    """A fault with its line, or that of the part it is in; what stands only in an extended playbook has none here."""
    at = place
    while at and at not in lines:
        at = at[:-1]
    dotted = ".".join(str(part) for part in place) or "playbook"
    return f"{where}, line {lines.get(at, 1)}: {dotted}: {message}"
