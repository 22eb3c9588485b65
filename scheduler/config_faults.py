"""What is wrong with a configuration file, in one line for a person: file, line, key, and what is allowed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from connectors.spelling import instead
from pipeline.company import Settings

_KEY: Final = "[key]"  # how Pydantic says that the key itself is wrong and not what stands under it
_LISTS: Final = ("tuple_type", "list_type")
_MAPPINGS: Final = ("dict_type", "model_type", "model_attributes_type", "mapping_type")
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "{} or more"),
    "less_than_equal": ("le", "{} or less"),
    "greater_than": ("gt", "more than {}"),
}
# Kind of fault, by the beginning of Pydantic's name for it -> our words. Never the value: it may be a secret.
_WORDS: Final = {
    "string": "this is no text; put it in quotes",
    "int": "this is no whole number; write digits alone, such as 30",
    "float": "this is no number; write it as 0.8",
    "bool": "this is neither true nor false; write one of them",
    "date": "this is no date; write it as 2026-06-01",
    "path": "this is no path; write it as text",
}


def explain(path: Path, node: yaml.Node, error: ValidationError, model: type[Settings]) -> str:
    """One line for the first fault, and how many more there are."""
    # An unknown key comes first: it is often the misspelt form of the one that is missing.
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    first = faults[0]
    location = [part for part in first["loc"] if part != _KEY]
    named = [str(part) for part in location]
    if first["type"] in ("extra_forbidden", "missing"):
        named = named[:-1] or ["top level"]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    # A fault of the whole names its own place; a line number would point at the first line.
    place = f"{path}, line {_line(node, location)}: {'.'.join(named)}" if location else str(path)
    return f"{place}: {_problem(first, location, model)}{more}"


def _problem(fault: Mapping[str, Any], location: Sequence[str | int], model: type[Settings]) -> str:
    kind, context, given = fault["type"], fault.get("ctx", {}), fault["input"]
    if kind == "extra_forbidden":
        return f"unknown key {str(location[-1])!r}" + guessed(
            str(location[-1]), _known_keys(location[:-1], model)
        )
    if kind == "missing":
        return f"{str(location[-1])!r} is missing; add it"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        known = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"{str(given)!r} is not known; it is one of {', '.join(known)}"
    if kind == "too_short":
        return "it is empty; add at least one"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{given} is out of range; write {words.format(context[name])}"
    if kind in _LISTS:
        return "this is no list; write it as [one, two]"
    if kind in _MAPPINGS:
        return "this holds no `key: value` lines; indent them under it"
    return next((words for start, words in _WORDS.items() if kind.startswith(start)), str(fault["msg"]))


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


def _known_keys(location: Sequence[str | int], model: Any) -> list[str]:
    """The keys that are allowed at a place in the file."""
    parts = list(location)
    while parts:
        part = parts.pop(0)
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        model = _settings_in(annotation)
        if model is None:
            return []
        if getattr(annotation, "__origin__", None) in (dict, tuple) and parts:
            parts.pop(0)  # a name of the person's own choosing, such as a company's, or a place in a list
    return list(model.model_fields)


def _settings_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _settings_in(argument):
            return found
    return None


def guessed(word: str, known: Sequence[str]) -> str:
    """``; did you mean …?``, or what is known, or nothing."""
    return f"; {instead(word, sorted(known))}" if known else ""
