"""A small chaos run, so that the run itself stays in order: `make chaos` is the real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = ("kill a worker", "kill a caller", "kill the controller", "kill the server", "lose replies", "cut connections")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes of Ray in /proc")
def test_nothing_is_lost_or_doubled_while_everything_is_killed_once() -> None:
    only = [word for fault in FAULTS for word in ("--only", fault)]
    command = [sys.executable, "-m", "tests.chaos", "--jobs", "300", "--seconds", "12", "--faults", "8", "--seed", "1"]
    run = subprocess.run([*command, *only], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    assert run.stdout.rstrip().endswith("right")
