"""What a worker holds: entries queued, those running, and outcomes not yet committed. No I/O, no clock.

Several threads work on it. The one that takes also starts; whoever runs an entry finishes it; the courier fetches and
commits beside a running job, and sets aside what waits behind a long one, to give it back. An entry leaves a deque by
one `pop`, which is atomic: it is either started or given back, never both.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from pullet_broker.job import Entry
from pullet_broker.moves.cycle import Outcome


@dataclass(slots=True, eq=False)
class Finished(Outcome):
    """An outcome, and when to run the job again if it is to be retried."""

    failed: bool = False
    retry_after_ms: int | None = None


@dataclass(slots=True)
class Aside:
    """What the courier took out of the hand, until the server has it."""

    queued: list[Entry] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.queued or self.finished)


class Hand:
    """The jobs of one worker."""

    def __init__(self) -> None:
        self._queued: deque[Entry] = deque()
        self._finished: deque[Finished] = deque()
        self.queued: Collection[Entry] = self._queued
        """Entries not started, in order."""
        self.finished: Collection[Finished] = self._finished
        """Outcomes not sent yet."""
        self._running: dict[int, Entry] = {}  # by identity
        self._lost: dict[int, Entry] = {}  # of those that run: no longer ours
        self._earlier: dict[int, Entry] = {}  # of those that run: taken by a consumer that counts as dead
        self._committing: list[Finished] = []
        self._aside: list[Aside] = []
        self._moving = threading.Lock()

    @property
    def running(self) -> list[Entry]:
        """In the order in which they were started."""
        return list(self._running.values())

    @property
    def runs(self) -> int:
        """How many entries run."""
        return len(self._running)

    @property
    def is_empty(self) -> bool:
        return not (self._queued or self._running or self._aside)

    def take(self, entries: Iterable[Entry]) -> None:
        with self._moving:
            self._queued.extend(entries)

    def start(self, now: float) -> Entry | None:
        """The next entry to run, or None."""
        if not self._queued:  # as at the end of each row: cheaper than to raise
            return None
        try:
            entry = self._queued.popleft()
        except IndexError:  # the courier took it at this moment
            return None
        entry.started = now
        self._running[id(entry)] = entry
        return entry

    def waiting(self) -> list[Entry]:
        """What is queued, in order."""
        return list(self._queued)

    def start_these(self, entries: Iterable[Entry], now: float) -> list[Entry]:
        """Start those that are still queued; the others keep their order. Says which."""
        chosen, started = {id(entry) for entry in entries}, []
        with self._moving:
            for _ in range(len(self._queued)):
                entry = self._queued.popleft()
                if id(entry) in chosen:
                    entry.started = now
                    self._running[id(entry)] = entry
                    started.append(entry)
                else:
                    self._queued.append(entry)
        return started

    def put_back(self, entry: Entry) -> None:
        """A running entry could not be started after all: it is the next one again."""
        self._queued.appendleft(entry)
        del self._running[id(entry)]

    def finish(self, entry: Entry, finished: Finished | None) -> None:
        """A running entry has ended: with an outcome, or with None where it turned out to be another worker's.

        It is never in neither place: `held` may look at any moment.
        """
        if id(entry) not in self._running:
            return  # its job was ended in its stead
        if finished is not None:
            self._finished.append(finished)
        self._running.pop(id(entry), None)
        if self._earlier:
            self._earlier.pop(id(entry), None)
        # looked at last: `drop` marks first, and then goes through what is finished
        if self._lost and id(entry) in self._lost:
            with contextlib.suppress(ValueError):
                self._finished.remove(finished)  # type: ignore[arg-type]
            del self._lost[id(entry)]

    def is_running(self, entry: Entry) -> bool:
        return id(entry) in self._running

    def commit(self, most: int) -> list[Finished]:
        """Up to `most` outcomes to commit now; they are held until `committed`."""
        with self._moving:
            while self._finished and len(self._committing) < most:
                one = self._finished.popleft()
                if id(one.entry) not in self._lost:
                    self._committing.append(one)
            return list(self._committing)

    def committed(self) -> None:
        """The server has answered for them."""
        self._committing = []

    def set_aside(self, jobs: Collection[str] | None = None) -> Aside:
        """Everything that waits, or what of these jobs is not started, out of the loop's reach, until `put_away`."""
        with self._moving:
            if jobs is None:
                aside = Aside(_drain(self._queued), _drain(self._finished))
            else:
                queued = _drain(self._queued)
                aside = Aside([entry for entry in queued if entry.job in jobs])
                self._queued.extendleft(entry for entry in reversed(queued) if entry.job not in jobs)
            if aside:
                self._aside.append(aside)
            return aside

    def reclaim(self) -> None:
        """The courier is gone: what it had set aside is in hand again."""
        for aside in list(self._aside):
            self.take_back(aside)

    def put_away(self, aside: Aside) -> None:
        """The server has it."""
        with self._moving:
            self._aside.remove(aside)

    def take_back(self, aside: Aside) -> None:
        """The server could not be told: it is in hand again."""
        with self._moving:
            self._queued.extend(aside.queued)
            self._finished.extend(aside.finished)
            if aside in self._aside:
                self._aside.remove(aside)

    def held(self) -> list[Entry]:
        """Every entry that is ours as far as we know."""
        with self._moving:
            entries = self.running  # looked at first: what ends meanwhile is then found among the finished
            finished = [*self._committing, *self._finished]
            entries += [*self._queued, *(one.entry for one in finished)]
            for aside in self._aside:
                entries += aside.queued + [one.entry for one in aside.finished]
            return list({id(entry): entry for entry in entries if id(entry) not in self._lost}.values())

    def drop(self, lost: Iterable[Entry]) -> None:
        """Entries that are no longer ours: they are not run, and their outcomes are not sent."""
        gone = {(entry.lane, entry.id) for entry in lost}
        if not gone:
            return
        with self._moving:
            for entry in self.running:
                if (entry.lane, entry.id) in gone and id(entry) not in self._earlier:
                    self._lost[id(entry)] = entry
            for aside in self._aside:
                aside.queued[:] = [entry for entry in aside.queued if (entry.lane, entry.id) not in gone]
                aside.finished[:] = [one for one in aside.finished if _place(one) not in gone]
            for entry in [entry for entry in self._queued if (entry.lane, entry.id) in gone]:
                self._queued.remove(entry)
            for one in [one for one in list(self._finished) if _place(one) in gone]:
                self._finished.remove(one)
            self._committing = [one for one in self._committing if _place(one) not in gone]

    def clear(self) -> None:
        """Drop what was not started: this consumer counts as dead. An outcome still counts where it comes first."""
        with self._moving:
            self._earlier |= self._running
        self.drop(self.waiting())


T = TypeVar("T")


def _drain(source: deque[T]) -> list[T]:
    """Everything in it, in order. Taken from the end, because whoever starts entries takes them from the front."""
    found: list[T] = []
    while True:
        try:
            found.append(source.pop())
        except IndexError:
            return found[::-1]


def _place(one: Finished) -> tuple[int, str]:
    return one.entry.lane, one.entry.id
