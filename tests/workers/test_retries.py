"""Retries from end to end: by type, at the engine's wish, and apart from the deaths of workers."""

from __future__ import annotations

from typing import Any

import pytest

from pullet import Retry
from pullet_broker.address import Address
from pullet_broker.errors import JobUnreadable, UnknownMethod
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.scribe import Worker as Consumer
from tests.support.workers import calling, running

pytestmark = pytest.mark.timeout(30)


class Busy(Exception):
    pass


class VeryBusy(Busy):
    pass


class Moody:
    """Fails as often as it is told, and remembers how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def work(self, failures: int, kind: str) -> int:
        self.calls += 1
        if self.calls <= failures:
            raise {"busy": VeryBusy, "value": ValueError}[kind](self.calls)
        return self.calls

    def ask(self, times: int, after: float | None = None) -> int:
        self.calls += 1
        if self.calls <= times:
            raise Retry(f"not yet ({self.calls})", after=after)
        return self.calls


@pytest.mark.parametrize(
    ("options", "kind", "calls"),
    [
        ({"retry_on": (Busy,)}, "busy", 3),
        ({"retry_on": (Busy,)}, "value", 1),
        ({"retry_on": ("builtins.ValueError",)}, "value", 3),
        ({"no_retry_on": (Busy,)}, "busy", 1),
        ({"no_retry_on": (Busy,)}, "value", 3),
    ],
)
def test_the_type_decides_who_is_tried_again(
    queue: Queue, address: Address, options: dict[str, Any], kind: str, calls: int
) -> None:
    moody = Moody()
    with running(queue, address, lambda: moody), calling(queue, address, Moody) as client:
        future = client.options(retries=5, backoff=0, **options).submit(Moody.work, 2, kind)
        error = future.exception(10)
        assert moody.calls == future.attempts == calls
        assert (error is None) == (calls == 3)


def test_an_engine_asks_for_another_try(queue: Queue, address: Address) -> None:
    moody = Moody()
    with running(queue, address, lambda: moody), calling(queue, address, Moody) as client:
        future = client.options(retries=3, retry_on=(KeyError,)).submit(Moody.ask, 2, after=0)
        assert future.result(10) == 3


def test_a_wish_for_another_try_is_parked_for_its_time(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Moody), calling(queue, address, Moody) as client:
        future = client.options(retries=3).submit(Moody.ask, 1, after=3600.0)
        assert wait_until(lambda: link.execute("ZCARD", queue.keys.fixed("delayed")) == 1)
        (_, due) = link.execute("ZRANGE", queue.keys.fixed("delayed"), 0, -1, "WITHSCORES")
        seconds, _ = link.execute("TIME")
        assert 3500 < float(due) / 1000 - int(seconds) <= 3601
        assert future.cancel()


@pytest.mark.parametrize("retries", [0, 1])
def test_the_last_wish_comes_to_the_caller_as_itself(queue: Queue, address: Address, retries: int) -> None:
    with running(queue, address, Moody), calling(queue, address, Moody) as client:
        future = client.options(retries=retries).submit(Moody.ask, 9, after=0.0)
        with pytest.raises(Retry, match=f"not yet .{retries + 1}.") as raised:
            future.result(10)
        assert raised.value.after == 0.0


def test_what_cannot_be_run_is_not_tried_again(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Moody), calling(queue, address, None) as client:
        future = client.options(retries=5, backoff=0).submit("nothing", 1)
        with pytest.raises(UnknownMethod):
            future.result(10)
        assert future.attempts == 1
        large = client.options(retries=5, backoff=0, delay=1).submit("work", "x" * 100_000)
        assert client.flush(10)
        link.execute("DEL", queue.keys.blob(large.job_id))
        with pytest.raises(JobUnreadable):
            large.result(10)
        assert large.attempts == 1


def test_a_worker_that_dies_eats_no_retry(queue: Queue, address: Address, link: Link) -> None:
    """Two workers die with the job in hand; then it may still raise as often as was asked."""
    moody = Moody()
    with calling(queue, address, Moody) as client:
        future = client.options(retries=2, backoff=0).submit(Moody.work, 2, "busy")
        assert client.flush(10)
        for name in ("one", "two"):
            doomed = Consumer(link, queue, name).register()
            assert wait_until(lambda doomed=doomed: bool(doomed.take(1, alone=True)))
            assert bury_consumer(link, queue, name, blame=True) == 1
        with running(queue, address, lambda: moody):
            assert future.result(10) == 3
    assert (moody.calls, future.attempts) == (3, 5)
