"""Runs the installed console script as a person or a monitor would: as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from connectors.simulator.company import Company, Parameters
from connectors.simulator.server import Simulator
from scheduler import demo_config
from scheduler.simulation import open_crm
from tests.e2e import launch

BOARDLINE = str(Path(sys.executable).with_name("boardline"))
NOW = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)  # midnight in New York
SMALL = {"accounts": 40, "deals": 300, "months": 18}


@dataclass(frozen=True)
class Done:
    """A finished process."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return orjson.loads(self.out)


def boardline(
    *arguments: str | Path, environment: dict[str, str] | None = None, cwd: Path | None = None
) -> Done:
    """Run a command to its end, without a terminal and with only the given secrets."""
    ended = launch.command([*map(str, arguments)], {**clean_environment(), **(environment or {})}, cwd, 240)
    return Done(ended.status, ended.out, ended.err)


def clean_environment() -> dict[str, str]:
    """Ours without its own settings, and with compiled modules kept: a process a test is enough to wait for."""
    dropped = ("BOARDLINE", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def start(*arguments: str | Path, err: Path) -> subprocess.Popen[bytes]:
    """Start a command and leave it running; its stderr goes to a file."""
    with err.open("ab") as log:
        return subprocess.Popen(
            [BOARDLINE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=clean_environment(),
        )


@dataclass
class Site:
    """A served company and a folder with a configuration for it."""

    crm: str
    simulator: Simulator
    world: Company
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def configure(self, folder: Path, store_url: str = "sqlite:///boardline.db", **company: Any) -> Path:
        """Write a configuration for this site into another folder, with its own store."""
        return write_config(self, folder, store_url, company)

    def run(self, *arguments: str | Path) -> Done:
        command, *rest = arguments
        return boardline(command, "-c", self.config, *rest)


def write_config(site: Site, folder: Path, store_url: str, company: dict[str, Any]) -> Path:
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    inputs = demo_config.write_inputs(folder, site.world, ["targets"])
    text = demo_config.text(
        site.crm,
        site.simulator.url,
        site.simulator.ca_bundle or "",
        playbook="hr_tech",
        timezone=site.world.timezone,
        inputs={} if site.crm == "salesforce" else inputs,
    )
    document = yaml.safe_load(text)
    document["store"]["url"] = store_url
    if company.pop("small_pages", False):  # many pages even of a small company: more places to stop at
        document["companies"]["demo"]["crm"]["options"] = {
            "page_size": {"salesforce": 200, "hubspot": 20}[site.crm]
        }
    document["companies"]["demo"].update(company)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@contextmanager
def site(
    crm: str,
    folder: Path,
    *,
    now: datetime = NOW,
    store_url: str = "sqlite:///boardline.db",
    **parameters: Any,
) -> Iterator[Site]:
    """Serve a small generated company on a free port and configure Boardline for it."""
    served = open_crm(crm, now=now, **{**SMALL, **parameters})
    assert served.world is not None
    with Simulator(served.crm) as simulator:
        place = Site(crm, simulator, served.world, folder)
        place.configure(folder, store_url)
        yield place


def world_of(now: datetime = NOW, **parameters: Any) -> Company:
    """The company that ``site`` serves, without serving it."""
    values = {**SMALL, **parameters}
    return Company(Parameters(vertical="hr_tech", seed=7, end=now.date(), **values))
