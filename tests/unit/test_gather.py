"""Which entries start, and which together: a table of cases without threads or a clock."""

from __future__ import annotations

import itertools

from pullet.batching import Batch
from pullet_broker.job import Entry
from pullet_broker.moves.cycle import SUSPECT
from pullet_workers.gather import Gather, Room

_ids = itertools.count(1)


def entry(method: str, lane: int = 4) -> Entry:
    return Entry(lane, f"{next(_ids)}-0", "job", method, b"", "", "")


def gather(**batches: Batch) -> Gather:
    """Methods whose names begin with "a" run on the loop."""
    return Gather(lambda entry: entry.method.startswith("a"), batches)


def methods(calls: list[list[Entry]]) -> list[str]:
    return ["".join(one.method for one in call) for call in calls]


def test_what_finds_no_room_is_overtaken() -> None:
    machine, room = gather(), Room(places=1, tasks=2)
    calls = machine.calls([entry(name) for name in "ppaapa"], room, 0.0)
    assert methods(calls) == ["p", "a", "a"]
    assert machine.stuck
    assert (room.places, room.tasks) == (0, 0)


def test_with_room_for_all_nothing_is_stuck() -> None:
    machine = gather()
    assert methods(machine.calls([entry("p"), entry("a")], Room(5, 5), 0.0)) == ["p", "a"]
    assert not machine.stuck
    assert machine.calls([], Room(0, 0), 0.0) == []
    assert not machine.stuck


def test_a_batch_takes_what_is_there_up_to_its_size() -> None:
    machine = gather(b=Batch(3, 0.0))
    calls = machine.calls([entry("b") for _ in range(7)] + [entry("p")], Room(9, 0), 0.0)
    assert methods(calls) == ["p", "bbb", "bbb", "b"]
    assert machine.deadline is None


def test_a_batch_that_is_not_full_waits_from_its_first_item_on() -> None:
    machine, held = gather(b=Batch(3, 0.5)), [entry("b")]
    assert machine.calls(held, Room(1, 0), 10.0) == []
    assert (machine.deadline, machine.stuck) == (10.5, False)
    held.append(entry("b"))
    assert machine.calls(held, Room(1, 0), 10.4) == []
    assert machine.deadline == 10.5
    assert machine.calls(held, Room(1, 0), 10.5) == [held]
    assert machine.deadline is None


def test_a_full_batch_does_not_wait_and_the_rest_waits_anew() -> None:
    machine = gather(b=Batch(2, 0.5))
    held = [entry("b")]
    machine.calls(held, Room(1, 0), 10.0)
    held += [entry("b"), entry("b")]
    assert machine.calls(held, Room(1, 0), 10.3) == [held[:2]]
    assert machine.deadline == 10.8


def test_a_call_of_many_takes_one_place() -> None:
    machine, room = gather(a=Batch(4, 0.0)), Room(0, 2)
    assert methods(machine.calls([entry("a") for _ in range(10)], room, 0.0)) == ["aaaa", "aaaa"]
    assert machine.stuck


def test_a_suspect_waits_for_nobody() -> None:
    machine, suspect = gather(b=Batch(3, 9.0)), entry("b", SUSPECT)
    assert machine.calls([suspect], Room(1, 0), 0.0) == [[suspect]]


def test_a_batch_does_not_wait_for_what_cannot_come() -> None:
    machine, held = gather(b=Batch(3, 9.0)), [entry("b")]
    assert machine.calls(held, Room(1, 0), 0.0, no_more=True) == [held]
    assert machine.deadline is None
