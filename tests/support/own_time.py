"""A clock for what a thread takes by itself, however busy the machine is."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDULED = Path("/proc/thread-self/schedstat")


def own_time() -> float:
    """Seconds that go on while this thread runs or waits for anything, and not while it waits for a CPU.

    Where the kernel does not tell how long that was, as on macOS, this is the ordinary clock.
    """
    try:
        queued_ns = int(_SCHEDULED.read_text().split()[1])
    except OSError:
        queued_ns = 0
    return time.perf_counter() - queued_ns / 1e9
