"""One look at a queue tells the truth about it, whatever happened to it, and costs the same however much waits."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullet_broker.keys import GROUP, LANES
from pullet_broker.link import Link
from pullet_broker.moves.life import beat
from pullet_broker.moves.survey import Survey, survey, wait_for_entries
from pullet_broker.settings import Queue
from tests.support.scribe import Scribe, a_job

HOUR_MS = 3_600_000

_numbers = itertools.count(1)


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def look(scribe: Scribe) -> Survey:
    return scribe.link.run(survey(scribe.queue))


def counts(scribe: Scribe) -> tuple[int, int]:
    found = look(scribe)
    return found.waiting, found.running


def check(scribe: Scribe) -> None:
    """What the survey says is what there is, counted entry by entry."""
    before = scribe.clock_ms()
    found = look(scribe)
    after = scribe.clock_ms()

    since, hands, tops = [], Counter[str](), []
    for lane in scribe.queue.keys.lanes:
        if not scribe.link.execute("EXISTS", lane):
            tops.append("0-0")
            continue
        pending = scribe.link.execute("XPENDING", lane, GROUP, "-", "+", 1000)
        hands.update(row[1].decode() for row in pending)
        taken = {row[0] for row in pending}
        entries = [row[0] for row in scribe.link.execute("XRANGE", lane, "-", "+")]
        since += [int(entry.split(b"-")[0]) for entry in entries if entry not in taken]
        tops.append(scribe.link.execute("XINFO", "STREAM", lane)[7].decode())
    due = scribe.link.execute("ZRANGEBYSCORE", scribe.key("delayed"), "-inf", after, "WITHSCORES")[1::2]
    since += [int(score) for score in due]

    assert (found.waiting, found.running) == (
        len(since),
        sum(hands.values()),
    )
    assert found.jobs == hands
    assert found.tops == tops
    oldest = min(since, default=None)
    assert found.oldest_s == 0 if oldest is None else before - oldest <= found.oldest_s * 1000 <= after - oldest


# -- the truth through the life of jobs

OPERATIONS: dict[str, Callable[[Scribe], object]] = {
    "submit": lambda scribe: scribe.caller().submit(a_job(), a_job(lane="high"), a_job(lane="low")),
    "delay": lambda scribe: scribe.caller().one(delay_ms=HOUR_MS),
    "come due": lambda scribe: scribe.make_due(),
    "promote": lambda scribe: scribe.promote(),
    "take": lambda scribe: scribe.worker("a").take(2),
    "take a suspect": lambda scribe: scribe.worker("b").take(alone=True),
    "finish": lambda scribe: scribe.worker("a").finish(*scribe.worker("a").take()),
    "fail for good": lambda scribe: [scribe.worker("c").fail(entry) for entry in scribe.worker("c").take()],
    "retry": lambda scribe: [scribe.worker("c").fail(entry, HOUR_MS) for entry in scribe.worker("c").take()],
    "give back": lambda scribe: scribe.worker("b").give_back(*scribe.worker("b").take(2)),
    "read blindly": lambda scribe: scribe.worker("d").read_blindly(),
    "die": lambda scribe: (scribe.reap("a"), scribe.forget("a")),
    "be stopped": lambda scribe: scribe.reap("b", blame=False),
    "cancel": lambda scribe: [scribe.cancel(job["id"]) for job in scribe.on_lane("normal")[-1:]],
    "cancel delayed": lambda scribe: [scribe.cancel(job) for job in scribe.delayed()[:1]],
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=25))
def test_it_is_the_truth_through_any_story(link: Link, story: list[str]) -> None:
    scribe = Scribe(link, Queue(name=f"survey-{next(_numbers)}"))
    check(scribe)
    for name in story:
        OPERATIONS[name](scribe)
        check(scribe)
    link.execute("UNLINK", *(scribe.key(name) for name in scribe.names()), "none")


def test_each_operation_of_these_stories_does_something(scribe: Scribe) -> None:
    """A story in which nothing happens would prove nothing."""
    for _ in range(3):
        for name, operation in OPERATIONS.items():
            if name != "submit":
                OPERATIONS["submit"](scribe)
            operation(scribe)
            check(scribe)
    assert len(scribe.letters()) >= 3
    assert scribe.on_lane("suspect")
    assert scribe.on_lane("again")
    assert scribe.tombstones()
    assert look(scribe).running
    assert look(scribe).oldest_s


def test_the_steps_of_one_job(scribe: Scribe) -> None:
    assert counts(scribe) == (0, 0)
    scribe.caller().one()
    assert counts(scribe) == (1, 0)
    worker = scribe.worker()
    entry = worker.take_one()
    assert counts(scribe) == (0, 1)
    assert look(scribe).jobs == {"w": 1}
    worker.finish(entry)
    assert counts(scribe) == (0, 0)
    assert look(scribe).jobs == {}


def test_a_delayed_job_waits_when_its_time_has_come(scribe: Scribe) -> None:
    scribe.caller().one(delay_ms=HOUR_MS)
    assert counts(scribe) == (0, 0)
    scribe.make_due()
    found = look(scribe)
    assert (found.waiting, found.running) == (1, 0)
    assert found.oldest_s > 0


def test_the_oldest_is_the_one_that_waits_longest_not_one_that_runs(scribe: Scribe) -> None:
    scribe.worker().register()
    now = scribe.clock_ms()
    for lane, ages in {"low": (50_000, 20_000), "high": (10_000,)}.items():
        for age in ages:
            fields = ("id", str(age), "method", "work", "args", "", "client", "", "opts", "")
            scribe.link.execute("XADD", scribe.queue.keys.lane(lane), f"{now - age}-0", *fields)
    assert look(scribe).oldest_s == pytest.approx(50, abs=1)
    for age in (10, 50, 20):  # high before low
        (entry,) = scribe.worker().take()
        assert entry.job == f"{age}000"
        assert look(scribe).oldest_s == pytest.approx({10: 50, 50: 20, 20: 0}[age], abs=1)


def test_a_clock_that_went_back_makes_nobody_younger_than_new(scribe: Scribe) -> None:
    scribe.worker()
    scribe.link.execute("XADD", scribe.queue.keys.lane("normal"), f"{scribe.clock_ms() + HOUR_MS}-0", "id", "x")
    assert look(scribe).oldest_s == 0


def test_pause(scribe: Scribe) -> None:
    assert not look(scribe).paused
    scribe.link.execute("HSET", scribe.key("config"), "paused", "1")
    assert look(scribe).paused


def test_who_is_there_and_what_nobody_can_read(scribe: Scribe) -> None:
    records = {
        "a": '{"name":"a"}',
        "b": "[]",
        "c": "{",
        "d": "\xff",
        "e": "[" * 5000,
        "f": '{"done":' + "9" * 5000 + "}",
    }
    for consumer, record in records.items():
        scribe.link.run(beat(scribe.queue, consumer, 0, record))
    scribe.link.execute("HSET", scribe.key("workers"), b"\xff\xfe", b"\xff")
    found = look(scribe)
    assert found.records["a"] == {"name": "a"}
    assert [found.records[name] for name in "bcde"] == [{}] * 4
    assert found.records["\ufffd\ufffd"] == {}
    assert found.beats == dict.fromkeys(records, "0")


def test_it_changes_nothing(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job())
    scribe.worker().take()
    before = scribe.dump()
    look(scribe)
    assert scribe.dump() == before


# -- lanes that are not as they should be


def test_a_queue_that_is_not_there(scribe: Scribe) -> None:
    assert look(scribe) == Survey(0, 0, 0.0, False, {}, {}, {}, ["0-0"] * 5)


def test_after_a_flush_it_begins_anew(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job())
    scribe.worker().take()
    scribe.link.execute("UNLINK", *(scribe.key(name) for name in scribe.names()))
    assert look(scribe) == Survey(0, 0, 0.0, False, {}, {}, {}, ["0-0"] * 5)
    scribe.caller().one()
    check(scribe)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", ["missing", "another type", "no group", "another group", "another group too"])
def test_an_odd_lane_hides_nothing_of_the_others(scribe: Scribe, lane: str, how: str) -> None:
    scribe.worker()
    old = f"{scribe.clock_ms() - 10_000}-0"
    for name in LANES:
        scribe.link.execute("XADD", scribe.queue.keys.lane(name), old if name == lane else "*", "id", "x")
    key = scribe.queue.keys.lane(lane)
    if how in ("missing", "another type"):
        scribe.link.execute("UNLINK", key)
    if how == "another type":
        scribe.link.execute("SET", key, "odd")
    if how in ("no group", "another group"):
        scribe.link.execute("XGROUP", "DESTROY", key, GROUP)
    if how.startswith("another group"):
        scribe.link.execute("XGROUP", "CREATE", key, "audit", "$")

    found = look(scribe)

    counts_too = how not in ("missing", "another type")
    assert (found.waiting, found.running) == (4 + counts_too, 0)
    assert found.oldest_s == pytest.approx(10.0 if counts_too else 0.0, abs=1)
    scribe.link.execute("UNLINK", key)


def test_entries_deleted_by_hand_are_not_fewer_than_none(scribe: Scribe) -> None:
    scribe.caller().submit(a_job(), a_job(), a_job(lane="low"))
    entries = scribe.worker().take(2)
    for entry in entries:
        scribe.link.execute("XDEL", scribe.queue.keys.lane("normal"), entry.id)
    assert counts(scribe) == (1, 2)


def test_an_entry_id_of_any_length_is_no_error(scribe: Scribe) -> None:
    scribe.worker()
    scribe.link.execute("XADD", scribe.queue.keys.lane("low"), "18446744073709551614-7", "id", "x")
    found = look(scribe)
    assert (found.waiting, found.oldest_s, found.tops[-1]) == (1, 0, "18446744073709551614-7")


# -- waiting for the next job


@pytest.mark.parametrize("lane", LANES)
def test_whoever_waits_from_a_survey_on_misses_nothing(scribe: Scribe, lane: str) -> None:
    scribe.caller().submit(a_job(), a_job(lane="low"))
    tops = look(scribe).tops
    assert scribe.link.execute(*wait_for_entries(scribe.queue, tops, 1)) is None
    scribe.link.execute("XADD", scribe.queue.keys.lane(lane), "*", "id", "x")
    assert scribe.link.execute(*wait_for_entries(scribe.queue, tops, 5000))
    assert counts(scribe) == (3, 0), "it takes nothing"


# -- cost


def test_it_costs_the_same_however_much_waits(scribe: Scribe) -> None:
    def best_s() -> float:
        def once() -> float:
            start = time.perf_counter()
            look(scribe)
            return time.perf_counter() - start

        return min(once() for _ in range(50))

    caller, fields = scribe.caller(), json.dumps(["id", "x", "method", "work", "args", "", "client", "", "opts", ""])
    caller.submit(a_job(), a_job(lane="low"))
    few = best_s()
    fill = "for i = 1, ARGV[2] do redis.call('XADD', KEYS[1], '*', unpack(cjson.decode(ARGV[1]))) end"
    for lane in ("normal", "low"):
        scribe.link.execute("EVAL", fill, 1, scribe.queue.keys.lane(lane), fields, 50_000)
    assert look(scribe).waiting == 100_002
    assert best_s() < 3 * few + 0.001
    scribe.link.execute("UNLINK", *scribe.queue.keys.lanes)


def test_jobs_at_a_place_are_counted(scribe: Scribe) -> None:
    worker = scribe.worker("w", place="here")
    scribe.caller().one(key="game")
    worker.finish(worker.take_one())
    scribe.caller().submit(*(a_job(key="game") for _ in range(3)))
    assert scribe.link.execute("XLEN", scribe.queue.keys.at("here")) == 3, "else this shows nothing"
    assert counts(scribe) == (3, 0)
    worker.take_one()
    assert counts(scribe) == (2, 1)
    assert look(scribe).jobs == {worker.name: 1}
    assert look(scribe).oldest_s < 60
