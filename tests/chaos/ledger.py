"""What the server holds to have happened: read from its append-only file, which has every write in order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

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

COUNT = re.compile(rb"\*\d+\r\n")
"""How a command begins: of how many parts it is."""
SIZE = re.compile(rb"\$\d+\r\n")
"""How each of them begins."""

Ledger = dict[str, Story]


def read_ledger(files: list[Path], prefix: str, length: int | None = None) -> Ledger:
    """The story of each job of the queue whose keys have this prefix. `length`: of the last file only so much."""
    stories: Ledger = defaultdict(Story)
    drafts: dict[str, bytes] = {}
    for path in files:
        for command in commands(path, length if path is files[-1] else None):
            _enter(stories, drafts, [bytes(part) for part in command], prefix.encode())
    return dict(stories)


def commands(path: Path, length: int | None = None) -> Iterator[list[bytes]]:
    """The commands of an append-only file, or of a piece of one, whose first and last ones may be incomplete."""
    with path.open("rb") as file:
        while (length is None or file.tell() < length) and (line := file.readline()):
            if not COUNT.fullmatch(line):
                continue  # a timestamp, or the end of a command whose beginning is not here
            command = list(_parts(file, int(line[1:])))
            if len(command) == int(line[1:]):
                yield command


def _parts(file: IO[bytes], count: int) -> Iterator[bytes]:
    """The parts of a command, as far as they are there."""
    for _ in range(count):
        head = file.readline()
        if not SIZE.fullmatch(head):
            return
        data = file.read(int(head[1:]) + 2)
        if len(data) < int(head[1:]) + 2:
            return
        yield data[:-2]


def _enter(stories: Ledger, drafts: dict[str, bytes], command: list[bytes], prefix: bytes) -> None:
    verb, key = command[0].upper(), command[1] if len(command) > 1 else b""
    if not key.startswith(prefix):
        return
    name = key[len(prefix) :].decode()
    if verb == b"SET" and name.startswith("reply:"):
        stories[name.removeprefix("reply:")].commits.append(_read_commit(command[2]))
    elif verb == b"SET" and name.startswith("draft:reply:"):
        drafts[name] = command[2]
    elif verb == b"RENAME" and name.startswith("draft:reply:"):
        job = command[2].decode().rpartition(":")[2]
        stories[job].commits.append(_read_commit(drafts.pop(name)))
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
