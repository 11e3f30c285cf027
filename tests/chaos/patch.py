"""The sources with something changed on purpose: a copy in which a rule is taken out, so that its tests must notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("broker", "client", "workers", "console")


@dataclass(frozen=True)
class Patch:
    """What is written in a file, and what instead. Each must be there once."""

    file: str
    changes: tuple[tuple[str, str], ...]

    def apply(self, root: Path) -> None:
        path = root / self.file
        text = path.read_text()
        for old, new in self.changes:
            if text.count(old) != 1:
                raise ValueError(f"{self.file}: expected once, found {text.count(old)} times: {old!r}")
            text = text.replace(old, new)
        path.write_text(text)


def copy_sources(root: Path, patch: Patch | None) -> None:
    for room in (*ROOMS, "tests"):
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    if patch is not None:
        patch.apply(root)


def run_copy(root: Path, *module: str) -> subprocess.CompletedProcess[str]:
    """`python -m` with these words, on the sources that were copied there."""
    path = os.pathsep.join(str(root / room) for room in ROOMS)
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
