"""What a job costs the server in instructions, counted by valgrind: the same on every machine and under every load.

    .venv/bin/python -m benchmarks.instructions [--jobs 4096]        (Debian: apt-get install valgrind)

`submit` in batches of 256, then `cycle` with 64 outcomes that takes 64 more; and both with one job a call, beside a
script that does nothing. Compare trees by running it in each.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.turn import PAYLOAD
from pullet_broker.address import Address
from pullet_broker.codec import encode, encode_call
from pullet_broker.errors import ServerUnavailable
from pullet_broker.job import Entry, Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, Outcome, cycle, read_waited, wait_for_work
from pullet_broker.moves.life import beat
from pullet_broker.moves.submit import Answer, Submitted, submit
from pullet_broker.reply import pack_reply
from pullet_broker.scripting import Call
from pullet_broker.server_binary import find_server
from pullet_broker.settings import Queue

BATCH = 256
LONE, ROUNDS = 64, 6
"""Queues that get one job each, and how often; the first round only makes what is there afterwards."""
WORKER = "worker.host-1.000000"
REPLY = pack_reply("ok", 1, "worker", 1, encode(PAYLOAD))
ANSWER_S = 60.0
"""The server is some fifty times slower than it is."""


class Counted:
    """A server under valgrind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", str(find_server().server)]
        socket = folder / "socket"
        given = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder), "--hz", "1"]
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
    with counted() as server:
        for name, instructions in (*batches(server, jobs), *alone(server)):
            print(f"{name:24}{instructions:10,.0f} instructions a job")


def batches(server: Counted, jobs: int) -> Iterator[tuple[str, float]]:
    """`submit` with full batches, then `cycle` with as many outcomes as it takes."""
    queue, client, link = Queue(name="counted"), new_client_id(), server.link
    prepare(link, queue, client)
    server.instructions()
    for first in range(1, jobs + 1, BATCH):
        link.run(submit(queue, client, 1, first, [a_job() for _ in range(BATCH)]))
    yield "submit, full batches", server.instructions() / jobs
    taken = turn(link, queue, [])
    server.instructions()
    while taken:
        taken = turn(link, queue, taken)
    yield "cycle, full batches", server.instructions() / jobs


def alone(server: Counted) -> Iterator[tuple[str, float]]:
    """One job a call: each goes to an empty queue, is taken by a blocking read, and ended by a `cycle` that takes none.

    The floor of each is a script without a word that is given the same KEYS and ARGV.
    """
    queues, client, link = [Queue(name=f"lone-{n}") for n in range(LONE)], new_client_id(), server.link
    for queue in queues:
        prepare(link, queue, client)
    nothing = link.execute("SCRIPT", "LOAD", "#!lua flags=allow-oom\nreturn 0").decode()
    rounds = [lone_round(server, queues, client, first) for first in range(1, ROUNDS + 1)][1:]
    for name in rounds[0]:
        made = [call for steps in rounds for call in steps[name].made]
        yield f"{name}, alone", sum(steps[name].instructions for steps in rounds) / len(made)
        server.instructions()
        for call in made:
            _, _, *given = call.command()
            link.execute("EVALSHA", nothing, *given)
        yield f"{name}, alone: floor", server.instructions() / len(made)


@dataclass
class Calls:
    made: list[Call[Any]]
    instructions: int


def lone_round(server: Counted, queues: list[Queue], client: str, first: int) -> dict[str, Calls]:
    """A job through each of the queues, step by step."""
    link = server.link

    def run(made: list[Call[Any]]) -> Calls:
        server.instructions()
        answers = [link.run(call) for call in made]
        count = server.instructions()
        assert all(
            answer.answer is Answer.OK if isinstance(answer, Submitted) else not answer.fenced for answer in answers
        )
        return Calls(made, count)

    submitted = run([submit(queue, client, 1, first, [a_job()]) for queue in queues])
    taken = [read_waited(queue, link.execute(*wait_for_work(queue, WORKER, 1000)))[0] for queue in queues]
    ends = [[Outcome(entry, REPLY)] for entry in taken]
    pairs = zip(queues, ends, strict=True)
    return {
        "submit": submitted,
        "cycle": run([cycle(queue, WORKER, end, 1, alone=True, high_first=False) for queue, end in pairs]),
    }


def prepare(link: Link, queue: Queue, client: str) -> None:
    link.run(submit(queue, client, 1, 1, []))
    link.run(beat(queue, WORKER, 0, "{}"))
    link.run(cycle(queue, WORKER, [], 0, alone=False, high_first=False))


def a_job() -> Job:
    return Job(new_job_id(), "echo", encode_call((PAYLOAD,), {}))


def turn(link: Link, queue: Queue, done: list[Entry]) -> list[Entry]:
    outcomes = [Outcome(entry, REPLY) for entry in done]
    return link.run(cycle(queue, WORKER, outcomes, OUTCOMES, alone=False, high_first=False, yields=True)).entries


if __name__ == "__main__":
    main()
