"""The one place where the command line and the dashboard ask Redis: thin, and safe to share between threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from pullet_broker.address import Address
from pullet_broker.events import Ended, events_after, read_events
from pullet_broker.inspection import ServerFacts, ask_facts
from pullet_broker.link import Link
from pullet_broker.moves.survey import survey
from pullet_broker.scripting import Arg, Call
from pullet_broker.settings import Queue
from pullet_console.reading.asking import ask_all
from pullet_console.reading.detail import find_job
from pullet_console.reading.job import JobDetail
from pullet_console.reading.jobs import JobPage
from pullet_console.reading.keymap import SIZES
from pullet_console.reading.letters import LetterGroup, LetterPage
from pullet_console.reading.paging import list_jobs
from pullet_console.reading.post import group_letters, list_letters
from pullet_console.reading.queues import (
    QUEUES,
    Look,
    QueueSummary,
    WorkerView,
    ask_numbers,
    list_workers,
    read_look,
    read_names,
    summarise,
)

T = TypeVar("T")

SCANNED = 10_000
"""Keys that one SCAN looks at: 0.3 ms of the server's time for each thousand."""
LOOKED_AT = 100
"""Queues that one round trip looks at."""


class Reader:
    """What Redis knows of its queues, asked anew by each call.

    Raises `ServerUnavailable` and `ServerRefused` as the client does. A connection that broke is opened again by the
    next call.
    """

    def __init__(self, address: Address | str) -> None:
        self.address = Address.of(address)
        self._link = Link(self.address, "pullet:console")
        self._lock = threading.Lock()

    def server(self) -> ServerFacts:
        """What the server says of itself."""
        with self._asking() as link:
            return ask_facts(link)

    def queues(self) -> list[str]:
        """The names of all queues of the server, by a SCAN over its keys: jobs are no keys, kept replies are."""
        names: set[str] = set()
        with self._asking() as link:
            cursor = b"0"
            while True:
                cursor, keys = link.execute("SCAN", cursor, "MATCH", QUEUES, "COUNT", SCANNED)
                names |= read_names(keys)
                if cursor == b"0":
                    return sorted(names)

    def now(self) -> float:
        """The server's clock, in seconds since the epoch."""
        seconds, micros = self.ask("TIME")
        return int(seconds) + int(micros) / 1e6

    def events(self, name: str) -> list[Ended]:
        """The attempts that ended while somebody watched, as far as they are kept, the oldest first."""
        found: list[Ended] = []
        cursor = ""
        with self._asking() as link:
            while entries := link.execute(*events_after(Queue(name=name), cursor)):
                ended, cursor = read_events(entries)
                found += ended
        return found

    def exists(self, name: str) -> bool:
        """Is there such a queue? From its first job or worker on there is."""
        return bool(self.ask("EXISTS", Queue(name=name).keys.fixed("config")))

    def looks(self, names: Sequence[str]) -> list[Look]:
        """One look at each of these queues: the numbers and the workers of one moment."""
        found = []
        with self._asking() as link:
            for first in range(0, len(names), LOOKED_AT):
                found += _look(link, [Queue(name=name) for name in names[first : first + LOOKED_AT]])
        return found

    def summaries(self, names: Sequence[str] | None = None) -> list[QueueSummary]:
        """These queues in numbers, or all of the server."""
        return [summarise(look) for look in self.looks(self.queues() if names is None else names)]

    def workers(self, name: str) -> list[WorkerView]:
        """The workers that are registered at a queue."""
        return list_workers(self.looks([name])[0])

    def jobs(self, name: str, state: str, *, after: str = "", limit: int = 50, method: str = "") -> JobPage:
        """Up to `limit` jobs in a state ("waiting", "running", "delayed"), behind a cursor. See `paging.list_jobs`."""
        with self._asking() as link:
            return list_jobs(link, Queue(name=name), state, after=after, limit=limit, method=method)

    def job(self, name: str, job: str) -> JobDetail:
        """One job, whatever has become of it."""
        with self._asking() as link:
            return find_job(link, Queue(name=name), job)

    def letters(self, name: str, *, before: str = "", limit: int = 50, method: str = "", error: str = "") -> LetterPage:
        """Up to `limit` dead letters, the newest first. `error`: the type of the last error, with or without module."""
        with self._asking() as link:
            return list_letters(link, Queue(name=name), before=before, limit=limit, method=method, error=error)

    def letter_groups(self, name: str) -> list[LetterGroup]:
        """All dead letters by method and error, the largest group first."""
        with self._asking() as link:
            return group_letters(link, Queue(name=name))

    def sizes(self, keys: Sequence[str]) -> dict[str, int]:
        """How much each of these keys holds: entries, members, fields, bytes. Those that are not there are left out."""
        with self._asking() as link:
            kinds = ask_all(link, [("TYPE", key) for key in keys])
            there = [
                (key, SIZES[kind.decode()]) for key, kind in zip(keys, kinds, strict=True) if kind.decode() in SIZES
            ]
            sizes = ask_all(link, [(command, key) for key, command in there])
        return {key: int(held) for (key, _), held in zip(there, sizes, strict=True)}

    def ask(self, *command: Arg) -> Any:
        """One command."""
        with self._asking() as link:
            return link.execute(*command)

    def run(self, call: Call[T]) -> T:
        """One script."""
        with self._asking() as link:
            return link.run(call)

    def close(self) -> None:
        with self._lock:
            self._link.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _asking(self) -> Iterator[Link]:
        with self._lock:
            yield self._link


def _look(link: Link, queues: Sequence[Queue]) -> list[Look]:
    seconds, micros = link.execute("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    surveys = link.run_all([survey(queue) for queue in queues])
    numbers = ask_all(link, [command for queue in queues for command in ask_numbers(queue, now_ms)])
    each = len(numbers) // len(queues) if queues else 0
    return [
        read_look(queue.name, now_ms, found, numbers[i * each : (i + 1) * each])
        for i, (queue, found) in enumerate(zip(queues, surveys, strict=True))
    ]
