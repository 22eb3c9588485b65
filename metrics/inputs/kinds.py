"""The kinds of input files: one module each, named as the key under ``inputs:`` that names the file."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from metrics.inputs.layout import Input
from pipeline.company import Inputs


@cache
def kinds() -> dict[str, Input]:
    """Every kind by its name, in the order of the configuration."""
    return {name: import_module(f"metrics.inputs.{name}").INPUT for name in Inputs.model_fields}
