"""Dead letters: what they keep, how they make room, and how they are thrown away."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_broker.job import Job
from pullet_broker.link import Link
from pullet_broker.moves.dead import Replay
from pullet_broker.settings import Lifetimes, Limits, Queue
from tests.support.scribe import Caller, Scribe, Worker

HOUR = 3_600_000
LARGE = b"x" * 20_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def small(scribe: Scribe, **limits: int) -> Scribe:
    """The same queue with other limits."""
    return Scribe(scribe.link, dataclasses.replace(scribe.queue, limits=Limits(**limits)))


def bury(caller: Caller, worker: Worker, note: str = "builtins.ValueError no", **options: object) -> str:
    """A job that failed for good."""
    job = caller.one(**options)
    assert worker.fail(worker.take_one(), note=note) == "DEAD"
    return job


def errors(scribe: Scribe) -> list[list[str]]:
    """Attempt, worker and the rest of each line in the only letter."""
    (letter,) = scribe.letters()
    lines = [line.split(" ", 3) for line in letter["errors"].split("\n")]
    now = scribe.clock_ms()
    assert all(now - 60_000 < int(line[2]) <= now for line in lines)
    return [[attempt, worker, what] for attempt, worker, _, what in lines]


def test_a_letter_tells_of_every_attempt(scribe: Scribe) -> None:
    caller = scribe.caller()
    caller.one()
    first = scribe.worker("one")
    assert first.fail(first.take_one(), retry_after_ms=0, note="a.B went\nwrong\0") == "PARKED"
    scribe.worker("two").take_one()
    scribe.reap("two", blame=True)
    scribe.worker("three").take_one(alone=True)
    scribe.reap("three", blame=False)
    last = scribe.worker("four")
    assert last.fail(last.take_one(alone=True), note="c.D at last") == "DEAD"

    assert errors(scribe) == [
        ["1", "one", "raised a.B went wrong "],
        ["2", "two", "crashed"],
        ["3", "three", "lost"],
        ["4", "four", "raised c.D at last"],
    ]


def test_only_the_last_ten_attempts_are_kept(scribe: Scribe) -> None:
    scribe.caller().one()
    worker = scribe.worker()
    for n in range(1, 25):
        assert worker.fail(worker.take_one(), retry_after_ms=0, note=f"n{n}") == "PARKED"
    worker.fail(worker.take_one(), note="last")
    assert [what for _, _, what in errors(scribe)] == [*(f"raised n{n}" for n in range(16, 25)), "raised last"]


def test_a_parked_retry_remembers_too(scribe: Scribe) -> None:
    scribe.caller().one()
    worker = scribe.worker()
    worker.fail(worker.take_one(), retry_after_ms=HOUR, note="early")
    scribe.make_due()
    scribe.promote()
    worker.fail(worker.take_one(), note="late")
    assert [what for _, _, what in errors(scribe)] == ["raised early", "raised late"]


def test_a_job_that_kills_its_workers_has_a_letter_too(scribe: Scribe) -> None:
    job = scribe.caller().one()
    for name in ("a", "b", "c"):
        scribe.calm()
        scribe.worker(name).take_one(alone=True)
        scribe.reap(name)
    assert scribe.ended(job) == "crashed"
    assert [what for _, _, what in errors(scribe)] == ["crashed"] * 3


def test_beyond_the_cap_the_oldest_go_with_their_large_arguments(scribe: Scribe) -> None:
    scribe = small(scribe, dead_letters=3)
    caller, worker = scribe.caller(), scribe.worker()
    jobs = [bury(caller, worker, args=LARGE) for _ in range(5)]
    assert [letter["id"] for letter in scribe.letters()] == jobs[2:]
    assert {name for name in scribe.names() if name.startswith("blob:")} == {f"blob:{job}" for job in jobs[2:]}
    assert scribe.link.execute("HLEN", scribe.key("buried")) == 3


def test_a_cap_that_was_lowered_is_reached_step_by_step(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    for _ in range(9):
        bury(caller, worker)
    tight = small(scribe, dead_letters=2)
    sizes = []
    for _ in range(5):
        bury(caller, Worker(tight.link, tight.queue, "w"))
        sizes.append(len(scribe.letters()))
    assert sizes == [7, 5, 3, 2, 2]


def test_large_arguments_of_the_dead_have_a_lifetime(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker(), args=LARGE)
    ttl = scribe.link.execute("PTTL", scribe.queue.keys.blob(job))
    assert 0 < ttl <= Lifetimes().dead_ms


def test_a_job_that_dies_at_a_place_is_remembered_as_elsewhere(scribe: Scribe) -> None:
    caller = scribe.caller()
    settler = scribe.worker("settler", "a")
    caller.one(key="k")
    settler.finish(settler.take_one())
    caller.one(key="k")
    scribe.worker("one", "a").take_one()
    scribe.reap("one", blame=False)
    scribe.worker("two", "a").take_one()
    scribe.reap("two", blame=True)
    for name in ("three", "four"):
        scribe.calm()
        scribe.worker(name, "a").take_one(alone=True)
        scribe.reap(name, blame=True)
    assert errors(scribe) == [
        ["1", "one", "lost"],
        ["2", "two", "crashed"],
        ["3", "three", "crashed"],
        ["4", "four", "crashed"],
    ]


def test_a_purged_letter_leaves_nothing(scribe: Scribe) -> None:
    job = bury(scribe.caller(), scribe.worker(), args=LARGE)
    assert scribe.purge(job)
    assert not scribe.purge(job)
    assert not {"dead", "buried", f"blob:{job}"} & scribe.names() - {"dead"}
    assert scribe.letters() == []
    assert scribe.replay(job).answer is Replay.MISSING


@pytest.mark.parametrize("how", ["purge", "cap"])
def test_arguments_of_a_new_job_with_the_same_id_outlive_the_letter_of_the_old_one(scribe: Scribe, how: str) -> None:
    scribe = small(scribe, dead_letters=1)
    caller, worker = scribe.caller(), scribe.worker()
    old = Job("order-1", "work", LARGE, named=True)
    caller.submit(old)
    worker.fail(worker.take_one())
    scribe.link.execute("DEL", scribe.queue.keys.reply(old.id))
    caller.submit(dataclasses.replace(old, args=LARGE + b"new"))
    entry = worker.take_one()
    if how == "purge":
        assert scribe.purge(old.id)
    else:
        bury(caller, worker)
    assert scribe.letters() == [] or scribe.letters()[0]["id"] != old.id
    assert scribe.link.execute("GET", scribe.queue.keys.blob(old.id)) == LARGE + b"new"
    assert worker.fail(entry) == "DEAD"
    assert scribe.link.execute("PTTL", scribe.queue.keys.blob(old.id)) > 0


def test_the_letter_of_a_new_job_with_the_same_id_takes_the_large_arguments_of_the_old_one_away(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    old = Job("order-1", "work", LARGE, named=True)
    caller.submit(old)
    worker.fail(worker.take_one())
    scribe.link.execute("DEL", scribe.queue.keys.reply(old.id))
    caller.submit(dataclasses.replace(old, args=b"\x90"))
    worker.fail(worker.take_one())
    assert len(scribe.letters()) == 1
    assert scribe.link.execute("EXISTS", scribe.queue.keys.blob(old.id)) == 0


def test_a_letter_deleted_by_hand_is_missing_and_its_place_is_given_up(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    jobs = [bury(caller, worker) for _ in range(2)]
    scribe.link.execute("DEL", scribe.key("dead"))
    assert scribe.replay(jobs[0]).answer is Replay.MISSING
    assert scribe.purge(jobs[1])
    assert scribe.link.execute("EXISTS", scribe.key("buried")) == 0


@pytest.mark.parametrize("place", ["", "x", "1-", "-", "9" * 30 + "-1"])
def test_a_place_that_is_none_harms_nobody(scribe: Scribe, place: str) -> None:
    caller, worker = scribe.caller(), scribe.worker()
    scribe.link.execute("HSET", scribe.key("buried"), "job", place)
    assert scribe.replay("job").answer is Replay.MISSING
    assert not scribe.purge("job")
    bury(caller, worker)


def test_a_job_that_is_buried_twice_has_one_letter(scribe: Scribe) -> None:
    """A server that lost its last second may run a job again that is dead already."""
    caller, worker = scribe.caller(), scribe.worker()
    job = bury(caller, worker)
    scribe.link.execute(
        *("XADD", scribe.queue.keys.lane("normal"), "*", "id", job, "method", "m", "args", "", "client", caller.id),
        *("opts", ""),
    )
    assert worker.fail(worker.take_one(), note="twice") == "DEAD"
    assert errors(scribe) == [["1", "w", "raised twice"]]
    assert scribe.link.execute("HLEN", scribe.key("buried")) == 1


def test_hostile_histories_do_no_harm(scribe: Scribe) -> None:
    lane, client = scribe.queue.keys.lane("normal"), scribe.caller().id
    worker = scribe.worker()
    fields = ("id", "j", "method", "m", "args", "", "client", client, "opts", "", "errors", "\n\nx\n" * 50)
    scribe.link.execute("XADD", lane, "*", *fields)
    assert worker.fail(worker.take_one(), note="n") == "DEAD"
    (letter,) = scribe.letters()
    assert len(letter["errors"].split("\n")) == 10
