"""Handles go to other processes and are found again: a pickled future, and any job by its id."""

from __future__ import annotations

import concurrent.futures
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pullet import Client, JobHandle, RemoteTraceback
from pullet.dead import SHOWN
from pullet.future import Future
from pullet_broker.address import Address
from pullet_broker.errors import JobLost, UnknownMethod
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)

ROOT = Path(__file__).parents[2]


def other_process(code: str, given: Any) -> subprocess.Popen[bytes]:
    """Runs this code with `given`, pickled."""
    read = "import pickle, sys; given = pickle.loads(sys.stdin.buffer.read())\n"
    process = subprocess.Popen(
        [sys.executable, "-c", read + code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    process.stdin.write(pickle.dumps(given))
    process.stdin.close()
    return process


def printed(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    text = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait(30) == 0
    return text.strip()


# -- futures that have their outcome


def test_a_done_future_travels_as_its_value(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client:
        future = client.submit(Kit.echo, {"a": (1, 2)})
        future.result(10)
        again = pickle.loads(pickle.dumps(future))
    assert again.result(0) == {"a": (1, 2)}
    assert (again.job_id, again.attempts, again.worker) == (future.job_id, 1, future.worker)
    assert not again.cancel()


def test_a_failed_future_travels_with_its_traceback(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client:
        future, unknown = client.submit(Kit.boom, "far"), client.submit("boom", "away")
        concurrent.futures.wait([future, unknown], 10)
        error = pickle.loads(pickle.dumps(future)).exception(0)
        assert type(error) is ValueError
        assert isinstance(error.__cause__, RemoteTraceback)
        assert "in boom" in str(error.__cause__)
        assert error.__notes__ == future.exception(0).__notes__  # type: ignore[union-attr]


def test_a_cancelled_future_travels_as_that(queue: Queue, address: Address) -> None:
    with calling(queue, address) as client:
        future = client.submit(Kit.echo, 1)
        future.cancel()
        assert pickle.loads(pickle.dumps(future)).cancelled()


def test_a_future_of_no_server_says_why_it_cannot_travel() -> None:
    future: Future[int] = Future("01job", lambda job: None)
    with pytest.raises(TypeError, match="belongs to no server"):
        pickle.dumps(future)
    future.set_result(1)
    assert pickle.loads(pickle.dumps(future)).result(0) == 1


# -- futures that wait


def test_a_waiting_future_gets_its_value_in_the_other_process_too(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.submit(Kit.hold, "both")
        process = other_process("print('waits', flush=True); print(given.result(20), given.attempts)", future)
        assert process.stdout
        assert process.stdout.readline() == b"waits\n"
        assert wait_until(lambda: bool(link.execute("EXISTS", queue.keys.fixed("watched"))))
        kit.go.set()
        assert future.result(10) == "both"
        assert printed(process) == "both 1"
        assert kit.calls == ["both"], "it ran once"


def test_the_first_reader_leaves_the_reply_to_the_other(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future, plain = client.submit(Kit.hold, "kept"), client.submit(Kit.echo, "not kept")
        data = pickle.dumps(future)
        kit.go.set()
        assert (future.result(10), plain.result(10)) == ("kept", "not kept")
        client.submit(Kit.echo, "more").result(10)  # which also makes the receiver delete what it has read
        assert wait_until(lambda: not link.execute("EXISTS", queue.keys.reply(plain.job_id)))
        assert 0 < link.execute("PTTL", queue.keys.reply(future.job_id)) <= queue.lifetimes.reply_ms
        process = other_process("print(pickle.loads(given).result(10))", data)
        assert printed(process) == "kept"
    assert link.execute("EXISTS", queue.keys.reply(future.job_id)), "there may be more readers"


def test_an_error_and_a_large_value_come_too(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        held = client.submit(Kit.hold, 0)
        futures = [client.submit(Kit.boom, "bad"), client.submit(Kit.huge, 100_000)]
        process = other_process("print(repr(given[0].exception(20)), len(given[1].result(20)))", futures)
        kit.go.set()
        assert held.result(10) == 0
        assert printed(process) == "ValueError('bad') 100000"


def test_a_cancel_in_the_other_process_cancels_the_job(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        client.submit(Kit.hold, "held")
        assert kit.started.wait(10)
        future = client.submit(Kit.echo, "unwanted")
        assert printed(other_process("print(given.cancel())", future)) == "True"
        kit.go.set()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(10)
        client.submit(Kit.echo, "last").result(10)
    assert kit.calls == ["held", "last"]


def test_a_future_can_be_awaited_where_it_went(queue: Queue, address: Address) -> None:
    kit = Kit()
    code = """
import asyncio
async def both(): return await asyncio.gather(given, given)
print(asyncio.run(both()))
"""
    with running(queue, address, kit), calling(queue, address) as client:
        process = other_process(code, client.submit(Kit.hold, 7))
        kit.go.set()
        assert printed(process) == "[7, 7]"


def test_pickling_races_with_the_reply_and_nobody_waits_in_vain(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client:
        handles = []
        for n in range(300):
            future = client.submit(Kit.echo, n)
            if n % 3:
                time.sleep(0.0003)
            handles.append(pickle.dumps(future))
        again = [pickle.loads(one) for one in handles]
        assert [one.result(10) for one in again] == list(range(300))
        from pullet.core import _shared

        _shared.pop((queue.name, address)).close(wait=True)


# -- any job by its id


def test_the_state_of_a_job_follows_it(queue: Queue, address: Address) -> None:
    kit = Kit()
    with calling(queue, address) as client, calling(queue, address) as other:
        future = client.submit(Kit.hold, "x")
        assert client.flush(10)
        handle = other.job(future.job_id)
        assert handle.state == "waiting"
        with running(queue, address, kit) as worker:
            assert kit.started.wait(10)
            assert handle.state == "running"
            assert (handle.worker, handle.attempts) == (worker.consumer, 1)
            waiting = handle.future
            kit.go.set()
            assert waiting.result(10) == "x"
            assert handle.state == "done"
            assert handle.result(0) == "x"


def test_jobs_that_others_submitted_are_found_by_their_ids(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client, calling(queue, address, None) as other:
        keeping = client.options(keep=True)
        done, failed = keeping.submit(Kit.echo, 1), keeping.submit(Kit.boom, "bad")
        concurrent.futures.wait([done, failed], 10)
        assert (other.job(done.job_id).state, other.job(failed.job_id).state) == ("done", "failed")
        assert other.job(done.job_id).result(10) == 1
        with pytest.raises(ValueError, match="bad"):
            other.job(failed.job_id).result(10)


def test_a_delayed_job_and_its_cancel(queue: Queue, address: Address) -> None:
    with calling(queue, address) as client, calling(queue, address) as other:
        future = client.options(delay=60).submit(Kit.echo, 1)
        assert client.flush(10)
        handle = other.job(future.job_id)
        assert handle.state == "delayed"
        assert handle.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(10)
        assert other.job(future.job_id).state in ("cancelled", "unknown")


@pytest.mark.parametrize("job", ["0" * 32, "f" * 32, "chosen", "g" * 32, ""])
def test_an_unknown_job_says_so_and_nobody_waits_for_it(queue: Queue, address: Address, job: str) -> None:
    with calling(queue, address) as client:
        handle = client.job(job)
        assert handle.state == "unknown"
        with pytest.raises(JobLost, match="unknown"):
            handle.result(10)
        client.close()  # which would wait for an open job


def test_a_handle_of_ones_own_job_is_its_future(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.submit(Kit.hold, 1)
        assert client.job(future.job_id).future is future
        kit.go.set()
        assert client.job(future.job_id).result(10) == 1


# -- what a notebook shows


def test_html_is_escaped(queue: Queue, address: Address) -> None:
    kit = Kit()
    evil = "<script>alert('x')</script>"
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.submit(Kit.boom, evil)
        concurrent.futures.wait([future], 10)
        results = client.map(Kit.echo, [1, 2])
        list(results)
        shown = [one._repr_html_() for one in (client, future, results, client.job(future.job_id))]
    assert not any("<script" in text for text in shown)
    assert "&lt;script&gt;" in shown[1]
    assert queue.name in shown[0]
    assert "Kit" in shown[0]
    assert JobHandle.__name__ in shown[3]


def test_a_notebook_shows_the_newest_dead_letters(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client:
        for n in range(SHOWN + 2):
            assert client.submit(Kit.boom, f"<b>no {n}.").exception(10)
        oldest = next(iter(client.dead)).id
        shown, told = client.dead._repr_html_(), repr(client.dead)
        client.dead.purge_all()
        assert f"0 dead letters of {queue.name}" in client.dead._repr_html_()
    assert f"{SHOWN + 2} dead letters of {queue.name}" in shown
    assert "<b>no" not in shown
    assert shown.index(f"&lt;b&gt;no {SHOWN + 1}.") < shown.index("&lt;b&gt;no 2.")
    assert "no 1." not in shown, "the oldest are left out"
    assert oldest not in shown
    assert "builtins.ValueError" in shown
    assert queue.name in told


def test_an_unknown_method_travels_as_itself(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address, None) as client:
        future: Any = client.submit("nothing")
        concurrent.futures.wait([future], 10)
        error = pickle.loads(pickle.dumps(future)).exception(0)
    assert type(error) is UnknownMethod
    assert isinstance(client, Client)
