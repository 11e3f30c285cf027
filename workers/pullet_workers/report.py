"""What a worker says of itself: to whoever asks it, and in Redis."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from pullet_workers.engine import Done
from pullet_workers.hand import Hand
from pullet_workers.witness import Witness


class Report:
    """State and counters of one worker. Told of every job, asked once a second at most: it is made up when asked."""

    def __init__(self, hand: Hand) -> None:
        self.state = "starting"
        """starting, idle, busy, paused, draining, left, failed"""
        self.done = self.failed = 0
        self.busy_s = 0.0
        """Run time of all jobs together: with several at once it grows faster than the clock."""
        self.start_s: float | None = None
        """How long it took to build the engine."""
        self.witness = Witness()
        self._hand = hand

    def finished(self, done: Done) -> None:
        self.busy_s += done.run_s
        if done.error is None:
            self.done += 1
        else:
            self.failed += 1

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self._hand.runs

    def shown(self) -> dict[str, Any]:
        """All of it, from any thread. Times in seconds, `job_since` on the monotonic clock of the worker's host."""
        running = self._hand.running
        oldest = running[0] if running else None
        return {
            "state": self.state,
            "done": self.done,
            "failed": self.failed,
            "busy_s": self.busy_s,
            "running": len(running),
            "job": oldest and oldest.job,  # the one that runs longest
            "method": oldest and oldest.method,
            "start_s": self.start_s,
            "job_since": oldest and oldest.started,
        }


class Record:
    """The JSON that stands for a worker in the `workers` hash."""

    def __init__(self, name: str, about: dict[str, Any]) -> None:
        self.name = name
        self._fixed = {"name": name, "pid": os.getpid(), "host": os.uname().nodename, "since": round(time.time(), 3)}
        self._fixed |= about

    def text(self, report: Report) -> str:
        now = report.shown() | {"busy_s": round(report.busy_s, 1)}
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
