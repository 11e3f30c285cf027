"""Jobs whose worker's process dies: run again elsewhere, and only the one that kills is given up."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import WorkerLost
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Limits, Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, registered, running, worker_process

pytestmark = pytest.mark.timeout(60)


def consumer_of(link: Link, queue: Queue, name: str) -> str | None:
    return next((consumer for consumer, known in registered(link, queue).items() if known == name), None)


@contextmanager
def processes(link: Link, queue: Queue, address: Address, *names: str) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Workers of these names, all ready. They start side by side."""
    with ExitStack() as stack:
        made = {name: stack.enter_context(worker_process(queue, address, name=name)) for name in names}
        assert wait_until(lambda: set(registered(link, queue).values()) >= set(names), 30)
        yield made


def test_a_killed_workers_job_is_run_by_another_at_once(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    kit.go.set()
    with calling(queue, address) as client, processes(link, queue, address, "doomed") as made:
        future = client.submit(Kit.hold, "held")
        assert wait_until(lambda: link.execute("XPENDING", queue.keys.lane("normal"), "workers")[0] == 1)

        made["doomed"].kill()
        made["doomed"].wait()
        consumer = consumer_of(link, queue, "doomed")
        assert consumer
        assert bury_consumer(link, queue, consumer, blame=True) == 1
        with running(queue, address, kit, name="next"):
            assert future.result(10) == "held"
            assert (future.worker, future.attempts) == ("next", 2)


def test_a_silent_worker_is_found_by_the_beats_of_another(queue: Queue, address: Address, link: Link) -> None:
    """Nobody tells of its death: ticks without a new beat do."""
    quick = dataclasses.replace(queue, lease=Lease(beat_s=0.1, tick_ms=90, ticks=20))
    kit = Kit()
    kit.go.set()
    with calling(quick, address) as client, processes(link, quick, address, "doomed") as made:
        future = client.submit(Kit.hold, "held")
        assert wait_until(lambda: link.execute("XPENDING", quick.keys.lane("normal"), "workers")[0] == 1)
        made["doomed"].kill()
        with running(quick, address, kit, name="next"):
            assert future.result(20) == "held"
            assert (future.worker, future.attempts) == ("next", 2)
            assert wait_until(lambda: set(registered(link, quick).values()) == {"next"})


def test_a_job_that_kills_its_workers_is_given_up_and_takes_no_neighbour_with_it(
    quick: Queue, address: Address, link: Link
) -> None:
    quick = dataclasses.replace(quick, limits=Limits(max_crashes=2))
    names = ["first", "second", "survivor"]
    with calling(quick, address) as client:
        link.execute("HSET", quick.keys.fixed("config"), "paused", 1)
        before = [client.submit(Kit.echo, n) for n in range(10)]
        poison = client.submit(Kit.die, os.getpid())
        after = [client.submit(Kit.echo, n) for n in range(10)]
        assert client.flush(10)

        with processes(link, quick, address, *names) as made:
            link.execute("HDEL", quick.keys.fixed("config"), "paused")
            buried: set[str] = set()

            def bury_the_dead() -> bool:
                for name in {name for name, one in made.items() if one.poll() is not None} - buried:
                    consumer = consumer_of(link, quick, name)
                    assert consumer
                    bury_consumer(link, quick, consumer, blame=True)
                    buried.add(name)
                return poison.done()

            assert wait_until(bury_the_dead, 30)
            error = poison.exception(0)
            assert isinstance(error, WorkerLost)
            assert (error.job, error.attempts) == (poison.job_id, quick.limits.max_crashes)
            assert len(buried) == quick.limits.max_crashes
            assert [future.result(10) for future in before + after] == [*range(10), *range(10)]
            assert [name for name, one in made.items() if one.poll() is None] == [*set(names) - buried]
    ((_, letter),) = link.execute("XRANGE", quick.keys.fixed("dead"), "-", "+")
    assert letter[letter.index(b"id") + 1] == poison.job_id.encode()
