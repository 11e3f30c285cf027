"""Who plays in a run: the caller processes, and the processes of workers and controller, which are Ray's."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from tests.chaos.caller import Part

CONSUMER = re.compile(rb"-(\d+)\.[0-9a-f]{6}$")
"""The process of a worker is in its consumer's name."""


class Callers:
    """The caller processes. One that is killed is followed by another in its place."""

    def __init__(self, parts: list[Part], log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._parts = parts
        self._processes = [self._start(part) for part in parts]

    @property
    def count(self) -> int:
        return len(self._parts)

    def kill(self, index: int) -> int:
        """Returns the process that it was."""
        with self._lock:
            process = self._processes[index]
            if process.poll() is not None:
                return 0
            process.kill()
            process.wait()
            part = self._parts[index]
            self._parts[index] = dataclasses.replace(part, incarnation=part.incarnation + 1)
            self._processes[index] = self._start(self._parts[index])
            return process.pid

    def wait(self, until: float) -> None:
        """For all of them, up to that moment of the monotonic clock."""
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, part: Part) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.chaos.caller", pickle.dumps(part).hex()]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, stderr=log, stdout=log)


def worker_pids(link: Link, key: str) -> list[int]:
    """The processes of the workers that the queue knows; none while the server is away."""
    try:
        names = link.execute("HKEYS", key)
    except ServerError:
        return []
    found = [match for match in map(CONSUMER.search, names) if match]
    return sorted(pid for pid in {int(match[1]) for match in found} if is_there(pid))


def controller_pid() -> int | None:
    """The process of the controller: a descendant of this one that Ray gave its name."""
    for pid in _descendants(os.getpid()):
        if _read(pid, "cmdline").startswith(b"ray::Keeper"):
            return pid
    return None


def is_there(pid: int) -> bool:
    """It lives: a zombie does not."""
    return _read(pid, "stat").rpartition(b") ")[2][:1] not in (b"", b"Z", b"X")


def ports_of(pid: int) -> set[int]:
    """The local ports of the TCP connections of a process."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[9] in inodes}


def _descendants(pid: int) -> list[int]:
    parents = {int(path.name): _read(int(path.name), "stat") for path in Path("/proc").glob("[0-9]*")}
    children: dict[int, list[int]] = {}
    for child, stat in parents.items():
        if stat:
            children.setdefault(int(stat.rpartition(b") ")[2].split()[1]), []).append(child)
    found, line = [], [pid]
    while line:
        some = children.get(line.pop(), [])
        found += some
        line += some
    return found


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
