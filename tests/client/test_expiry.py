"""options(expires=): a job that nobody takes ends for its caller all the same, by the caller's clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import JobExpired, ServerError
from pullet_broker.link import Link
from pullet_broker.moves.finding import late
from pullet_broker.settings import Queue
from tests.support.proxy import Proxy
from tests.support.scribe import Scribe
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet.expiry.SLACK_S", 0.1)
    monkeypatch.setattr("pullet.expiry.AGAIN_S", 0.3)


@pytest.fixture
def proxy(server: EmbeddedServer) -> Iterator[Proxy]:
    with Proxy(server.url) as made:
        yield made


def test_with_no_worker_at_all_the_caller_hears(queue: Queue, address: Address) -> None:
    with calling(queue, address) as client:
        patient = client.submit(Kit.echo, 2)
        assert client.flush(10)
        future = client.options(expires=0.2).submit(Kit.echo, 1)
        stream = client.options(expires=0.2).stream(Kit.count, 3, 0)
        with pytest.raises(JobExpired, match="by this client's clock; no worker has taken it") as caught:
            future.result(10)
        assert (caught.value.job, caught.value.expires_s) == (future.job_id, 0.2)
        with pytest.raises(JobExpired):
            list(stream)
        kit = Kit()
        with running(queue, address, kit):
            assert patient.result(10) == 2
        assert kit.calls == [2], "what has expired is not run later either"


def test_a_paused_queue_and_a_busy_worker_are_no_excuse(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        held = client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        with pytest.raises(JobExpired):
            client.options(expires=0.1).submit(Kit.echo, 1).result(10)
        client.pause()
        with pytest.raises(JobExpired):
            client.options(expires=0.1, delay=5).submit(Kit.echo, 1).result(10)
        client.resume()
        kit.go.set()
        assert held.result(10) == "held"


def test_a_job_that_was_started_in_time_may_take_its_time(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        assert client.submit(Kit.echo, 1).result(10) == 1
        future = client.options(expires=0.2).submit(Kit.hold, "held")
        assert kit.started.wait(10)
        with pytest.raises(TimeoutError) as caught:
            future.result(1.5)
        assert not isinstance(caught.value, JobExpired)
        kit.go.set()
        assert future.result(10) == "held"


def test_a_job_that_could_not_be_sent_expires_too(queue: Queue, proxy: Proxy) -> None:
    with calling(queue, Address(proxy.url)) as client:
        assert client.flush(10)
        proxy.go_down()
        future = client.options(expires=0.2).submit(Kit.echo, 1)
        with pytest.raises(JobExpired, match="not even sent"):
            future.result(10)
        proxy.come_up()


def test_many_expire_together(queue: Queue, address: Address) -> None:
    with calling(queue, address) as client:
        futures = [client.options(expires=0.3).submit(Kit.echo, n) for n in range(2500)]
        assert all(isinstance(future.exception(20), JobExpired) for future in futures)
        assert client._core.open_jobs == 0


def test_who_is_late(link: Link, queue: Queue) -> None:
    scribe = Scribe(link, queue)
    caller, worker = scribe.caller(), scribe.worker("w", place="here")
    ended, held, waits, parked, at_home = (
        caller.one(delay_ms=delay, key=key) for delay, key in [(0, "")] * 3 + [(9999, ""), (0, "k")]
    )
    worker.finish(worker.take_one())
    worker.take_one()
    jobs = [ended, held, waits, parked, at_home, "no job"]
    assert [jobs[n] for n in link.run(late(queue, jobs))] == [waits, parked, at_home, "no job"]
    call = late(queue, jobs)
    assert link.run(replace(call, args=[call.args[0], 1, *jobs])) == [], "too much is in hands to say"
    with pytest.raises(ServerError):
        link.run(replace(call, args=[call.args[0], "x", *jobs]))
