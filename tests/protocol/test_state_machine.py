"""Any story may be told of a queue, with lost answers, late calls, repeats, deaths and zombies: the promises hold.

After every step: an accepted job is in exactly one place, or has ended, and then has one reply that never changes; a
worker that nobody counts as dead keeps what it holds. In the end every accepted job has ended and nothing is left.
The model in `tests.support.model` says what each call must answer, `tests.support.promises` what must hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing
from tests.support.model import HOUR, KEYS, LAST_PLACE, LEASE, LIMITS, NAMES, PLACES, Model
from tests.support.players import Hand
from tests.support.promises import check
from tests.support.scribe import a_job

T = TypeVar("T")
Kind = tuple[str, int, bytes, str, str]

some = st.integers(0, 20)
"""Picks one of whatever there is: drawn without a look at the state, so that a failure shrinks well."""
kinds = st.tuples(
    st.sampled_from(["normal", "high", "low"]),
    st.sampled_from([0, 0, HOUR]),
    st.sampled_from([b"", b"large"]),
    st.sampled_from(["", *KEYS]),
    st.sampled_from(["", "", "", *NAMES]),
)
"""Lane, delay, arguments and key of a job, and the id that its caller chose for it."""
fates = st.sampled_from(["answered", "answered", "answered", "answer lost", "late"])
"""Of a call. `late`: it may still arrive, any time, or never."""


class Story(RuleBasedStateMachine):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self.model = Model(link)
        self.calls: list[Callable[[], object]] = []

    @rule(lost=st.booleans())
    def drafts_get_lost_from_now_on(self, lost: bool) -> None:
        """They expire before their script comes, or find a full server."""
        self.model.loses_drafts = lost

    @rule(which=some)
    def drafts_arrive_without_their_script(self, which: int) -> None:
        """A connection ends between the two, or delivers the first of them much later."""
        if calls := self.model.drafted:
            for draft in calls[-1 - which % len(calls)].drafts:
                self.model.scribe.link.execute(*draft)

    @rule()
    def drafts_expire(self) -> None:
        self.model.scribe.lose_drafts()

    def call(self, call: Callable[[], T], fate: str = "answered") -> T | None:
        """Make a call; any call may arrive once more, much later, and then nobody hears its answer."""
        self.calls.append(call)
        return None if fate == "late" else call()

    @rule(which=some)
    def a_call_arrives_again_or_late(self, which: int) -> None:
        if self.calls:
            self.calls[-1 - which % len(self.calls)]()

    # -- clients

    @rule(
        who=some, kinds=st.lists(kinds, min_size=1, max_size=4), ahead=st.sampled_from([0, 0, 0, 0, 1, 2]), fate=fates
    )
    def submit(self, who: int, kinds: list[Kind], ahead: int = 0, fate: str = "answered") -> None:
        """`ahead`: batches are pipelined, and as many jobs before this one did not arrive."""
        author = self.model.authors[who % 2]
        for lane, delay_ms, args, key, name in kinds:
            job = a_job(args, lane=lane, delay_ms=delay_ms, key=key)
            if name:
                job = dataclasses.replace(job, id=name, named=True)
            self.model.write(job)
            author.jobs.append(job)
        first = author.heard + 1 + ahead
        batch = author.jobs[first - 1 : first + 3]
        self.call(partial(self.model.submit, author, author.caller.connection, first, batch), fate)
        if fate == "answered":
            author.heard = author.mark

    @rule(who=some, give_up=st.booleans())
    def reconnect(self, who: int, give_up: bool) -> None:
        """Over a new connection the client learns the mark; what is above it may be said again, or given up."""
        author = self.model.authors[who % 2]
        author.caller.connection += 1
        self.call(partial(self.model.submit, author, author.caller.connection, 1, []))
        author.heard = author.mark
        if give_up:
            del author.jobs[author.mark :]

    @rule(which=some)
    def cancel(self, which: int) -> None:
        if job := self.some_job(which):
            self.call(partial(self.model.cancel, job))

    @rule(which=some)
    def read(self, which: int) -> None:
        """A client that has a reply deletes its key."""
        job = self.some_job(which)
        if job in self.model.replies:
            self.model.scribe.link.execute("DEL", self.model.scribe.queue.keys.reply(job))
            self.model.read.add(job)

    @rule(who=some, name=st.sampled_from(NAMES), kind=kinds, cancelled=st.booleans())
    def a_chosen_id_lives_again(self, who: int, name: str, kind: Kind, cancelled: bool) -> None:
        """The reply of the last job with this id has expired, if it has ended. `cancelled`: by who did not know."""
        if name in self.model.replies:
            self.model.scribe.link.execute("DEL", self.model.scribe.queue.keys.reply(name))
            self.model.read.add(name)
        if cancelled:
            self.call(partial(self.model.cancel, name))
        self.submit(who, [(*kind[:4], name)])

    def some_job(self, which: int) -> str:
        jobs = list(self.model.jobs)
        return jobs[-1 - which % len(jobs)] if jobs else ""

    # -- workers

    @rule(slot=some, want=st.integers(1, 3), high_first=st.booleans(), fate=fates)
    def take(self, slot: int, want: int, high_first: bool, fate: str) -> None:
        hand = self.ready(slot)
        self.work(hand, [], fate, partial(self.model.cycle, hand, [], want, not hand.held, high_first))

    @rule(slot=some, fate=fates)
    def wait(self, slot: int, fate: str) -> None:
        """An idle worker runs the first job that it gets, where that may be, and gives back the others."""
        hand = self.ready(slot)
        if not hand.held:
            surplus = self.model.wait(hand)
            hand.held = hand.worker.reconcile().adopted
            self.work(hand, surplus, fate, partial(self.model.give_back, hand, surplus))

    @rule(
        slot=some,
        most=st.integers(1, 3),
        want=st.integers(0, 2),
        fate=fates,
        word=st.sampled_from(["ok", "ok", "ok", "cancelled"]),
        large=st.booleans(),
    )
    def finish(self, slot: int, most: int, want: int, fate: str, word: str, large: bool) -> None:
        """`cancelled`: the worker was told to stop a run, and ends its job itself."""
        hand = self.busy(slot)
        done = hand.held[:most]
        outcomes = [self.model.outcome(word, entry, hand, large) for entry in done]
        alone = len(done) == len(hand.held)
        self.work(hand, done, fate, partial(self.model.cycle, hand, outcomes, want, alone, False))

    @rule(slot=some, retry_after_ms=st.sampled_from([None, 0, HOUR]), fate=fates)
    def fail(self, slot: int, retry_after_ms: int | None, fate: str) -> None:
        hand = self.busy(slot)
        if hand.held:
            outcome = self.model.outcome("error", hand.held[0], hand)
            self.work(hand, hand.held[:1], fate, partial(self.model.fail, hand, outcome, retry_after_ms))

    @rule(slot=some, most=st.integers(1, 3), fate=fates)
    def give_back(self, slot: int, most: int, fate: str) -> None:
        hand = self.busy(slot)
        entries = hand.held[-most:]
        self.work(hand, entries, fate, partial(self.model.give_back, hand, entries))

    def busy(self, slot: int) -> Hand:
        """A worker that holds something, if that can be."""
        hand = self.ready(slot)
        if not hand.held:
            hand.held += self.model.cycle(hand, [], 2, True, False)
        if not hand.held:
            self.submit(slot, [("normal", 0, b"", "", "")])
            hand.held += self.model.cycle(hand, [], 2, True, False)
        return hand

    def ready(self, slot: int) -> Hand:
        """A worker that knows where it stands: new when the last one has died, and with no call unanswered."""
        hand = self.model.hands[slot % 3]
        if hand is None:
            hand = self.model.hands[slot % 3] = self.model.new_hand(PLACES[slot % 3])
            self.call(hand.worker.register)
        self.repair(slot)
        return hand

    @rule(slot=some)
    def repair(self, slot: int) -> None:
        """A worker compares what it holds with what is pending for it, then repeats what had no answer."""
        if hand := self.model.hands[slot % 3]:
            unsure = [entry for _, entries in hand.unanswered for entry in entries]
            held = [*hand.held, *unsure]
            found = hand.worker.reconcile(*held)
            lost = [held[n] for n in found.lost]
            hand.held = [entry for entry in hand.held if entry not in lost] + found.adopted
            calls, hand.unanswered = hand.unanswered, []
            for call, _ in calls:
                hand.held += call()
            assert self.model.knows_all(hand)
            assert hand.worker.beat().standing is Standing.OK

    def work(self, hand: Hand, entries: list[Entry], fate: str, call: Callable[[], list[Entry]]) -> None:
        """Some entries leave the worker's hand; without an answer it cannot know what became of them."""
        hand.held = [entry for entry in hand.held if entry not in entries]
        taken = self.call(call, fate)
        if fate == "answered":
            hand.held += taken or []
        else:
            hand.unanswered.append((call, entries))

    # -- life and death

    @rule(slot=some, seen_by_ray=st.booleans(), blame=st.booleans())
    def die(self, slot: int, seen_by_ray: bool, blame: bool) -> None:
        """Or so it seems: a zombie's calls may still arrive."""
        name = self.busy(slot).name
        self.model.die(slot % 3)
        if seen_by_ray:
            self.call(partial(self.model.reap, name, blame))

    @rule(which=some, how=st.sampled_from(["finish", "fail", "give back", "read"]))
    def a_zombie_acts(self, which: int, how: str) -> None:
        zombies = self.model.zombies
        if not zombies:
            return
        hand = zombies[-1 - which % min(4, len(zombies))]
        if how == "finish":
            outcomes = [self.model.outcome("ok", entry, hand, large=True) for entry in hand.held]
            hand.held += self.model.cycle(hand, outcomes, 1, True, False)
        elif how == "fail" and hand.held:
            self.model.fail(hand, self.model.outcome("error", hand.held[0], hand), 0)
        elif how == "give back":
            self.model.give_back(hand, hand.held)
        elif hand.place in self.model.scribe.places():  # else the server answers that there is no such lane
            hand.worker.read_blindly()

    @rule(blame=st.booleans(), vouched=st.none() | some)
    def tick(self, blame: bool, vouched: int | None) -> None:
        hand = None if vouched is None else self.model.hands[vouched % 3]
        beaten = self.model.scribe.tick(*([hand.name] if hand else []))
        for name in sorted(beaten.dead):
            self.call(partial(self.model.reap, name, blame))
        for place in sorted(beaten.spill):
            self.call(partial(self.model.scribe.spill, place))

    @rule(who=some, key=st.sampled_from(KEYS))
    def a_place_is_too_slow(self, who: int, key: str) -> None:
        self.submit(who, [("normal", 0, b"", key, "")])
        if place := self.model.scribe.home(key):
            self.call(partial(self.model.spill, place))

    @rule(key=st.sampled_from(KEYS))
    def a_key_is_forgotten(self, key: str) -> None:
        self.model.scribe.link.execute("DEL", self.model.scribe.queue.keys.home(key))

    @rule(due=st.booleans())
    def promote(self, due: bool) -> None:
        if due:
            self.model.scribe.make_due()
        self.call(self.model.scribe.promote)

    # -- dead letters

    @rule(which=some, kind=kinds, again=st.booleans())
    def bring_back_or_throw_away(self, which: int, kind: Kind, again: bool) -> None:
        """One of the dead letters, of which there is one if that can be, or a job that is none."""
        if not self.model.look().buried:
            self.submit(which, [kind])
            self.fail(which, None, "answered")
        dead = list(self.model.look().buried)
        job = dead[which % len(dead)] if dead and which < 18 else self.some_job(which)
        if job:
            self.call(partial(self.model.replay if again else self.model.purge, job))

    @rule()
    def calm(self) -> None:
        self.model.scribe.calm()

    # -- what must hold

    @invariant()
    def the_promises_hold(self) -> None:
        check(self.model)

    def teardown(self) -> None:
        try:
            if self.model.sound:
                self.drain()
        finally:
            self.model.clean()

    def drain(self) -> None:
        """All are dead but one new worker, and time passes."""
        model = self.model
        for slot in range(3):
            model.die(slot)
        hand = model.new_hand(LAST_PLACE)
        hand.worker.register()
        for _ in range(LEASE.ticks + 3):
            hand.worker.beat()
            self.tick(False, None)
            self.promote(True)
            self.calm()
            for _ in range(LIMITS.backlog_jobs):
                outcomes = [model.outcome("ok", entry, hand) for entry in hand.held]
                hand.held = model.cycle(hand, outcomes, 9, True, False)
        check(model)
        seen = model.look()
        assert (seen.live, seen.pending, model.replies.keys()) == ([], {}, model.accepted)
        assert seen.places == {LAST_PLACE}
        assert model.accepted.isdisjoint(set(model.scribe.tombstones()) - model.read)


@pytest.mark.slow
@pytest.mark.timeout(400)  # a run takes seconds; a failure is made short and readable for up to five minutes
def test_every_accepted_job_ends_once_whatever_happens(link: Link) -> None:
    run_state_machine_as_test(
        lambda: Story(link),
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
