"""Workers share a queue at the speed of each: nobody waits behind a slow job while another worker is free."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Cycled
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


def pause(link: Link, queue: Queue) -> None:
    link.execute("HSET", queue.keys.fixed("config"), "paused", 1)


def resume(link: Link, queue: Queue) -> None:
    link.execute("HDEL", queue.keys.fixed("config"), "paused")


def test_jobs_behind_a_long_one_are_run_by_another_worker(quick: Queue, address: Address, link: Link) -> None:
    """The long job ends only after all others: were one of them stuck behind it, this would never end."""
    slow, free = Kit(), Kit()
    with calling(quick, address) as client, running(quick, address, slow, name="slow") as worker:
        assert list(client.map(Kit.echo, range(200))) == list(range(200)), "now it takes many at once"
        pause(link, quick)
        assert wait_until(lambda: worker.state == "paused")
        long = client.submit(Kit.hold, "long")
        behind = [client.submit(Kit.echo, n) for n in range(20)]
        assert client.flush(10)
        resume(link, quick)
        assert slow.started.wait(10)

        with running(quick, address, free, name="free"):
            assert [future.result(10) for future in behind] == list(range(20))
            assert {future.worker for future in behind} == {"free"}
            assert not long.done()
            slow.go.set()
            assert long.result(10) == "long"


def test_what_is_done_is_not_kept_behind_a_long_job(quick: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with calling(quick, address) as client, running(quick, address, kit) as worker:
        assert list(client.map(Kit.echo, range(200))) == list(range(200))
        pause(link, quick)
        assert wait_until(lambda: worker.state == "paused")
        before = [client.submit(Kit.echo, n) for n in range(10)]
        long = client.submit(Kit.hold, "long")
        assert client.flush(10)
        resume(link, quick)

        assert [future.result(10) for future in before] == list(range(10))
        assert kit.started.wait(10)
        assert not long.done()


def test_a_worker_with_a_long_job_holds_nothing_else(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with calling(queue, address) as client, running(queue, address, kit):
        client.submit(Kit.hold, "long")
        assert kit.started.wait(10)
        for n in range(50):
            client.submit(Kit.echo, n)
        assert client.flush(10)

        def pending() -> int:
            return sum(link.execute("XPENDING", lane, GROUP)[0] for lane in queue.keys.lanes)

        assert wait_until(lambda: pending() == 1)


def test_a_worker_whose_jobs_are_long_takes_one_at_a_time(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job ends when another worker runs one too."""
    two, took, run_all = threading.Barrier(2), [], Link.run_all

    def spy(link: Link, calls: Sequence[Call[Any]]) -> list[Any]:
        answers = run_all(link, calls)
        took.extend(len(one.entries) for one in answers if isinstance(one, Cycled))
        return answers

    class Pair(Kit):
        def meet(self) -> None:
            two.wait(10)
            self.nap(0.02)

    with calling(queue, address, Pair) as client, running(queue, address, Pair, name="first"):
        for future in [client.submit(Pair.nap, 0.02) for _ in range(10)]:
            future.result(10)
        monkeypatch.setattr(Link, "run_all", spy)
        with running(queue, address, Pair, name="second"):
            futures = [client.submit(Pair.meet) for _ in range(40)]
            for future in futures:
                future.result(20)
            assert Counter(future.worker for future in futures) == {"first": 20, "second": 20}
    assert max(took) == 1


def test_every_worker_has_its_share_and_every_job_is_run_once(queue: Queue, address: Address) -> None:
    kits = [Kit() for _ in range(4)]
    with calling(queue, address) as client, ExitStack() as stack:
        for n, kit in enumerate(kits):
            stack.enter_context(running(queue, address, kit, name=f"w{n}"))
        assert list(client.map(Kit.echo, range(4000))) == list(range(4000))

        assert sorted(call for kit in kits for call in kit.calls) == list(range(4000))
        assert all(kit.calls for kit in kits)
