"""``boardline docs``: the reference, written by the code itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
import yaml

from connectors import files, registry
from connectors.errors import ConfigurationError
from metrics import definitions, diagnose, documentation, inputs, playbook
from pipeline import reference
from scheduler import config as configuration
from scheduler.invocation import Invocation, path_of, print_json_text

_LONGEST_CELL: Final = 120  # characters of a default beside its key
_BELOW: Final = "see below"


def _kpis() -> str:
    parts = [
        "# KPIs",
        "Every number Boardline computes, from the code that computes it. Under *Elsewhere*: how others define the "
        "same name, as their documentation or code said when it was read.",
    ]
    for name, kpi in registry.units("metrics.kpis", "KPI").items():
        told = documentation.of(name)
        parts += [
            f"## {kpi.title}",
            f"`{name}` · {kpi.unit} · {kpi.period.replace('_', ' ')} · definition {kpi.definition}",
            told.text,
        ]
        if told.elsewhere:
            sentences = "\n".join(f"- {product}: {words}" for product, words in told.elsewhere)
            parts.append(f"Elsewhere:\n\n{sentences}")
    parts += [
        "## Settings that make another number",
        "The choices that the definition book leaves to a company, the default first; a dash stands for any value of "
        "its kind. `boardline kpis --definitions` shows which are in force, and what a number is the other way.",
        _choices(),
    ]
    return "\n\n".join(parts)


def _choices() -> str:
    lines = ["| setting | value | then | of |", "|---|---|---|---|"]
    for path, ways in definitions.by_setting(registry.units("metrics.kpis", "KPI").values()).items():
        for way, kpis in ways.items():
            value = "-" if way.value is None else f"`{definitions.words(way.value)}`"
            lines.append(f"| `{path}` | {value} | {way.means} | {', '.join(kpis)} |")
    return "\n".join(lines)


def _rules() -> str:
    parts = ["# Data-quality rules", "What is looked for in the CRM's records, from the code that looks."]
    for name, rule in registry.units("pipeline.rules", "RULE").items():
        parts += [
            f"## {rule.title}",
            f"`{name}` · {rule.object} · {rule.severity}",
            _documentation("pipeline.rules", name),
            f"What to do: {rule.remedy}",
        ]
    return "\n\n".join(parts)


def _inputs() -> str:
    parts = ["# Input files", _documentation("metrics", "inputs")]
    for name, kind in inputs.kinds().items():
        parts += [
            f"## {kind.title}",
            f"`inputs: {name}`",
            _documentation("metrics.inputs", name),
            f"```csv\n{inputs.example(kind)}```",
        ]
    return "\n\n".join(parts)


def _playbooks() -> str:
    parts = ["# Playbooks", _documentation("metrics", "playbook"), _documentation("metrics", "condition")]
    parts += ["## Parts", _documentation("metrics", "playbook_parts")]
    for part in playbook.PARTS:
        rows = [f"| `{name}` | {_key_default(field)} |" for name, field in part.model_fields.items()]
        parts += [
            f"### {part.__name__}",
            inspect.cleandoc(part.__doc__ or ""),
            "| key | default |\n|---|---|\n" + "\n".join(rows),
        ]
    parts += ["## Diagnoses", _documentation("metrics", "case")]
    for name, diagnosis in diagnose.registered().items():
        parts += [f"### {diagnosis.title}", f"`{name}`", _documentation("metrics.diagnosis", name)]
    for name in playbook.shipped():
        parts += [f"## {playbook.load(name).title}", f"`{name}`", f"```yaml\n{playbook.text(name)}```"]
    return "\n\n".join(parts)


def _key_default(field: Any) -> str:
    if field.is_required():
        return "required"
    return f"`{field.default}`" if field.default not in (None, (), {}, "") else "none"


def _config() -> str:
    parts = ["# Configuration", "Every setting; `config.example.yaml` shows them at work."]
    schema = configuration.json_schema()
    for name, model in {"Top level": schema, **schema["$defs"]}.items():
        if "properties" not in model:
            continue
        rows = [
            f"| `{key}` | {_kind(value)} | {_default(value)} |" for key, value in model["properties"].items()
        ]
        parts += [
            f"## {name}",
            model.get("description", ""),
            "| key | value | default |\n|---|---|---|\n" + "\n".join(rows),
            *(
                f"Default of `{key}`:\n\n```yaml\n{_as_yaml(value['default'])}```"
                for key, value in model["properties"].items()
                if _default(value) == _BELOW
            ),
        ]
        if name == "CrmSettings":
            parts += [part for crm in registry.names("connectors.sources") for part in _crm(crm)]
    return "\n\n".join(part for part in parts if part)


def _crm(name: str) -> Iterator[str]:
    """What `crm.auth` and `crm.options` take for one CRM."""
    source = registry.source(name)
    yield f"### `auth` of {source.title}"
    yield "| `flow` | key | what it is |\n|---|---|---|\n" + "\n".join(
        f"| `{flow}` | `{key}` | {meaning} |"
        for flow, keys in source.reference.flows.items()
        for key, meaning in keys.items()
    )
    yield f"### `options` of {source.title}"
    yield "| option | what it does | default |\n|---|---|---|\n" + "\n".join(
        f"| `{option}` | {meaning} | {'none' if default == 'None' else f'`{default}`'} |"
        for option, (meaning, default) in source.reference.options.items()
    )


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = str(value["$ref"].rsplit("/", 1)[-1])
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_kind(item) for item in value["anyOf"])
    if "enum" in value:
        return " · ".join(str(item) for item in value["enum"])
    if value.get("type") == "array":
        return f"list of {_kind(value.get('items', {}))}"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"name: {_kind(inner)}" if isinstance(inner, dict) else "`key: value` lines"
    return str(value.get("type", value.get("const", "any")))


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return "required"
    if "$ref" in value:
        return "that part's own"
    text = orjson.dumps(value["default"]).decode()
    return f"`{text}`" if len(text) < _LONGEST_CELL else _BELOW


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)


def _documentation(package: str, name: str) -> str:
    return inspect.cleandoc(import_module(f"{package}.{name}").__doc__ or "")


def _schema() -> str:
    return orjson.dumps(
        configuration.json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    ).decode()


PAGES: dict[str, Callable[[], str]] = {
    "kpis": _kpis,
    "rules": _rules,
    "config": _config,
    "inputs": _inputs,
    "playbooks": _playbooks,
    "schema": reference.page,
}
FILES: dict[str, Callable[[], str]] = {
    **{f"{name}.md": page for name, page in PAGES.items()},
    "config.schema.json": _schema,
}


def command(
    topic: Annotated[str | None, typer.Argument(help=", ".join(PAGES) + "; default all.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="The configuration's JSON schema, for editors.")
    ] = False,
    write: Annotated[
        Path | None, typer.Option("--write", help="Write the pages as files.", metavar="DIR", parser=path_of)
    ] = None,
) -> None:
    """Print the reference: KPIs, rules, configuration, input files, playbooks, the store's tables and views."""
    Invocation.start()
    if topic is not None and topic not in PAGES:
        raise ConfigurationError(f"there is no page {topic!r}; known are {', '.join(PAGES)}")
    if write is not None:
        pages = {write / name: f"{page()}\n".encode() for name, page in FILES.items()}
        files.write(pages, "name another folder", folder=write)
    elif json:
        print_json_text(_schema())
    else:
        sys.stdout.write("\n\n".join(PAGES[name]() for name in ([topic] if topic else PAGES)) + "\n")
