"""Light threads that stand in for actors: many workers of pullet in one process, without Ray.

python -m benchmarks.threads URL QUEUE WORKERS     says "ready"; ends when its input is closed
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from benchmarks.engine import echo
from benchmarks.system import ROOT

A_NODE = 8
"""So many workers share a place, as actors on one node do: a tick looks at each place."""


class Echo:
    def echo(self, value: str) -> str:
        return echo(value)

    def nap(self, seconds: float) -> None:
        time.sleep(seconds)


def main() -> None:
    from pullet_broker.address import Address
    from pullet_broker.settings import Queue
    from pullet_workers.runner import Runner

    url, name, count = sys.argv[1:]
    ready = [threading.Event() for _ in range(int(count))]
    runners = [
        Runner(Queue(name=name), Address(url), Echo, name=f"thread-{n}", place=f"node-{n // A_NODE}", on_ready=one.set)
        for n, one in enumerate(ready)
    ]
    for runner in runners:
        runner.start()
    for one in ready:
        one.wait(60)
    print("ready", flush=True)
    sys.stdin.read()
    for runner in runners:
        runner.drain(5)


@contextlib.contextmanager
def workers(url: str, queue: str, count: int) -> Iterator[subprocess.Popen[str]]:
    """A process with so many workers, from when they are all ready until they have left."""
    command = [sys.executable, "-m", "benchmarks.threads", url, queue, str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        yield process
        process.stdin.close()
        process.wait(60)


if __name__ == "__main__":
    main()
