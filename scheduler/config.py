"""The configuration file: one YAML document, checked to the last key.

Errors name the line, the key and the nearest known key. Secrets stay references (see ``scheduler.secrets``)
until they are used. ``config.example.yaml`` shows every setting.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from connectors.errors import ConfigurationError
from connectors.schema import TABLES
from pipeline.company import Company, Settings
from scheduler import schedule

CONFIG_NAME = "config.yaml"


def _schedule(text: str) -> str:
    schedule.parse(text)
    return text


ScheduleText = Annotated[str, AfterValidator(_schedule)]


class StoreSettings(Settings):
    """Where the data lives: ``sqlite:///path`` (relative to this file) or ``postgresql://user@host/name``."""

    url: str = "sqlite:///boardline.db"


class CrmSettings(Settings):
    """How to reach the CRM. ``auth`` holds the flow and its secrets; see docs for each CRM."""

    type: str
    url: str | None = None
    auth: dict[str, str] = Field(repr=False)
    ca_bundle: Path | None = None
    options: dict[str, Any] = {}


class FieldMap(Settings):
    """The company's own CRM fields for our columns, table by table; unset = the CRM's standard field."""

    accounts: dict[str, str] = {}
    contacts: dict[str, str] = {}
    leads: dict[str, str] = {}
    deals: dict[str, str] = {}
    line_items: dict[str, str] = {}
    meetings: dict[str, str] = {}
    quotas: dict[str, str] = {}
    custom: dict[str, dict[str, str]] = {}

    @model_validator(mode="after")
    def _known_columns(self) -> FieldMap:
        for table in self.tables():
            for column in getattr(self, table):
                if column not in TABLES[table]:
                    raise ValueError(f"{table}.{column} is unknown" + _nearest(column, list(TABLES[table])))
        for table in self.custom:
            if table not in TABLES or "custom" not in TABLES[table]:
                raise ValueError(
                    f"custom.{table} is unknown"
                    + _nearest(table, [t for t in TABLES if "custom" in TABLES[t]])
                )
        return self

    @classmethod
    def tables(cls) -> list[str]:
        return [name for name in cls.model_fields if name != "custom"]

    def mapped(self) -> dict[str, dict[str, str]]:
        """Table -> column -> CRM field, of the tables that map anything."""
        return {table: dict(getattr(self, table)) for table in self.tables() if getattr(self, table)}


class ScheduleSettings(Settings):
    """When things happen, in the company's time zone."""

    sync: ScheduleText = "every 15 minutes"
    board_report: ScheduleText | None = "business day 5 08:00"


class ReportSettings(Settings):
    """Where the monthly board summary goes: names of ``destinations``."""

    destinations: tuple[str, ...] = ()


class CompanyConfig(Company):
    """One client company: what its numbers mean, how to reach its CRM, when and where to report."""

    crm: CrmSettings
    fields: FieldMap = FieldMap()
    schedule: ScheduleSettings = ScheduleSettings()
    report: ReportSettings = ReportSettings()


class Config(Settings):
    """The whole file."""

    store: StoreSettings = StoreSettings()
    companies: dict[str, CompanyConfig] = Field(min_length=1)
    destinations: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _destinations_exist(self) -> Config:
        for name, company in self.companies.items():
            for wanted in company.report.destinations:
                if wanted not in self.destinations:
                    raise ValueError(
                        f"companies.{name}.report.destinations: there is no destination {wanted!r}"
                        + _nearest(wanted, list(self.destinations))
                    )
        for name, settings in self.destinations.items():
            if not isinstance(settings.get("type"), str):
                raise ValueError(f"destinations.{name}: `type` is missing (file, ...)")  # noqa: TRY004
        return self


def find(explicit: Path | None) -> Path:
    """The configuration file: ``-c``, else ``BOARDLINE_CONFIG``, else here, else the user's config directory."""
    if explicit is not None:
        return explicit
    if variable := os.environ.get("BOARDLINE_CONFIG"):
        return Path(variable)
    here = Path(CONFIG_NAME)
    user = platformdirs.user_config_path("boardline") / CONFIG_NAME
    for candidate in (here, user):
        if candidate.is_file():
            return candidate
    raise ConfigurationError(
        f"no configuration: there is no {CONFIG_NAME} here and none at {user}; "
        "write one with `boardline init`, or name it with -c FILE"
    )


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ``ConfigurationError`` naming file, line, key and remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"cannot read the configuration {path}: {reason}; name an existing file with -c, or run `boardline init`"
        ) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}{_yaml_problem(error)}") from error
    if not isinstance(data, dict) or node is None:
        problem = "is empty" if data is None else "does not hold `key: value` lines at its top"
        raise ConfigurationError(
            f"{path}: the file {problem}; `boardline init` writes one, config.example.yaml shows all"
        )
    _refuse_duplicate_keys(path, node)
    for name, company in (
        (data.get("companies") or {}).items() if isinstance(data.get("companies"), dict) else ()
    ):
        if isinstance(company, dict):
            company.setdefault("name", str(name))
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(_explain(path, node, error)) from error
    return _rooted(config, path.resolve().parent)


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = getattr(error, "problem", None) or "not readable as YAML"
    return f"{where}: bad YAML: {problem}; check the indentation, quotes and colons there"


def _refuse_duplicate_keys(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigurationError(
                    f"{path}, line {line}: {key.value!r} is given twice (first in line {seen[key.value]}); "
                    "remove one"
                )
            seen[key.value] = line
            _refuse_duplicate_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicate_keys(path, item)


def _explain(path: Path, node: yaml.Node, error: ValidationError) -> str:
    """One line for the first fault, and how many more there are."""
    # An unknown key comes first: it is often the misspelt form of the one that is missing.
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    first = faults[0]
    location = [str(part) for part in first["loc"]]
    named = location
    if first["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        problem = f"unknown key {location[-1]!r}" + _nearest(location[-1], known)
        named = location[:-1] or ["top level"]
    elif first["type"] == "missing":
        problem = f"{location[-1]!r} is missing; add it"
        named = location[:-1] or ["top level"]
    else:
        problem = first["msg"].removeprefix("Value error, ")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    # A fault of the whole names its own place; a line number would point at the first line.
    place = f"{path}, line {_line(node, first['loc'])}: {'.'.join(named)}" if location else str(path)
    return f"{place}: {problem}{more}"


def _line(node: yaml.Node, location: Sequence[str | int]) -> int:
    """The line of the deepest node on the way that exists in the file."""
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return int(line)


def _known_keys(location: Sequence[str]) -> list[str]:
    """The keys that are allowed at a place in the file."""
    model: Any = Config
    parts = list(location)
    while parts:
        part = parts.pop(0)
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        model = _settings_in(annotation)
        if model is None:
            return []
        if getattr(annotation, "__origin__", None) is dict and parts:
            parts.pop(0)  # a name of the person's own choosing, such as a company's
    return list(model.model_fields)


def _settings_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _settings_in(argument):
            return found
    return None


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(sorted(known))}" if known else ""


def _rooted(config: Config, folder: Path) -> Config:
    """Relative paths start at the configuration file's folder, wherever the program was started."""
    companies = {name: _rooted_company(company, folder) for name, company in config.companies.items()}
    destinations = {
        name: {key: _under(folder, value) if key == "path" else value for key, value in settings.items()}
        for name, settings in config.destinations.items()
    }
    url = config.store.url
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/") and url != prefix + ":memory:":
        url = f"{prefix}{folder / url.removeprefix(prefix)}"
    return config.model_copy(
        update={
            "companies": companies,
            "destinations": destinations,
            "store": config.store.model_copy(update={"url": url}),
        }
    )


def _rooted_company(company: CompanyConfig, folder: Path) -> CompanyConfig:
    inputs = company.inputs.model_copy(
        update={name: _under(folder, value) for name, value in company.inputs if value is not None}
    )
    crm = company.crm
    if crm.ca_bundle is not None:
        crm = crm.model_copy(update={"ca_bundle": _under(folder, crm.ca_bundle)})
    playbook = company.playbook
    if playbook.endswith((".yaml", ".yml")):
        playbook = str(_under(folder, playbook))
    return company.model_copy(update={"inputs": inputs, "crm": crm, "playbook": playbook})


def _under(folder: Path, value: Any) -> Path:
    return folder / Path(str(value)).expanduser()


def json_schema() -> Mapping[str, Any]:
    """The JSON schema of the file, for editors."""
    return Config.model_json_schema()
