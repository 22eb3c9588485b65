"""PostgreSQL servers of other versions than the usual one, from wheels that ``make postgres`` unpacks.

``BOARDLINE_TEST_POSTGRES`` names a folder with ``initdb`` and ``postgres`` in it: the whole test run then uses that
server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

CHOSEN = "BOARDLINE_TEST_POSTGRES"
UNPACKED = Path(__file__).parents[1] / ".postgres"  # where `make postgres` puts the wheels


def found() -> dict[int, Path]:
    """Major version -> the folder of its programs, of what is unpacked."""
    servers = {}
    for program in sorted(UNPACKED.glob("*/pginstall/bin/postgres")):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        match = re.search(r"\) (\d+)", said)
        assert match, said
        servers[int(match[1])] = program.parent
    return servers


@contextmanager
def serve(programs: Path) -> Iterator[str]:
    """A new server of the programs in that folder, on a socket; its address. Stopped and removed in the end."""
    # PostgreSQL refuses to run as root: then it runs as nobody, and the folder is theirs.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="boardline-pg-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [
                programs / "initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=log,
            stderr=log,
            user=user,
            cwd=folder,
        )
        try:
            url = f"postgresql://postgres:@/postgres?host={folder}"
            _await(url, server, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait(30)
            log.close()


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server does not start: {log.read_text()}") from None
            time.sleep(0.1)
        else:
            return
