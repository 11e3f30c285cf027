"""Who submits what and when, and which fault comes when: all of it from a seed, without looking at anything."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pullet_broker.settings import Prefetch

DECK = {
    "kill a worker": 13,
    "stop a worker": 6,
    "hang a worker": 3,
    "terminate a worker": 5,
    "kill a caller": 5,
    "kill the controller": 3,
    "stop a worker and kill the controller": 2,
    "kill the server": 5,
    "stop the server": 3,
    "fill the server": 4,
    "flush the scripts": 3,
    "cut connections": 6,
    "hold connections": 5,
    "lose replies": 6,
    "slow connections": 3,
    "deliver late what the dead had sent": 4,
    "deliver late what was cut off": 5,
    "step the clock": 3,
}
"""The faults, and how often each comes in one round of the deck."""

TINY_S = 0.001
"""How long a tiny job runs."""
RARE = {"poison": 0.0005, "long": 0.0012, "raising": 0.01, "large": 0.01}
"""Shares of the jobs that are not tiny."""


@dataclass(frozen=True)
class Task:
    """One job: its number, and what it does."""

    number: int
    kind: str
    priority: int = 0
    key: str | None = None
    delay: float = 0.0
    keep: bool = False


@dataclass(frozen=True)
class Burst:
    """Jobs that are submitted together, so many seconds after the start."""

    at_s: float
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Act:
    """One fault. `pick` chooses the victim among those there are then, `length` how long it lasts: both from 0 to 1."""

    at_s: float
    what: str
    pick: float
    length: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run. The same values give the same run, as far as the machine allows."""

    seed: int
    jobs: int = 10_000
    callers: int = 4
    workers: int = 4
    seconds: float = 100.0
    faults: int = 100
    kinds: tuple[str, ...] = tuple(DECK)
    """The faults that may come."""
    poison: int | None = None
    """How many jobs kill their worker; None: the usual share."""
    long: int | None = None
    """How many take longer than a lease; None: the usual share."""
    budget_s: float = Prefetch().budget_s
    """How much run time workers may take in hand at once."""
    fsync: str = "always"
    drain_s: float = 300.0
    """How long everything may take to end after the last fault."""

    @property
    def hand(self) -> int:
        """About how many tiny jobs that are."""
        return round(self.budget_s / TINY_S)

    def acts(self) -> list[Act]:
        """Evenly spread over the run, but for its first and last tenth."""
        draw, acts, deck = random.Random(f"acts {self.seed}"), [], []
        for n in range(self.faults):
            if not deck:
                deck = [kind for kind in self.kinds for _ in range(DECK[kind])]
                draw.shuffle(deck)
            at_s = self.seconds * (0.05 + 0.85 * (n + draw.random()) / self.faults)
            acts.append(Act(at_s, deck.pop(), draw.random(), draw.random()))
        return acts

    def bursts(self, caller: int) -> list[Burst]:
        """What one caller submits."""
        mine = [task for task in self.tasks() if task.number % self.callers == caller]
        draw, groups = random.Random(f"bursts {self.seed} {caller}"), []
        while mine:
            size = draw.randint(5, 60)
            groups.append(tuple(mine[:size]))
            del mine[:size]
        times = sorted(self.seconds * draw.random() for _ in groups)
        return [Burst(at_s, tasks) for at_s, tasks in zip(times, groups, strict=True)]

    def tasks(self) -> list[Task]:
        draw = random.Random(f"tasks {self.seed}")
        shares = {kind: max(1, round(share * self.jobs)) for kind, share in RARE.items()}
        asked = {"poison": self.poison, "long": self.long}
        shares |= {kind: some for kind, some in asked.items() if some is not None}
        rare = [kind for kind, some in shares.items() for _ in range(some)]
        kinds = dict(zip(draw.sample(range(self.jobs), len(rare)), rare, strict=True))
        return [_task(number, kinds.get(number, "tiny"), draw) for number in range(self.jobs)]


def _task(number: int, kind: str, draw: random.Random) -> Task:
    return Task(
        number,
        kind,
        priority=draw.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, -1)),
        key=f"key-{draw.randrange(5)}" if draw.random() < 0.05 else None,
        delay=draw.random() * 3 if draw.random() < 0.02 else 0.0,
        keep=draw.random() < 0.05,
    )
