"""The faults: what each one does, to whom, for how long. Each is noted in the history, with the process that it hit."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.chaos.cast import Callers, controller_pid, is_there, ports_of, worker_pids
from tests.chaos.history import Recorder
from tests.chaos.plan import Act
from tests.chaos.store import Store
from tests.support.leaks import wait_until
from tests.support.proxy import Pipe, Proxy

STEP_S = 900
"""The wall clock of the server is set this far ahead or back, at most."""
CONNECTIONS = ("", "", ":take", ":beat", ":stops", ":errands", ":send", ":inbox", ":controller")
"""Which connections a fault of the network hits: all, or those with this in their names."""


class Faults:
    """Does what the plan says. Faults that last go on beside the next ones."""

    def __init__(self, queue: Queue, store: Store, proxy: Proxy, callers: Callers, recorder: Recorder) -> None:
        self._queue, self._store, self._proxy = queue, store, proxy
        self._callers, self._recorder = callers, recorder
        self._threads = ThreadPoolExecutor(32, "fault")
        self._over = threading.Event()
        self._stopped: set[int] = set()
        self.done: dict[str, int] = {}
        """How often each has come."""

    def run(self, acts: list[Act], began_at: float, until: float) -> None:
        """All of them, in their time. Ends when the last is over, not before `until`, and everything runs again."""
        asked = []
        for act in acts:
            self._over.wait(max(0.0, began_at + act.at_s - time.monotonic()))
            asked.append(self._threads.submit(self._do, act))
        for one in asked:
            one.result()
        self._over.wait(max(0.0, until - time.monotonic()))
        self._heal()

    def close(self) -> None:
        self._over.set()
        self._threads.shutdown()

    def _do(self, act: Act) -> None:
        self._recorder.note("fault", kind=act.what)
        done = ACTS[act.what](self, act)
        if done:
            self.done[act.what] = self.done.get(act.what, 0) + 1
        self._recorder.note("fault over", kind=act.what, done=done)

    def _heal(self) -> None:
        for pid in list(self._stopped):
            self._continue(pid, lasted=True)
        for pipe in self._proxy.pipes():
            pipe.release()
        self._store.step_clock(3 * STEP_S)  # what is parked follows the server's clock: now all of it is due

    # -- processes

    def _kill_worker(self, act: Act) -> bool:
        return self._hit(self._worker(act), signal.SIGKILL)

    def _terminate_worker(self, act: Act) -> bool:
        return self._hit(self._worker(act), signal.SIGTERM)

    def _stop_worker(self, act: Act) -> bool:
        """For less than its lease: nothing may come of it."""
        return self._stop(self._worker(act), 0.5 + 1.5 * act.length)

    def _hang_worker(self, act: Act) -> bool:
        """For so long that the controller replaces it."""
        pid = self._worker(act)
        return self._stop(pid, 20.0, until=lambda: not is_there(pid or 0))

    def _orphan_worker(self, act: Act) -> bool:
        """Nobody vouches for it: it counts as dead after a lease, and goes on after that."""
        pid = self._worker(act)
        if pid is None or not self._kill_controller(act):
            return False
        known = self._queue.keys.fixed("workers")
        return self._stop(pid, 3 * self._queue.lease.seconds, until=lambda: pid not in self._pids(known))

    def _kill_controller(self, act: Act) -> bool:
        return self._hit(controller_pid(), signal.SIGKILL)

    def _kill_caller(self, act: Act) -> bool:
        pid = self._callers.kill(int(act.pick * self._callers.count))
        self._recorder.note("hit", pid=pid, how="SIGKILL")
        return bool(pid)

    # -- the server

    def _kill_server(self, act: Act) -> bool:
        with self._store.busy:
            self._recorder.note("server down", killed=True)
            self._store.crash()
            self._over.wait(2 * act.length)
            self._store.start_again()
            self._proxy.come_up(self._store.url)
            self._recorder.note("server up")
        return True

    def _stop_server(self, act: Act) -> bool:
        with self._store.busy:
            self._recorder.note("server down", killed=False)
            os.kill(self._store.pid, signal.SIGSTOP)
            self._over.wait(0.5 + 2 * self._queue.lease.seconds * act.length)
            os.kill(self._store.pid, signal.SIGCONT)
            self._recorder.note("server up")
        return True

    def _fill_server(self, act: Act) -> bool:
        """It has no room for new jobs. Other faults may come meanwhile; one that is started anew has room again."""
        if self._ask("CONFIG", "SET", "maxmemory", 1) is None:
            return False
        self._over.wait(0.5 + 3 * act.length)
        while self._ask("CONFIG", "SET", "maxmemory", 0) is None and not self._over.wait(0.1):
            continue
        return True

    def _flush_scripts(self, act: Act) -> bool:
        with self._store.busy:
            return self._ask("SCRIPT", "FLUSH") is not None

    def _step_clock(self, act: Act) -> bool:
        self._store.step_clock(round(STEP_S * (2 * act.length - 1)))
        return self._store.has_clock

    # -- the network

    def _cut(self, act: Act) -> bool:
        return _all(self._some(act), Pipe.cut)

    def _hold(self, act: Act) -> bool:
        """Half-open; in the end it all arrives late, or never."""
        held = self._some(act)
        for pipe in held:
            pipe.flowing.clear()
        self._over.wait(0.5 + 2 * self._queue.lease.seconds * act.length)
        return _all(held, Pipe.release if act.length < 0.5 else Pipe.cut)

    def _lose_replies(self, act: Act) -> bool:
        mute = self._some(act)
        for pipe in mute:
            pipe.muted = True
        self._over.wait(0.1 + act.length)
        return _all(mute, Pipe.cut)

    def _slow_down(self, act: Act) -> bool:
        slow = self._proxy.delay(0.02 + 0.2 * act.length)
        self._over.wait(2 + 2 * act.length)
        for pipe in slow:
            pipe.delay_s = 0.0
        return bool(slow)

    def _deliver_late(self, act: Act) -> bool:
        """What a worker had sent when it was killed arrives when its jobs have been run elsewhere."""
        pid = self._worker(act)
        if pid is None:
            return False
        ports = ports_of(pid)
        held = [pipe for pipe in self._proxy.pipes() if pipe.port in ports]
        for pipe in held:
            pipe.flowing.clear()
        self._over.wait(0.2)
        self._hit(pid, signal.SIGKILL)
        self._over.wait(2 + 2 * act.length)
        return _all(held, Pipe.release)

    def _sever(self, act: Act) -> bool:
        """Who was cut off has connected again and sent it again when it arrives."""
        severed = self._some(act)
        for pipe in severed:
            pipe.flowing.clear()
        self._over.wait(0.3)
        _all(severed, Pipe.sever)
        self._over.wait(0.5 + 2 * act.length)
        return _all(severed, Pipe.release)

    # -- parts of them

    def _worker(self, act: Act) -> int | None:
        pids = [pid for pid in self._pids(self._queue.keys.fixed("workers")) if pid not in self._stopped]
        return pids[int(act.pick * len(pids))] if pids else None

    def _pids(self, known: str) -> list[int]:
        link = Link(Address(self._store.url), "chaos", timeout_s=1.0)
        with contextlib.closing(link):
            return worker_pids(link, known)

    def _hit(self, pid: int | None, how: signal.Signals, noted: str = "hit") -> bool:
        if pid is None:
            return False
        self._recorder.note(noted, pid=pid, how=how.name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        return True

    def _stop(self, pid: int | None, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """With a condition it is for so long that it may count as dead."""
        if pid is None or not self._hit(pid, signal.SIGSTOP, "hit" if until else "paused"):
            return False
        self._stopped.add(pid)
        wait_until(lambda: self._over.wait(0.1) or (until is not None and until()), seconds)
        self._continue(pid, lasted=until is not None)
        return True

    def _continue(self, pid: int, lasted: bool) -> None:
        self._stopped.discard(pid)
        if is_there(pid):
            self._hit(pid, signal.SIGCONT, "continued" if lasted else "resumed")

    def _some(self, act: Act) -> list[Pipe]:
        return self._proxy.pipes(CONNECTIONS[int(act.pick * len(CONNECTIONS))]) or self._proxy.pipes()

    def _ask(self, *command: str) -> object:
        link = Link(Address(self._store.url), "chaos", timeout_s=1.0)
        with contextlib.closing(link), contextlib.suppress(ServerError):
            return link.execute(*command)
        return None


def _all(pipes: list[Pipe], do: Callable[[Pipe], None]) -> bool:
    for pipe in pipes:
        do(pipe)
    return bool(pipes)


ACTS: dict[str, Callable[[Faults, Act], bool]] = {
    "kill a worker": Faults._kill_worker,
    "stop a worker": Faults._stop_worker,
    "hang a worker": Faults._hang_worker,
    "terminate a worker": Faults._terminate_worker,
    "kill a caller": Faults._kill_caller,
    "kill the controller": Faults._kill_controller,
    "stop a worker and kill the controller": Faults._orphan_worker,
    "kill the server": Faults._kill_server,
    "stop the server": Faults._stop_server,
    "fill the server": Faults._fill_server,
    "flush the scripts": Faults._flush_scripts,
    "cut connections": Faults._cut,
    "hold connections": Faults._hold,
    "lose replies": Faults._lose_replies,
    "slow connections": Faults._slow_down,
    "deliver late what the dead had sent": Faults._deliver_late,
    "deliver late what was cut off": Faults._sever,
    "step the clock": Faults._step_clock,
}
