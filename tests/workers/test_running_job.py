"""What an engine's code can ask and say while a job runs, in every kind of engine; and what its caller sees of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import re
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import pullet
from pullet import NoJob, Progress, RunningJob
from pullet.testing import InlinePool
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.job_log import as_line
from tests.support.leaks import wait_until
from tests.support.workers import calling, kill_connections, running

pytestmark = pytest.mark.timeout(40)

log = logging.getLogger("shop.engine")

Story = tuple[str, int, str]


def story() -> Story:
    job = pullet.current_job()
    return job.id, job.attempt, job.method


class Plain:
    def __init__(self) -> None:
        self.started, self.go = threading.Event(), threading.Event()
        self.jobs: list[RunningJob] = []

    def ask(self) -> Story:
        return story()

    def lines(self, n: int) -> Iterator[Story]:
        for _ in range(n):
            yield story()

    @pullet.batch(max_batch_size=8)
    def many(self, items: list[int]) -> list[tuple[str, int]]:
        if -1 in items:
            log.warning("unlucky %s", items)
            raise ValueError("-1")
        return [(job.id, len(items)) for job in pullet.current_jobs()]

    @pullet.batch(max_batch_size=8)
    def one_of_many(self, items: list[int]) -> list[str]:
        return [pullet.current_job().id] * len(items)

    def second_time_lucky(self) -> Story:
        log.warning("attempt %d", pullet.current_job().attempt, extra={"job": "a name of the engine's own"})
        if pullet.current_job().attempt == 1:
            raise ConnectionError("once more")
        return story()

    def told(self, fraction: float, text: str) -> None:
        pullet.current_job().report(fraction, text)
        self.jobs.append(pullet.current_job())
        self.started.set()
        assert self.go.wait(30)

    def told_lines(self) -> Iterator[int]:
        yield 1
        self.told(0.4, "page 3 of 8")
        yield 2

    def babble(self, times: int) -> None:
        for n in range(times):
            pullet.current_job().report((n + 1) / times, f"{n + 1} of {times}")
        self.started.set()
        assert self.go.wait(30)

    def fail(self, lines: int) -> None:
        for n in range(lines):
            log.warning("line %d\nand more", n)
        logging.getLogger("shop").debug("nobody wants this")
        raise KeyError("bad")

    def from_a_thread(self) -> str:
        found: list[str] = []

        def ask() -> None:
            try:
                found.append(pullet.current_job().id)
            except NoJob:
                found.append("none")

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return found[0]


class Async:
    async def ask(self) -> Story:
        await asyncio.sleep(0)
        return await asyncio.to_thread(story)

    async def lines(self, n: int) -> AsyncIterator[Story]:
        for _ in range(n):
            await asyncio.sleep(0)
            yield story()

    @pullet.batch(max_batch_size=8)
    async def many(self, items: list[int]) -> list[tuple[str, int]]:
        await asyncio.sleep(0)
        return [(job.id, len(items)) for job in pullet.current_jobs()]


KINDS = pytest.mark.parametrize(("engine", "concurrency"), [(Plain, 1), (Plain, 3), (Async, None)])


@KINDS
def test_every_kind_of_method_knows_its_job(
    queue: Queue, address: Address, engine: Any, concurrency: int | None
) -> None:
    with running(queue, address, engine, concurrency=concurrency), calling(queue, address, engine) as client:
        futures = [client.submit(engine.ask) for _ in range(20)]
        assert [one.result(10) for one in futures] == [(one.job_id, 1, "ask") for one in futures]
        stream = client.stream(engine.lines, 3)
        assert list(stream) == [(stream.job_id, 1, "lines")] * 3
        listed = client.submit(engine.lines, 2)
        assert listed.result(10) == [(listed.job_id, 1, "lines")] * 2
        items = [client.submit(engine.many, n) for n in range(20)]
        assert [one.result(10)[0] for one in items] == [one.job_id for one in items]


def test_a_batch_of_one_has_a_job_and_one_of_several_says_what_to_ask(queue: Queue, address: Address) -> None:
    with calling(queue, address, Plain) as client:
        futures = [client.submit(Plain.one_of_many, n) for n in range(4)]
        assert client.flush(10)
        with running(queue, address, Plain):  # together they raise, and each is tried alone
            assert [one.result(10) for one in futures] == [one.job_id for one in futures]


def test_a_retry_is_another_attempt_of_the_same_job(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        future = client.options(retries=1, backoff=0).submit(Plain.second_time_lucky)
        assert future.result(10) == (future.job_id, 2, "second_time_lucky")


def test_outside_of_a_job_there_is_none(queue: Queue, address: Address) -> None:
    with pytest.raises(NoJob, match="methods of an engine"):
        pullet.current_job()
    assert pullet.current_jobs() == ()
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        assert client.submit(Plain.from_a_thread).result(10) == "none"


# -- progress


def test_whoever_iterates_sees_how_far_its_stream_is(queue: Queue, address: Address) -> None:
    engine, came = Plain(), threading.Event()
    with running(queue, address, lambda: engine), calling(queue, address, Plain) as client:
        stream = client.stream(Plain.told_lines)
        assert stream.progress is None
        stream.add_progress_callback(lambda progress: came.set())
        items = iter(stream)
        assert next(items) == 1
        assert came.wait(10)
        assert stream.progress == Progress(0.4, "page 3 of 8", 1)
        assert "40% page 3 of 8" in repr(stream)
        engine.go.set()
        assert list(items) == [2]


def test_a_caller_sees_how_far_its_job_is(queue: Queue, address: Address, link: Link) -> None:
    engine, heard, came = Plain(), [], threading.Event()
    with running(queue, address, lambda: engine), calling(queue, address, Plain) as client:
        future = client.submit(Plain.told, 0.4, "page 3 of 8")
        future.add_progress_callback(lambda progress: 1 / 0)  # harms nobody
        future.add_progress_callback(lambda progress: (heard.append(progress), came.set()))
        assert came.wait(10)
        assert future.progress == heard[0] == Progress(0.4, "page 3 of 8", 1)
        assert "40% page 3 of 8" in repr(future)
        assert "40% page 3 of 8" in future._repr_html_()
        with calling(queue, address, None) as other:
            handle = other.job(future.job_id)
            assert handle.state == "running"
            assert handle.progress == future.progress
            assert "40% page 3 of 8" in handle._repr_html_()
            attached, came_too = handle.future, threading.Event()
            attached.add_progress_callback(lambda progress: came_too.set())
            assert wait_until(lambda: bool(link.execute("HLEN", queue.keys.fixed("watched"))))
            engine.jobs[0].report(0.5)
            assert came_too.wait(10)
            assert wait_until(lambda: future.progress == Progress(0.5))
            engine.go.set()
            attached.result(10)
        future.result(10)
        assert "50%" not in repr(future)
        engine.jobs[0].report(0.9)
        client.submit(Plain.ask).result(10)
        assert len(heard) == 2, "after its end nobody hears of a job"
        assert not link.execute("HLEN", queue.keys.fixed("progress"))


@pytest.mark.parametrize("concurrency", [1, 2])
def test_many_reports_cost_few_messages_and_the_last_one_always_comes(
    queue: Queue, address: Address, link: Link, concurrency: int
) -> None:
    engine, heard = Plain(), []
    with (
        running(queue, address, lambda: engine, concurrency=concurrency),
        calling(queue, address, Plain) as client,
    ):
        future = client.submit(Plain.babble, 10_000)
        future.add_progress_callback(heard.append)
        assert engine.started.wait(20)
        assert wait_until(lambda: future.progress == Progress(1.0, "10000 of 10000"))
        assert len(heard) < 100
        engine.go.set()
        future.result(10)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_fraction_is_from_0_to_1(fraction: float) -> None:
    with InlinePool(Plain) as pool:
        pool.engine.go.set()
        with pytest.raises(ValueError, match="from 0 to 1"):
            pool.submit(Plain.told, fraction, "").result(0)


def test_reports_outlive_a_lost_connection(queue: Queue, address: Address, link: Link) -> None:
    engine = Plain()
    with running(queue, address, lambda: engine), calling(queue, address, Plain) as client:
        future = client.submit(Plain.told, 0.1, "")
        assert wait_until(lambda: future.progress is not None)
        assert kill_connections(link, f"{queue.name}:parts")
        engine.jobs[0].report(0.7, "on")
        assert wait_until(lambda: future.progress == Progress(0.7, "on"))
        engine.go.set()
        future.result(10)


# -- the log


def test_the_last_lines_of_its_log_go_with_a_dead_letter(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        future = client.submit(Plain.fail, 50)
        assert isinstance(future.exception(10), KeyError)
        (letter,) = client.dead
        assert len(letter.log) == 20
        assert letter.log[-1].endswith("WARNING shop.engine: line 49 and more")
        assert client.dead.replay(letter.id)
        assert wait_until(lambda: len(client.dead) == 1)
        again = client.submit(Plain.many, -1)
        assert isinstance(again.exception(10), ValueError)
        newest = list(client.dead)[-1]
        assert [line[20:] for line in newest.log] == ["WARNING shop.engine: unlucky [-1]"]


def test_records_made_in_a_job_name_it(queue: Queue, address: Address, caplog: pytest.LogCaptureFixture) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        future = client.options(retries=1, backoff=0).submit(Plain.second_time_lucky)
        future.result(10)
        concurrent.futures.wait([client.submit(Plain.many, -1)], 10)
        log.warning("outside")
        assert len(list(client.dead)) == 1
    seen = [(one.getMessage(), one.pullet_job, one.pullet_attempt) for one in caplog.records if one.name == log.name]
    assert seen[:2] == [("attempt 1", future.job_id, 1), ("attempt 2", future.job_id, 2)]
    assert seen[-1] == ("outside", "", 0)


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("%d", ("x",), "<a message that cannot be made of str>"),
        ("\ud800", (), "\\ud800"),
        ("x" * 999, (), "x" * 50),
    ],
)
def test_a_record_becomes_one_short_line_whatever_it_holds(message: str, args: tuple[Any, ...], shown: str) -> None:
    line = as_line(logging.LogRecord("shop", logging.ERROR, "file", 1, message, args, None))
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ERROR shop: ", line)
    assert shown in line
    assert len(line) <= 320


# -- in tests of users


def test_an_inline_pool_runs_jobs_too() -> None:
    with InlinePool(Plain) as pool:
        future = pool.options(retries=1).submit(Plain.second_time_lucky)
        assert future.result(0) == (future.job_id, 2, "second_time_lucky")
        pool.engine.go.set()
        told = pool.submit(Plain.told, 0.4, "page 3")
        assert (told.progress, told.result(0)) == (Progress(0.4, "page 3"), None)
    with InlinePool(Async) as quick:
        asked = quick.submit(Async.ask)
        assert asked.result(0) == (asked.job_id, 1, "ask")
    with pytest.raises(NoJob):
        pullet.current_job()
