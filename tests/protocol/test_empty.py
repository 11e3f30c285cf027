"""empty: all jobs that nobody has taken end as cancelled, and no others."""

from __future__ import annotations

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.moves.emptying import PIECE, empty
from pullet_broker.settings import Queue
from tests.support.scribe import Scribe, a_job
from tests.support.workers import consumers


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def empty_all(scribe: Scribe, latest_ms: int | None = None) -> int:
    latest, ended, more = scribe.clock_ms() if latest_ms is None else latest_ms, 0, True
    while more:
        answer = scribe.link.run(empty(scribe.queue, latest))
        ended, more = ended + answer.ended, answer.more
    return ended


def test_what_waits_and_what_is_delayed_ends_and_what_runs_is_let_be(scribe: Scribe) -> None:
    caller = scribe.caller()
    running = caller.one()
    worker = scribe.worker()
    entry = worker.take_one()
    waiting = [caller.one(lane=lane) for lane in ("high", "normal", "low")]
    delayed = caller.one(delay_ms=60_000)

    assert empty_all(scribe) == 4

    assert [scribe.ended(job) for job in (*waiting, delayed)] == ["cancelled"] * 4
    assert {job for job, _ in caller.inbox()} == {*waiting, delayed}
    assert scribe.ended(running) is None
    assert worker.finish(entry) == []
    assert (scribe.entries(), scribe.delayed()) == (0, [])
    assert consumers(scribe.link, scribe.queue) == {worker.name}


def test_many_go_in_pieces_and_later_ones_stay(scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.submit(*(a_job() for _ in range(200)))
    caller.submit(*(a_job() for _ in range(PIECE)))
    latest = scribe.clock_ms()
    while scribe.clock_ms() == latest:
        pass
    later = caller.one()
    assert empty_all(scribe, latest) == 200 + PIECE
    assert scribe.where(later) == ["normal"]


def test_a_paused_queue_is_emptied_too_and_large_arguments_go(scribe: Scribe) -> None:
    job = scribe.caller().one(args=b"x" * 20_000)
    scribe.link.execute("HSET", scribe.key("config"), "paused", 1)
    assert empty_all(scribe) == 1
    assert scribe.link.execute("EXISTS", scribe.queue.keys.blob(job)) == 0


def test_a_job_at_a_place_ends_too(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker(place="here")
    caller.one(key="k")
    entry = worker.take_one()
    at_place = caller.one(key="k")
    assert scribe.where(at_place) == ["at:here"]
    assert empty_all(scribe) == 1
    assert scribe.ended(at_place) == "cancelled"
    worker.finish(entry)
    scribe.reap(worker.name)
    scribe.forget(worker.name)


def test_a_queue_that_never_was_is_empty(scribe: Scribe) -> None:
    assert empty_all(scribe) == 0


def test_malformed_arguments_change_nothing(scribe: Scribe) -> None:
    job = scribe.caller().one()
    with pytest.raises(ServerError, match="expected form"):
        scribe.link.run(empty(scribe.queue, "soon"))  # type: ignore[arg-type]
    assert scribe.where(job) == ["normal"]
