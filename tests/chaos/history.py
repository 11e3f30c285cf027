"""What each process did, in a file of its own: one line of JSON an event, so that a `kill -9` loses none."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    at: float
    """On the monotonic clock, which all processes of a machine share."""
    pid: int
    what: str
    about: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.about[name]


class Recorder:
    """Appends to the file of this process. Each event is one `write`, so that lines of threads do not mix."""

    def __init__(self, folder: Path, who: str) -> None:
        path = folder / f"{who}-{os.getpid()}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, **about: Any) -> None:
        os.write(self._file, json.dumps([time.monotonic(), os.getpid(), what, about]).encode() + b"\n")


def read_history(folder: Path, who: str = "*") -> list[Event]:
    """The events of all processes, in the order in which they happened."""
    found = [event for path in sorted(folder.glob(f"{who}-*.jsonl")) for event in _read(path.read_bytes())]
    return sorted(found, key=lambda event: event.at)


def _read(data: bytes) -> Iterator[Event]:
    *lines, rest = data.split(b"\n")
    del rest  # empty, or the line that a process was killed in the middle of
    for line in lines:
        at, pid, what, about = json.loads(line)
        yield Event(at, pid, what, about)


def of_kind(events: Iterable[Event], *what: str) -> list[Event]:
    return [event for event in events if event.what in what]
