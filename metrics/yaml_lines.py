"""A YAML mapping together with the line every key and item of it stands in, so that a fault can name it."""

from __future__ import annotations

from typing import Any

import yaml

from connectors.errors import ConfigurationError

Place = tuple[str | int, ...]


def parse(text: str, where: str, what: str) -> tuple[dict[str, Any], dict[Place, int]]:
    """The mapping, and the line of every place in it. ``what`` says what is expected at the top.

    Raises ``ConfigurationError`` for what is not YAML, not a mapping, or names a key twice.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{where}, line {line}: this is not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where}: this is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigurationError(f"{where}, line 1: {what}")
    lines: dict[Place, int] = {}
    _walk(node, (), lines, where)
    return data, lines


def _walk(node: Any, place: Place, lines: dict[Place, int], where: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner, line = (*place, key.value), key.start_mark.line + 1
            if inner in lines:
                raise ConfigurationError(
                    f"{where}, line {line}: {key.value!r} is given twice (first in line {lines[inner]}); remove one"
                )
            lines[inner] = line
            _walk(value, inner, lines, where)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*place, index)] = item.start_mark.line + 1
            _walk(item, (*place, index), lines, where)
