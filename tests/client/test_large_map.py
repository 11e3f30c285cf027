"""A `map` over a long generator needs memory for its window, not for its items."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(115)
def test_a_hundred_thousand_items_in_bounded_memory() -> None:
    """In a process of its own, whose peak is that of the map; `python -m benchmarks.million` runs the whole million."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.million", "--items", "100000", "--window", "1000"],
        cwd=ROOT,
        env={"PYTHONPATH": ":".join([*map(str, (ROOT / room for room in ("client", "broker", "workers"))), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"peak memory (\d+) MB, backlog at most (\d+)", done.stdout)
    assert found, done.stdout
    assert int(found[1]) < 200, done.stdout
    assert int(found[2]) <= 1000 + 64, f"the window, and what a worker has not committed yet: {done.stdout}"
