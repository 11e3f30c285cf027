"""The rooms: imports run one way, only `workers` and `console` know Ray, and `import pullet` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROOMS = {
    "pullet_broker": ROOT / "broker",
    "pullet": ROOT / "client",
    "pullet_workers": ROOT / "workers",
    "pullet_console": ROOT / "console",
}
"""In the order of the imports: each may import those before it."""

MAY_IMPORT_RAY = {"pullet_workers", "pullet_console"}
HEAVY = {"ray", "numpy", "rich", "pandas", "pyarrow", "starlette", "click", "hypothesis"}


def sources(room: str) -> Iterator[Path]:
    yield from sorted((ROOMS[room] / room).rglob("*.py"))


def imported(file: Path, room: str) -> Iterator[tuple[str, int]]:
    """Top-level package and line of every import, also those inside functions and those by name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield room if node.level else (node.module or "").split(".")[0], node.lineno
            depth = len(file.relative_to(ROOMS[room] / room).parts)
            assert node.level <= depth, f"{file}:{node.lineno} leaves its package"
        elif isinstance(node, ast.Call) and node.args and _called(node.func) in {"import_module", "__import__"}:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value.split(".")[0], node.lineno


def _called(function: ast.expr) -> str | None:
    return getattr(function, "attr", getattr(function, "id", None))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    later = list(ROOMS)[list(ROOMS).index(room) + 1 :]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {package}"
        for file in sources(room)
        for package, line in imported(file, room)
        if package in later or (package == "ray" and room not in MAY_IMPORT_RAY)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_code(room: str) -> None:
    assert any(sources(room)), f"nothing was looked at in {ROOMS[room]}"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_pullet_loads_nothing_heavy() -> None:
    loaded = set(
        python("import sys, pullet; pullet.connect; print(*{name.split('.')[0] for name in sys.modules})").split()
    )

    assert "pullet" in loaded
    assert not loaded & (HEAVY | {"pullet_workers", "pullet_console"})


def test_import_pullet_has_no_side_effects() -> None:
    code = """
import logging, threading
before = (list(logging.root.handlers), logging.root.level, threading.active_count())
import pullet
assert before == (list(logging.root.handlers), logging.root.level, threading.active_count())
assert not logging.getLogger("pullet").handlers
"""
    python(code)


TIMED = """
import time
start = time.process_time()
import redis
between = time.process_time()
import pullet
print(between - start, time.process_time() - between)
"""


def test_import_pullet_costs_hardly_more_than_redis() -> None:
    """50 ms of CPU time more, in the best of several runs: whatever else runs on the machine only ever adds."""
    seen = []
    for _ in range(20):
        redis_s, pullet_s = map(float, python(TIMED).split())
        if pullet_s <= 0.050:
            return
        seen.append(f"{pullet_s * 1000:.0f} ms beside the {redis_s * 1000:.0f} ms of redis")
    raise AssertionError(f"import pullet takes {seen}")


@pytest.mark.parametrize("room", ["pullet", "pullet_workers"])
def test_callers_and_workers_connect_to_the_server_of_their_queue(room: str) -> None:
    """`Link(address, ...)` alone means any node of a cluster, `Link.to(queue, ...)` the one that has the queue."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sources(room)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Link"
    ]
    assert not wrong, "\n".join(wrong)
