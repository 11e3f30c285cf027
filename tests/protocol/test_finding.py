"""find and watch: where a job is, and the reply for those who did not submit it."""

from __future__ import annotations

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.job import new_client_id
from pullet_broker.link import Link
from pullet_broker.moves import finding
from pullet_broker.moves.finding import PAGE, READERS, Found, find, watch
from pullet_broker.settings import Limits, Queue
from tests.support.scribe import Scribe, a_job, outcome

HOUR = 3_600_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def look(scribe: Scribe, job: str) -> tuple[Found, int]:
    """The answer, and how many looks it took."""
    found, looks = scribe.link.run(find(scribe.queue, job, "0-0")), 1
    while found.where == "more":
        found, looks = scribe.link.run(find(scribe.queue, job, "0-0", found.lane, found.start)), looks + 1
        assert looks < 50, "it goes round in circles"
    return found, looks


def test_a_job_is_found_wherever_it_is(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    assert look(scribe, "0" * 32)[0] == Found("nowhere")
    parked, job = caller.one(delay_ms=HOUR), caller.one()
    assert look(scribe, parked)[0] == Found("parked", attempt=1)
    assert look(scribe, job)[0] == Found("lane", attempt=1)
    entry = worker.take_one()
    assert look(scribe, job)[0] == Found("lane", consumer=worker.name, attempt=1)
    worker.give_back(entry)
    assert look(scribe, job)[0] == Found("lane", attempt=1)
    worker.fail(worker.take_one(), retry_after_ms=HOUR)
    assert look(scribe, job)[0] == Found("parked", attempt=2)
    scribe.cancel(job)
    assert look(scribe, job)[0].head.startswith("cancelled 2 ")


def test_a_look_is_bounded_and_goes_on_where_it_stopped(scribe: Scribe) -> None:
    caller = scribe.caller()
    for lane in ("high", "normal", "low"):
        for _ in range(3):
            caller.submit(*(a_job(lane=lane) for _ in range(PAGE // 2)))
    last = caller.one(lane="low")
    found, looks = look(scribe, last)
    assert found == Found("lane", attempt=1)
    assert 5 <= looks <= 7
    assert look(scribe, "0" * 32)[0] == Found("nowhere")


def test_a_look_begins_at_the_time_it_is_told(scribe: Scribe) -> None:
    caller = scribe.caller()
    early = caller.one()
    (entry,) = scribe.link.execute("XRANGE", scribe.queue.keys.lane("normal"), "-", "+")
    later = f"{int(entry[0].split(b'-')[0]) + 1}-0"
    assert scribe.link.run(find(scribe.queue, early, later)) == Found("nowhere")
    assert scribe.link.run(find(scribe.queue, early, entry[0].decode())) == Found("lane", attempt=1)


def test_a_watcher_gets_the_reply_and_so_does_the_submitter(scribe: Scribe) -> None:
    caller, readers, worker = scribe.caller(), [scribe.caller() for _ in range(3)], scribe.worker()
    job, other = caller.one(), caller.one()
    for reader in readers:
        reader.announce()
        assert scribe.link.run(watch(scribe.queue, job, reader.id)) == "WATCHING"
        assert scribe.link.run(watch(scribe.queue, job, reader.id)) == "WATCHING"
    assert 0 < scribe.link.execute("PTTL", scribe.queue.keys.fixed("watched")) <= scribe.queue.lifetimes.client_ms
    worker.finish(worker.take_one(), worker.take_one())
    assert [name for name, _ in caller.inbox()] == [job, other]
    for reader in readers:
        assert reader.inbox() == [(job, scribe.link.execute("GET", scribe.queue.keys.reply(job)))]
    assert "watched" not in scribe.names()


def test_a_watcher_that_comes_late_is_told_at_once(scribe: Scribe) -> None:
    caller, reader, worker = scribe.caller(), scribe.caller(), scribe.worker()
    reader.announce()
    job = caller.one()
    worker.finish(worker.take_one())
    assert scribe.link.run(watch(scribe.queue, job, reader.id)) == "DONE"
    assert [name for name, _ in reader.inbox()] == [job]
    assert "watched" not in scribe.names()


@pytest.mark.parametrize("late", [True, False])
def test_a_watcher_of_a_large_reply_is_told_to_fetch_it(scribe: Scribe, late: bool) -> None:
    narrow = Scribe(scribe.link, Queue(name=scribe.queue.name, limits=Limits(inline_bytes=10)))
    caller, reader, worker = narrow.caller(), narrow.caller(), narrow.worker()
    reader.announce()
    job = caller.one()
    if late:
        worker.cycle(outcome(worker.take_one(), b"x" * 100))
    narrow.link.run(watch(narrow.queue, job, reader.id))
    if not late:
        worker.cycle(outcome(worker.take_one(), b"x" * 100))
    assert reader.inbox() == [(job, b"")]


def test_however_a_job_ends_its_watchers_hear_of_it(scribe: Scribe) -> None:
    caller, reader, worker = scribe.caller(), scribe.caller(), scribe.worker()
    reader.announce()
    parked, waiting, failing = caller.one(delay_ms=HOUR), caller.one(), caller.one()
    for job in (parked, waiting, failing):
        scribe.link.run(watch(scribe.queue, job, reader.id))
    scribe.cancel(parked)
    scribe.cancel(waiting)
    (entry,) = worker.take(2)
    worker.fail(entry)
    assert {name for name, _ in reader.inbox()} == {parked, waiting, failing}
    assert "watched" not in scribe.names()


def test_only_so_many_may_watch_one_job(scribe: Scribe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "READERS", 3)
    job = scribe.caller().one()
    first = new_client_id()
    answers = [scribe.link.run(watch(scribe.queue, job, one)) for one in (first, new_client_id(), new_client_id())]
    assert answers == ["WATCHING"] * 3
    assert scribe.link.run(watch(scribe.queue, job, new_client_id())) == "FULL"
    assert scribe.link.run(watch(scribe.queue, job, first)) == "WATCHING", "who watches already may ask again"
    assert READERS * 33 < 8000


@pytest.mark.parametrize("bad", [{"lane": 0}, {"lane": -1}, {"start": "x"}, {"since": "1"}])
def test_a_look_with_nonsense_is_refused(scribe: Scribe, bad: dict[str, object]) -> None:
    given = {"since": "0-0", "lane": 1, "start": None} | bad
    with pytest.raises(ServerError, match="PULLET find"):
        scribe.link.run(find(scribe.queue, "job", **given))  # type: ignore[arg-type]


def test_a_watch_with_nonsense_is_refused(scribe: Scribe) -> None:
    for client in ("", "x" * 32, "0" * 31):
        with pytest.raises(ServerError, match="PULLET watch"):
            scribe.link.run(watch(scribe.queue, "job", client))
    assert "watched" not in scribe.names()


def test_a_job_that_waits_or_runs_at_a_place_is_found(scribe: Scribe) -> None:
    worker = scribe.worker("w", place="here")
    first = scribe.caller().one(key="game")
    worker.finish(worker.take_one())
    waiting = scribe.caller().one(key="game")
    assert scribe.where(waiting) == ["at:here"], "else this shows nothing"
    assert look(scribe, waiting)[0] == Found("lane", attempt=1)
    worker.take_one()
    assert look(scribe, waiting)[0] == Found("lane", consumer=worker.name, attempt=1)
    assert look(scribe, first)[0].where == "reply"
