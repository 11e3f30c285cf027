"""Several commands in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pullet_broker.errors import ServerError
from pullet_broker.link import Link
from pullet_broker.scripting import Arg


def ask_all(link: Link, commands: Sequence[tuple[Arg, ...]]) -> list[Any]:
    """The answers to the commands. The first error is raised after all are read."""
    link.send(*commands)
    answers: list[Any] = []
    problem: ServerError | None = None
    for _ in commands:
        try:
            answers.append(link.receive())
        except ServerError as error:
            if not link.is_open:
                raise
            problem = problem or error
    if problem:
        raise problem
    return answers


def ask_lane(link: Link, command: tuple[Arg, ...]) -> Any:
    """What a lane answers; nothing where there is no such lane, or nobody has ever read it."""
    try:
        return link.execute(*command)
    except ServerError as error:
        if str(error.evidence.get("answer", "")).startswith(("NOGROUP", "no such key", "ERR no such key")):
            return []
        raise
