"""What it costs a busy queue to be watched, in one run.

    .venv/bin/python benchmarks/watched.py [--jobs 40000] [--rounds 7] [--run-ms 0]

One caller and one worker in processes of their own, echo jobs of 100 bytes (or jobs of `run-ms`). Rounds without and
with a dashboard alternate: a process of its own that looks at the queue, with a page that listens to it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import pullet
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue

PAYLOAD = "x" * 100


class Echo:
    def run(self, text: str) -> str:
        return text

    def nap(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


def work(queue: Queue, address: Address) -> None:
    """The worker's process."""
    from pullet_workers.runner import Runner

    Runner(queue, address, Echo, name="watched").start()
    signal.pause()


def show(address: Address) -> None:
    """The dashboard's process: says where it listens."""
    from pullet_console.ui.serve import serve
    from pullet_console.ui.settings import Settings

    serve(Settings(redis=address, port=0))


def process(what: str, *given: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, what, pickle.dumps(given).hex()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measure(client: pullet.Client[Echo], jobs: int, run_s: float) -> float:
    """Jobs a second."""
    start = time.perf_counter()
    if run_s:
        answers = list(client.map(Echo.nap, [run_s] * jobs))
    else:
        answers = list(client.map(Echo.run, [PAYLOAD] * jobs, window=5_000))
    assert len(answers) == jobs
    return jobs / (time.perf_counter() - start)


@contextlib.contextmanager
def watching(link: Link, queue: Queue, address: Address) -> Iterator[subprocess.Popen[str]]:
    """A dashboard with a page that listens to it; workers know of it."""
    console = process("show", address)
    assert console.stdout
    url = console.stdout.readline().split(" is at ")[1].split()[0]
    page = urllib.request.urlopen(f"{url}api/live?queue={queue.name}")
    reader = threading.Thread(target=lambda: [None for _ in page], daemon=True)
    reader.start()
    while not link.execute("HEXISTS", queue.keys.fixed("config"), "watched"):
        time.sleep(0.1)
    time.sleep(2.5)
    try:
        yield console
    finally:
        console.terminate()
        console.wait()
        link.execute("HDEL", queue.keys.fixed("config"), "watched")
        time.sleep(2.5)


def cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--run-ms", type=float, default=0.0)
    given = parser.parse_args()
    queue = Queue(name="watched")
    with EmbeddedServer.start() as server:
        address = Address(server.url)
        link = Link(address, "bench")
        worker = process("work", queue, address)
        client = pullet.Client(Echo, queue, address)
        rates: dict[str, list[float]] = {"alone": [], "watched": []}
        used = {"alone": 0.0, "watched": 0.0, "dashboard": 0.0}
        pids = [os.getpid(), worker.pid, server.pid]

        def round(name: str) -> None:
            before = sum(map(cpu_s, pids))
            rates[name].append(measure(client, given.jobs, given.run_ms / 1000))
            used[name] += sum(map(cpu_s, pids)) - before

        try:
            measure(client, given.jobs // 2, given.run_ms / 1000)
            for _ in range(given.rounds):
                round("alone")
                with watching(link, queue, address) as console:
                    before = cpu_s(console.pid)
                    round("watched")
                    used["dashboard"] += cpu_s(console.pid) - before
        finally:
            client.close(wait=False)
            worker.kill()
            worker.wait()
    tell(rates, {name: 1e6 * seconds / (given.jobs * given.rounds) for name, seconds in used.items()})


def tell(rates: dict[str, list[float]], used_ms: dict[str, float]) -> None:
    """`used_ms`: CPU time for 1,000 jobs. It depends less than the rates on what else the machine does."""
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        spread = f"{min(found):,.0f} .. {max(found):,.0f}"
        print(f"{name:10} {medians[name]:8,.0f} jobs/s   {spread:20} {used_ms[name]:6.1f} ms of CPU for 1,000 jobs")
    pairs = [after / before for before, after in zip(rates["alone"], rates["watched"], strict=True)]
    print(
        f"watched / alone: {statistics.median(pairs):.3f} (median of the rounds, {min(pairs):.2f} .. {max(pairs):.2f})"
    )
    whole = used_ms["watched"] + used_ms["dashboard"]
    print(f"CPU of caller, worker and server: {used_ms['watched'] / used_ms['alone']:.3f} of what it is alone")
    print(f"the same with the dashboard's {used_ms['dashboard']:.2f} ms: {whole / used_ms['alone']:.3f}")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in ("work", "show"):
        {"work": work, "show": show}[sys.argv[1]](*pickle.loads(bytes.fromhex(sys.argv[2])))
    else:
        main()
