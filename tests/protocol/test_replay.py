"""A dead letter is replayed: its job runs once more as if it were new, under its own id."""

from __future__ import annotations

import dataclasses
from unittest.mock import ANY

import pytest

from pullet_broker.errors import ServerError
from pullet_broker.job import Job
from pullet_broker.keys import PLACE_LANE
from pullet_broker.link import Link
from pullet_broker.moves.dead import Replay, replay
from pullet_broker.moves.finding import watch
from pullet_broker.moves.life import spill
from pullet_broker.settings import Affinity, Queue
from tests.protocol.test_dead_letters import LARGE, bury, errors, small
from tests.support.scribe import Scribe, Worker

HOUR = 3_600_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def test_a_replayed_job_is_new_but_for_its_id(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one(args=b"args", lane="high", opts='{"retries":1}', ttl_ms=HOUR, expires_ms=HOUR)
    worker.fail(worker.take_one(), retry_after_ms=0)
    assert worker.fail(worker.take_one()) == "DEAD"

    assert scribe.replay(job).answer is Replay.OK

    assert scribe.on_lane("high") == [
        {
            **{"id": job, "method": "work", "args": "args", "client": caller.id, "opts": '{"retries":1}'},
            **{"lane": "high", "ttl": str(HOUR)},
        }
    ]
    assert (scribe.letters(), scribe.reply(job)) == ([], None)
    assert scribe.link.execute("EXISTS", scribe.key("buried")) == 0
    entry = worker.take_one()
    assert (entry.attempt, entry.raised) == (1, 0)
    assert worker.finish(entry) == []
    assert scribe.ended(job) == "ok"
    assert [(name, reply[:2]) for name, reply in caller.inbox()] == [(job, b"er"), (job, b"ok")]


def test_a_repeated_replay_runs_the_job_once(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker())
    assert scribe.replay(job).answer is Replay.OK
    for _ in range(3):
        assert scribe.replay(job).answer is Replay.MISSING
    assert scribe.entries() == 1


def test_a_replayed_job_may_die_and_be_replayed_again(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = bury(caller, worker, note="first")
    for _ in range(3):
        assert scribe.replay(job).answer is Replay.OK
        assert worker.fail(worker.take_one(), note="again") == "DEAD"
        assert errors(scribe) == [["1", "w", "raised again"]]


def test_large_arguments_live_as_long_as_the_job_again(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = bury(caller, worker, args=LARGE)
    assert scribe.replay(job).answer is Replay.OK
    blob = scribe.queue.keys.blob(job)
    assert scribe.link.execute("PTTL", blob) == -1
    assert worker.finish(worker.take_one()) == []
    assert scribe.link.execute("EXISTS", blob) == 0


def test_without_its_large_arguments_a_job_stays_dead(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker(), args=LARGE)
    scribe.link.execute("DEL", scribe.queue.keys.blob(job))
    before = scribe.dump()
    assert scribe.replay(job).answer is Replay.GONE
    assert scribe.dump() == before


def test_a_cancel_that_came_too_late_does_not_stop_a_replay(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = bury(caller, worker)
    scribe.link.execute("DEL", scribe.queue.keys.reply(job))  # as its reader does
    assert scribe.cancel(job) == "ASKED"
    assert scribe.replay(job).answer is Replay.OK
    assert worker.take_one().job == job


def test_a_full_queue_takes_no_dead_either(scribe: Scribe) -> None:
    tight = small(scribe, backlog_jobs=2)
    caller, worker = scribe.caller(), scribe.worker()
    jobs = [bury(caller, worker) for _ in range(2)]
    caller.one()
    caller.one(delay_ms=HOUR)
    before = scribe.dump()
    found = tight.replay(jobs[0])
    assert (found.answer, found.backlog, found.limit) == (Replay.FULL, 2, 2)
    assert scribe.dump() == before
    scribe.link.execute("HSET", scribe.key("config"), "backlog", 3)
    assert tight.replay(jobs[0]).answer is Replay.OK


def test_a_replayed_job_with_a_key_goes_where_its_key_lives(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    job = bury(caller, worker, key="k")
    home = scribe.queue.keys.home("k")
    scribe.link.execute("PEXPIRE", home, 1000)
    assert scribe.replay(job).answer is Replay.OK
    assert scribe.where(job) == ["at:a"]
    assert scribe.link.execute("PTTL", home) > 60_000, "as a job that is submitted does"
    entry = worker.take_one()
    assert (entry.job, entry.key, entry.lane) == (job, "k", PLACE_LANE)
    assert worker.fail(entry) == "DEAD"
    scribe.link.execute("DEL", home)
    scribe.replay(job)
    assert scribe.where(job) == ["normal"]


def test_a_replayed_job_has_not_waited_for_its_place_yet(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.one(key="k")
    first = worker.take_one()
    job = caller.one(key="k")
    scribe.link.run(spill(dataclasses.replace(scribe.queue, affinity=Affinity(spill_s=1e-6)), "watcher", "a"))
    entry = scribe.worker("other", "b").take_one()
    assert entry.job == job
    assert Worker(scribe.link, scribe.queue.at("b"), "other").fail(entry) == "DEAD"
    (letter,) = scribe.letters()
    assert letter["spilled"] == "1"
    scribe.replay(job)
    (fields,) = (one for one in scribe.on_lane("at:a") if one["id"] == job)
    assert fields == {"id": job, "method": "work", "args": ANY, "client": caller.id, "opts": "", "key": "k"}
    assert worker.finish(first, worker.take_one()) == []


def test_jobs_at_places_count_for_the_backlog_of_a_replay(scribe: Scribe) -> None:
    tight = small(scribe, backlog_jobs=2)
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    job = bury(caller, worker, key="k")
    for _ in range(2):
        assert scribe.where(caller.one(key="k")) == ["at:a"]
    found = tight.replay(job)
    assert (found.answer, found.backlog, found.limit) == (Replay.FULL, 2, 2)


def test_who_watches_a_job_hears_how_it_died_and_how_its_replay_ended(scribe: Scribe) -> None:
    caller, reader, worker = scribe.caller(), scribe.caller(), scribe.worker()
    reader.announce()
    job = caller.one()
    assert scribe.link.run(watch(scribe.queue, job, reader.id)) == "WATCHING"
    assert worker.fail(worker.take_one()) == "DEAD"
    scribe.replay(job)
    assert scribe.link.run(watch(scribe.queue, job, reader.id)) == "WATCHING", "the old reply is gone"
    worker.finish(worker.take_one())
    assert [(name, reply.split()[0]) for name, reply in reader.inbox()] == [(job, b"error"), (job, b"ok")]


def test_a_late_worker_does_not_end_a_replayed_job(scribe: Scribe) -> None:
    caller, zombie = scribe.caller(), scribe.worker("zombie")
    job = caller.one()
    entry = zombie.take_one()
    scribe.reap("zombie", blame=False)
    worker = scribe.worker()
    assert worker.fail(worker.take_one()) == "DEAD"
    scribe.replay(job)
    assert zombie.finish(entry) == [0]
    assert (scribe.ended(job), scribe.where(job)) == (None, ["normal"])


def test_a_purge_does_not_touch_the_arguments_of_a_replayed_job(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker(), args=LARGE)
    scribe.replay(job)
    assert not scribe.purge(job)
    assert scribe.link.execute("EXISTS", scribe.queue.keys.blob(job)) == 1


def test_a_replay_does_not_undo_the_outcome_of_a_later_job_with_the_same_id(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    job = Job("order-1", "work", b"\x90", named=True)
    caller.submit(job)
    worker.fail(worker.take_one())
    scribe.link.execute("DEL", scribe.queue.keys.reply(job.id))
    caller.submit(job)
    worker.finish(worker.take_one())
    assert scribe.replay(job.id).answer is Replay.MISSING
    assert scribe.ended(job.id) == "ok"
    scribe.link.execute("DEL", scribe.queue.keys.reply(job.id))
    assert scribe.replay(job.id).answer is Replay.OK


def test_another_schema_refuses_a_replay(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker())
    scribe.link.execute("HSET", scribe.key("config"), "schema", 99)
    before = scribe.dump()
    assert scribe.replay(job).answer is Replay.SCHEMA
    assert scribe.dump() == before


def test_malformed_arguments_change_nothing(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker())
    before = scribe.dump()
    call = replay(scribe.queue, job)
    call.args[call.script.args.index("backlog")] = "x"  # type: ignore[index]
    with pytest.raises(ServerError, match="PULLET replay"):
        scribe.link.run(call)
    assert scribe.dump() == before
