"""Suspects that keep killing their workers cost a pool a quarter of its time at most; other jobs go on."""

from __future__ import annotations

import pytest

from pullet_broker.job import Entry
from pullet_broker.keys import LANES, PLACE_LANE
from pullet_broker.link import Link
from pullet_broker.moves.cycle import SUSPECT, cycle, read_waited, wait_for_work
from pullet_broker.settings import Queue
from tests.support.scribe import Scribe

QUIET_MS = 600_000


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def make_suspects(scribe: Scribe, jobs: int) -> list[str]:
    """A worker died with these in hand."""
    caller, doomed = scribe.caller(), scribe.worker("doomed")
    made = [caller.one() for _ in range(jobs)]
    assert len(doomed.take(jobs)) == jobs
    assert scribe.reap("doomed").issued == jobs
    return made


def kill(scribe: Scribe, name: str) -> Entry:
    """A worker takes a suspect, and dies."""
    entry = scribe.worker(name).take_one(alone=True)
    assert entry.lane == SUSPECT
    scribe.reap(name)
    return entry


def brew(scribe: Scribe) -> tuple[int, int]:
    """How many suspects killed, and for how long (ms) none is run. The pause begins at the next take."""
    found = scribe.link.execute("GET", scribe.key("storm"))
    if found is None:
        return 0, 0
    killed, _, at = map(int, found.split())
    return killed, at - scribe.clock_ms()


def lost_ms(scribe: Scribe) -> int:
    """How long ago a suspect killed."""
    return QUIET_MS - int(scribe.link.execute("PTTL", scribe.key("storm")))


def end_pause(scribe: Scribe) -> None:
    killed, _ = brew(scribe)
    scribe.link.execute("SET", scribe.key("storm"), f"{killed} 1 {scribe.clock_ms()}", "PX", 60_000)


def test_a_first_death_slows_nobody(scribe: Scribe) -> None:
    make_suspects(scribe, 3)
    assert brew(scribe) == (0, 0)
    for name in ("a", "b", "c"):
        assert scribe.worker(name).take_one(alone=True).lane == SUSPECT


def test_once_a_suspect_has_killed_one_runs_at_a_time(scribe: Scribe) -> None:
    make_suspects(scribe, 4)
    kill(scribe, "a")
    first, second = scribe.worker("b"), scribe.worker("c")
    entry = first.take_one(alone=True)
    assert second.take(1, alone=True) == []
    assert first.finish(entry) == []
    assert second.take_one(alone=True).lane == SUSPECT, "the next one has not to wait longer"


def test_other_jobs_are_taken_in_a_storm(scribe: Scribe) -> None:
    make_suspects(scribe, 4)
    kill(scribe, "a")
    kill(scribe, "b")
    job, successor = scribe.caller().one(), scribe.worker("c")
    scribe.link.execute("PEXPIRE", scribe.key("storm"), QUIET_MS - 2000)  # one that is there at once need not wait
    assert successor.take_one(alone=True).job == job


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5])
def test_a_small_pool_works_on_other_jobs_for_the_rest_of_the_time(scribe: Scribe, workers: int) -> None:
    """The successor took 2 s: with one worker that is a quarter when 6 s follow, with four it is one already."""
    make_suspects(scribe, 4)
    survivors = [scribe.worker(f"w{n}") for n in range(workers - 1)]
    kill(scribe, "a")
    kill(scribe, "b")
    successor, times = scribe.worker("c"), max(0.0, 4 / workers - 1)
    scribe.link.execute("PEXPIRE", scribe.key("storm"), QUIET_MS - 2000)
    began, least = scribe.clock_ms(), times * lost_ms(scribe)
    taken = successor.take(alone=True)
    most, (_, pause), gone = times * lost_ms(scribe), brew(scribe), scribe.clock_ms() - began
    assert len(taken) == (workers >= 4)
    assert least - gone - 1 <= pause <= most + 1
    assert all(one.take(alone=True) == [] for one in survivors), "or only as many as may be lost at once"


def test_no_pause_is_longer_than_a_minute(scribe: Scribe) -> None:
    make_suspects(scribe, 3)
    kill(scribe, "a")
    kill(scribe, "b")
    scribe.link.execute("PEXPIRE", scribe.key("storm"), QUIET_MS - 50_000)
    assert scribe.worker("c").take(alone=True) == []
    assert 59_000 < brew(scribe)[1] <= 60_000


def test_a_large_pool_need_not_be_at_strength(scribe: Scribe) -> None:
    """Of eight two may be missing, or have a suspect in hand."""
    make_suspects(scribe, 6)
    workers = [scribe.worker(f"w{n}") for n in range(7)]
    kill(scribe, "a")
    kill(scribe, "b")
    taken = [entry for worker in workers for entry in worker.take(1, alone=True)]
    assert len(taken) == 1
    scribe.worker("c")
    taken += [entry for worker in workers for entry in worker.take(1, alone=True)]
    assert len(taken) == 2


def test_deaths_without_a_suspect_and_without_blame_do_not_count(scribe: Scribe) -> None:
    make_suspects(scribe, 2)
    for name in ("a", "b"):
        scribe.worker(name).take_one(alone=True)
        scribe.reap(name, blame=False)
    scribe.caller().one()
    scribe.worker("c").take_one()
    scribe.reap("c", blame=True)
    assert brew(scribe) == (0, 0)


def test_a_repeated_reap_counts_once(scribe: Scribe) -> None:
    make_suspects(scribe, 1)
    kill(scribe, "a")
    scribe.reap("a")
    assert brew(scribe)[0] == 1


def test_a_storm_passes_ten_minutes_after_its_last_death(scribe: Scribe) -> None:
    make_suspects(scribe, 3)
    kill(scribe, "a")
    kill(scribe, "b")
    storm = scribe.key("storm")
    assert 590_000 < scribe.link.execute("PTTL", storm) <= 600_000
    scribe.link.execute("PEXPIRE", storm, 300_000)
    scribe.worker().take(alone=True)
    assert brew(scribe)[1] > 0
    assert 290_000 < scribe.link.execute("PTTL", storm) <= 300_000, "a pause that begins does not prolong it"


def test_a_pause_begins_when_the_pool_is_at_strength_again(scribe: Scribe) -> None:
    """However long workers take to start: nobody takes a suspect while one is missing, and then all take other jobs."""
    make_suspects(scribe, 4)
    survivor = scribe.worker("survivor")
    kill(scribe, "a")
    kill(scribe, "b")
    scribe.link.execute("PEXPIRE", scribe.key("storm"), QUIET_MS - 1000)
    assert survivor.take(alone=True) == []
    assert brew(scribe)[1] < 0, "the pause has not begun"
    scribe.worker("c")
    assert survivor.take(alone=True) == []
    assert 100 < brew(scribe)[1] <= 1300
    end_pause(scribe)
    assert survivor.take_one(alone=True).lane == SUSPECT


def test_a_pool_that_was_made_smaller_waits_a_minute(scribe: Scribe) -> None:
    make_suspects(scribe, 4)
    survivor = scribe.worker("survivor")
    kill(scribe, "a")
    kill(scribe, "b")
    assert survivor.take(alone=True) == []
    scribe.link.execute("PEXPIRE", scribe.key("storm"), 541_000)
    assert survivor.take(alone=True) == []
    assert brew(scribe)[1] < 0
    scribe.link.execute("PEXPIRE", scribe.key("storm"), 539_000)
    assert survivor.take(alone=True) == []
    assert 0 < brew(scribe)[1] <= 60_000
    end_pause(scribe)
    entry = survivor.take_one(alone=True)
    assert survivor.finish(entry) == []
    assert survivor.take_one(alone=True).lane == SUSPECT


@pytest.mark.parametrize("storm", ["", "x", "3", "3 1", "3 1 x", "-1 -1 -1", "3 1 99999999999999"])
def test_a_clock_that_was_set_back_or_garbage_keeps_nobody_waiting(scribe: Scribe, storm: str) -> None:
    make_suspects(scribe, 1)
    scribe.link.execute("SET", scribe.key("storm"), storm)
    assert scribe.worker("a").take_one(alone=True).lane == SUSPECT
    scribe.calm()


def test_a_large_pool_runs_more_of_them_at_once(scribe: Scribe) -> None:
    make_suspects(scribe, 5)
    kill(scribe, "a")
    workers = [scribe.worker(f"w{n}") for n in range(16)]
    taken = [entry for worker in workers for entry in worker.take(1, alone=True)]
    assert len(taken) == 4


def test_a_busy_worker_does_not_make_room_for_a_suspect_that_may_not_run(scribe: Scribe) -> None:
    make_suspects(scribe, 2)
    jobs = [scribe.caller().one() for _ in range(2)]
    worker = scribe.worker("busy")

    def fetch() -> list[str]:
        call = cycle(scribe.queue, worker.name, [], 1, alone=False, high_first=False, yields=True)
        return [entry.job for entry in scribe.link.run(call).entries]

    assert fetch() == [], "so that it is soon alone"
    kill(scribe, "a")
    kill(scribe, "b")
    assert fetch() == jobs[:1]
    end_pause(scribe)
    assert fetch() == []


def test_an_idle_worker_hears_whether_it_may_wait_for_suspects(scribe: Scribe) -> None:
    worker = scribe.worker()
    assert worker.cycle(want=1, alone=True).calm
    make_suspects(scribe, 1)
    kill(scribe, "a")
    kill(scribe, "b")
    assert not worker.cycle(want=1, alone=True).calm
    lanes = {
        lane for lane in LANES if scribe.queue.keys.lane(lane) in wait_for_work(scribe.queue, "w", 1, suspects=False)
    }
    assert lanes == {"again", "high", "normal", "low"}


def test_jobs_of_a_place_go_on_in_a_storm(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.one(key="k")
    worker.finish(worker.take_one())
    make_suspects(scribe, 2)
    kill(scribe, "x")
    kill(scribe, "y")
    first, second = caller.one(key="k"), caller.one(key="k")
    assert scribe.where(second) == ["at:a"]
    assert worker.finish(*worker.take(1, alone=True)) == []
    assert scribe.ended(first) == "ok"
    (entry,) = read_waited(worker.queue, scribe.link.execute(*wait_for_work(worker.queue, "w", 1, suspects=False)))
    assert (entry.job, entry.lane) == (second, PLACE_LANE)


def test_a_death_with_a_job_of_a_place_in_hand_begins_no_storm_and_with_it_as_a_suspect_does(scribe: Scribe) -> None:
    caller, worker = scribe.caller(), scribe.worker("w", "a")
    caller.one(key="k")
    worker.finish(worker.take_one())
    caller.one(key="k")
    worker.take_one()
    scribe.reap("w")
    assert brew(scribe) == (0, 0)
    scribe.worker("x", "a").take_one(alone=True)
    scribe.reap("x")
    assert brew(scribe)[0] == 1
    assert scribe.forget("w")
    assert scribe.forget("x")
