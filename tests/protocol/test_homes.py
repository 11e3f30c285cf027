"""Where a key lives: whoever takes its first job makes his place its home, and the next ones wait there."""

from __future__ import annotations

import pytest

from pullet_broker.keys import PLACE_LANE
from pullet_broker.link import Link
from pullet_broker.moves.cycle import claim, needs_claim
from pullet_broker.settings import Queue
from tests.support.scribe import Caller, Scribe, Worker, a_job

HOUR_MS = 3_600_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def settled(scribe: Scribe, caller: Caller, worker: Worker, key: str = "k") -> None:
    """A first job makes the worker's place the home of a key."""
    caller.one(key=key)
    worker.finish(worker.take_one())
    assert scribe.home(key) == worker.queue.place


def test_the_first_job_of_a_key_goes_to_anybody_and_its_taker_is_the_home(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    job = caller.one(key="k")
    assert (scribe.where(job), scribe.home("k")) == (["normal"], None)
    assert worker.take_one().key == "k"
    assert scribe.home("k") == "a"


def test_the_next_jobs_of_a_key_wait_at_its_home_and_nobody_else_sees_them(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    settled(scribe, caller, at_a)
    job = caller.one(key="k")
    assert scribe.where(job) == ["at:a"]
    assert (at_b.take(9), at_b.wait()) == ([], [])
    entry = at_a.take_one()
    assert (entry.job, entry.lane, entry.key) == (job, PLACE_LANE, "k")
    assert at_a.finish(entry) == []
    assert (scribe.ended(job), scribe.entries(), scribe.pending()) == ("ok", 0, 0)


def test_any_worker_of_a_place_takes_its_jobs(scribe: Scribe) -> None:
    caller, first, second = scribe.caller(), scribe.worker("w1", "a"), scribe.worker("w2", "a")
    settled(scribe, caller, first)
    job = caller.one(key="k")
    assert second.take_one().job == job


def test_jobs_submitted_before_anybody_took_the_first_follow_it_home(scribe: Scribe) -> None:
    """All of them lie on the common lane when the first one is taken: they are sent home by whoever takes them."""
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    first, second, third, other = (caller.one(key="k"), caller.one(key="k"), caller.one(key="k"), caller.one())
    assert at_a.take_one().job == first
    cycled = at_b.cycle(want=2)
    assert ([entry.job for entry in cycled.entries], cycled.dropped) == ([], 2)
    assert [entry.job for entry in at_b.take(9)] == [other]
    assert [scribe.where(job) for job in (second, third)] == [["at:a"]] * 2
    assert [entry.job for entry in at_a.take(9)] == [second, third]


def test_keys_are_apart(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    settled(scribe, caller, at_a, "k")
    settled(scribe, caller, at_b, "l}:x")
    jobs = [caller.one(key="l}:x"), caller.one(key="k"), caller.one()]
    assert [scribe.where(job) for job in jobs] == [["at:b"], ["at:a"], ["normal"]]


def test_an_idle_worker_claims_what_its_blocking_read_brought(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.one(key="k")
    (entry,) = worker.wait()
    assert needs_claim(entry)
    assert worker.claim(entry) is True
    assert (scribe.home("k"), worker.finish(entry)) == ("a", [])


def test_what_an_idle_worker_claims_in_vain_goes_home_when_it_is_given_back(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    first, second = caller.submit(a_job(key="k"), a_job(key="k"))
    (one,), (two,) = at_a.wait(), at_b.wait()
    assert (at_a.claim(one), at_b.claim(two), at_b.give_back(two)) == (True, False, 1)
    assert (scribe.where(second), scribe.home("k")) == (["at:a"], "a")
    assert at_b.finish(two) == [0], "it is not this worker's any more"
    assert [at_a.take_one().job, one.job] == [second, first]


def test_a_claim_repeated_after_a_lost_answer_changes_nothing(scribe: Scribe) -> None:
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    caller.submit(a_job(key="k"), a_job(key="k"))
    (one,), (two,) = at_a.wait(), at_b.wait()
    assert [at_a.claim(one), at_a.claim(one), at_b.claim(two)] == [True, True, False]
    before = scribe.dump()
    assert at_b.claim(two) is False
    assert at_b.claim(one) is False, "that one is another worker's"
    assert scribe.dump() == before


def test_what_lies_at_the_place_and_what_has_no_key_needs_no_claim(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    settled(scribe, caller, worker)
    caller.submit(a_job(key="k"), a_job())
    assert [(entry.lane, needs_claim(entry)) for entry in worker.wait()] == [(PLACE_LANE, False), (4, False)]


@pytest.mark.parametrize(("name", "value"), [("lane", "7"), ("lane", "x"), ("entry", "x"), ("home_ms", "0")])
def test_a_malformed_claim_changes_nothing(scribe: Scribe, name: str, value: str) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.one(key="k")
    call = claim(worker.queue, "w", worker.wait()[0])
    scribe.check_refusal(scribe.with_argument(call, name, value))


def test_a_home_lasts_as_long_as_jobs_come(scribe: Scribe) -> None:
    caller, worker, key = scribe.caller(), scribe.worker("w", "a"), scribe.queue.keys.home("k")
    settled(scribe, caller, worker)
    scribe.link.execute("PEXPIRE", key, 5000)
    caller.one(key="k")
    assert scribe.link.execute("PTTL", key) > 500_000


def test_a_key_whose_home_was_forgotten_finds_a_new_one(scribe: Scribe) -> None:
    """What still waits at the old one is run there, and does not call the key back."""
    caller, at_a, at_b = scribe.caller(), scribe.worker("wa", "a"), scribe.worker("wb", "b")
    settled(scribe, caller, at_a)
    caller.one(key="k")
    scribe.link.execute("DEL", scribe.queue.keys.home("k"))
    settled(scribe, caller, at_b)
    at_a.finish(at_a.take_one())
    assert scribe.home("k") == "b"


def test_a_worker_without_a_place_runs_keyed_jobs_but_is_nobodys_home(scribe: Scribe) -> None:
    caller, anywhere, at_a = scribe.caller(), scribe.worker("w"), scribe.worker("wa", "a")
    job = caller.one(key="k")
    assert anywhere.take_one().job == job
    assert scribe.home("k") is None
    settled(scribe, caller, at_a)
    assert (caller.one(key="k"), anywhere.take()) == (scribe.on_lane("at:a")[0]["id"], [])


def test_a_key_of_a_strange_type_hurts_nobody(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    scribe.link.execute("HSET", scribe.queue.keys.home("k"), "x", "y")
    settled(scribe, caller, worker)
