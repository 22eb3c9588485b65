"""Logs: structured, on stderr, without secrets.

For a person at a terminal in short coloured lines, otherwise one JSON object a line. What libraries log
goes the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from scheduler import secrets

# Libraries whose every step is no news; APScheduler calls a job that has logged its failure "executed successfully".
_CHATTY = ("urllib3", "hubspot", "simple_salesforce", "asyncio", "aiohttp.access", "apscheduler", "alembic")
Verbosity = Literal["quiet", "normal", "verbose"]
_LEVELS: dict[Verbosity, int] = {"quiet": logging.ERROR, "normal": logging.WARNING, "verbose": logging.DEBUG}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return secrets.mask(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item) for item in value]
    if isinstance(value, (int, float, bool, type(None))):
        return value
    return secrets.mask(str(value))


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: no known secret leaves through a log line."""
    return {key: value if key.startswith("_") else _masked(value) for key, value in event.items()}


def configure(verbosity: Verbosity = "normal", *, level: int | None = None) -> None:
    """Send every log line to stderr. ``level`` overrides the verbosity (the daemon logs what it does)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=True)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level if level is not None else _LEVELS[verbosity])
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
