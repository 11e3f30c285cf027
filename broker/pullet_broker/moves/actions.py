"""The log of what people did to a queue from the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

MOST = 1000


@dataclass(frozen=True)
class Action:
    """One of them. `at` is seconds since the epoch, on the server's clock."""

    at: float
    by: str
    what: str
    done: str


def log_action(queue: Queue, by: str, what: str, done: str) -> tuple[Arg, ...]:
    trimmed = ("XADD", queue.keys.fixed("actions"), "MAXLEN", "~", MOST, "*")
    return (*trimmed, "by", by[:200], "what", what[:500], "done", done[:500])


def last_actions(queue: Queue, count: int = 50) -> tuple[Arg, ...]:
    return ("XREVRANGE", queue.keys.fixed("actions"), "+", "-", "COUNT", count)


def read_actions(entries: Sequence[Any]) -> list[Action]:
    """The newest first."""
    found = []
    for place, flat in entries:
        text = [part.decode(errors="replace") for part in flat]
        fields = dict(zip(text[::2], text[1::2], strict=False))
        at = int(place.partition(b"-")[0]) / 1000
        found.append(Action(at, fields.get("by", ""), fields.get("what", ""), fields.get("done", "")))
    return found
