"""The thread that sends jobs: groups them into batches, keeps several on the way, and never doubles one."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture
from typing import Any

from pullet.line import Line
from pullet.outbox import Batch, Outbox, Pending
from pullet.refusals import answer_lost, buffer_full, not_submitted, queue_full
from pullet.requests import Requests
from pullet_broker.address import Address
from pullet_broker.backoff import Backoff
from pullet_broker.errors import ClientClosed, PulletError, ServerError, ServerFull, ServerUnavailable
from pullet_broker.job import new_client_id
from pullet_broker.moves.submit import Answer, Submitted
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_broker.translation import ScriptMissing

log = logging.getLogger("pullet.client")

AHEAD = 4
"""Batches sent before the first of them is answered."""
SMALL_BYTES = 8 << 10
"""Up to this a lone job is sent by the thread that submits it: to wake another one takes longer."""
LINGER_S = 0.02
"""How long the answer to such a job is left to the thread that submits the next one."""
NEVER = float("-inf")
BUFFER_JOBS, BUFFER_BYTES = 100_000, 256 << 20
"""What may wait to be sent before `submit` holds its caller back."""


class Sender:
    """Owns the outbox, the client's identity, and the connection that jobs go out on."""

    def __init__(self, queue: Queue, address: Address, reject: Callable[[Pending, PulletError], None]) -> None:
        self.client = new_client_id()
        self.on_identity: Callable[[str], None] = lambda client: None
        """Called with a new identity, before anything is sent under it."""
        self.on_new_inbox: Callable[[], None] = lambda: None
        """Called when the inbox had vanished and was made again."""
        self.on_forgotten: Callable[[int, int], None] = lambda first, last: None
        """Called with the numbers of accepted jobs that the server forgot and that cannot be sent again."""
        self._queue, self._reject = queue, reject
        self._line = Line(queue, address)
        self._announced = False
        self._outbox = Outbox(queue.limits)
        self._calls = Requests()
        self._backoff = Backoff()
        self._patience = Backoff(first_s=0.1, most_s=2.0)  # each reply makes room for one job, a moment for a batch
        self._probe_at = 0.0
        self._in_doubt = False  # a full server has not told which jobs it has got
        self._lock = threading.RLock()  # taken by itself where nobody waits: that runs no Python code
        self._changed = threading.Condition(self._lock)
        self._rests = False  # the thread waits for work
        self._sleeps = False  # and does so until it is woken
        self._sent_at = NEVER  # when another thread sent a lone job last
        self._trouble: ServerError | None = None  # that it had
        self._flushing = 0  # how many wait for the answers
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, item: Pending, *, alone: bool = False) -> None:
        """Queue a job. Waits while the buffer is full, unless that would block an event loop: then it raises.

        `alone`: its client has no other job without an outcome.
        """
        with self._lock:
            if self._outbox.waiting >= BUFFER_JOBS or self._outbox.size >= BUFFER_BYTES:
                self._wait_for_room()
            if self._closing:
                raise ClientClosed("submit after close; connect again", queue=self._queue.name)
            self._outbox.put(item)
            if self._thread is None or (self._rests and not (alone and self._send_at_once(item))):
                self._wake()

    def ask(self, call: Call[Any]) -> PlainFuture[Any]:
        """Run another script of this client on the sender's connection."""
        with self._changed:
            if not self._closing:
                self._wake()
                return self._calls.add(call)
        refused: PlainFuture[Any] = PlainFuture()
        refused.set_exception(ClientClosed("the client is closed", queue=self._queue.name))
        return refused

    def withdraw(self, job_id: str) -> bool:
        """Take a job back that the server does not have, and will not get."""
        with self._changed:
            return self._outbox.withdraw(job_id)

    def check_mark(self) -> None:
        """Compare what the server accepted with what we think it did, and send again what it forgot."""
        with self._changed:
            self._announced = False
            self._wake()

    def flush(self, timeout: float | None) -> bool:
        """Wait until every job was accepted or rejected; False when the time ran out."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: len(self._outbox) == 0 and not self._calls, timeout)
            finally:
                self._flushing -= 1

    def close(self, timeout: float) -> list[Pending]:
        """Stop the thread; returns the jobs that were never accepted."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
            if thread.is_alive():
                self._line.interrupt()
                thread.join(timeout)
        self._line.close()
        return self._outbox.abandon()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pullet-sender", daemon=True)
            self._thread.start()
        else:
            self._changed.notify_all()

    def _wait_for_room(self) -> None:
        if _on_event_loop():
            raise buffer_full(self._queue, self._outbox.waiting, BUFFER_JOBS)
        self._changed.wait_for(
            lambda: self._closing or (self._outbox.waiting < BUFFER_JOBS and self._outbox.size < BUFFER_BYTES)
        )

    # -- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._rest()
                if self._closing:
                    return
            try:
                self._turn()
                self._backoff.reset()
            except ScriptMissing:
                self._line.close()  # announcing again loads the script; nothing had run
            except ServerUnavailable as error:
                self._line.close()  # answers that are still to come belong to nobody now
                self._announced = False
                self._pause(error)
            except ServerError as error:
                self._give_up(error)
            except Exception as error:  # whoever waits must hear of it, whatever it is
                log.exception("the sender failed", extra={"queue": self._queue.name})
                self._give_up(ServerError(f"the sender failed: {type(error).__name__}: {error}"))

    def _rest(self) -> None:
        """Until there is work, or a full queue may be asked again."""
        self._rests = True
        while not self._has_work():
            lingers_s = self._sent_at + LINGER_S - time.monotonic()
            self._sleeps = lingers_s <= 0
            woken = self._changed.wait(self._until_probe() if self._sleeps else lingers_s)
            if self._sleeps and not woken:
                break
        self._rests = self._sleeps = False

    def _has_work(self) -> bool:
        if self._closing or not self._announced or self._calls or self._outbox.has_unsent or self._trouble:
            return True
        return bool(self._outbox.flying) and not self._is_left_to_others()

    def _is_left_to_others(self) -> bool:
        """Whoever submitted the job that is on its way takes the answer when it submits the next one, which is soon."""
        return not self._flushing and time.monotonic() < self._sent_at + LINGER_S

    def _until_probe(self) -> float | None:
        """Seconds until a full queue or server is asked again; None when nothing waits for that."""
        return max(0.0, self._probe_at - time.monotonic()) if self._outbox.stuck or self._in_doubt else None

    def _send_at_once(self, item: Pending) -> bool:
        """Send a lone job in the thread that submits it, while the sender rests. False: the sender must be woken.

        It never waits, since so little fits into the socket. Any trouble is the sender's.
        """
        is_ready = self._announced and self._line.is_open and not (self._trouble or self._flushing or self._calls)
        if item.size > SMALL_BYTES or not is_ready:
            return False
        now, owed = time.monotonic(), len(self._outbox.flying)
        try:
            batch = self._outbox.next_batch() if owed < AHEAD else None
            if batch is None:
                return False
            self._line.send(self.client, batch)
            if owed:  # while the server is at work
                answer = self._line.hear_plain()
                if answer is None:
                    self._sent_at = NEVER
                    return False
                self._outbox.answered(answer, now)
        except ServerError as error:
            self._trouble = error
            return False
        except BaseException:  # an interrupt by the user: the sender asks what has got there
            self._line.close()
            self._announced = False
            self._wake()
            raise
        self._sent_at = now
        return not self._sleeps

    def _turn(self) -> None:
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        if not self._line.is_open or not (self._announced or self._outbox.flying):
            self._announce()
            if not self._line.is_open:
                return
        if self._announced and not self._calls:
            self._send_ahead()
        if self._outbox.flying:
            self._take_answer()
        else:
            self._run_calls()

    def _announce(self) -> None:
        has_jobs = len(self._outbox) > 0
        try:
            answer = self._line.announce(self.client, self._outbox.next_number)
        except ServerUnavailable as error:
            self._shed(error)
            raise
        except ServerFull as error:
            self._run_calls()  # they need no room
            self._put_off(error, has_jobs)
            return
        except ScriptMissing:
            raise
        except ServerError as error:
            for item in self._outbox.doubtful:
                self._reject(item, answer_lost(item.job.id, error))
            raise
        self._announced, self._in_doubt = True, False
        with self._changed:
            forgotten = self._outbox.resume(answer.mark, time.monotonic())
        self._after(answer, forgotten)

    def _put_off(self, error: ServerFull, had_jobs: bool) -> None:
        """A full server does not say which jobs it has got: it is asked again, as for those that wait for room. The
        others that were never sent end here. Where there were no jobs when it was asked, those that came since ask
        anew: there may be room by now."""
        self._announced = True
        self._line.close()
        with self._changed:
            refused = self._outbox.refuse() if had_jobs else []
            self._in_doubt = bool(self._outbox.doubtful)
            self._probe_at = time.monotonic() + self._patience.next_s()
            self._changed.notify_all()
        for item in refused:
            self._reject(item, error)

    def _shed(self, error: ServerUnavailable) -> None:
        with self._changed:
            unsent, sent = self._outbox.shed()
            self._changed.notify_all()
        for item in unsent:
            self._reject(item, not_submitted(item.job.id, error))
        for item in sent:
            self._reject(item, answer_lost(item.job.id, error))

    def _send_ahead(self) -> None:
        """In one write: after each the thread waits until its caller, who is busy, lets go of the interpreter."""
        batches: list[Batch] = []
        with self._changed:
            while (
                len(self._outbox.flying) < AHEAD and (batch := self._outbox.next_batch() or self._probe()) is not None
            ):
                batches.append(batch)
            self._changed.notify_all()
        if batches:
            self._line.send(self.client, *batches)

    def _probe(self) -> Batch | None:
        return self._outbox.probe() if time.monotonic() >= self._probe_at else None

    def _take_answer(self) -> None:
        answer, refusal = self._line.hear()
        with self._changed:
            verdict = self._outbox.answered(answer, time.monotonic())
            self._note_room()
            self._changed.notify_all()
        for item in verdict.rejected:
            self._reject(item, queue_full(self._queue, answer))
        self._after(answer, verdict.forgotten)
        if refusal is not None and answer.answer is Answer.GAP:
            raise refusal

    def _note_room(self) -> None:
        if not self._outbox.stuck:
            self._patience.reset()
        elif time.monotonic() >= self._probe_at:
            self._probe_at = time.monotonic() + self._patience.next_s()

    def _after(self, answer: Submitted, forgotten: tuple[int, int] | None) -> None:
        if forgotten:
            self._start_anew(*forgotten)
        elif answer.new_inbox and answer.mark > 0:
            self.on_new_inbox()

    def _start_anew(self, first: int, last: int) -> None:
        log.warning("the server forgot accepted jobs", extra={"queue": self._queue.name, "first": first, "last": last})
        self.on_forgotten(first, last)
        with self._changed:
            self.client = new_client_id()
            self._outbox.renew()
            self._announced = False
        self.on_identity(self.client)

    def _run_calls(self) -> None:
        while self._calls:
            self._calls.run_first(self._line)
            with self._changed:
                self._changed.notify_all()

    def _pause(self, error: ServerUnavailable) -> None:
        log.info("waiting for the server", extra={"queue": self._queue.name, "error": str(error)})
        with self._changed:
            self._changed.wait_for(lambda: self._closing, self._backoff.next_s())

    def _give_up(self, error: ServerError) -> None:
        """A refusal that waiting does not mend: everything unsent ends with it, but for what needs no room, or waits
        for some."""
        self._announced, self._in_doubt = True, False
        self._line.close()
        with self._changed:
            items, refused = self._outbox.abandon(), Requests()
            if isinstance(error, ServerFull):
                self._outbox.hold(item for item in items if item.waits)
                items = [item for item in items if not item.waits]
            else:
                refused, self._calls = self._calls, refused
            self._note_room()
            self._changed.notify_all()
        for item in items:
            self._reject(item, error)
        refused.refuse(error)


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
