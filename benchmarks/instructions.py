"""What a job costs the server in instructions, counted by valgrind: the same on every machine and under every load.

    .venv/bin/python -m benchmarks.instructions [--jobs 4096]        (Debian: apt-get install valgrind)

`submit` in batches of 256, then `cycle` with 64 outcomes that takes 64 more. Compare trees by running it in each.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.turn import PAYLOAD
from pullet_broker.address import Address
from pullet_broker.codec import encode, encode_call
from pullet_broker.errors import ServerUnavailable
from pullet_broker.job import Entry, Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, Outcome, cycle
from pullet_broker.moves.life import beat
from pullet_broker.moves.submit import submit
from pullet_broker.reply import pack_reply
from pullet_broker.server_binary import find_server
from pullet_broker.settings import Queue

BATCH = 256
WORKER = "worker.host-1.000000"
ANSWER_S = 60.0
"""The server is some fifty times slower than it is."""


class Counted:
    """A server under valgrind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", str(find_server().server)]
        socket = folder / "socket"
        given = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
        self._process = subprocess.Popen([*command, *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.link = Link(Address(f"unix://{socket}"), "instructions", ANSWER_S)
        self._wait()

    def instructions(self) -> int:
        """Since the last time."""
        dump = ["callgrind_control", "-d", str(self._process.pid)]
        subprocess.run(dump, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        newest = max(self._folder.glob("out.*"), key=lambda dump: int(dump.suffix[1:]))
        found = re.search(r"^(?:summary|totals): (\d+)", newest.read_text(), re.MULTILINE)
        assert found, f"{newest} has no sum"
        return int(found[1])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        while self._process.poll() is None:
            with contextlib.suppress(ServerUnavailable):
                return self.link.open()
            time.sleep(0.1)
        raise SystemExit("valgrind does not start: apt-get install valgrind")


@contextlib.contextmanager
def counted() -> Iterator[Counted]:
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Counted(Path(folder))) as server:
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=4096)
    jobs = parser.parse_args().jobs
    queue, client, payload = Queue(name="counted"), new_client_id(), encode_call((PAYLOAD,), {})
    with counted() as server:
        link = server.link
        link.run(submit(queue, client, 1, 1, []))
        link.run(beat(queue, WORKER, 0, "{}"))
        link.run(cycle(queue, WORKER, [], 0, alone=False, high_first=False))
        server.instructions()
        for first in range(1, jobs + 1, BATCH):
            link.run(submit(queue, client, 1, first, [Job(new_job_id(), "echo", payload) for _ in range(BATCH)]))
        print(f"submit  {server.instructions() / jobs:10,.0f} instructions a job")
        taken = turn(link, queue, [])
        server.instructions()
        while taken:
            taken = turn(link, queue, taken)
        print(f"cycle   {server.instructions() / jobs:10,.0f} instructions a job")


def turn(link: Link, queue: Queue, done: list[Entry]) -> list[Entry]:
    reply = pack_reply("ok", 1, "worker", 1, encode(PAYLOAD))
    outcomes = [Outcome(entry, reply) for entry in done]
    return link.run(cycle(queue, WORKER, outcomes, OUTCOMES, alone=False, high_first=False, yields=True)).entries


if __name__ == "__main__":
    main()
