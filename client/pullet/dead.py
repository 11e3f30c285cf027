"""The dead letters of a queue: the jobs that failed for good, to be looked at, run once more, or thrown away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from pullet.html import grid
from pullet_broker.address import Address
from pullet_broker.codec import decode_call
from pullet_broker.errors import QueueFull
from pullet_broker.letter import DeadLetter, arguments_expired, read_letter
from pullet_broker.link import Link
from pullet_broker.moves.dead import (
    PAGE,
    Replay,
    Replayed,
    count_letters,
    letter_at,
    letters_after,
    letters_before,
    newest_letter,
    place_of_letter,
    purge,
    replay,
)
from pullet_broker.schema import schema_mismatch
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue

T = TypeVar("T")

SHOWN = 20
"""The most letters that a notebook shows."""


class DeadLetters:
    """What `Client.dead` gives. Each call asks the server, so on an event loop use `asyncio.to_thread`.

    A job is named by its id (`Future.job_id`, `DeadLetter.id`). At most `Limits.dead_letters` are kept, the newest.
    `method=` and `error=` of the calls that act on many choose by the method's name, and by the type of the last error:
    a class, its name, or its name with the module.
    """

    def __init__(self, queue: Queue, address: Address) -> None:
        self._queue, self._address = queue, address

    def __len__(self) -> int:
        return int(self._execute(*count_letters(self._queue)))

    def __iter__(self) -> Iterator[DeadLetter]:
        return self.list()

    def __repr__(self) -> str:
        return f"<pullet.DeadLetters of {self._queue.name}>"

    def _repr_html_(self) -> str:
        """A notebook shows the newest ones, the newest first."""
        letters = [self._read(entry) for entry in self._execute(*letters_before(self._queue, "", SHOWN))]
        title = f"{len(self)} dead letters of {self._queue.name}"
        return grid(title, ("died", "job", "method", "attempts", "error", "it said"), map(_row, letters))

    def list(self, *, limit: int | None = None, after: str = "") -> Iterator[DeadLetter]:
        """The letters, the newest last, read as they are asked for; at most `limit`.

        `after` is the `cursor` of the letter to go on behind.
        """
        return self._walk(limit, after, "+")

    def get(self, id: str) -> DeadLetter | None:
        """The letter of a job, or None."""
        place = self._execute(*place_of_letter(self._queue, id))
        found = place and self._execute(*letter_at(self._queue, place.decode()))
        return self._read(found[0]) if found else None

    def replay(self, id: str) -> bool:
        """Run the job once more as if it were new, with all its retries. False when there is no such letter, or a later
        job with the same `options(id=)` is open or has an outcome.

        Its id stays, so `options(keep=)` counts for the new reply, and its client is told of it. Raises `QueueFull`,
        `ServerFull`, or `JobUnreadable` when its large arguments have expired; the letter then stays.
        """
        with self._link() as link:
            replayed = link.run(replay(self._queue, id))
        self._check(replayed)
        if replayed.answer is Replay.GONE:
            raise arguments_expired(id)
        return replayed.answer is Replay.OK

    def replay_all(self, *, method: str | None = None, error: type[BaseException] | str | None = None) -> int:
        """Replay all letters that are there now and fit; says how many. Those whose arguments have expired stay.

        `QueueFull` ends it half-way: its `replayed` says how many were, and a repeated call goes on.
        """
        done = 0
        for replayed in self._act(replay, method, error):
            self._check(replayed, done)
            done += replayed.answer is Replay.OK
        return done

    def purge(self, id: str) -> bool:
        """Throw a letter away. False when there is none."""
        with self._link() as link:
            return link.run(purge(self._queue, id))

    def purge_all(self, *, method: str | None = None, error: type[BaseException] | str | None = None) -> int:
        """Throw away all letters that are there now and fit; says how many."""
        return sum(self._act(purge, method, error))

    def _act(
        self,
        move: Callable[[Queue, str], Call[T]],
        method: str | None,
        error: type[BaseException] | str | None,
    ) -> Iterator[T]:
        """What the move answers for each letter that fits. A job that dies again meanwhile is not met again."""
        newest = self._execute(*newest_letter(self._queue))
        if not newest:
            return
        letters = self._walk(None, "", newest[0][0].decode())
        chosen = (one.id for one in letters if method in (None, one.method) and _has_error(one, error))
        while jobs := [job for _, job in zip(range(PAGE), chosen, strict=False)]:
            with self._link() as link:
                yield from link.run_all([move(self._queue, job) for job in jobs])

    def _walk(self, limit: int | None, cursor: str, last: str) -> Iterator[DeadLetter]:
        left = limit
        while left is None or left > 0:
            page = self._execute(*letters_after(self._queue, cursor, last))
            for entry in page if left is None else page[:left]:
                yield self._read(entry)
            if len(page) < PAGE:
                return
            cursor = page[-1][0].decode()
            left = None if left is None else left - len(page)

    def _read(self, entry: Any) -> DeadLetter:
        place, flat = entry
        limit, pickles = self._queue.limits.args_bytes, self._queue.encoding.reads_pickles
        return read_letter(place, flat, self._fetch, partial(decode_call, limit=limit, pickles=pickles))

    def _fetch(self, job: str) -> bytes | None:
        payload: bytes | None = self._execute("GET", self._queue.keys.blob(job))
        return payload

    def _check(self, replayed: Replayed, done: int = 0) -> None:
        name = self._queue.name
        if replayed.answer is Replay.SCHEMA:
            raise schema_mismatch(self._queue)
        if replayed.answer is Replay.FULL:
            raise QueueFull(
                f"queue {name!r} holds {replayed.backlog} jobs, its limit is {replayed.limit}: the letter stays; "
                "wait for some to finish, add workers, or raise the limit",
                queue=name,
                backlog=replayed.backlog,
                limit=replayed.limit,
                replayed=done,
            )

    def _execute(self, *command: Any) -> Any:
        with self._link() as link:
            return link.execute(*command)

    def _link(self) -> contextlib.closing[Link]:
        return contextlib.closing(Link.to(self._queue, self._address, "dead"))


def _row(letter: DeadLetter) -> tuple[object, ...]:
    died = datetime.fromtimestamp(letter.died_at).isoformat(" ", "seconds")
    return died, letter.id, letter.method, letter.attempts, letter.error_type, letter.error


def _has_error(letter: DeadLetter, error: type[BaseException] | str | None) -> bool:
    if error is None:
        return True
    if isinstance(error, str):
        return error in (letter.error_type, letter.error_type.rpartition(".")[2])
    module = "pullet" if error.__module__.startswith("pullet_broker.") else error.__module__
    return letter.error_type in (f"{error.__module__}.{error.__qualname__}", f"{module}.{error.__qualname__}")
