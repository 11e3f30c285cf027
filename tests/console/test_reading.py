"""What the console knows of queues, on a real server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.codec import encode_call
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from pullet_console.reading.queues import rates
from pullet_console.reading.reader import Reader
from pullet_workers.rest import longest
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job
from tests.support.workers import Kit, calling, running


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


@pytest.fixture
def reader(address: Address) -> Iterator[Reader]:
    with Reader(address) as opened:
        yield opened


def test_it_finds_the_queues_of_a_server(reader: Reader, scribe: Scribe) -> None:
    scribe.caller().one()
    assert scribe.queue.name in reader.queues()
    scribe.link.execute("SET", "pullet:{a/b}:config", "x", "PX", 60_000)
    assert "a/b" not in reader.queues()


def test_a_queue_in_numbers(reader: Reader, scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.submit(*(a_job() for _ in range(7)), a_job(delay_ms=60_000), a_job(lane="high"))
    worker = scribe.worker("w1")
    scribe.worker("w2")
    taken = worker.take(3)
    assert len(taken) == 3
    worker.finish(taken[0])
    worker.fail(taken[1])
    scribe.link.execute("HSET", scribe.key("config"), "paused", 1, "backlog", 500)
    scribe.link.execute("HSET", scribe.key("pool"), "wanted", 4, "trouble", "no room")

    (summary,) = reader.summaries([scribe.queue.name])

    assert (summary.waiting, summary.running, summary.delayed, summary.suspects, summary.dead) == (5, 1, 1, 0, 1)
    assert (summary.done, summary.failed) == (1, 1)
    assert (summary.workers_busy, summary.workers, summary.wanted) == (1, 2, 4)
    assert (summary.paused, summary.trouble, summary.limit) == (True, "no room", 500)
    assert 0 <= summary.oldest_s < 60
    assert summary.name in [one.name for one in reader.summaries()]


def test_a_suspect_is_counted(reader: Reader, scribe: Scribe) -> None:
    scribe.caller().one()
    worker = scribe.worker()
    worker.take_one()
    scribe.reap(worker.name)
    (summary,) = reader.summaries([scribe.queue.name])
    assert (summary.waiting, summary.suspects, summary.recovered) == (1, 1, 1)


def test_rates_between_two_looks(reader: Reader, scribe: Scribe) -> None:
    (before,) = reader.summaries([scribe.queue.name])
    scribe.caller().submit(*(a_job() for _ in range(4)))
    worker = scribe.worker()
    worker.finish(*worker.take(4))
    assert wait_until(lambda: reader.summaries([scribe.queue.name])[0].at > before.at)
    (after,) = reader.summaries([scribe.queue.name])
    found = rates(before, after)
    assert found is not None
    assert found.done == pytest.approx(4 / (after.at - before.at))
    assert rates(after, before) is None


def test_workers_say_who_they_are(reader: Reader, queue: Queue, address: Address) -> None:
    with running(queue, address, Kit, name="gpu3"), calling(queue, address) as client:
        assert client.submit("echo", 1).result(10) == 1
        assert wait_until(lambda: reader.workers(queue.name)[0].done == 1)
        (worker,) = reader.workers(queue.name)
    assert worker.name == "gpu3"
    assert worker.consumer.startswith("gpu3.")
    assert worker.state in ("idle", "busy")
    assert worker.pid > 0
    assert worker.rss > 0


def test_a_worker_whose_record_is_nonsense_is_listed(reader: Reader, scribe: Scribe) -> None:
    bad = json.dumps({"name": ["x"], "done": "many", "pid": -3, "busy_s": 1e300, "state": 7})
    scribe.link.execute("HSET", scribe.key("workers"), "w1", bad, "w2", b"\xff not json", "w3", "[1]")
    one, two, three = reader.workers(scribe.queue.name)
    assert (one.name, one.done, one.pid, one.busy_s) == ('["x"]', 0, 0, 0.0)
    assert {two.consumer, three.consumer} == {"w2", "w3"}


@pytest.mark.parametrize("state", ["waiting", "running", "delayed"])
def test_pages_hold_every_job_once(reader: Reader, scribe: Scribe, state: str) -> None:
    delay = {"delay_ms": 60_000} if state == "delayed" else {}
    jobs = [a_job(encode_call([i], {}), lane=("high", "normal", "low")[i % 3], **delay) for i in range(250)]
    scribe.caller().submit(*jobs)
    scribe.worker().take(300 if state == "running" else 3)
    expected = {job.id for job in jobs}
    if state == "waiting":
        expected -= {one.id for one in reader.jobs(scribe.queue.name, "running").jobs}
    seen: list[str] = []
    cursor = ""
    while True:
        page = reader.jobs(scribe.queue.name, state, after=cursor, limit=40)
        seen += [job.id for job in page.jobs]
        assert {job.state for job in page.jobs} <= {state}
        cursor = page.next
        if not cursor:
            break
        assert len(page.jobs) == 40
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_a_page_can_be_of_one_method(reader: Reader, scribe: Scribe) -> None:
    wanted = a_job()
    wanted.method = "rare"
    scribe.caller().submit(*(a_job() for _ in range(120)), wanted, a_job())
    page = reader.jobs(scribe.queue.name, "waiting", method="rare")
    assert [job.id for job in page.jobs] == [wanted.id]
    assert page.next == ""


def test_a_cursor_that_is_none_is_refused(reader: Reader, scribe: Scribe) -> None:
    scribe.caller().one()
    for state, cursor in [("waiting", "nowhere 1-1"), ("running", "normal x"), ("delayed", "soon job")]:
        with pytest.raises(ValueError, match="no cursor"):
            reader.jobs(scribe.queue.name, state, after=cursor)
    with pytest.raises(ValueError, match="expected one of"):
        reader.jobs(scribe.queue.name, "lost")


def test_a_queue_that_is_not_there_is_empty(reader: Reader) -> None:
    (summary,) = reader.summaries(["nobody"])
    assert (summary.waiting, summary.running, summary.workers, summary.done) == (0, 0, 0, 0)
    for state in ("waiting", "running", "delayed"):
        assert reader.jobs("nobody", state).jobs == ()
    assert reader.letters("nobody").letters == ()
    assert reader.workers("nobody") == []


def test_one_job_through_its_life(reader: Reader, scribe: Scribe) -> None:
    name = scribe.queue.name
    job, late = a_job(encode_call(["8/8"], {"depth": 15})), a_job(delay_ms=60_000)
    scribe.caller().submit(job, late)

    seen = reader.job(name, job.id)
    assert (seen.state, seen.method, seen.lane, seen.worker) == ("waiting", "work", "normal", "")
    assert seen.arguments is not None
    assert seen.arguments.text == "'8/8', depth=15"

    delayed = reader.job(name, late.id)
    assert delayed.state == "delayed"
    assert delayed.due is not None
    assert delayed.due > 1e9

    worker = scribe.worker("gpu3.1")
    entry = worker.take_one()
    seen = reader.job(name, job.id)
    assert (seen.state, seen.worker) == ("running", "gpu3.1")
    assert seen.held_s is not None

    worker.finish(entry)
    seen = reader.job(name, job.id)
    assert (seen.state, seen.result, seen.attempt) == ("done", "1", 1)
    assert reader.job(name, "0" * 32).state == "unknown"


def test_large_arguments_are_shown_too(reader: Reader, scribe: Scribe) -> None:
    large, huge = a_job(encode_call([b"x" * 40_000], {})), a_job(encode_call([b"x" * 2_000_000], {}))
    scribe.caller().submit(large, huge)
    seen = reader.job(scribe.queue.name, large.id).arguments
    assert seen is not None
    assert seen.text.startswith("b'xxx")
    assert len(seen.text) < 300
    unread = reader.job(scribe.queue.name, huge.id).arguments
    assert unread is not None
    assert "bytes of arguments" in unread.text


def test_a_job_that_failed_for_good(reader: Reader, queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client:
        future = client.options(keep=True).submit("boom", "no white king")
        assert isinstance(future.exception(10), ValueError)
        seen = reader.job(queue.name, future.job_id)
    assert (seen.state, seen.error_type, seen.error) == ("dead", "builtins.ValueError", "no white king")
    assert "raise ValueError(text)" in seen.traceback
    assert seen.arguments is not None
    assert seen.arguments.text == "'no white king'"
    assert [one.how for one in seen.errors] == ["raised"]


def test_letters_come_in_pages_and_in_groups(reader: Reader, queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address, None) as client:
        for future in [client.submit("boom", str(i)) for i in range(120)] + [client.submit("nothing")]:
            assert future.exception(10)
    seen, cursor = [], ""
    while True:
        page = reader.letters(queue.name, before=cursor, limit=50)
        seen += page.letters
        cursor = page.next
        if not cursor:
            break
    assert len({one.id for one in seen}) == 121
    assert [one.died_at for one in seen] == sorted((one.died_at for one in seen), reverse=True)
    first, second = reader.letter_groups(queue.name)
    assert (first.error_type, first.method, first.count) == ("builtins.ValueError", "boom", 120)
    assert (second.error_type, second.count) == ("pullet.UnknownMethod", 1)
    assert len(reader.letters(queue.name, error="UnknownMethod").letters) == 1
    assert len(reader.letters(queue.name, method="boom", limit=200).letters) == 120


def test_the_server_tells_of_itself(reader: Reader) -> None:
    facts = reader.server()
    assert facts.kind in ("redis", "valkey")
    assert facts.memory
    assert facts.clients
    assert facts.role == "master"
    assert facts.writes_ok is True


def test_a_worker_that_rests_is_not_silent_and_one_is_before_it_counts_as_dead(reader: Reader, scribe: Scribe) -> None:
    lease, worker = Lease(), scribe.worker()
    rest_looks = math.ceil(longest(lease).beat_s / lease.tick_ms * 1000)
    states = []
    for looks in (0, rest_looks, lease.ticks - 1):
        scribe.link.execute("HSET", scribe.key("missed"), worker.name, f"{looks} 1")
        states.append(reader.workers(scribe.queue.name)[0].state == "silent")
    assert states == [False, False, True]
