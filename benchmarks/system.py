"""A measured system: what its adapter says of itself, the environment it lives in, its workers and callers."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / "build" / "bench-peers"
INSTALL_TIMEOUT_S = 300
FACTS = ("SETTINGS", "REQUIRES", "PYTHON", "VERSION_OF", "TOGETHER", "ONE_THREAD", "RECOVERY")


@dataclass(frozen=True)
class System:
    """One adapter file in `peers/`, read without importing it: the environment of the run need not have its library.

    SETTINGS: how it is used. REQUIRES: what pip installs for it, by default nothing: then it runs in the environment
    of the run. PYTHON: the oldest one that it runs on. VERSION_OF: the distribution whose version is shown. RECOVERY:
    what its documentation says about a worker that was killed. TOGETHER: one process starts all workers, those of Ray.
    ONE_THREAD: it cannot be given a job while it waits for another.
    """

    name: str
    facts: dict[str, Any] = field(hash=False)

    @classmethod
    def read(cls, name: str) -> System:
        tree = ast.parse((PEERS / f"{name}.py").read_text())
        facts = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in FACTS
        }
        return cls(name, facts)

    @property
    def settings(self) -> str:
        return str(self.facts["SETTINGS"])

    @property
    def recovery(self) -> str:
        return str(self.facts["RECOVERY"])

    @property
    def requires(self) -> list[str]:
        return list(self.facts.get("REQUIRES", ()))

    @property
    def is_together(self) -> bool:
        return bool(self.facts.get("TOGETHER", False))

    @property
    def is_for_one_thread(self) -> bool:
        return bool(self.facts.get("ONE_THREAD", False))

    @property
    def python(self) -> Path:
        return Path(sys.executable) if not self.requires else ENVIRONMENTS / self.name / "bin" / "python"

    def install(self) -> str | None:
        """Make its environment. Says why that is not possible, or None."""
        if not self.requires:
            return None
        folder = ENVIRONMENTS / self.name
        stamp = folder / "installed"
        wanted = "\n".join(self.requires)
        if stamp.exists() and stamp.read_text() == wanted:
            return None
        base = self._base_python()
        if base is None:
            return f"there is no python{self.facts['PYTHON']} on this machine's PATH"
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True, timeout=INSTALL_TIMEOUT_S)
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requires]
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        if done.returncode:
            problems = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return " ".join(problems or done.stderr.splitlines()[-1:])
        stamp.write_text(wanted)
        return None

    def _base_python(self) -> str | None:
        wanted = str(self.facts.get("PYTHON", "3"))
        if sys.version_info >= tuple(map(int, wanted.split("."))):
            return sys.executable
        found = shutil.which(f"python{wanted}")
        works = found is not None and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0
        return found if works else None  # a shim of pyenv may be there, and its Python not chosen

    @cached_property
    def version(self) -> str:
        """Of what it measures, as its own environment says."""
        wanted = [str(self.facts["VERSION_OF"])]
        code = "import sys, importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
        done = subprocess.run([self.python, "-c", code, *wanted], capture_output=True, text=True)
        return done.stdout.strip() or "?"


def all_systems() -> list[System]:
    return [System.read(path.stem) for path in sorted(PEERS.glob("*.py")) if path.stem != "__init__"]
