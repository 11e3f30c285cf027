"""What the server holds to have happened: read from its append-only file, which has every write in order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pullet_broker.codec import decode
from pullet_broker.keys import LANE_KEYS
from pullet_broker.reply import read_failure, read_reply


@dataclass(frozen=True)
class Commit:
    """An outcome, and the token of the execution that it is from, where it is from one."""

    outcome: str
    token: str | None = None


@dataclass
class Story:
    """What happened to one job."""

    issued: int = 0
    """Entries on lanes, and times it was parked."""
    commits: list[Commit] = field(default_factory=list)
    revived: int = 0
    """Entries that were made after its outcome was committed."""
    killed: list[int] = field(default_factory=list)
    """The processes of the workers that a dead letter is blamed for."""


CRASH = re.compile(rb"-(\d+)\.[0-9a-f]{6} \d+ crashed")
"""In the notes of a dead letter: the worker, whose consumer's name has its process."""

Ledger = dict[str, Story]


def read_ledger(files: list[Path], prefix: str) -> Ledger:
    """The story of each job of the queue whose keys have this prefix."""
    stories: Ledger = defaultdict(Story)
    for path in files:
        for command in commands(path):
            _enter(stories, [bytes(part) for part in command], prefix.encode())
    return dict(stories)


def commands(path: Path) -> Iterator[list[bytes]]:
    """The commands of one append-only file. A crash may have left the last one incomplete, in the middle of the file
    too, where the server cut it off and went on."""
    with path.open("rb") as file:
        while line := file.readline():
            if line[:1] != b"*":
                continue  # a timestamp
            yield [_bulk(file.readline(), file.read) for _ in range(int(line[1:]))]


def _bulk(head: bytes, read: Callable[[int], bytes]) -> bytes:
    return read(int(head[1:]) + 2)[:-2]


def _enter(stories: Ledger, command: list[bytes], prefix: bytes) -> None:
    verb, key = command[0].upper(), command[1] if len(command) > 1 else b""
    if not key.startswith(prefix):
        return
    name = key[len(prefix) :].decode()
    if verb == b"SET" and name.startswith("reply:"):
        stories[name.removeprefix("reply:")].commits.append(_read_commit(command[2]))
    elif verb == b"XADD" and (name in LANE_KEYS or name.startswith("jobs:at:")):
        _issue(stories[_field(command, b"id").decode()])
    elif verb == b"XADD" and name == "dead" and _field(command, b"error").startswith(b"crashed"):
        job, notes = _field(command, b"id").decode(), _field(command, b"errors")
        stories[job].killed = [int(pid) for pid in CRASH.findall(notes)]
    elif verb == b"HSET" and name == "parked":
        for job in command[2::2]:
            _issue(stories[job.decode()])


def _issue(story: Story) -> None:
    story.issued += 1
    story.revived += bool(story.commits)


def _field(command: list[bytes], name: bytes) -> bytes:
    start = next(n for n, part in enumerate(command) if n > 1 and b"-" in part and part.replace(b"-", b"").isdigit())
    fields = command[start + 1 :]
    return dict(zip(fields[::2], fields[1::2], strict=True))[name]


def _read_commit(raw: bytes) -> Commit:
    reply = read_reply(raw)
    if reply.outcome == "ok":
        value: Any = decode(reply.payload)
        return Commit("ok", value[1])
    if reply.outcome == "error":
        args = read_failure(reply.payload).args
        return Commit("error", args[1] if len(args) == 2 else None)
    return Commit(reply.outcome)
