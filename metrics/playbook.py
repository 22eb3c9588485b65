"""Playbooks: which numbers head the report of a market, and where its lines are drawn.

A playbook is a YAML file: the three shipped ones, or a person's own, which may extend one of them::

    extends: hr_tech
    title: Our HR book
    headline: [arr, nrr, grr]
    kpis:
      nrr:
        target: above 108%
        rules:
          - {status: on_target, above: 108%}
          - {status: off_target, at_most: 108%}

Bounds are strict as they are named: ``below`` <, ``at_most`` <=, ``above`` >, ``at_least`` >=; a rule with two needs
both. A KPI named in the extending file replaces the whole entry of the extended one.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors.errors import ConfigurationError

# Every KPI of the product; a playbook may only name these.
KPI_IDS: Final = (
    "arr", "carr", "arr_new_logo", "arr_expansion_seat", "arr_expansion_module", "arr_expansion_other",
    "arr_reactivation", "arr_contraction", "arr_churn", "arr_growth_mom", "arr_growth_yoy", "nrr", "grr",
    "logo_churn", "win_rate", "win_rate_value", "win_rate_cohort", "avg_deal_size", "cycle_days_median",
    "cycle_days_weighted", "sales_velocity", "stage_days", "poc_days", "poc_conversion",
    "pipeline_coverage", "pipeline_coverage_weighted", "forecast_in_quarter", "forecast_accuracy_error",
    "cac_payback_months", "lead_to_opportunity", "mql_to_sql", "marketing_sourced_pipeline",
    "marketing_sourced_revenue", "partner_sourced_pipeline", "partner_sourced_revenue", "cost_per_lead",
    "health_score", "field_completeness", "data_cleanliness",
)  # fmt: skip
_DEEPEST: Final = 3  # playbooks that extend each other


def _bound(value: Any) -> Any:
    """``105%`` -> 1.05."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError as error:
            raise ValueError(f"{value!r} is not a percentage") from error
    return value


Bound = Annotated[float, BeforeValidator(_bound)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Part):
    """A status and the bounds within which it is given."""

    status: Literal["on_target", "watch", "off_target"]
    below: Bound | None = None
    at_most: Bound | None = None
    above: Bound | None = None
    at_least: Bound | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Rule:
        if not self.bounds:
            raise ValueError("a rule needs at least one of below, at_most, above, at_least")
        return self

    @property
    def bounds(self) -> tuple[float, ...]:
        given = (self.below, self.at_most, self.above, self.at_least)
        return tuple(bound for bound in given if bound is not None)

    def holds(self, value: float) -> bool:
        """Whether the value lies within all bounds."""
        return (
            (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
        )


class Line(_Part):
    """What a playbook says of one KPI: the target in words, and the rules, the first that holds counts."""

    target: str | None = None
    rules: tuple[Rule, ...] = ()


_SILENT: Final = Line()


class Playbook(_Part):
    """One market's headline KPIs, in their order, and its lines."""

    name: str
    title: str
    headline: tuple[str, ...] = Field(min_length=1)
    kpis: dict[str, Line] = {}

    @field_validator("headline")
    @classmethod
    def _known_headline(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        for one in ids:
            _known(one)
        if len(set(ids)) < len(ids):
            raise ValueError("a KPI stands in it twice")
        return ids

    @field_validator("kpis")
    @classmethod
    def _known_kpis(cls, lines: dict[str, Line]) -> dict[str, Line]:
        for one in lines:
            _known(one)
        return lines

    def line(self, kpi: str) -> Line:
        """What is said of a KPI; nothing, where the playbook is silent."""
        return self.kpis.get(kpi, _SILENT)

    def edges(self, kpi: str) -> tuple[float, ...]:
        """Every threshold of a KPI, ascending."""
        return tuple(sorted({bound for rule in self.line(kpi).rules for bound in rule.bounds}))


def _known(kpi: str) -> None:
    if kpi not in KPI_IDS:
        near = difflib.get_close_matches(kpi, KPI_IDS, 1)
        raise ValueError(f"there is no KPI {kpi!r}" + (f"; did you mean {near[0]}?" if near else ""))


def shipped() -> tuple[str, ...]:
    """Names of the playbooks that come with Boardline."""
    folder = resources.files("metrics.playbooks").iterdir()
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder if entry.name.endswith(".yaml")))


@cache
def load(name_or_path: str) -> Playbook:
    """A shipped playbook by name, or a person's own by path.

    Raises ``ConfigurationError`` naming file, line and remedy.
    """
    merged = _read(name_or_path, _DEEPEST)
    merged.setdefault("title", merged["name"])
    return Playbook.model_validate(merged)


def _read(name_or_path: str, depth: int) -> dict[str, Any]:
    """The playbook as plain data with what it extends merged in; checked, so that errors name the right line."""
    text, where = _text(name_or_path)
    data, lines = _parse(text, where)
    extended = data.pop("extends", None)
    base: dict[str, Any] = {}
    if extended is not None:
        at = f"{where}, line {lines.get(('extends',), 1)}"
        if not isinstance(extended, str) or depth == 0:
            raise ConfigurationError(
                f"{at}: extends names one playbook; they may extend each other {_DEEPEST} deep"
            )
        beside = Path(name_or_path).parent / extended
        base = _read(extended if extended in shipped() else str(beside), depth - 1)
    own = {"name": Path(name_or_path).stem if name_or_path not in shipped() else name_or_path, **data}
    kpis = own.get("kpis", {})
    merged = {**base, **own, "kpis": {**base.get("kpis", {}), **kpis} if isinstance(kpis, dict) else kpis}
    try:
        Playbook.model_validate({"title": "", **merged})
    except ValidationError as error:
        raise ConfigurationError(_explain(error, where, lines)) from None
    return merged


def _text(name_or_path: str) -> tuple[str, str]:
    if name_or_path in shipped():
        return (resources.files("metrics.playbooks") / f"{name_or_path}.yaml").read_text(
            "utf-8"
        ), f"playbook {name_or_path}"
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        near = difflib.get_close_matches(name_or_path, shipped(), 1)
        raise ConfigurationError(
            f"there is no playbook {name_or_path!r}; known are {', '.join(shipped())}, or give the path of a .yaml file"
            + (f" (did you mean {near[0]}?)" if near else "")
        )
    try:
        return path.read_text("utf-8"), f"playbook {path}"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"playbook {path} cannot be read: {reason}; check `playbook:`") from None


Path_ = tuple[str | int, ...]


def _parse(text: str, where: str) -> tuple[dict[str, Any], dict[Path_, int]]:
    """The YAML mapping, and the line of every key and item in it."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{where}, line {line}: this is not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where}: this is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigurationError(f"{where}, line 1: a playbook is a mapping with title, headline and kpis")
    lines: dict[Path_, int] = {}
    _lines(node, (), lines)
    return data, lines


def _lines(node: Any, path: Path_, lines: dict[Path_, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*path, key.value)] = key.start_mark.line + 1
            _lines(value, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            _lines(item, (*path, index), lines)


def _explain(error: ValidationError, where: str, lines: dict[Path_, int]) -> str:
    """The first fault in one line: file, line, place, what is wrong and the nearest known key."""
    fault = error.errors()[0]
    place: Path_ = tuple(fault["loc"])
    known = place
    while known and known not in lines:
        known = known[:-1]
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        fields = [*Playbook.model_fields, *Line.model_fields, *Rule.model_fields, "extends"]
        near = difflib.get_close_matches(str(place[-1]), fields, 1)
        message = "unknown key" + (f"; did you mean {near[0]}?" if near else "")
    dotted = ".".join(str(part) for part in place) or "playbook"
    return f"{where}, line {lines.get(known, 1)}: {dotted}: {message}"
