"""A cancel races with whatever else may happen to a job: in both orders of every pair, and by chance. One outcome."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest

from pullet_broker.address import Address
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Outcome, cycle
from pullet_broker.moves.part import part
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Limits, Queue
from tests.support.scribe import Caller, Scribe, Worker

HOUR = 3_600_000


@dataclass
class Scene:
    """One job that a worker runs, or that is parked, and everybody who may do something about it."""

    scribe: Scribe
    caller: Caller
    worker: Worker
    job: str
    entry: Entry | None

    def on(self, link: Link) -> Scene:
        """The same, seen over another connection."""
        queue = self.scribe.queue
        worker = Worker(link, self.worker.queue, self.worker.name)
        return Scene(Scribe(link, queue), self.caller, worker, self.job, self.entry)

    def held(self) -> Entry:
        assert self.entry is not None
        return self.entry

    def stop(self) -> None:
        """What the watchdog does: it ends the job in place of a call that cannot be interrupted."""
        entry = self.held()
        outcome = Outcome(entry, pack_reply("cancelled", entry.attempt, "w", 0, b""))
        self.worker.link.run(cycle(self.worker.queue, self.worker.name, [outcome], 0, alone=False, high_first=False))

    def take(self) -> None:
        """Another worker takes what waits, and ends it well."""
        heir = Worker(self.worker.link, self.scribe.queue, "heir").register()
        heir.finish(*heir.take(5))


Act = Callable[[Scene], object]

CANCELS: dict[str, Act] = {
    "cancel": lambda scene: scene.scribe.cancel(scene.job),
    "cancel by force": lambda scene: scene.scribe.cancel(scene.job, force=True),
}
RUNNING: dict[str, Act] = {
    "finish": lambda scene: scene.worker.finish(scene.held()),
    "fail": lambda scene: scene.worker.fail(scene.held()),
    "retry": lambda scene: scene.worker.fail(scene.held(), retry_after_ms=0),
    "retry later": lambda scene: scene.worker.fail(scene.held(), retry_after_ms=HOUR),
    "reap": lambda scene: scene.scribe.reap(scene.worker.name),
    "reap without blame": lambda scene: scene.scribe.reap(scene.worker.name, blame=False),
    "give back": lambda scene: scene.worker.give_back(scene.held()),
    "stop": lambda scene: scene.stop(),
    "send an item": lambda scene: scene.worker.link.run(
        part(scene.worker.queue, scene.worker.name, scene.held(), 0, [b"\x01"])
    ),
}
PARKED: dict[str, Act] = {"promote": lambda scene: (scene.scribe.make_due(), scene.scribe.promote())}
ANYTIME: dict[str, Act] = {"take": lambda scene: scene.take()}
EVERY = CANCELS | RUNNING | PARKED | ANYTIME


@pytest.fixture(params=[1, 3], ids=["one crash", "three crashes"])
def scribe(request: pytest.FixtureRequest, link: Link, queue: Queue) -> Scribe:
    return Scribe(link, Queue(name=queue.name, limits=Limits(max_crashes=request.param)))


def begin(scribe: Scribe, *, parked: bool) -> Scene:
    caller, worker = scribe.caller(), scribe.worker()
    job = caller.one(delay_ms=HOUR if parked else 0)
    return Scene(scribe, caller, worker, job, None if parked else worker.take_one())


def drain(scene: Scene) -> None:
    """Time passes: whatever is left of the job is promoted, taken and ended by others."""
    for name in ("w", "heir"):
        scene.scribe.reap(name, blame=False)
    scene.scribe.make_due()
    scene.scribe.promote()
    last = scene.scribe.worker("last")
    for alone in (True, False, True):
        last.finish(*last.take(5, alone=alone))


def check(scene: Scene, story: str) -> str:
    """There is one outcome, it was told once, and nothing is left. Returns it."""
    drain(scene)
    outcome = scene.scribe.ended(scene.job)
    told = [name for name, _ in scene.caller.inbox() if name == scene.job]
    assert outcome is not None, f"{story}: no outcome"
    assert told == [scene.job], f"{story}: told {len(told)} times"
    assert scene.caller.inbox()[-1][1].startswith(outcome.encode()), story
    assert (scene.scribe.entries(), scene.scribe.pending(), scene.scribe.delayed()) == (0, 0, []), story
    assert scene.job not in scene.scribe.tombstones(), f"{story}: a tombstone is left"
    letters = [letter["id"] for letter in scene.scribe.letters()]
    assert outcome != "cancelled" or scene.job not in letters, f"{story}: a cancelled job is no dead letter"
    return outcome


def play(scene: Scene, order: Sequence[str]) -> str:
    """One after the other: an outcome that can be seen never changes. Returns it."""
    story, seen = " then ".join(order), None
    for name in order:
        EVERY[name](scene)
        now = scene.scribe.ended(scene.job)
        assert seen in (None, now), f"{story}: {seen} became {now}"
        seen = now
    outcome = check(scene, story)
    assert seen in (None, outcome), f"{story}: {seen} became {outcome}"
    return outcome


@pytest.mark.parametrize("other", [*RUNNING, *PARKED, *ANYTIME])
def test_either_may_come_first(scribe: Scribe, other: str) -> None:
    for order in [order for cancel in CANCELS for order in permutations((cancel, other))]:
        scene = begin(scribe, parked=other in PARKED)
        outcome = play(scene, order)
        if order[0] in CANCELS and other not in ("finish", "fail", "send an item", "take"):
            assert outcome == "cancelled", order
        elif order[0] in ("finish", "fail"):
            assert outcome == {"finish": "ok", "fail": "error"}[other], order


@pytest.mark.parametrize("other", ["finish", "fail", "retry", "reap", "give back", "stop"])
def test_three_of_them_in_every_order(scribe: Scribe, other: str) -> None:
    for order in permutations(("cancel", other, "take")):
        scene = begin(scribe, parked=False)
        play(scene, order)


def test_by_chance_and_all_at_once(scribe: Scribe, address: Address) -> None:
    """Each of five connections does some of it, whenever it comes to it."""
    seed = random.randrange(1 << 32)
    dice, outcomes = random.Random(seed), set()
    links = [Link(address, f"racer-{n}") for n in range(5)]
    try:
        for turn in range(60):
            scene = begin(scribe, parked=turn % 4 == 0)
            acts = [*(PARKED if scene.entry is None else RUNNING), *ANYTIME]
            hands = [[dice.choice(acts) for _ in range(dice.randint(1, 2))] for _ in links[1:]]
            hands.append([dice.choice(list(CANCELS))])
            race(scene, links, hands)
            outcomes.add(check(scene, f"seed {seed}, turn {turn}: {hands}"))
    finally:
        for link in links:
            link.close()
    assert "cancelled" in outcomes
    assert outcomes & {"ok", "error"}, "something else has won too"


def race(scene: Scene, links: list[Link], hands: list[list[str]]) -> None:
    start, problems = threading.Barrier(len(hands)), []

    def act(seen: Scene, names: list[str]) -> None:
        start.wait(10)
        try:
            for name in names:
                EVERY[name](seen)
        except BaseException as problem:
            problems.append(problem)

    threads = [
        threading.Thread(target=act, args=(scene.on(link), names)) for link, names in zip(links, hands, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not problems, problems
