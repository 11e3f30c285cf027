"""`pullet demo`."""

from __future__ import annotations

import importlib.util
import os
import time

import click

from pullet_console.refusals import Refusal


@click.command()
@click.option("--jobs", type=click.IntRange(100, 1797), default=1797, show_default=True, help="Images to read.")
def demo(jobs: int) -> int:
    """Read handwritten digits with four workers and three callers; one worker gets a kill -9 half-way.

    Starts a Redis of its own unless PULLET_REDIS names one, and a local Ray unless RAY_ADDRESS does. The exit code is
    1 when an answer is missing or different from what the engine answers when it is called directly.
    """
    begun = time.monotonic()
    missing = [name for name in ("ray", "rich", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise Refusal(f"the demo needs {', '.join(missing)}", 'pip install "pullet[demo]"')
    # Read when Ray is imported: that a worker or its pool ended is no news here, and would spoil the live view.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|Task Keeper")
    from pullet_console.demo.show import run

    return run(jobs, begun)
