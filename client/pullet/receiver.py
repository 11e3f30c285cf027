"""The thread that reads the client's inbox and resolves futures, many at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pullet.arrivals import Arrivals
from pullet.outbox import Pending
from pullet.resolve import resolve
from pullet.wakeups import Batch
from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.errors import ServerError, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.mail import PROGRESS, read_name
from pullet_broker.moves.part import read_from, read_items
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

log = logging.getLogger("pullet.client")

BLOCK_MS = 10_000
REFUSED_S = 60.0
"""How long a server may refuse us before those who wait hear of it."""
LATE_S = 5.0
"""How much later than its block a read may be answered."""
SILENT_BLOCKS = 3
"""After this many blocks without a reply the open jobs are looked up by their keys."""
READ = 64
"""Inbox entries in one read; each holds the replies of one cycle."""
UNTIDY, UNTIDY_MS = 32, 50
"""How many small replies may be left behind the cursor while more are coming, and for how long: to clean up after each
would be a fifth of what a lone job costs the server."""
NUDGE_S = 0.05
"""How often a closing receiver is interrupted: it may have been just about to read."""
LOOK = 500
"""Replies looked up in one MGET."""
READ_ITEMS = 32
"""Items of a stream read at once; each may be large."""


class Receiver:
    """Reads by cursor, never pops: a read whose answer got lost is simply made again."""

    def __init__(self, queue: Queue, address: Address, client: str, open_jobs: dict[bytes, Pending]) -> None:
        self.on_doubt: Callable[[], None] = lambda: None
        """Called at a connect that comes after jobs were accepted, and when jobs are open and nothing has come for a
        while: is the server still the one that accepted them?"""
        self.on_refusal: Callable[[ServerError], None] = lambda error: None
        """Called when the server has refused to show replies for long."""
        self._refused_at: float | None = None
        self._queue, self._open = queue, open_jobs
        self._link = Link.to(queue, address, "inbox", timeout_s=BLOCK_MS / 1000 + LATE_S)
        self._clients = [client]  # the newest identity last; older ones may still get replies
        self._cursors: dict[bytes, bytes] = {}  # their inboxes, and what was read of each
        self._arrived: deque[str] = deque()  # identities that the thread has not taken up yet
        self._done: list[bytes] = []  # keys to delete
        self._reply_prefix = queue.keys.reply_prefix.encode()
        self._told = b""
        self._untidy = 0  # replies, items and reports read since the last cleaning
        self._is_quiet = False  # the last read brought nothing
        self._look_first, self._interrupted = True, False
        self._batch = Batch()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pullet-receiver", daemon=True)
        self._thread.start()

    def change_client(self, client: str) -> None:
        """Read another inbox too; the old one until its jobs have ended."""
        self._arrived.append(client)
        self.look()

    def look(self) -> None:
        """Read the inbox from its start and look up the replies of all open jobs by their keys."""
        self._look_first = self._interrupted = True
        self._link.interrupt()

    def close(self, timeout: float) -> None:
        """Stop the thread and delete the inbox and the replies it has read."""
        if self._thread is None:
            return
        self._stop.set()
        deadline = time.monotonic() + timeout
        while self._thread.is_alive() and time.monotonic() < deadline:
            if self._thread is threading.current_thread():
                break
            self._link.interrupt()
            self._thread.join(NUDGE_S)
        self._link.close()
        try:
            self._link.execute("UNLINK", *map(self._queue.keys.inbox, self._clients), *self._done)
        except ServerError:
            log.debug("left the inbox to its TTL", extra={"queue": self._queue.name})
        self._link.close()

    def _run(self) -> None:
        backoff, silent = Backoff(), 0
        while not self._stop.is_set():
            try:
                if self._look_first:
                    self._look()
                waited_ms, replies = self._read()
                self._refused_at = None
                backoff.reset()
                silent = 0 if replies or not self._open else silent + (waited_ms == BLOCK_MS)
                if silent:
                    self._tell_of_trouble()
                if silent >= SILENT_BLOCKS:
                    silent, self._look_first = 0, True
                    self.on_doubt()
            except ServerUnavailable as error:
                self._look_first = True
                if self._interrupted or self._stop.is_set():  # our own doing: no reason to wait
                    self._interrupted = False
                    continue
                log.info("waiting for the server", extra={"queue": self._queue.name, "error": str(error)})
                self._stop.wait(backoff.next_s())
            except ServerError as error:
                self._hang_up()  # with the answers that were not read yet
                self._bear(error)
                self._stop.wait(backoff.next_s())
            except Exception:  # the thread must outlive whatever one reply contains
                log.exception("cannot read replies", extra={"queue": self._queue.name})
                self._hang_up()
                self._stop.wait(backoff.next_s())

    def _hang_up(self) -> None:
        self._link.close()
        self._look_first = True

    def _bear(self, error: ServerError) -> None:
        """Refused: waiting may mend it, where a password is changed at the server first, and here a bit later."""
        if self._refused_at is None:
            self._refused_at = time.monotonic()
            log.warning("cannot read replies", extra={"queue": self._queue.name, "error": str(error)})
        elif time.monotonic() - self._refused_at > REFUSED_S:
            self.on_refusal(error)

    def _tell_of_trouble(self) -> None:
        """Jobs are open and nothing comes: say so where the pool knows why, once for each reason."""
        trouble = self._link.execute("HGET", self._queue.keys.fixed("pool"), "trouble") or b""
        if trouble and trouble != self._told:
            text = trouble.decode(errors="replace")
            log.warning("%d jobs wait for queue %r: %s", len(self._open), self._queue.name, text)
        self._told = trouble

    def _read(self) -> tuple[int, int]:
        """Clean up behind the cursor, unless it can wait, and wait for more, in one round trip.

        Says for how long at most, in milliseconds, and how much came.
        """
        cursors = self._cursors
        waits = 0 < self._untidy < UNTIDY and not self._is_quiet  # it is little, and more is coming
        commands = [] if waits else self._cleaning()
        block_ms = UNTIDY_MS if waits else BLOCK_MS
        self._link.send(*commands, ("XREAD", "COUNT", READ, "BLOCK", block_ms, "STREAMS", *cursors, *cursors.values()))
        if not waits:
            self._done, self._untidy = [], 0
        for _ in commands:
            self._link.receive()
        found = self._link.receive() or ()
        for inbox, entries in found:
            self._resolve(entries)
            cursors[inbox] = entries[-1][0]
        self._is_quiet = not found
        return block_ms, len(found)

    def _cleaning(self) -> list[tuple[Arg, ...]]:
        """Delete what was read, or else show that this client lives."""
        if self._untidy:
            trims: list[tuple[Arg, ...]] = [("XTRIM", inbox, "MINID", read) for inbox, read in self._cursors.items()]
            return [("UNLINK", *self._done), *trims] if self._done else trims
        keys: list[Arg] = [*self._cursors, *map(self._queue.keys.client, self._clients)]
        return [("PEXPIRE", key, self._queue.lifetimes.client_ms) for key in keys]

    def _resolve(self, entries: Sequence[tuple[bytes, list[bytes]]]) -> None:
        large: list[bytes] = []
        now = time.monotonic()
        with self._batch:
            for _, flat in entries:
                for job, raw in zip(flat[::2], flat[1::2], strict=True):
                    self._untidy += 1
                    if b":" in job:
                        self._hear(*read_name(job), raw)
                    elif raw:
                        self._settle(job, raw, now)
                    elif job in self._open:
                        large.append(job)
        if large:
            self._fetch(large)

    def _fetch(self, jobs: list[bytes]) -> None:
        """Look up replies by key: large ones one at a time would do, and so would many small ones at once."""
        keys = [self._queue.keys.reply(job.decode()) for job in jobs]
        found = self._link.execute("MGET", *keys)
        self._untidy += UNTIDY  # they may be large
        now = time.monotonic()
        with self._batch:
            for job, raw in zip(jobs, found, strict=True):
                if raw is not None:
                    self._settle(job, raw, now)

    def _hear(self, job: bytes, what: int | bytes, raw: bytes) -> None:
        """What comes before the reply: an item of a stream, by its index, or how far the job is.

        An item that is too large for the inbox, or comes after a gap, is read with its kin.
        """
        item = self._open.get(job)
        if item is None:
            return
        if what == PROGRESS:
            item.future.progressed(raw)
        elif isinstance(what, int) and item.arrivals is not None and not item.arrivals.feed(what, raw):
            self._read_rest(job.decode(), item.arrivals)

    def _read_rest(self, job: str, arrivals: Arrivals) -> None:
        """Everything of a stream that is stored and not here yet."""
        while found := read_items(self._link.execute(*read_from(self._queue, job, arrivals.expected, READ_ITEMS))):
            for index, raw in found:
                arrivals.feed(index, raw)

    def _settle(self, job: bytes, raw: bytes, now: float) -> None:
        item = self._open.get(job)
        if item is None:
            return  # a reply that was read before
        if item.arrivals is not None and not item.arrivals.is_complete(raw):
            self._read_rest(job.decode(), item.arrivals)
        if self._open.pop(job, None) is None:
            return  # cancelled meanwhile
        if not item.keep:
            self._done.append(self._reply_prefix + job)
            if item.arrivals is not None:
                self._done.append(self._queue.keys.part(job.decode()).encode())
        future = item.settle()
        future.accepted = True
        resolve(future, raw, self._queue, now)

    def _look(self) -> None:
        is_doubtful = not self._link.is_open and (self._link.opened > 0 or self._comes_late())
        self._link.open()
        if is_doubtful:
            self.on_doubt()
        self._look_first = False
        jobs: list[Any] = list(self._open)
        clients = [*self._clients, *(self._arrived.popleft() for _ in range(len(self._arrived)))]
        self._clients = clients if jobs else clients[-1:]
        self._cursors = {self._queue.keys.inbox(client).encode(): b"0" for client in self._clients}
        for start in range(0, len(jobs), LOOK):
            self._fetch(jobs[start : start + LOOK])
        for job, item in list(self._open.items()):
            if item.arrivals is not None:
                self._read_rest(job.decode(), item.arrivals)

    def _comes_late(self) -> bool:
        """Jobs were accepted before the first connection, maybe by another server than the one that it finds."""
        return any(item.is_own and item.future.accepted for item in list(self._open.values()))
