"""Many jobs that kill their worker: the pool keeps running the others."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
from contextlib import ExitStack

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import WorkerLost
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Limits, Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.scribe import Worker as Consumer
from tests.support.workers import Kit, calling, registered, running, worker_process

POISON, SIZE = 4, 2


class Pool:
    """Worker processes; the dead are buried and replaced, as a controller does it."""

    def __init__(self, link: Link, queue: Queue, address: Address, stack: ExitStack) -> None:
        self._link, self._queue, self._address, self._stack = link, queue, address, stack
        self._names = (f"w{n}" for n in itertools.count())
        self._members: dict[str, subprocess.Popen[str]] = {}
        self.deaths = 0

    def tend(self) -> None:
        for name, process in list(self._members.items()):
            if process.poll() is not None:
                del self._members[name]
                self.deaths += 1
                for consumer, known in registered(self._link, self._queue).items():
                    if known == name:
                        bury_consumer(self._link, self._queue, consumer, blame=True)
        while len(self._members) < SIZE:
            name = next(self._names)
            made = worker_process(self._queue, self._address, name=name)
            self._members[name] = self._stack.enter_context(made)


def test_an_idle_worker_gets_no_suspect_from_the_read_that_it_waits_in(
    quick: Queue, address: Address, link: Link
) -> None:
    doomed = Consumer(link, quick, "doomed").register()
    storm, kit = quick.keys.fixed("storm"), Kit()
    with calling(quick, address) as client:
        suspect = client.submit(Kit.echo, "suspect")
        assert client.flush(10)
        assert len(doomed.take(1)) == 1
        seconds, _ = link.execute("TIME")
        link.execute("SET", storm, f"5 1 {int(seconds) * 1000 + 9000}", "PX", 9000)
        assert bury_consumer(link, quick, "doomed", blame=True) == 1
        with running(quick, address, kit):
            assert client.submit(Kit.echo, "other").result(10) == "other"
            assert not wait_until(suspect.done, 0.5)
            link.execute("DEL", storm)
            assert suspect.result(10) == "suspect"
    assert kit.calls == ["other", "suspect"]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_jobs_go_on_while_suspects_kill_worker_after_worker(quick: Queue, address: Address, link: Link) -> None:
    quick = dataclasses.replace(quick, limits=Limits(max_crashes=2))
    suspects = quick.keys.lane("suspect")
    doomed = Consumer(link, quick, "doomed").register()
    with calling(quick, address) as client, ExitStack() as stack:
        poison = [client.submit(Kit.die, os.getpid()) for _ in range(POISON)]
        assert client.flush(10)
        assert len(doomed.take(POISON)) == POISON
        assert bury_consumer(link, quick, "doomed", blame=True) == POISON
        others = [client.submit(Kit.nap, 0.05) for _ in range(200)]
        pool, most_at_once, done_meanwhile = Pool(link, quick, address, stack), 0, 0

        def all_poison_is_known() -> bool:
            nonlocal most_at_once, done_meanwhile
            pool.tend()
            if link.execute("EXISTS", quick.keys.fixed("storm")):
                most_at_once = max(most_at_once, link.execute("XPENDING", suspects, GROUP)[0])
            done_meanwhile = sum(one.done() for one in others)
            return all(one.done() for one in poison)

        assert wait_until(all_poison_is_known, 40)
        assert all(isinstance(one.exception(0), WorkerLost) for one in poison)
        assert (pool.deaths, most_at_once) == (POISON, 1)
        assert done_meanwhile > 20, "both workers would have died four times with nothing done in between"
        for one in others:
            one.cancel()
