"""Which of the entries in hand start now, and which together: for engines that run several. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pullet.batching import Batch
from pullet_broker.job import Entry
from pullet_broker.moves.cycle import SUSPECT


@dataclass(slots=True)
class Room:
    """How many calls may start now: in threads, and on the event loop."""

    places: int
    tasks: int


class Gather:
    """Starts entries in their order; one that finds no room is overtaken by those that do. Entries of a batch method
    start together, and wait a while for more of their kind. One that must not be repeated starts alone: a batch that
    fails is tried again."""

    def __init__(self, runs_on_loop: Callable[[Entry], bool], batches: Mapping[str, Batch]) -> None:
        self._runs_on_loop, self._batches = runs_on_loop, batches
        self._since: dict[str, float] = {}  # batch method -> when the first of those that wait came
        self.stuck = False
        """Entries were left that found no room."""
        self.deadline: float | None = None
        """When the next batch starts though it is not full."""

    def calls(self, waiting: Sequence[Entry], room: Room, now: float, *, no_more: bool = False) -> list[list[Entry]]:
        """The calls to make now. `room` is used up. `no_more`: nothing will come that a batch could wait for."""
        self.stuck, self.deadline = False, None
        found: list[list[Entry]] = []
        groups: dict[str, list[Entry]] = {}
        for entry in waiting:
            if entry.method in self._batches and entry.lane != SUSPECT and not entry.once:
                groups.setdefault(entry.method, []).append(entry)
            elif self._seat(entry, room):
                found.append([entry])
        self._since = {method: self._since.get(method, now) for method in groups}
        for method, entries in groups.items():
            found += self._full_or_due(method, entries, room, now, no_more)
        return found

    def _full_or_due(
        self, method: str, entries: list[Entry], room: Room, now: float, no_more: bool
    ) -> list[list[Entry]]:
        batch, found = self._batches[method], []
        for start in range(0, len(entries), batch.max_batch_size):
            together = entries[start : start + batch.max_batch_size]
            due = self._since[method] + batch.batch_wait_timeout_s
            if len(together) < batch.max_batch_size and now < due and not no_more:
                self.deadline = due if self.deadline is None else min(due, self.deadline)
                break
            if not self._seat(together[0], room):
                break
            found.append(together)
            self._since[method] = now
        return found

    def _seat(self, entry: Entry, room: Room) -> bool:
        if self._runs_on_loop(entry):
            seated = room.tasks > 0
            room.tasks -= seated
        else:
            seated = room.places > 0
            room.places -= seated
        self.stuck = self.stuck or not seated
        return seated
