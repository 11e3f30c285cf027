"""What a worker says of itself: to whoever asks it, and in Redis."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pullet_broker.job import Entry
from pullet_workers.engine import Done
from pullet_workers.witness import Witness


@dataclass
class Report:
    """State and counters of one worker. Times in seconds."""

    state: str = "starting"
    """starting, idle, busy, paused, draining, left, failed"""
    done: int = 0
    failed: int = 0
    busy_s: float = 0.0
    """Run time of all jobs together: with several at once it grows faster than the clock."""
    running: int = 0
    """Jobs that run now."""
    job: str | None = None
    """The one of them that runs longest, and its method."""
    method: str | None = None
    start_s: float | None = None
    """How long it took to build the engine."""
    job_since: float | None = None
    """When that job was started, on the monotonic clock of the worker's host."""

    def __post_init__(self) -> None:
        self.witness = Witness()
        self._started: dict[int, tuple[Entry, float]] = {}  # by identity, the oldest first

    def started(self, entry: Entry) -> None:
        since = time.monotonic()
        if not self._started:
            self.job, self.method, self.job_since = entry.job, entry.method, since
        self._started[id(entry)] = (entry, since)
        self.running += 1
        self.state = "busy"

    def finished(self, entry: Entry, done: Done) -> None:
        self.busy_s += done.run_s
        if done.error is None:
            self.done += 1
        else:
            self.failed += 1
        self.dropped(entry)

    def dropped(self, entry: Entry) -> None:
        """It does not run any more."""
        if self._started.pop(id(entry), None) is None:
            return  # its worker was given up before
        self.running -= 1
        if not self.running:
            self.job = self.method = self.job_since = None
            return
        oldest, self.job_since = next(iter(self._started.values()))
        self.job, self.method = oldest.job, oldest.method


class Record:
    """The JSON that stands for a worker in the `workers` hash."""

    def __init__(self, name: str, about: dict[str, Any]) -> None:
        self.name = name
        self._fixed = {"name": name, "pid": os.getpid(), "host": os.uname().nodename, "since": round(time.time(), 3)}
        self._fixed |= about

    def text(self, report: Report) -> str:
        now = asdict(report) | {"busy_s": round(report.busy_s, 1)}
        del now["job_since"]  # another host could not read it
        now["rss"] = _rss_bytes()
        return json.dumps(self._fixed | now, separators=(",", ":"))


def _rss_bytes() -> int:
    """Memory of this process, in steps of 1 MiB so that it is no news at every beat; 0 where nobody can tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20 << 20
