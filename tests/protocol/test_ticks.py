"""Ticks and leases: a worker is dead after so many looks that saw no new beat, and no clock of anybody counts."""

from __future__ import annotations

import pytest

from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing
from pullet_broker.moves.life import beat
from pullet_broker.settings import SCHEMA, Lease, Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, Worker

LEASE = 3
DAY_MS = 86_400_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    """Ticks are made by `scribe.tick()` alone: all other beats come within the tick time of the first one here."""
    story = Scribe(link, Queue(name=queue.name, lease=Lease(tick_ms=DAY_MS, ticks=LEASE)))
    story.tick()
    return story


def missed(scribe: Scribe, consumer: str) -> int | None:
    seen = scribe.link.execute("HGET", scribe.key("missed"), consumer)
    return None if seen is None else int(seen.split()[0])


def test_every_look_that_sees_the_same_beat_counts(scribe: Scribe) -> None:
    scribe.worker()
    counts = []
    for _ in range(LEASE):
        scribe.tick()
        counts.append(missed(scribe, "w"))
    assert counts == [0, 1, 2]


def test_a_new_beat_clears_the_count(scribe: Scribe) -> None:
    worker = scribe.worker()
    for _ in range(LEASE):
        scribe.tick()
    worker.beat()
    assert (scribe.tick().dead, missed(scribe, "w")) == ([], 0)


def test_a_worker_is_dead_after_its_lease_of_looks(scribe: Scribe) -> None:
    silent, alive = scribe.worker("silent"), scribe.worker("alive")
    looks = []
    for _ in range(LEASE + 2):
        alive.beat()
        looks.append(scribe.tick().dead)
    assert looks == [[]] * LEASE + [["silent"]] * 2
    assert silent.beats == 0


def test_the_dead_are_named_until_somebody_recovers_what_they_held(scribe: Scribe) -> None:
    scribe.worker()
    assert [scribe.tick().dead for _ in range(LEASE + 1)][-1] == ["w"]
    assert scribe.tick().dead == ["w"]
    scribe.reap("w")
    assert scribe.forget("w")
    assert scribe.tick().dead == []


def test_a_worker_that_is_vouched_for_is_not_dead(scribe: Scribe) -> None:
    for name in ("stalled", "silent"):
        scribe.worker(name)
    looks = [scribe.tick("stalled").dead for _ in range(LEASE + 2)]
    assert looks[-1] == ["silent"]
    assert missed(scribe, "stalled") == 0


def test_any_other_number_is_a_new_beat(scribe: Scribe) -> None:
    """A beat is the worker's own counter and is only compared: it may start anew."""
    worker = scribe.worker()
    worker.beats = 100
    worker.beat()
    scribe.tick(), scribe.tick()
    worker.beats = 0
    worker.beat()
    scribe.tick()
    assert missed(scribe, "w") == 0


def test_within_a_tick_time_no_time_passes_for_anybody(scribe: Scribe) -> None:
    """A stopped server or a sleeping machine makes no ticks, whatever the clocks say."""
    scribe.worker("silent")
    scribe.tick(), scribe.tick()
    other = scribe.worker("other")
    assert all(other.beat().dead == [] for _ in range(LEASE + 2))
    assert missed(scribe, "silent") == 1


def test_a_clock_that_is_set_back_does_not_end_the_ticks(scribe: Scribe) -> None:
    scribe.worker("silent")
    scribe.tick()
    scribe.link.execute("PEXPIRE", scribe.key("tick"), DAY_MS + 3_600_000)  # so it is when the clock goes back an hour
    scribe.worker("other").beat()
    assert missed(scribe, "silent") == 1


def test_the_next_tick_comes_by_itself(scribe: Scribe) -> None:
    """Here beats make the ticks, as they do in life; whoever beats first after the tick time makes one."""
    brisk = Queue(name=scribe.queue.name, lease=Lease(tick_ms=2, ticks=LEASE))
    scribe.worker("silent")
    scribe.link.execute("DEL", scribe.key("tick"))
    workers = [Worker(scribe.link, brisk, name).register() for name in ("a", "b")]
    assert wait_until(lambda: any(worker.beat().dead == ["silent"] for worker in workers))
    scribe.tick()


def test_a_watcher_ticks_and_leaves_no_trace(scribe: Scribe) -> None:
    assert scribe.tick() == scribe.tick()
    assert scribe.names() == {"config", "tick"}


def test_a_worker_must_say_who_it_is_before_it_beats(scribe: Scribe) -> None:
    worker = Worker(scribe.link, scribe.queue, "w")
    assert worker.beat().standing is Standing.STRANGER
    assert scribe.names().isdisjoint({"workers", "beats", "missed"})
    worker.register()
    assert worker.beat().standing is Standing.OK
    assert scribe.link.execute("HGET", scribe.key("workers"), "w") == b'{"node":"here"}'


def test_the_reaped_do_not_come_back_however_late_they_beat(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.reap("w")
    assert worker.beat().standing is Standing.STRANGER
    late = beat(scribe.queue, "w", 7, '{"state":"busy"}')
    assert scribe.link.run(late).standing is Standing.STRANGER
    assert scribe.link.execute("HEXISTS", scribe.key("workers"), "w") == 0


def test_a_changed_record_replaces_the_old_one(scribe: Scribe) -> None:
    worker = scribe.worker()
    scribe.link.run(beat(scribe.queue, worker.name, 7, '{"state":"draining"}'))
    worker.beat()
    assert scribe.link.execute("HGET", scribe.key("workers"), "w") == b'{"state":"draining"}'


def test_an_unknown_consumer_that_holds_something_is_dead_after_two_looks(scribe: Scribe) -> None:
    scribe.caller().one()
    Worker(scribe.link, scribe.queue, "ghost").read_blindly()
    patient = Queue(name=scribe.queue.name, lease=Lease(tick_ms=DAY_MS, ticks=50))
    looks = [Scribe(scribe.link, patient).tick().dead for _ in range(4)]
    assert looks == [[], [], ["ghost"], ["ghost"]]


def test_a_consumer_that_a_late_read_made_anew_is_forgotten_also_when_it_holds_nothing(scribe: Scribe) -> None:
    """The server makes a consumer of whoever it gives something, also of one that was forgotten while it waited."""
    caller, ghost = scribe.caller(), Worker(scribe.link, scribe.queue, "ghost")
    caller.one()
    assert ghost.give_back(*ghost.wait()) == 1
    worker = scribe.worker("living")
    worker.finish(worker.take_one())
    caller.one()
    worker.finish(worker.take_one())
    assert scribe.tick().dead == ["ghost"]
    assert scribe.forget("ghost")
    assert (scribe.tick().dead, missed(scribe, "ghost")) == ([], None)


def test_a_dead_consumer_whose_last_outcome_came_first_is_forgotten(scribe: Scribe) -> None:
    caller, ghost = scribe.caller(), Worker(scribe.link, scribe.queue, "ghost")
    caller.one()
    ghost.read_blindly()
    scribe.tick()
    assert missed(scribe, "ghost") == 0
    ghost.finish(*ghost.reconcile().adopted)
    assert scribe.tick().dead == ["ghost"]


def test_the_dead_on_every_lane_are_found(scribe: Scribe) -> None:
    caller = scribe.caller()
    for lane in ("high", "normal", "low"):
        caller.one(lane=lane)
        Worker(scribe.link, scribe.queue, f"ghost-{lane}").read_blindly()
    looks = [scribe.tick().dead for _ in range(3)]
    assert sorted(looks[-1]) == ["ghost-high", "ghost-low", "ghost-normal"]


def test_tombstones_are_dropped_after_a_day(scribe: Scribe) -> None:
    now, key = scribe.clock_ms(), scribe.key("cancelled")
    scribe.link.execute("ZADD", key, now - DAY_MS - 1000, "old", now - DAY_MS + 60_000, "young")
    scribe.tick()
    assert scribe.tombstones() == ["young"]


def test_another_schema_stops_beats_and_ticks(scribe: Scribe) -> None:
    scribe.link.execute("HSET", scribe.key("config"), "schema", SCHEMA + 1)
    assert scribe.tick().standing is Standing.SCHEMA
    assert Worker(scribe.link, scribe.queue, "w").beat().standing is Standing.SCHEMA
    assert scribe.names() == {"config"}


def test_a_beat_tells_how_many_workers_there_are_and_whether_it_made_the_tick(scribe: Scribe) -> None:
    worker, _ = scribe.worker("one"), scribe.worker("other")
    first, ticked = worker.beat(), scribe.tick()
    assert (first.workers, first.ticked) == (2, False)
    assert (ticked.workers, ticked.ticked) == (2, True)
    scribe.reap("other")
    assert worker.beat().workers == 1


def test_a_beat_tells_whether_suspects_kill_worker_after_worker(scribe: Scribe) -> None:
    worker = scribe.worker()
    assert worker.beat().calm
    scribe.link.execute("SET", scribe.key("storm"), "1 1 0", "PX", 60_000)
    assert not worker.beat().calm
    scribe.calm()
    assert worker.beat().calm
