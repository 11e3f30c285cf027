"""Server, Ray and a pool in one foreground process; the pool starts anew when the code changes.

The pool is a child (`pullet worker`), because an engine's module is loaded once in a process. The server and Ray stay,
so jobs wait while it starts anew, and that takes some two seconds.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pullet_broker.address import PASSWORD_FILE, URL, USER, Address
from pullet_broker.embedded import EmbeddedServer
from pullet_console.screen import note

News = Literal["saved", "ended", "stop"]

DRAIN_S = 30.0
"""A running job may end before its worker is replaced."""


class Workshop:
    """Starts the pool, and starts it anew after each change, until it is told to stop."""

    def __init__(self, worker: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._worker, self._folder, self._environment = worker, folder, environment
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._over = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        watch = threading.Thread(target=self._watch, name="pullet-saves", daemon=True)
        watch.start()
        child = self._start()
        try:
            while (news := self._news.get()) != "stop":
                if news == "saved":
                    note("pullet: saved; the pool starts anew")
                    _end(child)
                    child = self._start()
                elif child.poll() is not None:
                    note(f"pullet: the pool has ended (exit code {child.returncode}); save a file to start it anew")
        finally:
            self._over.set()
            _end(child)
            watch.join(5)

    def stop(self) -> None:
        """From a signal's handler, or another thread."""
        self._news.put("stop")

    def _start(self) -> subprocess.Popen[bytes]:
        # a session of its own: Ctrl-C is for us, who let it drain
        child = subprocess.Popen(self._worker, env=self._environment, cwd=self._folder, start_new_session=True)
        threading.Thread(target=self._await, args=(child,), name="pullet-child", daemon=True).start()
        return child

    def _await(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self._news.put("ended")

    def _watch(self) -> None:
        try:
            from watchfiles import PythonFilter, watch
        except ImportError:
            note('pullet: saved files are not noticed without watchfiles: pip install "pullet[reload]"')
            return
        for _ in watch(self._folder, watch_filter=PythonFilter(), stop_event=self._over, debounce=200, step=50):
            self._news.put("saved")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let it drain."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(DRAIN_S + 10)
        return
    child.kill()
    child.wait()


@contextlib.contextmanager
def surroundings(address: Address | None, cpus: float, data: Path | None) -> Iterator[dict[str, str]]:
    """A server and a Ray cluster, unless they are named; what a child must know to use them."""
    with contextlib.ExitStack() as stack:
        if address is None:
            server = stack.enter_context(EmbeddedServer.start(data))
            address = Address(server.tcp_url)
            note(f"pullet: a server for this session; in other terminals: export {URL}={address}")
        given = {URL: address.url, USER: address.username, PASSWORD_FILE: address.password_file}
        if not os.environ.get("RAY_ADDRESS"):
            given["RAY_ADDRESS"] = stack.enter_context(_local_ray(cpus))
        environment = dict(os.environ)  # now, because Ray says here how its cluster is to be talked to (RAY_AUTH_MODE)
        environment |= {name: value for name, value in given.items() if value}
        yield environment


@contextlib.contextmanager
def _local_ray(cpus: float) -> Iterator[str]:
    import ray

    from pullet_workers.cluster import start_local_ray

    start_local_ray(cpus, log_to_driver=False)
    try:
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        ray.shutdown()


def run(
    engine: str, options: list[str], address: Address | None, cpus: float, data: Path | None, ui: list[str] | None
) -> None:
    """All of it, in the foreground, until Ctrl-C or SIGTERM. `ui`: the arguments of the dashboard, or None."""
    command = [sys.executable, "-m", "pullet_console.cli"]
    with surroundings(address, cpus, data) as environment, _dashboard(command, ui, environment):
        workshop = Workshop([*command, "worker", engine, *options], Path.cwd(), environment)
        for number in (signal.SIGTERM, signal.SIGINT):  # here, because Ray sets its own handlers when it starts
            signal.signal(number, lambda *_: workshop.stop())
        workshop.run()


@contextlib.contextmanager
def _dashboard(command: list[str], arguments: list[str] | None, environment: dict[str, str]) -> Iterator[None]:
    if arguments is None:
        yield
        return
    child = subprocess.Popen([*command, "ui", *arguments], env=environment, start_new_session=True)
    try:
        yield
    finally:
        _end(child)
