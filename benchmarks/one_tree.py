"""The two sides of a turn of `benchmarks.trees`: runs with the packages of whatever tree PYTHONPATH names.

one_tree.py QUEUE URL JOBS fill      submit so many echo jobs of 100 bytes
one_tree.py QUEUE URL JOBS work      one worker without Ray, until it is killed
"""

from __future__ import annotations

import signal
import sys

from pullet_broker.address import Address
from pullet_broker.codec import encode_call
from pullet_broker.job import Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.submit import submit
from pullet_broker.settings import Queue
from pullet_workers.runner import Runner

BATCH = 250


class Echo:
    def echo(self, value: str) -> str:
        return value


def fill(queue: Queue, address: Address, jobs: int) -> None:
    """From a client that does not read its inbox."""
    client, payload = new_client_id(), encode_call(("x" * 100,), {})
    link = Link(address, "fill")
    link.run(submit(queue, client, 1, 1, []))
    for first in range(1, jobs + 1, BATCH):
        some = [Job(new_job_id(), "echo", payload) for _ in range(min(BATCH, jobs + 1 - first))]
        link.run(submit(queue, client, 1, first, some))


def main() -> None:
    name, url, jobs, part = sys.argv[1:]
    queue, address = Queue(name=name), Address(url)
    if part == "fill":
        fill(queue, address, int(jobs))
    else:
        Runner(queue, address, Echo, name="trees").start()
        signal.pause()


if __name__ == "__main__":
    main()
