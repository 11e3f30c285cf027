"""How many functions a job calls, thread by thread: the same on every machine and under every load.

    .venv/bin/python -m benchmarks.calls [--jobs 300] [--over 0.4]

A caller and a worker in one process: first jobs one after the other, then a row of jobs of 5 ms, with what is called
between the end of one and the start of the next apart. A thread that has slept finds its caches empty: each call then
costs some six times what it costs in a row of tiny jobs. Compare trees by running it in each; `--over` lists the
functions that are called more often than that.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections import Counter, defaultdict
from types import FrameType
from typing import Any

import pullet
from benchmarks.server import Server
from benchmarks.threads import Echo
from benchmarks.turn import PAYLOAD
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from pullet_workers.runner import Runner

FIRST = 50
"""Jobs that are not counted."""
NAP_S = 0.005
GAP = " between two jobs"


class Calls:
    """A profile function for all threads. Counts while it is `on`."""

    def __init__(self) -> None:
        self.on = False
        self._counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._naps = True

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code is Echo.nap.__code__ and event in ("call", "return"):
            self._naps = event == "call"
        if not self.on or event not in ("call", "c_call"):
            return
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # calls nothing
        name = thread.name if thread is not None else "?"
        called = f"{os.path.basename(code.co_filename)} {code.co_name}"
        counted = self._counted[name if self._naps else name + GAP]
        counted[called if event == "call" else f"C {getattr(argument, '__qualname__', argument)}"] += 1

    def show(self, title: str, jobs: int, over: float) -> None:
        """Calls a job, and begin anew."""
        print(title)
        for thread, counted in sorted(self._counted.items()):
            in_c = sum(count for called, count in counted.items() if called.startswith("C "))
            print(f"  {thread:40} {(counted.total() - in_c) / jobs:6.1f} in Python {in_c / jobs:6.1f} in C")
            for called, count in counted.most_common():
                if count / jobs > over:
                    print(f"    {count / jobs:6.1f} {called}")
        self._counted.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--over", type=float, default=float("inf"))
    given = parser.parse_args()
    calls, ready = Calls(), threading.Event()
    threading.setprofile(calls)
    with Server() as server:
        worker = Runner(Queue(name="calls"), Address(server.url), Echo, on_ready=ready.set)
        worker.start()
        ready.wait()
        with pullet.connect(Echo, server.url, queue="calls") as client:
            sys.setprofile(calls)
            for number in range(FIRST + given.jobs):
                calls.on = number >= FIRST
                client.submit(Echo.echo, PAYLOAD).result()
            calls.on = False
            calls.show("one job after the other", given.jobs, given.over)
            row = [client.submit(Echo.nap, NAP_S) for _ in range(FIRST + given.jobs + FIRST)]
            row[FIRST].result()
            calls.on = True
            row[FIRST + given.jobs].result()
            calls.on = False
            calls.show("jobs of 5 ms in a row", given.jobs, given.over)
            sys.setprofile(None)
        worker.drain(5)


if __name__ == "__main__":
    main()
