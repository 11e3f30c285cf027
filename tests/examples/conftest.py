"""Runs the programs of examples/ as their readers do: alone, with no Redis and no Ray running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.leaks import wait_until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MARK = "PULLET_TEST_MARK"
COLUMNS = 80
SECONDS = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.examples)
            item.add_marker(pytest.mark.timeout(SECONDS + 60))


@dataclass
class Ran:
    """What a program printed."""

    out: list[str]
    err: str


@contextmanager
def alone() -> Iterator[dict[str, str]]:
    """The environment of a reader. At the end nothing is left of what was started in it."""
    mark = uuid.uuid4().hex
    own = {name: said for name, said in os.environ.items() if not name.startswith(("RAY_", "PULLET_", "PYTEST_"))}
    yield own | {MARK: mark, "COLUMNS": str(COLUMNS)}
    assert wait_until(lambda: not processes(mark), 20), processes(mark)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Ran]]:
    """Runs one to its end, from another folder."""

    def start(name: str, *arguments: str) -> Ran:
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= COLUMNS
        return Ran(done.stdout.splitlines(), done.stderr)

    with alone() as own:
        yield start


@contextmanager
def serving(name: str, **environment: str) -> Iterator[str]:
    """The URL at which it serves, until it is interrupted as by Ctrl-C; then it must end well."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--port", "0"]
    with alone() as own:
        process = subprocess.Popen(command, env=own | environment, stderr=subprocess.PIPE, text=True)
        try:
            yield _url(process)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0, err
        assert "Traceback" not in err, err


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    heard = []
    for line in process.stderr:
        heard.append(line)
        if "running on " in line:
            return line.partition("running on ")[2].split()[0]
    raise AssertionError("".join(heard))


def processes(mark: str) -> list[str]:
    """The command lines of those that were started with this mark, by whomever."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended, or is another user's
    return found
