"""What a worker holds: an entry is started or given back, never both and never neither."""

from __future__ import annotations

import itertools
import random
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pullet_broker.job import Entry
from pullet_workers.hand import Aside, Finished, Hand

_ids = itertools.count(1)


def entries(count: int, lane: int = 4) -> list[Entry]:
    return [Entry(lane, f"{next(_ids)}-0", "job", "m", b"", "", "") for _ in range(count)]


def finished(entry: Entry) -> Finished:
    return Finished(entry, b"ok")


def ids(held: list[Entry]) -> list[str]:
    return sorted(entry.id for entry in held)


def test_entries_start_in_the_order_in_which_they_were_taken() -> None:
    hand, taken = Hand(), entries(3)
    hand.take(taken)
    assert len(hand.queued) == 3

    assert [hand.start(0.0), hand.start(0.0), hand.start(0.0), hand.start(0.0)] == [*taken, None]
    assert hand.runs == 3


def test_an_outcome_is_held_until_the_server_has_it() -> None:
    hand, (entry,) = Hand(), entries(1)
    hand.take([entry])
    hand.start(0.0)
    hand.finish(entry, finished(entry))
    assert (hand.running, hand.held()) == ([], [entry])

    (first,) = hand.commit(64)
    assert hand.held() == [entry]
    assert hand.commit(64) == [first], "a commit whose answer was lost is made again"
    hand.committed()
    assert hand.commit(64) == []
    assert hand.held() == []


def test_a_commit_is_bounded_and_in_order() -> None:
    hand, taken = Hand(), entries(5)
    for entry in taken:
        hand.take([entry])
        hand.start(0.0)
        hand.finish(entry, finished(entry))

    assert [one.entry for one in hand.commit(2)] == taken[:2]
    hand.committed()
    assert [one.entry for one in hand.commit(64)] == taken[2:]


def test_it_is_empty_only_without_anything_that_may_still_run() -> None:
    hand, (entry,) = Hand(), entries(1)
    assert hand.is_empty
    hand.take([entry])
    assert not hand.is_empty
    hand.start(0.0)
    assert not hand.is_empty
    hand.finish(entry, finished(entry))
    assert hand.is_empty


def test_what_is_set_aside_is_neither_started_nor_committed_but_still_held() -> None:
    hand, taken = Hand(), entries(4)
    hand.take(taken)
    hand.start(0.0)
    hand.finish(taken[0], finished(taken[0]))
    hand.start(0.0)

    aside = hand.set_aside()

    assert aside.queued == taken[2:], "in order: given back in this order, they are taken in it again"
    assert [one.entry for one in aside.finished] == [taken[0]]
    assert (len(hand.queued), hand.commit(64), hand.running) == (0, [], [taken[1]])
    assert ids(hand.held()) == ids(taken)
    hand.put_away(aside)
    assert hand.held() == [taken[1]]


def test_nothing_to_set_aside_is_nothing() -> None:
    hand = Hand()
    assert not hand.set_aside()
    assert hand.is_empty


def test_what_is_lost_is_neither_run_nor_committed() -> None:
    hand, taken = Hand(), entries(4)
    hand.take(taken)
    for entry in taken[:2]:
        hand.start(0.0)
        hand.finish(entry, finished(entry))
    hand.commit(1)

    hand.drop([taken[0], taken[1], taken[2]])

    assert hand.held() == [taken[3]]
    assert hand.commit(64) == []
    assert hand.start(0.0) is taken[3]


def test_the_same_id_on_another_lane_is_another_entry() -> None:
    hand = Hand()
    here, there = Entry(4, "7-0", "a", "m", b"", "", ""), Entry(5, "7-0", "b", "m", b"", "", "")
    hand.take([here, there])
    hand.drop([there])
    assert hand.held() == [here]


def test_a_worker_that_counts_as_dead_starts_nothing_but_its_outcomes_still_go_out() -> None:
    hand, taken = Hand(), entries(5)
    hand.take(taken)
    hand.start(0.0)
    hand.start(0.0)
    hand.finish(taken[0], finished(taken[0]))

    hand.clear()

    assert hand.start(0.0) is None
    assert hand.held() == [taken[1], taken[0]]
    assert [one.entry for one in hand.commit(64)] == [taken[0]]


def test_several_run_at_once_and_end_in_any_order() -> None:
    hand, taken = Hand(), entries(4)
    hand.take(taken)

    assert hand.start_these([taken[2], taken[0], *entries(1)], 0.0) == [taken[0], taken[2]]
    assert (hand.runs, hand.waiting()) == (2, [taken[1], taken[3]])
    hand.finish(taken[2], finished(taken[2]))
    assert hand.running == [taken[0]]
    assert ids(hand.held()) == ids(taken)


def test_an_entry_that_ends_while_we_look_is_seen_once() -> None:
    """Seen in neither place, it would be adopted and run again; in both, it would be dropped."""
    hand, (entry,) = Hand(), entries(1)

    class Looked(deque[Finished]):
        """Looks in the middle of a step, as another thread may."""

        def append(self, one: Finished) -> None:
            seen.append(hand.held())
            super().append(one)
            seen.append(hand.held())

    seen: list[list[Entry]] = []
    hand._finished = Looked()
    hand.take([entry])
    hand.start(0.0)
    hand.finish(entry, finished(entry))
    assert [*seen, hand.held()] == [[entry]] * 3


class Holding(RuleBasedStateMachine):
    """The loop and the courier in any order, against sets."""

    def __init__(self) -> None:
        super().__init__()
        self.hand = Hand()
        self.taken: set[str] = set()
        self.started: list[str] = []
        self.given: list[str] = []
        self.committed: list[str] = []
        self.dropped: set[str] = set()
        self.aside: list[Aside] = []
        self.committing: list[Finished] = []

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        new = entries(count)
        self.taken |= {entry.id for entry in new}
        self.hand.take(new)

    @precondition(lambda self: self.hand.runs == 0)
    @rule()
    def start(self) -> None:
        entry = self.hand.start(0.0)
        if entry is not None:
            self.started.append(entry.id)

    @precondition(lambda self: self.hand.runs > 0)
    @rule()
    def finish(self) -> None:
        (running,) = self.hand.running
        self.hand.finish(running, finished(running))

    @rule(most=st.integers(1, 3))
    def commit(self, most: int) -> None:
        self.committing = self.hand.commit(most)

    @rule()
    def commit_is_answered(self) -> None:
        self.committed += [one.entry.id for one in self.committing]
        self.committing = []
        self.hand.commit(0)
        self.hand.committed()

    @rule()
    def set_aside(self) -> None:
        aside = self.hand.set_aside()
        if aside:
            self.aside.append(aside)

    @precondition(lambda self: self.aside)
    @rule()
    def put_away(self) -> None:
        aside = self.aside.pop(0)
        self.given += [entry.id for entry in aside.queued]
        self.committed += [one.entry.id for one in aside.finished]
        self.hand.put_away(aside)

    @precondition(lambda self: self.aside)
    @rule()
    def take_back(self) -> None:
        self.hand.take_back(self.aside.pop())

    @invariant()
    def everything_is_in_one_place(self) -> None:
        places = Counter(entry.id for entry in self.hand.held())
        places.update(self.given)
        places.update(self.committed)
        assert set(places) == self.taken
        assert set(places.values()) <= {1}

    @invariant()
    def nothing_is_started_twice_or_started_and_given_back(self) -> None:
        assert len(self.started) == len(set(self.started))
        assert not set(self.started) & set(self.given)


Holding.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_every_entry_is_in_one_place = Holding.TestCase


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads change places as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hurried")
def test_two_threads_agree_on_who_has_an_entry() -> None:
    hand = Hand()
    taken, started, given, sent = [], [], [], []  # type: ignore[var-annotated]
    over, chance = threading.Event(), random.Random(7)

    def loop() -> None:
        while len(taken) < 1_000 or (len(given) < 20 and len(taken) < 300_000):
            batch = entries(chance.randrange(1, 8))
            taken.extend(batch)
            hand.take(batch)
            while (entry := hand.start(0.0)) is not None:
                started.append(entry.id)
                hand.finish(entry, finished(entry))
            sent.extend(one.entry.id for one in hand.commit(64))
            hand.committed()
        over.set()

    def courier() -> None:
        while not over.is_set():
            aside = hand.set_aside()
            if aside:
                given.extend(entry.id for entry in aside.queued)
                sent.extend(one.entry.id for one in aside.finished)
                hand.put_away(aside)

    threads = [threading.Thread(target=loop), threading.Thread(target=courier)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    sent.extend(one.entry.id for one in hand.commit(len(taken)))
    assert Counter(started) + Counter(given) == Counter(entry.id for entry in taken)
    assert Counter(sent) == Counter(started), "each outcome goes out once"
    assert given, "the courier had its share"


def test_what_is_lost_while_it_runs_or_is_set_aside_has_no_outcome() -> None:
    hand, taken = Hand(), entries(3)
    hand.take(taken)
    hand.start(0.0)
    hand.finish(taken[0], finished(taken[0]))
    hand.start(0.0)
    aside = hand.set_aside()

    hand.drop(taken)
    hand.finish(taken[1], finished(taken[1]))

    assert not aside
    assert hand.commit(64) == []
    assert hand.held() == []


def test_what_runs_since_before_a_worker_counted_as_dead_may_still_end_first() -> None:
    hand, (entry,) = Hand(), entries(1)
    hand.take([entry])
    hand.start(0.0)
    hand.clear()
    hand.drop([entry])
    hand.finish(entry, finished(entry))
    assert [one.entry for one in hand.commit(64)] == [entry]
