"""The configuration file: one YAML document, checked to the last key.

Errors name the line, the key and the nearest known key. Secrets stay references (see ``scheduler.secrets``)
until they are used. ``config.example.yaml`` shows every setting.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from connectors import address
from connectors.errors import ConfigurationError
from connectors.schema import TABLES
from metrics.kpi_ids import KPI_IDS
from pipeline.company import Company, EngagementSettings, Settings
from scheduler import schedule
from scheduler.config_faults import explain, guessed

CONFIG_NAME = "config.yaml"
_LONGEST_NAME = 60  # letters


def _schedule(text: str) -> str:
    schedule.parse(text)
    return text


def _name(text: str) -> str:
    """A name that is printed, typed after an option, and made part of file names."""
    if not text.strip():
        raise ValueError("a name is empty; give it one, such as acme")
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"the name is {len(text)} letters long; {_LONGEST_NAME} are allowed")
    refused = any(
        letter in "/\\:" or (letter != " " and unicodedata.category(letter)[0] in "CZ") for letter in text
    )
    if refused or text != text.strip() or text.startswith((".", "-")):
        raise ValueError(
            f"{text!r} is no name; letters, digits, spaces and signs are allowed, but no / \\ : or control "
            "character, and no dot, dash or space at its beginning"
        )
    return text


Name = Annotated[str, AfterValidator(_name)]
ScheduleText = Annotated[str, AfterValidator(_schedule)]


class StoreSettings(Settings):
    """Where the data lives: ``sqlite:///path`` (relative to this file) or ``postgresql://user@host/name``.

    A password from a variable, ``postgresql://user:${PG_PASSWORD}@host/name``, needs no encoding; one that is written
    into the URL, or is part of a variable that holds the whole URL, is percent-encoded (``@`` is ``%40``).
    """

    url: str = "sqlite:///boardline.db"


class CrmSettings(Settings):
    """How to reach the CRM. ``auth`` names the sign-in flow and its secrets, ``options`` is rarely needed.

    docs/config.md lists what each CRM takes in them.
    """

    type: str
    url: Annotated[str, AfterValidator(address.read)] | None = None
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
    contracts: dict[str, str] = {}
    subscriptions: dict[str, str] = {}
    meetings: dict[str, str] = {}
    quotas: dict[str, str] = {}
    custom: dict[str, dict[str, str]] = {}

    @model_validator(mode="after")
    def _known_columns(self) -> FieldMap:
        for table in self.tables():
            for column in getattr(self, table):
                if column not in TABLES[table]:
                    raise ValueError(f"{table}.{column} is unknown" + guessed(column, list(TABLES[table])))
        for table in self.custom:
            if table not in TABLES or "custom" not in TABLES[table]:
                raise ValueError(
                    f"custom.{table} is unknown"
                    + guessed(table, [t for t in TABLES if "custom" in TABLES[t]])
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

    @model_validator(mode="after")
    def _contracts_are_there(self) -> CompanyConfig:
        source = self.arr.contracts
        if source is not None and self.crm.type == "hubspot":
            raise ValueError(
                f"arr.source: {source} is read from Salesforce alone, HubSpot keeps neither contracts nor subscriptions"
                " of a CPQ package; use source: line_items (recurring line items of the won deals), source: field (the"
                " deals' ARR), or source: opening_arr with a list under inputs: opening_arr"
            )
        if source == "contract" and "amount" not in self.fields.contracts:
            raise ValueError(
                "arr.source: contract needs the field that holds what a contract is worth, which Salesforce has no"
                " standard field for; name your own under fields: contracts: {amount: ...}"
            )
        return self

    @field_validator("engagement")
    @classmethod
    def _known_kpis(cls, engagement: EngagementSettings) -> EngagementSettings:
        for kpi in engagement.agreed_kpis:
            if kpi not in KPI_IDS:
                raise ValueError(f"agreed_kpis: there is no KPI {kpi!r}" + guessed(kpi, KPI_IDS))
        if len(set(engagement.agreed_kpis)) < len(engagement.agreed_kpis):
            raise ValueError("agreed_kpis: a KPI is named twice; name each once")
        return engagement


class Config(Settings):
    """The whole file."""

    store: StoreSettings = StoreSettings()
    companies: dict[Name, CompanyConfig] = Field(min_length=1)
    destinations: dict[Name, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _destinations_exist(self) -> Config:
        for name, company in self.companies.items():
            if company.name != name:
                raise ValueError(
                    f"companies.{name}.name: the company is called by its key; take `name` out, or rename the key"
                )
            for wanted in company.report.destinations:
                if wanted not in self.destinations:
                    raise ValueError(
                        f"companies.{name}.report.destinations: there is no destination {wanted!r}"
                        + guessed(wanted, list(self.destinations))
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
        if os.path.isfile(candidate):  # False also where this user may not look
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
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Check the text of the file ``path``, which need not be there yet. Raises as ``load``."""
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
    companies = data.get("companies")
    if isinstance(companies, dict):  # two may be one and the same mapping, by an alias of YAML
        data["companies"] = {
            name: {"name": str(name), **company} if isinstance(company, dict) else company
            for name, company in companies.items()
        }
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(explain(path, node, error, Config)) from error
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
