"""Run the examples of a page one after the other in one process, as somebody does who types them in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.examples import ROOT, Example, fenced, is_as_shown

OF_RAY = re.compile(r"^(?:\x1b\[\d+m)?\((?:raylet|pid=|\w+ pid=).*\n", re.MULTILINE)
"""What Ray prints among the lines of a driver."""
MARK = "-- example "
ON_STAGE = """
from tests.support import stage
from tests.support.readers import *
globals().update(stage.set_stage())
import pullet, time
from collections.abc import Iterator
from typing import Any
from pullet_workers import Group, Part, Pool
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
"""
"""What `tests.support.examples.GIVEN` declares, as things that work."""


def program(examples: Sequence[Example], *, on_stage: bool) -> str:
    """One program of all the blocks, with a mark before the output of each."""
    parts = [ON_STAGE] if on_stage else []
    for number, example in enumerate(examples):
        parts.append(f"print({MARK + str(number)!r}, flush=True)\n# {example.place}\n{example.text}")
    return "\n".join([*parts, "stage.clear_stage()" if on_stage else "", ""])


def run_examples(examples: Sequence[Example], folder: Path, *, on_stage: bool, timeout: float = 110) -> None:
    """Run them beside the files of their page; what they print must be what the page shows behind them."""
    for one in fenced(examples[0].file):
        if one.title:
            (folder / one.title).write_text(one.text)
    file = folder / "page.py"
    file.write_text(program(examples, on_stage=on_stage))
    done = start([sys.executable, str(file)], folder, timeout)
    outputs = done.split(MARK)[1:]
    assert len(outputs) == len(examples), f"ended early:\n{done}"
    for example, output in zip(examples, outputs, strict=True):
        said = OF_RAY.sub("", output.partition("\n")[2])
        assert example.shown is None or is_as_shown(said, example.shown), f"{example.place} prints\n{said}"


def environment(**more: str) -> dict[str, str]:
    """That of a reader: this checkout's commands, and no server or cluster named."""
    left_out = {"PULLET_REDIS", "RAY_ADDRESS", "PULLET_QUEUE"}
    given = {name: value for name, value in os.environ.items() if name not in left_out}
    path = f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', '')}"
    return given | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | more


def start(command: list[str], folder: Path, timeout: float, **more: str) -> str:
    """Run it to its end, which must be a good one; its output."""
    done = subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
